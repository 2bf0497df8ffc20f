//! What anvil would take and geth does not.

use serde_json::{Value, json};

use crate::kit::{GWEI, Node, hash, number};

#[tokio::test]
async fn a_replacement_has_to_pay_a_tenth_more_of_both_fees() {
    let node = Node::start().await;
    let wallet = node.wallet().await;
    let first = wallet.sign(0, 100, 10);
    assert_eq!(node.wire.send(&first).await["result"], hash(&first));
    for (cap, tip) in [(105, 11), (109, 11), (111, 10), (100, 11), (110, 10), (99, 9)] {
        let refused = node.wire.send(&wallet.sign(0, cap, tip)).await;
        assert_eq!(
            refused["error"]["message"], "replacement transaction underpriced",
            "{cap} and {tip}"
        );
    }
    let second = wallet.sign(0, 110, 11);
    assert_eq!(node.wire.send(&second).await["result"], hash(&second));
    node.direct.result("evm_mine", json!([])).await;
    let receipt = node
        .wire
        .result("eth_getTransactionReceipt", json!([hash(&second)]))
        .await;
    assert_eq!(receipt["status"], "0x1");
    assert_eq!(
        node.wire
            .result("eth_getTransactionReceipt", json!([hash(&first)]))
            .await,
        Value::Null
    );
    let handed_in = node.proxy.handed_in();
    assert_eq!(handed_in.len(), 8);
    let last = handed_in.last().unwrap();
    assert_eq!((last.from, last.nonce), (wallet.address(), 0));
    assert_eq!(
        (last.max_fee_per_gas, last.max_priority_fee_per_gas),
        (110 * GWEI, 11 * GWEI)
    );
    let passed_on: Vec<_> = handed_in
        .iter()
        .filter(|each| each.passed_on)
        .map(|each| &each.raw)
        .collect();
    assert_eq!(passed_on, [&first, &second]);
}

#[tokio::test]
async fn a_transaction_is_known_while_it_waits_and_its_nonce_too_low_once_it_is_mined() {
    let node = Node::start().await;
    let wallet = node.wallet().await;
    let raw = wallet.sign(0, 10, 1);
    node.wire.send(&raw).await;
    assert_eq!(node.wire.send(&raw).await["error"]["message"], "already known");
    node.direct.result("evm_mine", json!([])).await;
    for late in [&raw, &wallet.sign(0, 50, 5)] {
        let refused = node.wire.send(late).await;
        assert_eq!(refused["error"]["code"], -32000);
        assert_eq!(refused["error"]["message"], "nonce too low: next nonce 1, tx nonce 0");
    }
}

#[tokio::test]
async fn what_cannot_pay_or_run_is_refused() {
    let node = Node::start().await;
    let wallet = node.wallet().await;
    let refusal = async |raw| {
        let answer = node.wire.send(&raw).await;
        answer["error"]["message"]
            .as_str()
            .map(str::to_owned)
            .unwrap_or_default()
    };
    let short = refusal(wallet.sign_with(0, |tx| tx.gas_limit = 20_999)).await;
    assert_eq!(short, "intrinsic gas too low: gas 20999, minimum needed 21000");
    let data = refusal(wallet.sign_with(0, |tx| tx.input = vec![1; 100].into())).await;
    assert_eq!(data, "intrinsic gas too low: gas 21000, minimum needed 25000");
    let tip = refusal(wallet.sign(0, 1, 2)).await;
    assert_eq!(tip, "max priority fee per gas higher than max fee per gas");
    let free = refusal(wallet.sign(0, 1, 0)).await;
    assert_eq!(
        free,
        "transaction gas price below minimum: gas tip cap 0, minimum needed 1"
    );
    let poor = refusal(wallet.sign_with(0, |tx| tx.max_fee_per_gas = 1_000_000 * GWEI)).await;
    assert!(
        poor.starts_with("insufficient funds for gas * price + value: balance "),
        "{poor}"
    );
    let large = refusal(wallet.sign_with(0, |tx| tx.gas_limit = 300_000_001)).await;
    assert_eq!(large, "exceeds block gas limit");
    let foreign = refusal(wallet.sign_with(0, |tx| tx.chain_id = 1)).await;
    assert_eq!(foreign, "invalid sender");
    assert!(node.proxy.handed_in().iter().all(|each| !each.passed_on));
}

#[tokio::test]
async fn logs_past_the_head_and_ranges_that_run_backwards_are_refused() {
    let node = Node::start().await;
    let head = node.wire.head().await;
    let logs = |from: u64, to: u64| json!([{"fromBlock": format!("{from:#x}"), "toBlock": format!("{to:#x}")}]);
    assert_eq!(node.wire.result("eth_getLogs", logs(0, head)).await, json!([]));
    let past = node.wire.refusal("eth_getLogs", logs(0, head + 1)).await;
    assert_eq!(past, "block range extends beyond current head block");
    let backwards = node.wire.refusal("eth_getLogs", logs(2, 1)).await;
    assert_eq!(backwards, "invalid block range params");
    let unknown = json!([{"blockHash": format!("0x{:064x}", 1)}]);
    assert_eq!(node.wire.refusal("eth_getLogs", unknown).await, "unknown block");
}

#[tokio::test]
async fn state_is_answered_only_at_blocks_that_are_there_and_canonical() {
    let node = Node::start().await;
    let account = node.wallet().await.address();
    let unknown = json!([account, {"blockHash": format!("0x{:064x}", 1)}]);
    assert_eq!(
        node.wire.refusal("eth_getBalance", unknown).await,
        "header for hash not found"
    );
    let future = json!([account, format!("{:#x}", node.wire.head().await + 1)]);
    assert_eq!(node.wire.refusal("eth_getBalance", future).await, "header not found");
    let block = node.wire.result("eth_getBlockByNumber", json!(["latest", false])).await;
    let at = json!([account, {"blockHash": block["hash"], "requireCanonical": true}]);
    assert_eq!(node.wire.result("eth_getBalance", at).await, "0xde0b6b3a7640000");
}

#[tokio::test]
async fn a_transaction_below_the_base_fee_waits_until_the_fee_has_come_down() {
    let node = Node::start().await;
    let wallet = node.wallet().await;
    let dear = json!([format!("{:#x}", 50 * GWEI)]);
    node.direct
        .result("anvil_setNextBlockBaseFeePerGas", dear.clone())
        .await;
    let raw = wallet.sign(0, 10, 1);
    assert_eq!(node.wire.send(&raw).await["result"], hash(&raw));
    node.direct.result("evm_mine", json!([])).await;
    let pending = node.wire.result("eth_getTransactionByHash", json!([hash(&raw)])).await;
    assert_eq!(pending["blockNumber"], Value::Null);
    assert_eq!(pending["hash"], hash(&raw));
    assert_eq!(number(&pending["nonce"]), 0);
    let count = |tag: &str| json!([wallet.address(), tag]);
    assert_eq!(
        node.wire.result("eth_getTransactionCount", count("pending")).await,
        "0x1"
    );
    assert_eq!(
        node.wire.result("eth_getTransactionCount", count("latest")).await,
        "0x0"
    );

    let cheap = json!([format!("{GWEI:#x}")]);
    node.direct.result("anvil_setNextBlockBaseFeePerGas", cheap).await;
    // The pool looks for itself; another transaction makes it look at once.
    node.wire.send(&wallet.sign(1, 10, 1)).await;
    node.direct.result("evm_mine", json!([])).await;
    let mined = node.wire.result("eth_getTransactionReceipt", json!([hash(&raw)])).await;
    assert_eq!(mined["status"], "0x1");
}

#[tokio::test]
async fn a_lenient_proxy_is_anvil() {
    let node = Node::start().await;
    node.proxy.set_strict(false);
    let wallet = node.wallet().await;
    node.wire.send(&wallet.sign(0, 100, 10)).await;
    let taken = node.wire.send(&wallet.sign(0, 105, 10)).await;
    assert!(taken.get("result").is_some(), "{taken}");
}
