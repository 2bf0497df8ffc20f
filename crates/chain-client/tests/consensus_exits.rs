//! Exits, handed over to nodes that lose answers, refuse wrongly, or are not in step.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code"
)]

mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use support::{Node, Reply, http_client};
use sw_chain_client::{B256, BeaconSpec, ConsensusClient, ConsensusOptions, ExitOutcome, ExitSeen};
use sw_spec::{
    Epoch, ForkVersion, PublicKeyBytes, SignatureBytes, SignedVoluntaryExit, ValidatorStatus, VoluntaryExit,
};

const POOL: &str = "eth/v1/beacon/pool/voluntary_exits";

fn consensus(nodes: &[&Node]) -> ConsensusClient {
    let options = ConsensusOptions {
        request_timeout: Duration::from_millis(700),
        retry_budget: Duration::from_millis(2_500),
        body_limit: 100_000,
        genesis: None,
    };
    let urls = nodes.iter().map(|node| node.url.clone()).collect();
    ConsensusClient::new(http_client(), urls, options)
}

fn exit() -> SignedVoluntaryExit {
    SignedVoluntaryExit {
        message: VoluntaryExit {
            epoch: Epoch(194_048),
            validator_index: 123,
        },
        signature: SignatureBytes([0xab; 96]),
    }
}

fn refused() -> Reply {
    let body = json!({"code": 400, "message": "BAD_REQUEST: NotActive(123)\nof secret-path-key", "stacktraces": []});
    Reply::Http(400, vec![], body.to_string())
}

fn accepted() -> Reply {
    Reply::Http(200, vec![], String::new())
}

/// A node in step that answers the `n`th exit so, shows this pool, and has the validator in this state.
async fn node(
    post: impl Fn(usize) -> Reply + Send + Sync + 'static,
    pool: impl Fn() -> Reply + Send + Sync + 'static,
    status: &'static str,
) -> Node {
    let posted = AtomicUsize::new(0);
    Node::http(move |request, body| {
        let (method, path) = request.split_once(" /secret-path-key/").unwrap();
        match (method, path) {
            (_, "eth/v1/node/syncing") => syncing(false),
            ("POST", POOL) => {
                assert_eq!(*body, serde_json::to_value(exit()).unwrap());
                post(posted.fetch_add(1, Ordering::SeqCst))
            }
            ("GET", POOL) => pool(),
            (_, path) if path.starts_with("eth/v1/beacon/states/head/validators") => {
                Reply::Result(json!({"data": [validator(status)]}))
            }
            _ => Reply::Http(404, vec![], "no such route".to_owned()),
        }
    })
    .await
}

fn syncing(is_syncing: bool) -> Reply {
    Reply::Result(json!({"data": {"head_slot": "325", "sync_distance": "0", "is_syncing": is_syncing}}))
}

fn validator(status: &str) -> Value {
    json!({
        "index": "123", "balance": "32000000001", "status": status,
        "validator": {
            "pubkey": PublicKeyBytes([1; 48]), "withdrawal_credentials": B256::repeat_byte(1),
            "effective_balance": "32000000000", "slashed": false, "activation_eligibility_epoch": "1",
            "activation_epoch": "2", "exit_epoch": "18446744073709551615", "withdrawable_epoch": "18446744073709551615",
        },
    })
}

fn empty_pool() -> Reply {
    Reply::Result(json!({"data": []}))
}

fn pool_with_it() -> Reply {
    Reply::Result(json!({"data": [exit()]}))
}

fn posts(node: &Node) -> usize {
    node.count(&format!("POST /secret-path-key/{POOL}"))
}

#[tokio::test]
async fn one_node_that_takes_it_is_enough() {
    let bodies = [
        "",
        "null",
        r#"{"code":200,"message":"Voluntary exit object(s) was broadcast"}"#,
        "\n",
    ];
    for body in bodies {
        let first = node(
            move |_| Reply::Http(200, vec![], body.to_owned()),
            empty_pool,
            "active_ongoing",
        )
        .await;
        let second = node(|_| accepted(), empty_pool, "active_ongoing").await;
        let outcome = consensus(&[&first, &second]).submit_exit(&exit()).await.unwrap();
        let ExitOutcome::Accepted { endpoint, refusals } = outcome else {
            panic!("{body}: {outcome:?}");
        };
        assert_eq!((endpoint, refusals.len()), (first.url.clone(), 0));
        assert_eq!((posts(&first), posts(&second)), (1, 0));
    }
}

#[tokio::test]
async fn an_error_with_status_200_is_no_acceptance() {
    let bodies = [
        r#"{"code":400,"message":"Invalid voluntary exit"}"#,
        r#"{"code":"503","message":"no node behind this"}"#,
        r#"{"error":"too many requests"}"#,
        r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32601,"message":"method not found"}}"#,
        r#""limit reached""#,
    ];
    for body in bodies {
        let gateway = node(
            move |_| Reply::Http(200, vec![], body.to_owned()),
            empty_pool,
            "active_ongoing",
        )
        .await;
        let good = node(|_| accepted(), empty_pool, "active_ongoing").await;
        let outcome = consensus(&[&gateway, &good]).submit_exit(&exit()).await.unwrap();
        assert!(
            matches!(&outcome, ExitOutcome::Accepted { endpoint, .. } if *endpoint == good.url),
            "{body}: {outcome:?}"
        );
    }
}

#[tokio::test]
async fn a_refusal_is_named_in_one_line_without_secrets_and_the_next_node_is_asked() {
    let behind = node(|_| refused(), empty_pool, "pending_queued").await;
    let good = node(|_| accepted(), empty_pool, "active_ongoing").await;
    let outcome = consensus(&[&behind, &good]).submit_exit(&exit()).await.unwrap();
    let ExitOutcome::Accepted { endpoint, refusals } = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!((endpoint, &refusals[0].endpoint), (good.url.clone(), &behind.url));
    assert_eq!(
        (refusals[0].status, refusals[0].message.as_str()),
        (400, "BAD_REQUEST: NotActive(123) of ***")
    );

    let also = node(
        |_| {
            Reply::Http(
                500,
                vec![],
                json!({"code": 500, "message": "VOLUNTARY_EXIT_ERROR_INACTIVE"}).to_string(),
            )
        },
        empty_pool,
        "active_ongoing",
    )
    .await;
    let outcome = consensus(&[&behind, &also]).submit_exit(&exit()).await.unwrap();
    let ExitOutcome::Refused { refusals, failures } = outcome else {
        panic!("{outcome:?}");
    };
    let statuses: Vec<_> = refusals.iter().map(|refusal| refusal.status).collect();
    assert_eq!((statuses, failures.len()), (vec![400, 500], 0));
    assert_eq!(posts(&also), 1, "what is refused is not repeated");
}

#[tokio::test]
async fn a_long_refusal_is_cut() {
    let chatty = node(
        |_| Reply::Http(400, vec![], json!({"message": "x".repeat(50_000)}).to_string()),
        empty_pool,
        "active_ongoing",
    )
    .await;
    let ExitOutcome::Refused { refusals, .. } = consensus(&[&chatty]).submit_exit(&exit()).await.unwrap() else {
        panic!("it is refused");
    };
    assert_eq!(refusals[0].message.len(), 300);
}

#[tokio::test]
async fn an_exit_that_the_node_has_is_no_failure_whatever_it_answers() {
    let in_pool = node(|_| refused(), pool_with_it, "active_ongoing").await;
    let in_state = node(|_| refused(), empty_pool, "active_exiting").await;
    let without_pool = node(
        |_| refused(),
        || Reply::Http(501, vec![], String::new()),
        "exited_unslashed",
    )
    .await;
    for (node, expected) in [
        (in_pool, ExitSeen::Pool),
        (in_state, ExitSeen::Status(ValidatorStatus::ActiveExiting)),
        (without_pool, ExitSeen::Status(ValidatorStatus::ExitedUnslashed)),
    ] {
        let outcome = consensus(&[&node]).submit_exit(&exit()).await.unwrap();
        assert!(
            matches!(&outcome, ExitOutcome::AlreadyKnown { endpoint, seen } if *endpoint == node.url && *seen == expected),
            "{outcome:?}"
        );
    }
}

#[tokio::test]
async fn a_lost_answer_is_looked_up_before_anything_is_said() {
    let lost: [fn() -> Reply; 5] = [
        || Reply::Cut,
        || Reply::Http(502, vec![], "<html>bad gateway</html>".to_owned()),
        || Reply::Http(200, vec![], "<html>sign in</html>".to_owned()),
        || Reply::Slow(Duration::from_secs(2), Box::new(accepted())),
        || Reply::Endless,
    ];
    let shown = lost.into_iter().enumerate().map(|(place, lost)| async move {
        let arrived = node(move |_| lost(), pool_with_it, "active_ongoing").await;
        let outcome = consensus(&[&arrived]).submit_exit(&exit()).await.unwrap();
        assert!(
            matches!(
                outcome,
                ExitOutcome::Arrived {
                    seen: ExitSeen::Pool,
                    ..
                }
            ),
            "{place}: {outcome:?}"
        );
        assert_eq!(posts(&arrived), 1);

        // It did not arrive, so it is sent again.
        let again = move |n| if n == 0 { lost() } else { accepted() };
        let node = node(again, empty_pool, "active_ongoing").await;
        let outcome = consensus(&[&node]).submit_exit(&exit()).await.unwrap();
        assert!(matches!(outcome, ExitOutcome::Accepted { .. }), "{place}: {outcome:?}");
    });
    futures::future::join_all(shown).await;
}

#[tokio::test]
async fn what_was_lost_by_one_node_is_looked_for_at_the_next_before_it_is_sent_there() {
    let arrives = Arc::new(AtomicUsize::new(0));
    let (sent, seen) = (Arc::clone(&arrives), Arc::clone(&arrives));
    let first = Node::http(
        move |request, _| match request.split_once("/secret-path-key/").unwrap().1 {
            "eth/v1/node/syncing" => syncing(false),
            POOL if request.starts_with("POST") => {
                sent.fetch_add(1, Ordering::SeqCst);
                Reply::Cut
            }
            _ => Reply::Cut,
        },
    )
    .await;
    let second = node(
        |_| refused(),
        move || {
            if seen.load(Ordering::SeqCst) > 0 {
                pool_with_it()
            } else {
                empty_pool()
            }
        },
        "active_ongoing",
    )
    .await;
    let outcome = consensus(&[&first, &second]).submit_exit(&exit()).await.unwrap();
    assert!(
        matches!(&outcome, ExitOutcome::Arrived { endpoint, .. } if *endpoint == second.url),
        "{outcome:?}"
    );
    assert_eq!((posts(&first), posts(&second)), (1, 0));
}

#[tokio::test]
async fn what_nobody_can_tell_is_not_called_a_failure() {
    let black_hole = node(|_| Reply::Cut, empty_pool, "active_ongoing").await;
    let outcome = consensus(&[&black_hole]).submit_exit(&exit()).await.unwrap();
    let ExitOutcome::Unknown { refusals, failures } = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!((refusals.len(), failures.len()), (0, 1));
    assert!(
        failures[0].to_string().contains("the connection broke"),
        "{}",
        failures[0]
    );
    assert!(posts(&black_hole) > 1, "sending it again does no harm");

    let no = node(|_| refused(), empty_pool, "active_ongoing").await;
    let outcome = consensus(&[&black_hole, &no]).submit_exit(&exit()).await.unwrap();
    assert!(
        matches!(&outcome, ExitOutcome::Unknown { refusals, .. } if refusals.len() == 1),
        "{outcome:?}"
    );
    assert_eq!(posts(&no), 1);
}

#[tokio::test]
async fn a_node_that_is_not_in_step_is_not_asked() {
    let behind = Node::http(|request, _| match request.ends_with("syncing") {
        true => syncing(true),
        false => panic!("{request}"),
    })
    .await;
    let limited = Node::http(|_, _| Reply::Http(429, vec![("retry-after", "60".to_owned())], String::new())).await;
    let error = consensus(&[&behind, &limited]).submit_exit(&exit()).await.unwrap_err();
    assert!(
        error.is_retryable() && error.to_string().contains("still syncing"),
        "{error}"
    );
    let good = node(|_| accepted(), empty_pool, "active_ongoing").await;
    let outcome = consensus(&[&behind, &limited, &good])
        .submit_exit(&exit())
        .await
        .unwrap();
    assert!(outcome.is_under_way());
    assert_eq!(posts(&behind), 0);
}

#[tokio::test]
async fn the_pool_is_read_strictly() {
    let good = json!({"message": {"epoch": "1", "validator_index": "2"}, "signature": SignatureBytes([1; 96])});
    let pool = |exit: Value| async move {
        let node = Node::http(move |_, _| Reply::Result(json!({"data": [exit]}))).await;
        consensus(&[&node]).pool_exits().await
    };
    let read = pool(good.clone()).await.unwrap();
    assert_eq!((read[0].message.epoch, read[0].message.validator_index), (Epoch(1), 2));
    let wrongs = [
        ("/message/epoch", json!(1)),
        ("/message/epoch", json!("01")),
        ("/message/validator_index", json!("-1")),
        ("/message/validator_index", json!("18446744073709551616")),
        ("/signature", json!("0x00")),
        ("/message", json!({"epoch": "1", "validator_index": "2", "more": "3"})),
    ];
    for (place, wrong) in wrongs {
        let mut exit = good.clone();
        *exit.pointer_mut(place).unwrap() = wrong;
        let error = pool(exit.clone()).await.unwrap_err();
        assert!(error.to_string().contains("malformed"), "{exit}: {error}");
    }
}

#[tokio::test]
async fn a_node_that_does_not_take_a_list_by_post_is_not_asked_so_again() {
    for status in [400, 404, 405, 415, 501] {
        let node = Node::http(move |request, _| match request.starts_with("POST") {
            true => Reply::Http(status, vec![], "no".to_owned()),
            false => Reply::Result(json!({"data": [validator("active_ongoing")]})),
        })
        .await;
        let client = consensus(&[&node]);
        for _ in 0..3 {
            assert_eq!(
                client.validators_by_index(&[123, 123]).await.unwrap().len(),
                1,
                "{status}"
            );
        }
        let asked: Vec<_> = node
            .asked()
            .iter()
            .map(|(asked, _)| asked.split(' ').next().unwrap().to_owned())
            .collect();
        assert_eq!(asked, ["POST", "GET", "GET", "GET"], "{status}");
    }
}

#[tokio::test]
async fn validators_are_held_to_the_indexes_that_were_asked_for() {
    let many: Vec<u64> = (0..130).collect();
    let get = Node::http(|request, _| {
        if request.starts_with("POST") {
            return Reply::Http(405, vec![], String::new());
        }
        let ids: Vec<_> = request
            .split(['?', '&'])
            .filter_map(|part| part.strip_prefix("id="))
            .collect();
        assert!(ids.len() <= 64 && request.len() < 4_000);
        let data: Vec<_> = ids
            .iter()
            .map(|id| {
                let mut found = validator("active_ongoing");
                found["index"] = json!(id);
                found["validator"]["pubkey"] = json!(PublicKeyBytes([id.parse().unwrap(); 48]));
                found
            })
            .collect();
        Reply::Result(json!({ "data": data }))
    })
    .await;
    assert_eq!(consensus(&[&get]).validators_by_index(&many).await.unwrap().len(), 130);
    assert_eq!(get.asked().len(), 4);

    let other_key = |mut found: Value| {
        found["validator"]["pubkey"] = json!(PublicKeyBytes([2; 48]));
        found
    };
    let mut elsewhere = validator("active_ongoing");
    elsewhere["index"] = json!("7");
    let twice = [validator("active_ongoing"), other_key(validator("active_ongoing"))];
    for data in [
        json!([elsewhere]),
        json!(twice),
        json!([validator("resting")]),
        json!([{"index": "123"}]),
    ] {
        let liar = Node::http(move |_, _| Reply::Result(json!({ "data": data }))).await;
        let error = consensus(&[&liar]).validators_by_index(&[123]).await.unwrap_err();
        assert!(error.to_string().contains("malformed"), "{error}");
    }
}

#[tokio::test]
async fn constants_fork_and_finality_are_read() {
    let root = B256::repeat_byte(5);
    let node = Node::http(move |request, _| {
        let checkpoint = |epoch: &str| json!({"epoch": epoch, "root": root});
        match request.split_once("/secret-path-key/").unwrap().1 {
            "eth/v1/config/spec" => Reply::Result(json!({"data": {
                "CONFIG_NAME": "mainnet", "CAPELLA_FORK_VERSION": "0x03000000", "CAPELLA_FORK_EPOCH": "194048",
                "SHARD_COMMITTEE_PERIOD": "256", "SLOTS_PER_EPOCH": "32", "SECONDS_PER_SLOT": "12",
                "BLOB_SCHEDULE": [{"EPOCH": "1", "MAX_BLOBS_PER_BLOCK": "9"}],
            }})),
            "eth/v1/beacon/states/head/fork" => Reply::Result(json!({"execution_optimistic": null, "data": {
                "previous_version": "0x04000000", "current_version": "0x05000000", "epoch": "364032",
            }})),
            "eth/v1/beacon/states/head/finality_checkpoints" => Reply::Result(json!({"data": {
                "previous_justified": checkpoint("7"), "current_justified": checkpoint("8"), "finalized": checkpoint("7"),
            }})),
            _ => Reply::Http(404, vec![], String::new()),
        }
    })
    .await;
    let client = consensus(&[&node]);
    assert_eq!(
        client.chain_spec().await.unwrap(),
        BeaconSpec {
            capella_fork_version: ForkVersion([3, 0, 0, 0]),
            capella_fork_epoch: Epoch(194_048),
            shard_committee_period: 256,
            slots_per_epoch: 32,
            seconds_per_slot: 12,
        }
    );
    let fork = client.fork().await.unwrap();
    assert_eq!(
        (fork.current_version, fork.epoch),
        (ForkVersion([5, 0, 0, 0]), Epoch(364_032))
    );
    let finality = client.finality().await.unwrap();
    assert_eq!(
        (finality.finalized.epoch, finality.current_justified.root),
        (Epoch(7), root)
    );

    for (slots, seconds) in [("0", "12"), ("32", "0")] {
        let odd = Node::http(move |_, _| {
            Reply::Result(json!({"data": {
                "CAPELLA_FORK_VERSION": "0x03000000", "CAPELLA_FORK_EPOCH": "1", "SHARD_COMMITTEE_PERIOD": "256",
                "SLOTS_PER_EPOCH": slots, "SECONDS_PER_SLOT": seconds,
            }}))
        })
        .await;
        consensus(&[&odd]).chain_spec().await.unwrap_err();
    }
    let newer = Node::http(|_, _| {
        Reply::Result(json!({"data": {
            "CAPELLA_FORK_VERSION": "0x03000000", "CAPELLA_FORK_EPOCH": "1", "SHARD_COMMITTEE_PERIOD": "256",
            "SLOTS_PER_EPOCH": "32", "SLOT_DURATION_MS": "12000",
        }}))
    })
    .await;
    assert_eq!(consensus(&[&newer]).chain_spec().await.unwrap().seconds_per_slot, 12);
}
