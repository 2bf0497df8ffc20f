//! Oracles that are told to misbehave, and the moment before they reply.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde_json::Value;
use sw_devnet::oracle::Fault;

use crate::{DEPOSIT_GWEI, NODE, NOW, Network, ORACLES, VALIDITY, ValidatorKey, all_approve};

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
