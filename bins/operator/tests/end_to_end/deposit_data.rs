//! Deposit data before and after its validators have deposits.

use std::fs;

use serde_json::Value;
use sw_devnet::{Node, person::Answer};

use crate::setup::{STOP, Setup, small};

#[tokio::test]
async fn deposits_are_seen_and_held_against_any_root_but_that_which_made_them() {
    let setup = Setup::without_root(small(), 2).await;
    let (execution, consensus) = (setup.devnet.execution_url(), setup.devnet.consensus_url());
    let both = ["--execution-endpoints", execution, "--consensus-endpoints", consensus];

    let before = verify(&setup, &both).await;
    let document = json(&before, 0);
    assert_eq!(document["root"], setup.root.as_str());
    assert_eq!(document["keystores"]["count"], 2);
    let deposits = &document["deposits"];
    assert_eq!(deposits["entries"], Value::Array(vec![]));
    assert_eq!(deposits["uploaded_root"]["is_this"], false);
    assert_eq!(root(&setup, &both, &[]).await.out, root(&setup, &[], &[]).await.out);

    let vault = setup.devnet.vault();
    setup
        .devnet
        .set_deposit_data_root(vault, setup.root.parse().unwrap())
        .await
        .unwrap();
    setup.devnet.stake(vault, 32).await.unwrap();
    let mut running = setup.person.start(&[]).unwrap();
    let registered = setup.registered(1, &running).await;
    running.stop(STOP).await.unwrap();

    let document = json(&verify(&setup, &both).await, 0);
    let deposits = &document["deposits"];
    let uploaded = &deposits["uploaded_root"];
    assert_eq!(
        (&uploaded["is_this"], &uploaded["next_entry"]),
        (&true.into(), &1.into())
    );
    let entries = deposits["entries"].as_array().unwrap();
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0]["public_key"], registered[0].public_key.as_str());
    assert_eq!(entries[0]["registered_from_this_root"], true);
    let answer = root(&setup, &both, &[]).await;
    assert_eq!(answer.status.code(), Some(0), "{}", answer.said);

    // Either node alone has seen the deposit; only the execution node knows the vault's root.
    let document = json(&verify(&setup, &both[..2]).await, 0);
    assert_eq!(document["deposits"]["entries"][0]["entry"], 0);
    let answer = verify(&setup, &both[2..]).await;
    assert_eq!(json(&answer, 1)["faults_by_kind"]["deposited"], 1);
    assert!(
        answer.said.contains("hint: with `--execution-endpoints`"),
        "{}",
        answer.said
    );

    let file = setup.person.vault_dir().join("deposit_data.json");
    let mut turned: Vec<Value> = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    turned.reverse();
    let other = setup.person.data_dir.join("turned.json").display().to_string();
    fs::write(&other, serde_json::to_string(&turned).unwrap()).unwrap();
    let answer = root(&setup, &both, &["--deposit-data-file", &other]).await;
    assert_eq!((answer.status.code(), answer.out.as_str()), (Some(1), ""));
    assert!(
        answer.said.contains("entry 1, 0x") && answer.said.contains("has a deposit"),
        "{}",
        answer.said
    );
}

#[tokio::test]
async fn nodes_that_cannot_know_are_not_taken_for_no_deposits() {
    let setup = Setup::without_root(small(), 1).await;
    let (execution, consensus) = (setup.devnet.execution_url(), setup.devnet.consensus_url());
    let refused = async |nodes: &[&str], expected: &str| {
        let answer = verify(&setup, nodes).await;
        assert_eq!(
            (answer.status.code(), answer.out.as_str()),
            (Some(1), ""),
            "{}",
            answer.said
        );
        assert!(answer.said.contains(expected), "{}", answer.said);
    };
    setup.devnet.set_syncing(Node::Execution, true);
    setup.devnet.set_syncing(Node::Consensus, true);
    refused(&["--execution-endpoints", execution], "no execution node can be asked").await;
    refused(&["--consensus-endpoints", consensus], "no consensus node can be asked").await;
    setup.devnet.set_syncing(Node::Execution, false);
    setup.devnet.set_syncing(Node::Consensus, false);
    refused(
        &["--execution-endpoints", execution, "--network", "mainnet"],
        "is not of mainnet",
    )
    .await;
    refused(
        &["--consensus-endpoints", consensus, "--network", "mainnet"],
        "is not of mainnet",
    )
    .await;
    // One that is down beside one that answers is said, and that is all.
    let one_down = format!("http://127.0.0.1:1,{execution}");
    let answer = verify(&setup, &["--execution-endpoints", &one_down]).await;
    json(&answer, 0);
    assert!(
        answer
            .said
            .contains("warning: one execution node is not asked: http://127.0.0.1:1"),
        "{}",
        answer.said
    );
}

async fn verify(setup: &Setup, nodes: &[&str]) -> Answer {
    let arguments = ["deposit-data", "verify", "--json", "--vault", &setup.person.vault];
    setup.person.run(&[&arguments, nodes].concat(), "").await.unwrap()
}

async fn root(setup: &Setup, nodes: &[&str], more: &[&str]) -> Answer {
    let arguments = ["get-validators-root", "--vault", &setup.person.vault];
    setup.person.run(&[&arguments, nodes, more].concat(), "").await.unwrap()
}

fn json(answer: &Answer, code: i32) -> Value {
    assert_eq!(answer.status.code(), Some(code), "{}{}", answer.out, answer.said);
    let document: Value = serde_json::from_str(&answer.out).unwrap();
    assert_eq!(document["schema"], "operator.deposit-data.verify.v1");
    document
}
