//! The rules for voluntary exits, in the words of each client.

use alloy::primitives::{B256, FixedBytes, fixed_bytes};
use serde_json::{Value, json};
use sw_devnet::{
    Devnet, DevnetConfig,
    beacon::{AcceptedExit, BeaconClient},
};

use crate::kit::{Beacon, POOL, Said, Staker, number, payable, start};

const NEVER: &str = "Invalid voluntary exit, it will never pass validation so it's rejected";

/// How each client says no, from what differs: Lighthouse's `ExitInvalid`, Teku's and Prysm's whole message, the detail of
/// Nimbus and the code of Lodestar.
fn no(client: BeaconClient, words: [&str; 5]) -> Said {
    let [lighthouse, teku, prysm, nimbus, lodestar] = words;
    let (status, body) = match client {
        BeaconClient::Lighthouse => (
            400,
            json!({
                "code": 400, "stacktraces": [],
                "message": format!(
                    "BAD_REQUEST: Invalid object: gossip verification failed: ExitValidationError(Invalid({lighthouse}))"
                ),
            }),
        ),
        BeaconClient::Teku => (400, json!({"code": 400, "message": teku})),
        BeaconClient::Prysm => (400, json!({"code": 400, "message": prysm})),
        BeaconClient::Nimbus => (400, json!({"code": 400, "message": NEVER, "stacktraces": [nimbus]})),
        BeaconClient::Lodestar => (
            500,
            json!({"code": 500, "message": format!("VOLUNTARY_EXIT_ERROR_{lodestar}")}),
        ),
    };
    Said {
        status,
        body: Some(body),
    }
}

/// Posts an exit to the node as each of these clients, and holds the answers against their words.
async fn refused(devnet: &Devnet, beacon: &Beacon, exit: &Value, clients: &[BeaconClient], words: [&str; 5]) {
    for client in clients {
        devnet.beacon().set_client(*client);
        assert_eq!(beacon.post(POOL, exit).await, no(*client, words), "{client:?}");
    }
}

#[tokio::test]
async fn each_rule_is_kept_and_each_client_says_so_in_its_words() {
    let devnet = start(DevnetConfig {
        shard_committee_period: 3,
        ..DevnetConfig::default()
    })
    .await;
    let beacon = Beacon::of(&devnet);
    let staker = Staker::new(&devnet, 32, payable()).await;
    devnet.pause_mining().await.unwrap();
    let all = &BeaconClient::ALL[..];

    let inactive = [
        "NotActive(0)",
        "Exit for validator 0 is invalid: Validator is not active",
        "Invalid exit: non-active validator cannot exit",
        "Exit: validator not active",
        "INACTIVE",
    ];
    refused(&devnet, &beacon, &staker.exit(&devnet, 0, 0), all, inactive).await;
    let unknown = [
        "ValidatorUnknown(7)",
        "Exit for validator 7 is invalid: Invalid validator index",
        "Could not get validator: index 7 out of bounds",
        "VoluntaryExit: validator index too high",
        "INACTIVE",
    ];
    refused(&devnet, &beacon, &staker.exit(&devnet, 7, 0), all, unknown).await;

    while beacon.status(0).await != "active_ongoing" {
        devnet.mine(1).await.unwrap();
    }
    let activation = beacon.epoch().await;
    let validator = beacon.validator("head", 0).await;
    assert_eq!(number(&validator["validator"]["activation_epoch"]), activation);
    let from = activation + 3;
    let young = [
        &format!("TooYoungToExit {{ current_epoch: Epoch({activation}), earliest_exit_epoch: Epoch({from}) }}"),
        &format!("Exit for validator 0 is invalid: Validator cannot exit until epoch {from}"),
        &format!(
            "Invalid exit: validator has not been active long enough to exit: 0 of 3 epochs. Validator will be eligible for \
             exit at epoch {from}"
        ),
        "Exit: not in validator set long enough",
        "SHORT_TIME_ACTIVE",
    ];
    refused(&devnet, &beacon, &staker.exit(&devnet, 0, 0), all, young).await;
    devnet.mine(11).await.unwrap();
    let now = beacon.epoch().await;
    assert_eq!(now, from - 1, "one slot is missing");
    assert_eq!(beacon.post(POOL, &staker.exit(&devnet, 0, 0)).await.status, 500);
    devnet.mine(1).await.unwrap();

    let early = [
        &format!("FutureEpoch {{ state: Epoch({from}), exit: Epoch({}) }}", from + 1),
        "Exit for validator 0 is invalid: Specified exit epoch is still in the future",
        "",
        "Exit: exit epoch not passed",
        "EARLY_EPOCH",
    ];
    // Prysm takes these.
    let but_prysm: Vec<_> = all
        .iter()
        .copied()
        .filter(|client| *client != BeaconClient::Prysm)
        .collect();
    refused(&devnet, &beacon, &staker.exit(&devnet, 0, from + 1), &but_prysm, early).await;

    devnet.beacon().set_pending_withdrawals([staker.public_key()]);
    let pending = [
        "PendingWithdrawalInQueue(0)",
        "Exit for validator 0 is invalid: Validator has pending withdrawals in the queue",
        "Invalid exit: validator 0 must have no pending balance to withdraw",
        "Exit: still has pending withdrawals",
        "INVALID",
    ];
    refused(&devnet, &beacon, &staker.exit(&devnet, 0, 0), all, pending).await;
    devnet.beacon().set_pending_withdrawals([]);

    let unsigned = [
        "BadSignature",
        "Exit for validator 0 is invalid: Signature is invalid",
        "Invalid exit: signature did not verify",
        "Exit: invalid signature",
        "INVALID_SIGNATURE",
    ];
    let other = Staker(sw_devnet::bls::ForeignKey::random().unwrap());
    let mut of_another_index = staker.exit(&devnet, 1, 0);
    of_another_index["message"]["validator_index"] = json!("0");
    let mut of_another_epoch = staker.exit(&devnet, 0, 1);
    of_another_epoch["message"]["epoch"] = json!("0");
    let mut no_point = staker.exit(&devnet, 0, 0);
    no_point["signature"] = json!(FixedBytes::<96>::ZERO);
    let (deployment, spec) = (devnet.deployment(), beacon.get("/eth/v1/config/spec").await);
    let root = deployment.genesis_validators_root;
    let fork = |name: &str| -> FixedBytes<4> { spec.data()[name].as_str().unwrap().parse().unwrap() };
    assert_eq!(fork("CAPELLA_FORK_VERSION"), deployment.capella_fork_version);
    assert_eq!(spec.data()["SHARD_COMMITTEE_PERIOD"], "3");
    let present = beacon.get("/eth/v1/beacon/states/head/fork").await;
    assert_eq!(present.data()["current_version"], spec.data()["ELECTRA_FORK_VERSION"]);
    assert_eq!(present.data()["previous_version"], spec.data()["DENEB_FORK_VERSION"]);
    let forgeries = [
        other.exit(&devnet, 0, 0),
        of_another_index,
        of_another_epoch,
        no_point,
        staker.exit_for(0, 0, fork("GENESIS_FORK_VERSION"), root),
        staker.exit_for(0, 0, fork("DENEB_FORK_VERSION"), root),
        staker.exit_for(0, 0, fork("ELECTRA_FORK_VERSION"), root),
        staker.exit_for(0, 0, fixed_bytes!("03000000"), root),
        staker.exit_for(0, 0, deployment.capella_fork_version, B256::ZERO),
    ];
    for forgery in &forgeries {
        refused(&devnet, &beacon, forgery, all, unsigned).await;
    }

    // Versions of before gave fewer reasons, in other forms.
    devnet.beacon().set_old(true);
    let never = |body: Value, status: u16| Said {
        status,
        body: Some(body),
    };
    let too_early = staker.exit(&devnet, 0, from + 1);
    let old = [
        (BeaconClient::Teku, never(json!({"code": 400, "message": NEVER}), 400)),
        (
            BeaconClient::Nimbus,
            never(
                json!({"code": "400", "message": NEVER, "stacktraces": ["Exit: exit epoch not passed"]}),
                400,
            ),
        ),
        (
            BeaconClient::Lodestar,
            never(
                json!({"statusCode": 500, "error": "Internal Server Error", "message": "VOLUNTARY_EXIT_ERROR_INVALID"}),
                500,
            ),
        ),
    ];
    for (client, said) in &old {
        devnet.beacon().set_client(*client);
        assert_eq!(beacon.post(POOL, &too_early).await, *said, "{client:?} of before");
    }

    // Nothing of this has done anything, and all of it is remembered.
    assert_eq!(beacon.get(POOL).await.data(), &json!([]));
    assert_eq!(devnet.beacon().exits(), []);
    let refusals = devnet.beacon().refused_exits();
    assert_eq!(refusals.len(), 4 * 5 + 1 + 4 + 9 * 5 + 3);
    assert_eq!(refusals[0], "validator 0 is not active");
    assert_eq!(
        refusals[refusals.len() - 4],
        "the exit of validator 0 is not signed by it for this chain"
    );
    assert_eq!(beacon.status(0).await, "active_ongoing");
}

#[tokio::test]
async fn an_exit_waits_in_the_pool_for_a_block_and_the_validator_leaves() {
    let devnet = start(DevnetConfig::default()).await;
    let beacon = Beacon::of(&devnet);
    let paid = Staker::new(&devnet, 32, payable()).await;
    let kept = Staker::new(&devnet, 32, B256::ZERO).await;
    devnet.pause_mining().await.unwrap();
    while beacon.status(1).await != "active_ongoing" {
        devnet.mine(1).await.unwrap();
    }
    let exits = [paid.exit(&devnet, 0, 1), kept.exit(&devnet, 1, 0)];
    for exit in &exits {
        assert_eq!(beacon.post(POOL, exit).await.status, 200);
    }
    assert_eq!(beacon.get(POOL).await.data(), &json!(exits));
    assert_eq!(beacon.status(0).await, "active_ongoing", "no block holds the exit");
    let before = beacon.slot().await;
    devnet.mine(1).await.unwrap();
    let epoch = beacon.epoch().await;
    assert_eq!(beacon.get(POOL).await.data(), &json!([]));
    assert_eq!(beacon.status(0).await, "active_exiting");
    let epochs = |validator: &Value| {
        let of = |name: &str| number(&validator["validator"][name]);
        (of("exit_epoch"), of("withdrawable_epoch"))
    };
    // compute_activation_exit_epoch, with mainnet's MAX_SEED_LOOKAHEAD; the delay is the devnet's.
    assert_eq!(epochs(&beacon.validator("head", 0).await), (epoch + 5, epoch + 7));
    assert_eq!(
        beacon.validator(&before.to_string(), 0).await["status"],
        "active_ongoing",
        "a state of before knows nothing of it"
    );
    let accepted = |index: u64, epoch: u64, exit: &Value| AcceptedExit {
        index,
        epoch,
        signature: exit["signature"].as_str().unwrap().parse().unwrap(),
    };
    assert_eq!(
        devnet.beacon().exits(),
        [accepted(0, 1, &exits[0]), accepted(1, 0, &exits[1])]
    );

    let mut seen = Vec::new();
    while beacon.status(0).await != "withdrawal_done" {
        let now = (beacon.epoch().await - epoch, beacon.status(0).await);
        if seen.last() != Some(&now) {
            seen.push(now);
        }
        devnet.mine(1).await.unwrap();
    }
    seen.dedup_by(|next, last| next.1 == last.1);
    let seen: Vec<_> = seen.iter().map(|(epoch, status)| (*epoch, status.as_str())).collect();
    assert_eq!(
        seen,
        [
            (0, "active_exiting"),
            (5, "exited_unslashed"),
            (7, "withdrawal_possible")
        ]
    );
    assert_eq!(beacon.epoch().await, epoch + 8);
    assert_eq!(beacon.validator("head", 0).await["balance"], "0");
    assert_eq!(
        beacon.status(1).await,
        "withdrawal_possible",
        "BLS credentials are paid to nobody"
    );

    // Who has left is not active any more; Prysm looks again, the others have seen it.
    devnet.beacon().set_client(BeaconClient::Prysm);
    let left = ["", "", "Invalid exit: non-active validator cannot exit", "", ""];
    assert_eq!(
        beacon.post(POOL, &paid.exit(&devnet, 0, 0)).await,
        no(BeaconClient::Prysm, left)
    );
}

#[tokio::test]
async fn a_second_exit_is_answered_as_each_client_does() {
    let devnet = start(DevnetConfig::default()).await;
    let beacon = Beacon::of(&devnet);
    let mut stakers = Vec::new();
    for _ in BeaconClient::ALL {
        stakers.push(Staker::new(&devnet, 32, payable()).await);
    }
    devnet.pause_mining().await.unwrap();
    while beacon.status(4).await != "active_ongoing" {
        devnet.mine(1).await.unwrap();
    }
    let ok = |body: Option<Value>| Said { status: 200, body };
    let broadcast = json!({"code": 200, "message": "Voluntary exit object(s) was broadcast"});
    for (index, (client, staker)) in (0..).zip(BeaconClient::ALL.into_iter().zip(&stakers)) {
        devnet.beacon().set_client(client);
        let taken = match client {
            BeaconClient::Lighthouse => ok(Some(Value::Null)),
            BeaconClient::Nimbus => ok(Some(broadcast.clone())),
            BeaconClient::Teku | BeaconClient::Prysm | BeaconClient::Lodestar => ok(None),
        };
        let first = staker.exit(&devnet, index, 0);
        assert_eq!(beacon.post(POOL, &first).await, taken, "{client:?}");
        let again = match client {
            BeaconClient::Lighthouse | BeaconClient::Prysm => taken,
            _ => no(
                client,
                [
                    "",
                    &format!("Exit is not the first one for validator {index}."),
                    "",
                    "VoluntaryExit: validator index already voluntarily exited",
                    "ALREADY_EXISTS",
                ],
            ),
        };
        assert_eq!(beacon.post(POOL, &first).await, again, "{client:?}, the same");
        let other = staker.exit(&devnet, index, 1);
        assert_eq!(beacon.post(POOL, &other).await, again, "{client:?}, another");
        assert_eq!(beacon.get(POOL).await.data().as_array().unwrap().len(), 1, "{client:?}");
        devnet.mine(1).await.unwrap();
        assert_eq!(beacon.get(POOL).await.data(), &json!([]));
        let later = match client {
            BeaconClient::Prysm => {
                let leaving = number(&beacon.validator("head", index).await["validator"]["exit_epoch"]);
                let why = format!(
                    "Invalid exit: validator with index {index} has already submitted an exit, which will take place at \
                     epoch: {leaving}"
                );
                no(client, ["", "", &why, "", ""])
            }
            _ => again,
        };
        assert_eq!(
            beacon.post(POOL, &first).await,
            later,
            "{client:?}, when a block holds it"
        );
    }
    assert_eq!(devnet.beacon().exits().len(), 5, "one for each");
    assert_eq!(devnet.beacon().refused_exits().len(), 3 * 3 + 1);
}

#[tokio::test]
async fn prysm_keeps_an_exit_until_it_is_valid_and_a_proposer_drops_what_is_not_any_more() {
    let devnet = start(DevnetConfig::default()).await;
    let beacon = Beacon::of(&devnet);
    let later = Staker::new(&devnet, 32, payable()).await;
    let dropped = Staker::new(&devnet, 32, payable()).await;
    devnet.pause_mining().await.unwrap();
    while beacon.status(1).await != "active_ongoing" {
        devnet.mine(1).await.unwrap();
    }
    let epoch = beacon.epoch().await;
    devnet.beacon().set_client(BeaconClient::Prysm);
    for exit in [later.exit(&devnet, 0, epoch + 2), dropped.exit(&devnet, 1, epoch)] {
        assert_eq!(beacon.post(POOL, &exit).await.status, 200);
    }
    devnet.beacon().set_pending_withdrawals([dropped.public_key()]);
    devnet.mine(1).await.unwrap();
    assert_eq!(
        beacon.get(POOL).await.data(),
        &json!([later.exit(&devnet, 0, epoch + 2)])
    );
    assert_eq!(beacon.status(1).await, "active_ongoing", "it must not leave");
    assert_eq!(beacon.status(0).await, "active_ongoing", "not yet");
    devnet.mine(20).await.unwrap();
    assert_eq!(beacon.get(POOL).await.data(), &json!([]));
    let leaves = beacon.validator("head", 0).await;
    assert_eq!(
        number(&leaves["validator"]["exit_epoch"]),
        epoch + 2 + 5,
        "from its own epoch"
    );
}

#[tokio::test]
async fn a_reorganisation_leaves_an_exit_where_it_was() {
    let devnet = start(DevnetConfig::default()).await;
    let beacon = Beacon::of(&devnet);
    let staker = Staker::new(&devnet, 32, payable()).await;
    devnet.mine(14).await.unwrap();
    devnet.pause_mining().await.unwrap();
    assert_eq!(beacon.status(0).await, "active_ongoing");
    assert_eq!(beacon.post(POOL, &staker.exit(&devnet, 0, 0)).await.status, 200);
    devnet.mine(2).await.unwrap();
    let before = beacon.validator("head", 0).await;
    assert_eq!(before["status"], "active_exiting");
    devnet.reorg(3).await.unwrap();
    devnet.pause_mining().await.unwrap();
    devnet.mine(1).await.unwrap();
    let after = beacon.validator("head", 0).await;
    assert_eq!(after["validator"]["pubkey"], before["validator"]["pubkey"]);
    assert_eq!(after["validator"]["exit_epoch"], before["validator"]["exit_epoch"]);
    assert_eq!(beacon.get(POOL).await.data(), &json!([]));
}

#[tokio::test]
async fn what_is_no_exit_is_said_to_be_none() {
    let devnet = start(DevnetConfig::default()).await;
    let beacon = Beacon::of(&devnet);
    let signature = FixedBytes::<96>::ZERO;
    let exit = |epoch: Value| json!({"message": {"epoch": epoch, "validator_index": "0"}, "signature": signature});
    let bodies = [
        json!({}),
        json!([]),
        exit(json!(1)),
        exit(json!("-1")),
        exit(json!("0x1")),
        exit(json!("18446744073709551616")),
        json!({"message": {"epoch": "1", "validator_index": "0"}, "signature": "0x00"}),
    ];
    for client in BeaconClient::ALL {
        devnet.beacon().set_client(client);
        for body in &bodies {
            let said = beacon.post(POOL, body).await;
            assert_eq!(said.status, 400, "{client:?} of {body}");
            let message = said.body.unwrap()["message"].as_str().unwrap().to_owned();
            let start = match client {
                BeaconClient::Lighthouse => "BAD_REQUEST: body deserialize error: ",
                BeaconClient::Prysm => "Could not decode request body: ",
                BeaconClient::Nimbus => "Unable to decode voluntary exit object(s)",
                BeaconClient::Teku | BeaconClient::Lodestar => "",
            };
            assert!(message.starts_with(start), "{client:?} said {message}");
        }
    }
    let refusals = devnet.beacon().refused_exits();
    assert_eq!(refusals.len(), 5 * bodies.len());
    assert!(refusals[0].starts_with("no signed exit: "), "{}", refusals[0]);
}
