//! A chain of one account, as strict with transactions as geth is, behind one scripted node.
#![allow(dead_code, reason = "each test file uses its part")]

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use alloy::{
    consensus::{Transaction, TxEnvelope},
    eips::eip2718::Decodable2718,
};
use serde_json::{Value, json};
use sw_chain_client::{
    Address, B256, Bytes, Call, FeeLimits, HotWallet, Journal, JournalEntry, SendError, SentTx, Tended,
};
use sw_spec::PublicKeyBytes;
use zeroize::Zeroizing;

use crate::support::{self, HEAD, Node, Reply, block_hash, error, execution_with, healthy, options};

pub const GWEI: u128 = 1_000_000_000;
pub const LIMITS: FeeLimits = FeeLimits {
    max_fee_per_gas: 10 * GWEI,
    min_priority_fee: 0,
};
const KEY: [u8; 32] = [7; 32];
/// Pauses after refusals are counted in these: long enough for a busy machine to see them.
pub const SLOT: Duration = Duration::from_millis(500);

/// What goes wrong with `eth_sendRawTransaction`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    None,
    /// The transaction arrives, its reply does not.
    LoseReply,
    /// Neither arrives.
    LoseRequest,
    /// The transaction arrives, and the node says that it knew it.
    AlreadyKnown,
    /// The transaction arrives and is mined at once, and the node says that its nonce is used.
    NonceTooLow,
    /// The node says that it knows it, and does not.
    Pretend,
    /// The node does not want it.
    Reject,
}

/// A chain of one account.
#[derive(Debug)]
pub struct Chain {
    pub fault: Fault,
    pub waiting: BTreeMap<u64, B256>,
    pub mined: BTreeMap<u64, (B256, u64)>,
    /// Every transaction that ever arrived, by hash.
    pub arrived: BTreeMap<B256, TxEnvelope>,
    pub foreign_waiting: u64,
    pub head: u64,
    /// Receipts come from a node that is so many blocks ahead of the one that knows the state.
    pub lag: u64,
    pub balance: Value,
    pub base_fee: u128,
    pub estimate: Result<u64, Value>,
    /// Calldata that would revert.
    pub useless: BTreeSet<Bytes>,
    pub tips: Value,
    pub attempts: usize,
    /// Transactions that wait are not shown to those who ask by hash.
    pub hides: bool,
    /// Whether each transaction is mined at once, and in how many blocks.
    pub mines_at_once: Option<u64>,
}

pub type Shared = Arc<Mutex<Chain>>;

impl Chain {
    pub fn new() -> Shared {
        Arc::new(Mutex::new(Self {
            fault: Fault::None,
            waiting: BTreeMap::new(),
            mined: BTreeMap::new(),
            arrived: BTreeMap::new(),
            foreign_waiting: 0,
            head: HEAD,
            lag: 0,
            balance: json!("0xde0b6b3a7640000"),
            base_fee: 2 * GWEI,
            estimate: Ok(100_000),
            useless: BTreeSet::new(),
            tips: json!([["0x3b9aca00"], ["0xb2d05e00"]]),
            attempts: 0,
            hides: false,
            mines_at_once: None,
        }))
    }

    pub fn nonce(&self) -> u64 {
        self.mined.keys().next_back().map_or(0, |last| last + 1)
    }

    /// A block with everything that pays its base fee.
    pub fn mine(&mut self) {
        self.head += 1;
        while let Some(hash) = self.waiting.get(&self.nonce()).copied() {
            if self.arrived[&hash].max_fee_per_gas() < self.base_fee {
                break;
            }
            self.waiting.remove(&self.nonce());
            self.mined.insert(self.nonce(), (hash, self.head));
        }
    }

    /// Blocks without any of ours.
    pub fn pass(&mut self, blocks: u64) {
        self.head += blocks;
    }

    /// Somebody else's transaction gets into a block.
    pub fn mine_foreign(&mut self) {
        self.head += 1;
        let nonce = self.nonce();
        self.waiting.remove(&nonce);
        self.mined.insert(nonce, (B256::repeat_byte(0xff), self.head));
    }

    /// The latest blocks are not in the chain any more; what was in them is gone, or waits again.
    pub fn reorganise(&mut self, blocks: u64, comes_back: bool) {
        let last = self.head - blocks;
        let gone = self.mined.clone().into_iter().filter(|(_, (_, block))| *block > last);
        for (nonce, (hash, _)) in gone {
            self.mined.remove(&nonce);
            if comes_back {
                self.waiting.insert(nonce, hash);
            }
        }
    }

    pub fn take(&mut self, raw: &Bytes) -> B256 {
        self.judge(raw).unwrap_or_else(|error| panic!("{error}"))
    }

    /// What geth does with a transaction (`core/txpool`): a replacement offers a tenth more of both fees.
    fn judge(&mut self, raw: &Bytes) -> Result<B256, &'static str> {
        let transaction = TxEnvelope::decode_2718(&mut raw.as_ref()).unwrap();
        assert_eq!(transaction.chain_id(), Some(1337));
        assert!(transaction.max_fee_per_gas() <= LIMITS.max_fee_per_gas);
        let (hash, nonce) = (*transaction.tx_hash(), transaction.nonce());
        if nonce < self.nonce() {
            return Err("nonce too low");
        }
        if let Some(held) = self.waiting.get(&nonce) {
            let old = &self.arrived[held];
            let enough = |new: u128, old: u128| new * 10 >= old * 11;
            let tip = |transaction: &TxEnvelope| transaction.max_priority_fee_per_gas().unwrap();
            if *held == hash {
                return Err("already known");
            }
            if !enough(transaction.max_fee_per_gas(), old.max_fee_per_gas()) || !enough(tip(&transaction), tip(old)) {
                return Err("replacement transaction underpriced");
            }
        }
        self.waiting.insert(nonce, hash);
        self.arrived.insert(hash, transaction);
        if let Some(blocks) = self.mines_at_once {
            self.head += blocks;
            self.mine();
        }
        Ok(hash)
    }

    pub fn answer(&mut self, method: &str, params: &Value) -> Reply {
        match method {
            "eth_blockNumber" => Reply::Result(json!(format!("{:#x}", self.head - self.lag))),
            "eth_getBlockByNumber" => {
                let mut block = support::block(self.head - self.lag);
                block["baseFeePerGas"] = json!(format!("{:#x}", self.base_fee));
                Reply::Result(block)
            }
            "eth_getBalance" => Reply::Result(self.balance.clone()),
            "eth_estimateGas" => match &self.estimate {
                Ok(gas) => Reply::Result(json!(format!("{gas:#x}"))),
                Err(data) => Reply::Error(3, "execution reverted", data.clone()),
            },
            "eth_call" => {
                let data: Bytes = params[0]["data"].as_str().unwrap().parse().unwrap();
                if self.useless.contains(&data) {
                    return Reply::Error(3, "execution reverted", json!("0xdf0d12d5"));
                }
                Reply::Result(json!("0x"))
            }
            "eth_feeHistory" => {
                assert_eq!(params, &json!(["0xa", format!("{:#x}", self.head - self.lag), [80]]));
                if self.tips.is_null() {
                    return error(-32601, "the method does not exist");
                }
                Reply::Result(
                    json!({"oldestBlock": "0x1", "baseFeePerGas": ["0x1"], "gasUsedRatio": [0.5], "reward": self.tips}),
                )
            }
            "eth_maxPriorityFeePerGas" => Reply::Result(json!("0x77359400")),
            "eth_getTransactionCount" => {
                let seen = self.head - self.lag;
                let mined = self.mined.values().filter(|(_, block)| *block <= seen).count() as u64;
                let pending = (mined..).find(|nonce| !self.waiting.contains_key(nonce)).unwrap() + self.foreign_waiting;
                Reply::Result(json!(format!(
                    "{:#x}",
                    if params[1] == "pending" { pending } else { mined }
                )))
            }
            "eth_getTransactionReceipt" => {
                let found = self.mined.values().find(|(hash, _)| json!(hash) == params[0]);
                Reply::Result(found.map_or(Value::Null, |(hash, block)| {
                    json!({
                        "transactionHash": hash, "blockNumber": format!("{block:#x}"), "blockHash": block_hash(*block),
                        "status": "0x1", "gasUsed": "0x5208",
                    })
                }))
            }
            "eth_getTransactionByHash" if self.hides => Reply::Result(Value::Null),
            "eth_getTransactionByHash" => {
                let found = self.waiting.values().find(|hash| json!(hash) == params[0]);
                Reply::Result(found.map_or(Value::Null, |hash| json!({"hash": hash})))
            }
            "eth_sendRawTransaction" => self.receive(&params[0].as_str().unwrap().parse().unwrap()),
            _ => healthy(method, params),
        }
    }

    fn receive(&mut self, raw: &Bytes) -> Reply {
        self.attempts += 1;
        match self.fault {
            Fault::LoseRequest => return Reply::Http(502, vec![], String::new()),
            Fault::Reject => return error(-32000, "txpool is full"),
            Fault::Pretend => return error(-32000, "already known"),
            _ => {}
        }
        match (self.judge(raw), self.fault) {
            (Err(refusal), _) => error(-32000, refusal),
            (Ok(_), Fault::LoseReply) => Reply::Cut,
            (Ok(_), Fault::AlreadyKnown) => error(-32000, "already known"),
            (Ok(_), Fault::NonceTooLow) => {
                self.mine();
                error(-32000, "nonce too low: next nonce 1, tx nonce 0")
            }
            (Ok(hash), _) => Reply::Result(json!(hash)),
        }
    }
}

pub async fn node(chain: &Shared) -> Node {
    let chain = Arc::clone(chain);
    Node::json_rpc(move |method, params| chain.lock().unwrap().answer(method, params)).await
}

pub fn wallet(nodes: &[&Node], journal: &Path, limits: FeeLimits) -> HotWallet {
    wallet_of_quorum(1, nodes, journal, limits)
}

pub fn wallet_of_quorum(quorum: usize, nodes: &[&Node], journal: &Path, limits: FeeLimits) -> HotWallet {
    // A node that lost a reply rests for a second: that is waited for.
    let mut patient = options();
    patient.retry_budget = Duration::from_secs(10);
    patient.quorum = quorum;
    let client = execution_with(nodes, patient);
    let journal = Journal::open(journal).unwrap();
    HotWallet::new(client, Zeroizing::new(KEY), 1337, journal, limits, SLOT).unwrap()
}

pub struct Scene {
    pub chain: Shared,
    pub node: Node,
    pub wallet: HotWallet,
    pub directory: tempfile::TempDir,
}

impl Scene {
    pub async fn new() -> Self {
        let chain = Chain::new();
        let node = node(&chain).await;
        let directory = tempfile::tempdir().unwrap();
        let wallet = wallet(&[&node], &directory.path().join("journal"), LIMITS);
        Self {
            chain,
            node,
            wallet,
            directory,
        }
    }

    pub fn chain(&self) -> MutexGuard<'_, Chain> {
        self.chain.lock().unwrap()
    }

    pub async fn send(&self, kind: &str) -> Result<SentTx, SendError> {
        let call = Call::new(Address::repeat_byte(9), calldata(kind));
        self.wallet.send(kind, &[PublicKeyBytes([1; 48])], &call).await
    }

    pub async fn tend(&self, kind: &str) -> Tended {
        self.wallet.tend(kind, true).await.unwrap()
    }

    /// The transaction as it arrived at the node.
    pub fn arrived(&self, hash: B256) -> TxEnvelope {
        self.chain().arrived[&hash].clone()
    }

    /// What the journal says now.
    pub fn journal(&self) -> Vec<JournalEntry> {
        // The file itself is in use.
        let copy = self.directory.path().join("copy");
        std::fs::copy(self.directory.path().join("journal"), &copy).unwrap();
        Journal::open(&copy).unwrap().entries().to_vec()
    }

    /// The operator is killed and started again.
    pub async fn restart(self) -> Self {
        self.restart_with(LIMITS)
    }

    pub fn restart_with(self, limits: FeeLimits) -> Self {
        let Self {
            chain,
            node,
            wallet: old,
            directory,
        } = self;
        drop(old);
        let wallet = wallet(&[&node], &directory.path().join("journal"), limits);
        Self {
            chain,
            node,
            wallet,
            directory,
        }
    }
}

/// The calldata of each kind.
pub fn calldata(kind: &str) -> Bytes {
    match kind {
        "register" => Bytes::from(vec![1, 2, 3]),
        kind => kind.as_bytes().to_vec().into(),
    }
}
