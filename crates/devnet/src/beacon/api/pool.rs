//! The pool of voluntary exits.

use axum::{Json, body::Bytes, extract::State, response::Response};
use serde_json::json;

use super::{Answer, Api, Fault};
use crate::beacon::{
    Shared,
    clock::Head,
    exits::{Refusal, SignedExit, refusal},
    registry::Registry,
};

pub(super) async fn exits(State(shared): Api) -> Answer {
    let head = shared.require_head().await?;
    let mut registry = shared.registry.lock().await;
    shared.advance(&mut registry, &head).await?;
    let exits = shared.exits();
    let pool: Vec<_> = exits.pool(head.block.number.to()).collect();
    Ok(Json(json!({ "data": pool })))
}

pub(super) async fn submit_exit(State(shared): Api, body: Bytes) -> Result<Response, Fault> {
    let client = shared.client();
    let signed: SignedExit = serde_json::from_slice(&body).map_err(|error| {
        shared.exits().refuse(format!("no signed exit: {error}"));
        client.cannot_read_exit(&error.to_string())
    })?;
    let head = shared.require_head().await?;
    let mut registry = shared.registry.lock().await;
    shared.advance(&mut registry, &head).await?;
    if let Err(refusal) = shared.take_exit(&registry, &head, signed) {
        shared.exits().refuse(refusal.to_string());
        return Err(client.refuses_exit(&refusal, shared.is_old()));
    }
    Ok(client.takes_exit(shared.is_old()))
}

impl Shared {
    /// Takes an exit into the pool, unless it is there, or says why not.
    fn take_exit(&self, registry: &Registry, head: &Head, signed: SignedExit) -> Result<(), Refusal> {
        let client = self.client();
        let index = signed.message.validator_index;
        let validator = registry.validator(index).ok_or(Refusal::Unknown(index))?;
        let has_seen = self.exits().has_seen(&validator.public_key);
        if let Some(answer) = client.judges_again(index).filter(|_| has_seen) {
            return answer;
        }
        let public_key = validator.public_key;
        let block = head.block.number.to::<u64>();
        let (life, _) = self.life(validator, block, head.epoch);
        let epoch = client.epoch_to_judge_in(head.epoch, signed.message.epoch);
        let has_pending_withdrawal = self.exits().has_pending_withdrawal(&public_key);
        let refused = refusal(&self.config, &public_key, &life, has_pending_withdrawal, &signed, epoch);
        match refused {
            Some(refusal) => Err(refusal),
            None if has_seen => Ok(()),
            None => {
                self.exits().take(public_key, signed, block);
                Ok(())
            }
        }
    }
}
