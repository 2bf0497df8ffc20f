//! Who the oracles are: the newest config on chain all of whose oracles the Keeper knows.

use std::sync::Arc;

use alloy::primitives::Address;
use serde::{Deserialize, Serialize};

use super::{
    chain::{ChainError, ChainReader, Snapshot},
    documents::{DocumentError, Documents},
    ledger::Ledger,
};

/// The oracles' keys in the order of the config and the threshold: for whom exits are shared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Quorum {
    /// As in the config: 0x and 128 hex digits.
    #[serde(default)]
    pub(super) oracles: Vec<String>,
    /// Shares that recover an exit signature.
    #[serde(default)]
    pub(super) exit_signature_recover_threshold: usize,
}

/// The members of the protocol config that an oracle follows.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct ProtocolConfig {
    oracles: Vec<ConfiguredOracle>,
    exit_signature_recover_threshold: usize,
}

#[derive(Debug, Clone, Deserialize)]
struct ConfiguredOracle {
    public_key: String,
    endpoints: Vec<String>,
}

/// The oracles as one of them sees the set it is in.
#[derive(Debug, Clone)]
pub(super) struct Members {
    pub(super) quorum: Quorum,
    /// Its own place among them.
    pub(super) position: usize,
    /// The others, each by its endpoints.
    pub(super) peers: Vec<Vec<String>>,
    /// The Unix time of the block from which on they are the oracles; zero when there were no others before.
    pub(super) since: u64,
}

/// It is not known who the oracles are.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoMembers {
    #[error(transparent)]
    Chain(#[from] ChainError),
    #[error("no config on chain names this oracle among oracles that the Keeper knows")]
    NotNamed(#[source] Option<DocumentError>),
}

impl ProtocolConfig {
    pub(super) fn quorum(&self) -> Quorum {
        Quorum {
            oracles: self.oracles.iter().map(|oracle| oracle.public_key.clone()).collect(),
            exit_signature_recover_threshold: self.exit_signature_recover_threshold,
        }
    }

    fn is_of(&self, ledger: &Ledger, own: &str) -> bool {
        let known = |oracle: &ConfiguredOracle| {
            address_of(&oracle.public_key).is_some_and(|address| ledger.oracles.contains(&address))
        };
        let threshold = 1..=self.oracles.len();
        threshold.contains(&self.exit_signature_recover_threshold)
            && self.oracles.iter().all(known)
            && self.oracles.iter().any(|oracle| oracle.public_key == own)
    }

    fn members(&self, own: &str, since: u64) -> Option<Members> {
        let position = self.oracles.iter().position(|oracle| oracle.public_key == own)?;
        let others = self.oracles.iter().filter(|oracle| oracle.public_key != own);
        Some(Members {
            quorum: self.quorum(),
            position,
            peers: others.map(|oracle| oracle.endpoints.clone()).collect(),
            since,
        })
    }
}

/// The oracles at a block as `own` sees them; `at_start` are those it was started with, whom no config may name yet.
pub(super) async fn members(
    chain: &ChainReader,
    documents: &Documents,
    snapshot: &Snapshot,
    own: &str,
    at_start: &Members,
) -> Result<Members, NoMembers> {
    let ledger = &snapshot.ledger;
    let mut in_force: Option<(Arc<ProtocolConfig>, u64)> = None;
    let mut others_before = false;
    let mut unread = None;
    for (block, cid) in ledger.configs.iter().rev() {
        let config = match documents.config(cid).await {
            Ok(config) => config,
            Err(error) => {
                unread = Some(error);
                continue;
            }
        };
        match &mut in_force {
            None if config.is_of(ledger, own) => in_force = Some((config, *block)),
            None => {}
            Some((newest, since)) if config.quorum() == newest.quorum() => *since = *block,
            Some(_) => {
                others_before = true;
                break;
            }
        }
    }
    if let Some((config, block)) = in_force {
        let since = if others_before { chain.time_of(block).await? } else { 0 };
        return config.members(own, since).ok_or(NoMembers::NotNamed(None));
    }
    let known = |key: &String| address_of(key).is_some_and(|address| ledger.oracles.contains(&address));
    match ledger.configs.is_empty() || at_start.quorum.oracles.iter().all(known) {
        true => Ok(at_start.clone()),
        false => Err(NoMembers::NotNamed(unread)),
    }
}

/// The address of a public key as the config has it.
fn address_of(public_key: &str) -> Option<Address> {
    let point = hex::decode(public_key.strip_prefix("0x")?).ok()?;
    (point.len() == 64).then(|| Address::from_raw_public_key(&point))
}
