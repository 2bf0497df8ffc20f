//! Handing out transactions.

use std::{sync::Arc, time::Duration};

use alloy_primitives::{B256, Bytes};
use futures::{StreamExt, stream::FuturesUnordered};
use tokio::time::{Instant, timeout_at};

use crate::{
    ExecutionClient,
    endpoints::Endpoint,
    rpc::{CallError, Node},
};

/// What became of handing out a transaction.
pub(crate) enum Broadcast {
    /// A node took it.
    Taken,
    /// Every node that answers says no.
    Rejected(String),
    /// A reply was lost, or makes no sense.
    InDoubt(String),
    /// It did not reach any node.
    NotDelivered,
}

impl ExecutionClient {
    /// Hands a signed transaction to all endpoints at once: one that takes it may not pass it on. Once one has taken it, the
    /// others have a moment left.
    pub(crate) async fn broadcast(&self, raw: &Bytes, hash: B256) -> Broadcast {
        let endpoints = self.inner.endpoints.rested();
        let mut asked: FuturesUnordered<_> = endpoints
            .into_iter()
            .enumerate()
            .map(|(place, endpoint)| async move { (place, self.hand_to(endpoint, raw, hash).await) })
            .collect();
        let mut taken_until: Option<Instant> = None;
        let (mut rejection, mut doubt) = (None, None);
        loop {
            let next = match taken_until {
                None => asked.next().await,
                Some(until) => timeout_at(until, asked.next()).await.unwrap_or_default(),
            };
            let Some((place, handed)) = next else { break };
            match handed {
                Broadcast::Taken => _ = taken_until.get_or_insert_with(|| Instant::now() + GRACE),
                // What the last endpoint says is told, however fast each was.
                Broadcast::Rejected(message) => rejection = rejection.max(Some((place, message))),
                Broadcast::InDoubt(reason) => doubt = doubt.max(Some((place, reason))),
                Broadcast::NotDelivered => {}
            }
        }
        match (taken_until, doubt, rejection) {
            (Some(_), ..) => Broadcast::Taken,
            (None, Some((_, doubt)), _) => Broadcast::InDoubt(doubt),
            (None, None, Some((_, message))) => Broadcast::Rejected(message),
            (None, None, None) => Broadcast::NotDelivered,
        }
    }

    async fn hand_to(&self, endpoint: &Arc<Endpoint<Node>>, raw: &Bytes, hash: B256) -> Broadcast {
        let node = &endpoint.client;
        if let Err(fault) = node.check_chain(self.inner.chain_id()).await {
            endpoint.failed(fault);
            return Broadcast::NotDelivered;
        }
        match node.call::<_, B256>("eth_sendRawTransaction", (raw.clone(),)).await {
            Ok(answer) if answer == hash => Broadcast::Taken,
            Ok(_) => Broadcast::InDoubt("it answers with another hash".to_owned()),
            Err(CallError::Answer(answer)) => {
                Broadcast::Rejected(format!("{} (error {}, {})", answer.message, answer.code, endpoint.url))
            }
            Err(CallError::Fault(fault)) => {
                let doubt = fault.may_have_arrived();
                let reason = format!("{}: {}", endpoint.url, fault.in_one_line());
                endpoint.failed(fault);
                if doubt {
                    Broadcast::InDoubt(reason)
                } else {
                    Broadcast::NotDelivered
                }
            }
        }
    }
}

/// What the other endpoints get after one has taken a transaction: less than a stop of the service waits for a delivery.
const GRACE: Duration = Duration::from_millis(750);
