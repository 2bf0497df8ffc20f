//! What the nodes know of a vault's validators.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::redirect::Policy;
use sw_chain_client::{
    BeaconValidator, ConsensusClient, ConsensusOptions, ExecutionClient, ExecutionError, ExecutionOptions, JwtSecret,
    Snapshot,
};
use sw_key_ops::{FoundKey, Progress, Stage};
use sw_spec::{Address, Epoch, NetworkSpec, PublicKeyBytes, RedactedUrl};
use tokio::runtime::Runtime;

use super::words;
use crate::{
    error::{CliError, Kind},
    nodes::{NOTHING_CHANGED, NodeCheck, check_same_chain},
    ui::Ui,
    wiring::http_client,
};

/// An execution and a consensus node, both known to be on the network.
pub(super) struct Nodes<'a> {
    network: &'a NetworkSpec,
    runtime: Runtime,
    execution: ExecutionClient,
    consensus: ConsensusClient,
}

/// The validators of a vault.
pub(super) struct Registered {
    pub(super) keys: BTreeSet<PublicKeyBytes>,
    /// What the beacon chain says of those that it knows.
    pub(super) states: BTreeMap<PublicKeyBytes, BeaconValidator>,
    pub(super) blocks: (u64, u64),
}

impl Registered {
    /// Those that have not left the beacon chain: they need their keys.
    pub(super) fn staying(&self) -> BTreeSet<PublicKeyBytes> {
        let has_left = |key: &&PublicKeyBytes| self.states.get(*key).is_some_and(|state| state.status.has_left());
        self.keys.iter().filter(|key| !has_left(key)).copied().collect()
    }
}

impl<'a> Nodes<'a> {
    /// Makes sure that the nodes are there, synced and on the network.
    pub(super) fn connect(
        network: &'a NetworkSpec,
        execution: Vec<RedactedUrl>,
        consensus: Vec<RedactedUrl>,
        jwt_secret: Option<JwtSecret>,
        ui: &Ui,
    ) -> Result<Self, CliError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .map_err(|error| CliError::caused_by(Kind::Failed, "cannot start", &error))?;
        let http = http_client(Policy::none())?;
        let options = ExecutionOptions {
            chain_id: Some(network.chain_id),
            jwt_secret: jwt_secret.clone(),
            ..ExecutionOptions::default()
        };
        let check = NodeCheck {
            http: &http,
            network,
            jwt_secret,
            is_optional: false,
            ui,
        };
        let execution = runtime.block_on(check.execution(&execution))?;
        let consensus = runtime.block_on(check.consensus(&consensus))?;
        let execution = ExecutionClient::new(http.clone(), execution, options);
        let consensus = ConsensusClient::new(
            http,
            consensus,
            ConsensusOptions {
                genesis: Some(network.into()),
                ..ConsensusOptions::default()
            },
        );
        runtime.block_on(check_same_chain(&execution, &consensus))?;
        Ok(Self {
            network,
            runtime,
            execution,
            consensus,
        })
    }

    /// All keys that the vault has ever registered, of whatever version it was, and what became of them.
    pub(super) fn registered(
        &self,
        vault: Address,
        first_block: Option<u64>,
        progress: &impl Progress,
    ) -> Result<Registered, CliError> {
        let contracts = &self.network.contracts;
        let from = first_block.unwrap_or(contracts.keeper_block);
        self.runtime.block_on(async {
            let head = self.head().await?;
            let to = head.block().number;
            // Whichever endpoint goes on must have all that is to be read.
            self.execution.expect_final(to);
            head.vault(vault, self.network).await.map_err(|error| unread(&error))?;
            let mut keys = self.scan(Source::Vault(vault), from, to, progress).await?;
            if let Some(pool) = self.legacy_pool_of(vault) {
                let month = MONTH.checked_div(self.network.seconds_per_slot).unwrap_or(MONTH);
                let until = contracts.keeper_block.saturating_add(month).min(to);
                let since = contracts.legacy_pool_block.unwrap_or(contracts.keeper_block);
                keys.extend(self.scan(Source::LegacyPool(pool), since, until, progress).await?);
            }
            let states = self.states(&keys.iter().copied().collect::<Vec<_>>()).await?;
            Ok(Registered {
                keys,
                states,
                blocks: (from, to),
            })
        })
    }

    /// Those of the keys that have been seen at work in the present epoch or the one before.
    ///
    /// The epoch is that of now: since the nodes were first asked, a person may have been, and took their time.
    pub(super) fn at_work(&self, keys: &[FoundKey], registered: &Registered) -> Result<Vec<FoundKey>, CliError> {
        let indexed: BTreeMap<u64, FoundKey> = keys
            .iter()
            .filter_map(|key| Some((registered.states.get(&key.public_key)?.index, *key)))
            .collect();
        let indices: Vec<u64> = indexed.keys().copied().collect();
        if indices.is_empty() {
            return Ok(Vec::new());
        }
        let live = self.runtime.block_on(self.live(&indices))?;
        Ok(live
            .into_iter()
            .filter_map(|index| indexed.get(&index).copied())
            .collect())
    }

    async fn live(&self, indices: &[u64]) -> Result<BTreeSet<u64>, CliError> {
        let status = self.consensus.syncing().await;
        let ready = status.iter().filter(|status| status.is_ready());
        let head = ready.filter_map(|status| status.head_slot).max();
        let head =
            head.ok_or_else(|| words::liveness_unknown("no consensus node is in step with the chain any more"))?;
        let present = head.0.checked_div(self.network.slots_per_epoch).unwrap_or(0);
        let mut live = BTreeSet::new();
        for epoch in present.saturating_sub(1)..=present {
            let seen = self.consensus.live_validators(Epoch(epoch), indices).await;
            live.extend(seen.map_err(words::liveness_unknown)?);
        }
        Ok(live)
    }

    /// Those of the keys that the beacon chain knows, whoever deposited for them.
    pub(super) fn known(&self, keys: &[FoundKey]) -> Result<BTreeSet<PublicKeyBytes>, CliError> {
        let keys: Vec<_> = keys.iter().map(|key| key.public_key).collect();
        Ok(self.runtime.block_on(self.states(&keys))?.into_keys().collect())
    }

    async fn head(&self) -> Result<Snapshot, CliError> {
        self.execution.head().await.map_err(|error| unread(&error))
    }

    async fn states(&self, keys: &[PublicKeyBytes]) -> Result<BTreeMap<PublicKeyBytes, BeaconValidator>, CliError> {
        let validators = self.consensus.validators(keys).await;
        let validators =
            validators.map_err(|error| CliError::from_error(Kind::Failed, &error).hint(NOTHING_CHANGED))?;
        Ok(validators
            .into_iter()
            .map(|validator| (validator.public_key, validator))
            .collect())
    }

    fn legacy_pool_of(&self, vault: Address) -> Option<Address> {
        let contracts = &self.network.contracts;
        contracts.legacy_pool.filter(|_| contracts.genesis_vault == Some(vault))
    }

    /// Reads the events piece by piece: one that fails is read again, maybe from another endpoint.
    async fn scan(
        &self,
        source: Source,
        from: u64,
        to: u64,
        progress: &impl Progress,
    ) -> Result<BTreeSet<PublicKeyBytes>, CliError> {
        let mut keys = BTreeSet::new();
        progress.begin(Stage::Registrations, pieces(from, to).size_hint().0);
        for (first, last) in pieces(from, to) {
            keys.extend(self.piece(source, first, last).await?);
            progress.advance(Stage::Registrations);
        }
        progress.finish(Stage::Registrations);
        Ok(keys)
    }

    async fn piece(&self, source: Source, first: u64, last: u64) -> Result<Vec<PublicKeyBytes>, CliError> {
        let mut attempts = 1;
        loop {
            match source.events(&self.head().await?, first, last).await {
                Err(error) if error.is_retryable() && attempts < ATTEMPTS => attempts += 1,
                events => return events.map_err(|error| unread(&error)),
            }
        }
    }
}

/// The ranges of blocks to read. A node may say that there are more blocks than would fit into memory as a list.
fn pieces(from: u64, to: u64) -> impl Iterator<Item = (u64, u64)> {
    let last = move |first: u64| first.saturating_add(PIECE as u64 - 1).min(to);
    (from..=to).step_by(PIECE).map(move |first| (first, last(first)))
}

/// Who says that validators were registered.
#[derive(Clone, Copy)]
enum Source {
    Vault(Address),
    LegacyPool(Address),
}

impl Source {
    async fn events(self, head: &Snapshot, from: u64, to: u64) -> Result<Vec<PublicKeyBytes>, ExecutionError> {
        let events = match self {
            Self::Vault(vault) => head.validator_registered_events(vault, from, to).await?,
            Self::LegacyPool(pool) => head.legacy_validator_registered_events(pool, from, to).await?,
        };
        Ok(events.into_iter().map(|event| event.public_key).collect())
    }
}

fn unread(error: &ExecutionError) -> CliError {
    let refused = CliError::from_error(Kind::Failed, error);
    match error {
        ExecutionError::NotAVault { .. } => {
            refused.hint("name the vault with `--vault`, and its network with `--network`")
        }
        ExecutionError::ForgedLogs { .. } => {
            refused.hint("nothing was changed; name another node in `--execution-endpoints`")
        }
        _ => refused.hint(NOTHING_CHANGED),
    }
}

/// For how many seconds the pool of StakeWise V2 went on after the Keeper was there.
const MONTH: u64 = 2_628_000;
/// Blocks that are read, and shown as read, at a time.
const PIECE: usize = 250_000;
const ATTEMPTS: u32 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_block_is_in_one_piece_however_many_a_node_says_there_are() {
        let piece = PIECE as u64;
        let all: Vec<_> = pieces(7, piece + 7).collect();
        assert_eq!(all, [(7, piece + 6), (piece + 7, piece + 7)]);
        assert_eq!(pieces(8, 7).size_hint().0, 0);
        assert_eq!(pieces(0, u64::MAX).nth(1), Some((piece, 2 * piece - 1)));
        assert_eq!(pieces(u64::MAX - 1, u64::MAX).last(), Some((u64::MAX - 1, u64::MAX)));
    }
}
