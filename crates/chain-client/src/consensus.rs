//! The consensus chain through the Beacon API of several nodes.

use std::{collections::BTreeSet, convert::Infallible, sync::Arc, time::Duration};

use alloy_primitives::{Address, B256};
use futures::{
    FutureExt,
    future::{BoxFuture, join_all},
};
use sw_spec::{Epoch, ForkVersion, Gwei, NetworkSpec, PublicKeyBytes, RedactedUrl, Slot, ValidatorStatus};

use crate::{
    EndpointFailure, EndpointFault,
    endpoints::{Endpoints, Failed, NoAnswer},
};
use beacon::Beacon;

pub use exits::{ExitOutcome, ExitRefusal, ExitSeen};

#[cfg(feature = "fuzzing")]
pub(crate) use {answers::readable_as, exits::refusal_in};

mod answers;
mod beacon;
mod exits;

/// Limits of a [`ConsensusClient`].
#[derive(Debug, Clone)]
pub struct ConsensusOptions {
    /// How long one request may take, to the last byte of its answer.
    pub request_timeout: Duration,
    /// How long all endpoints together are tried before a call fails.
    pub retry_budget: Duration,
    /// The longest answer that is read, in bytes after decompression.
    pub body_limit: usize,
    /// The chain that every endpoint must be on; it is asked before an endpoint's first use, and again after each fault.
    pub genesis: Option<ExpectedGenesis>,
}

/// What makes a beacon chain the one that is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExpectedGenesis {
    /// What exits are bound to.
    pub validators_root: B256,
    /// What deposits are bound to.
    pub fork_version: ForkVersion,
}

impl From<&NetworkSpec> for ExpectedGenesis {
    fn from(network: &NetworkSpec) -> Self {
        Self {
            validators_root: network.genesis_validators_root,
            fork_version: network.genesis_fork_version,
        }
    }
}

impl Default for ConsensusOptions {
    fn default() -> Self {
        Self {
            request_timeout: Duration::from_secs(60),
            retry_budget: Duration::from_secs(120),
            body_limit: 32 * 1024 * 1024,
            genesis: None,
        }
    }
}

/// The constants of a beacon chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Genesis {
    /// Unix time of slot 0.
    pub genesis_time: u64,
    /// What exits are bound to.
    pub genesis_validators_root: B256,
    /// What deposits are bound to.
    pub genesis_fork_version: ForkVersion,
}

/// What one endpoint says of itself.
#[derive(Debug)]
pub struct ConsensusStatus {
    /// The endpoint.
    pub endpoint: RedactedUrl,
    /// Whether it is catching up.
    pub is_syncing: bool,
    /// Whether its head is not verified by an execution node yet.
    pub is_optimistic: bool,
    /// Whether its execution node is down.
    pub el_offline: bool,
    /// Its head.
    pub head_slot: Option<Slot>,
    /// How many slots it lags behind.
    pub sync_distance: u64,
    /// Why it gave no answer.
    pub error: Option<EndpointFault>,
}

impl ConsensusStatus {
    /// Whether its word on the chain can be taken.
    pub fn is_ready(&self) -> bool {
        self.error.is_none() && !self.is_syncing && !self.is_optimistic && !self.el_offline
    }
}

/// The latest block that cannot be undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FinalizedBlock {
    /// Its slot.
    pub slot: Slot,
    /// The number of its execution block.
    pub block_number: u64,
    /// The hash of its execution block.
    pub block_hash: B256,
    /// Unix time of its execution block.
    pub timestamp: u64,
}

impl FinalizedBlock {
    /// The epoch of its slot.
    pub fn epoch(&self, network: &NetworkSpec) -> Epoch {
        Epoch(self.slot.0.checked_div(network.slots_per_epoch).unwrap_or(0))
    }
}

/// The deposit contract that a consensus node follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BeaconDepositContract {
    /// The execution chain.
    pub chain_id: u64,
    /// The contract.
    pub address: Address,
}

/// A validator, as the beacon state has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BeaconValidator {
    /// Its index in the state.
    pub index: u64,
    /// Its key.
    pub public_key: PublicKeyBytes,
    /// What it has.
    pub balance: Gwei,
    /// What it is rewarded and penalised for.
    pub effective_balance: Gwei,
    /// Its state in life.
    pub status: ValidatorStatus,
    /// Whether it was slashed.
    pub slashed: bool,
    /// Where its stake is paid out.
    pub withdrawal_credentials: B256,
    /// From when it validates; the far future while it is not decided.
    pub activation_epoch: Epoch,
    /// From when it does not any more; the far future while it is not decided.
    pub exit_epoch: Epoch,
    /// From when its stake can be paid out; the far future while it is not decided.
    pub withdrawable_epoch: Epoch,
}

/// The constants of a chain that exits depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BeaconSpec {
    /// What exits are signed under, for ever (EIP-7044).
    pub capella_fork_version: ForkVersion,
    /// From when exits have been signed so.
    pub capella_fork_epoch: Epoch,
    /// `SHARD_COMMITTEE_PERIOD`: for how many epochs a validator must have been active before it may leave.
    pub shard_committee_period: u64,
    /// Slots of an epoch; at least one.
    pub slots_per_epoch: u64,
    /// Seconds of a slot; at least one.
    pub seconds_per_slot: u64,
}

/// The fork that a chain is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fork {
    /// The version before it.
    pub previous_version: ForkVersion,
    /// Its version.
    pub current_version: ForkVersion,
    /// When it began.
    pub epoch: Epoch,
}

/// A point of the chain that validators vote for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checkpoint {
    /// Its epoch.
    pub epoch: Epoch,
    /// The root of its block; zero at genesis.
    pub root: B256,
}

/// How far a chain is settled, at its head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finality {
    /// What was justified before.
    pub previous_justified: Checkpoint,
    /// What is justified.
    pub current_justified: Checkpoint,
    /// What cannot be undone.
    pub finalized: Checkpoint,
}

/// A read of the consensus chain that gave no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConsensusError {
    /// Every endpoint was tried, or is resting after a failure.
    #[error("no consensus endpoint gave an answer: {}", EndpointFailure::list(.0))]
    Unavailable(Vec<EndpointFailure>),
}

impl ConsensusError {
    /// Whether time may cure it.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unavailable(failures) => failures.iter().any(|failure| failure.fault.is_retryable()),
        }
    }
}

/// The consensus chain through one or more nodes: they are asked in order, and the next takes over when one fails.
#[derive(Clone)]
pub struct ConsensusClient {
    endpoints: Arc<Endpoints<Beacon>>,
}

impl ConsensusClient {
    /// A client of these endpoints, the preferred one first. `client` should not follow redirects.
    pub fn new(client: reqwest::Client, endpoints: Vec<RedactedUrl>, options: ConsensusOptions) -> Self {
        let nodes = endpoints.into_iter().map(|url| {
            let beacon = Beacon::new(client.clone(), url.clone(), &options);
            (url, beacon)
        });
        Self {
            endpoints: Arc::new(Endpoints::new(nodes, options.retry_budget)),
        }
    }

    /// What every endpoint says of itself.
    pub async fn syncing(&self) -> Vec<ConsensusStatus> {
        join_all(self.endpoints.all().iter().map(|endpoint| async {
            let endpoint_url = endpoint.url.clone();
            match endpoint.client.syncing().await {
                Ok(said) => ConsensusStatus {
                    endpoint: endpoint_url,
                    ..said
                },
                Err(fault) => ConsensusStatus {
                    error: Some(fault),
                    ..ConsensusStatus::unknown(endpoint_url)
                },
            }
        }))
        .await
    }

    /// The constants of the chain.
    ///
    /// # Errors
    /// When no endpoint answers.
    pub async fn genesis(&self) -> Result<Genesis, ConsensusError> {
        self.first_answer(async |beacon| beacon.genesis().await).await
    }

    /// The constants of the chain by the word of every endpoint: each may have to take over.
    pub async fn every_genesis(&self) -> Vec<(RedactedUrl, Result<Genesis, EndpointFault>)> {
        join_all(self.endpoints.all().iter().map(|endpoint| async {
            let genesis = endpoint.client.genesis().await;
            (endpoint.url.clone(), genesis)
        }))
        .await
    }

    /// The slot of the head of the first endpoint that is in step: not syncing, not optimistic, and with an execution node.
    ///
    /// # Errors
    /// When no endpoint is.
    pub async fn head_slot(&self) -> Result<Slot, ConsensusError> {
        self.first_answer(async |beacon| {
            let head = beacon.ready().await?.head_slot;
            head.ok_or_else(|| EndpointFault::Malformed("no head".to_owned()))
        })
        .await
    }

    /// The latest block that cannot be undone, with the execution block in it.
    ///
    /// # Errors
    /// When no endpoint answers with one that its execution node has verified.
    pub async fn finalized(&self) -> Result<FinalizedBlock, ConsensusError> {
        self.first_answer(async |beacon| beacon.finalized().await).await
    }

    /// The deposit contract that the chain follows.
    ///
    /// # Errors
    /// When no endpoint answers.
    pub async fn deposit_contract(&self) -> Result<BeaconDepositContract, ConsensusError> {
        self.first_answer(async |beacon| beacon.deposit_contract().await).await
    }

    /// The same by the word of every endpoint: each may have to take over.
    pub async fn every_deposit_contract(&self) -> Vec<(RedactedUrl, Result<BeaconDepositContract, EndpointFault>)> {
        join_all(self.endpoints.all().iter().map(|endpoint| async {
            let contract = endpoint.client.deposit_contract().await;
            (endpoint.url.clone(), contract)
        }))
        .await
    }

    /// Those of the validators that the chain knows at its head.
    ///
    /// # Errors
    /// When no endpoint answers.
    pub async fn validators(&self, keys: &[PublicKeyBytes]) -> Result<Vec<BeaconValidator>, ConsensusError> {
        let mut validators = Vec::new();
        for keys in distinct(keys).chunks(KEYS_A_REQUEST) {
            validators.extend(self.first_answer(async |beacon| beacon.validators(keys).await).await?);
        }
        Ok(validators)
    }

    /// The same by index.
    ///
    /// # Errors
    /// When no endpoint answers.
    pub async fn validators_by_index(&self, indexes: &[u64]) -> Result<Vec<BeaconValidator>, ConsensusError> {
        let mut validators = Vec::new();
        for indexes in distinct(indexes).chunks(INDICES_A_REQUEST).map(Arc::<[u64]>::from) {
            let ask = boxed(move |beacon| {
                let indexes = Arc::clone(&indexes);
                async move { beacon.validators_by_index(&indexes).await }.boxed()
            });
            validators.extend(self.first_answer(ask).await?);
        }
        Ok(validators)
    }

    /// The constants of the chain that exits depend on.
    ///
    /// # Errors
    /// When no endpoint answers.
    pub async fn chain_spec(&self) -> Result<BeaconSpec, ConsensusError> {
        self.first_answer(async |beacon| beacon.spec().await).await
    }

    /// The fork that the chain is in at its head.
    ///
    /// # Errors
    /// When no endpoint answers.
    pub async fn fork(&self) -> Result<Fork, ConsensusError> {
        self.first_answer(async |beacon| beacon.fork().await).await
    }

    /// How far the chain is settled at its head.
    ///
    /// # Errors
    /// When no endpoint answers.
    pub async fn finality(&self) -> Result<Finality, ConsensusError> {
        self.first_answer(async |beacon| beacon.finality().await).await
    }

    /// Those of the validators, by their index, that any endpoint has seen at work in an epoch.
    ///
    /// Every endpoint is asked, once: what one has seen, another may have missed. None has to know more than the present
    /// epoch and the one before, and a node that was started lately has seen little.
    ///
    /// # Errors
    /// When no endpoint answers for all of the validators. Not every node can: some must be told to keep track.
    pub async fn live_validators(&self, epoch: Epoch, indices: &[u64]) -> Result<BTreeSet<u64>, ConsensusError> {
        let answers = join_all(self.endpoints.all().iter().map(|endpoint| async move {
            let mut live = BTreeSet::new();
            endpoint.client.check_genesis().await?;
            for indices in indices.chunks(INDICES_A_REQUEST) {
                live.extend(endpoint.client.live_validators(epoch, indices).await?);
            }
            Ok(live)
        }));
        let (mut live, mut failures, mut answered) = (BTreeSet::new(), Vec::new(), false);
        for (endpoint, answer) in self.endpoints.all().iter().zip(answers.await) {
            match answer {
                Ok(seen) => {
                    answered = true;
                    live.extend(seen);
                }
                Err(fault) => failures.push(EndpointFailure {
                    endpoint: endpoint.url.clone(),
                    fault: Arc::new(fault),
                }),
            }
        }
        if answered {
            Ok(live)
        } else {
            Err(ConsensusError::Unavailable(failures))
        }
    }

    async fn first_answer<T>(
        &self,
        ask: impl AsyncFn(&Beacon) -> Result<T, EndpointFault>,
    ) -> Result<T, ConsensusError> {
        let ask = &ask;
        let answer = self.endpoints.first_answer::<T, Infallible, _>(|endpoint| async move {
            let beacon = &endpoint.client;
            beacon.check_genesis().await?;
            let answer = ask(beacon).await;
            if answer.is_err() {
                beacon.doubt();
            }
            answer.map_err(Failed::Endpoint)
        });
        answer.await.map_err(|error| match error {
            NoAnswer::Unavailable(failures) => ConsensusError::Unavailable(failures),
            NoAnswer::Request(never) => match never {},
        })
    }
}

impl ConsensusStatus {
    fn unknown(endpoint: RedactedUrl) -> Self {
        Self {
            endpoint,
            is_syncing: false,
            is_optimistic: false,
            el_offline: false,
            head_slot: None,
            sync_distance: 0,
            error: None,
        }
    }
}

/// A question whose future can move to another thread: of an async closure that borrows, the compiler cannot tell.
fn boxed<T, F>(ask: F) -> F
where
    F: for<'a> Fn(&'a Beacon) -> BoxFuture<'a, Result<T, EndpointFault>>,
{
    ask
}

/// Some nodes refuse to be asked for one twice, and some answer twice.
fn distinct<T: Copy + Ord>(asked: &[T]) -> Vec<T> {
    asked.iter().copied().collect::<BTreeSet<_>>().into_iter().collect()
}

const KEYS_A_REQUEST: usize = 1000;
const INDICES_A_REQUEST: usize = 10_000;
