//! Execution endpoints one of which lies: with a quorum of two nothing is decided on its word.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code"
)]

mod support;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use alloy::{
    consensus::{Transaction, TxEnvelope},
    eips::eip2718::Decodable2718,
};
use futures::future::join_all;
use serde_json::{Value, json};
use support::{HEAD, Node, Reply, block, block_hash, execution_with, healthy, options};
use sw_chain_client::{
    Address, B256, Bytes, Call, ExecutionClient, ExecutionError, FeeLimits, HotWallet, Journal, SimulateError, U256,
    WaitError,
};
use zeroize::Zeroizing;

const GWEI: u128 = 1_000_000_000;
const NONCE: u64 = 5;
const GAS: u64 = 300_000;
const BALANCE: u64 = 1_000_000_000_000_000_000;

/// What is true: the wallet has sent `NONCE` transactions, and one more may be mined.
#[derive(Default)]
struct Chain {
    arrived: Vec<TxEnvelope>,
    mined: bool,
}

type Shared = Arc<Mutex<Chain>>;

fn hex(number: u64) -> Value {
    json!(format!("{number:#x}"))
}

fn receipt(hash: &Value, block: u64) -> Value {
    json!({
        "transactionHash": hash, "blockNumber": hex(block), "blockHash": block_hash(block), "status": "0x1", "gasUsed": "0x5208",
    })
}

/// A call whose data begins with 1 succeeds, any other reverts.
fn call(succeeds: bool) -> Call {
    Call::new(Address::repeat_byte(9), Bytes::from(vec![u8::from(succeeds); 4]))
}

fn succeeds(params: &Value) -> bool {
    params[0]["data"]
        .as_str()
        .or(params[0]["input"].as_str())
        .unwrap()
        .starts_with("0x01")
}

fn reverted() -> Reply {
    Reply::Error(3, "execution reverted", json!("0x4ca88867"))
}

fn honest(chain: &Shared, method: &str, params: &Value) -> Reply {
    let mut chain = chain.lock().unwrap();
    let ours = |hash: &Value| chain.arrived.iter().any(|arrived| json!(arrived.tx_hash()) == *hash);
    match method {
        "eth_getTransactionCount" if params[1] == "pending" => {
            Reply::Result(hex(NONCE + u64::from(!chain.arrived.is_empty())))
        }
        "eth_getTransactionCount" => Reply::Result(hex(NONCE + u64::from(chain.mined))),
        "eth_call" if succeeds(params) => Reply::Result(json!("0x01")),
        "eth_estimateGas" if succeeds(params) => Reply::Result(hex(GAS)),
        "eth_call" | "eth_estimateGas" => reverted(),
        "eth_feeHistory" => Reply::Result(json!({"oldestBlock": "0x1", "reward": [["0x3b9aca00"]]})),
        "eth_getTransactionReceipt" if chain.mined && ours(&params[0]) => Reply::Result(receipt(&params[0], HEAD)),
        "eth_getTransactionByHash" if ours(&params[0]) => Reply::Result(json!({"hash": params[0]})),
        "eth_getTransactionReceipt" | "eth_getTransactionByHash" => Reply::Result(Value::Null),
        "eth_sendRawTransaction" => {
            let raw: Bytes = params[0].as_str().unwrap().parse().unwrap();
            let transaction = TxEnvelope::decode_2718(&mut raw.as_ref()).unwrap();
            let hash = *transaction.tx_hash();
            chain.arrived.push(transaction);
            Reply::Result(json!(hash))
        }
        _ => healthy(method, params),
    }
}

/// What one of the endpoints lies about.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Lie {
    Chain,
    Syncing,
    OtherBlock,
    FarAhead,
    FarBehind,
    BaseFee,
    Poor,
    Rich,
    MoreSent,
    LessSent,
    Calls,
    LittleGas,
    MuchGas,
    NoRevert,
    Tips,
    Mined,
    NotMined,
    Unknown,
    Taken,
}

const LIES: [Lie; 19] = {
    use Lie::*;
    [
        Chain, Syncing, OtherBlock, FarAhead, FarBehind, BaseFee, Poor, Rich, MoreSent, LessSent, Calls, LittleGas,
        MuchGas, NoRevert, Tips, Mined, NotMined, Unknown, Taken,
    ]
};

fn lie(lie: Lie, chain: &Shared, method: &str, params: &Value) -> Reply {
    let forged = |name: &str, value: Value| {
        let number = params[0].as_str().unwrap();
        let number = number
            .strip_prefix("0x")
            .map_or(HEAD, |hex| u64::from_str_radix(hex, 16).unwrap());
        let mut block = block(number);
        block[name] = value;
        Reply::Result(block)
    };
    match (lie, method) {
        (Lie::Chain, "eth_chainId") => Reply::Result(json!("0x1")),
        (Lie::Syncing, "eth_syncing") => Reply::Result(json!({"currentBlock": "0x1"})),
        (Lie::OtherBlock, "eth_getBlockByNumber") => forged("hash", json!(B256::repeat_byte(0xbb))),
        (Lie::BaseFee, "eth_getBlockByNumber") => forged("baseFeePerGas", json!("0x1")),
        (Lie::FarAhead, "eth_getBlockByNumber") => Reply::Result(block(HEAD + 1_000_000)),
        (Lie::FarBehind, "eth_getBlockByNumber") => Reply::Result(block(HEAD - 1000)),
        (Lie::Poor, "eth_getBalance") => Reply::Result(json!("0x0")),
        (Lie::Rich, "eth_getBalance") => Reply::Result(json!(U256::MAX)),
        (Lie::MoreSent, "eth_getTransactionCount") => Reply::Result(hex(NONCE + 7)),
        (Lie::LessSent, "eth_getTransactionCount") => Reply::Result(hex(0)),
        (Lie::Calls, "eth_call") if succeeds(params) => reverted(),
        (Lie::Calls, "eth_call") => Reply::Result(json!("0x01")),
        (Lie::LittleGas, "eth_estimateGas") => Reply::Result(hex(21_000)),
        (Lie::MuchGas, "eth_estimateGas") => Reply::Result(hex(30_000_000_000_000)),
        (Lie::NoRevert, "eth_estimateGas") => Reply::Result(hex(GAS)),
        (Lie::Tips, "eth_feeHistory") => Reply::Result(json!({"oldestBlock": "0x1", "reward": [["0xffffffffffffff"]]})),
        (Lie::Mined, "eth_getTransactionReceipt") => Reply::Result(receipt(&params[0], HEAD)),
        (Lie::NotMined, "eth_getTransactionReceipt") => Reply::Result(Value::Null),
        (Lie::Unknown, "eth_getTransactionReceipt" | "eth_getTransactionByHash") => Reply::Result(Value::Null),
        (Lie::Taken, "eth_sendRawTransaction") => {
            let raw: Bytes = params[0].as_str().unwrap().parse().unwrap();
            let transaction = TxEnvelope::decode_2718(&mut raw.as_ref()).unwrap();
            Reply::Result(json!(transaction.tx_hash()))
        }
        _ => honest(chain, method, params),
    }
}

async fn three_nodes(chain: &Shared, liar: usize, what: Lie) -> Vec<Node> {
    join_all((0..3).map(|place| {
        let chain = Arc::clone(chain);
        Node::json_rpc(move |method, params| {
            if place == liar {
                lie(what, &chain, method, params)
            } else {
                honest(&chain, method, params)
            }
        })
    }))
    .await
}

fn client(nodes: &[Node], quorum: usize) -> ExecutionClient {
    let mut options = options();
    options.quorum = quorum;
    options.retry_budget = Duration::from_secs(20);
    execution_with(&nodes.iter().collect::<Vec<_>>(), options)
}

/// Makes the decisions of a registration while one endpoint of three lies.
async fn registers(liar: usize, what: Lie) {
    let chain = Shared::default();
    let nodes = three_nodes(&chain, liar, what).await;
    let client = client(&nodes, 2);
    let case = format!("{what:?} at {liar}");

    let snapshot = client.head().await.expect(&case);
    assert_eq!(
        (snapshot.block().number, snapshot.block().hash),
        (HEAD, block_hash(HEAD)),
        "{case}"
    );
    assert_eq!(snapshot.block().base_fee_per_gas, 2 * GWEI, "{case}");
    let directory = tempfile::tempdir().unwrap();
    let journal = Journal::open(&directory.path().join("journal")).unwrap();
    let limits = FeeLimits {
        max_fee_per_gas: 10 * GWEI,
        min_priority_fee: 0,
    };
    let wallet = HotWallet::new(
        client.clone(),
        Zeroizing::new([7; 32]),
        1337,
        journal,
        limits,
        Duration::from_secs(12),
    )
    .unwrap();
    let address = wallet.address();
    assert_eq!(
        snapshot.balance(address).await.expect(&case),
        U256::from(BALANCE),
        "{case}"
    );
    snapshot.simulate(address, &call(true)).await.expect(&case);
    let refused = snapshot.simulate(address, &call(false)).await;
    assert!(
        matches!(refused, Err(SimulateError::Reverted { .. })),
        "{case}: {refused:?}"
    );
    assert!(wallet.reconcile().await.expect(&case).is_empty(), "{case}");

    wallet.send("register", &[], &call(false)).await.expect_err(&case);
    assert!(
        chain.lock().unwrap().arrived.is_empty(),
        "{case}: what reverts was sent"
    );
    let sent = match wallet.send("register", &[], &call(true)).await {
        // It is first in order, and only one is asked what gas costs: it can keep us waiting, up to the limit.
        Err(error) if what == Lie::Tips && liar == 0 => {
            assert!(error.to_string().contains("gas"), "{case}: {error}");
            return;
        }
        sent => sent.expect(&case),
    };
    assert_eq!(sent.nonce, NONCE, "{case}");
    assert!((GAS..2 * GAS).contains(&sent.gas_limit), "{case}: {}", sent.gas_limit);
    assert!(sent.fees.max_fee_per_gas <= limits.max_fee_per_gas, "{case}");
    let early = wallet.wait_mined(&sent, Duration::from_millis(300)).await;
    assert!(matches!(early, Err(WaitError::NotMined { .. })), "{case}: {early:?}");
    chain.lock().unwrap().mined = true;
    let mined = wallet.wait_mined(&sent, Duration::from_secs(5)).await;
    assert!(mined.expect(&case).success, "{case}");
    let arrived = &chain.lock().unwrap().arrived;
    assert!(arrived.iter().all(|sent| sent.nonce() == NONCE), "{case}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_transaction_is_wasted_on_the_word_of_one_liar_of_three() {
    let cases = LIES.iter().flat_map(|lie| (0..3).map(|liar| registers(liar, *lie)));
    assert_eq!(join_all(cases).await.len(), 57);
}

#[tokio::test]
async fn two_of_two_that_disagree_are_waited_for_and_named() {
    let chain = Shared::default();
    let nodes = three_nodes(&chain, 0, Lie::Calls).await;
    let both = client(&nodes[..2], 2);
    let snapshot = both.head().await.unwrap();
    let error = snapshot.simulate(Address::ZERO, &call(true)).await.unwrap_err();
    let SimulateError::Execution(error @ ExecutionError::NoQuorum { .. }) = error else {
        panic!("{error:?}")
    };
    assert!(error.is_retryable());
    let expected = format!(
        "fewer than 2 execution endpoints agree on eth_call: {} against {}",
        nodes[0].url, nodes[1].url
    );
    assert_eq!(error.to_string(), expected);
}

#[tokio::test]
async fn one_of_two_that_is_down_is_waited_for_and_named() {
    let chain = Shared::default();
    let good = three_nodes(&chain, 3, Lie::Chain).await;
    let mut options = options();
    options.quorum = 2;
    let dead = "http://127.0.0.1:1".parse().unwrap();
    let client = ExecutionClient::new(support::http_client(), vec![good[0].url.clone(), dead], options);
    let error = client.head().await.err().unwrap().to_string();
    assert!(
        error.starts_with("fewer than 2 execution endpoints agree on the newest block: "),
        "{error}"
    );
    assert!(error.contains("http://127.0.0.1:1: cannot connect"), "{error}");
}

#[tokio::test]
async fn an_outvoted_endpoint_is_set_aside() {
    let chain = Shared::default();
    let nodes = three_nodes(&chain, 0, Lie::Rich).await;
    let client = client(&nodes, 2);
    let snapshot = client.head().await.unwrap();
    assert_eq!(snapshot.endpoint(), &nodes[0].url);
    assert_eq!(snapshot.balance(Address::ZERO).await.unwrap(), U256::from(BALANCE));
    let asked = nodes[0].asked().len();
    assert_eq!(client.head().await.unwrap().endpoint(), &nodes[1].url);
    assert_eq!(nodes[0].asked().len(), asked, "it rests");
}

#[tokio::test]
async fn without_a_quorum_the_first_endpoint_is_believed_and_nobody_else_asked() {
    let chain = Shared::default();
    let nodes = three_nodes(&chain, 0, Lie::Poor).await;
    let snapshot = client(&nodes, 1).head().await.unwrap();
    assert_eq!(snapshot.balance(Address::ZERO).await.unwrap(), U256::ZERO);
    snapshot.simulate(Address::ZERO, &call(true)).await.unwrap();
    assert!(nodes[1].asked().is_empty() && nodes[2].asked().is_empty());
}
