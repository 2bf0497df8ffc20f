//! A provider that serves ten blocks of logs at once and few calls a second.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code"
)]

mod support;

use std::{
    collections::VecDeque,
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use support::{Node, Reply, block, error, execution_with, healthy, options};
use sw_chain_client::{Address, ExecutionClient};

#[derive(Default)]
struct Provider {
    calls_a_second: usize,
    recent: VecDeque<Instant>,
    asked: usize,
    wasted: usize,
    /// Blocks whose logs were served, in order.
    served: Vec<(u64, u64)>,
}

const NEWEST: u64 = 30_000;

impl Provider {
    fn answer(&mut self, method: &str, params: &Value) -> Reply {
        let now = Instant::now();
        self.recent
            .retain(|call| now.duration_since(*call) < Duration::from_secs(1));
        self.asked += 1;
        if self.recent.len() >= self.calls_a_second {
            self.wasted += 1;
            return Reply::Http(
                429,
                vec![("retry-after", "1".to_owned())],
                "too many requests".to_owned(),
            );
        }
        self.recent.push_back(now);
        let number = |name: &str| u64::from_str_radix(&params[0][name].as_str().unwrap()[2..], 16).unwrap();
        match method {
            "eth_getLogs" if number("toBlock") - number("fromBlock") >= 10 => {
                self.wasted += 1;
                error(-32600, "You can make eth_getLogs requests with up to a 10 block range")
            }
            "eth_getLogs" => {
                self.served.push((number("fromBlock"), number("toBlock")));
                Reply::Result(json!([]))
            }
            "eth_getBlockByNumber" => Reply::Result(block(NEWEST)),
            _ => healthy(method, params),
        }
    }
}

async fn sync(client: &ExecutionClient, from: u64, to: u64) {
    let snapshot = client.head().await.unwrap();
    snapshot
        .deposit_events(Address::repeat_byte(1), from, to)
        .await
        .unwrap();
}

/// A client as it is after a start.
fn start(node: &Node, memory: &Path) -> ExecutionClient {
    let mut options = options();
    options.request_timeout = Duration::from_secs(30);
    options.retry_budget = Duration::from_secs(60);
    options.memory = Some(memory.to_owned());
    execution_with(&[node], options)
}

/// With LIMIT_CALLS=5 it takes five minutes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_are_learned_kept_to_and_remembered() {
    let calls_a_second = std::env::var("LIMIT_CALLS").map_or(100, |calls| calls.parse().unwrap());
    let provider = Arc::new(Mutex::new(Provider {
        calls_a_second,
        ..Provider::default()
    }));
    let shared = Arc::clone(&provider);
    let node = Node::json_rpc(move |method, params| shared.lock().unwrap().answer(method, params)).await;
    let directory = tempfile::tempdir().unwrap();
    let memory = directory.path().join("endpoints.json");

    let first = start(&node, &memory);
    sync(&first, 1, 4000).await;
    {
        let mut provider = provider.lock().unwrap();
        assert!(
            provider.wasted < 20,
            "{} of {} while learning",
            provider.wasted,
            provider.asked
        );
        (provider.asked, provider.wasted) = (0, 0);
    }
    let text = std::fs::read_to_string(&memory).unwrap();
    assert!(!text.contains("secret"), "{text}");
    assert_eq!(memory.metadata().unwrap().permissions().mode() & 0o777, 0o600);

    let second = start(&node, &memory);
    sync(&second, 4001, 10_000).await;
    let provider = provider.lock().unwrap();
    assert!(provider.asked >= 600, "{}", provider.asked);
    assert!(
        provider.wasted * 100 <= provider.asked,
        "{} of {} after a restart",
        provider.wasted,
        provider.asked
    );
    let mut next = 1;
    for (from, to) in &provider.served {
        assert_eq!(*from, next, "every block is asked for, and once");
        next = to + 1;
    }
    assert_eq!(next, 10_001);
}

#[tokio::test]
async fn a_memory_that_cannot_be_used_is_done_without() {
    let node = Node::json_rpc(healthy).await;
    let directory = tempfile::tempdir().unwrap();
    let damaged = directory.path().join("endpoints.json");
    let zero = json!({ node.url.to_string(): {"log_blocks": {Address::repeat_byte(1).to_string(): {"served": 0, "refused": 0}},
                                              "calls_a_minute": {"served": 0, "refused": null}} });
    for text in ["", "{", "[]", "\0", &"[".repeat(100_000), &zero.to_string()] {
        std::fs::write(&damaged, text).unwrap();
        sync(&start(&node, &damaged), 1, 4000).await;
    }
    let read = std::fs::read_to_string(&damaged).unwrap();
    assert!(serde_json::from_str::<Value>(&read).unwrap().is_object());
    sync(&start(&node, &directory.path().join("no/such/directory")), 1, 4000).await;
    sync(&start(&node, directory.path()), 1, 4000).await;
}
