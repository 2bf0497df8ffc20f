//! Fault scripts, as a client sees them.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sw_devnet::proxy::{Act, Chance, ExecutionProxy, Personality, Rule};

use crate::kit::{Node, hash, number};

const METHOD: &str = "eth_chainId";

async fn answer_with(node: &Node, act: Act) -> Result<reqwest::Response, reqwest::Error> {
    node.proxy.clear();
    node.proxy.push(Rule::always(METHOD, act));
    node.wire.post(METHOD, json!([])).await
}

#[tokio::test]
async fn each_fault_of_a_connection_or_of_http_is_on_the_wire() {
    let node = Node::start().await;
    for act in [Act::LoseReply, Act::LoseRequest, Act::Hang(Duration::from_millis(20))] {
        let error = answer_with(&node, act.clone()).await.unwrap_err();
        assert!(!error.is_timeout(), "{act:?}: {error:?}");
    }
    let busy = Act::Status {
        code: 429,
        retry_after: Some(3),
    };
    let busy = answer_with(&node, busy).await.unwrap();
    assert_eq!(busy.status(), 429);
    assert_eq!(busy.headers()["retry-after"], "3");
    let page = answer_with(&node, Act::Html).await.unwrap();
    assert_eq!(page.status(), 200);
    assert!(page.text().await.unwrap().starts_with("<!DOCTYPE html>"));
    let half = answer_with(&node, Act::Truncated).await.unwrap();
    assert_eq!(half.status(), 200);
    let half = half.text().await.unwrap();
    assert!(
        half.starts_with(r#"{"#) && serde_json::from_str::<Value>(&half).is_err(),
        "{half}"
    );
    let elsewhere = answer_with(&node, Act::Redirect).await.unwrap();
    assert_eq!(elsewhere.status(), 307);
    assert_eq!(elsewhere.headers()["location"], node.anvil.url());

    let other = node.wire.result("eth_blockNumber", json!([])).await;
    assert_eq!(number(&other), 5, "a rule of one method leaves the others alone");
}

#[tokio::test]
async fn a_body_may_have_no_end_or_trickle_or_explode() {
    let node = Node::start().await;
    let mut endless = answer_with(&node, Act::Endless).await.unwrap();
    let mut read = 0;
    while read < 10_000_000 {
        read += endless.chunk().await.unwrap().unwrap().len();
    }
    let bomb = answer_with(&node, Act::GzipBomb).await.unwrap();
    assert_eq!(bomb.headers().get("content-encoding"), None, "the client unpacks it");
    let (mut bomb, mut read) = (bomb, 0);
    while read < 10_000_000 {
        read += bomb.chunk().await.unwrap().unwrap().len();
    }
    let asked = Instant::now();
    let mut trickle = answer_with(&node, Act::Trickle).await.unwrap();
    for _ in 0..2 {
        assert_eq!(trickle.chunk().await.unwrap().unwrap().len(), 1);
    }
    assert!(asked.elapsed() >= Duration::from_secs(2));
}

#[tokio::test]
async fn each_fault_of_json_rpc_is_in_the_answer() {
    let node = Node::start().await;
    let error = Act::RpcError {
        code: -32005,
        message: "limit exceeded".to_owned(),
    };
    let error: Value = answer_with(&node, error).await.unwrap().json().await.unwrap();
    assert_eq!(error["error"], json!({"code": -32005, "message": "limit exceeded"}));
    let other: Value = answer_with(&node, Act::WrongId).await.unwrap().json().await.unwrap();
    assert_eq!(other["id"], 8);
    assert_eq!(number(&other["result"]), crate::kit::CHAIN_ID);
}

#[tokio::test]
async fn a_lost_reply_is_of_a_request_that_was_done_and_a_lost_request_of_one_that_was_not() {
    let node = Node::start().await;
    let wallet = node.wallet().await;
    for (nonce, act) in [(0, Act::LoseReply), (1, Act::LoseRequest)] {
        node.proxy.push(Rule::times(1, "eth_sendRawTransaction", act));
        let raw = wallet.sign(nonce, 10, 1);
        let sent = node.wire.post("eth_sendRawTransaction", json!([raw])).await;
        assert!(sent.is_err());
        let there = node
            .direct
            .result("eth_getTransactionByHash", json!([hash(&raw)]))
            .await;
        assert_eq!(there.is_null(), nonce == 1);
    }
    let passed_on: Vec<_> = node.proxy.handed_in().iter().map(|each| each.passed_on).collect();
    assert_eq!(passed_on, [true, false]);
    assert_eq!(node.proxy.calls()["eth_sendRawTransaction"], 2);
}

#[tokio::test]
async fn a_node_that_is_behind_has_no_newer_block_and_nothing_in_it() {
    let node = Node::start().await;
    let wallet = node.wallet().await;
    let raw = wallet.sign(0, 10, 1);
    node.wire.send(&raw).await;
    node.direct.result("anvil_mine", json!(["0x3"])).await;
    node.proxy.push(Rule::everything(Act::Behind(3)));
    assert_eq!(node.wire.head().await, 5);
    let latest = node.wire.result("eth_getBlockByNumber", json!(["latest", false])).await;
    assert_eq!(number(&latest["number"]), 5);
    let newer = node
        .direct
        .result("eth_getBlockByNumber", json!(["latest", false]))
        .await;
    assert_eq!(
        node.wire.result("eth_getBlockByNumber", json!(["0x6", false])).await,
        Value::Null
    );
    assert_eq!(
        node.wire
            .result("eth_getBlockByHash", json!([newer["hash"], false]))
            .await,
        Value::Null
    );
    let count = json!([wallet.address(), "latest"]);
    assert_eq!(node.wire.result("eth_getTransactionCount", count).await, "0x0");
    assert_eq!(
        node.wire.result("eth_getTransactionReceipt", json!([hash(&raw)])).await,
        Value::Null
    );
    let transaction = node.wire.result("eth_getTransactionByHash", json!([hash(&raw)])).await;
    assert_eq!(transaction["blockNumber"], Value::Null);
    let logs = json!([{"fromBlock": "0x0", "toBlock": "0x6"}]);
    let refusal = node.wire.refusal("eth_getLogs", logs).await;
    assert_eq!(refusal, "block range extends beyond current head block");
    let at_newer = json!([wallet.address(), {"blockHash": newer["hash"]}]);
    let refusal = node.wire.refusal("eth_getBalance", at_newer).await;
    assert_eq!(refusal, "header for hash not found");
}

#[tokio::test]
async fn the_same_seed_strikes_the_same_requests() {
    let node = Node::start().await;
    let strikes = async |seed| {
        node.proxy.clear();
        node.proxy.rules().seed(seed);
        node.proxy.push(Rule {
            chance: Chance::OneIn(4),
            ..Rule::always(METHOD, Act::Html)
        });
        let mut struck = Vec::new();
        for _ in 0..64 {
            let answer = node.wire.post(METHOD, json!([])).await.unwrap();
            struck.push(answer.text().await.unwrap().starts_with('<'));
        }
        struck
    };
    let first = strikes(1).await;
    assert_eq!(strikes(1).await, first);
    assert_ne!(strikes(2).await, first);
    let count = first.iter().filter(|struck| **struck).count();
    assert!((4..=32).contains(&count), "{count} of 64");
}

#[tokio::test]
async fn a_provider_gives_ten_blocks_of_logs_and_five_answers_a_second() {
    let node = Node::start().await;
    node.direct.result("anvil_mine", json!(["0x20"])).await;
    node.proxy.set_personality(Personality {
        log_range: Some(10),
        calls_per_second: Some(5),
    });
    let logs = |to: &str| json!([{"fromBlock": "0x1", "toBlock": to}]);
    assert_eq!(node.wire.result("eth_getLogs", logs("0xa")).await, json!([]));
    let refusal = node.wire.refusal("eth_getLogs", logs("0xb")).await;
    assert!(refusal.contains("up to a 10 block range"), "{refusal}");
    let mut busy = 0;
    for _ in 0..50 {
        let answer = node.wire.post(METHOD, json!([])).await.unwrap();
        if answer.status() == 429 {
            assert_eq!(answer.headers()["retry-after"], "1");
            busy += 1;
        }
    }
    assert!(busy > 0, "fifty requests in a row were all answered");
    assert_eq!(node.proxy.too_many(), busy);
}

#[tokio::test]
async fn a_second_endpoint_of_the_same_node_has_faults_of_its_own() {
    let node = Node::start().await;
    let second: ExecutionProxy = node.proxy.beside().await.unwrap();
    let wire = crate::kit::Wire::to(second.url());
    second.push(Rule::everything(Act::Html));
    assert!(
        wire.post(METHOD, json!([]))
            .await
            .unwrap()
            .text()
            .await
            .unwrap()
            .starts_with('<')
    );
    node.wire.result(METHOD, json!([])).await;
    second.clear();
    let wallet = node.wallet().await;
    let raw = wallet.sign(0, 10, 1);
    assert_eq!(wire.send(&raw).await["result"], hash(&raw));
    assert_eq!(node.wire.send(&raw).await["error"]["message"], "already known");
    assert_eq!((node.proxy.handed_in().len(), second.handed_in().len()), (1, 1));
    second.set_down(true);
    let fresh = crate::kit::Wire::to(second.url());
    assert!(fresh.post(METHOD, json!([])).await.is_err());
}
