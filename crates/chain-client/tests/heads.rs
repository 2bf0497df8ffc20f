//! Execution endpoints that have come to different blocks: a decision is made at one of them.
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
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use support::{Node, Reply, block, block_hash, error, execution_with, healthy, options};
use sw_chain_client::{Address, Call, ExecutionClient, U256};

/// 0 while the node is down.
type Head = Arc<AtomicU64>;

fn head(number: u64) -> Head {
    Arc::new(AtomicU64::new(number))
}

/// A node whose balances are the number of the block that they are asked at.
async fn node(head: &Head) -> Node {
    let head = Arc::clone(head);
    Node::json_rpc(move |method, params| {
        let head = head.load(Ordering::Relaxed);
        if head == 0 {
            return Reply::Http(503, vec![], "down".to_owned());
        }
        let at = |place: usize| {
            let hash: U256 = params[place]["blockHash"].as_str().unwrap().parse().unwrap();
            let number = hash.to::<u64>() - U256::from_be_bytes(block_hash(0).0).to::<u64>();
            if number > head {
                return error(-32000, "header not found");
            }
            Reply::Result(json!(format!("0x{number:064x}")))
        };
        match method {
            "eth_getBlockByNumber" if params[0] == "latest" => Reply::Result(block(head)),
            "eth_getBalance" => match at(1) {
                Reply::Result(Value::String(text)) => {
                    Reply::Result(json!(format!("{:#x}", text.parse::<U256>().unwrap())))
                }
                other => other,
            },
            "eth_call" => at(1),
            _ => healthy(method, params),
        }
    })
    .await
}

fn client(nodes: &[&Node], budget: Duration) -> ExecutionClient {
    let mut options = options();
    options.retry_budget = budget;
    execution_with(nodes, options)
}

#[tokio::test]
async fn no_decision_mixes_two_heads_or_goes_back() {
    let heads = [head(1000), head(1000)];
    let nodes = [node(&heads[0]).await, node(&heads[1]).await];
    let client = client(&[&nodes[0], &nodes[1]], Duration::from_secs(10));
    let (mut newest, mut used) = (0_u64, [0, 0]);
    // SKEW_ROUNDS=1000 for all of it.
    let rounds = std::env::var("SKEW_ROUNDS").map_or(260_u64, |rounds| rounds.parse().unwrap());
    for round in 0..rounds {
        // A skew of 0 to 64 blocks, to either side; now and then the one that is behind is down.
        let (skew, leader) = (round % 65, usize::from(!(round / 65).is_multiple_of(2)));
        let ahead = 2000 + round * 3;
        heads[leader].store(ahead, Ordering::Relaxed);
        heads[1 - leader].store(if skew == 0 { 0 } else { ahead - skew }, Ordering::Relaxed);
        let snapshot = client.head().await.unwrap();
        let at = snapshot.block().number;
        assert!(at + 3 >= newest, "block {at} after {newest}");
        newest = newest.max(at);
        // The nodes go on while the decision is made.
        heads.iter().for_each(|head| {
            head.fetch_add(round % 3, Ordering::Relaxed);
        });
        let place = usize::from(snapshot.endpoint() != &nodes[0].url);
        used[place] += 1;
        let others = nodes[1 - place].asked().len();
        assert_eq!(snapshot.balance(Address::ZERO).await.unwrap(), U256::from(at));
        snapshot
            .simulate(Address::ZERO, &Call::new(Address::ZERO, Default::default()))
            .await
            .unwrap();
        assert_eq!(snapshot.balance(Address::ZERO).await.unwrap(), U256::from(at));
        assert_eq!(nodes[1 - place].asked().len(), others, "one endpoint is asked");
    }
    assert!(used[0] > 100 && used[1] > 100, "{used:?}");
}

#[tokio::test]
async fn an_endpoint_that_is_behind_is_not_used_while_another_comes_back() {
    let heads = [head(1000), head(990)];
    let nodes = [node(&heads[0]).await, node(&heads[1]).await];
    let client = client(&[&nodes[0], &nodes[1]], Duration::from_secs(60));
    assert_eq!(client.head().await.unwrap().block().number, 1000);
    heads[0].store(0, Ordering::Relaxed);
    let (waited, ()) = tokio::join!(client.head(), async {
        // It comes back after both have been asked.
        while nodes[1].count("eth_getBlockByNumber") == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        heads[0].store(1001, Ordering::Relaxed);
    });
    assert_eq!(waited.unwrap().block().number, 1001);
}

#[tokio::test]
async fn an_endpoint_that_is_behind_is_better_than_none() {
    let heads = [head(1000), head(990)];
    let nodes = [node(&heads[0]).await, node(&heads[1]).await];
    let client = client(&[&nodes[0], &nodes[1]], Duration::from_millis(200));
    assert_eq!(client.head().await.unwrap().block().number, 1000);
    heads[0].store(0, Ordering::Relaxed);
    assert_eq!(client.head().await.unwrap().block().number, 990);
    heads[1].store(998, Ordering::Relaxed);
    assert_eq!(client.head().await.unwrap().block().number, 998);
}

#[tokio::test]
async fn a_few_blocks_are_no_reason_to_pass_an_endpoint_over() {
    let heads = [head(1000), head(1003)];
    let nodes = [node(&heads[0]).await, node(&heads[1]).await];
    let second_first = client(&[&nodes[1], &nodes[0]], Duration::from_millis(200));
    assert_eq!(second_first.head().await.unwrap().block().number, 1003);
    heads[1].store(0, Ordering::Relaxed);
    assert_eq!(second_first.head().await.unwrap().block().number, 1000);
}

#[tokio::test]
async fn an_endpoint_behind_the_consensus_chain_is_passed_over_and_says_so() {
    let time = |number: u64| 1_700_000_000 + number * 12;
    let heads = [head(1000), head(1009)];
    let nodes = [node(&heads[0]).await, node(&heads[1]).await];
    let both = client(&[&nodes[0], &nodes[1]], Duration::from_millis(200));
    both.expect_head_at(time(1004), Duration::from_secs(48));
    assert_eq!(
        both.head().await.unwrap().block().number,
        1000,
        "four slots are tolerated"
    );
    both.expect_head_at(time(1010), Duration::from_secs(48));
    assert_eq!(both.head().await.unwrap().block().number, 1009);
    let alone = client(&[&nodes[0]], Duration::from_millis(200));
    alone.expect_head_at(time(1010), Duration::from_secs(48));
    let error = alone.head().await.err().unwrap();
    assert!(error.is_retryable());
    assert!(
        error
            .to_string()
            .contains("its newest block 1000 is 120 s older than the head of the consensus chain"),
        "{error}"
    );
    heads[0].store(1008, Ordering::Relaxed);
    let caught_up = client(&[&nodes[0]], Duration::from_millis(200));
    caught_up.expect_head_at(time(1010), Duration::from_secs(48));
    assert_eq!(caught_up.head().await.unwrap().block().number, 1008);
}
