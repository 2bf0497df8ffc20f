//! Oracles that are told to misbehave, and the moment before they reply.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use alloy::primitives::{Bytes, U256, uint};
use futures::future::join_all;
use serde_json::Value;
use sw_devnet::{oracle::Fault, proxy::Act};

use crate::{Answer, DEPOSIT_GWEI, NODE, NOW, Network, ORACLES, VALIDITY, ValidatorKey, all_approve};

#[tokio::test]
async fn each_fault_shows_in_the_answer_and_ends_when_it_is_lifted() {
    let net = Network::start().await;
    let request = net.draft([1, 2]).build();
    let good = net.ask(&request).await;
    net.handle(0).set_fault(Fault::Refuse("out of office".to_owned()));
    net.handle(1).set_fault(Fault::WrongDeadline);
    net.handle(2).set_fault(Fault::BadSignature);
    let answers = net.ask(&request).await;
    assert_eq!(answers[0].detail(), "out of office");
    assert_eq!(answers[1].body["deadline"], NOW + VALIDITY + 1);
    assert_eq!(answers[2].cid(), good[2].cid());
    assert_ne!(answers[2].body["signature"], good[2].body["signature"]);
    assert_eq!(answers[3..], good[3..]);

    net.handle(0).set_fault(Fault::Down);
    net.handle(1).set_fault(Fault::WrongCid);
    net.handle(2).set_fault(Fault::Slow(Duration::from_millis(20)));
    let answers = net.ask(&request).await;
    assert_eq!(answers[0].status, 0);
    assert_ne!(answers[1].cid(), good[1].cid());
    assert_eq!(answers[2..], good[2..]);

    for oracle in net.oracles.handles() {
        oracle.set_fault(Fault::None);
    }
    assert_eq!(net.ask(&request).await, good, "signatures are deterministic");
}

#[tokio::test]
async fn signatures_can_be_anothers_or_high_and_approvals_replayed() {
    let net = Network::start().await;
    let first = net.ask(&net.draft([1]).build()).await;
    let request = net.draft([1, 2]).build();
    let good = net.ask(&request).await;
    net.handle(0).set_fault(Fault::AnothersSignature);
    net.handle(1).set_fault(Fault::HighS);
    net.handle(2).set_fault(Fault::Replayed);
    let answers = net.ask(&request).await;
    assert_eq!(answers[0].body["signature"], good[1].body["signature"]);
    assert_eq!(answers[0].cid(), good[0].cid());
    let part = |answer: &Answer, bytes: std::ops::Range<usize>| {
        let signature: Bytes = serde_json::from_value(answer.body["signature"].clone()).unwrap();
        U256::from_be_slice(&signature[bytes])
    };
    let order = part(&good[1], 32..64) + part(&answers[1], 32..64);
    let secp256k1 = uint!(0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141_U256);
    assert_eq!(
        order, secp256k1,
        "the two `s` of one signature are each other's negative"
    );
    assert_eq!(part(&answers[1], 0..32), part(&good[1], 0..32));
    assert_eq!(part(&answers[1], 64..65) + part(&good[1], 64..65), U256::from(27 + 28));
    assert_eq!(answers[2].body, first[2].body);
    assert_ne!(answers[2].cid(), good[2].cid());
}

#[tokio::test]
async fn an_answer_can_go_wrong_on_the_wire_and_every_mode_has_a_name() {
    let net = Network::start().await;
    let request = net.draft([1]).build();
    // All are asked at once, because none recovers an exit alone; the answer of the first is what is looked at.
    let post = async || {
        let handles = net.oracles.handles();
        let each = handles.iter().map(|oracle| {
            let request = net.client.post(&oracle.endpoints()[0]).json(&request);
            request.send()
        });
        join_all(each).await.swap_remove(0)
    };
    let set = |act| net.handle(0).set_fault(Fault::Wire(act));
    set(Act::Truncated);
    let half = post().await.unwrap().text().await.unwrap();
    assert!(half.starts_with("{\"ipfs_hash\"") && !half.ends_with('}'), "{half}");
    set(Act::Redirect);
    let redirect = post().await.unwrap();
    assert_eq!(redirect.status(), 307);
    assert_eq!(redirect.headers()["location"], *net.handle(1).endpoints()[0]);
    set(Act::Status {
        code: 500,
        retry_after: None,
    });
    assert_eq!(post().await.unwrap().status(), 500);
    set(Act::Endless);
    let mut endless = post().await.unwrap();
    let mut read = 0;
    while read < 1_000_000 {
        read += endless.chunk().await.unwrap().unwrap().len();
    }
    set(Act::LoseReply);
    assert!(post().await.is_err());
    let modes = Fault::modes();
    let names: BTreeSet<_> = modes.iter().map(|(name, _)| *name).collect();
    assert_eq!(names.len(), 14);
}

#[tokio::test]
async fn too_few_oracles_recover_nothing_and_say_so() {
    let net = Network::start().await;
    for oracle in [0, 1, 2] {
        net.handle(oracle).set_fault(Fault::Refuse("not today".to_owned()));
    }
    for answer in &net.ask(&net.draft([1]).build()).await[3..] {
        assert_eq!(
            answer.detail(),
            "shards of 2 oracles arrived in time, 3 recover an exit signature"
        );
    }
}

#[tokio::test]
async fn the_node_oracle_can_refuse_and_vanish_too() {
    let net = Network::start().await;
    let request = net.draft([1]).build();
    let node = net.handle(NODE);
    node.set_fault(Fault::Refuse("out of office".to_owned()));
    until(&net, &request, 400).await;
    node.set_fault(Fault::Down);
    until(&net, &request, 0).await;
    node.set_fault(Fault::None);
    until(&net, &request, 200).await;
    assert!(node.refusals().contains(&"out of office".to_owned()));
}

/// Asks until the Node oracle answers with `status`: a fault reaches the process through a pipe.
async fn until(net: &Network, request: &Value, status: u16) {
    let mut last = None;
    for _ in 0..20 {
        last = net.ask(request).await.pop();
        if last.as_ref().is_some_and(|answer| answer.status == status) {
            return;
        }
    }
    panic!("the Node oracle never answered {status}, at last {last:?}");
}

#[tokio::test]
async fn the_hook_runs_once_for_a_request_after_every_oracle_has_checked_it() {
    let net = Network::start().await;
    let runs = Arc::new(AtomicUsize::new(0));
    let (chain, counter) = (net.chain.clone(), runs.clone());
    net.oracles.before_reply().set(move |_request| {
        let (chain, counter) = (chain.clone(), counter.clone());
        async move {
            counter.fetch_add(1, Ordering::SeqCst);
            chain
                .lock()
                .unwrap()
                .deposit(&ValidatorKey::new("in between"), DEPOSIT_GWEI, true);
        }
    });
    let stale = net.draft([1]).build();
    let answers = net.ask(&stale).await;
    assert_eq!(answers.len(), ORACLES);
    all_approve(&answers);
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    let refused = net.ask(&stale).await;
    assert!(
        refused
            .iter()
            .all(|answer| answer.detail() == "validators_root is not the root of the deposit contract")
    );
    net.oracles.before_reply().clear();
    let mut draft = net.draft([1]);
    draft.validator_index += 1;
    all_approve(&net.ask(&draft.build()).await);
}
