//! The Beacon API follows the chain.

use std::time::Duration;

use alloy::primitives::{B256, FixedBytes};
use serde_json::{Value, json};
use sw_devnet::{
    DevnetConfig, Node, Past,
    proxy::{Act, Rule},
};

use crate::kit::{Beacon, number, start};

#[tokio::test]
async fn finality_moves_within_seconds_and_names_blocks_of_the_chain() {
    let devnet = start(DevnetConfig::default()).await;
    let beacon = Beacon::of(&devnet);
    let path = "/eth/v1/beacon/states/head/finality_checkpoints";
    let checkpoints = beacon
        .wait_for(path, "/data/finalized/epoch", |epoch| number(epoch) >= 1)
        .await;
    let block = beacon.read("/eth/v2/beacon/blocks/finalized").await;
    let payload = &block["data"]["message"]["body"]["execution_payload"];
    assert_eq!(block["finalized"], true);
    let on_chain = devnet
        .chain()
        .rpc()
        .block(Some(number(&payload["block_number"])))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(payload["block_hash"], on_chain.hash.to_string());
    assert_eq!(number(&payload["timestamp"]), on_chain.timestamp.to::<u64>());
    let slot = number(&block["data"]["message"]["slot"]);
    assert_eq!(
        slot,
        (on_chain.timestamp.to::<u64>() - devnet.deployment().genesis_time)
    );
    let epoch = number(&checkpoints["data"]["finalized"]["epoch"]);
    assert!(
        slot >= epoch * 4 - 1,
        "the checkpoint of epoch {epoch} is at slot {slot}"
    );
    let header = beacon
        .read(&format!(
            "/eth/v1/beacon/headers/{}",
            block["data"]["message"]["state_root"].as_str().unwrap()
        ))
        .await;
    assert_eq!(number(&header["data"]["header"]["message"]["slot"]), slot);
    assert_eq!(beacon.read("/eth/v1/beacon/headers/99999999").await["code"], 404);
    assert_eq!(beacon.read("/eth/v1/beacon/headers/nonsense").await["code"], 400);
}

#[tokio::test]
async fn indexes_follow_the_first_valid_deposits() {
    let devnet = start(DevnetConfig::default()).await;
    let beacon = Beacon::of(&devnet);
    let first = devnet.foreign_deposit().await.unwrap();
    let never = devnet.invalid_deposit().await.unwrap();
    let second = devnet.foreign_deposit().await.unwrap();
    // A top-up needs no signature, and makes no second validator.
    let unsigned = FixedBytes::<96>::with_last_byte(1);
    devnet
        .chain()
        .deposit(&first, B256::ZERO, &unsigned, 1_000_000_000)
        .await
        .unwrap();

    let all = beacon.read("/eth/v1/beacon/states/head/validators").await;
    let listed: Vec<_> = all["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|each| &each["validator"]["pubkey"])
        .collect();
    assert_eq!(listed, [&json!(first), &json!(second)]);
    assert_eq!(all["data"][0]["balance"], "33000000000");
    assert_eq!(all["data"][0]["validator"]["effective_balance"], "32000000000");

    let ids = json!({"ids": [second.to_string(), never.to_string(), "0"]});
    let some = beacon.post("/eth/v1/beacon/states/head/validators", &ids).await;
    assert_eq!(some.data().as_array().unwrap().len(), 2);
    let queried = beacon
        .read(&format!(
            "/eth/v1/beacon/states/head/validators?id={second}&id=7,{first}"
        ))
        .await;
    assert_eq!(queried["data"].as_array().unwrap().len(), 2);
    let one = beacon
        .read(&format!("/eth/v1/beacon/states/head/validators/{second}"))
        .await;
    assert_eq!(one["data"]["index"], "1");
    assert_eq!(
        beacon
            .read(&format!("/eth/v1/beacon/states/head/validators/{never}"))
            .await["code"],
        404
    );

    let before = beacon.read("/eth/v1/beacon/states/genesis/validators").await;
    assert_eq!(before["data"], json!([]));
    let path = "/eth/v1/beacon/states/finalized/validators";
    beacon
        .wait_for(path, "/data", |data| data.as_array().unwrap().len() == 2)
        .await;
    let active = beacon.read("/eth/v1/beacon/states/head/validators?status=active").await;
    let path = "/eth/v1/beacon/states/head/validators?status=active_ongoing";
    let later = beacon
        .wait_for(path, "/data", |data| data.as_array().unwrap().len() == 2)
        .await;
    assert!(active["data"].as_array().unwrap().len() <= later["data"].as_array().unwrap().len());
}

#[tokio::test]
async fn nodes_can_be_made_to_sync_and_to_claim_another_chain() {
    let devnet = start(DevnetConfig::default()).await;
    let beacon = Beacon::of(&devnet);
    let execution = sw_devnet::rpc::Rpc::new(beacon.client.clone(), devnet.execution_url());
    let ask = async |method: &str| execution.request::<Value>(method, json!([])).await.unwrap();
    assert_eq!(ask("eth_syncing").await, json!(false));
    assert_eq!(ask("eth_chainId").await, json!("0x704249"));
    devnet.set_syncing(Node::Execution, true);
    devnet.set_syncing(Node::Consensus, true);
    devnet.set_claimed_chain_id(Some(1));
    assert!(ask("eth_syncing").await.is_object());
    assert_eq!(ask("eth_chainId").await, json!("0x1"));
    assert_eq!(beacon.read("/eth/v1/node/syncing").await["data"]["is_syncing"], true);
    devnet.set_syncing(Node::Execution, false);
    devnet.set_syncing(Node::Consensus, false);
    devnet.set_claimed_chain_id(None);
    assert_eq!(ask("eth_syncing").await, json!(false));
    assert_eq!(ask("eth_chainId").await, json!("0x704249"));
    assert_eq!(beacon.read("/eth/v1/node/syncing").await["data"]["is_syncing"], false);
    let genesis = beacon.read("/eth/v1/beacon/genesis").await;
    assert_eq!(
        number(&genesis["data"]["genesis_time"]),
        devnet.deployment().genesis_time
    );
    let contract = beacon.read("/eth/v1/config/deposit_contract").await;
    assert_eq!(contract["data"]["address"], json!(devnet.deployment().deposit_contract));
    let spec = beacon.read("/eth/v1/config/spec").await;
    assert_eq!(spec["data"]["SLOTS_PER_EPOCH"], "4");
}

#[tokio::test]
async fn who_is_at_work_is_said_for_the_epochs_around_the_head() {
    let devnet = start(DevnetConfig::default()).await;
    let beacon = Beacon::of(&devnet);
    let (idle, live) = (
        devnet.foreign_deposit().await.unwrap(),
        devnet.foreign_deposit().await.unwrap(),
    );
    devnet.beacon().set_live([live]);
    let head = beacon.read("/eth/v1/node/syncing").await;
    let epoch = number(&head["data"]["head_slot"]) / 4;
    let ask = async |epoch: u64, indexes: Value| {
        beacon
            .post(&format!("/eth/v1/validator/liveness/{epoch}"), &indexes)
            .await
    };
    let said = ask(epoch, json!(["0", "1"])).await;
    let expected = json!([{"index": "0", "is_live": false}, {"index": "1", "is_live": true}]);
    assert_eq!(said.data(), &expected, "{idle} and {live}");
    assert_eq!(ask(epoch + 100, json!(["0"])).await.status, 400);
    devnet.beacon().set_tracks_liveness(false);
    assert_eq!(ask(epoch, json!(["0"])).await.status, 501);
}

#[tokio::test]
async fn a_vault_with_a_past_remembers_what_it_is_told() {
    let devnet = start(DevnetConfig::default()).await;
    let vault = devnet.chain().create_past_vault().await.unwrap();
    let keys = [1, 2].map(FixedBytes::<48>::repeat_byte);
    devnet.chain().remember(vault, Past::V2, &keys[..1]).await.unwrap();
    devnet.chain().remember(vault, Past::V1, &keys[1..]).await.unwrap();
    let told: Vec<_> = devnet.registered(vault).await.unwrap();
    let told: Vec<_> = told.into_iter().map(|registered| registered.public_key).collect();
    assert_eq!(told, keys.map(|key| key.to_string()));
    let pool = devnet.chain().create_legacy_pool().await.unwrap();
    devnet.chain().remember(pool, Past::LegacyPool, &keys).await.unwrap();
}

#[tokio::test]
async fn the_node_says_that_it_is_optimistic_or_cut_off_and_its_answers_go_wrong() {
    let devnet = start(DevnetConfig::default()).await;
    let beacon = Beacon::of(&devnet);
    let path = "/eth/v1/node/syncing";
    let sound = beacon.read(path).await["data"].clone();
    assert_eq!(
        (&sound["is_optimistic"], &sound["el_offline"]),
        (&json!(false), &json!(false))
    );
    devnet.beacon().set_optimistic(true);
    devnet.beacon().set_execution_offline(true);
    let unsound = beacon.read(path).await["data"].clone();
    assert_eq!(
        (&unsound["is_optimistic"], &unsound["el_offline"]),
        (&json!(true), &json!(true))
    );
    let checkpoints = "/eth/v1/beacon/states/head/finality_checkpoints";
    assert_eq!(beacon.read(checkpoints).await["execution_optimistic"], true);

    let get = async || beacon.client.get(format!("{}{checkpoints}", beacon.url)).send().await;
    let rules = devnet.beacon().rules();
    rules.push(Rule::times(1, "finality_checkpoints", Act::Html));
    assert!(get().await.unwrap().text().await.unwrap().starts_with('<'));
    rules.push(Rule::times(
        1,
        "finality_checkpoints",
        Act::Hang(Duration::from_millis(20)),
    ));
    assert!(get().await.is_err());
    assert_eq!(get().await.unwrap().status(), 200);
    assert_eq!(rules.struck(), 2);
    devnet.beacon().set_down(true);
    assert!(get().await.is_err());
}
