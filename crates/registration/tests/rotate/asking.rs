//! When the oracles are asked, and when what they say is believed.

use std::sync::Arc;

use sw_chain_client::Waiting;
use sw_registration::{Outcome, Purpose, WhyNot};
use sw_spec::{B256, U256};

use crate::{
    log::Log,
    world::{EPOCH, FIRST, Ground, NOW, WALLET, mined, oracle_set},
};

#[tokio::test]
async fn oracles_are_asked_at_the_start_then_once_in_an_epoch() {
    let mut ground = Ground::ready();
    for time in [0, 12, EPOCH - 12, EPOCH, EPOCH + 12, 2 * EPOCH - 12] {
        ground.change(|world| world.timestamp = NOW + time);
        assert_eq!(ground.idle().await, WhyNot::UpToDate);
    }
    assert_eq!(ground.counts(), (2, 0, 0));
    ground.change(|world| world.timestamp = NOW + 2 * EPOCH);
    ground.idle().await;
    assert_eq!(ground.counts().0, 3);
}

#[tokio::test]
async fn oracles_are_asked_at_once_when_the_config_the_set_or_the_last_rotation_changes() {
    let mut ground = Ground::ready();
    assert_eq!(ground.idle().await, WhyNot::UpToDate);
    ground.change(|world| world.set.as_mut().unwrap().1 = "Qm2".to_owned());
    ground.idle().await;
    assert_eq!(ground.counts().0, 2, "another config");
    ground.change(|world| world.set.as_mut().unwrap().0 = Arc::new(oracle_set("http://127.0.0.1:2")));
    ground.idle().await;
    assert_eq!(ground.counts().0, 3, "another set");
    ground.change(|world| {
        world.rotated(800);
        world.all_claim(Some(800), &[]);
    });
    assert_eq!(ground.idle().await, WhyNot::UpToDate);
    assert_eq!(ground.counts().0, 4, "somebody rotated");
    ground.idle().await;
    assert_eq!(ground.counts().0, 4);
}

#[tokio::test]
async fn nobody_is_asked_for_a_vault_without_validators() {
    let mut ground = Ground::ready();
    ground.change(|world| {
        world.state.is_collateralized = false;
        world.all_claim(None, &[FIRST]);
        world.rotated(1_000);
    });
    assert_eq!(ground.idle().await, WhyNot::NoValidators);
    assert_eq!(ground.counts(), (0, 0, 0));
    assert_eq!(ground.world.lock().unwrap().searches, 0);
}

#[tokio::test]
async fn one_silent_or_lying_oracle_of_three_changes_nothing() {
    let lies = [
        None,
        Some((None, vec![FIRST])),
        Some((Some(u64::MAX), vec![FIRST, FIRST + 1, 9_999])),
        Some((None, (0..5_000).collect())),
    ];
    for lie in lies {
        for liar in 0..3 {
            let mut ground = Ground::ready();
            ground.change(|world| world.claims[liar] = lie.clone());
            for _ in 0..3 {
                ground.change(|world| world.timestamp += EPOCH);
                assert_eq!(ground.idle().await, WhyNot::UpToDate, "{lie:?}");
            }
            assert_eq!(ground.counts(), (3, 0, 0), "{lie:?}");
            assert_eq!(ground.gauge(), "0");

            // Nor does it hide, or add to, what the others name.
            ground.change(|world| {
                world.timestamp += EPOCH;
                world.all_claim(None, &[FIRST + 2]);
                world.claims[liar] = lie.clone();
            });
            assert_eq!(ground.tick().await.unwrap(), Outcome::Acted, "{lie:?}");
            assert_eq!(ground.world.lock().unwrap().sent[0].0, [ground.keys[2]], "{lie:?}");
        }
    }
}

#[tokio::test]
async fn too_few_oracles_that_can_tell_are_asked_again_at_the_next_tick() {
    let mut ground = Ground::ready();
    ground.change(|world| world.claims = vec![None, None, Some((None, vec![FIRST]))]);
    for count in 1..3 {
        let why = ground.idle().await;
        let told = "1 of the 2 oracles needed told which exit signatures are outdated";
        assert_eq!(why.to_string(), told);
        assert_eq!(ground.counts(), (count, 0, 0));
    }
}

#[tokio::test]
async fn oracles_that_cannot_tell_are_named_with_the_reason_once_an_hour() {
    let (log, _guard) = Log::start();
    let mut ground = Ground::ready();
    let all: Vec<String> = oracle_set("http://127.0.0.1:1")
        .oracles()
        .iter()
        .map(|oracle| oracle.address().to_string())
        .collect();
    ground.change(|world| {
        world.rotated(800);
        world.finalized = 800;
        world.claims = vec![None, Some((Some(7), Vec::new())), Some((Some(800), Vec::new()))];
    });
    // They come and go: that is no news each time.
    for minute in 0..20 {
        ground.change(|world| {
            world.timestamp = NOW + minute * 60;
            world.claims[0] = (minute % 4 == 0).then(|| (Some(800), Vec::new()));
        });
        ground.idle().await;
    }
    let said = log.lines("an oracle cannot tell");
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].contains(&format!("{}: no answer", all[0])), "{said:?}");
    assert!(said[1].contains(&format!("{}: synced to block 7", all[1])), "{said:?}");
    assert!(said.iter().all(|line| line.contains("WARN")), "{said:?}");
    ground.change(|world| {
        world.timestamp = NOW + 2 * 3_600;
        world.claims[0] = None;
    });
    ground.idle().await;
    assert_eq!(log.lines("an oracle cannot tell").len(), 4, "it still goes on");
}

#[tokio::test]
async fn a_block_from_the_far_future_does_not_silence_the_duty() {
    let mut ground = Ground::ready();
    ground.change(|world| world.timestamp = NOW + 100 * EPOCH);
    assert_eq!(ground.idle().await, WhyNot::UpToDate);
    ground.change(|world| {
        world.timestamp = NOW;
        world.all_claim(None, &[FIRST]);
    });
    assert_eq!(
        ground.tick().await.unwrap(),
        Outcome::Acted,
        "the oracles are asked again"
    );

    // Nor does a receipt that names a block of the far future.
    let keys = vec![ground.keys[0]];
    ground.change(|world| {
        world.tended.mined = vec![mined(&keys, u64::MAX)];
        world.finalized = 1_001;
        world.all_claim(Some(1_001), &[FIRST + 1]);
    });
    assert_eq!(ground.tick().await.unwrap(), Outcome::Acted);
}

#[tokio::test]
async fn a_rotation_that_the_log_does_not_show_stops_everything() {
    let mut ground = Ground::ready();
    // The node has pruned it, or keeps it to itself; and one that shows another one is no better.
    for last in [None, Some(U256::from(7))] {
        ground.change(|world| {
            world.all_claim(Some(1), &[FIRST]);
            world.rotated(1);
            world.state.nonce = U256::from(3);
            let shown = world.last.take();
            world.last =
                last.and_then(|nonce| shown.map(|shown| sw_chain_client::ExitSignaturesUpdate { nonce, ..shown }));
        });
        let why = ground.idle().await;
        assert!(
            matches!(why, WhyNot::RotationUnknown { count, .. } if count == U256::from(3)),
            "{why}"
        );
        assert!(why.to_string().contains("it may have pruned its logs"), "{why}");
    }
    assert_eq!(ground.counts(), (0, 0, 0));
}

/// A reason that comes of a change of the world, and how it reads.
type Case = (fn(&mut crate::world::World), &'static str);

#[tokio::test]
async fn each_reason_of_the_chain_is_told_and_no_oracle_is_asked_to_approve() {
    let cases: [Case; 5] = [
        (
            |world| {
                world.gas_price = Err(WhyNot::GasTooHigh {
                    price: 30_000_000_000,
                    limit: 10_000_000_000,
                })
            },
            "gas costs 30.00 gwei, the limit is 10.00 gwei",
        ),
        (
            |world| world.state.wallet_balance = U256::from(1),
            "holds 0 ETH, a rotation may cost 0.0008; send it some",
        ),
        (
            |world| {
                world.set = Err(WhyNot::OraclesChanging {
                    detail: "a stranger".to_owned(),
                })
            },
            "the oracle set is not consistent: a stranger",
        ),
        (
            |world| {
                let message = "underpriced".to_owned();
                world.tended.blocked = Some(WhyNot::TransactionRefused {
                    purpose: Purpose::Rotate,
                    message,
                });
            },
            "every execution node refused the rotation: underpriced",
        ),
        (
            |world| {
                let waiting = Box::new(Waiting::new("rotate", B256::repeat_byte(5), 3, 1));
                let purpose = Purpose::Rotate;
                world.tended.blocked = Some(WhyNot::TransactionPending { purpose, waiting });
            },
            "is sent and not yet mined",
        ),
    ];
    for (change, told) in cases {
        let mut ground = Ground::ready();
        ground.change(|world| world.all_claim(None, &[FIRST]));
        ground.change(change);
        let why = ground.idle().await.to_string();
        assert!(why.contains(told), "{why}");
        assert_eq!((ground.counts().1, ground.counts().2), (0, 0), "{why}");
        if told.contains("send it some") {
            assert!(why.contains(&WALLET.to_string()), "{why}");
        }
    }
}
