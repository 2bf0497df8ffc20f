//! Logs from nodes that limit ranges, leave logs out, or make them up.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code"
)]

mod support;

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use alloy::sol_types::SolValue;
use alloy_primitives::b256;
use serde_json::{Value, json};
use support::{HEAD, Node, Reply, block_hash, error, execution, execution_with, healthy, options};
use sw_chain_client::{
    Address, B256, Bytes, DepositEvent, ExecutionError, ExitSignaturesUpdate, RewardsUpdate, Snapshot, U256,
};

const CONTRACT: Address = Address::repeat_byte(0xde);
const DEPOSIT: B256 = b256!("649bbc62d0e31342afea4e5cd82d4049e7e1ee912fc0889aa790803be39038c5");
const CONFIG: B256 = b256!("3f8d0d126f4c7f870ec9de90e2f4aa192e5e721bd3c48a77547fb9a7550eed32");
const REWARDS: B256 = b256!("fa453467fa89fc89833cc6e9c06a26a6c6db0fa6df2df5c74e685a27b0c931f2");
const EXITS_UPDATED: B256 = b256!("00864475858b77001993c57b93686a71d9b05afd547263395177b71e912a9cc1");
const REGISTERED: B256 = b256!("64b6e61d93b7a91e8cc4376183ede0997a27b44fd9dd2f30a866b2a5730efdb1");
const LEGACY_REGISTERED: B256 = b256!("7cb7aef9bd2e5ee3f6073019691bb332fe3ef290465065aca1b9983f3dc66c56");
const V2_REGISTERED: B256 = b256!("ff60f8758c2c5b9fb519990081b98ea94fbce2fe5b8e8567f56ea596c4388c97");

fn log(block: u64, index: u64, topics: &[B256], data: Vec<u8>) -> Value {
    json!({
        "address": CONTRACT,
        "topics": topics,
        "data": Bytes::from(data),
        "blockNumber": format!("{block:#x}"),
        "blockHash": block_hash(block),
        "transactionHash": B256::left_padding_from(&block.to_be_bytes()),
        "transactionIndex": "0x0",
        "logIndex": format!("{index:#x}"),
        "removed": false,
    })
}

fn deposit_data(index: u64) -> Vec<u8> {
    let bytes = |bytes: Vec<u8>| Bytes::from(bytes);
    (
        bytes(vec![index as u8; 48]),
        bytes(vec![1; 32]),
        bytes(32_000_000_000_u64.to_le_bytes().to_vec()),
        bytes(vec![2; 96]),
        bytes(index.to_le_bytes().to_vec()),
    )
        .abi_encode_params()
}

/// One deposit in every 16th block.
fn deposits() -> Vec<(u64, Value)> {
    (0..=HEAD / 16)
        .map(|index| (16 * index, log(16 * index, 3, &[DEPOSIT], deposit_data(index))))
        .collect()
}

/// The range that a request asks for.
fn range(params: &Value) -> (u64, u64) {
    let number = |name: &str| u64::from_str_radix(params[0][name].as_str().unwrap().strip_prefix("0x").unwrap(), 16);
    (number("fromBlock").unwrap(), number("toBlock").unwrap())
}

fn within(logs: &[(u64, Value)], params: &Value) -> Reply {
    let (from, to) = range(params);
    Reply::Result(
        logs.iter()
            .filter(|(block, _)| (from..=to).contains(block))
            .map(|(_, log)| log.clone())
            .collect(),
    )
}

async fn node_with(logs: impl Fn(&Value) -> Reply + Send + Sync + 'static) -> Node {
    Node::json_rpc(move |method, params| {
        if method == "eth_getLogs" {
            logs(params)
        } else {
            healthy(method, params)
        }
    })
    .await
}

async fn snapshot(node: &Node) -> Snapshot {
    execution(&[node]).head().await.unwrap()
}

fn assert_complete(events: &[DepositEvent]) {
    assert_eq!(events.len() as u64, HEAD / 16 + 1);
    for (index, event) in events.iter().enumerate() {
        assert_eq!((event.index, event.block), (index as u64, 16 * index as u64));
        assert_eq!(event.public_key.0, [index as u8; 48]);
        assert_eq!((event.amount.0, event.signature.0), (32_000_000_000, [2; 96]));
        assert_eq!(event.withdrawal_credentials, B256::repeat_byte(1));
    }
}

#[tokio::test]
async fn ranges_shrink_until_the_node_serves_them_and_every_block_is_asked_for_once() {
    let all = deposits();
    for (code, message) in [
        (-32005, "query returned more than 10000 results"),
        (-32602, "block range is too wide"),
        (-32000, "exceed maximum block range: 300"),
        (-32614, "eth_getLogs is limited to a 300 range"),
    ] {
        let all = all.clone();
        let node = node_with(move |params| {
            let (from, to) = range(params);
            if to - from + 1 > 300 {
                error(code, message)
            } else {
                within(&all, params)
            }
        })
        .await;
        let events = snapshot(&node).await.deposit_events(CONTRACT, 0, HEAD).await.unwrap();
        assert_complete(&events);
        let mut next = 0;
        for (_, params) in node.asked().iter().filter(|(method, _)| method == "eth_getLogs") {
            let (from, to) = range(params);
            assert!(from <= to && from == next, "{from}..{to}");
            if to - from < 300 {
                next = to + 1;
            }
        }
        assert_eq!(next, HEAD + 1);
    }
}

#[tokio::test]
async fn a_node_that_serves_single_blocks_only_is_enough() {
    let node = node_with(|params| {
        let (from, to) = range(params);
        if to > from {
            error(-32005, "too many")
        } else {
            Reply::Result(json!([]))
        }
    })
    .await;
    let events = snapshot(&node)
        .await
        .deposit_events(CONTRACT, HEAD - 20, HEAD)
        .await
        .unwrap();
    assert!(events.is_empty());
}

#[tokio::test]
async fn a_node_that_serves_no_logs_at_all_is_an_error_and_not_a_loop() {
    let node = node_with(|_| error(-32005, "too many")).await;
    let error = snapshot(&node)
        .await
        .deposit_events(CONTRACT, 0, HEAD)
        .await
        .unwrap_err();
    assert!(error.is_retryable(), "{error}");
    assert!(node.count("eth_getLogs") < 30);
}

#[tokio::test]
async fn an_answer_that_is_too_long_or_too_late_shrinks_the_range() {
    let all = deposits();
    let node = node_with(move |params| {
        let (from, to) = range(params);
        match to - from {
            0x800.. => Reply::Endless,
            0x400.. => Reply::Http(413, vec![], "too large".to_owned()),
            0x200.. => Reply::Slow(Duration::from_secs(30), Box::new(Reply::Result(json!([])))),
            _ => within(&all, params),
        }
    })
    .await;
    let events = snapshot(&node).await.deposit_events(CONTRACT, 0, HEAD).await.unwrap();
    assert_complete(&events);
}

#[tokio::test]
async fn what_one_request_in_three_meets_with_by_chance_says_nothing_of_ranges() {
    let losses: [fn() -> Reply; 4] = [
        || Reply::Cut,
        || Reply::Http(502, vec![], "bad gateway".to_owned()),
        || error(-32603, "internal error"),
        || Reply::Http(200, vec![], "<html>".to_owned()),
    ];
    for loss in losses {
        let asked = AtomicUsize::new(0);
        let node = node_with(move |_| match asked.fetch_add(1, Ordering::SeqCst) % 3 {
            1 => loss(),
            _ => Reply::Result(json!([])),
        })
        .await;
        let snapshot = snapshot(&node).await;
        for _ in 0..20 {
            assert_eq!(snapshot.last_config_cid(CONTRACT, 0, HEAD).await.unwrap(), None);
        }
        let asked = node.asked();
        let ranges = asked.iter().filter(|(method, _)| method == "eth_getLogs");
        assert!(
            ranges.clone().all(|(_, params)| range(params) == (0, HEAD)),
            "{asked:?}"
        );
        assert_eq!(ranges.count(), 30);
    }
}

#[tokio::test]
async fn a_rate_limit_is_waited_for_and_does_not_shrink_the_range() {
    let all = deposits();
    let refusals = AtomicUsize::new(2);
    let node = node_with(move |params| {
        match refusals.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)) {
            Ok(2) => Reply::Http(429, vec![("retry-after", "1".to_owned())], String::new()),
            Ok(_) => error(-32005, "daily request count exceeded, request rate limited"),
            Err(_) => within(&all, params),
        }
    })
    .await;
    let mut patient = options();
    patient.retry_budget = Duration::from_secs(30);
    patient.logs_body_limit = 1 << 20;
    let snapshot = execution_with(&[&node], patient).head().await.unwrap();
    let events = snapshot.deposit_events(CONTRACT, 0, HEAD).await.unwrap();
    assert_complete(&events);
    assert_eq!(node.count("eth_getLogs"), 3);
}

#[tokio::test]
async fn a_long_scan_can_be_taken_piece_by_piece() {
    let all = deposits();
    let node = node_with(move |params| {
        let (from, to) = range(params);
        if to - from + 1 > 1_000 {
            error(-32005, "too many")
        } else {
            within(&all, params)
        }
    })
    .await;
    let snapshot = snapshot(&node).await;
    let (mut next, mut events) = (0, Vec::new());
    while next <= HEAD {
        let (more, scanned) = snapshot.next_deposit_events(CONTRACT, next, u64::MAX).await.unwrap();
        assert!(scanned >= next && scanned <= HEAD);
        events.extend(more);
        next = scanned + 1;
    }
    assert_complete(&events);
    assert_eq!(
        snapshot
            .next_deposit_events(CONTRACT, HEAD + 1, u64::MAX)
            .await
            .unwrap(),
        (vec![], HEAD)
    );
}

#[tokio::test]
async fn deposits_that_were_left_out_at_either_end_are_missed() {
    let all = deposits();
    let node = node_with(move |params| within(&all, params)).await;
    let snapshot = snapshot(&node).await;
    let events = snapshot.deposit_events(CONTRACT, 0, HEAD).await.unwrap();
    let count = events.len() as u64;
    for (part, begins, ends) in [
        (&events[..], true, true),
        (&events[1..], false, true),
        (&events[..9], true, false),
    ] {
        assert_eq!(snapshot.check_deposits_begin(part, 0).is_ok(), begins);
        assert_eq!(snapshot.check_deposits_end(part, count).is_ok(), ends);
    }
    assert!(snapshot.check_deposits_begin(&[], 0).is_ok() && snapshot.check_deposits_end(&[], count).is_ok());
}

async fn refused(spoil: impl Fn(&mut Vec<Value>) + Send + Sync + 'static) -> ExecutionError {
    let node = node_with(move |params| {
        let Reply::Result(Value::Array(mut logs)) = within(&deposits(), params) else {
            panic!("logs")
        };
        spoil(&mut logs);
        Reply::Result(Value::Array(logs))
    })
    .await;
    let error = snapshot(&node)
        .await
        .deposit_events(CONTRACT, 0, HEAD)
        .await
        .unwrap_err();
    assert!(error.is_retryable(), "another node may be honest: {error}");
    error
}

#[tokio::test]
async fn logs_that_cannot_be_true_are_refused_with_what_gives_them_away() {
    type Spoil = fn(&mut Vec<Value>);
    let spoils: [(Spoil, &str); 13] = [
        (|logs| drop(logs.remove(7)), "deposit 6 is followed by deposit 8"),
        (|logs| logs.insert(7, logs[7].clone()), "out of order"),
        (|logs| logs.swap(7, 8), "out of order"),
        (|logs| logs[7]["removed"] = json!(true), "removed by a reorganisation"),
        (|logs| logs[7]["address"] = json!(Address::ZERO), "written by 0x0000"),
        (|logs| logs[7]["topics"] = json!([CONFIG]), "another event"),
        (|logs| logs[7]["topics"] = json!([]), "another event"),
        (|logs| logs[7]["topics"] = json!([DEPOSIT, DEPOSIT]), "DepositEvent"),
        (
            |logs| logs.last_mut().unwrap()["blockNumber"] = json!("0x1001"),
            "outside of blocks",
        ),
        (|logs| logs[7]["data"] = json!("0x"), "DepositEvent"),
        (
            |logs| logs[7]["data"] = json!(Bytes::from(deposit_data(7)[..500].to_vec())),
            "DepositEvent",
        ),
        (
            |logs| logs[7]["data"] = json!(Bytes::from(vec![0xff; 640])),
            "DepositEvent",
        ),
        (
            |logs| {
                let mut next = logs[7].clone();
                next["logIndex"] = json!("0x9");
                next["blockHash"] = json!(B256::ZERO);
                logs.insert(8, next);
            },
            "two hashes",
        ),
    ];
    let mut tried = 0;
    for (spoil, reason) in spoils {
        let error = refused(spoil).await;
        assert!(matches!(error, ExecutionError::ForgedLogs { .. }), "{error}");
        assert!(error.to_string().contains(reason), "{reason}: {error}");
        tried += 1;
    }
    assert_eq!(tried, 13);
}

#[tokio::test]
async fn members_of_a_deposit_with_a_wrong_size_are_named() {
    let sizes = [48, 32, 8, 96, 8];
    let names = ["public key", "withdrawal credentials", "amount", "signature", "index"];
    for (member, name) in names.iter().enumerate() {
        for wrong in [0, sizes[member] - 1, sizes[member] + 1] {
            let error = refused(move |logs| {
                let part = |index: usize| {
                    let size = if index == member { wrong } else { sizes[index] };
                    Bytes::from(vec![0; size])
                };
                let data = (part(0), part(1), part(2), part(3), part(4)).abi_encode_params();
                logs[0]["data"] = json!(Bytes::from(data));
            })
            .await;
            assert!(error.to_string().contains(&format!("ill-sized {name}")), "{error}");
        }
    }
}

#[tokio::test]
async fn an_endpoint_that_forges_logs_rests() {
    let liar = node_with(|_| Reply::Result(json!([log(1, 0, &[CONFIG], vec![])]))).await;
    let honest = node_with(|params| within(&deposits(), params)).await;
    let client = execution(&[&liar, &honest]);
    let snapshot = client.head().await.unwrap();
    assert_eq!(snapshot.endpoint(), &liar.url);
    assert!(snapshot.deposit_events(CONTRACT, 0, HEAD).await.is_err());
    let snapshot = client.head().await.unwrap();
    assert_eq!(snapshot.endpoint(), &honest.url);
    assert_complete(&snapshot.deposit_events(CONTRACT, 0, HEAD).await.unwrap());
}

#[tokio::test]
async fn a_reorganisation_during_a_scan_is_noticed() {
    let heads = AtomicUsize::new(0);
    let node = Node::json_rpc(move |method, params| match method {
        "eth_getBlockByNumber" if heads.fetch_add(1, Ordering::Relaxed) > 0 => {
            let mut block = support::block(HEAD);
            block["hash"] = json!(B256::repeat_byte(9));
            Reply::Result(block)
        }
        _ => healthy(method, params),
    })
    .await;
    let error = snapshot(&node)
        .await
        .deposit_events(CONTRACT, HEAD - 5, HEAD)
        .await
        .unwrap_err();
    assert!(
        matches!(error, ExecutionError::Reorganised { number: HEAD, .. }),
        "{error}"
    );
    assert!(error.is_retryable());

    let node = node_with(|_| {
        let mut logs = vec![log(HEAD, 3, &[DEPOSIT], deposit_data(0))];
        logs[0]["blockHash"] = json!(B256::ZERO);
        Reply::Result(Value::Array(logs))
    })
    .await;
    let error = snapshot(&node)
        .await
        .deposit_events(CONTRACT, HEAD, HEAD)
        .await
        .unwrap_err();
    assert!(matches!(error, ExecutionError::Reorganised { .. }), "{error}");
}

#[tokio::test]
async fn the_last_config_is_searched_for_backwards_in_small_ranges() {
    let cid = |text: &str| (text.to_owned(),).abi_encode_params();
    let logs = vec![
        (5, log(5, 0, &[CONFIG], cid("QmOld"))),
        (0x300, log(0x300, 0, &[CONFIG], cid("QmBefore"))),
        (0x300, log(0x300, 1, &[CONFIG], cid("QmLast"))),
    ];
    let node = node_with(move |params| {
        let (from, to) = range(params);
        if to - from + 1 > 100 {
            error(-32005, "too many")
        } else {
            within(&logs, params)
        }
    })
    .await;
    let snapshot = snapshot(&node).await;
    assert_eq!(
        snapshot.last_config_cid(CONTRACT, 0, HEAD).await.unwrap(),
        Some(("QmLast".to_owned(), 0x300))
    );
    assert_eq!(
        snapshot.last_config_cid(CONTRACT, 0, 0x2ff).await.unwrap(),
        Some(("QmOld".to_owned(), 5))
    );
    assert_eq!(snapshot.last_config_cid(CONTRACT, 6, 0x2ff).await.unwrap(), None);
    assert_eq!(snapshot.last_config_cid(CONTRACT, 0, 4).await.unwrap(), None);
    assert_eq!(snapshot.last_config_cid(CONTRACT, 9, 8).await.unwrap(), None);
}

#[tokio::test]
async fn a_cid_that_is_none_is_refused() {
    for text in [
        String::new(),
        "Qm with spaces".to_owned(),
        "Q".repeat(300),
        "Qm\u{1}".to_owned(),
    ] {
        let data = (text,).abi_encode_params();
        let node = node_with(move |_| Reply::Result(json!([log(HEAD, 0, &[CONFIG], data.clone())]))).await;
        let error = snapshot(&node)
            .await
            .last_config_cid(CONTRACT, HEAD, HEAD)
            .await
            .unwrap_err();
        assert!(matches!(error, ExecutionError::ForgedLogs { .. }), "{error}");
    }
}

#[tokio::test]
async fn the_last_rewards_are_found() {
    let node = node_with(|params| {
        let topics = [REWARDS, B256::ZERO, B256::repeat_byte(0xaa)];
        let data = (U256::from(1), U256::from(2), U256::from(41), "QmRewards".to_owned()).abi_encode_params();
        within(&[(77, log(77, 0, &topics, data))], params)
    })
    .await;
    let update = snapshot(&node)
        .await
        .last_rewards(CONTRACT, 0, HEAD)
        .await
        .unwrap()
        .unwrap();
    let expected = RewardsUpdate {
        rewards_root: B256::repeat_byte(0xaa),
        ipfs_hash: "QmRewards".to_owned(),
        nonce: 41,
        block: 77,
    };
    assert_eq!(update, expected);
}

/// A rotation of this vault, as the Keeper logs it.
fn rotated(block: u64, vault: Address, nonce: u64) -> Value {
    let topics = [EXITS_UPDATED, Address::repeat_byte(1).into_word(), vault.into_word()];
    log(
        block,
        0,
        &topics,
        (U256::from(nonce), "QmExits".to_owned()).abi_encode_params(),
    )
}

#[tokio::test]
async fn the_last_rotation_of_a_vault_is_asked_for_by_the_vault() {
    let (vault, other) = (Address::repeat_byte(2), Address::repeat_byte(3));
    let node = node_with(move |params| {
        assert_eq!(params[0]["topics"], json!([[EXITS_UPDATED], null, [vault.into_word()]]));
        within(&[(70, rotated(70, vault, 3)), (77, rotated(77, vault, 4))], params)
    })
    .await;
    let asked = snapshot(&node).await;
    let last = async |from, to| {
        asked
            .last_exit_signatures_update(CONTRACT, vault, from, to)
            .await
            .unwrap()
    };
    let expected = ExitSignaturesUpdate {
        caller: Address::repeat_byte(1),
        nonce: U256::from(4),
        ipfs_hash: "QmExits".to_owned(),
        block: 77,
    };
    assert_eq!(last(0, HEAD).await, Some(expected));
    assert_eq!(
        last(0, 76).await.map(|update| (update.nonce, update.block)),
        Some((U256::from(3), 70))
    );
    assert_eq!(last(78, HEAD).await, None);

    // A node that does not heed the vault is not believed to have given all of the vault's.
    let node = node_with(move |params| within(&[(77, rotated(77, other, 9))], params)).await;
    let error = snapshot(&node)
        .await
        .last_exit_signatures_update(CONTRACT, vault, 0, HEAD)
        .await;
    assert!(matches!(error, Err(ExecutionError::ForgedLogs { .. })), "{error:?}");
}

#[tokio::test]
async fn registrations_of_either_kind_are_found() {
    let node = node_with(|params| {
        assert_eq!(params[0]["topics"], json!([[REGISTERED, V2_REGISTERED]]));
        let old = (Bytes::from(vec![1; 48]),).abi_encode_params();
        let new = (Bytes::from(vec![2; 48]), U256::from(32)).abi_encode_params();
        within(
            &[
                (8, log(8, 0, &[REGISTERED], old)),
                (9, log(9, 0, &[V2_REGISTERED], new)),
            ],
            params,
        )
    })
    .await;
    let found = snapshot(&node)
        .await
        .validator_registered_events(CONTRACT, 0, HEAD)
        .await
        .unwrap();
    let keys: Vec<_> = found
        .iter()
        .map(|validator| (validator.public_key.0, validator.block))
        .collect();
    assert_eq!(keys, [([1; 48], 8), ([2; 48], 9)]);
    assert_eq!(found[1].transaction, B256::left_padding_from(&9_u64.to_be_bytes()));
}

/// The address of the operator is part of the event's data.
#[tokio::test]
async fn registrations_of_the_legacy_pool_are_found() {
    let node = node_with(|params| {
        assert_eq!(params[0]["topics"], json!([[LEGACY_REGISTERED]]));
        let data = (Bytes::from(vec![7; 48]), Address::repeat_byte(1)).abi_encode_params();
        within(&[(5, log(5, 2, &[LEGACY_REGISTERED], data))], params)
    })
    .await;
    let snapshot = snapshot(&node).await;
    let found = snapshot
        .legacy_validator_registered_events(CONTRACT, 0, 100)
        .await
        .unwrap();
    let keys: Vec<_> = found.iter().map(|one| (one.public_key.0, one.block)).collect();
    assert_eq!(keys, [([7; 48], 5)]);
}

#[tokio::test]
async fn registrations_that_cannot_be_the_vaults_are_refused() {
    let key = || (Bytes::from(vec![1; 48]),).abi_encode_params();
    let other_contract = || {
        let mut log = log(8, 0, &[REGISTERED], key());
        log["address"] = json!(Address::repeat_byte(1));
        log
    };
    let short = || log(8, 0, &[REGISTERED], (Bytes::from(vec![1; 47]),).abi_encode_params());
    let twice = || vec![log(8, 0, &[REGISTERED], key()), log(8, 0, &[REGISTERED], key())];
    for logs in [
        vec![other_contract()],
        vec![log(8, 0, &[LEGACY_REGISTERED], key())],
        vec![short()],
        twice(),
    ] {
        let node = node_with(move |_| Reply::Result(json!(logs))).await;
        let error = snapshot(&node)
            .await
            .validator_registered_events(CONTRACT, 0, HEAD)
            .await;
        assert!(matches!(error, Err(ExecutionError::ForgedLogs { .. })), "{error:?}");
    }
}
