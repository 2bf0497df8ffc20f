//! What an answer may make the operator take: memory in proportion to its length, and no time that cannot be reckoned with.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code")]

mod support;

use std::time::Duration;

use serde_json::json;
use support::{HEAD, Node, Reply, execution_with, healthy, http_client, options};
use sw_chain_client::{
    Address, B256, ConsensusClient, ConsensusOptions, EndpointFault, ExecutionClient, ExecutionError, ExecutionOptions,
    TransactionStatus,
};
use sw_spec::{Epoch, Network, SignatureBytes, SignedVoluntaryExit, VoluntaryExit};
use sw_testkit::hostile::{HostileServer, Manner, most_memory};

/// A client with the limits of the operator.
fn client(node: &Node) -> ExecutionClient {
    let usual = ExecutionOptions::default();
    let options = ExecutionOptions {
        body_limit: usual.body_limit,
        request_timeout: usual.request_timeout,
        ..options()
    };
    execution_with(&[node], options)
}

/// Eight megabytes of JSON, of which a value of each element would be forty times as large.
fn swelling(id: u64) -> String {
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":{id},"result":[{}[0]]}}"#,
        "[0],".repeat((8 << 20) / 4 - 100)
    );
    assert!(body.len() < 8 << 20);
    body
}

#[tokio::test]
async fn an_answer_that_nobody_looks_into_is_not_taken_apart() {
    let node = Node::json_rpc(|method, params| match method {
        // With the identifiers that the first requests of a client have, after that for the chain.
        "eth_syncing" => Reply::Http(200, vec![], swelling(1)),
        "eth_getTransactionReceipt" => Reply::Result(json!(null)),
        "eth_getTransactionByHash" => Reply::Http(200, vec![], swelling(2)),
        _ => healthy(method, params),
    })
    .await;
    let head = client(&node).head().await;
    assert!(
        matches!(&head, Err(ExecutionError::Unavailable(failures)) if matches!(*failures[0].fault, EndpointFault::Syncing)),
        "{:?}",
        head.err()
    );
    let status = client(&node).transaction(B256::ZERO).await.unwrap();
    assert_eq!(status, TransactionStatus::Pending);
    assert!(most_memory().unwrap() < 256, "{:?} MiB", most_memory());
}

#[tokio::test]
async fn the_data_of_an_error_is_not_taken_apart_when_it_is_out_of_proportion() {
    let body = swelling(0).replace(
        "\"result\":",
        "\"error\":{\"code\":3,\"message\":\"execution reverted\",\"data\":",
    ) + "}";
    let body = body.replace("\"id\":0", "\"id\":null");
    let node = Node::json_rpc(move |method, params| match method {
        "eth_call" => Reply::Http(200, vec![], body.clone()),
        _ => healthy(method, params),
    })
    .await;
    let snapshot = client(&node).head().await.unwrap();
    let error = snapshot
        .vault(Address::ZERO, &Network::Mainnet.spec())
        .await
        .unwrap_err();
    assert!(matches!(error, ExecutionError::Reverted { .. }), "{error}");
    assert!(most_memory().unwrap() < 256, "{:?} MiB", most_memory());
}

/// A list of two thousand offsets that all lead to the same four hundred kilobytes.
#[tokio::test]
async fn results_that_are_the_same_bytes_many_times_over_are_not_copied_out() {
    let word = |number: usize| format!("{number:064x}");
    let (count, length) = (2_000, 400_000);
    let mut result = word(32) + &word(count);
    for _ in 0..count {
        result += &word(count * 32);
    }
    result += &(word(1) + &word(64) + &word(length) + &"ab".repeat(length));
    let node = Node::json_rpc(move |method, params| match method {
        "eth_call" => Reply::Result(json!(format!("0x{result}"))),
        _ => healthy(method, params),
    })
    .await;
    let snapshot = client(&node).head().await.unwrap();
    assert!(snapshot.vault(Address::ZERO, &Network::Mainnet.spec()).await.is_err());
    assert!(most_memory().unwrap() < 256, "{:?} MiB", most_memory());
}

#[tokio::test]
async fn a_pause_without_end_is_a_fault_and_not_a_panic() {
    let node = Node::json_rpc(|method, params| match method {
        "eth_getLogs" => Reply::Http(429, vec![("retry-after", u64::MAX.to_string())], String::new()),
        _ => healthy(method, params),
    })
    .await;
    let snapshot = client(&node).head().await.unwrap();
    let error = snapshot.deposit_events(Address::ZERO, 0, HEAD).await.unwrap_err();
    let ExecutionError::Endpoint { fault, .. } = &error else {
        unreachable!("{error}")
    };
    assert!(matches!(&**fault, EndpointFault::RateLimited { .. }), "{fault}");
}

#[tokio::test]
async fn no_node_takes_more_memory_or_time_than_it_is_given() {
    let elsewhere = HostileServer::start(Manner::Silence).unwrap();
    let mut checked = 0;
    for manner in Manner::all(&format!("http://{}/", elsewhere.address())) {
        let server = HostileServer::start(manner.clone()).unwrap();
        let url: Vec<_> = vec![format!("http://{}/", server.address()).parse().unwrap()];
        let execution = ExecutionOptions {
            request_timeout: Duration::from_secs(2),
            retry_budget: Duration::ZERO,
            ..ExecutionOptions::default()
        };
        let consensus = ConsensusOptions {
            request_timeout: Duration::from_secs(2),
            retry_budget: Duration::ZERO,
            ..ConsensusOptions::default()
        };
        let execution = ExecutionClient::new(http_client(), url.clone(), execution);
        let consensus = ConsensusClient::new(http_client(), url, consensus);
        let exit = SignedVoluntaryExit {
            message: VoluntaryExit {
                epoch: Epoch(1),
                validator_index: 1,
            },
            signature: SignatureBytes([1; 96]),
        };
        let asked = async { tokio::join!(execution.head(), consensus.genesis(), consensus.submit_exit(&exit)) };
        let (head, genesis, exited) = tokio::time::timeout(Duration::from_secs(60), asked).await.unwrap();
        let Err(ExecutionError::Unavailable(failures)) = &head else {
            unreachable!("{manner:?}: {:?}", head.err())
        };
        let fault = &*failures[0].fault;
        let expected = match &manner {
            Manner::Endless | Manner::GzipBomb => matches!(fault, EndpointFault::TooLong { .. }),
            Manner::DeepJson => matches!(fault, EndpointFault::Malformed(_)),
            Manner::EndlessHeaders | Manner::EndlessHeader => matches!(fault, EndpointFault::Broken(_)),
            Manner::Redirect(_) => matches!(fault, EndpointFault::Redirected),
            _ => matches!(fault, EndpointFault::TimedOut(_)),
        };
        assert!(expected, "{manner:?}: {fault}");
        assert!(genesis.is_err() && exited.is_err(), "{manner:?}");
        checked += 1;
    }
    assert_eq!((checked, elsewhere.asked()), (9, 0), "no redirect is followed");
    assert!(most_memory().unwrap() < 256, "{:?} MiB", most_memory());
}
