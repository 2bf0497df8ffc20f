//! The whole network at once: oracles of both kinds approve what a hand-made request asks for, and the contracts take it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

#[path = "oracles/kit.rs"]
#[allow(dead_code, reason = "the oracles' own tests use the rest")]
mod kit;

use std::{sync::Arc, time::Duration};

use alloy::primitives::{Address, B256, Bytes, FixedBytes, U256};
use kit::{DepositData, Draft};
use serde_json::Value;
use sw_devnet::{
    Devnet, DevnetConfig,
    chain::{ChainError, call},
    contracts::interface::{ApprovalParams, DepositContract, DepositDataRegistry},
    http::loopback_client,
    oracle::OracleKey,
    rpc::Call,
};

/// A vault with deposit data for five validators and 96 ETH, on a network where every oracle must agree.
struct Scene {
    devnet: Devnet,
    data: DepositData,
    keys: Vec<OracleKey>,
    client: reqwest::Client,
}

impl Scene {
    async fn start() -> Self {
        let devnet = Devnet::start(DevnetConfig {
            validators_threshold: 5,
            ..DevnetConfig::default()
        })
        .await
        .unwrap();
        let vault = devnet.vault();
        let data = DepositData::new(vault, 5, devnet.deployment().genesis_fork_version);
        devnet.set_deposit_data_root(vault, data.root()).await.unwrap();
        devnet.stake(vault, 96).await.unwrap();
        devnet.foreign_deposit().await.unwrap();
        let keys = (0..devnet.oracles().len()).map(OracleKey::of_devnet).collect();
        Self {
            devnet,
            data,
            keys,
            client: loopback_client(Duration::from_secs(30)).unwrap(),
        }
    }

    /// Asks every oracle for these validators, and makes the registration of their approvals.
    async fn registration(&self, indexes: &[usize], validator_index: u64) -> Call {
        let (devnet, vault) = (&self.devnet, self.devnet.vault());
        let deployment = devnet.deployment();
        let get_root = DepositContract::get_deposit_rootCall {};
        let deposit_root: B256 = devnet
            .chain()
            .read(deployment.deposit_contract, &get_root)
            .await
            .unwrap();
        let now: u64 = devnet.chain().rpc().block(None).await.unwrap().unwrap().timestamp.to();
        let draft = Draft {
            deployment,
            data: &self.data,
            oracles: &self.keys,
            vault,
            indexes: indexes.to_vec(),
            validator_index,
            deposit_root,
            deadline: now + deployment.signature_validity_period,
        };
        let request = draft.build();
        let ask = async |endpoint: &String| {
            let answer: Value = self
                .client
                .post(endpoint)
                .json(&request)
                .send()
                .await
                .unwrap()
                .json()
                .await
                .unwrap();
            assert!(answer["signature"].is_string(), "{answer}");
            answer
        };
        let oracles = devnet.oracles();
        let answers =
            futures::future::join_all(oracles.iter().map(|oracle| ask(oracle.endpoints().last().unwrap()))).await;
        assert!(
            answers
                .iter()
                .all(|answer| answer["ipfs_hash"] == answers[0]["ipfs_hash"])
        );
        let mut signed: Vec<(Address, FixedBytes<65>)> = self
            .keys
            .iter()
            .zip(&answers)
            .map(|(key, answer)| (key.address(), answer["signature"].as_str().unwrap().parse().unwrap()))
            .collect();
        signed.sort();
        let (proof, flags, order) = self.data.multiproof(indexes);
        let approval = ApprovalParams {
            validatorsRegistryRoot: deposit_root,
            deadline: U256::from(draft.deadline),
            validators: indexes
                .iter()
                .flat_map(|index| self.data.record(*index))
                .collect::<Vec<_>>()
                .into(),
            signatures: signed
                .iter()
                .flat_map(|(_, signature)| signature.0)
                .collect::<Vec<_>>()
                .into(),
            exitSignaturesIpfsHash: answers[0]["ipfs_hash"].as_str().unwrap().to_owned(),
        };
        let place = |index: &usize| U256::from(order.iter().position(|each| each == index).unwrap());
        let register = DepositDataRegistry::registerValidatorsCall {
            vault,
            keeperParams: approval,
            indexes: indexes.iter().map(place).collect(),
            proofFlags: flags,
            proof,
        };
        call(
            devnet.chain().accounts().stranger,
            deployment.deposit_data_registry,
            &register,
        )
    }
}

#[tokio::test]
async fn with_the_threshold_at_all_oracles_the_node_oracle_is_among_the_signers_on_chain() {
    let scene = Scene::start().await;
    let devnet = &scene.devnet;
    let first = scene.registration(&[0], 1).await;
    devnet.chain().transact(&first).await.unwrap();
    let second = scene.registration(&[1, 2], 2).await;
    devnet.chain().transact(&second).await.unwrap();
    let registered = devnet.wait_registered(devnet.vault(), 3).await.unwrap();
    let keys: Vec<_> = scene
        .data
        .keys
        .iter()
        .take(3)
        .map(|key| key.public_key().to_string())
        .collect();
    assert_eq!(
        registered
            .iter()
            .map(|each| each.public_key.clone())
            .collect::<Vec<_>>(),
        keys
    );
    let node = devnet.node_oracle_address().unwrap();
    for tx in [registered[0].tx, registered[1].tx] {
        let signers = devnet.approval_signers(tx).await.unwrap();
        assert_eq!(signers.len(), 5);
        assert!(signers.contains(&node));
    }
    let exits = devnet.oracles()[0].recovered_exits();
    assert_eq!(exits.len(), 3);
    let last = exits.iter().find(|exit| exit.validator_index == 3).unwrap();
    assert_eq!(last.public_key, scene.data.keys[2].public_key());
    let document = devnet.oracles()[0].approvals();
    assert!(devnet.gateway().content(&document[0].ipfs_hash).is_some());
}

#[tokio::test]
async fn a_deposit_between_check_and_answer_makes_the_approval_worthless() {
    let scene = Scene::start().await;
    let chain = Arc::clone(scene.devnet.chain());
    scene.devnet.hook_before_reply(move |_| {
        let chain = Arc::clone(&chain);
        async move {
            chain.invalid_deposit().await.unwrap();
        }
    });
    let stale = scene.registration(&[0], 1).await;
    match scene.devnet.chain().transact(&stale).await {
        Err(ChainError::Reverted { reason, .. }) => assert_eq!(reason, "InvalidValidatorsRegistryRoot"),
        other => panic!("{other:?}"),
    }
    scene.devnet.before_reply().clear();
    let fresh = scene.registration(&[0], 1).await;
    scene.devnet.chain().transact(&fresh).await.unwrap();
}

#[tokio::test]
async fn the_network_file_names_every_contract_and_the_announced_config_is_served() {
    let devnet = Devnet::start(DevnetConfig {
        node_oracle: false,
        ..DevnetConfig::default()
    })
    .await
    .unwrap();
    let text = std::fs::read_to_string(devnet.network_file()).unwrap();
    for address in [devnet.deployment().keeper, devnet.deployment().deposit_data_registry] {
        assert!(text.contains(&address.to_checksum(None)));
        let code: Bytes = devnet
            .chain()
            .rpc()
            .request("eth_getCode", serde_json::json!([address, "latest"]))
            .await
            .unwrap();
        assert!(!code.is_empty());
    }
    let mut config = devnet.protocol_config();
    config["validators_approval_batch_limit"] = 2.into();
    let cid = devnet.update_config(&config).await.unwrap();
    let keeper = devnet.deployment().keeper;
    let events = devnet
        .chain()
        .events::<sw_devnet::contracts::interface::Keeper::ConfigUpdated>(keeper)
        .await
        .unwrap();
    assert_eq!(events.len(), 2);
    assert_eq!(events[1].0.configIpfsHash, cid);
    assert_eq!(devnet.gateway().content(&cid).unwrap(), config.to_string().as_bytes());
}
