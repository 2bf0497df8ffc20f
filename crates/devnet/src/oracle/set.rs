//! All oracles of a network: started together, and replaced one by one.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use alloy::primitives::Address;
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinSet};

use super::{
    chain::ChainReader,
    documents::Documents,
    exchange::Exchange,
    fault::Fault,
    handle::{Control, OracleHandle},
    hook::BeforeReply,
    key::OracleKey,
    members::{Members, Quorum},
    node::{NodeConfig, NodeOracle, NodeOracleError},
    record::Record,
    server::{Next, Oracle, router},
};
use crate::{
    Deployment,
    door::{Door, listen, serve_on},
    http::{HttpError, loopback_client},
    rpc::Rpc,
    toolchain::Toolchain,
};

/// The oracles did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OracleSetError {
    /// No port, or no HTTP client.
    #[error("cannot start the oracles")]
    Http(#[from] HttpError),
    /// The Node oracle failed.
    #[error(transparent)]
    Node(#[from] NodeOracleError),
    /// Nobody is at a place that somebody is to be replaced at.
    #[error("there is no oracle at place {position}, counted from 0")]
    NoSuchOracle {
        /// The place.
        position: usize,
    },
}

/// How to make the oracles.
#[derive(Debug)]
pub struct OracleSetConfig {
    /// The network they serve, its rules included.
    pub deployment: Deployment,
    /// One key for each oracle, in the order of the config.
    pub keys: Vec<OracleKey>,
    /// How many endpoints each has, in the same order; where the list is too short, one.
    pub replicas: Vec<usize>,
    /// What the Node oracle runs on. With it, the last key is the Node oracle's.
    pub node: Option<NodeRuntime>,
}

/// What the Node oracle runs on.
#[derive(Debug)]
pub struct NodeRuntime {
    /// Node.js and the packages.
    pub toolchain: Toolchain,
    /// Where its config and its log go.
    pub directory: PathBuf,
}

/// The running oracles; they end when this is dropped.
#[derive(Debug)]
pub struct OracleSet {
    deployment: Deployment,
    client: reqwest::Client,
    documents: Arc<Documents>,
    before_reply: BeforeReply,
    state: Mutex<State>,
}

/// Who the oracles are, which changes.
#[derive(Debug)]
struct State {
    handles: Vec<OracleHandle>,
    /// Those that were replaced.
    retired: Vec<OracleHandle>,
    keys: Vec<OracleKey>,
    node: Option<(NodeOracle, Address)>,
    /// How many oracles there ever were.
    ever: usize,
    tasks: JoinSet<()>,
}

/// An oracle that is running and has no place among the others yet.
#[derive(Debug)]
pub struct Newcomer {
    position: usize,
    key: OracleKey,
    handle: OracleHandle,
}

impl Newcomer {
    /// Its address.
    pub fn address(&self) -> Address {
        self.handle.address()
    }
}

impl OracleSet {
    /// Starts all oracles.
    ///
    /// # Errors
    ///
    /// There is no port to listen on, or the Node oracle does not start.
    pub async fn start(config: OracleSetConfig) -> Result<Self, OracleSetError> {
        let OracleSetConfig {
            deployment,
            keys,
            replicas,
            node: runtime,
        } = config;
        let client = loopback_client(REQUEST_TIMEOUT)?;
        let total = keys.len();
        let in_rust = if runtime.is_some() {
            total.saturating_sub(1)
        } else {
            total
        };
        let mut seats = Vec::new();
        for (position, key) in keys.iter().enumerate().take(in_rust) {
            seats.push(Seat::take(key, replicas.get(position).copied().unwrap_or(1).max(1)).await?);
        }
        let mut node = None;
        let mut node_handle = None;
        if let (Some(runtime), Some(key)) = (runtime, keys.get(in_rust)) {
            let oracles: Vec<_> = keys.iter().map(OracleKey::public_key).collect();
            let peers: Vec<_> = seats.iter().map(Seat::endpoints).collect();
            let config = NodeConfig {
                deployment: &deployment,
                key,
                oracles: &oracles,
                peers: &peers,
            };
            let record = Arc::new(Record::default());
            let process = NodeOracle::spawn(&runtime.toolchain, &runtime.directory, config, record.clone()).await?;
            let control = Control::Process(process.faults.clone());
            node_handle = Some(OracleHandle::new(key, vec![process.endpoint.clone()], record, control));
            node = Some((process, key.address()));
        }
        let node_endpoint = node.as_ref().map(|(process, _)| vec![process.endpoint.clone()]);
        let endpoints = seats.iter().map(Seat::endpoints).chain(node_endpoint);
        let all: Vec<(OracleKey, Vec<String>)> = keys.iter().cloned().zip(endpoints).collect();
        let set = Self {
            documents: Arc::new(Documents::new(client.clone(), deployment.ipfs_url.clone())),
            deployment,
            client,
            before_reply: BeforeReply::default(),
            state: Mutex::new(State {
                handles: Vec::new(),
                retired: Vec::new(),
                keys,
                node,
                ever: total,
                tasks: JoinSet::new(),
            }),
        };
        {
            let mut state = set.state();
            for (position, seat) in seats.into_iter().enumerate() {
                let oracle = set.oracle(&seat, position, &all);
                let handle = seat.serve(oracle, &mut state.tasks);
                state.handles.push(handle);
            }
            state.handles.extend(node_handle);
        }
        Ok(set)
    }

    /// The oracle that sits at `position` of `all`, who are known by key and endpoints.
    fn oracle(&self, seat: &Seat, position: usize, all: &[(OracleKey, Vec<String>)]) -> Oracle {
        let rpc = Rpc::new(self.client.clone(), self.deployment.execution_url.clone());
        let others = all.iter().enumerate().filter(|(other, _)| *other != position);
        let at_start = Members {
            quorum: Quorum {
                oracles: all.iter().map(|(key, _)| key.public_key()).collect(),
                exit_signature_recover_threshold: self.deployment.recover_threshold,
            },
            position,
            peers: others.map(|(_, (_, endpoints))| endpoints.clone()).collect(),
            since: 0,
        };
        let next = all.get((position + 1) % all.len());
        Oracle {
            key: seat.key.clone(),
            at_start,
            deployment: self.deployment.clone(),
            client: self.client.clone(),
            chain: ChainReader::new(rpc, self.deployment.clone()),
            documents: self.documents.clone(),
            exchange: Exchange::new(self.client.clone()),
            record: Arc::default(),
            fault: Arc::default(),
            hook: self.before_reply.clone(),
            next: Next {
                key: next.map_or(&seat.key, |(key, _)| key).clone(),
                endpoint: next
                    .and_then(|(_, endpoints)| endpoints.first())
                    .cloned()
                    .unwrap_or_default(),
            },
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts an oracle, with a key that none had before, for the place of another: it is one of the oracles when the
    /// Keeper and a config say so. It has as many endpoints as the other.
    ///
    /// # Errors
    ///
    /// There is no such place, or no port to listen on.
    pub async fn newcomer(&self, position: usize) -> Result<Newcomer, OracleSetError> {
        let handles = self.handles();
        let replaced = handles.get(position).ok_or(OracleSetError::NoSuchOracle { position })?;
        let key = {
            let mut state = self.state();
            state.ever += 1;
            OracleKey::of_devnet(state.ever - 1)
        };
        let seat = Seat::take(&key, replaced.endpoints().len()).await?;
        let mut state = self.state();
        let endpoints = handles.iter().map(|handle| handle.endpoints().to_vec());
        let mut all: Vec<_> = state.keys.iter().cloned().zip(endpoints).collect();
        if let Some(place) = all.get_mut(position) {
            *place = (key.clone(), seat.endpoints());
        }
        let oracle = self.oracle(&seat, position, &all);
        let handle = seat.serve(oracle, &mut state.tasks);
        Ok(Newcomer { position, key, handle })
    }

    /// Gives a newcomer its place; who was there is down from now on.
    pub fn seat(&self, newcomer: Newcomer) {
        let Newcomer { position, key, handle } = newcomer;
        let mut state = self.state();
        let place = state.handles.get_mut(position);
        if let Some(replaced) = place.map(|place| std::mem::replace(place, handle)) {
            replaced.set_fault(Fault::Down);
            state.retired.push(replaced);
        }
        let place = state.keys.get_mut(position);
        let replaced = place.map(|place| std::mem::replace(place, key).address());
        if state.node_address() == replaced {
            state.node = None;
        }
    }

    /// The oracles in the order of the config. The Node oracle is the last, until it is replaced.
    pub fn handles(&self) -> Vec<OracleHandle> {
        self.state().handles.clone()
    }

    /// The oracles that were replaced, in the order in which they were.
    pub fn retired(&self) -> Vec<OracleHandle> {
        self.state().retired.clone()
    }

    /// The keys of the present ones, in their order.
    pub fn keys(&self) -> Vec<OracleKey> {
        self.state().keys.clone()
    }

    /// The Node oracle's address, if there is one.
    pub fn node_address(&self) -> Option<Address> {
        self.state().node_address()
    }

    /// The moment before the Rust oracles answer.
    pub fn before_reply(&self) -> &BeforeReply {
        &self.before_reply
    }

    /// Tells the Rust oracles what a CID stands for that is going to be announced.
    pub(crate) fn know_config(&self, cid: &str, config: &Value) {
        if let Ok(config) = serde_json::from_value(config.clone()) {
            self.documents.know_config(cid, config);
        }
    }

    /// The protocol config with a newcomer at its place.
    pub fn protocol_config_with(&self, newcomer: &Newcomer) -> Value {
        let mut handles = self.handles();
        if let Some(place) = handles.get_mut(newcomer.position) {
            *place = newcomer.handle.clone();
        }
        self.config_of(&handles)
    }

    /// The protocol config that names these oracles (original-v1, 5.3; live-protocol, C.4).
    pub fn protocol_config(&self) -> Value {
        self.config_of(&self.handles())
    }

    fn config_of(&self, handles: &[OracleHandle]) -> Value {
        let oracles: Vec<Value> = handles
            .iter()
            .map(|oracle| json!({ "public_key": oracle.public_key(), "endpoints": oracle.endpoints() }))
            .collect();
        json!({
            "oracles": oracles,
            "exit_signature_recover_threshold": self.deployment.recover_threshold,
            "signature_validity_period": self.deployment.signature_validity_period,
            "validators_approval_batch_limit": self.deployment.validators_approval_batch_limit,
            "validators_exit_rotation_batch_limit": self.deployment.validators_exit_rotation_batch_limit,
            "exit_signature_epoch": self.deployment.capella_epoch,
            "supported_relays": [],
            "vault_max_fee": 1500,
            "validator_min_active_epochs": 256,
            "validators_exit_queued_assets_bps": 500,
            "inactive_validator_balance": "31750000000000000000",
            "until_force_exit_epochs": 3600,
            "validators_consolidation_batch_limit": 100,
            "force_withdrawals_period": 86400,
            "os_token_vaults_exit_limit_bps": 10000,
            "os_token_vaults": [],
            "os_token_redeem_multiplier_bps": 10023,
        })
    }
}

impl State {
    fn node_address(&self) -> Option<Address> {
        self.node.as_ref().map(|(_, address)| *address)
    }
}

/// A key and the ports its oracle is going to serve.
struct Seat {
    key: OracleKey,
    ports: Vec<(TcpListener, String)>,
}

impl Seat {
    async fn take(key: &OracleKey, replicas: usize) -> Result<Self, HttpError> {
        let mut ports = Vec::new();
        for _ in 0..replicas {
            let (listener, address) = listen().await?;
            ports.push((listener, format!("http://{address}")));
        }
        Ok(Self {
            key: key.clone(),
            ports,
        })
    }

    fn endpoints(&self) -> Vec<String> {
        self.ports.iter().map(|(_, endpoint)| endpoint.clone()).collect()
    }

    fn serve(self, oracle: Oracle, tasks: &mut JoinSet<()>) -> OracleHandle {
        let oracle = Arc::new(oracle);
        let mut endpoints = Vec::new();
        let mut doors = Vec::new();
        for (listener, endpoint) in self.ports {
            let door = Arc::new(Door::default());
            serve_on(listener, door.clone(), router(oracle.clone()), tasks);
            endpoints.push(endpoint);
            doors.push(door);
        }
        let control = Control::Task {
            fault: oracle.fault.clone(),
            doors,
        };
        OracleHandle::new(&self.key, endpoints, oracle.record.clone(), control)
    }
}

/// For the chain, the gateway and the other oracles.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
