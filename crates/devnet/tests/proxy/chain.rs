//! Blocks that never were, and base fees that are held.

use alloy::primitives::U256;
use serde_json::{Value, json};
use sw_devnet::{Devnet, DevnetConfig, Dropped};

use crate::kit::{GWEI, Wallet, Wire, hash, number};

async fn devnet() -> (Devnet, Wire, Wallet) {
    let devnet = Devnet::start(DevnetConfig {
        node_oracle: false,
        ..DevnetConfig::default()
    })
    .await
    .unwrap();
    let wire = Wire::to(devnet.execution_url());
    let wallet = Wallet::new(devnet.deployment().chain_id);
    devnet.send_eth(wallet.address(), 1).await.unwrap();
    (devnet, wire, wallet)
}

#[tokio::test]
async fn a_reorganisation_drops_what_an_operator_did_and_does_the_rest_again() {
    let (devnet, wire, wallet) = devnet().await;
    for (nonce, dropped) in [(0, Dropped::BackInPool), (1, Dropped::Gone)] {
        let raw = wallet.sign(nonce, 10, 1);
        assert_eq!(wire.send(&raw).await["result"], hash(&raw));
        devnet.foreign_deposit().await.unwrap();
        devnet.mine(1).await.unwrap();
        let receipt = wire.result("eth_getTransactionReceipt", json!([hash(&raw)])).await;
        let old_block = receipt["blockHash"].clone();
        assert!(!old_block.is_null(), "it was mined");
        let deposits =
            json!([{"fromBlock": "0x0", "toBlock": "latest", "address": devnet.deployment().deposit_contract}]);
        let before = wire.result("eth_getLogs", deposits.clone()).await;
        let head = wire.head().await;
        devnet
            .reorg_with(head + 1 - number(&receipt["blockNumber"]), dropped)
            .await
            .unwrap();
        assert!(wire.head().await >= head);
        let old = wire.result("eth_getBlockByHash", json!([old_block, false])).await;
        assert_eq!(old, Value::Null);
        let after = wire.result("eth_getLogs", deposits).await;
        let data = |logs: &Value| {
            logs.as_array()
                .unwrap()
                .iter()
                .map(|log| log["data"].clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(data(&after), data(&before), "the strangers' deposits are there again");
        devnet.mine(1).await.unwrap();
        let again = wire.result("eth_getTransactionReceipt", json!([hash(&raw)])).await;
        let known = wire.result("eth_getTransactionByHash", json!([hash(&raw)])).await;
        match dropped {
            Dropped::BackInPool => assert_ne!(again["blockHash"], old_block),
            Dropped::Gone => assert!(again.is_null() && known.is_null(), "{again} {known}"),
        }
    }
}

#[tokio::test]
async fn a_held_base_fee_is_that_of_every_block_and_what_cannot_pay_it_waits() {
    let (devnet, wire, wallet) = devnet().await;
    let raw = wallet.sign(0, 10, 1);
    devnet.pause_mining().await.unwrap();
    devnet.set_base_fee(20 * GWEI).await;
    assert_eq!(wire.send(&raw).await["result"], hash(&raw));
    let start = wire.head().await;
    devnet.mine(200).await.unwrap();
    let end = wire.head().await;
    for block in start + 1..=end {
        let block = wire
            .result("eth_getBlockByNumber", json!([format!("{block:#x}"), false]))
            .await;
        let fee: U256 = serde_json::from_value(block["baseFeePerGas"].clone()).unwrap();
        assert_eq!(fee, U256::from(20 * GWEI), "block {}", block["number"]);
    }
    let receipt = json!([hash(&raw)]);
    assert_eq!(
        wire.result("eth_getTransactionReceipt", receipt.clone()).await,
        Value::Null
    );
    devnet.release_base_fee().await;
    devnet.mine(1).await.unwrap();
    assert_eq!(wire.result("eth_getTransactionReceipt", receipt).await["status"], "0x1");
}
