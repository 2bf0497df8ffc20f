//! The nine statuses, each with the epochs that make it one.

use alloy::primitives::B256;
use sw_devnet::DevnetConfig;

use crate::kit::{Beacon, FAR_FUTURE, POOL, Staker, number, payable, start, status_of};

#[tokio::test]
async fn a_deposit_is_pending_until_it_is_active_and_one_of_too_little_stays_so() {
    let devnet = start(DevnetConfig::default()).await;
    let beacon = Beacon::of(&devnet);
    Staker::new(&devnet, 32, payable()).await;
    Staker::new(&devnet, 1, payable()).await;
    devnet.pause_mining().await.unwrap();
    devnet.mine(16).await.unwrap();
    let mut seen: Vec<String> = Vec::new();
    for slot in 0..=beacon.slot().await {
        let said = beacon.get(&format!("/eth/v1/beacon/states/{slot}/validators/0")).await;
        // Without a block in that slot there is no state, and before the deposit no validator.
        if said.status == 404 {
            continue;
        }
        let status = status_of(said.data(), slot / 4);
        assert_eq!(said.data()["status"], status, "in slot {slot}");
        if seen.last().is_none_or(|last| last != status) {
            seen.push(status.to_owned());
        }
    }
    assert_eq!(seen, ["pending_initialized", "pending_queued", "active_ongoing"]);
    assert_eq!(beacon.status(1).await, "pending_initialized");
    let validator = &beacon.validator("head", 0).await["validator"];
    let of = |name: &str| number(&validator[name]);
    assert_eq!(of("activation_epoch"), of("activation_eligibility_epoch") + 2);
    assert_eq!((of("exit_epoch"), of("withdrawable_epoch")), (FAR_FUTURE, FAR_FUTURE));
}

#[tokio::test]
async fn a_slashed_validator_leaves_and_waits_longer() {
    let devnet = start(DevnetConfig {
        max_seed_lookahead: 1,
        ..DevnetConfig::default()
    })
    .await;
    let beacon = Beacon::of(&devnet);
    let slashed = Staker::new(&devnet, 32, payable()).await;
    devnet.pause_mining().await.unwrap();
    while beacon.status(0).await != "active_ongoing" {
        devnet.mine(1).await.unwrap();
    }
    devnet.beacon().set_slashed(slashed.public_key());
    let epoch = beacon.epoch().await;
    let mut seen = Vec::new();
    loop {
        let now = (beacon.epoch().await - epoch, beacon.status(0).await);
        if seen.last().is_none_or(|(_, status)| *status != now.1) {
            seen.push(now.clone());
        }
        if now.1 == "withdrawal_done" {
            break;
        }
        devnet.mine(1).await.unwrap();
    }
    let seen: Vec<_> = seen.iter().map(|(epoch, status)| (*epoch, status.as_str())).collect();
    assert_eq!(
        seen,
        [
            (0, "active_slashed"),
            (2, "exited_slashed"),
            (8, "withdrawal_possible"),
            (9, "withdrawal_done")
        ]
    );
}

#[tokio::test]
async fn a_validator_can_be_made_to_pose_as_one_of_any_status() {
    let devnet = start(DevnetConfig::default()).await;
    let beacon = Beacon::of(&devnet);
    let staker = Staker::new(&devnet, 32, B256::ZERO).await;
    devnet.pause_mining().await.unwrap();
    devnet.mine(16).await.unwrap();
    let statuses = [
        "pending_initialized",
        "pending_queued",
        "active_ongoing",
        "active_exiting",
        "active_slashed",
        "exited_unslashed",
        "exited_slashed",
        "withdrawal_possible",
        "withdrawal_done",
    ];
    for status in statuses {
        devnet.beacon().set_status(staker.public_key(), Some(status));
        assert_eq!(beacon.status(0).await, status);
        let taken = beacon.post(POOL, &staker.exit(&devnet, 0, 999)).await;
        let why = taken.body.unwrap()["message"].as_str().unwrap().to_owned();
        let expected = match status {
            "active_ongoing" => "FutureEpoch",
            "active_exiting" | "active_slashed" => "AlreadyExited(0)",
            _ => "NotActive(0)",
        };
        assert!(why.contains(expected), "{status}: {why}");
    }
    devnet.beacon().set_status(staker.public_key(), Some("gone_fishing"));
    assert_eq!(beacon.validator("head", 0).await["status"], "gone_fishing");
    devnet.beacon().set_status(staker.public_key(), None);
    assert_eq!(beacon.status(0).await, "active_ongoing");
}
