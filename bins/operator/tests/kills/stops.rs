//! SIGTERM: obeyed within five seconds, whatever is going on, and the next run does the rest.

use std::time::Duration;

use serde_json::{Value, json};
use sw_devnet::oracle::Fault;

use crate::{
    ground::{Ground, count, full, moment},
    setup::PATIENCE,
};

#[tokio::test]
async fn stopped_at_any_moment_it_obeys_and_the_next_run_goes_on() {
    let stops = count(3, 200);
    let mut ground = Ground::ready(stops as usize + 2).await;
    let span = ground.span().await;
    for number in 1..=stops {
        ground.pay_when_done().await;
        let mut running = ground.setup.person.start(&[]).unwrap();
        // A signal that comes before the program has looked for signals ends it by itself.
        running.says("keystores found", PATIENCE).await.unwrap();
        tokio::time::sleep(moment(number, span)).await;
        ground.stop(&mut running).await;
        ground.audit(&format!("stop {number}")).await;
    }
    ground.go_on("after the last stop").await;
    assert_eq!(ground.mined().await, ground.paid as u64, "a transaction each");
    ground.end("stopped at any moment").await;
}

#[tokio::test]
async fn stopped_while_all_oracles_hang_or_are_gone_it_obeys_and_the_next_run_goes_on() {
    let mut ground = Ground::ready(4).await;
    let faults = [Fault::Slow(Duration::from_secs(60)), Fault::Down];
    for fault in &faults[..if full() { 2 } else { 1 }] {
        ground.pay().await;
        for oracle in ground.setup.devnet.oracles() {
            oracle.set_fault(fault.clone());
        }
        for number in 0..count(1, 10) {
            let mut running = ground.setup.person.start(&[]).unwrap();
            running.says("asking the oracles for approval", PATIENCE).await.unwrap();
            tokio::time::sleep(moment(number, Duration::from_secs(3))).await;
            ground.stop(&mut running).await;
        }
        for oracle in ground.setup.devnet.oracles() {
            oracle.set_fault(Fault::None);
        }
        ground
            .go_on(&format!("stopped while all oracles were at {fault:?}"))
            .await;
    }
    assert_eq!(ground.mined().await, ground.paid as u64, "a transaction each");
    ground.end("stopped while all oracles are faulty").await;
}

#[tokio::test]
async fn stopped_while_a_transaction_waits_it_obeys_and_the_next_run_sends_no_second_one() {
    let mut ground = Ground::ready(4).await;
    let mining = async |ground: &Ground, seconds: u64| {
        let rpc = ground.setup.devnet.chain().rpc();
        let _: Value = rpc.request("evm_setIntervalMining", json!([seconds])).await.unwrap();
    };
    for number in 0..count(1, 3) {
        ground.pay().await;
        let mut running = ground.setup.person.start(&[]).unwrap();
        running.says("asking the oracles for approval", PATIENCE).await.unwrap();
        mining(&ground, 0).await;
        running.says("transaction sent", PATIENCE).await.unwrap();
        let written = ground.written();
        ground.stop(&mut running).await;
        let mut second = ground.setup.person.start(&[]).unwrap();
        second.says("operator started", PATIENCE).await.unwrap();
        tokio::time::sleep(moment(number, Duration::from_secs(3))).await;
        ground.stop(&mut second).await;
        assert_eq!(
            ground.written(),
            written,
            "another transaction was made:\n{}",
            second.log()
        );
        mining(&ground, 1).await;
        ground.go_on("stopped while a transaction waits").await;
    }
    assert_eq!(ground.mined().await, ground.paid as u64, "a transaction each");
    ground.end("stopped while a transaction waits").await;
}
