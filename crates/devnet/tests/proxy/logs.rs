//! Deposit logs that lie, in the same way for every method.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sw_devnet::{
    Devnet, DevnetConfig,
    proxy::{Act, DepositField, Rule, Victim},
};

use crate::kit::Wire;

const DEPOSIT_EVENT: &str = "0x649bbc62d0e31342afea4e5cd82d4049e7e1ee912fc0889aa790803be39038c5";

/// The deposits' data by three roads: ranges of logs, one block's logs, and receipts.
async fn by_each_road(wire: &Wire) -> [Vec<Value>; 3] {
    let filter = json!([{"fromBlock": "0x0", "toBlock": "latest", "topics": [DEPOSIT_EVENT]}]);
    let ranges = wire.result("eth_getLogs", filter.clone()).await;
    let ranges: Vec<Value> = ranges
        .as_array()
        .unwrap()
        .iter()
        .map(|log| log["data"].clone())
        .collect();
    let (mut blocks, mut receipts) = (Vec::new(), Vec::new());
    for number in 0..=wire.head().await {
        let block = wire
            .result("eth_getBlockByNumber", json!([format!("{number:#x}"), false]))
            .await;
        let filter = json!([{"blockHash": block["hash"], "topics": [DEPOSIT_EVENT]}]);
        let logs = wire.result("eth_getLogs", filter).await;
        blocks.extend(logs.as_array().unwrap().iter().map(|log| log["data"].clone()));
        for hash in block["transactions"].as_array().unwrap() {
            let receipt = wire.result("eth_getTransactionReceipt", json!([hash])).await;
            let logs = receipt["logs"].as_array().unwrap().iter();
            let deposits = logs.filter(|log| log["topics"][0] == DEPOSIT_EVENT);
            receipts.extend(deposits.map(|log| log["data"].clone()));
        }
    }
    [ranges, blocks, receipts]
}

#[tokio::test]
async fn a_deposit_that_is_dropped_doubled_altered_or_moved_is_so_wherever_logs_are_shown() {
    let devnet = Devnet::start(DevnetConfig {
        node_oracle: false,
        ..DevnetConfig::default()
    })
    .await
    .unwrap();
    for _ in 0..3 {
        devnet.foreign_deposit().await.unwrap();
    }
    let wire = Wire::to(devnet.execution_url());
    let victim = Victim {
        deposit: 1,
        field: DepositField::Amount,
    };
    devnet.proxy().set_victim(victim);
    let truth = by_each_road(&wire).await;
    assert!(truth.iter().all(|road| *road == truth[0] && road.len() == 3));
    let [a, b, c] = [0, 1, 2].map(|place| truth[0][place].clone());
    let lies = BTreeMap::from([
        ("drop", (Act::DropLog, vec![a.clone(), c.clone()])),
        (
            "double",
            (Act::DoubleLog, vec![a.clone(), b.clone(), b.clone(), c.clone()]),
        ),
        ("reorder", (Act::ReorderLogs, vec![a.clone(), c.clone(), b.clone()])),
    ]);
    for (name, (act, expected)) in lies {
        devnet.proxy().clear();
        devnet.proxy().push(Rule::everything(act));
        for road in by_each_road(&wire).await {
            assert_eq!(road, expected, "{name}");
        }
    }
    devnet.proxy().clear();
    devnet.proxy().push(Rule::everything(Act::AlterLog));
    for field in DepositField::ALL {
        devnet.proxy().set_victim(Victim { field, ..victim });
        for road in by_each_road(&wire).await {
            assert_eq!((&road[0], &road[2]), (&a, &c));
            let differing = road[1].as_str().unwrap().bytes().zip(b.as_str().unwrap().bytes());
            let places: Vec<usize> = differing
                .enumerate()
                .filter(|(_, (x, y))| x != y)
                .map(|(place, _)| place)
                .collect();
            assert_eq!(places.len(), 1, "one bit of {field:?}");
        }
    }
}
