//! SIGKILL, and a failing disk, at the calls of the journal and of sending.

use crate::{
    ground::{Ground, count, full},
    setup::PATIENCE,
    traced::Traced,
};

/// Calls of the journal. Each is held for a moment before it is made, so that the kill comes before it.
const JOURNAL: &str = "write,fdatasync,fsync,ftruncate";

fn of_journal(ground: &Ground) -> String {
    let journal = ground.setup.person.vault_dir().join("transactions.journal");
    format!("-P {} -e trace={JOURNAL}", journal.display())
}

#[tokio::test]
async fn killed_at_a_call_of_the_journal_it_registers_each_validator_once() {
    let mut ground = Ground::ready(count(4, 24) as usize).await;
    // The first record of a journal is written, and made to last.
    ground.pay().await;
    for number in if full() { 1..=2 } else { 1..=1 } {
        let after = killed_at(&mut ground, number).await;
        after.expect("an intent is written and flushed");
    }
    ground.go_on("killed while the journal begins").await;
    // At reduced counts, when the intent is flushed. Else at each call, until a life makes none of that number: how much there
    // is to write down depends on what the last one left.
    for number in if full() { 1..=usize::MAX } else { 2..=2 } {
        ground.pay().await;
        let Some(after) = killed_at(&mut ground, number).await else {
            assert!(number > 4, "an intent and an outcome, each written and flushed");
            break;
        };
        ground.go_on(&after).await;
    }
    ground.end("killed at calls of the journal").await;
}

/// Kills the operator just before a call of the journal, or when it has done its work without that many.
async fn killed_at(ground: &mut Ground, number: usize) -> Option<String> {
    let held = format!("{} -e inject={JOURNAL}:delay_enter=300000", of_journal(ground));
    let traced = Traced::start(&ground.setup.person, &held);
    let is_done = || traced.running.log().contains("a validator takes 32");
    let came = traced.makes(|calls| calls.len() >= number || is_done()).await;
    let calls = traced.calls();
    assert!(came, "call {number} was not made:\n{}", traced.running.log());
    ground.kill(traced.running).await;
    let last = calls.last().cloned().unwrap_or_default();
    let after = format!("killed at call {number} of the journal: {last}");
    ground.audit(&after).await;
    (calls.len() >= number).then_some(after)
}

#[tokio::test]
async fn killed_when_a_transaction_is_handed_out_it_sends_no_second_one() {
    let mut ground = Ground::ready(count(4, 12) as usize).await;
    let sending = |calls: &[String]| calls.iter().any(|call| call.contains("eth_sendRawTransaction"));
    let sockets = "-e trace=sendto,writev,sendmsg,write -s 400";
    // Just before the bytes leave, and when they have left.
    for delay in if full() { &["enter", "exit"][..] } else { &["exit"] } {
        for _ in 0..if full() { 5 } else { 1 } {
            ground.pay().await;
            let held = format!("{sockets} -e inject=sendto,writev,sendmsg,write:delay_{delay}=20000");
            let traced = Traced::start(&ground.setup.person, &held);
            assert!(
                traced.makes(sending).await,
                "nothing was sent:\n{}",
                traced.running.log()
            );
            ground.kill(traced.running).await;
            let after = format!("killed at the {delay} of a send");
            ground.audit(&after).await;
            ground.go_on(&after).await;
        }
    }
    assert_eq!(ground.mined().await, ground.paid as u64, "a transaction each");
    ground.end("killed when a transaction is handed out").await;
}

#[tokio::test]
async fn a_disk_that_takes_no_record_keeps_a_transaction_from_being_sent() {
    let mut ground = Ground::ready(count(4, 12) as usize).await;
    ground.pay().await;
    ground.go_on("before").await;
    let faults: &[(&str, &str)] = &[
        ("write", "ENOSPC"),
        ("fdatasync", "EIO"),
        ("write", "EIO"),
        ("fdatasync", "ENOSPC"),
    ];
    for (call, reason) in &faults[..if full() { 4 } else { 1 }] {
        ground.pay().await;
        let (mined, written) = (ground.mined().await, ground.written());
        let failing = format!("{} -e inject={call}:error={reason}", of_journal(&ground));
        let traced = Traced::start(&ground.setup.person, &failing);
        let said = traced.running.says("transaction journal", PATIENCE).await.unwrap();
        let why = match *reason {
            "ENOSPC" => "No space left on device",
            _ => "Input/output error",
        };
        assert!(said.contains(why) && said.contains("transactions.journal"), "{said}");
        ground.kill(traced.running).await;
        let after = format!("{reason} at {call}");
        assert_eq!((ground.mined().await, ground.written()), (mined, written), "{after}");
        ground.go_on(&after).await;
    }
    ground.end("a disk that takes no record").await;
}
