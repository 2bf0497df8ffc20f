//! The wallet among endpoints that keep transactions to themselves, make up receipts, or have not come so far.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code"
)]

#[path = "support/chain.rs"]
mod chain;
mod support;

use std::{sync::Arc, time::Duration};

use alloy::{consensus::TxEnvelope, eips::eip2718::Decodable2718};
use chain::{Chain, Fault, LIMITS, Scene, Shared, calldata, node, wallet, wallet_of_quorum};
use serde_json::{Value, json};
use support::{HEAD, Node, Reply, block_hash};
use sw_chain_client::{Bytes, Call, ExecutionError, HotWallet, SendError, SentTx, Step};

async fn send(wallet: &HotWallet, kind: &str) -> Result<SentTx, SendError> {
    let call = Call::new(sw_chain_client::Address::repeat_byte(9), calldata(kind));
    wallet.send(kind, &[], &call).await
}

/// A node that answers some calls in its own way, all others as the chain is.
async fn apart(chain: &Shared, own: impl Fn(&str, &Value) -> Option<Reply> + Send + Sync + 'static) -> Node {
    let chain = Arc::clone(chain);
    Node::json_rpc(move |method, params| {
        own(method, params).unwrap_or_else(|| chain.lock().unwrap().answer(method, params))
    })
    .await
}

/// Takes every transaction, says that it has it, and passes none on.
fn keeps(method: &str, params: &Value) -> Option<Reply> {
    match method {
        "eth_sendRawTransaction" => {
            let raw: Bytes = params[0].as_str().unwrap().parse().unwrap();
            let transaction = TxEnvelope::decode_2718(&mut raw.as_ref()).unwrap();
            Some(Reply::Result(json!(transaction.tx_hash())))
        }
        "eth_getTransactionByHash" => Some(Reply::Result(json!({"hash": params[0]}))),
        _ => None,
    }
}

#[tokio::test]
async fn what_one_endpoint_keeps_to_itself_the_others_get_too() {
    let chain = Chain::new();
    let (liar, honest) = (apart(&chain, keeps).await, node(&chain).await);
    let directory = tempfile::tempdir().unwrap();
    let wallet = wallet(&[&liar, &honest], &directory.path().join("journal"), LIMITS);
    let sent = send(&wallet, "register").await.unwrap();
    assert_eq!(chain.lock().unwrap().waiting.get(&0), Some(&sent.hash));
    chain.lock().unwrap().mine();
    assert!(wallet.wait_mined(&sent, Duration::from_secs(5)).await.unwrap().success);
}

#[tokio::test]
async fn an_endpoint_that_does_not_answer_changes_nothing_of_what_another_has_taken() {
    let chain = Chain::new();
    let silent = |method: &str, _: &Value| {
        let never = || Reply::Slow(Duration::from_secs(3600), Box::new(Reply::Endless));
        (method == "eth_sendRawTransaction").then(never)
    };
    let (silent, honest) = (apart(&chain, silent).await, node(&chain).await);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("journal");
    let wallet = wallet(&[&silent, &honest], &path, LIMITS);
    let sent = send(&wallet, "register").await.unwrap();
    assert_eq!(silent.count("eth_sendRawTransaction"), 1);
    assert_eq!(chain.lock().unwrap().waiting.get(&0), Some(&sent.hash));
}

#[tokio::test]
async fn what_waits_for_long_is_handed_to_those_that_may_not_have_heard_of_it() {
    let chain = Chain::new();
    let (liar, honest) = (apart(&chain, keeps).await, node(&chain).await);
    let directory = tempfile::tempdir().unwrap();
    let wallet = wallet(&[&liar, &honest], &directory.path().join("journal"), LIMITS);
    chain.lock().unwrap().fault = Fault::Reject;
    let sent = send(&wallet, "register").await.unwrap();
    chain.lock().unwrap().fault = Fault::None;
    for _ in 0..3 {
        chain.lock().unwrap().pass(1);
        wallet.tend("register", true).await.unwrap();
        assert!(chain.lock().unwrap().waiting.is_empty(), "it has some time");
    }
    chain.lock().unwrap().pass(1);
    let waiting = wallet.tend("register", true).await.unwrap().waiting.unwrap();
    assert_eq!((waiting.hash, waiting.step), (sent.hash, Step::Waits));
    assert_eq!(chain.lock().unwrap().waiting.get(&0), Some(&sent.hash));
    wallet.tend("register", true).await.unwrap();
    chain.lock().unwrap().mine();
    let tended = wallet.tend("register", true).await.unwrap();
    assert_eq!((tended.mined.len(), tended.refused), (1, None));
}

#[tokio::test]
async fn a_made_up_receipt_holds_up_nothing_once_its_author_is_gone() {
    for block in [0, HEAD, HEAD + 1_000_000] {
        let chain = Chain::new();
        let forges = move |method: &str, params: &Value| {
            let receipt = || {
                Reply::Result(json!({
                    "transactionHash": params[0], "blockNumber": format!("{block:#x}"), "blockHash": block_hash(block),
                    "status": "0x1", "gasUsed": "0x5208",
                }))
            };
            (method == "eth_getTransactionReceipt").then(receipt)
        };
        let (honest, liar) = (node(&chain).await, apart(&chain, forges).await);
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        let both = wallet(&[&honest, &liar], &path, LIMITS);
        let sent = send(&both, "register").await.unwrap();
        let believed = both.wait_mined(&sent, Duration::from_secs(5)).await.unwrap();
        assert_eq!(believed.block, block);
        drop(both);

        let honest = wallet(&[&honest], &path, LIMITS);
        let waiting = honest.tend("register", true).await.unwrap().waiting;
        assert_eq!(waiting.map(|waiting| waiting.hash), Some(sent.hash), "block {block}");
        chain.lock().unwrap().mine();
        assert_eq!(
            honest.tend("register", true).await.unwrap().waiting,
            None,
            "block {block}"
        );
        assert_eq!(send(&honest, "register").await.unwrap().nonce, 1, "block {block}");
    }
}

#[tokio::test]
async fn a_node_that_is_behind_the_block_of_a_transaction_does_not_get_it_cancelled() {
    let scene = Scene::new().await;
    scene.send("register").await.unwrap();
    scene.chain().lag = 1;
    scene.chain().useless.insert(calldata("register"));
    for useful in [true, false] {
        let tended = scene.wallet.tend("register", useful).await.unwrap();
        assert_eq!(tended.waiting.unwrap().step, Step::Waits);
    }
    assert_eq!(scene.chain().attempts, 1);
    scene.chain().lag = 0;
    assert_eq!(scene.tend("register").await.waiting.unwrap().step, Step::Cancelled);
}

#[tokio::test]
async fn what_a_hidden_transaction_keeps_out_offers_more_until_it_gets_in() {
    let scene = Scene::new().await;
    let hidden = scene.send("register").await.unwrap();
    scene.chain().hides = true;
    scene.chain().useless.insert(calldata("register"));
    assert_eq!(scene.tend("register").await.waiting, None, "it is given up");
    scene.chain().useless.clear();
    scene.chain().tips = json!([["0x3b9aca00"]]);
    let error = scene.send("register").await.unwrap_err();
    assert!(
        error.to_string().contains("replacement transaction underpriced"),
        "{error}"
    );
    let replaced = loop {
        let waiting = scene.tend("register").await.waiting.unwrap();
        if waiting.step == Step::Replaced {
            break waiting.hash;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(scene.chain().attempts < 20, "it is tried in vain");
    };
    assert_eq!(scene.chain().waiting.get(&hidden.nonce), Some(&replaced));
}

#[tokio::test]
async fn a_receipt_that_too_few_confirm_is_not_taken_for_another_operator() {
    let chain = Chain::new();
    let has_none = |method: &str, _: &Value| {
        let nothing = || Reply::Result(Value::Null);
        (method == "eth_getTransactionReceipt").then(nothing)
    };
    let (good, forgetful) = (node(&chain).await, apart(&chain, has_none).await);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("journal");
    let both = wallet_of_quorum(2, &[&good, &forgetful], &path, LIMITS);
    send(&both, "register").await.unwrap();
    chain.lock().unwrap().mine();
    let error = both.reconcile().await.unwrap_err();
    let SendError::Execution(ExecutionError::NoQuorum { what, .. }) = &error else {
        panic!("{error:?}")
    };
    assert_eq!((*what, error.is_retryable()), ("eth_getTransactionReceipt", true));
    drop(both);
    let healed = node(&chain).await;
    let both = wallet_of_quorum(2, &[&good, &healed], &path, LIMITS);
    assert_eq!(both.reconcile().await.unwrap(), []);
    chain.lock().unwrap().mine_foreign();
    let error = both.reconcile().await.unwrap_err();
    assert!(matches!(error, SendError::AnotherOperator { nonce: 1, .. }), "{error}");
}

#[tokio::test]
async fn one_endpoint_that_counts_transactions_nobody_else_knows_accuses_nobody() {
    let chain = Chain::new();
    let counts = |method: &str, params: &Value| {
        let at_a_block = method == "eth_getTransactionCount" && params[1].is_object();
        at_a_block.then(|| Reply::Result(json!("0x7")))
    };
    let (liar, honest) = (apart(&chain, counts).await, node(&chain).await);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("journal");
    let alone = wallet(&[&honest], &path, LIMITS);
    let sent = send(&alone, "register").await.unwrap();
    chain.lock().unwrap().mine();
    alone.wait_mined(&sent, Duration::from_secs(5)).await.unwrap();
    drop(alone);

    let both = wallet(&[&liar, &honest], &path, LIMITS);
    let error = send(&both, "harvest").await.unwrap_err();
    assert!(
        matches!(&error, SendError::Execution(ExecutionError::NoQuorum { .. })) && error.is_retryable(),
        "{error}"
    );
    let sent = send(&both, "harvest").await.unwrap();
    assert_eq!(sent.nonce, 1, "the liar rests");
    chain.lock().unwrap().mine();
    both.wait_mined(&sent, Duration::from_secs(5)).await.unwrap();

    chain.lock().unwrap().mine_foreign();
    let error = send(&both, "register").await.unwrap_err();
    assert!(matches!(error, SendError::AnotherOperator { nonce: 2, .. }), "{error}");
}
