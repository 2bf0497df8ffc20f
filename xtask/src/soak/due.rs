//! What is due, and whether it happened: once.

use std::collections::BTreeSet;

use alloy_primitives::{Address, B256};
use serde_json::{Value, json};
use sw_devnet::{
    Devnet,
    audit::{Audit, Auditor},
};

use super::report::Report;
use crate::Failure;

/// Harvests and registrations that the chain asks for.
#[derive(Debug, Default)]
pub(super) struct Due {
    /// Votes since the vault has a validator.
    votes: usize,
    /// The slot of the vote that is not harvested yet.
    harvest_since: Option<u64>,
    /// The slot since which validators are paid for and none was registered.
    registration_since: Option<u64>,
    registered: usize,
}

impl Due {
    /// A vote was mined in this slot.
    pub(super) fn voted(&mut self, slot: u64) {
        self.votes += 1;
        self.harvest_since = Some(slot);
    }

    /// Whether the last vote waits for its harvest: until then there is no further one, so that each has a harvest of its own.
    pub(super) fn harvest_is_due(&self) -> bool {
        self.harvest_since.is_some()
    }

    /// Whether validators are paid for that are not registered.
    pub(super) fn registration_is_due(&self) -> bool {
        self.registration_since.is_some()
    }

    /// The vault has a validator: its rewards are counted.
    pub(super) fn is_collateralized(&self) -> bool {
        self.registered > 0
    }

    /// Looks at the chain.
    pub(super) async fn look(
        &mut self,
        devnet: &Devnet,
        slot: u64,
        audit: &Audit,
        keys: usize,
        report: &mut Report,
    ) -> Result<(), Failure> {
        let harvests = devnet.chain().harvests(devnet.vault()).await?.len();
        report.harvests = harvests;
        report.votes = self.votes;
        if harvests > self.votes {
            let what = format!("slot {slot}: {harvests} harvests for {} votes", self.votes);
            report.twice.push(what);
        }
        if harvests >= self.votes {
            self.harvest_since = None;
        }
        let registered = audit.registered.len();
        let is_due = audit.affordable > 0 && registered < keys;
        if !is_due || registered > self.registered {
            self.registration_since = None;
        }
        if is_due {
            self.registration_since.get_or_insert(slot);
        }
        self.registered = registered;
        for (since, what) in [
            (&mut self.harvest_since, "a harvest"),
            (&mut self.registration_since, "a registration"),
        ] {
            if since.is_some_and(|since| slot.saturating_sub(since) > PATIENCE) {
                let begun = since.take().unwrap_or_default();
                report.missed.push(format!("{what} that was due since slot {begun}"));
            }
        }
        Ok(())
    }
}

/// Reports every harvest of the journal that is in the chain and changed nothing: somebody else had done it.
pub(super) async fn wasted(
    devnet: &Devnet,
    vault: Address,
    auditor: &mut Auditor,
    report: &mut Report,
) -> Result<(), Failure> {
    let chain = devnet.chain();
    let useful: BTreeSet<B256> = chain.harvests(vault).await?.iter().map(|each| each.tx).collect();
    for intent in auditor.remember()?.iter().filter(|intent| intent.kind == "harvest") {
        let sent: Value = chain
            .rpc()
            .request("eth_getTransactionByHash", json!([intent.hash]))
            .await?;
        let is_mined = sent.get("blockNumber").is_some_and(|block| !block.is_null());
        // A cancellation goes to the wallet itself.
        let to = sent.get("to").and_then(Value::as_str).and_then(|to| to.parse().ok());
        if is_mined && to == Some(vault) && !useful.contains(&intent.hash) {
            report.twice.push(format!("harvest {} changed nothing", intent.hash));
        }
    }
    Ok(())
}

/// Slots in which an action that is due must have happened. A registration is some forty calls in a row, and a fault of one
/// ends the try; endpoints rest for seconds after a fault, which are slots here.
const PATIENCE: u64 = 300;
