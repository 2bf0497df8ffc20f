//! Questions to a state: fork, finality, validators.

use alloy_primitives::B256;
use axum::{
    body::Bytes,
    extract::{Path, RawQuery, State},
    http::Uri,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, Api};
use crate::beacon::{
    Shared,
    client::validators::{Asked, Id},
    life::Life,
    registry::{Registry, Validator},
};

/// The present fork is Electra, as of the genesis.
pub(super) async fn fork(State(shared): Api, Path(state): Path<String>) -> Answer {
    let (head, block) = shared.resolve(&state).await?;
    let data = json!({
        "previous_version": shared.config.deneb_fork_version,
        "current_version": shared.config.electra_fork_version,
        "epoch": shared.config.capella_epoch.to_string(),
    });
    Ok(shared.about(shared.is_final(&head, &block), data))
}

pub(super) async fn finality_checkpoints(State(shared): Api, Path(state): Path<String>) -> Answer {
    let (head, block) = shared.resolve(&state).await?;
    let at = shared.head_at(block);
    let mut checkpoints = serde_json::Map::new();
    let epochs = [
        ("previous_justified", at.finalized()),
        ("current_justified", at.justified()),
        ("finalized", at.finalized()),
    ];
    for (name, epoch) in epochs {
        // The checkpoint of epoch 0 has no block: the specs give it the zero root.
        let root = match epoch {
            0 => Some(B256::ZERO),
            epoch => shared.checkpoint(&head, epoch).await?.map(|block| block.hash),
        };
        checkpoints.insert(name.to_owned(), json!({"epoch": epoch.to_string(), "root": root}));
    }
    Ok(shared.about(false, Value::Object(checkpoints)))
}

#[derive(Debug, Default, Deserialize)]
struct Wanted {
    #[serde(default)]
    ids: Option<Vec<String>>,
    #[serde(default)]
    statuses: Option<Vec<String>>,
}

pub(super) async fn validators(State(shared): Api, Path(state): Path<String>, RawQuery(query): RawQuery) -> Answer {
    let mut wanted = Wanted::default();
    for (name, value) in url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        let list = match name.as_ref() {
            "id" => &mut wanted.ids,
            "status" => &mut wanted.statuses,
            _ => continue,
        };
        list.get_or_insert_default().extend(value.split(',').map(str::to_owned));
    }
    shared.validators(&state, &wanted, Asked::Get).await
}

pub(super) async fn validators_by_body(
    State(shared): Api,
    uri: Uri,
    Path(state): Path<String>,
    body: Bytes,
) -> Response {
    let client = shared.client();
    if shared.is_old() {
        return client.unknown_post(uri.path());
    }
    match serde_json::from_slice::<Wanted>(&body) {
        Ok(wanted) => shared.validators(&state, &wanted, Asked::Post).await.into_response(),
        Err(error) => client.cannot_read_list(&error.to_string()).into_response(),
    }
}

pub(super) async fn validator(State(shared): Api, Path((state, id)): Path<(String, String)>) -> Answer {
    let client = shared.client();
    let (head, block) = shared.resolve(&state).await?;
    let finalized = shared.is_final(&head, &block);
    let at = shared.head_at(block);
    let mut registry = shared.registry.lock().await;
    shared.advance(&mut registry, &head).await?;
    let number = at.block.number.to();
    let index = match resolve(&registry, number, &id) {
        Id::Malformed => return Err(client.cannot_read_id(&id)),
        Id::Unknown => return Err(client.knows_nobody(&id)),
        Id::Known(index) => index,
    };
    let validator = registry.validator(index).ok_or_else(|| client.knows_nobody(&id))?;
    Ok(shared.about(finalized, shared.describe(index, validator, number, at.epoch).1))
}

/// What an id stands for in the state after block `number`.
fn resolve(registry: &Registry, number: u64, id: &str) -> Id {
    let index = match id.starts_with("0x") {
        true => id.parse().map(|key| registry.index(&key)).map_err(drop),
        false => id.parse().map(Some).map_err(drop),
    };
    match index {
        Err(()) => Id::Malformed,
        Ok(index) => match index.filter(|index| registry.validator(*index).is_some_and(|it| it.is_known_at(number))) {
            Some(index) => Id::Known(index),
            None => Id::Unknown,
        },
    }
}

impl Shared {
    async fn validators(&self, state: &str, wanted: &Wanted, asked: Asked) -> Answer {
        let client = self.client();
        let (head, block) = self.resolve(state).await?;
        let finalized = self.is_final(&head, &block);
        let at = self.head_at(block);
        let number = at.block.number.to::<u64>();
        let mut registry = self.registry.lock().await;
        self.advance(&mut registry, &head).await?;
        let picked = client.pick(asked, wanted.ids.as_deref(), |id| resolve(&registry, number, id))?;
        let picked = picked.unwrap_or_else(|| registry.at(number).map(|(index, _)| index).collect());
        let statuses = wanted.statuses.as_deref().unwrap_or_default();
        let mut data = Vec::new();
        for index in picked {
            let Some(validator) = registry.validator(index) else {
                continue;
            };
            let (status, described) = self.describe(index, validator, number, at.epoch);
            if client.is_wanted(status, statuses)? {
                data.push(described);
            }
        }
        Ok(self.about(finalized, Value::Array(data)))
    }

    /// A validator's life in the state after block `number`, of `epoch`, and what it is called.
    pub(in crate::beacon) fn life(&self, validator: &Validator, number: u64, epoch: u64) -> (Life, &'static str) {
        let left = self.exits().left(&validator.public_key, number);
        let life = Life::of(&self.config, validator, validator.balance_at(number), left, epoch);
        match self.claimed_status(&validator.public_key) {
            Some(status) => (life.posing_as(status, epoch), status),
            None => (life, life.status(epoch)),
        }
    }

    /// The status, and the member of the list.
    fn describe(&self, index: u64, validator: &Validator, number: u64, epoch: u64) -> (&'static str, Value) {
        let (life, status) = self.life(validator, number, epoch);
        let balance = match life.is_paid_out {
            true => 0,
            false => validator.balance_at(number),
        };
        let described = json!({
            "index": index.to_string(), "balance": balance.to_string(), "status": status,
            "validator": {
                "pubkey": validator.public_key, "withdrawal_credentials": validator.credentials,
                "effective_balance": effective(balance, validator).to_string(), "slashed": life.slashed,
                "activation_eligibility_epoch": life.eligible.to_string(),
                "activation_epoch": life.activation.to_string(),
                "exit_epoch": life.exit.to_string(), "withdrawable_epoch": life.withdrawable.to_string(),
            },
        });
        (status, described)
    }
}

/// Whole ETH, up to what the credentials allow (EIP-7251).
fn effective(balance: u64, validator: &Validator) -> u64 {
    let most = if validator.credentials.first() == Some(&2) {
        2048
    } else {
        32
    };
    (balance / GWEI_PER_ETH).min(most) * GWEI_PER_ETH
}

const GWEI_PER_ETH: u64 = 1_000_000_000;
