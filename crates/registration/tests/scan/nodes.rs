//! A chain with a deposit contract, and the nodes that tell of it, truly or not.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use axum::{Json, Router, body::Bytes, extract::State, http::StatusCode, response::IntoResponse};
use rand_core::{CryptoRng, UnwrapErr};
use serde_json::{Value, json};
use sw_chain_client::{
    ConsensusClient, ConsensusOptions, DepositEvent, DepositTotals, ExecutionClient, ExecutionError, ExecutionOptions,
    Snapshot, fold_deposits,
};
use sw_ipfs::{GatewayOptions, Gateways};
use sw_keys::SecretKey;
use sw_registration::{DutyError, Metrics, NetworkValidators, NetworkView, Quarantine, ScanDeposits, WhyNot};
use sw_spec::{
    Address, B256, DepositMessage, DepositTree, Gwei, Network, NetworkSpec, PublicKeyBytes, RedactedUrl,
    WithdrawalCredentials,
};
use sw_store::ValidatorIndex;

pub const VAULT: Address = Address::repeat_byte(0x77);

/// What is true. All nodes see the same one.
#[derive(Clone, Default)]
pub struct Chain {
    pub head: u64,
    pub finalized: u64,
    pub deposits: Vec<DepositEvent>,
    /// Blocks from this one on have other hashes since the last reorganisation.
    pub forked_from: Option<u64>,
    /// Where the contract keeps its branch and its count.
    pub layout: (u64, u64),
}

/// What a node does to the deposits before it tells of them.
type Lie = Arc<dyn Fn(&mut Vec<DepositEvent>) + Send + Sync>;

/// What one node makes of it.
#[derive(Clone)]
pub struct Telling {
    /// The longest range of logs that is served, and the block from which on none is.
    pub longest: u64,
    pub broken_from: u64,
    /// The block before which there is no state any more.
    pub state_from: u64,
    pub lie: Option<Lie>,
    pub asked_for_logs: usize,
}

#[derive(Clone)]
pub struct Node {
    pub url: RedactedUrl,
    chain: Arc<Mutex<Chain>>,
    telling: Arc<Mutex<Telling>>,
}

impl Chain {
    pub fn hash(&self, number: u64) -> B256 {
        let mut hash = B256::left_padding_from(&number.to_be_bytes());
        if self.forked_from.is_some_and(|from| number >= from) {
            hash.0[0] = 0xf0;
        }
        hash
    }

    /// Adds a deposit with the next index.
    pub fn deposit(&mut self, block: u64, key: u8, to: B256, signed: bool) -> &mut Self {
        self.deposits
            .push(deposit(block, self.deposits.len() as u64, key, to, signed));
        self
    }

    pub fn tree(&self, block: u64) -> DepositTree {
        let mut tree = DepositTree::new();
        let up_to: Vec<_> = self
            .deposits
            .iter()
            .filter(|deposit| deposit.block <= block)
            .cloned()
            .collect();
        fold_deposits(&mut tree, &up_to).unwrap();
        tree
    }

    pub fn totals(&self) -> DepositTotals {
        DepositTotals::from(&self.tree(self.head))
    }

    fn storage(&self, slot: u64, block: u64) -> B256 {
        let tree = self.tree(block);
        let word = |number: u64| B256::left_padding_from(&number.to_be_bytes());
        if slot == self.layout.1 {
            return word(tree.count());
        }
        let Some(level) = slot.checked_sub(self.layout.0).filter(|level| *level < 32) else {
            return word(1);
        };
        let at = 8 + 32 * usize::try_from(level).unwrap();
        let node = B256::from_slice(&tree.to_bytes()[at..at + 32]);
        // What is no longer needed stays in the storage.
        if node.is_zero() { B256::repeat_byte(0xee) } else { node }
    }
}

impl Telling {
    fn answer(&mut self, chain: &Chain, request: &Value) -> Result<Value, StatusCode> {
        let hex = |text: &Value| u64::from_str_radix(text.as_str().unwrap().strip_prefix("0x").unwrap(), 16).unwrap();
        let params = &request["params"];
        let block = |number: u64| json!({"number": format!("{number:#x}"), "hash": chain.hash(number), "timestamp": "0x1", "baseFeePerGas": "0x7"});
        let at = |pin: &Value| {
            let hash: B256 = pin["blockHash"].as_str().unwrap().parse().unwrap();
            let number = u64::from_be_bytes(hash.0[24..].try_into().unwrap());
            let known = number >= self.state_from && chain.hash(number) == hash;
            known.then_some(number).ok_or(StatusCode::INTERNAL_SERVER_ERROR)
        };
        Ok(match request["method"].as_str().unwrap() {
            "eth_chainId" => json!("0x1"),
            "eth_syncing" => json!(false),
            "eth_getBlockByNumber" => block(chain.head),
            "eth_call" => {
                let totals = DepositTotals::from(&chain.tree(at(&params[1])?));
                match params[0]["data"].as_str().unwrap() {
                    "0xc5f2892f" => json!(totals.root),
                    "0x621fd130" => json!(format!(
                        "0x{:064x}{:064x}{:0<64}",
                        32,
                        8,
                        hex::encode(totals.count.to_le_bytes())
                    )),
                    data => panic!("{data}"),
                }
            }
            "eth_getStorageAt" => json!(chain.storage(hex(&params[1]), at(&params[2])?)),
            "eth_getLogs" => {
                self.asked_for_logs += 1;
                let (from, to) = (hex(&params[0]["fromBlock"]), hex(&params[0]["toBlock"]));
                if to - from >= self.longest || to >= self.broken_from {
                    return Err(StatusCode::INTERNAL_SERVER_ERROR);
                }
                let mut told = chain.deposits.clone();
                if let Some(lie) = &self.lie {
                    lie(&mut told);
                }
                let within = (0_u64..)
                    .zip(&told)
                    .filter(|(_, deposit)| (from..=to).contains(&deposit.block));
                within
                    .map(|(place, deposit)| {
                        json!({
                            "address": params[0]["address"], "topics": params[0]["topics"][0], "data": log_data(deposit),
                            "blockNumber": format!("{:#x}", deposit.block), "blockHash": chain.hash(deposit.block),
                            "transactionHash": deposit.transaction, "logIndex": format!("{place:#x}"),
                        })
                    })
                    .collect()
            }
            method => panic!("{method}"),
        })
    }
}

/// The transaction of the deposit of this index.
pub fn transaction(index: u64) -> B256 {
    B256::left_padding_from(&(0xdddd_0000 + index).to_be_bytes())
}

/// A deposit of 32 ETH by key number `key`.
pub fn deposit(block: u64, index: u64, key: u8, to: B256, signed: bool) -> DepositEvent {
    let secret = SecretKey::from_bytes(&[key; 32]).unwrap();
    let message = DepositMessage {
        public_key: public_key(key),
        withdrawal_credentials: WithdrawalCredentials(to),
        amount: Gwei(32_000_000_000),
    };
    let root = if signed {
        message.signing_root(network().genesis_fork_version)
    } else {
        B256::ZERO
    };
    DepositEvent {
        public_key: message.public_key,
        withdrawal_credentials: to,
        amount: message.amount,
        signature: secret.sign(&root).to_bytes(),
        index,
        block,
        transaction: transaction(index),
    }
}

pub fn public_key(key: u8) -> PublicKeyBytes {
    SecretKey::from_bytes(&[key; 32]).unwrap().public_key().to_bytes()
}

pub fn ours() -> B256 {
    WithdrawalCredentials::execution(VAULT).0
}

fn log_data(deposit: &DepositEvent) -> String {
    let members = [
        deposit.public_key.0.to_vec(),
        deposit.withdrawal_credentials.to_vec(),
        deposit.amount.0.to_le_bytes().to_vec(),
        deposit.signature.0.to_vec(),
        deposit.index.to_le_bytes().to_vec(),
    ];
    let word = |number: usize| format!("{number:064x}");
    let (mut heads, mut tails) = (String::new(), String::new());
    for member in members {
        heads.push_str(&word(32 * 5 + tails.len() / 2));
        tails.push_str(&word(member.len()));
        let padded = member.len().next_multiple_of(32);
        tails.push_str(&format!("{:0<width$}", hex::encode(member), width = 2 * padded));
    }
    format!("0x{heads}{tails}")
}

async fn handle(State(node): State<Node>, body: Bytes) -> axum::response::Response {
    let chain = node.chain.lock().unwrap().clone();
    if body.is_empty() {
        let payload = json!({
            "block_number": chain.finalized.to_string(), "block_hash": chain.hash(chain.finalized), "timestamp": "1",
        });
        let message = json!({"slot": "1", "body": {"execution_payload": payload}});
        return Json(json!({"data": {"message": message}})).into_response();
    }
    let request: Value = serde_json::from_slice(&body).unwrap();
    match node.telling.lock().unwrap().answer(&chain, &request) {
        Ok(result) => Json(json!({"jsonrpc": "2.0", "id": request["id"], "result": result})).into_response(),
        Err(status) => status.into_response(),
    }
}

pub struct Scene {
    pub chain: Arc<Mutex<Chain>>,
    pub nodes: Vec<Node>,
    pub execution: ExecutionClient,
    consensus: ConsensusClient,
    directory: tempfile::TempDir,
    pub network: NetworkSpec,
    pub metrics: Arc<Metrics>,
}

impl Scene {
    /// A chain up to `head`, `finalized` up to there, and one honest node for each of `nodes`, the preferred one first.
    pub async fn new(head: u64, finalized: u64, nodes: usize) -> Self {
        let chain = Arc::new(Mutex::new(Chain {
            head,
            finalized,
            layout: (0, 32),
            ..Chain::default()
        }));
        let mut served = Vec::new();
        for _ in 0..nodes {
            served.push(serve(&chain).await);
        }
        let urls: Vec<RedactedUrl> = served.iter().map(|node| node.url.clone()).collect();
        let options = ExecutionOptions {
            retry_budget: Duration::from_secs(10),
            ..ExecutionOptions::default()
        };
        Self {
            chain,
            execution: ExecutionClient::new(http_client(), urls.clone(), options),
            consensus: ConsensusClient::new(http_client(), urls[..1].to_vec(), ConsensusOptions::default()),
            nodes: served,
            directory: tempfile::tempdir().unwrap(),
            network: network(),
            metrics: Arc::new(Metrics::new("sw_operator", "mainnet", "0")),
        }
    }

    pub fn chain(&self) -> MutexGuard<'_, Chain> {
        self.chain.lock().unwrap()
    }

    pub fn node(&self, number: usize) -> MutexGuard<'_, Telling> {
        self.nodes[number].telling.lock().unwrap()
    }

    pub fn lies(&self, node: usize, lie: impl Fn(&mut Vec<DepositEvent>) + Send + Sync + 'static) {
        self.node(node).lie = Some(Arc::new(lie));
    }

    pub fn path(&self) -> PathBuf {
        self.directory.path().join("operator.db")
    }

    pub fn database(&self) -> ValidatorIndex {
        ValidatorIndex::open(&self.path(), &self.network.name).unwrap()
    }

    /// As after a start: nothing is known but what the database holds. Keys 1 to 3 are the vault's.
    pub fn validators(&self) -> NetworkValidators {
        let quarantine = Quarantine::new(VAULT, [1, 2, 3].map(public_key), Arc::clone(&self.metrics));
        NetworkValidators::new(self.database(), self.network.clone(), quarantine, random)
    }

    pub fn duty(&self, validators: &NetworkValidators) -> ScanDeposits {
        let gateways = Gateways::new(http_client(), Vec::new(), GatewayOptions::default());
        ScanDeposits::new(
            validators.clone(),
            self.execution.clone(),
            self.consensus.clone(),
            Arc::new(gateways),
            Arc::clone(&self.metrics),
        )
    }

    pub async fn snapshot(&self) -> Snapshot {
        self.execution.head().await.unwrap()
    }

    /// What a decision is based on now, for the keys of the vault.
    pub async fn view(&self, validators: &NetworkValidators) -> Result<Result<NetworkView, WhyNot>, DutyError> {
        let (snapshot, totals) = (self.snapshot().await, self.chain().totals());
        validators.view(&snapshot, &[1, 2, 3].map(public_key), totals).await
    }
}

async fn serve(chain: &Arc<Mutex<Chain>>) -> Node {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let node = Node {
        url: format!("http://{}", listener.local_addr().unwrap()).parse().unwrap(),
        chain: Arc::clone(chain),
        telling: Arc::new(Mutex::new(Telling {
            longest: u64::MAX,
            broken_from: u64::MAX,
            state_from: 0,
            lie: None,
            asked_for_logs: 0,
        })),
    };
    let router = Router::new().fallback(handle).with_state(node.clone());
    #[expect(clippy::disallowed_methods, reason = "a test's server ends with its runtime")]
    tokio::spawn(async move { axum::serve(listener, router).await });
    node
}

fn http_client() -> reqwest::Client {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .build()
        .unwrap()
}

pub fn network() -> NetworkSpec {
    let mut network = Network::Mainnet.spec();
    network.contracts.deposit_contract_block = 0;
    network.validators_dump = None;
    network
}

fn random() -> Box<dyn CryptoRng + Send> {
    Box::new(UnwrapErr(getrandom::SysRng))
}

/// The endpoint whose logs were found out.
pub fn liar(error: &DutyError) -> Option<String> {
    match error {
        DutyError::Execution { source, .. } => match &**source {
            ExecutionError::ForgedLogs { endpoint, .. } => Some(endpoint.to_string()),
            _ => None,
        },
        _ => None,
    }
}
