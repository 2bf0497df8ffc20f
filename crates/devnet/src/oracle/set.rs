//! All oracles of a network: started together, because each must know where the others listen.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use alloy::primitives::Address;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::mpsc, task::JoinSet};

use super::{
    chain::ChainReader,
    exchange::Exchange,
    fault::{Approval, Fault},
    hook::BeforeReply,
    key::OracleKey,
    node::{NodeConfig, NodeOracle, NodeOracleError},
    record::{Record, RecoveredExit},
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
    handles: Vec<OracleHandle>,
    node: Option<(NodeOracle, Address)>,
    before_reply: BeforeReply,
    _tasks: JoinSet<()>,
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
            let peers: Vec<_> = seats.iter().map(Seat::endpoints).collect();
            let config = NodeConfig {
                deployment: &deployment,
                key,
                position: in_rust,
                total,
                peers: &peers,
            };
            let record = Arc::new(Record::default());
            let process = NodeOracle::spawn(&runtime.toolchain, &runtime.directory, config, record.clone()).await?;
            let control = Control::Process(process.faults.clone());
            node_handle = Some(OracleHandle::new(key, vec![process.endpoint.clone()], record, control));
            node = Some((process, key.address()));
        }
        let node_endpoint = node.as_ref().map(|(process, _)| vec![process.endpoint.clone()]);
        let all: Vec<_> = seats.iter().map(Seat::endpoints).chain(node_endpoint).collect();
        let before_reply = BeforeReply::default();
        let mut tasks = JoinSet::new();
        let mut handles = Vec::new();
        for (position, seat) in seats.into_iter().enumerate() {
            let others = all.iter().enumerate().filter(|(other, _)| *other != position);
            let rpc = Rpc::new(client.clone(), deployment.execution_url.clone());
            let oracle = Oracle {
                key: seat.key.clone(),
                position,
                total,
                deployment: deployment.clone(),
                client: client.clone(),
                chain: ChainReader::new(rpc, deployment.clone()),
                exchange: Exchange::new(client.clone(), others.map(|(_, peer)| peer.clone()).collect()),
                record: Arc::default(),
                fault: Arc::default(),
                hook: before_reply.clone(),
                next: Next {
                    key: keys.get((position + 1) % total).unwrap_or(&seat.key).clone(),
                    endpoint: all
                        .get((position + 1) % total)
                        .and_then(|peer| peer.first())
                        .cloned()
                        .unwrap_or_default(),
                },
            };
            handles.push(seat.serve(oracle, &mut tasks));
        }
        handles.extend(node_handle);
        Ok(Self {
            deployment,
            handles,
            node,
            before_reply,
            _tasks: tasks,
        })
    }

    /// The oracles in the order of the config, the Node oracle last.
    pub fn handles(&self) -> &[OracleHandle] {
        &self.handles
    }

    /// The Node oracle's address, if there is one.
    pub fn node_address(&self) -> Option<Address> {
        self.node.as_ref().map(|(_, address)| *address)
    }

    /// The moment before the Rust oracles answer.
    pub fn before_reply(&self) -> &BeforeReply {
        &self.before_reply
    }

    /// The protocol config that names these oracles (original-v1, 5.3; live-protocol, C.4).
    pub fn protocol_config(&self) -> Value {
        let oracles: Vec<Value> = self
            .handles
            .iter()
            .map(|oracle| json!({ "public_key": oracle.public_key(), "endpoints": oracle.endpoints() }))
            .collect();
        json!({
            "oracles": oracles,
            "exit_signature_recover_threshold": self.deployment.recover_threshold,
            "signature_validity_period": self.deployment.signature_validity_period,
            "validators_approval_batch_limit": self.deployment.validators_approval_batch_limit,
            "validators_exit_rotation_batch_limit": 100,
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

/// An oracle as tests see it.
#[derive(Debug, Clone)]
pub struct OracleHandle {
    address: Address,
    public_key: String,
    endpoints: Vec<String>,
    record: Arc<Record>,
    control: Control,
}

/// How a fault reaches an oracle.
#[derive(Debug, Clone)]
enum Control {
    Task {
        fault: Arc<Mutex<Fault>>,
        doors: Vec<Arc<Door>>,
    },
    Process(mpsc::UnboundedSender<Fault>),
}

impl OracleHandle {
    fn new(key: &OracleKey, endpoints: Vec<String>, record: Arc<Record>, control: Control) -> Self {
        Self {
            address: key.address(),
            public_key: key.public_key(),
            endpoints,
            record,
            control,
        }
    }

    /// The address the Keeper knows it by.
    pub fn address(&self) -> Address {
        self.address
    }

    /// Its public key as in the protocol config.
    pub fn public_key(&self) -> &str {
        &self.public_key
    }

    /// Its replicas.
    pub fn endpoints(&self) -> &[String] {
        &self.endpoints
    }

    /// The bodies of the requests it got, also of those it refused.
    pub fn requests(&self) -> Vec<String> {
        self.record.read(|record| record.requests.clone())
    }

    /// What it approved.
    pub fn approvals(&self) -> Vec<Approval> {
        self.record.read(|record| record.approvals.clone())
    }

    /// The reasons it gave for its refusals.
    pub fn refusals(&self) -> Vec<String> {
        self.record.read(|record| record.refusals.clone())
    }

    /// The exit signatures it recovered.
    pub fn recovered_exits(&self) -> Vec<RecoveredExit> {
        self.record.read(|record| record.exits.clone())
    }

    /// Makes it misbehave from the next request on. The Node oracle knows `None`, `Down` and `Refuse`, a moment later.
    pub fn set_fault(&self, fault: Fault) {
        match &self.control {
            Control::Task { fault: current, doors } => {
                doors.iter().for_each(|door| door.set_closed(fault == Fault::Down));
                *current.lock().unwrap_or_else(PoisonError::into_inner) = fault;
            }
            // The process is gone only when the whole set is.
            Control::Process(faults) => drop(faults.send(fault)),
        }
    }

    /// Closes or opens one of its endpoints, by its place among [`OracleHandle::endpoints`]. The Node oracle has only
    /// one: use [`Fault::Down`] there.
    pub fn set_endpoint_down(&self, endpoint: usize, down: bool) {
        if let Control::Task { doors, .. } = &self.control
            && let Some(door) = doors.get(endpoint)
        {
            door.set_closed(down);
        }
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
