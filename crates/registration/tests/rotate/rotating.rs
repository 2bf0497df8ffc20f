//! What is rotated, in which batches, and what is said of it.

use sw_chain_client::{Waiting, calls};
use sw_keys::{PublicKey, Signature};
use sw_registration::{DutyError, Outcome, Purpose, WhyNot};
use sw_shamir_exit::{ShareIndex, recover_signature};
use sw_spec::{Address, B256, ValidatorStatus, WithdrawalCredentials};

use crate::{
    log::Log,
    world::{FIRST, Ground, NOW, ORACLE_SECRETS, VAULT, mined, network},
};

/// The rotation is final, and the oracles have seen it: these are still outdated.
fn final_with(ground: &Ground, left: &[u64]) {
    ground.change(|world| {
        let block = world.last.as_ref().unwrap().block;
        world.finalized = block;
        world.all_claim(Some(block), left);
    });
}

#[tokio::test]
async fn each_batch_holds_shares_that_recover_the_exit_of_each_validator_under_its_own_index() {
    let (log, _guard) = Log::start();
    let mut ground = Ground::ready();
    // Not consecutive, and not in order.
    ground.change(|world| {
        world.validators[0].index = 7_000;
        world.validators[3].status = ValidatorStatus::PendingQueued;
        world.validators[4].withdrawal_credentials = WithdrawalCredentials::compounding(VAULT).0;
        world.all_claim(None, &[7_000, FIRST + 3, FIRST + 4]);
    });
    assert_eq!(ground.tick().await.unwrap(), Outcome::Acted);
    assert_eq!(ground.gauge(), "1", "two of three are done");
    final_with(&ground, &[7_000]);
    assert_eq!(ground.tick().await.unwrap(), Outcome::Acted);
    final_with(&ground, &[]);
    assert_eq!(ground.idle().await, WhyNot::UpToDate);
    assert_eq!(ground.gauge(), "0");

    let world = ground.world.lock().unwrap();
    let batches = [vec![(3, FIRST + 3), (4, FIRST + 4)], vec![(0, 7_000)]];
    assert_eq!((world.requests.len(), world.sent.len(), world.simulated), (2, 2, 2));
    for (nonce, (batch, request)) in batches.iter().zip(&world.requests).enumerate() {
        let keys: Vec<_> = batch.iter().map(|(at, _)| ground.keys[*at]).collect();
        assert_eq!((&request.public_keys, request.vault), (&keys, VAULT));
        assert_eq!((request.nonce.to::<usize>(), request.deadline), (nonce, NOW + 3_600));
        let call = calls::keeper_update_exit_signatures(VAULT, request.deadline, "QmExit", &[7; 130]);
        let (sent_keys, sent) = &world.sent[nonce];
        assert_eq!(
            (sent_keys, sent.to, &sent.data),
            (&keys, network().contracts.keeper, &call)
        );
        for ((sealed, key), (_, index)) in request.exit_signature_shards.iter().zip(&keys).zip(batch) {
            // Any two of the three oracles.
            for pair in [[0, 1], [0, 2], [1, 2]] {
                let opened = pair.map(|at| {
                    let share = sealed[at].open(&ORACLE_SECRETS[at]).unwrap();
                    (ShareIndex::of_position(at).unwrap(), share)
                });
                let exit = Signature::try_from(&recover_signature(&opened).unwrap()).unwrap();
                let key = PublicKey::try_from(key).unwrap();
                assert!(exit.verify(&network().exit_signing_root(*index), &key));
            }
        }
    }
    let said = log.lines("exit signatures rotated");
    assert_eq!(said.len(), 2);
    for (line, batch) in said.iter().zip(&batches) {
        assert!(line.contains(&format!("count={}", batch.len())), "{line}");
        assert!(line.contains("tx=0x0101") && line.contains("block=100"), "{line}");
        for (at, key) in ground.keys.iter().enumerate() {
            let in_batch = batch.iter().any(|(position, _)| *position == at);
            assert_eq!(
                line.contains(&key.to_string()),
                in_batch,
                "the batch and no other: {line}"
            );
        }
    }
}

#[tokio::test]
async fn the_next_batch_waits_until_the_last_one_is_final() {
    let mut ground = Ground::ready();
    ground.change(|world| world.all_claim(None, &[FIRST, FIRST + 1, FIRST + 2]));
    assert_eq!(ground.tick().await.unwrap(), Outcome::Acted);
    for _ in 0..3 {
        assert_eq!(ground.idle().await, WhyNot::RotationNotFinal { block: 1_001 });
    }
    assert_eq!(ground.counts(), (1, 1, 1), "nobody is asked meanwhile");
    ground.change(|world| {
        world.finalized = 1_001;
        world.all_claim(Some(1_000), &[FIRST, FIRST + 1, FIRST + 2]);
    });
    let why = ground.idle().await;
    assert!(matches!(why, WhyNot::OutdatedUnknown { .. }), "{why}");
    assert!(why.to_string().contains("0 of the 2 oracles needed"), "{why}");
    final_with(&ground, &[FIRST + 2]);
    assert_eq!(ground.tick().await.unwrap(), Outcome::Acted);
    let world = ground.world.lock().unwrap();
    assert_eq!(world.requests[1].public_keys, [ground.keys[2]]);
    assert_eq!(world.searches, 4, "a rotation that is final is not searched for again");
}

#[tokio::test]
async fn validators_that_leave_need_nothing() {
    let leaving = [
        ValidatorStatus::ActiveExiting,
        ValidatorStatus::ActiveSlashed,
        ValidatorStatus::ExitedUnslashed,
        ValidatorStatus::WithdrawalDone,
    ];
    let mut ground = Ground::ready();
    ground.change(|world| {
        for (validator, status) in world.validators.iter_mut().zip(leaving) {
            validator.status = status;
        }
        world.all_claim(None, &[FIRST, FIRST + 1, FIRST + 2, FIRST + 3]);
    });
    assert_eq!(ground.idle().await, WhyNot::UpToDate);
    ground.change(|world| world.validators[1].status = ValidatorStatus::ActiveOngoing);
    assert_eq!(ground.tick().await.unwrap(), Outcome::Acted);
    assert_eq!(ground.world.lock().unwrap().sent[0].0, [ground.keys[1]]);
}

#[tokio::test]
async fn what_is_not_the_vaults_is_never_signed_and_named_once_with_who_claimed_it() {
    let (log, _guard) = Log::start();
    let mut ground = Ground::ready();
    let strangers = WithdrawalCredentials::execution(Address::repeat_byte(7)).0;
    let liars = ground.world.lock().unwrap().set.clone().unwrap().0.oracles()[..2].to_vec();
    ground.change(|world| {
        world.validators[0].withdrawal_credentials = strangers;
        // BLS credentials that happen to end in the vault.
        world.validators[1].withdrawal_credentials.0[0] = 0;
        // What the beacon chain does not have is the fourth.
        world.claims[0] = Some((None, vec![FIRST, FIRST + 1, FIRST + 2, 9_999]));
        world.claims[1] = Some((None, vec![FIRST, FIRST + 1, FIRST + 2, 9_999]));
    });
    assert_eq!(ground.tick().await.unwrap(), Outcome::Acted);
    assert_eq!(ground.world.lock().unwrap().sent[0].0, [ground.keys[2]]);
    for _ in 0..2 {
        ground.change(|world| {
            world.finalized = 1_001;
            world.timestamp += 10_000;
            world.claims = vec![Some((Some(1_001), vec![FIRST, FIRST + 1, 9_999])); 2];
            world.claims.push(Some((Some(1_001), Vec::new())));
        });
        assert_eq!(ground.idle().await, WhyNot::OutdatedNotOurs { count: 3 });
    }
    let said = log.lines("of no validator of this vault");
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("count=3 indexes=100, 101, 9999"), "{}", said[0]);
    for liar in &liars {
        assert!(said[0].contains(&liar.address().to_string()), "{}", said[0]);
    }
}

#[tokio::test]
async fn keys_that_are_not_held_are_named_once_and_do_not_hold_up_the_others() {
    let (log, _guard) = Log::start();
    let mut ground = Ground::with(&[3, 4], &[]);
    let all = [FIRST, FIRST + 1, FIRST + 2, FIRST + 3, FIRST + 4];
    ground.change(|world| world.all_claim(None, &all));
    assert_eq!(ground.tick().await.unwrap(), Outcome::Acted);
    assert_eq!(ground.world.lock().unwrap().sent[0].0, ground.keys[3..]);
    for _ in 0..3 {
        ground.change(|world| world.timestamp += 10_000);
        final_with(&ground, &all[..3]);
        assert_eq!(ground.idle().await, WhyNot::OutdatedNotHeld { count: 3 });
    }
    let said = log.lines("not in the keystores directory");
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("count=3"), "{}", said[0]);
    assert!(
        ground.keys[..3].iter().all(|key| said[0].contains(&key.to_string())),
        "{}",
        said[0]
    );
    assert_eq!(ground.gauge(), "3");
}

#[tokio::test]
async fn of_many_keys_that_are_not_held_ten_are_named() {
    let (log, _guard) = Log::start();
    let mut ground = Ground::with(&[], &[]);
    ground.change(|world| {
        let like = world.validators[0].clone();
        world.validators = (0..25)
            .map(|at| {
                let mut other = like.clone();
                (other.index, other.public_key.0[47]) = (at, at as u8);
                other
            })
            .collect();
        world.all_claim(None, &(0..25).collect::<Vec<_>>());
    });
    assert_eq!(ground.idle().await, WhyNot::OutdatedNotHeld { count: 25 });
    let said = log.lines("not in the keystores directory");
    assert!(
        said[0].contains("count=25") && said[0].contains(" and 15 more"),
        "{}",
        said[0]
    );
    assert_eq!(said[0].matches("0x").count(), 10, "{}", said[0]);
}

#[tokio::test]
async fn a_key_that_does_not_open_is_named_and_does_not_hold_up_the_others() {
    let (log, _guard) = Log::start();
    let mut ground = Ground::with(&[0, 1, 2, 3, 4], &[0, 1, 2]);
    ground.change(|world| world.all_claim(None, &[FIRST, FIRST + 1, FIRST + 2, FIRST + 3]));
    let error = ground.tick().await.expect_err("neither of the first two opens");
    assert!(
        matches!(error, DutyError::Signer { validator, .. } if validator == ground.keys[0]),
        "{error}"
    );
    assert_eq!(ground.tick().await.unwrap(), Outcome::Acted);
    assert_eq!(ground.world.lock().unwrap().sent[0].0, [ground.keys[3]]);
    assert_eq!(log.lines("its key cannot be used").len(), 3);
    final_with(&ground, &[FIRST, FIRST + 1]);
    // Asked anew, they are tried anew: somebody may have mended them.
    assert!(matches!(ground.tick().await, Err(DutyError::Signer { .. })));
    let why = ground.idle().await;
    assert_eq!(why, WhyNot::OutdatedNotHeld { count: 2 });
    assert!(
        why.to_string().ends_with("this operator can use none of the keys"),
        "{why}"
    );
    assert_eq!(log.lines("its key cannot be used").len(), 3, "each is named once");
}

#[tokio::test]
async fn shares_are_made_once_for_as_long_as_they_serve() {
    let mut ground = Ground::ready();
    ground.change(|world| {
        world.all_claim(None, &[FIRST, FIRST + 1]);
        world.oracles_refuse = true;
    });
    for _ in 0..3 {
        assert!(matches!(ground.tick().await, Err(DutyError::Approvals(_))));
    }
    assert_eq!(ground.counts(), (1, 3, 0));
    {
        let world = ground.world.lock().unwrap();
        let sealed = |at: usize| &world.requests[at].exit_signature_shards;
        assert_eq!((sealed(0), sealed(1)), (sealed(1), sealed(2)));
    }
    // Another config is another set, whoever is in it.
    ground.change(|world| world.set.as_mut().unwrap().1 = "Qm2".to_owned());
    assert!(ground.tick().await.is_err());
    let world = ground.world.lock().unwrap();
    assert_ne!(
        world.requests[2].exit_signature_shards,
        world.requests[3].exit_signature_shards
    );
    assert_eq!(world.asked, 2);
    drop(world);
    assert_eq!(ground.opened.lock().unwrap().len(), 2, "each key is opened once");
}

#[tokio::test]
async fn keys_are_closed_when_somebody_else_has_rotated() {
    let mut ground = Ground::ready();
    ground.change(|world| {
        world.all_claim(None, &[FIRST, FIRST + 1]);
        world.oracles_refuse = true;
    });
    ground.tick().await.expect_err("the oracles refuse");
    for left in [&[FIRST][..], &[]] {
        ground.change(|world| world.rotated(1_001));
        final_with(&ground, left);
        let _ = ground.tick().await;
    }
    ground.opened.lock().unwrap().clear();
    ground.change(|world| world.rotated(1_001));
    final_with(&ground, &[FIRST, FIRST + 1]);
    ground.tick().await.expect_err("the oracles refuse");
    assert_eq!(*ground.opened.lock().unwrap(), ground.keys[..2], "neither stayed open");
}

#[tokio::test]
async fn what_was_sent_before_comes_first_and_is_noticed_after_a_restart() {
    let (log, _guard) = Log::start();
    let mut ground = Ground::ready();
    // A fresh duty, as after a restart: the journal has a rotation of two that waits.
    ground.change(|world| {
        world.all_claim(None, &[FIRST, FIRST + 1]);
        world.tended.blocked = Some(WhyNot::TransactionPending {
            purpose: Purpose::Rotate,
            waiting: Box::new(Waiting::new("rotate", B256::repeat_byte(5), 3, 1)),
        });
    });
    let why = ground.idle().await.to_string();
    assert!(why.starts_with("rotation 0x0505"), "{why}");
    assert_eq!(ground.counts(), (0, 0, 0), "not sent twice, and nobody is asked");

    // It gets into a block that the node which is looked at does not have yet.
    let keys = ground.keys[..2].to_vec();
    ground.change(|world| {
        world.tended.blocked = None;
        world.tended.mined = vec![mined(&keys, 1_005)];
    });
    assert_eq!(ground.tick().await.unwrap(), Outcome::Watched);
    assert_eq!(ground.counts(), (0, 0, 0), "what that node says is out of date");
    ground.change(|world| world.rotated(1_005));
    assert_eq!(ground.idle().await, WhyNot::RotationNotFinal { block: 1_005 });
    let said = log.lines("exit signatures rotated");
    assert!(said.len() == 1 && said[0].contains("block=1005"), "{said:?}");
    final_with(&ground, &[]);
    assert_eq!(ground.idle().await, WhyNot::UpToDate);
}

#[tokio::test]
async fn one_that_takes_long_is_left_to_the_next_tick_and_one_that_failed_is_an_error() {
    let mut ground = Ground::ready();
    ground.change(|world| {
        world.all_claim(None, &[FIRST]);
        world.slow = true;
    });
    ground.idle().await;
    assert_eq!(ground.counts(), (1, 1, 1));
    ground.change(|world| world.tended.reverted = vec![(B256::repeat_byte(1), 1_002)]);
    let error = ground.tick().await.expect_err("it was mined and failed");
    assert!(matches!(error, DutyError::Reverted { block: 1_002, .. }), "{error}");
    assert_eq!(ground.counts(), (1, 1, 1), "one act a tick");
}
