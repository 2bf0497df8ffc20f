//! Several execution nodes, none of which can be relied on.
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
    time::{Duration, Instant},
};

use alloy::sol_types::{Revert as ErrorString, SolError, SolValue};
use serde_json::{Value, json};
use support::{HEAD, Node, Reply, block, block_hash, error, execution, execution_with, healthy, options};
use sw_chain_client::{
    Address, B256, Call, EndpointFault, ExecutionError, HarvestParams, I160, RegistrationState, SimulateError,
    TransactionStatus, U160, U256,
};
use sw_spec::Network;

async fn failing_then_healthy(reply: impl Fn() -> Reply + Send + Sync + 'static) -> (Node, Node) {
    let first = Node::json_rpc(move |_, _| reply()).await;
    (first, Node::json_rpc(healthy).await)
}

/// Asserts that the second endpoint serves when the first fails, and that the first is left alone after that.
async fn taken_over(reply: impl Fn() -> Reply + Send + Sync + 'static) {
    let (first, second) = failing_then_healthy(reply).await;
    let client = execution(&[&first, &second]);
    for _ in 0..3 {
        let snapshot = client.head().await.unwrap();
        assert_eq!(
            (snapshot.block().number, snapshot.block().hash),
            (HEAD, block_hash(HEAD))
        );
        assert_eq!(snapshot.endpoint(), &second.url);
    }
    assert_eq!(first.asked().len(), 1, "it rests after its failure");
}

#[tokio::test]
async fn a_rate_limit_moves_on_to_the_next_endpoint() {
    taken_over(|| Reply::Http(429, vec![("retry-after", "60".to_owned())], "slow down".to_owned())).await;
    taken_over(|| error(-32005, "project rate limit exceeded")).await;
    taken_over(|| error(429, "compute units exceeded")).await;
}

#[tokio::test]
async fn a_json_rpc_error_that_is_the_nodes_fault_moves_on_to_the_next_endpoint() {
    taken_over(|| error(-32603, "internal error")).await;
    taken_over(|| error(-32000, "out of gas")).await;
    taken_over(|| error(-32601, "the method does not exist")).await;
}

#[tokio::test]
async fn an_answer_that_makes_no_sense_moves_on_to_the_next_endpoint() {
    taken_over(|| Reply::Http(200, vec![], "<html>Sign in</html>".to_owned())).await;
    taken_over(|| Reply::Http(200, vec![], String::new())).await;
    taken_over(|| {
        Reply::Http(
            200,
            vec![],
            json!({"jsonrpc": "2.0", "id": 99, "result": "0x539"}).to_string(),
        )
    })
    .await;
    taken_over(|| Reply::Http(200, vec![], format!("{}1{}", "[".repeat(50_000), "]".repeat(49_000)))).await;
    taken_over(|| Reply::Result(json!({"number": "0x1"}))).await;
    taken_over(|| Reply::Result(Value::Null)).await;
    taken_over(|| Reply::Http(502, vec![], "bad gateway".to_owned())).await;
    taken_over(|| Reply::Http(307, vec![("location", "http://127.0.0.1:1/".to_owned())], String::new())).await;
    taken_over(|| Reply::Cut).await;
}

#[tokio::test]
async fn a_read_whose_answer_is_lost_is_asked_once_more_of_the_same_node() {
    let losses: [fn() -> Reply; 3] = [
        || Reply::Cut,
        || Reply::Http(502, vec![], "bad gateway".to_owned()),
        || Reply::Http(200, vec![], "{\"jsonrpc".to_owned()),
    ];
    for loss in losses {
        for losses in 0..=2 {
            let left = AtomicUsize::new(losses);
            let node = Node::json_rpc(move |method, params| {
                let loses = |left: usize| left.checked_sub(1);
                match method {
                    "eth_getBalance" if left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, loses).is_ok() => loss(),
                    "eth_getBalance" => Reply::Result(json!("0x5")),
                    _ => healthy(method, params),
                }
            })
            .await;
            let snapshot = execution(&[&node]).head().await.unwrap();
            let balance = snapshot.balance(Address::ZERO).await;
            assert_eq!(
                balance.ok(),
                (losses < 2).then(|| U256::from(5)),
                "{losses} answers are lost"
            );
            assert_eq!(node.count("eth_getBalance"), (losses + 1).min(2));
        }
    }
}

#[tokio::test]
async fn an_endless_answer_is_cut_off_and_moves_on_to_the_next_endpoint() {
    let started = Instant::now();
    taken_over(|| Reply::Endless).await;
    assert!(started.elapsed() < Duration::from_secs(20));
}

#[tokio::test]
async fn a_silent_endpoint_is_given_up_in_time() {
    let started = Instant::now();
    taken_over(|| Reply::Slow(Duration::from_secs(60), Box::new(Reply::Result(json!("0x539"))))).await;
    taken_over(|| Reply::Trickle).await;
    assert!(started.elapsed() < Duration::from_secs(20));
}

#[tokio::test]
async fn an_endpoint_of_another_chain_is_never_used() {
    taken_over(|| Reply::Result(json!("0x1"))).await;
}

#[tokio::test]
async fn a_syncing_endpoint_is_passed_over() {
    let syncing = Node::json_rpc(|method, params| match method {
        "eth_syncing" => Reply::Result(json!({"currentBlock": "0x1", "highestBlock": "0x1000"})),
        _ => healthy(method, params),
    })
    .await;
    let good = Node::json_rpc(healthy).await;
    let snapshot = execution(&[&syncing, &good]).head().await.unwrap();
    assert_eq!(snapshot.endpoint(), &good.url);
    let error = execution(&[&syncing]).head().await.err().unwrap();
    assert!(error.is_retryable());
    assert!(error.to_string().contains("still syncing"), "{error}");
}

#[tokio::test]
async fn an_endpoint_that_lacks_a_final_block_is_passed_over() {
    let stuck = Node::json_rpc(|method, params| match method {
        "eth_getBlockByNumber" if params[0] == "latest" => Reply::Result(block(HEAD - 5)),
        "eth_getBlockByNumber" => Reply::Result(Value::Null),
        _ => healthy(method, params),
    })
    .await;
    let following = Node::json_rpc(healthy).await;
    let client = execution(&[&stuck, &following]);
    assert_eq!(client.head().await.unwrap().block().number, HEAD - 5);
    assert_eq!(client.block_by_number(HEAD - 2).await.unwrap(), None);
    client.expect_final(HEAD - 2);
    assert_eq!(
        client.block_by_number(HEAD - 2).await.unwrap().unwrap().number,
        HEAD - 2
    );
    assert_eq!(client.head().await.unwrap().block().number, HEAD);

    let alone = execution(&[&stuck]);
    alone.expect_final(HEAD - 2);
    let error = alone.head().await.err().unwrap();
    assert!(
        error.is_retryable()
            && error
                .to_string()
                .contains(&format!("block {}, which is final", HEAD - 2)),
        "{error}"
    );
}

#[tokio::test]
async fn every_endpoint_is_checked_by_name() {
    let good = Node::json_rpc(healthy).await;
    let other_chain = Node::json_rpc(|_, _| Reply::Result(json!("0x1"))).await;
    let syncing = Node::json_rpc(|method, params| match method {
        "eth_syncing" => Reply::Result(json!({"currentBlock": "0x1"})),
        _ => healthy(method, params),
    })
    .await;
    let broken = Node::json_rpc(|_, _| error(-32603, "internal error")).await;
    let mut unchecked = options();
    unchecked.chain_id = None;
    let client = execution_with(&[&other_chain, &good, &syncing, &broken], unchecked);
    let statuses = client.check_endpoints(1337).await;
    assert!(matches!(
        statuses[0].error,
        Some(EndpointFault::WrongChain {
            expected: 1337,
            found: 1
        })
    ));
    assert!(statuses[1].error.is_none());
    assert_eq!((statuses[1].chain_id, statuses[1].block), (Some(1337), Some(HEAD)));
    assert!(statuses[2].syncing && matches!(statuses[2].error, Some(EndpointFault::Syncing)));
    assert!(matches!(
        statuses[3].error,
        Some(EndpointFault::Answered { code: -32603, .. })
    ));
    assert_eq!(
        client.head().await.unwrap().endpoint(),
        &good.url,
        "the wrong chain is not used after the check"
    );
}

#[tokio::test]
async fn when_nobody_answers_every_endpoint_and_its_fault_are_named_without_secrets() {
    let limited = Node::json_rpc(|_, _| Reply::Http(403, vec![], "no such key: secret-path-key".to_owned())).await;
    let dead = "http://127.0.0.1:1/another-secret-key?token=also-secret"
        .parse()
        .unwrap();
    let client =
        sw_chain_client::ExecutionClient::new(support::http_client(), vec![limited.url.clone(), dead], options());
    let error = client.head().await.err().unwrap();
    let shown = format!("{error} {error:?}");
    assert!(error.to_string().contains("HTTP 403: no such key: ***"), "{error}");
    assert!(
        error.to_string().contains("http://127.0.0.1:1: cannot connect"),
        "{error}"
    );
    assert!(!shown.contains("secret"), "{shown}");
}

#[tokio::test]
async fn an_endpoint_that_recovers_within_the_budget_is_enough() {
    let failures = AtomicUsize::new(2);
    let node = Node::json_rpc(move |method, params| {
        if failures
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1))
            .is_ok()
        {
            error(-32603, "starting up")
        } else {
            healthy(method, params)
        }
    })
    .await;
    let mut patient = options();
    patient.retry_budget = Duration::from_secs(20);
    execution_with(&[&node], patient).head().await.unwrap();
}

#[tokio::test]
async fn reads_name_the_block_by_its_hash_and_stay_with_their_endpoint() {
    let calls = AtomicUsize::new(0);
    let first = Node::json_rpc(move |method, params| match method {
        "eth_getBalance" if calls.fetch_add(1, Ordering::Relaxed) > 0 => error(-32000, "header for hash not found"),
        _ => healthy(method, params),
    })
    .await;
    let second = Node::json_rpc(healthy).await;
    let client = execution(&[&first, &second]);
    let snapshot = client.head().await.unwrap();
    assert_eq!(
        snapshot.balance(Address::ZERO).await.unwrap(),
        U256::from(1_000_000_000_000_000_000_u64)
    );
    let asked = first
        .asked()
        .into_iter()
        .find(|(method, _)| method == "eth_getBalance")
        .unwrap();
    assert_eq!(
        asked.1[1],
        json!({"blockHash": block_hash(HEAD), "requireCanonical": true})
    );

    let error = snapshot.balance(Address::ZERO).await.unwrap_err();
    assert!(error.is_retryable());
    assert!(
        matches!(&error, ExecutionError::Endpoint { endpoint, .. } if **endpoint == first.url),
        "{error}"
    );
    assert_eq!(second.asked().len(), 0, "another endpoint may have another state");
    assert_eq!(
        client.head().await.unwrap().endpoint(),
        &second.url,
        "the next decision is made elsewhere"
    );
}

#[tokio::test]
async fn reverts_are_named_and_not_asked_elsewhere() {
    let not_harvested = json!("0xe7757151");
    let text = json!({"originalError": {"data": format!("Reverted 0x{}", hex::encode(ErrorString::from("why").abi_encode()))}});
    for (code, message, data, name) in [
        (3, "execution reverted", not_harvested, "NotHarvested"),
        (-32015, "VM execution error.", text, "Error: why"),
        (-32000, "execution reverted", Value::Null, "without a reason"),
    ] {
        let first = Node::json_rpc(move |method, params| match method {
            "eth_call" => Reply::Error(code, message, data.clone()),
            _ => healthy(method, params),
        })
        .await;
        let second = Node::json_rpc(healthy).await;
        let snapshot = execution(&[&first, &second]).head().await.unwrap();
        let call = Call::new(Address::repeat_byte(1), vec![1, 2, 3, 4].into());
        let error = snapshot.simulate(Address::repeat_byte(2), &call).await.unwrap_err();
        assert!(!error.is_retryable());
        let SimulateError::Reverted { revert } = error else {
            panic!("{error}")
        };
        assert_eq!(revert.to_string(), name);
        assert_eq!(second.asked().len(), 0);
        let (_, params) = first
            .asked()
            .into_iter()
            .find(|(method, _)| method == "eth_call")
            .unwrap();
        let call = json!({"from": Address::repeat_byte(2), "to": Address::repeat_byte(1), "data": "0x01020304"});
        assert_eq!(params[0], call);
    }
}

#[tokio::test]
async fn a_request_that_is_refused_is_not_repeated() {
    let node = Node::json_rpc(|method, params| match method {
        "eth_getBalance" => error(-32602, "invalid argument 0: hex string has length 38"),
        _ => healthy(method, params),
    })
    .await;
    let snapshot = execution(&[&node]).head().await.unwrap();
    let error = snapshot.balance(Address::ZERO).await.unwrap_err();
    assert!(!error.is_retryable());
    assert!(
        matches!(
            error,
            ExecutionError::Refused {
                method: "eth_getBalance",
                code: -32602,
                ..
            }
        ),
        "{error}"
    );
}

#[tokio::test]
async fn a_revert_under_an_http_error_is_a_revert() {
    let node = Node::json_rpc(|method, params| match method {
        "eth_call" => {
            let body = json!({"jsonrpc": "2.0", "id": null, "error": {"code": 3, "message": "execution reverted", "data": "0x4ca88867"}});
            Reply::Http(400, vec![], body.to_string())
        }
        _ => healthy(method, params),
    })
    .await;
    let snapshot = execution(&[&node]).head().await.unwrap();
    let error = snapshot
        .simulate(Address::ZERO, &Call::new(Address::ZERO, Default::default()))
        .await
        .unwrap_err();
    assert!(matches!(error, SimulateError::Reverted { revert } if revert.is("AccessDenied")));
}

#[tokio::test]
async fn a_transaction_is_looked_for_at_every_endpoint() {
    let hash = B256::repeat_byte(7);
    let ignorant = Node::json_rpc(|method, params| match method {
        "eth_getTransactionReceipt" | "eth_getTransactionByHash" => Reply::Result(Value::Null),
        _ => healthy(method, params),
    })
    .await;
    let informed = Node::json_rpc(move |method, params| match method {
        "eth_getTransactionReceipt" => Reply::Result(json!({
            "transactionHash": hash, "blockNumber": "0x10", "blockHash": block_hash(16), "status": "0x0", "gasUsed": "0x5208",
        })),
        _ => healthy(method, params),
    })
    .await;
    let client = execution(&[&ignorant, &informed]);
    let receipt = client.receipt(hash).await.unwrap().unwrap();
    assert_eq!((receipt.block, receipt.success, receipt.gas_used), (16, false, 21_000));
    assert_eq!(
        execution(&[&ignorant]).transaction(hash).await.unwrap(),
        TransactionStatus::Unknown
    );
    let error = execution(&[&informed]).transaction(B256::ZERO).await.unwrap_err();
    assert!(error.to_string().contains("another transaction"), "{error}");
}

#[tokio::test]
async fn blocks_are_found_by_number_or_are_not_there_yet() {
    let node = Node::json_rpc(healthy).await;
    let client = execution(&[&node]);
    assert_eq!(client.block_by_number(5).await.unwrap().unwrap().hash, block_hash(5));
    assert_eq!(client.block_by_number(HEAD + 1).await.unwrap(), None);
    let liar = Node::json_rpc(|method, params| match method {
        "eth_getBlockByNumber" => Reply::Result(support::block(9)),
        _ => healthy(method, params),
    })
    .await;
    assert!(execution(&[&liar]).block_by_number(5).await.is_err());
}

/// `aggregate3` returns these results.
fn aggregate(results: Vec<(bool, Vec<u8>)>) -> Value {
    let results: Vec<(bool, sw_chain_client::Bytes)> = results
        .into_iter()
        .map(|(success, data)| (success, data.into()))
        .collect();
    json!(sw_chain_client::Bytes::from(results.abi_encode()))
}

fn word(value: u64) -> Vec<u8> {
    U256::from(value).to_be_bytes_vec()
}

async fn node_that_returns(returned: Value) -> Node {
    Node::json_rpc(move |method, params| match method {
        "eth_call" => Reply::Result(returned.clone()),
        _ => healthy(method, params),
    })
    .await
}

#[tokio::test]
async fn a_vault_is_read_in_one_call() {
    let network = Network::Hoodi.spec();
    let vault = Address::repeat_byte(0x11);
    let manager = network.contracts.deposit_data_registry;
    let answers = |version: u64, manager: (bool, Vec<u8>), nonce: (bool, Vec<u8>)| {
        aggregate(vec![
            (true, word(version)),
            (true, vec![9; 32]),
            (true, Address::repeat_byte(2).into_word().to_vec()),
            (true, Address::repeat_byte(3).into_word().to_vec()),
            manager,
            nonce,
            (true, word(1)),
        ])
    };
    let new = node_that_returns(answers(5, (true, manager.into_word().to_vec()), (true, word(0)))).await;
    let state = execution(&[&new])
        .head()
        .await
        .unwrap()
        .vault(vault, &network)
        .await
        .unwrap();
    assert_eq!(
        (state.version, state.validators_manager, state.has_manager_nonce),
        (5, Some(manager), true)
    );
    assert_eq!(
        (state.admin, state.mev_escrow),
        (Address::repeat_byte(2), Address::repeat_byte(3))
    );
    assert!(state.in_registry);
    assert_eq!(new.count("eth_call"), 1);

    let old = node_that_returns(answers(1, (false, vec![]), (false, vec![]))).await;
    let state = execution(&[&old])
        .head()
        .await
        .unwrap()
        .vault(vault, &network)
        .await
        .unwrap();
    assert_eq!(
        (state.version, state.validators_manager, state.has_manager_nonce),
        (1, None, false)
    );

    let odd = node_that_returns(answers(2, (false, vec![]), (false, vec![]))).await;
    let error = execution(&[&odd])
        .head()
        .await
        .unwrap()
        .vault(vault, &network)
        .await
        .unwrap_err();
    let expected = "validatorsManager()";
    assert!(
        matches!(error, ExecutionError::ContractMismatch { function, .. } if function == expected),
        "{error}"
    );
}

#[tokio::test]
async fn an_address_without_a_vault_is_named() {
    let network = Network::Hoodi.spec();
    let vault = Address::repeat_byte(0x11);
    let nothing = node_that_returns(aggregate(vec![(true, vec![]); 7])).await;
    let error = execution(&[&nothing])
        .head()
        .await
        .unwrap()
        .vault(vault, &network)
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), format!("{vault} is not a vault"));
    assert!(!error.is_retryable());
    for wrong in [json!("0x"), aggregate(vec![(true, vec![]); 6]), json!("0xffff")] {
        let node = node_that_returns(wrong).await;
        let error = execution(&[&node])
            .head()
            .await
            .unwrap()
            .vault(vault, &network)
            .await
            .unwrap_err();
        assert!(
            matches!(
                error,
                ExecutionError::ContractMismatch {
                    contract: "Multicall3",
                    ..
                }
            ),
            "{error}"
        );
    }
}

/// What a node answers to everything that a registration depends on; the first three are the deposit data.
fn registration() -> Vec<(bool, Vec<u8>)> {
    let count = {
        let mut bytes = [word(32), word(8), 300_u64.to_le_bytes().to_vec()].concat();
        bytes.resize(96, 0);
        bytes
    };
    vec![
        (true, vec![3; 32]),
        (true, word(4)),
        (true, Address::repeat_byte(9).into_word().to_vec()),
        (true, word(64)),
        (true, word(65)),
        (true, vec![5; 32]),
        (true, count),
        (true, word(1)),
        (true, word(0)),
        (true, word(1)),
        (true, word(8)),
        (true, word(6)),
        (true, vec![7; 32]),
        (true, word(1_000)),
    ]
}

async fn registration_state(node: &Node, version: u8) -> Result<RegistrationState, ExecutionError> {
    let (vault, wallet) = (Address::repeat_byte(0x11), Address::repeat_byte(0x22));
    let head = execution(&[node]).head().await.unwrap();
    head.registration(vault, version, &Network::Hoodi.spec(), wallet).await
}

#[tokio::test]
async fn a_registration_is_read_in_one_call() {
    let node = node_that_returns(aggregate(registration())).await;
    let state = registration_state(&node, 5).await.unwrap();
    assert_eq!(node.count("eth_call"), 1);
    assert_eq!((state.deposit_root, state.deposit_count), (B256::repeat_byte(5), 300));
    assert_eq!(
        (state.deposit_data_root, state.deposit_data_index),
        (B256::repeat_byte(3), 4)
    );
    assert_eq!(state.deposit_data_manager, Address::repeat_byte(9));
    assert_eq!(
        (state.can_harvest, state.harvest_required, state.collateralized),
        (true, false, true)
    );
    assert_eq!((state.validators_min_oracles, state.rewards_min_oracles), (8, 6));
    assert_eq!(state.rewards_root, B256::repeat_byte(7));
    assert_eq!(
        (state.withdrawable_assets, state.total_assets),
        (U256::from(64), U256::from(65))
    );
    assert_eq!(state.wallet_balance, U256::from(1_000));

    let mut absurd = registration();
    absurd[10].1 = vec![0xff; 32];
    let node = node_that_returns(aggregate(absurd)).await;
    let error = registration_state(&node, 5).await.unwrap_err();
    assert!(
        matches!(
            error,
            ExecutionError::ContractMismatch {
                function: "validatorsMinOracles()",
                ..
            }
        ),
        "{error}"
    );
}

#[tokio::test]
async fn a_rotation_is_read_in_one_call() {
    let mut answers = vec![
        (true, vec![0xff; 32]),
        (true, word(1)),
        (true, word(8)),
        (true, word(6)),
        (true, word(1_000)),
    ];
    let read = async |answers: Vec<(bool, Vec<u8>)>| {
        let node = node_that_returns(aggregate(answers)).await;
        let head = execution(&[&node]).head().await.unwrap();
        let (vault, wallet) = (Address::repeat_byte(0x11), Address::repeat_byte(0x22));
        let state = head.rotation(vault, &Network::Hoodi.spec(), wallet).await;
        assert_eq!(node.count("eth_call"), 1);
        state
    };
    let state = read(answers.clone()).await.unwrap();
    assert_eq!((state.nonce, state.is_collateralized), (U256::MAX, true));
    assert_eq!((state.validators_min_oracles, state.rewards_min_oracles), (8, 6));
    assert_eq!(state.wallet_balance, U256::from(1_000));

    answers[0].0 = false;
    let error = read(answers).await.unwrap_err();
    let function = "exitSignaturesNonces(address)";
    assert!(
        matches!(error, ExecutionError::ContractMismatch { function: named, .. } if named == function),
        "{error}"
    );
}

/// Selectors of `validatorsRoot()`, `validatorIndex()` and `keysManager()`, and of the registry's counterparts
/// (`fixtures/contracts.json`).
const OF_THE_VAULT: [&str; 3] = ["9b401cde", "a1bf49aa", "5dddf3a8"];
const OF_THE_REGISTRY: [&str; 3] = ["d18a860b", "0a5ff875", "481a925e"];

#[tokio::test]
async fn a_vault_of_version_1_is_asked_for_its_own_deposit_data_and_the_registry_is_not() {
    let registry = hex::encode(Network::Hoodi.spec().contracts.deposit_data_registry);
    for (version, asked, not_asked) in [(1, OF_THE_VAULT, OF_THE_REGISTRY), (2, OF_THE_REGISTRY, OF_THE_VAULT)] {
        let node = node_that_returns(aggregate(registration())).await;
        let state = registration_state(&node, version).await.unwrap();
        assert_eq!(state.deposit_data_manager, Address::repeat_byte(9));
        let seen = json!(node.asked()).to_string();
        assert!(asked.iter().all(|selector| seen.contains(selector)), "{seen}");
        assert!(!not_asked.iter().any(|selector| seen.contains(selector)), "{seen}");
        assert_eq!(seen.contains(&registry), version > 1, "{seen}");
    }
}

#[tokio::test]
async fn oracles_and_assets_after_a_harvest_are_read() {
    let network = Network::Hoodi.spec();
    let node = node_that_returns(aggregate(vec![(true, word(1)), (true, word(0))])).await;
    let snapshot = execution(&[&node]).head().await.unwrap();
    let addresses = [Address::repeat_byte(1), Address::repeat_byte(2)];
    assert_eq!(snapshot.are_oracles(&network, &addresses).await.unwrap(), [true, false]);

    let harvest = HarvestParams {
        rewards_root: B256::ZERO,
        reward: I160::ZERO,
        unlocked_mev_reward: U160::ZERO,
        proof: vec![],
    };
    let results: Vec<sw_chain_client::Bytes> = vec![Default::default(), word(77).into()];
    let node = node_that_returns(json!(sw_chain_client::Bytes::from(results.abi_encode()))).await;
    let snapshot = execution(&[&node]).head().await.unwrap();
    let assets = snapshot
        .withdrawable_after_harvest(Address::repeat_byte(1), &harvest)
        .await
        .unwrap();
    assert_eq!(assets, U256::from(77));
}

/// Checks tokens with Python's standard library: what they say, or why they are not good.
const CHECK_TOKENS: &str = r#"
import base64, hashlib, hmac, json, sys, time
secret = bytes.fromhex(sys.argv[1])
for token in sys.argv[2:]:
    head, claims, signature = token.split(".")
    decode = lambda part: base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    assert hmac.compare_digest(decode(signature), hmac.new(secret, f"{head}.{claims}".encode(), hashlib.sha256).digest())
    assert json.loads(decode(head)) == {"typ": "JWT", "alg": "HS256"}
    claims = json.loads(decode(claims))
    assert abs(claims["iat"] - time.time()) < 60 and claims["exp"] == claims["iat"] + 60, claims
print("good")
"#;

#[tokio::test]
async fn every_request_to_every_endpoint_carries_a_fresh_token_when_there_is_a_secret() {
    let secret = "5e".repeat(32);
    let first = Node::json_rpc(|method, params| match method {
        "eth_getBalance" => error(-32603, "internal error"),
        _ => healthy(method, params),
    })
    .await;
    let second = Node::json_rpc(healthy).await;
    let mut with_secret = options();
    with_secret.jwt_secret = Some(secret.parse().unwrap());
    let shown = format!("{with_secret:?}");
    assert!(!shown.contains("5e5e") && !shown.contains("94, 94"), "{shown}");
    let client = execution_with(&[&first, &second], with_secret);
    let failed = client.head().await.unwrap().balance(Address::ZERO).await;
    assert!(matches!(failed, Err(ExecutionError::Endpoint { .. })));
    client.head().await.unwrap().balance(Address::ZERO).await.unwrap();
    client.check_endpoints(1337).await;
    let mut tokens = Vec::new();
    for node in [&first, &second] {
        let carried = node.authorized_by();
        assert_eq!(carried.len(), node.asked().len());
        assert!(carried.len() > 4);
        tokens.extend(
            carried
                .into_iter()
                .map(|header| header.unwrap().strip_prefix("Bearer ").unwrap().to_owned()),
        );
    }
    let checked = std::process::Command::new("python3")
        .args(["-c", CHECK_TOKENS, &secret])
        .args(tokens)
        .output()
        .unwrap();
    assert_eq!(
        checked.stdout,
        b"good\n",
        "{}",
        String::from_utf8_lossy(&checked.stderr)
    );

    let without = Node::json_rpc(healthy).await;
    execution(&[&without]).head().await.unwrap();
    assert!(without.authorized_by().iter().all(Option::is_none));
}
