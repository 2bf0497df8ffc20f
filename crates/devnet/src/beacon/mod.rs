//! A Beacon API over the execution chain: slots are block times, validators are what the deposit contract's events make.
//!
//! It holds to the consensus rules that an operator and its oracles meet: a deposit counts when its BLS signature is
//! valid, indexes follow the first valid deposits, an epoch is final two epochs later, and an exit is what
//! `process_voluntary_exit` takes. It words its answers as the client that it is told to be.

mod api;
mod client;
mod clock;
mod exits;
mod life;
mod liveness;
mod registry;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use alloy_primitives::{Address, B256, FixedBytes};
use tokio::{sync::Mutex, task::JoinSet};

use crate::{
    door::Door,
    http::HttpError,
    proxy::{Rules, wire},
    rpc::Rpc,
};

pub use client::BeaconClient;
pub use exits::AcceptedExit;

/// The constants of the beacon chain.
#[derive(Debug, Clone)]
pub struct BeaconConfig {
    /// The execution chain id.
    pub chain_id: u64,
    /// Unix time of slot 0.
    pub genesis_time: u64,
    /// Slots of an epoch.
    pub slots_per_epoch: u64,
    /// Seconds of a slot.
    pub seconds_per_slot: u64,
    /// `genesis_validators_root`.
    pub genesis_validators_root: B256,
    /// The fork version deposits are signed under.
    pub genesis_fork_version: FixedBytes<4>,
    /// The fork version exits are signed under.
    pub capella_fork_version: FixedBytes<4>,
    /// The epoch of the Capella fork, and of those after it.
    pub capella_epoch: u64,
    /// The fork version of Deneb.
    pub deneb_fork_version: FixedBytes<4>,
    /// The fork version of Electra, the present fork.
    pub electra_fork_version: FixedBytes<4>,
    /// Epochs that a validator must have been active for before it may leave; 256 on mainnet.
    pub shard_committee_period: u64,
    /// `MAX_SEED_LOOKAHEAD`: a validator leaves this many epochs, and one, after the epoch of the block that holds its exit; 4 on
    /// mainnet.
    pub max_seed_lookahead: u64,
    /// Epochs from the exit until the stake can be paid out; 256 on mainnet.
    pub min_validator_withdrawability_delay: u64,
    /// Epochs from a slashing until the stake can be paid out, at least; 8,192 on mainnet.
    pub epochs_per_slashings_vector: u64,
    /// The deposit contract.
    pub deposit_contract: Address,
    /// The block it was deployed in.
    pub deploy_block: u64,
}

/// The running Beacon API; it ends when this is dropped.
#[derive(Debug)]
pub struct BeaconNode {
    url: String,
    shared: Arc<Shared>,
    rules: Arc<Rules>,
    door: Arc<Door>,
    _tasks: JoinSet<()>,
}

#[derive(Debug)]
struct Shared {
    config: BeaconConfig,
    rpc: Rpc,
    registry: Mutex<registry::Registry>,
    exits: std::sync::Mutex<exits::Exits>,
    client: std::sync::Mutex<BeaconClient>,
    old: AtomicBool,
    syncing: AtomicBool,
    optimistic: AtomicBool,
    execution_offline: AtomicBool,
    liveness: liveness::Liveness,
    /// Validators that are said to be in another state of life than they are.
    statuses: std::sync::Mutex<BTreeMap<FixedBytes<48>, &'static str>>,
}

impl BeaconNode {
    /// Starts the Beacon API of the chain behind `rpc` on a free port of loopback.
    ///
    /// # Errors
    ///
    /// There is no port to listen on.
    pub async fn start(config: BeaconConfig, rpc: Rpc) -> Result<Self, HttpError> {
        let shared = Arc::new(Shared {
            config,
            rpc,
            registry: Mutex::default(),
            exits: std::sync::Mutex::default(),
            client: std::sync::Mutex::default(),
            old: AtomicBool::new(false),
            syncing: AtomicBool::new(false),
            optimistic: AtomicBool::new(false),
            execution_offline: AtomicBool::new(false),
            liveness: liveness::Liveness::default(),
            statuses: std::sync::Mutex::default(),
        });
        let (rules, door) = (Arc::<Rules>::default(), Arc::<Door>::default());
        let mut tasks = JoinSet::new();
        let url = wire::serve_spoiled(api::router(Arc::clone(&shared)), &rules, &door, &mut tasks).await?;
        Ok(Self {
            url,
            shared,
            rules,
            door,
            _tasks: tasks,
        })
    }

    /// Where it listens.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its fault script; a rule's method is a part of the path.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Drops every new connection without a word, as if the node were gone, or takes them again.
    pub fn set_down(&self, down: bool) {
        self.door.set_closed(down);
    }

    /// Makes it say that these validators, and no others, have been at work in the last epochs.
    pub fn set_live(&self, public_keys: impl IntoIterator<Item = FixedBytes<48>>) {
        self.shared.liveness.set_live(public_keys);
    }

    /// Makes it keep no track of who is at work, as nodes that are not told to do, or keep it again.
    pub fn set_tracks_liveness(&self, tracks: bool) {
        self.shared.liveness.set_tracked(tracks);
    }

    /// Makes it answer as this client does, from now on; it is the same node. Lighthouse at the start.
    pub fn set_client(&self, client: BeaconClient) {
        *self.shared.client.lock().unwrap_or_else(PoisonError::into_inner) = client;
    }

    /// Makes it answer as versions of 2021 to 2023 did, or as present ones again: validators cannot be asked for with POST, nothing
    /// says `execution_optimistic`, `finalized`, `is_optimistic` or `el_offline`, and some errors have other bodies.
    pub fn set_old(&self, old: bool) {
        self.shared.old.store(old, Ordering::SeqCst);
    }

    /// The exits that it has taken, in order; those of before a change of client too.
    pub fn exits(&self) -> Vec<AcceptedExit> {
        self.shared.exits().accepted()
    }

    /// Why it refused exits, in order, in its own words.
    pub fn refused_exits(&self) -> Vec<String> {
        self.shared.exits().refused()
    }

    /// Slashes a validator: it leaves, from the block that is newest when the node is next asked.
    pub fn set_slashed(&self, public_key: FixedBytes<48>) {
        self.shared.exits().slash(public_key);
    }

    /// Makes these validators, and no others, wait for a partial withdrawal (EIP-7251): they may not leave.
    pub fn set_pending_withdrawals(&self, public_keys: impl IntoIterator<Item = FixedBytes<48>>) {
        self.shared.exits().set_pending_withdrawals(public_keys);
    }

    /// Makes it say that a validator is in this state of life, such as `exited_unslashed`, with epochs that fit, or tell the
    /// truth again.
    pub fn set_status(&self, public_key: FixedBytes<48>, status: Option<&'static str>) {
        let mut statuses = self.shared.statuses.lock().unwrap_or_else(PoisonError::into_inner);
        match status {
            Some(status) => statuses.insert(public_key, status),
            None => statuses.remove(&public_key),
        };
    }

    /// Makes it say that it is still syncing, or no longer.
    pub fn set_syncing(&self, syncing: bool) {
        self.shared.syncing.store(syncing, Ordering::SeqCst);
    }

    /// Makes it say that its execution node has not verified the newest blocks, or has again.
    pub fn set_optimistic(&self, optimistic: bool) {
        self.shared.optimistic.store(optimistic, Ordering::SeqCst);
    }

    /// Makes it say that it has no execution node, or has one again.
    pub fn set_execution_offline(&self, offline: bool) {
        self.shared.execution_offline.store(offline, Ordering::SeqCst);
    }
}

impl Shared {
    fn client(&self) -> BeaconClient {
        *self.client.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_old(&self) -> bool {
        self.old.load(Ordering::SeqCst)
    }

    fn is_optimistic(&self) -> bool {
        self.optimistic.load(Ordering::SeqCst)
    }

    fn is_execution_offline(&self) -> bool {
        self.execution_offline.load(Ordering::SeqCst)
    }

    fn claimed_status(&self, public_key: &FixedBytes<48>) -> Option<&'static str> {
        let statuses = self.statuses.lock().unwrap_or_else(PoisonError::into_inner);
        statuses.get(public_key).copied()
    }
}
