//! Nodes of other networks, nodes that are behind, and nodes that are out of step.

use std::{sync::Arc, time::Duration};

use axum::{Json, Router, body::Bytes, extract::State, http::Uri};
use serde_json::{Value, json};
use sw_chain_client::{ConsensusOptions, ExecutionOptions};
use sw_spec::{Network, RedactedUrl};

use super::*;

/// One node of each kind, as it says itself.
#[derive(Clone)]
struct Said {
    chain_id: u64,
    /// Number and time of the newest block.
    head: (u64, u64),
    genesis: Value,
    contract: Value,
    syncing: Value,
}

fn network() -> NetworkSpec {
    Network::Hoodi.spec()
}

const SLOT: u64 = 1000;

fn right() -> Said {
    let network = network();
    Said {
        chain_id: network.chain_id,
        head: (900, network.genesis_time + SLOT * network.seconds_per_slot),
        genesis: json!({
            "genesis_time": network.genesis_time.to_string(),
            "genesis_validators_root": network.genesis_validators_root,
            "genesis_fork_version": network.genesis_fork_version,
        }),
        contract: json!({
            "chain_id": network.chain_id.to_string(), "address": network.contracts.deposit_contract,
        }),
        syncing: json!({
            "head_slot": SLOT.to_string(), "sync_distance": "0", "is_syncing": false, "is_optimistic": false,
            "el_offline": false,
        }),
    }
}

async fn answer(State(said): State<Arc<Said>>, uri: Uri, body: Bytes) -> Json<Value> {
    let hash = |number: u64| format!("0x{number:064x}");
    if body.is_empty() {
        let payload = json!({"block_number": "800", "block_hash": hash(800), "timestamp": "1"});
        return Json(json!({"data": match uri.path() {
            "/eth/v1/beacon/genesis" => said.genesis.clone(),
            "/eth/v1/config/deposit_contract" => said.contract.clone(),
            "/eth/v1/node/syncing" => said.syncing.clone(),
            "/eth/v2/beacon/blocks/finalized" => {
                json!({"message": {"slot": "850", "body": {"execution_payload": payload}}})
            }
            path => panic!("{path}"),
        }}));
    }
    let request: Value = serde_json::from_slice(&body).expect("JSON");
    let block = |number: u64, time: u64| {
        json!({"number": format!("{number:#x}"), "hash": hash(number), "timestamp": format!("{time:#x}"),
               "baseFeePerGas": "0x7"})
    };
    let result = match (request["method"].as_str().expect("a method"), &request["params"][0]) {
        ("eth_chainId", _) => json!(format!("{:#x}", said.chain_id)),
        ("eth_syncing", _) => json!(false),
        ("eth_blockNumber", _) => json!(format!("{:#x}", said.head.0)),
        ("eth_getBlockByNumber", number) if number == "latest" => block(said.head.0, said.head.1),
        ("eth_getBlockByNumber", number) if number == "0x320" && said.head.0 >= 800 => block(800, 1),
        ("eth_getBlockByNumber", _) => Value::Null,
        (method, _) => panic!("{method}"),
    };
    Json(json!({"jsonrpc": "2.0", "id": request["id"], "result": result}))
}

async fn node(said: Said) -> RedactedUrl {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let router = Router::new().fallback(answer).with_state(Arc::new(said));
    #[expect(clippy::disallowed_methods, reason = "a test's server ends with its runtime")]
    tokio::spawn(async move { axum::serve(listener, router).await });
    url.parse().expect("a URL")
}

/// The clients of a start with these nodes.
async fn clients(nodes: &[Said]) -> (ExecutionClient, ConsensusClient, Vec<RedactedUrl>) {
    let mut urls = Vec::new();
    for said in nodes {
        urls.push(node(said.clone()).await);
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("TLS versions")
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let http = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .build()
        .expect("a client");
    let budget = Duration::from_millis(100);
    let options = ExecutionOptions {
        retry_budget: budget,
        ..ExecutionOptions::default()
    };
    let execution = ExecutionClient::new(http.clone(), urls.clone(), options);
    let options = ConsensusOptions {
        retry_budget: budget,
        genesis: Some((&network()).into()),
        ..ConsensusOptions::default()
    };
    (execution, ConsensusClient::new(http, urls.clone(), options), urls)
}

/// The first check that does not pass, and the nodes.
async fn start(nodes: &[Said]) -> (Verdict, Vec<RedactedUrl>) {
    let (execution, consensus, urls) = clients(nodes).await;
    let network = network();
    for verdict in [
        execution_endpoints(&network, &execution).await,
        consensus_network(&network, &consensus).await,
        same_chain(&network, &execution, &consensus).await,
    ] {
        if !matches!(verdict, Verdict::Passed(_)) {
            return (verdict, urls);
        }
    }
    (Verdict::Passed("all".to_owned()), urls)
}

#[tokio::test]
async fn eight_wrong_networks_are_refused_by_name_wherever_they_stand() {
    let forge = |what: &str, name: &str, value: Value| {
        let mut said = right();
        let member = if what == "genesis" {
            &mut said.genesis
        } else {
            &mut said.contract
        };
        member[name] = value;
        said
    };
    let mainnet = Network::Mainnet.spec();
    let other_chain = Said { chain_id: 1, ..right() };
    let wrong = [
        (other_chain, "is on chain 1"),
        (
            forge(
                "genesis",
                "genesis_validators_root",
                json!(mainnet.genesis_validators_root),
            ),
            "its genesis has validators root 0x4b36",
        ),
        (
            forge("genesis", "genesis_fork_version", json!("0x00000000")),
            "fork version 0x00000000",
        ),
        (
            forge("genesis", "genesis_time", json!("1606824023")),
            "its genesis was at 1606824023",
        ),
        (forge("contract", "chain_id", json!("1")), "of chain 1, and not"),
        (
            forge("contract", "address", json!(network().contracts.keeper)),
            "it follows the deposit contract",
        ),
        (
            Said {
                chain_id: 100,
                ..right()
            },
            "is on chain 100",
        ),
        (
            Said {
                genesis: json!({
                    "genesis_time": mainnet.genesis_time.to_string(),
                    "genesis_validators_root": mainnet.genesis_validators_root,
                    "genesis_fork_version": mainnet.genesis_fork_version,
                }),
                contract: json!({"chain_id": "1", "address": mainnet.contracts.deposit_contract}),
                ..right()
            },
            "another network than hoodi",
        ),
    ];
    for (wrong, said) in wrong {
        for place in [0, 1] {
            let mut nodes = vec![right(), right()];
            nodes[place] = wrong.clone();
            let (verdict, urls) = start(&nodes).await;
            let Verdict::Failed(Finding { reason, remedy }) = verdict else {
                panic!("{said}: {verdict:?}")
            };
            assert!(
                reason.contains(said) && reason.contains(&urls[place].to_string()),
                "{said}: {reason}"
            );
            assert!(remedy.contains("-endpoints`, or the right `--network`"), "{remedy}");
        }
    }
    let (verdict, _) = start(&[right(), right()]).await;
    assert!(matches!(verdict, Verdict::Passed(_)), "{verdict:?}");
}

#[tokio::test]
async fn an_execution_node_behind_its_consensus_node_is_waited_for_in_plain_words() {
    let behind = |slots: u64| Said {
        head: (900, right().head.1 - slots * network().seconds_per_slot),
        ..right()
    };
    let (verdict, _) = start(&[behind(4)]).await;
    assert!(matches!(verdict, Verdict::Passed(_)), "{verdict:?}");
    let (verdict, _) = start(&[behind(5)]).await;
    let Verdict::Waiting(Finding { reason, remedy }) = verdict else {
        panic!("{verdict:?}")
    };
    assert!(
        reason.contains("its newest block 900 is 60 s older than the head of the consensus chain"),
        "{reason}"
    );
    assert_eq!(remedy, CATCH_UP);
    let (verdict, _) = start(&[Said {
        head: (700, 1),
        ..right()
    }])
    .await;
    let Verdict::Waiting(Finding { reason, .. }) = verdict else {
        panic!("{verdict:?}")
    };
    assert!(reason.contains("does not have the finalized block 800 yet"), "{reason}");
}

#[tokio::test]
async fn a_consensus_node_that_is_not_in_step_decides_nothing_in_any_of_its_states() {
    for state in 0..8 {
        let (is_syncing, is_optimistic, el_offline) = (state & 1 != 0, state & 2 != 0, state & 4 != 0);
        let syncing = json!({
            "head_slot": SLOT.to_string(), "sync_distance": "9", "is_syncing": is_syncing,
            "is_optimistic": is_optimistic, "el_offline": el_offline,
        });
        let (execution, consensus, _) = clients(&[Said { syncing, ..right() }]).await;
        let followed = follow_consensus(&execution, &consensus, &network()).await;
        assert_eq!(followed.is_ok(), state == 0, "{state}");
    }
}
