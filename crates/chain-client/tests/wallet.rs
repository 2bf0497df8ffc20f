//! The hot wallet on a chain that loses replies, restarts, forks, and has other senders.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code"
)]

#[path = "support/chain.rs"]
mod chain;
mod support;

use std::time::Duration;

use alloy::consensus::{Transaction, transaction::SignerRecoverable};
use chain::{Fault, GWEI, Scene};
use serde_json::{Value, json};
use support::{HEAD, execution, options};
use sw_chain_client::{Address, B256, Bytes, Call, EntryState, FeeError, Journal, SendError, WaitError};
use sw_spec::PublicKeyBytes;

#[tokio::test]
async fn a_transaction_is_sent_and_mined() {
    let scene = Scene::new().await;
    let sent = scene.send("register").await.unwrap();
    assert_eq!(
        (sent.nonce, sent.gas_limit, sent.kind.as_str()),
        (0, 120_000, "register")
    );
    assert_eq!(
        (sent.fees.max_priority_fee_per_gas, sent.fees.max_fee_per_gas),
        (2 * GWEI, 6 * GWEI)
    );
    let transaction = scene.chain().arrived[&sent.hash].clone();
    assert_eq!(transaction.recover_signer().unwrap(), scene.wallet.address());
    assert_eq!(
        (transaction.to(), transaction.input()),
        (Some(Address::repeat_byte(9)), &Bytes::from(vec![1, 2, 3]))
    );
    assert_eq!(
        (transaction.max_fee_per_gas(), transaction.max_priority_fee_per_gas()),
        (6 * GWEI, Some(2 * GWEI))
    );
    assert_eq!(transaction.gas_limit(), 120_000);

    let error = scene
        .wallet
        .wait_mined(&sent, Duration::from_millis(60))
        .await
        .unwrap_err();
    assert!(matches!(error, WaitError::NotMined { .. }) && error.is_retryable());
    scene.chain().mine();
    let mined = scene.wallet.wait_mined(&sent, Duration::from_secs(5)).await.unwrap();
    assert_eq!((mined.block, mined.success, mined.gas_used), (HEAD + 1, true, 21_000));
    assert_eq!(scene.wallet.reconcile().await.unwrap(), []);
    assert!(!format!("{:?}", scene.wallet).contains("7, 7"));
}

#[tokio::test]
async fn one_of_a_kind_is_in_flight_and_other_kinds_take_the_next_nonce() {
    let scene = Scene::new().await;
    let first = scene.send("register").await.unwrap();
    let error = scene.send("register").await.unwrap_err();
    assert!(
        matches!(error, SendError::InFlight { hash, nonce: 0, .. } if hash == first.hash),
        "{error}"
    );
    assert!(error.is_retryable());
    let second = scene.send("harvest").await.unwrap();
    assert_eq!(second.nonce, 1);
    let waiting = scene.wallet.reconcile().await.unwrap();
    assert_eq!(
        waiting.iter().map(|entry| entry.hash).collect::<Vec<_>>(),
        [first.hash, second.hash]
    );
    assert_eq!(waiting[0].keys, [PublicKeyBytes([1; 48])]);
    scene.chain().mine();
    assert_eq!(scene.send("register").await.unwrap().nonce, 2);
}

#[tokio::test]
async fn a_lost_reply_is_looked_up() {
    for fault in [Fault::LoseReply, Fault::AlreadyKnown] {
        let scene = Scene::new().await;
        scene.chain().fault = fault;
        let sent = scene.send("register").await.unwrap();
        assert_eq!(scene.chain().waiting.get(&0), Some(&sent.hash), "{fault:?}");
        assert!(matches!(scene.send("register").await, Err(SendError::InFlight { .. })));
        assert_eq!(scene.chain().arrived.len(), 1);
    }
}

#[tokio::test]
async fn a_transaction_that_never_arrived_leaves_its_nonce_to_the_next() {
    for fault in [Fault::LoseRequest, Fault::Reject] {
        let scene = Scene::new().await;
        scene.chain().fault = fault;
        let error = scene.send("register").await.unwrap_err();
        assert!(error.is_retryable());
        match fault {
            Fault::Reject => assert!(error.to_string().contains("txpool is full"), "{error}"),
            _ => assert!(matches!(error, SendError::Unconfirmed { .. }), "{error}"),
        }
        scene.chain().fault = Fault::None;
        let scene = scene.restart().await;
        assert_eq!(scene.send("register").await.unwrap().nonce, 0, "{fault:?}");
    }
}

#[tokio::test]
async fn many_refusals_do_not_make_the_next_look_expensive() {
    let scene = Scene::new().await;
    scene.chain().fault = Fault::Reject;
    for data in 0..3 {
        let call = Call::new(Address::repeat_byte(9), vec![data].into());
        let error = scene.wallet.send("register", &[], &call).await.unwrap_err();
        assert!(matches!(error, SendError::Rejected { .. }), "{error}");
    }
    scene.chain().fault = Fault::None;
    let before = scene.node.count("eth_getTransactionReceipt");
    assert_eq!(scene.send("register").await.unwrap().nonce, 0);
    assert_eq!(scene.node.count("eth_getTransactionReceipt"), before);
    scene.chain().mine();
    assert_eq!(scene.wallet.reconcile().await.unwrap(), []);
    assert_eq!(scene.send("register").await.unwrap().nonce, 1);
}

#[tokio::test]
async fn a_transaction_that_turns_up_late_counts_as_ours() {
    let scene = Scene::new().await;
    scene.chain().fault = Fault::LoseRequest;
    let Err(SendError::Unconfirmed { sent, .. }) = scene.send("register").await else {
        panic!("in doubt")
    };
    scene.chain().fault = Fault::None;
    let journal = std::fs::read_to_string(scene.directory.path().join("journal")).unwrap();
    let raw = journal
        .split("\"raw\":\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    assert_eq!(scene.chain().take(&raw), sent.hash);
    scene.chain().mine();
    assert_eq!(scene.wallet.reconcile().await.unwrap(), []);
    assert_eq!(scene.send("register").await.unwrap().nonce, 1);
}

#[tokio::test]
async fn what_was_in_flight_is_known_after_a_restart() {
    let scene = Scene::new().await;
    let sent = scene.send("register").await.unwrap();
    let scene = scene.restart().await;
    let waiting = scene.wallet.reconcile().await.unwrap();
    assert_eq!((waiting[0].hash, waiting[0].state), (sent.hash, EntryState::Sent));
    scene.chain().mine();
    let scene = scene.restart().await;
    assert_eq!(scene.wallet.reconcile().await.unwrap(), []);
    drop(scene.wallet);
    let journal = Journal::open(&scene.directory.path().join("journal")).unwrap();
    assert_eq!(
        journal.entries()[0].state,
        EntryState::Mined {
            block: HEAD + 1,
            success: true
        }
    );
}

#[tokio::test]
async fn a_node_that_has_not_come_to_the_block_of_a_transaction_does_not_send_it_again() {
    let scene = Scene::new().await;
    let sent = scene.send("register").await.unwrap();
    scene.chain().mine();
    scene.chain().lag = 1;
    for look in 0..2 {
        if look == 1 {
            scene.wallet.wait_mined(&sent, Duration::from_secs(5)).await.unwrap();
        }
        let waiting = scene.wallet.reconcile().await.unwrap();
        assert_eq!(waiting.first().map(|entry| entry.hash), Some(sent.hash), "look {look}");
        let error = scene.send("register").await.unwrap_err();
        assert!(
            matches!(error, SendError::InFlight { hash, .. } if hash == sent.hash),
            "{error}"
        );
    }
    scene.chain().lag = 0;
    assert_eq!(scene.wallet.reconcile().await.unwrap(), []);
    assert_eq!(scene.send("register").await.unwrap().nonce, 1);
}

#[tokio::test]
async fn a_receipt_that_comes_a_few_looks_late_is_not_taken_for_another_operator() {
    let scene = Scene::new().await;
    let sent = scene.send("register").await.unwrap();
    scene.chain().mine();
    let receipt = scene
        .chain()
        .mined
        .insert(0, (B256::repeat_byte(0xff), HEAD + 1))
        .unwrap();
    let late = async {
        tokio::time::sleep(options().poll_interval * 6).await;
        scene.chain().mined.insert(0, receipt);
    };
    let (waiting, ()) = tokio::join!(scene.wallet.reconcile(), late);
    assert_eq!(waiting.unwrap(), [], "{}", sent.hash);
}

#[tokio::test]
async fn a_node_that_lags_behind_the_journal_gives_out_no_used_nonce() {
    let scene = Scene::new().await;
    scene.chain().mine_foreign();
    assert_eq!(scene.wallet.reconcile().await.unwrap(), []);
    scene.chain().lag = 1;
    assert_eq!(scene.send("register").await.unwrap().nonce, 1);
}

#[tokio::test]
async fn another_operator_with_the_same_wallet_is_noticed() {
    let scene = Scene::new().await;
    let sent = scene.send("register").await.unwrap();
    scene.chain().mine();
    scene.wallet.wait_mined(&sent, Duration::from_secs(5)).await.unwrap();
    scene.chain().mine_foreign();
    let error = scene.send("register").await.unwrap_err();
    assert!(matches!(error, SendError::AnotherOperator { nonce: 1, .. }), "{error}");
    assert!(!error.is_retryable());
    assert!(
        error.to_string().contains("another operator uses this wallet"),
        "{error}"
    );

    let scene = scene.restart().await;
    assert!(matches!(
        scene.wallet.reconcile().await,
        Err(SendError::AnotherOperator { nonce: 1, .. })
    ));
    assert_eq!(scene.wallet.adopt().await.unwrap(), 2);
    assert_eq!(scene.send("register").await.unwrap().nonce, 2);
}

#[tokio::test]
async fn another_operator_who_takes_our_nonce_is_noticed() {
    let scene = Scene::new().await;
    scene.send("register").await.unwrap();
    scene.chain().mine_foreign();
    let error = scene.send("register").await.unwrap_err();
    assert!(matches!(error, SendError::AnotherOperator { nonce: 0, .. }), "{error}");
}

#[tokio::test]
async fn another_operators_waiting_transaction_is_noticed() {
    let scene = Scene::new().await;
    scene.chain().foreign_waiting = 1;
    let error = scene.send("register").await.unwrap_err();
    assert!(
        matches!(error, SendError::NotSettled { .. }) && error.is_retryable(),
        "{error}"
    );
    scene.chain().foreign_waiting = 0;
    scene.send("register").await.unwrap();
    scene.chain().foreign_waiting = 1;
    let error = scene.send("harvest").await.unwrap_err();
    assert!(matches!(error, SendError::AnotherOperator { nonce: 1, .. }), "{error}");
}

#[tokio::test]
async fn a_wallet_with_a_past_begins_its_journal_there() {
    let scene = Scene::new().await;
    for _ in 0..5 {
        scene.chain().mine_foreign();
    }
    assert_eq!(scene.send("register").await.unwrap().nonce, 5);
}

#[tokio::test]
async fn a_transaction_that_a_reorganisation_dropped_is_not_counted_as_mined() {
    let scene = Scene::new().await;
    let sent = scene.send("register").await.unwrap();
    scene.chain().mine();
    scene.wallet.wait_mined(&sent, Duration::from_secs(5)).await.unwrap();
    scene.chain().mined.clear();
    scene.chain().waiting.insert(0, sent.hash);
    assert_eq!(
        scene.wallet.reconcile().await.unwrap()[0].hash,
        sent.hash,
        "it waits again"
    );
    scene.chain().waiting.clear();
    assert_eq!(scene.send("register").await.unwrap().nonce, 0, "it is gone");
}

#[tokio::test]
async fn what_would_revert_is_not_sent() {
    let scene = Scene::new().await;
    scene.chain().estimate = Err(json!("0xdf0d12d5"));
    let error = scene.send("register").await.unwrap_err();
    assert!(
        matches!(&error, SendError::Reverted { revert } if revert.is("InvalidValidatorsRegistryRoot")),
        "{error}"
    );
    assert_eq!(scene.chain().attempts, 0);
    drop(scene.wallet);
    assert_eq!(
        Journal::open(&scene.directory.path().join("journal"))
            .unwrap()
            .entries(),
        []
    );
}

#[tokio::test]
async fn gas_above_the_limit_is_not_paid() {
    let scene = Scene::new().await;
    scene.chain().tips = json!([["0x2540be400"]]);
    let error = scene.send("register").await.unwrap_err();
    assert!(matches!(error, SendError::Fees(FeeError::AboveLimit { .. })), "{error}");
    assert!(error.is_retryable());
    assert_eq!(scene.chain().attempts, 0);
}

#[tokio::test]
async fn without_a_history_the_node_suggests_the_tip() {
    let scene = Scene::new().await;
    for tips in [Value::Null, json!([]), json!([[]])] {
        scene.chain().tips = tips;
        let snapshot = execution(&[&scene.node]).head().await.unwrap();
        assert_eq!(
            scene.wallet.fees(&snapshot).await.unwrap().max_priority_fee_per_gas,
            2 * GWEI
        );
    }
}

#[tokio::test]
async fn a_wallet_that_cannot_pay_does_not_try() {
    let scene = Scene::new().await;
    scene.chain().balance = json!("0x1000");
    let error = scene.send("register").await.unwrap_err();
    assert!(matches!(error, SendError::InsufficientFunds { .. }), "{error}");
    assert_eq!(scene.chain().attempts, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn duties_that_send_at_once_get_one_nonce_each() {
    let scene = Scene::new().await;
    let sends = (0..40).map(|index| {
        let wallet = scene.wallet.clone();
        async move {
            let call = Call::new(Address::repeat_byte(9), vec![index].into());
            wallet.send(&format!("duty {index}"), &[], &call).await.unwrap().nonce
        }
    });
    let mut nonces = futures::future::join_all(sends).await;
    nonces.sort_unstable();
    assert_eq!(nonces, (0..40).collect::<Vec<_>>());
    scene.chain().mine();
    assert_eq!(scene.chain().mined.len(), 40);
    assert_eq!(scene.wallet.reconcile().await.unwrap(), []);
}

#[tokio::test]
async fn a_duty_that_is_cancelled_does_not_cut_off_a_delivery() {
    let mut cut = [0, 0];
    for pause in [0, 2, 5, 8, 10, 15, 20, 30, 50] {
        let scene = Scene::new().await;
        let sending = tokio::time::timeout(Duration::from_millis(pause), scene.send("register")).await;
        scene.wallet.settle().await;
        let arrived: Vec<_> = scene.chain().arrived.keys().copied().collect();
        // The file may still be in use by the write of a look that was cut off.
        let copy = scene.directory.path().join("copy");
        std::fs::copy(scene.directory.path().join("journal"), &copy).unwrap();
        let journal = Journal::open(&copy).unwrap();
        let recorded: Vec<_> = journal.entries().iter().map(|entry| entry.hash).collect();
        assert_eq!(arrived, recorded, "recorded and delivered, or neither");
        if sending.is_err() {
            cut[recorded.len()] += 1;
        }
    }
    assert!(cut[0] > 0, "some were cut off before they were recorded: {cut:?}");
}

#[tokio::test]
async fn replies_that_are_lost_at_random_never_send_anything_twice() {
    let scene = Scene::new().await;
    let mut registered = 0;
    for round in 0..40_u64 {
        scene.chain().fault = match round % 10 {
            3 => Fault::LoseReply,
            7 => Fault::AlreadyKnown,
            _ => Fault::None,
        };
        match scene.send("register").await {
            Ok(_) => registered += 1,
            Err(error) => assert!(error.is_retryable(), "{error}"),
        }
        scene.chain().mine();
    }
    assert_eq!(scene.chain().mined.len(), registered);
    assert_eq!(scene.chain().arrived.len(), registered);
    assert_eq!(scene.wallet.reconcile().await.unwrap(), []);
}

#[tokio::test]
async fn a_nonce_that_is_said_to_be_used_may_have_been_used_by_this_very_transaction() {
    let scene = Scene::new().await;
    scene.chain().fault = Fault::NonceTooLow;
    let sent = scene.send("register").await.unwrap();
    assert_eq!(scene.chain().mined[&0].0, sent.hash);
    scene.chain().fault = Fault::None;
    assert_eq!(scene.send("register").await.unwrap().nonce, 1);
}

#[tokio::test]
async fn a_node_that_says_it_knows_what_it_does_not_is_not_believed_and_the_transaction_is_sent_again() {
    let scene = Scene::new().await;
    scene.chain().fault = Fault::Pretend;
    let Err(SendError::Unconfirmed { sent, reason }) = scene.send("register").await else {
        panic!("in doubt")
    };
    assert!(reason.contains("already known"), "{reason}");
    assert_eq!(scene.journal()[0].state, EntryState::Intended);
    scene.chain().fault = Fault::None;
    scene.tend("register").await;
    assert_eq!(scene.chain().waiting[&0], sent.hash);
}

/// Four duties, each with its own kind, 25 times each, or as often as `WALLET_SENDS` says: each waits for the disk.
#[tokio::test(flavor = "multi_thread")]
async fn four_duties_that_send_without_pause_use_each_nonce_once() {
    let times: u64 = std::env::var("WALLET_SENDS").map_or(25, |times| times.parse().unwrap());
    let scene = Scene::new().await;
    // In blocks so far apart that what is mined is not looked at again.
    scene.chain().mines_at_once = Some(64);
    let duties = (0..4).map(|duty| {
        let wallet = scene.wallet.clone();
        async move {
            let mut nonces = Vec::new();
            for time in 0..times {
                let call = Call::new(Address::repeat_byte(9), time.to_be_bytes().to_vec().into());
                let sent = wallet.send(&format!("duty {duty}"), &[], &call).await.unwrap();
                nonces.push(sent.nonce);
            }
            nonces
        }
    });
    let mut nonces: Vec<u64> = futures::future::join_all(duties).await.concat();
    nonces.sort_unstable();
    assert_eq!(nonces, (0..4 * times).collect::<Vec<_>>());
    let arrived = scene.chain().arrived.len();
    let mined = scene.chain().mined.len();
    assert_eq!((arrived as u64, mined as u64), (4 * times, 4 * times));
    assert_eq!(scene.wallet.reconcile().await.unwrap(), []);
}
