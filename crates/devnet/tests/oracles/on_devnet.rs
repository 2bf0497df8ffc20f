//! Oracles and contracts together: what all oracles approve, the Keeper takes.

use alloy::primitives::{Address, Bytes, U256};
use futures::future::join_all;
use serde_json::Value;
use sw_devnet::{
    Devnet, DevnetConfig,
    chain::call,
    contracts::interface::{ApprovalParams, DepositContract, DepositDataRegistry},
    oracle::OracleKey,
};

use crate::kit::{DepositData, Draft};

pub const ALL: usize = 5;

#[tokio::test]
async fn one_validator_and_then_two_are_registered_with_the_approval_of_all_oracles() {
    let devnet = Devnet::start(DevnetConfig {
        validators_threshold: ALL,
        ..DevnetConfig::default()
    })
    .await
    .unwrap();
    let vault = devnet.vault();
    let data = DepositData::new(vault, 4, devnet.deployment().genesis_fork_version);
    devnet.set_deposit_data_root(vault, data.root()).await.unwrap();
    devnet.stake(vault, 3 * 32).await.unwrap();
    devnet.foreign_deposit().await.unwrap();
    devnet.invalid_deposit().await.unwrap();

    let oracles: Vec<_> = (0..ALL).map(OracleKey::of_devnet).collect();
    register(&devnet, &data, &oracles, &[0], 1).await;
    devnet.foreign_deposit().await.unwrap();
    register(&devnet, &data, &oracles, &[1, 2], 3).await;

    let registered = devnet.registered(vault).await.unwrap();
    let keys: Vec<String> = data.keys[..3].iter().map(|key| key.public_key().to_string()).collect();
    assert_eq!(
        registered
            .iter()
            .map(|each| each.public_key.clone())
            .collect::<Vec<_>>(),
        keys
    );
    for each in &registered {
        let signers = devnet.approval_signers(each.tx).await.unwrap();
        assert_eq!(signers.len(), ALL);
        assert!(signers.contains(&devnet.node_oracle_address().unwrap()));
    }
}

/// Registers validators with the approval of all `oracles`.
pub async fn register(
    devnet: &Devnet,
    data: &DepositData,
    oracles: &[OracleKey],
    indexes: &[usize],
    validator_index: u64,
) {
    let (deployment, vault) = (devnet.deployment(), devnet.vault());
    let chain = devnet.chain();
    let head = chain.rpc().block(None).await.unwrap().unwrap();
    let root = DepositContract::get_deposit_rootCall {};
    let draft = Draft {
        deployment,
        data,
        oracles,
        vault,
        indexes: indexes.to_vec(),
        validator_index,
        deposit_root: chain.read(deployment.deposit_contract, &root).await.unwrap(),
        deadline: head.timestamp.to::<u64>() + deployment.signature_validity_period,
    };
    let body = draft.build().to_string();
    let client = sw_devnet::http::loopback_client(std::time::Duration::from_secs(30)).unwrap();
    let asked = devnet.oracles();
    let answers = join_all(asked.iter().map(async |oracle| {
        let answer = client
            .post(&oracle.endpoints()[0])
            .body(body.clone())
            .send()
            .await
            .unwrap();
        (oracle.address(), answer.json::<Value>().await.unwrap())
    }));
    let mut answers: Vec<(Address, Value)> = answers.await;
    answers.sort_by_key(|(oracle, _)| *oracle);
    let signature = |(_, answer): &(Address, Value)| -> Bytes {
        let signature = answer["signature"]
            .as_str()
            .unwrap_or_else(|| panic!("refused: {answer}"));
        signature.parse().unwrap()
    };
    let signatures: Vec<Bytes> = answers.iter().map(signature).collect();
    let approval = ApprovalParams {
        validatorsRegistryRoot: draft.deposit_root,
        deadline: U256::from(draft.deadline),
        validators: indexes.iter().flat_map(|index| data.record(*index)).collect(),
        signatures: signatures.concat().into(),
        exitSignaturesIpfsHash: answers[0].1["ipfs_hash"].as_str().unwrap().to_owned(),
    };
    let (proof, proof_flags, leaves) = data.multiproof(indexes);
    let registration = DepositDataRegistry::registerValidatorsCall {
        vault,
        keeperParams: approval,
        indexes: indexes
            .iter()
            .map(|index| U256::from(leaves.iter().position(|leaf| leaf == index).unwrap()))
            .collect(),
        proofFlags: proof_flags,
        proof,
    };
    chain
        .transact(&call(
            chain.accounts().stranger,
            deployment.deposit_data_registry,
            &registration,
        ))
        .await
        .unwrap();
}
