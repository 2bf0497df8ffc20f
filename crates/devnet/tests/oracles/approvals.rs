//! What is approved: one CID, the deadline asked for, a signature of the oracle's key over the records.

use alloy::{
    primitives::{Address, B256, Bytes, Signature, U256, keccak256},
    sol_types::SolValue,
};
use serde_json::Value;
use sw_devnet::bls;

use crate::{Answer, FOREIGN_KEYS, NODE, NOW, Network, ORACLES, VALIDITY, VAULT, all_approve};

/// The digest of original-v1 7.5, by hand.
fn digest(net: &Network, deposit_root: B256, records: Vec<u8>, cid: &str, deadline: u64) -> B256 {
    let domain_type = "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)";
    let message_type = "KeeperValidators(bytes32 validatorsRegistryRoot,address vault,bytes validators,string exitSignaturesIpfsHash,uint256 deadline)";
    let chain_id = U256::from(net.deployment.chain_id);
    let domain = (
        keccak256(domain_type),
        keccak256("KeeperOracles"),
        keccak256("1"),
        chain_id,
        net.deployment.keeper,
    );
    let (records, cid) = (keccak256(records), keccak256(cid));
    let message = (
        keccak256(message_type),
        deposit_root,
        VAULT,
        records,
        cid,
        U256::from(deadline),
    );
    keccak256(
        [
            &[0x19, 0x01][..],
            keccak256(domain.abi_encode()).as_slice(),
            keccak256(message.abi_encode()).as_slice(),
        ]
        .concat(),
    )
}

fn signer(answer: &Answer, digest: B256) -> Address {
    let signature: Bytes = answer.body["signature"].as_str().unwrap().parse().unwrap();
    assert_eq!(signature.len(), 65);
    assert!(matches!(signature[64], 27 | 28));
    Signature::from_raw(&signature)
        .unwrap()
        .recover_address_from_prehash(&digest)
        .unwrap()
}

#[tokio::test]
async fn all_oracles_approve_a_good_request_with_one_cid_and_their_own_signatures() {
    let net = Network::start().await;
    for indexes in [vec![1], vec![1, 2], vec![1, 2, 3]] {
        let draft = net.draft(indexes.clone());
        let answers = net.ask(&draft.build()).await;
        assert_eq!(answers.len(), ORACLES);
        let cid = all_approve(&answers);
        for (answer, oracle) in answers.iter().zip(net.oracles.handles()) {
            assert_eq!(answer.body["deadline"], NOW + VALIDITY);
            let records = indexes.iter().flat_map(|index| net.data.record(*index)).collect();
            let digest = digest(&net, draft.deposit_root, records, cid, draft.deadline);
            assert_eq!(signer(answer, digest), oracle.address());
        }
        let document = net
            .gateway
            .handle()
            .content(cid)
            .expect("the document is on the gateway");
        let document: Value = serde_json::from_slice(&document).unwrap();
        assert_eq!(document["vault_address"], VAULT.to_checksum(None));
        assert_eq!(document["public_keys"].as_array().unwrap().len(), indexes.len());
    }
}

#[tokio::test]
async fn every_oracle_recovers_exits_that_the_consensus_layer_would_take() {
    let net = Network::start().await;
    let draft = net.draft([1, 2]);
    all_approve(&net.ask(&draft.build()).await);
    for oracle in &net.oracles.handles()[..NODE] {
        let exits = oracle.recovered_exits();
        assert_eq!(exits.len(), 2);
        for (exit, (index, position)) in exits.iter().zip([(1, 0), (2, 1)]) {
            let key = &net.data.keys[index];
            assert_eq!(exit.public_key, key.public_key());
            assert_eq!(exit.validator_index, FOREIGN_KEYS + position);
            let root = draft.exit_root(exit.validator_index);
            assert_eq!(
                exit.signature,
                key.sign(root),
                "there is only one signature of a key over a message"
            );
            assert!(bls::verify(&exit.public_key, root, &exit.signature));
        }
    }
    assert_eq!(wait_for_exits(&net, NODE, 2).await, net.handle(0).recovered_exits());
}

/// The Node oracle's record fills through a pipe.
async fn wait_for_exits(net: &Network, oracle: usize, count: usize) -> Vec<sw_devnet::oracle::RecoveredExit> {
    loop {
        let exits = net.handle(oracle).recovered_exits();
        if exits.len() >= count {
            return exits;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn both_replicas_of_an_oracle_answer_with_the_same_key() {
    let net = Network::start().await;
    let oracle = net.handle(0);
    assert_eq!(oracle.endpoints().len(), 2);
    oracle.set_endpoint_down(0, true);
    let body = net.draft([1]).build().to_string();
    let others = async {
        let endpoints: Vec<_> = net
            .oracles
            .handles()
            .iter()
            .skip(1)
            .map(|other| other.endpoints()[0].clone())
            .collect();
        futures::future::join_all(endpoints.iter().map(|endpoint| net.ask_one(endpoint, body.clone()))).await
    };
    let (second, others) = futures::join!(net.ask_one(&oracle.endpoints()[1], body.clone()), others);
    assert_eq!(net.ask_one(&oracle.endpoints()[0], body.clone()).await.status, 0);
    assert_eq!(second.cid(), others[0].cid());
    assert_eq!(oracle.approvals().len(), 1);
    assert_eq!(oracle.requests(), [body]);
}

#[tokio::test]
async fn a_deposit_that_is_reorganised_away_no_longer_counts() {
    let net = Network::start().await;
    all_approve(&net.ask(&net.draft([1]).build()).await);
    net.chain.lock().unwrap().reorganise_without_last_deposit();
    let mut draft = net.draft([1]);
    let answers = net.ask(&draft.build()).await;
    assert!(
        answers
            .iter()
            .all(|answer| answer.detail() == "validator_index is 2, the next one is 1")
    );
    draft.validator_index = 1;
    all_approve(&net.ask(&draft.build()).await);
}

#[tokio::test]
async fn the_config_names_the_oracles_in_the_order_of_their_shares() {
    let net = Network::start().await;
    let config = net.oracles.protocol_config();
    for (position, oracle) in config["oracles"].as_array().unwrap().iter().enumerate() {
        assert_eq!(oracle["public_key"], net.keys[position].public_key());
        assert_eq!(
            oracle["endpoints"].as_array().unwrap().len(),
            if position == 0 { 2 } else { 1 }
        );
        let alive = net
            .client
            .get(oracle["endpoints"][0].as_str().unwrap())
            .send()
            .await
            .unwrap();
        assert!(alive.status().is_success());
    }
    assert_eq!(net.oracles.node_address(), Some(net.keys[NODE].address()));
}
