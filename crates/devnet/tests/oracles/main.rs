//! The oracles on their own: what they approve, what they refuse and in which words, the Rust and the Node ones alike.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what it expects by failing"
)]

mod approvals;
mod chain;
mod ecies_vector;
mod faults;
mod kit;
mod on_devnet;
mod refusals;
mod rotation;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use alloy::primitives::{Address, B256, FixedBytes};
use futures::future::join_all;
use serde_json::Value;
use sw_devnet::{
    Deployment,
    http::loopback_client,
    ipfs::Gateway,
    oracle::{NodeRuntime, OracleHandle, OracleKey, OracleSet, OracleSetConfig},
    toolchain::{Toolchain, default_cache},
};
use tokio::task::JoinSet;

use crate::{
    chain::{ChainState, FORK_VERSION, SharedChain},
    kit::{DEPOSIT_GWEI, DepositData, Draft, ValidatorKey},
};

const VAULT: Address = Address::repeat_byte(0xab);
const NOW: u64 = 1_800_000_000;
const VALIDITY: u64 = 600;
/// Oracles: the last one runs on Node.
const ORACLES: usize = 5;
const NODE: usize = ORACLES - 1;
const RECOVER_THRESHOLD: usize = 3;
const BATCH_LIMIT: usize = 3;
/// Distinct keys that the chain's history has a valid deposit for.
const FOREIGN_KEYS: u64 = 2;
/// The deposit data index the vault is at.
const NEXT_KEY: usize = 1;

/// Five oracles over a chain of answers, with a vault whose second key is next.
struct Network {
    chain: SharedChain,
    gateway: Gateway,
    oracles: OracleSet,
    keys: Vec<OracleKey>,
    deployment: Deployment,
    data: DepositData,
    client: reqwest::Client,
    _tasks: JoinSet<()>,
    _directory: tempfile::TempDir,
}

async fn toolchain() -> Toolchain {
    Toolchain::prepare(&default_cache()).await.unwrap()
}

impl Network {
    async fn start() -> Self {
        let data = DepositData::new(VAULT, 6, FORK_VERSION);
        let mut chain = ChainState::default();
        chain.timestamp = NOW;
        chain.data_roots.insert(VAULT, data.root());
        chain.data_indexes.insert(VAULT, NEXT_KEY as u64);
        chain.deposit(&ValidatorKey::new("foreign 0"), DEPOSIT_GWEI, true);
        chain.deposit(&ValidatorKey::new("foreign 0"), 1_000_000_000, true);
        chain.deposit(&ValidatorKey::new("nobody"), DEPOSIT_GWEI, false);
        chain.deposit(&ValidatorKey::new("foreign 1"), DEPOSIT_GWEI, true);
        let chain = Arc::new(Mutex::new(chain));
        let mut tasks = JoinSet::new();
        let gateway = Gateway::start().await.unwrap();
        let deployment = Deployment {
            chain_id: 31_999,
            execution_url: chain::start(chain.clone(), &mut tasks).await,
            consensus_url: String::new(),
            ipfs_url: gateway.handle().url().to_owned(),
            genesis_time: NOW - 100,
            slots_per_epoch: 4,
            seconds_per_slot: 1,
            genesis_validators_root: B256::repeat_byte(0x42),
            genesis_fork_version: FORK_VERSION,
            capella_fork_version: FixedBytes([0x40, 0x00, 0x09, 0x99]),
            capella_epoch: 3,
            keeper: chain::KEEPER,
            deposit_contract: Address::repeat_byte(2),
            deposit_data_registry: Address::repeat_byte(3),
            vaults_registry: Address::repeat_byte(4),
            shared_mev_escrow: Address::repeat_byte(5),
            multicall: Address::repeat_byte(6),
            deploy_block: 0,
            validators_threshold: 4,
            recover_threshold: RECOVER_THRESHOLD,
            signature_validity_period: VALIDITY,
            validators_approval_batch_limit: BATCH_LIMIT,
            validators_exit_rotation_batch_limit: BATCH_LIMIT,
        };
        let directory = tempfile::tempdir().unwrap();
        let keys: Vec<_> = (0..ORACLES).map(OracleKey::of_devnet).collect();
        let config = OracleSetConfig {
            deployment: deployment.clone(),
            keys: keys.clone(),
            replicas: vec![2],
            node: Some(NodeRuntime {
                toolchain: toolchain().await,
                directory: directory.path().to_owned(),
            }),
        };
        let oracles = OracleSet::start(config).await.unwrap();
        let client = loopback_client(Duration::from_secs(30)).unwrap();
        Self {
            chain,
            gateway,
            oracles,
            keys,
            deployment,
            data,
            client,
            _tasks: tasks,
            _directory: directory,
        }
    }

    /// A good request for keys of the vault's deposit data.
    fn draft(&self, indexes: impl IntoIterator<Item = usize>) -> Draft<'_> {
        let deposit_root = self.chain.lock().unwrap().deposit_root;
        Draft {
            deployment: &self.deployment,
            data: &self.data,
            oracles: &self.keys,
            vault: VAULT,
            indexes: indexes.into_iter().collect(),
            validator_index: FOREIGN_KEYS,
            deposit_root,
            deadline: NOW + VALIDITY,
        }
    }

    /// Asks all oracles at once; an oracle that does not answer gives status 0.
    async fn ask(&self, request: &Value) -> Vec<Answer> {
        let body = request.to_string();
        join_all(
            self.oracles
                .handles()
                .iter()
                .map(|oracle| self.ask_one(&oracle.endpoints()[0], body.clone())),
        )
        .await
    }

    async fn ask_one(&self, endpoint: &str, body: String) -> Answer {
        let sent = self
            .client
            .post(endpoint)
            .header("content-type", "application/json")
            .body(body)
            .send()
            .await;
        match sent {
            Ok(response) => Answer {
                status: response.status().as_u16(),
                body: response.json().await.unwrap(),
            },
            Err(_) => Answer {
                status: 0,
                body: Value::Null,
            },
        }
    }

    fn handle(&self, position: usize) -> OracleHandle {
        self.oracles.handles().swap_remove(position)
    }
}

#[derive(Debug, Clone, PartialEq)]
struct Answer {
    status: u16,
    body: Value,
}

impl Answer {
    fn cid(&self) -> &str {
        assert_eq!(self.status, 200, "{}", self.body);
        self.body["ipfs_hash"].as_str().unwrap()
    }

    fn detail(&self) -> &str {
        assert_eq!(self.status, 400, "{}", self.body);
        self.body["detail"].as_str().unwrap()
    }
}

/// All of them approved, and the same document, which is returned.
fn all_approve(answers: &[Answer]) -> &str {
    let cid = answers[0].cid();
    assert!(answers.iter().all(|answer| answer.cid() == cid), "{answers:?}");
    cid
}
