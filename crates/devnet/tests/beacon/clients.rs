//! Where the clients' answers differ.

use alloy::primitives::FixedBytes;
use serde_json::{Value, json};
use sw_devnet::{
    Devnet, DevnetConfig, Node,
    beacon::BeaconClient::{self, Lighthouse, Lodestar, Nimbus, Prysm, Teku},
};

use crate::kit::{Beacon, Said, VALIDATORS, start};

/// Asks the node as each client, in the order of [`BeaconClient::ALL`].
async fn by_client<T>(devnet: &Devnet, ask: impl AsyncFn(BeaconClient) -> T) -> Vec<T> {
    let mut answers = Vec::new();
    for client in BeaconClient::ALL {
        devnet.beacon().set_client(client);
        answers.push(ask(client).await);
    }
    answers
}

fn error(status: u16, message: &str) -> Said {
    Said {
        status,
        body: Some(json!({"code": status, "message": message})),
    }
}

/// Lighthouse's form.
fn traced(status: u16, message: &str) -> Said {
    Said {
        status,
        body: Some(json!({"code": status, "message": message, "stacktraces": []})),
    }
}

/// Nimbus's form with a detail.
fn detailed(status: u16, message: &str, detail: &str) -> Said {
    Said {
        status,
        body: Some(json!({"code": status, "message": message, "stacktraces": [detail]})),
    }
}

#[tokio::test]
async fn lists_of_validators_differ_in_order_in_doubles_and_in_what_is_too_much() {
    let devnet = start(DevnetConfig::default()).await;
    let beacon = Beacon::of(&devnet);
    let mut keys = Vec::new();
    for _ in 0..3 {
        keys.push(devnet.foreign_deposit().await.unwrap());
    }
    let stranger = FixedBytes::<48>::repeat_byte(0x11);

    let ids = json!({"ids": ["2", keys[0], stranger, "9"]});
    let posted = by_client(&devnet, async |_| beacon.post(VALIDATORS, &ids).await.indexes()).await;
    assert_eq!(posted, [[0, 2], [2, 0], [2, 0], [2, 0], [2, 0]]);
    let path = format!("{VALIDATORS}?id=0,{}&id=1&id={stranger}", keys[2]);
    let got = by_client(&devnet, async |_| beacon.get(&path).await.indexes()).await;
    assert_eq!(got, [[0, 1, 2], [0, 2, 1], [0, 2, 1], [2, 1, 0], [0, 2, 1]]);

    let none = json!({"ids": [stranger, "9"]});
    let answers = by_client(&devnet, async |_| beacon.post(VALIDATORS, &none).await.indexes()).await;
    assert!(answers.iter().all(Vec::is_empty), "{answers:?}");
    let empty = json!({"ids": [], "statuses": []});
    let answers = by_client(&devnet, async |_| beacon.post(VALIDATORS, &empty).await.indexes().len()).await;
    assert_eq!(answers, [0, 3, 3, 3, 3]);
    let answers = by_client(&devnet, async |_| {
        beacon.post(VALIDATORS, &json!({})).await.indexes().len()
    })
    .await;
    assert_eq!(answers, [3; 5]);

    let twice = json!({"ids": ["1", "1"]});
    let answers = by_client(&devnet, async |_| beacon.post(VALIDATORS, &twice).await).await;
    let indexes: Vec<_> = answers[..3].iter().map(Said::indexes).collect();
    assert_eq!(indexes, [vec![1], vec![1, 1], vec![1, 1]]);
    assert_eq!(answers[3].status, 400);
    assert_eq!(answers[4], error(400, "Duplicate validator IDs provided"));

    let malformed = json!({"ids": ["0", "nobody"]});
    let answers = by_client(&devnet, async |_| beacon.post(VALIDATORS, &malformed).await).await;
    let statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [400, 400, 400, 400, 200]);
    assert_eq!(answers[2], error(400, "Invalid validator index nobody"));
    assert_eq!(
        answers[3],
        detailed(400, "Invalid request's body", "Unable to deserialize data")
    );
    assert_eq!(answers[4].indexes(), [0]);

    let many = |id: &str, count: usize| format!("{VALIDATORS}?id={}", vec![id; count].join(","));
    let long = many("4000000", 2100);
    let statuses = by_client(&devnet, async |_| beacon.get(&long).await.status).await;
    assert_eq!(statuses, [200, 200, 200, 400, 431], "16 KiB, the same id over and over");
    devnet.beacon().set_client(Nimbus);
    assert_eq!(
        beacon.get(&many("0", 16_385)).await,
        error(414, "Maximum number of validator identifier values exceeded")
    );

    let statuses = json!({"statuses": ["pending", "active"]});
    let answers = by_client(&devnet, async |_| {
        beacon.post(VALIDATORS, &statuses).await.indexes().len()
    })
    .await;
    assert_eq!(answers, [3, 3, 3, 3, 0], "Lodestar knows the nine statuses only");
    let unknown = json!({"statuses": ["gone_fishing"]});
    let answers = by_client(&devnet, async |_| beacon.post(VALIDATORS, &unknown).await.status).await;
    assert_eq!(answers, [400, 400, 400, 400, 200]);
}

#[tokio::test]
async fn one_validator_that_nobody_knows_is_not_found_but_for_prysm() {
    let devnet = start(DevnetConfig::default()).await;
    let beacon = Beacon::of(&devnet);
    let known = devnet.foreign_deposit().await.unwrap();
    let stranger = FixedBytes::<48>::repeat_byte(0x11);
    let one = async |id: &str| beacon.get(&format!("{VALIDATORS}/{id}")).await;
    let answers = by_client(&devnet, async |_| one(&known.to_string()).await.data()["index"].clone()).await;
    assert_eq!(answers, ["0"; 5]);
    let answers = by_client(&devnet, async |_| one("9").await).await;
    let expected = [
        traced(404, "NOT_FOUND: unknown validator: 9"),
        error(404, "Not found"),
        error(400, "Invalid validator index 9"),
        error(404, "Could not find validator"),
        error(404, "Validator index from future state"),
    ];
    assert_eq!(answers, expected);
    let answers = by_client(&devnet, async |_| one(&stranger.to_string()).await).await;
    let expected = [
        traced(404, &format!("NOT_FOUND: unknown validator: {stranger}")),
        error(404, "Not found"),
        error(404, &format!("Unknown validator: {stranger}")),
        error(404, "Could not find validator"),
        error(404, "Validator pubkey not found in state"),
    ];
    assert_eq!(answers, expected);
    let answers = by_client(&devnet, async |_| one("nobody").await).await;
    assert!(answers.iter().all(|answer| answer.status == 400), "{answers:?}");
    assert_eq!(answers[0], traced(400, "BAD_REQUEST: Invalid validator ID"));
    let answers = by_client(&devnet, async |_| beacon.get("/eth/v1/beacon/nothing").await).await;
    assert!(answers.iter().all(|answer| answer.status == 404), "{answers:?}");
    assert_eq!(answers[0], traced(404, "NOT_FOUND"));
}

#[tokio::test]
async fn old_versions_take_no_lists_and_say_less_of_themselves() {
    let devnet = start(DevnetConfig::default()).await;
    let beacon = Beacon::of(&devnet);
    devnet.foreign_deposit().await.unwrap();
    let members = |said: &Said| -> Vec<String> {
        said.body
            .as_ref()
            .unwrap()
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect()
    };
    let paths = [
        VALIDATORS,
        "/eth/v1/beacon/states/head/validators/0",
        "/eth/v1/beacon/states/head/fork",
        "/eth/v1/beacon/states/head/finality_checkpoints",
        "/eth/v1/beacon/headers/head",
    ];
    for path in paths {
        assert_eq!(
            members(&beacon.get(path).await),
            ["data", "execution_optimistic", "finalized"]
        );
    }
    devnet.beacon().set_old(true);
    let ids = json!({"ids": ["0"]});
    let answers = by_client(&devnet, async |_| beacon.post(VALIDATORS, &ids).await).await;
    let statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [405, 405, 400, 404, 404]);
    assert_eq!(answers[0], traced(405, "METHOD_NOT_ALLOWED"));
    let prysm = "Could not decode request body: json: cannot unmarshal object into Go value of type []string";
    assert_eq!(answers[2], error(400, prysm));
    let lodestar =
        json!({"message": format!("Route POST:{VALIDATORS} not found"), "error": "Not Found", "statusCode": 404});
    assert_eq!(answers[4].body, Some(lodestar));
    for path in paths {
        assert_eq!(members(&beacon.get(path).await), ["data"]);
    }
    let got = by_client(&devnet, async |_| {
        beacon.get(&format!("{VALIDATORS}?id=0")).await.indexes()
    })
    .await;
    assert_eq!(got, [[0]; 5], "all can be asked with GET");
    let syncing = beacon.get("/eth/v1/node/syncing").await;
    let named: Vec<_> = syncing.data().as_object().unwrap().keys().collect();
    assert_eq!(named, ["head_slot", "is_syncing", "sync_distance"]);
}

#[tokio::test]
async fn a_node_that_is_not_ready_says_so_in_five_ways() {
    let devnet = start(DevnetConfig::default()).await;
    let beacon = Beacon::of(&devnet);
    let health = async || by_client(&devnet, async |_| beacon.get("/eth/v1/node/health").await.status).await;
    assert_eq!(health().await, [200; 5]);
    devnet.set_syncing(Node::Consensus, true);
    assert_eq!(health().await, [206; 5]);
    devnet.set_syncing(Node::Consensus, false);
    devnet.beacon().set_optimistic(true);
    assert_eq!(health().await, [206, 200, 206, 200, 200]);
    devnet.beacon().set_optimistic(false);
    devnet.beacon().set_execution_offline(true);
    assert_eq!(health().await, [503, 200, 200, 200, 200]);

    let versions = by_client(&devnet, async |_| {
        let said = beacon.get("/eth/v1/node/version").await;
        said.data()["version"]
            .as_str()
            .unwrap()
            .split('/')
            .next()
            .unwrap()
            .to_owned()
    });
    assert_eq!(versions.await, ["Lighthouse", "teku", "Prysm", "Nimbus", "Lodestar"]);
}

#[tokio::test]
async fn who_is_at_work_is_said_within_each_clients_limits() {
    let devnet = start(DevnetConfig::default()).await;
    let beacon = Beacon::of(&devnet);
    let live = devnet.foreign_deposit().await.unwrap();
    devnet.beacon().set_live([live]);
    devnet.pause_mining().await.unwrap();
    devnet.mine(12).await.unwrap();
    let now = beacon.epoch().await;
    let ask = async |epoch: u64, indexes: Value| {
        beacon
            .post(&format!("/eth/v1/validator/liveness/{epoch}"), &indexes)
            .await
    };
    let seen = json!([{"index": "0", "is_live": true}]);
    let answers = by_client(&devnet, async |_| ask(now, json!(["0"])).await.data().clone()).await;
    assert_eq!(answers, vec![seen.clone(); 5]);
    let next = by_client(&devnet, async |_| ask(now + 1, json!(["0"])).await.status).await;
    assert_eq!(next, [200, 200, 400, 200, 200]);
    let past = by_client(&devnet, async |_| ask(now - 2, json!(["0"])).await.status).await;
    assert_eq!(past, [400, 400, 200, 400, 400]);
    devnet.beacon().set_client(Prysm);
    assert_eq!(
        ask(now + 1, json!(["0"])).await,
        error(400, "Requested epoch cannot be in the future")
    );
    let unknown = by_client(&devnet, async |_| ask(now, json!(["9"])).await).await;
    assert_eq!(unknown[2], error(400, "Validator index 9 is invalid"));
    for (client, answer) in [Lighthouse, Teku, Nimbus, Lodestar].iter().zip([0, 1, 3, 4]) {
        let data = unknown[answer].data();
        assert_eq!(data, &json!([{"index": "9", "is_live": false}]), "{client:?}");
    }
    let nobody = by_client(&devnet, async |_| ask(now, json!([])).await.status).await;
    assert_eq!(nobody, [200, 400, 400, 400, 200]);
    let twice = by_client(&devnet, async |_| ask(now, json!(["0", "0"])).await.status).await;
    assert_eq!(twice, [200, 200, 200, 400, 200]);

    devnet.set_syncing(Node::Consensus, true);
    let syncing = by_client(&devnet, async |_| ask(now, json!(["0"])).await.status).await;
    assert_eq!(syncing, [200, 503, 200, 503, 200]);
    devnet.set_syncing(Node::Consensus, false);
    devnet.beacon().set_tracks_liveness(false);
    let untracked = by_client(&devnet, async |_| ask(now, json!(["0"])).await).await;
    let statuses: Vec<_> = untracked.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [501, 400, 501, 501, 501]);
    let teku = "Validator liveness tracking is not enabled on this beacon node, cannot service request";
    assert_eq!(untracked[1], error(400, teku));
}
