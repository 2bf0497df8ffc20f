//! What the wallet does about transactions that are stuck, lost or useless.
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

use alloy::consensus::{Transaction, TxEnvelope};
use chain::{Fault, GWEI, LIMITS, SLOT, Scene, calldata};
use serde_json::json;
use support::HEAD;
use sw_chain_client::{Address, B256, Call, EntryState, FeeLimits, SendError, Step, Tended, Unless};

fn step(tended: &Tended) -> Step {
    tended.waiting.as_ref().expect("one waits").step
}

fn hash(tended: &Tended) -> B256 {
    tended.waiting.as_ref().expect("one waits").hash
}

fn fees(transaction: &TxEnvelope) -> (u128, u128) {
    (
        transaction.max_fee_per_gas(),
        transaction.max_priority_fee_per_gas().unwrap(),
    )
}

/// An eighth more of both at least, and not more than the limit: as signed.
fn assert_raised(old: &TxEnvelope, new: &TxEnvelope) {
    let ((old_fee, old_tip), (fee, tip)) = (fees(old), fees(new));
    assert!(
        fee * 8 >= old_fee * 9 && tip * 8 >= old_tip * 9,
        "{old_fee} {old_tip} -> {fee} {tip}"
    );
    assert!(tip <= fee && fee <= LIMITS.max_fee_per_gas);
    assert_eq!(old.nonce(), new.nonce());
}

fn assert_nothing(scene: &Scene, transaction: &TxEnvelope) {
    assert_eq!(transaction.to(), Some(scene.wallet.address()));
    assert!(transaction.input().is_empty() && transaction.value().is_zero());
    assert_eq!(transaction.gas_limit(), 21_000);
}

#[tokio::test]
async fn what_is_mined_soon_is_left_alone_and_told_once() {
    let scene = Scene::new().await;
    assert_eq!(scene.tend("register").await.waiting, None);
    let sent = scene.send("register").await.unwrap();
    scene.chain().tips = json!([["0xb2d05e00"]]);
    for blocks in 0..3 {
        let tended = scene.tend("register").await;
        let waiting = tended.waiting.unwrap();
        assert_eq!(
            (waiting.hash, waiting.step, waiting.blocks),
            (sent.hash, Step::Waits, Some(blocks))
        );
        assert_eq!((waiting.offers, waiting.asks), (6 * GWEI, Some(5 * GWEI)));
        scene.chain().pass(1);
    }
    scene.chain().mine();
    assert_eq!(scene.tend("harvest").await.mined, []);
    let tended = scene.tend("register").await;
    assert_eq!((tended.waiting, tended.mined.len()), (None, 1));
    assert_eq!((tended.mined[0].hash, tended.mined[0].keys.len()), (sent.hash, 1));
    assert_eq!(
        tended.mined[0].state,
        EntryState::Mined {
            block: HEAD + 4,
            success: true
        }
    );
    assert_eq!(scene.tend("register").await.mined, []);
    assert_eq!(scene.chain().attempts, 1);
}

#[tokio::test]
async fn what_offers_less_than_the_market_asks_is_replaced_after_some_blocks_and_mined_once() {
    let scene = Scene::new().await;
    let sent = scene.send("register").await.unwrap();
    scene.chain().tips = json!([["0xb2d05e00"]]);
    scene.chain().pass(3);
    let tended = scene.tend("register").await;
    assert_eq!(step(&tended), Step::Replaced);
    assert_eq!(tended.waiting.as_ref().unwrap().blocks, Some(3), "since the first");
    let (old, new) = (scene.arrived(sent.hash), scene.arrived(hash(&tended)));
    assert_raised(&old, &new);
    assert_eq!(fees(&new), (7 * GWEI, 3 * GWEI), "what the market asks");
    assert_eq!(
        (new.input(), new.to(), new.gas_limit()),
        (old.input(), old.to(), old.gas_limit())
    );

    assert_eq!(
        step(&scene.tend("register").await),
        Step::Waits,
        "it has just been replaced"
    );
    assert!(matches!(scene.send("register").await, Err(SendError::InFlight { hash, .. }) if hash == *new.tx_hash()));
    let scene = scene.restart().await;
    assert_eq!(hash(&scene.tend("register").await), *new.tx_hash());
    scene.chain().mine();
    assert_eq!(scene.tend("register").await.mined[0].hash, *new.tx_hash());
    let states: Vec<_> = scene.journal().iter().map(|entry| (entry.hash, entry.state)).collect();
    let mined = EntryState::Mined {
        block: HEAD + 4,
        success: true,
    };
    assert_eq!(states, [(sent.hash, EntryState::Replaced), (*new.tx_hash(), mined)]);
    assert_eq!(scene.send("register").await.unwrap().nonce, 1);
}

#[tokio::test]
async fn the_original_may_be_mined_after_all() {
    let scene = Scene::new().await;
    let sent = scene.send("register").await.unwrap();
    scene.chain().base_fee = 7 * GWEI;
    scene.chain().tips = json!([["0x3b9aca00"]]);
    scene.chain().pass(1);
    let replaced = scene.tend("register").await;
    assert_eq!(step(&replaced), Step::Replaced);
    scene.chain().waiting.insert(0, sent.hash);
    scene.chain().base_fee = GWEI;
    scene.chain().mine();
    assert_eq!(scene.tend("register").await.mined[0].hash, sent.hash);
    let journal = scene.journal();
    assert!(matches!(journal[0].state, EntryState::Mined { .. }));
    assert_eq!(
        (journal[1].hash, journal[1].state),
        (hash(&replaced), EntryState::Replaced)
    );
}

#[tokio::test]
async fn a_base_fee_above_the_offer_is_met_at_the_next_block_and_never_above_the_limit() {
    let scene = Scene::new().await;
    let mut last = scene.send("register").await.unwrap().hash;
    let mut raised = 0;
    for _ in 0..200 {
        let base_fee = scene.chain().base_fee * 9 / 8;
        scene.chain().base_fee = base_fee.min(40 * GWEI);
        scene.chain().pass(1);
        let tended = scene.tend("register").await;
        match step(&tended) {
            Step::Replaced => {
                assert_raised(&scene.arrived(last), &scene.arrived(hash(&tended)));
                raised += 1;
                last = hash(&tended);
            }
            Step::Waits | Step::AtLimit => assert_eq!(hash(&tended), last),
            other => panic!("{other:?}"),
        }
    }
    assert!(raised > 0);
    assert_eq!(step(&scene.tend("register").await), Step::AtLimit);
    assert_eq!(scene.chain().waiting.len(), 1);
    assert_eq!(scene.chain().attempts, raised + 1, "nothing is sent in vain");
    scene.chain().base_fee = 2 * GWEI;
    scene.chain().mine();
    assert_eq!(scene.tend("register").await.mined[0].hash, last);
}

#[tokio::test]
async fn what_became_useless_is_cancelled_and_another_may_be_sent_after_that() {
    let scene = Scene::new().await;
    let sent = scene.send("register").await.unwrap();
    scene.chain().useless.insert(calldata("register"));
    let tended = scene.tend("register").await;
    assert_eq!(step(&tended), Step::Cancelled);
    let cancel = scene.arrived(hash(&tended));
    assert_raised(&scene.arrived(sent.hash), &cancel);
    assert_nothing(&scene, &cancel);
    assert_eq!(step(&scene.tend("register").await), Step::Cancelled, "once");
    assert!(matches!(scene.send("register").await, Err(SendError::InFlight { .. })));
    assert_eq!(scene.chain().attempts, 2);
    let scene = scene.restart().await;
    assert_eq!(step(&scene.tend("register").await), Step::Cancelled);
    scene.chain().mine();
    let tended = scene.tend("register").await;
    assert_eq!(
        (tended.waiting, tended.mined),
        (None, vec![]),
        "nobody registered anything"
    );
    let journal = scene.journal();
    assert_eq!((journal[0].state, journal[0].cancels), (EntryState::Replaced, false));
    assert!(matches!(journal[1].state, EntryState::Mined { .. }) && journal[1].cancels);
    assert_eq!(scene.send("register").await.unwrap().nonce, 1);
}

#[tokio::test]
async fn what_its_duty_does_not_want_any_more_is_cancelled_by_it_alone() {
    let scene = Scene::new().await;
    scene.send("harvest").await.unwrap();
    assert_eq!(scene.wallet.tend("register", false).await.unwrap().waiting, None);
    assert_eq!(scene.chain().attempts, 1);
    assert_eq!(
        step(&scene.wallet.tend("harvest", false).await.unwrap()),
        Step::Cancelled
    );
}

#[tokio::test]
async fn a_cancellation_that_offers_too_little_is_replaced_too_and_one_above_the_limit_waits() {
    let scene = Scene::new().await;
    scene.send("register").await.unwrap();
    scene.chain().useless.insert(calldata("register"));
    let first = scene.tend("register").await;
    scene.chain().base_fee = 7 * GWEI;
    scene.chain().pass(1);
    scene.chain().tips = json!([["0x3b9aca00"]]);
    let second = scene.tend("register").await;
    assert_eq!(step(&second), Step::Replaced);
    assert_raised(&scene.arrived(hash(&first)), &scene.arrived(hash(&second)));
    assert_nothing(&scene, &scene.arrived(hash(&second)));
    scene.chain().base_fee = 11 * GWEI;
    scene.chain().pass(1);
    assert_eq!(step(&scene.tend("register").await), Step::AtLimit);

    let scene = Scene::new().await;
    scene.chain().base_fee = 5 * GWEI;
    let sent = scene.send("register").await.unwrap();
    assert_eq!(sent.fees.max_fee_per_gas, LIMITS.max_fee_per_gas);
    scene.chain().useless.insert(calldata("register"));
    let tended = scene.tend("register").await;
    assert_eq!((step(&tended), hash(&tended)), (Step::AtLimit, sent.hash));
    assert_eq!(scene.chain().attempts, 1);
}

#[tokio::test]
async fn what_no_node_knows_any_more_is_sent_again_as_it_was() {
    let scene = Scene::new().await;
    let sent = scene.send("register").await.unwrap();
    scene.chain().waiting.clear();
    let scene = scene.restart().await;
    let tended = scene.tend("register").await;
    assert_eq!((step(&tended), hash(&tended)), (Step::Resent, sent.hash));
    assert_eq!(scene.chain().waiting.get(&0), Some(&sent.hash));
    assert_eq!(scene.journal().len(), 1);
    scene.chain().mine();
    assert_eq!(scene.tend("register").await.mined.len(), 1);
}

#[tokio::test]
async fn what_was_recorded_and_not_sent_before_a_crash_is_sent() {
    let scene = Scene::new().await;
    scene.chain().fault = Fault::LoseRequest;
    let Err(SendError::Unconfirmed { sent, .. }) = scene.send("register").await else {
        panic!("in doubt")
    };
    scene.chain().fault = Fault::None;
    let scene = scene.restart().await;
    let tended = scene.tend("harvest").await;
    assert_eq!(tended.waiting, None, "another kind does not wait for it");
    assert!(
        scene.chain().waiting.is_empty(),
        "only who sends registrations knows whether it is wanted"
    );
    assert_eq!(hash(&scene.tend("register").await), sent.hash);
    assert_eq!(scene.chain().waiting.get(&0), Some(&sent.hash));
}

#[tokio::test]
async fn what_another_kind_does_too_is_sent_neither_beside_it_nor_on_a_decision_from_before_it() {
    let scene = Scene::new().await;
    let register = scene.send("register").await.unwrap();
    let harvest = Call::new(Address::repeat_byte(9), calldata("harvest"));
    let send = async |decided_at| {
        let kinds = &["register"];
        let unless = Unless { kinds, decided_at };
        scene.wallet.send_unless(unless, "harvest", &[], &harvest).await
    };
    let beside = scene.wallet.tend("harvest", true).await.unwrap().beside;
    assert!(matches!(&beside[..], [one] if one.hash == register.hash && one.kind == "register"));
    let refused = send(HEAD).await.unwrap_err();
    assert!(
        matches!(&refused, SendError::InFlight { kind, nonce: 0, .. } if kind == "register"),
        "{refused}"
    );
    scene.chain().mine();
    let refused = send(HEAD).await.unwrap_err();
    assert!(
        matches!(refused, SendError::Overtaken { hash, block } if (hash, block) == (register.hash, HEAD + 1)),
        "{refused}"
    );
    assert!(refused.is_retryable());
    assert_eq!(send(HEAD + 1).await.unwrap().nonce, 1);
}

#[tokio::test]
async fn what_is_lost_and_useless_leaves_its_nonce_without_a_cancellation() {
    let scene = Scene::new().await;
    let old = scene.send("register").await.unwrap();
    scene.chain().waiting.clear();
    scene.chain().useless.insert(calldata("register"));
    assert_eq!(scene.tend("register").await.waiting, None);
    assert_eq!(scene.chain().attempts, 1);
    scene.chain().tips = json!([["0xb2d05e00"]]);
    let sent = scene.send("register").await.unwrap();
    assert_ne!(sent.hash, old.hash);
    assert_eq!(sent.nonce, old.nonce, "only one of the two can ever be mined");
    scene.chain().mine();
    assert_eq!(scene.tend("register").await.mined[0].hash, sent.hash);
}

#[tokio::test]
async fn a_dropped_nonce_under_one_that_waits_is_filled() {
    for useful in [true, false] {
        let scene = Scene::new().await;
        let harvest = scene.send("harvest").await.unwrap();
        let register = scene.send("register").await.unwrap();
        scene.chain().waiting.remove(&harvest.nonce);
        let scene = scene.restart().await;
        let tended = scene.wallet.tend("harvest", useful).await.unwrap();
        if useful {
            assert_eq!((step(&tended), hash(&tended)), (Step::Resent, harvest.hash));
        } else {
            assert_eq!(step(&tended), Step::Cancelled);
            assert_nothing(&scene, &scene.arrived(hash(&tended)));
        }
        let tended = scene.tend("register").await;
        assert_eq!(
            (step(&tended), hash(&tended)),
            (Step::Behind { nonce: 0 }, register.hash)
        );
        scene.chain().mine();
        assert_eq!(scene.chain().mined.len(), 2);
        assert_eq!(scene.tend("register").await.mined[0].hash, register.hash);
    }
}

#[tokio::test]
async fn a_gap_under_one_that_was_lost_does_not_let_it_turn_up_beside_another() {
    let scene = Scene::new().await;
    scene.send("harvest").await.unwrap();
    let register = scene.send("register").await.unwrap();
    scene.chain().waiting.clear();
    assert!(
        matches!(scene.send("register").await, Err(SendError::InFlight { hash, .. }) if hash == register.hash),
        "a second one at the lower nonce could be mined beside it"
    );
    assert_eq!(
        step(&scene.wallet.tend("harvest", false).await.unwrap()),
        Step::Cancelled
    );
    scene.chain().mine();
    assert_eq!(hash(&scene.tend("register").await), register.hash);
    scene.chain().mine();
    assert_eq!(scene.tend("register").await.mined[0].hash, register.hash);
}

#[tokio::test]
async fn what_is_above_a_limit_that_was_lowered_is_not_sent_again() {
    let lowered = FeeLimits {
        max_fee_per_gas: 5 * GWEI,
        ..LIMITS
    };
    let scene = Scene::new().await;
    let harvest = scene.send("harvest").await.unwrap();
    assert_eq!(harvest.fees.max_fee_per_gas, 6 * GWEI);
    scene.chain().waiting.clear();
    let scene = scene.restart_with(lowered);
    assert_eq!(scene.tend("harvest").await.waiting, None);
    assert_eq!(scene.chain().attempts, 1);
    let sent = scene.send("harvest").await.unwrap();
    assert_eq!((sent.nonce, sent.fees.max_fee_per_gas), (0, 5 * GWEI));
}

#[tokio::test]
async fn what_a_reorganisation_took_out_is_put_back() {
    for comes_back in [true, false] {
        let scene = Scene::new().await;
        let sent = scene.send("register").await.unwrap();
        scene.chain().mine();
        scene.tend("register").await;
        scene.chain().reorganise(1, comes_back);
        let scene = scene.restart().await;
        let tended = scene.tend("register").await;
        let expected = if comes_back { Step::Waits } else { Step::Resent };
        assert_eq!((step(&tended), hash(&tended)), (expected, sent.hash));
        assert!(matches!(scene.send("register").await, Err(SendError::InFlight { .. })));
        scene.chain().mine();
        assert_eq!(scene.tend("register").await.mined[0].hash, sent.hash);
    }
}

#[tokio::test]
async fn after_a_reorganisation_whichever_of_a_family_is_mined_is_ours() {
    let scene = Scene::new().await;
    let sent = scene.send("register").await.unwrap();
    scene.chain().useless.insert(calldata("register"));
    let cancelled = hash(&scene.tend("register").await);
    scene.chain().mine();
    assert_eq!(scene.tend("register").await.waiting, None);
    // The other branch has the original instead.
    scene.chain().mined.insert(0, (sent.hash, HEAD + 1));
    let tended = scene.tend("register").await;
    assert_eq!(tended.mined[0].hash, sent.hash);
    let journal = scene.journal();
    assert_eq!((journal[1].hash, journal[1].state), (cancelled, EntryState::Replaced));
}

#[tokio::test]
async fn a_reorganisation_of_two_puts_both_back_one_after_the_other() {
    let scene = Scene::new().await;
    let harvest = scene.send("harvest").await.unwrap();
    let register = scene.send("register").await.unwrap();
    scene.chain().mine();
    scene.tend("register").await;
    scene.chain().reorganise(1, false);
    assert_eq!(step(&scene.tend("register").await), Step::Behind { nonce: 0 });
    assert_eq!(scene.chain().waiting.values().collect::<Vec<_>>(), [&harvest.hash]);
    scene.chain().mine();
    let tended = scene.tend("register").await;
    assert_eq!((step(&tended), hash(&tended)), (Step::Resent, register.hash));
    scene.chain().mine();
    assert_eq!(scene.tend("register").await.mined[0].hash, register.hash);
    assert_eq!(scene.journal().len(), 2);
}

#[tokio::test]
async fn after_refusals_nothing_is_tried_for_a_while_and_the_same_is_sent_once_the_node_heals() {
    let scene = Scene::new().await;
    scene.chain().fault = Fault::Reject;
    let error = scene.send("register").await.unwrap_err();
    assert!(matches!(error, SendError::Rejected { .. }), "{error}");
    let length = || scene.directory.path().join("journal").metadata().unwrap().len();
    let (before, mut refusals) = (length(), 0);
    let began = tokio::time::Instant::now();
    while began.elapsed() < SLOT * 3 {
        let attempts = scene.chain().attempts;
        let tended = scene.tend("register").await;
        refusals += scene.chain().attempts - attempts;
        assert!(tended.refused.is_some_and(|reason| reason.contains("txpool is full")));
    }
    // Each also looks for what it has sent, which takes longer than these slots.
    assert!((1..=6).contains(&refusals), "{refusals}");
    assert_eq!(length(), before, "the same one is tried again");
    assert_eq!(scene.tend("harvest").await.refused, None);
    scene.chain().fault = Fault::None;
    tokio::time::sleep(SLOT * 2).await;
    let tended = scene.tend("register").await;
    assert_eq!((step(&tended), tended.refused), (Step::Resent, None));
    assert_eq!(scene.chain().waiting.len(), 1);
}

#[tokio::test]
async fn a_replacement_that_is_refused_leaves_the_first_and_is_not_tried_at_once() {
    let scene = Scene::new().await;
    let sent = scene.send("register").await.unwrap();
    scene.chain().base_fee = 7 * GWEI;
    scene.chain().pass(1);
    scene.chain().tips = json!([["0x3b9aca00"]]);
    scene.chain().fault = Fault::Reject;
    for _ in 0..3 {
        let tended = scene.tend("register").await;
        assert_eq!(hash(&tended), sent.hash);
        assert!(tended.refused.is_some());
    }
    assert!(scene.chain().attempts <= 4);
    scene.chain().base_fee = 2 * GWEI;
    scene.chain().mine();
    assert_eq!(scene.tend("register").await.mined[0].hash, sent.hash);
}

#[tokio::test]
async fn a_reply_that_is_lost_is_looked_up_for_replacements_and_cancellations_too() {
    for fault in [Fault::LoseReply, Fault::AlreadyKnown, Fault::NonceTooLow] {
        for useful in [true, false] {
            let scene = Scene::new().await;
            scene.send("register").await.unwrap();
            scene.chain().base_fee = 7 * GWEI;
            scene.chain().tips = json!([["0x3b9aca00"]]);
            scene.chain().pass(1);
            scene.chain().fault = fault;
            let tended = scene.wallet.tend("register", useful).await.unwrap();
            let expected = if useful { Step::Replaced } else { Step::Cancelled };
            assert_eq!(step(&tended), expected, "{fault:?}");
            scene.chain().fault = Fault::None;
            scene.chain().mine();
            let mined = scene.tend("register").await.mined;
            assert_eq!(mined.len(), usize::from(useful), "{fault:?}");
            let won: Vec<_> = scene
                .journal()
                .iter()
                .map(|entry| matches!(entry.state, EntryState::Mined { .. }))
                .collect();
            assert_eq!(won, [false, true], "{fault:?}");
        }
    }
}

#[tokio::test]
async fn a_foreign_transaction_that_takes_our_nonce_is_noticed_at_the_next_look() {
    let scene = Scene::new().await;
    scene.send("register").await.unwrap();
    scene.chain().pass(3);
    scene.chain().tips = json!([["0xb2d05e00"]]);
    assert_eq!(step(&scene.tend("register").await), Step::Replaced);
    scene.chain().mine_foreign();
    let error = scene.wallet.tend("register", true).await.unwrap_err();
    assert!(matches!(error, SendError::AnotherOperator { nonce: 0, .. }), "{error}");
    let scene = scene.restart().await;
    let error = scene.wallet.reconcile().await.unwrap_err();
    assert!(matches!(error, SendError::AnotherOperator { nonce: 0, .. }), "{error}");
}
