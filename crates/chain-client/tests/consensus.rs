//! Several consensus nodes, none of which can be relied on.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code"
)]

mod support;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::{Node, Reply, http_client};
use sw_chain_client::{Address, B256, ConsensusClient, ConsensusOptions, EndpointFault, ExpectedGenesis};
use sw_spec::{Epoch, ForkVersion, Gwei, Network, PublicKeyBytes, Slot, ValidatorStatus};

fn consensus(nodes: &[&Node]) -> ConsensusClient {
    let options = ConsensusOptions {
        request_timeout: Duration::from_millis(1500),
        retry_budget: Duration::from_millis(200),
        body_limit: 100_000,
        genesis: None,
    };
    ConsensusClient::new(
        http_client(),
        nodes.iter().map(|node| node.url.clone()).collect(),
        options,
    )
}

fn finalized(optimistic: bool) -> Value {
    json!({
        "version": "electra",
        "execution_optimistic": optimistic,
        "finalized": true,
        "data": { "message": { "slot": "321", "proposer_index": "5", "body": { "graffiti": "0x00", "execution_payload": {
            "block_number": "300", "block_hash": B256::repeat_byte(3), "timestamp": "1700000000", "extra_data": "0x",
        } } }, "signature": "0x00" },
    })
}

fn healthy(request: &str, _: &Value) -> Reply {
    match request.split_once("/secret-path-key/").unwrap().1 {
        "eth/v1/node/syncing" => Reply::Result(json!({"data": {
            "head_slot": "325", "sync_distance": "1", "is_syncing": false, "is_optimistic": false, "el_offline": false,
        }})),
        "eth/v1/beacon/genesis" => Reply::Result(json!({"data": {
            "genesis_time": "1606824023",
            "genesis_validators_root": B256::repeat_byte(1),
            "genesis_fork_version": "0x10000910",
        }})),
        "eth/v1/config/deposit_contract" => Reply::Result(json!({"data": {
            "chain_id": "560048", "address": "0x00000000219ab540356cbb839cbe05303d7705fa",
        }})),
        "eth/v2/beacon/blocks/finalized" => Reply::Result(finalized(false)),
        _ => Reply::Http(404, vec![], "no such route".to_owned()),
    }
}

#[tokio::test]
async fn a_healthy_node_is_read() {
    let node = Node::http(healthy).await;
    let client = consensus(&[&node]);
    let genesis = client.genesis().await.unwrap();
    assert_eq!(
        (genesis.genesis_time, genesis.genesis_validators_root),
        (1_606_824_023, B256::repeat_byte(1))
    );
    assert_eq!(genesis.genesis_fork_version.0, [0x10, 0, 9, 0x10]);
    let block = client.finalized().await.unwrap();
    assert_eq!(
        (block.slot, block.block_number, block.timestamp),
        (Slot(321), 300, 1_700_000_000)
    );
    assert_eq!(block.block_hash, B256::repeat_byte(3));
    assert_eq!(block.epoch(&Network::Hoodi.spec()), Epoch(10));
    let contract = client.deposit_contract().await.unwrap();
    assert_eq!(contract.chain_id, 560_048);
    assert_eq!(
        contract.address,
        "0x00000000219ab540356cBB839Cbe05303d7705Fa".parse::<Address>().unwrap()
    );
}

#[tokio::test]
async fn every_endpoint_says_how_it_is() {
    let state = |syncing: bool, optimistic: Value, offline: Value| {
        Node::http(move |_, _| {
            Reply::Result(json!({"data": {
                "head_slot": "5", "sync_distance": "2", "is_syncing": syncing, "is_optimistic": optimistic, "el_offline": offline,
            }}))
        })
    };
    let nodes = [
        Node::http(healthy).await,
        state(true, json!(false), json!(false)).await,
        state(false, json!(true), json!(false)).await,
        state(false, json!(false), json!(true)).await,
        Node::http(|_, _| {
            Reply::Result(json!({"data": {"head_slot": "5", "sync_distance": "0", "is_syncing": false}}))
        })
        .await,
        Node::http(|_, _| Reply::Http(500, vec![], String::new())).await,
    ];
    let statuses = consensus(&nodes.iter().collect::<Vec<_>>()).syncing().await;
    let ready: Vec<_> = statuses.iter().map(|status| status.is_ready()).collect();
    assert_eq!(ready, [true, false, false, false, true, false]);
    assert!(statuses[1].is_syncing && statuses[2].is_optimistic && statuses[3].el_offline);
    assert_eq!((statuses[1].head_slot, statuses[1].sync_distance), (Some(Slot(5)), 2));
    assert!(matches!(
        statuses[5].error,
        Some(EndpointFault::Status { status: 500, .. })
    ));
    assert!(
        statuses
            .iter()
            .zip(&nodes)
            .all(|(status, node)| status.endpoint == node.url)
    );
}

#[tokio::test]
async fn the_genesis_of_every_endpoint_is_told_and_not_of_the_first_alone() {
    let other = Node::http(|_, _| {
        Reply::Result(json!({"data": {
            "genesis_time": "1", "genesis_validators_root": B256::repeat_byte(2), "genesis_fork_version": "0x00000000",
        }}))
    })
    .await;
    let down = Node::http(|_, _| Reply::Http(500, vec![], String::new())).await;
    let first = Node::http(healthy).await;
    let said = consensus(&[&first, &other, &down]).every_genesis().await;
    let roots: Vec<_> = said
        .iter()
        .map(|(_, genesis)| genesis.as_ref().ok().map(|genesis| genesis.genesis_validators_root))
        .collect();
    assert_eq!(roots, [Some(B256::repeat_byte(1)), Some(B256::repeat_byte(2)), None]);
    assert_eq!(said[1].0, other.url);
}

#[tokio::test]
async fn the_next_endpoint_takes_over_whatever_is_wrong_with_the_first() {
    type Wrong = fn() -> Reply;
    let wrongs: [Wrong; 9] = [
        || Reply::Http(503, vec![], String::new()),
        || Reply::Http(429, vec![("retry-after", "100".to_owned())], String::new()),
        || Reply::Http(404, vec![], String::new()),
        || Reply::Http(200, vec![], "<html>".to_owned()),
        || Reply::Result(json!({"data": {"message": {"slot": 1}}})),
        || Reply::Result(finalized(true)),
        || Reply::Endless,
        || Reply::Cut,
        || Reply::Slow(Duration::from_secs(60), Box::new(Reply::Result(finalized(false)))),
    ];
    for wrong in wrongs {
        let first = Node::http(move |_, _| wrong()).await;
        let second = Node::http(healthy).await;
        let client = consensus(&[&first, &second]);
        let started = Instant::now();
        for _ in 0..3 {
            assert_eq!(client.finalized().await.unwrap().slot, Slot(321));
        }
        assert_eq!((first.asked().len(), second.asked().len()), (1, 3));
        assert!(started.elapsed() < Duration::from_secs(20));
    }
}

#[tokio::test]
async fn when_nobody_answers_the_faults_are_named_without_secrets() {
    let node = Node::http(|_, _| Reply::Http(401, vec![], "key secret-path-key is not known".to_owned())).await;
    let error = consensus(&[&node]).genesis().await.unwrap_err();
    assert!(
        error.to_string().contains("it answers HTTP 401: key *** is not known"),
        "{error}"
    );
    assert!(!error.is_retryable(), "a person must mend it");
    assert!(!format!("{error:?}").contains("secret"));
    let optimistic = Node::http(|_, _| Reply::Result(finalized(true))).await;
    let error = consensus(&[&optimistic]).finalized().await.unwrap_err();
    assert!(error.is_retryable());
    assert!(
        error.to_string().contains("not verified by an execution node"),
        "{error}"
    );
}

fn validator(key: &PublicKeyBytes, index: u64) -> Value {
    json!({
        "index": index.to_string(), "balance": "32000000001", "status": "active_ongoing",
        "validator": {
            "pubkey": key, "withdrawal_credentials": B256::repeat_byte(1), "effective_balance": "32000000000", "slashed": false,
            "activation_eligibility_epoch": "1", "activation_epoch": "2", "exit_epoch": "18446744073709551615",
            "withdrawable_epoch": "18446744073709551615",
        },
    })
}

#[tokio::test]
async fn validators_are_asked_for_by_post() {
    let keys = [PublicKeyBytes([1; 48]), PublicKeyBytes([2; 48])];
    let node = Node::http(move |request, body| {
        assert_eq!(request, "POST /secret-path-key/eth/v1/beacon/states/head/validators");
        assert_eq!(body["ids"], json!(keys));
        Reply::Result(json!({"execution_optimistic": false, "finalized": false, "data": [validator(&keys[1], 7)]}))
    })
    .await;
    let found = consensus(&[&node]).validators(&keys).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].index, found[0].public_key, found[0].balance),
        (7, keys[1], Gwei(32_000_000_001))
    );
    assert_eq!(
        (found[0].status, found[0].exit_epoch),
        (ValidatorStatus::ActiveOngoing, Epoch(u64::MAX))
    );
    assert_eq!(consensus(&[&node]).validators(&[]).await.unwrap(), []);
}

#[tokio::test]
async fn a_node_without_post_is_asked_in_urls_of_a_bearable_length() {
    let keys: Vec<_> = (0..70).map(|index| PublicKeyBytes([index; 48])).collect();
    let node = Node::http(|request, _| {
        if request.starts_with("POST") {
            return Reply::Http(405, vec![], String::new());
        }
        assert!(request.len() < 4000);
        let ids = request.split(['?', '&']).filter_map(|part| part.strip_prefix("id="));
        let found: Vec<_> = ids
            .map(|id| id.parse().unwrap())
            .map(|key: PublicKeyBytes| validator(&key, key.0[0].into()))
            .collect();
        Reply::Result(json!({"data": found}))
    })
    .await;
    let found = consensus(&[&node]).validators(&keys).await.unwrap();
    assert!(found.iter().map(|validator| validator.public_key).eq(keys));
    assert_eq!(node.asked().len(), 4, "one POST and three GET");
}

#[tokio::test]
async fn validators_that_were_not_asked_for_are_refused() {
    let keys = [PublicKeyBytes([1; 48])];
    for wrong in [vec![PublicKeyBytes([2; 48])], vec![keys[0], keys[0]]] {
        let node = Node::http(move |_, _| {
            let found: Vec<_> = wrong.iter().map(|key| validator(key, 1)).collect();
            Reply::Result(json!({"data": found}))
        })
        .await;
        assert!(consensus(&[&node]).validators(&keys).await.is_err());
    }
}

/// A node that has seen these validators at work in epoch 7, and answers for nobody in other epochs.
async fn node_that_saw(live: &'static [u64]) -> Node {
    Node::http(move |request, body| {
        if request != "POST /secret-path-key/eth/v1/validator/liveness/7" {
            return Reply::Http(400, vec![], "another epoch".to_owned());
        }
        let answer = |index: &Value| {
            let is_live = live.contains(&index.as_str().unwrap().parse().unwrap());
            json!({"index": index, "is_live": is_live})
        };
        let data: Vec<_> = body.as_array().unwrap().iter().map(answer).collect();
        Reply::Result(json!({ "data": data }))
    })
    .await
}

#[tokio::test]
async fn what_one_endpoint_has_seen_at_work_is_live_whatever_the_others_say() {
    let (idle, first, second) = (
        node_that_saw(&[]).await,
        node_that_saw(&[3]).await,
        node_that_saw(&[5]).await,
    );
    let without = Node::http(|_, _| Reply::Http(501, vec![], "liveness tracking not enabled".to_owned())).await;
    let client = consensus(&[&idle, &first, &without, &second]);
    let live = client.live_validators(Epoch(7), &[3, 4, 5]).await.unwrap();
    assert_eq!(live.into_iter().collect::<Vec<_>>(), [3, 5]);
    assert!(
        consensus(&[&idle])
            .live_validators(Epoch(7), &[3])
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn nobody_is_called_idle_when_no_node_keeps_track() {
    for wrong in [400, 404, 405, 500, 501, 503] {
        let node = Node::http(move |_, _| Reply::Http(wrong, vec![], "no".to_owned())).await;
        let started = Instant::now();
        let error = consensus(&[&node]).live_validators(Epoch(7), &[3]).await.unwrap_err();
        assert!(error.to_string().contains(&wrong.to_string()), "{error}");
        assert_eq!(node.asked().len(), 1);
        assert!(started.elapsed() < Duration::from_secs(20));
    }
}

#[tokio::test]
async fn liveness_of_other_validators_than_those_asked_for_is_refused() {
    for data in [
        json!([]),
        json!([{"index": "4", "is_live": false}]),
        json!([{"index": "3", "is_live": false}, {"index": "3", "is_live": true}]),
        json!([{"index": "3"}]),
    ] {
        let node = Node::http(move |_, _| Reply::Result(json!({ "data": data }))).await;
        assert!(consensus(&[&node]).live_validators(Epoch(7), &[3]).await.is_err());
    }
}

#[tokio::test]
async fn an_endpoint_that_was_down_at_the_start_is_of_the_right_chain_before_it_is_used() {
    let other_chain = Node::http(|request, body| match healthy(request, body) {
        Reply::Result(mut answer) if request.ends_with("beacon/genesis") => {
            answer["data"]["genesis_validators_root"] = json!(B256::repeat_byte(9));
            Reply::Result(answer)
        }
        answer => answer,
    })
    .await;
    let other_fork = Node::http(|request, body| match healthy(request, body) {
        Reply::Result(mut answer) if request.ends_with("beacon/genesis") => {
            answer["data"]["genesis_fork_version"] = json!("0x00000000");
            Reply::Result(answer)
        }
        answer => answer,
    })
    .await;
    let right = Node::http(healthy).await;
    let expecting = |nodes: &[&Node]| {
        let options = ConsensusOptions {
            retry_budget: Duration::from_millis(200),
            genesis: Some(ExpectedGenesis {
                validators_root: B256::repeat_byte(1),
                fork_version: ForkVersion([0x10, 0, 9, 0x10]),
            }),
            ..ConsensusOptions::default()
        };
        ConsensusClient::new(
            http_client(),
            nodes.iter().map(|node| node.url.clone()).collect(),
            options,
        )
    };
    let client = expecting(&[&other_chain, &other_fork, &right]);
    assert_eq!(client.finalized().await.unwrap().block_number, 300);
    assert_eq!(client.head_slot().await.unwrap(), Slot(325));
    for wrong in [&other_chain, &other_fork] {
        let asked = wrong.asked();
        assert!(
            asked.iter().all(|(asked, _)| asked.ends_with("eth/v1/beacon/genesis")),
            "{asked:?}"
        );
        let alone = expecting(&[wrong]);
        let error = alone.finalized().await.unwrap_err();
        assert!(
            !error.is_retryable() && error.to_string().contains("another network"),
            "{error}"
        );
        alone.live_validators(Epoch(1), &[1]).await.unwrap_err();
    }
    let genesis = right
        .asked()
        .iter()
        .filter(|(asked, _)| asked.ends_with("genesis"))
        .count();
    assert_eq!(genesis, 1, "a node that has shown its chain is not asked every time");
}

#[tokio::test]
async fn the_head_is_taken_from_a_node_that_is_in_step_and_no_other() {
    let states = [
        (json!({"is_syncing": true}), "still syncing"),
        (
            json!({"is_syncing": false, "is_optimistic": true}),
            "not verified by an execution node",
        ),
        (
            json!({"is_syncing": false, "el_offline": true}),
            "its execution node is offline",
        ),
        (
            json!({"is_syncing": true, "is_optimistic": true, "el_offline": true}),
            "still syncing",
        ),
    ];
    let good = Node::http(healthy).await;
    for (state, said) in states {
        let node = Node::http(move |_, _| {
            let mut data = json!({"head_slot": "999", "sync_distance": "0"});
            data.as_object_mut().unwrap().extend(state.as_object().unwrap().clone());
            Reply::Result(json!({"data": data}))
        })
        .await;
        assert_eq!(consensus(&[&node, &good]).head_slot().await.unwrap(), Slot(325));
        let error = consensus(&[&node]).head_slot().await.unwrap_err();
        assert!(error.is_retryable() && error.to_string().contains(said), "{error}");
    }
    // Members that came with later versions of the API may be missing.
    let old = Node::http(|_, _| {
        Reply::Result(json!({"data": {"head_slot": "7", "sync_distance": "0", "is_syncing": false}}))
    })
    .await;
    assert_eq!(consensus(&[&old]).head_slot().await.unwrap(), Slot(7));
}
