//! The network's validators, read from nodes that fail, lag and leave things out.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code"
)]

use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Json, Router, body::Bytes, extract::State, http::StatusCode, response::IntoResponse};
use rand_core::{CryptoRng, UnwrapErr};
use serde_json::{Value, json};
use sw_chain_client::{ConsensusClient, ConsensusOptions, ExecutionClient, ExecutionError, ExecutionOptions};
use sw_ipfs::{GatewayOptions, Gateways};
use sw_registration::{Duty, DutyError, Metrics, NetworkValidators, ScanDeposits, WhyNot};
use sw_spec::{Network, NetworkSpec, RedactedUrl, ValidatorsDump};
use sw_store::ValidatorIndex;

/// A chain as the nodes tell it, execution and consensus in one server.
#[derive(Default)]
struct Chain {
    head: u64,
    finalized: u64,
    /// Block and index of each deposit in the logs.
    deposits: Vec<(u64, u64)>,
    /// The longest range of logs that is served, and the block from which on none is.
    longest: u64,
    broken_from: u64,
    asked_for_logs: usize,
}

type Shared = Arc<Mutex<Chain>>;

fn chain(head: u64, finalized: u64) -> Shared {
    Arc::new(Mutex::new(Chain {
        head,
        finalized,
        longest: u64::MAX,
        broken_from: u64::MAX,
        ..Chain::default()
    }))
}

impl Chain {
    fn answer(&mut self, request: &Value) -> Option<Value> {
        let hash = |number: u64| format!("0x{number:064x}");
        let block = |number: u64| json!({"number": format!("{number:#x}"), "hash": hash(number), "timestamp": "0x1", "baseFeePerGas": "0x7"});
        Some(match request["method"].as_str().unwrap() {
            "eth_chainId" => json!("0x1"),
            "eth_syncing" => json!(false),
            "eth_getBlockByNumber" => block(self.head),
            "eth_getLogs" => {
                self.asked_for_logs += 1;
                let filter = &request["params"][0];
                let number = |name: &str| u64::from_str_radix(&filter[name].as_str().unwrap()[2..], 16).unwrap();
                let (from, to) = (number("fromBlock"), number("toBlock"));
                if to - from >= self.longest || to >= self.broken_from {
                    return None;
                }
                let within = self.deposits.iter().filter(|(block, _)| (from..=to).contains(block));
                within
                    .map(|(block, index)| {
                        json!({
                            "address": filter["address"], "topics": filter["topics"][0], "data": deposit(*index),
                            "blockNumber": format!("{block:#x}"), "blockHash": hash(*block), "transactionHash": hash(*index),
                            "logIndex": "0x0",
                        })
                    })
                    .collect()
            }
            method => panic!("{method}"),
        })
    }
}

/// The data of a `DepositEvent` without a valid signature: such deposits count, and make no validator.
fn deposit(index: u64) -> String {
    let members = [
        vec![1; 48],
        vec![2; 32],
        32_000_000_000_u64.to_le_bytes().to_vec(),
        vec![3; 96],
        index.to_le_bytes().to_vec(),
    ];
    let word = |number: usize| format!("{number:064x}");
    let (mut heads, mut tails) = (String::new(), String::new());
    for member in members {
        heads.push_str(&word(32 * 5 + tails.len() / 2));
        tails.push_str(&word(member.len()));
        let padded = member.len().next_multiple_of(32);
        tails.push_str(&format!("{:0<width$}", hex::encode(member), width = 2 * padded));
    }
    format!("0x{heads}{tails}")
}

async fn handle(State(chain): State<Shared>, body: Bytes) -> axum::response::Response {
    let mut chain = chain.lock().unwrap();
    if body.is_empty() {
        let payload = json!({
            "block_number": chain.finalized.to_string(), "block_hash": format!("0x{:064x}", chain.finalized), "timestamp": "1",
        });
        let message = json!({"slot": "1", "body": {"execution_payload": payload}});
        return Json(json!({"data": {"message": message}})).into_response();
    }
    let request: Value = serde_json::from_slice(&body).unwrap();
    match chain.answer(&request) {
        Some(result) => Json(json!({"jsonrpc": "2.0", "id": request["id"], "result": result})).into_response(),
        None => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

struct Scene {
    execution: ExecutionClient,
    consensus: ConsensusClient,
    directory: tempfile::TempDir,
}

impl Scene {
    async fn new(chain: &Shared) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url: RedactedUrl = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let router = Router::new().fallback(handle).with_state(Arc::clone(chain));
        #[expect(clippy::disallowed_methods, reason = "a test's server ends with its runtime")]
        tokio::spawn(async move { axum::serve(listener, router).await });
        let options = ExecutionOptions {
            retry_budget: Duration::from_millis(100),
            ..ExecutionOptions::default()
        };
        let execution = ExecutionClient::new(http_client(), vec![url.clone()], options);
        Self {
            execution,
            consensus: ConsensusClient::new(http_client(), vec![url], ConsensusOptions::default()),
            directory: tempfile::tempdir().unwrap(),
        }
    }

    fn database(&self) -> ValidatorIndex {
        let path: &Path = self.directory.path();
        ValidatorIndex::open(&path.join("operator.db"), &network().name).unwrap()
    }

    fn validators(&self, network: NetworkSpec) -> NetworkValidators {
        NetworkValidators::new(self.database(), network, random)
    }

    fn duty(&self, network: NetworkSpec) -> ScanDeposits {
        let gateways = Gateways::new(http_client(), Vec::new(), GatewayOptions::default());
        ScanDeposits::new(
            self.validators(network),
            self.execution.clone(),
            self.consensus.clone(),
            Arc::new(gateways),
            Arc::new(Metrics::new("sw_operator", "mainnet", "0")),
        )
    }
}

fn http_client() -> reqwest::Client {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .build()
        .unwrap()
}

fn network() -> NetworkSpec {
    let mut network = Network::Mainnet.spec();
    network.contracts.deposit_contract_block = 0;
    network.validators_dump = None;
    network
}

fn random() -> Box<dyn CryptoRng + Send> {
    Box::new(UnwrapErr(getrandom::SysRng))
}

fn is_forged(error: &DutyError) -> bool {
    matches!(error, DutyError::Execution { source, .. } if matches!(**source, ExecutionError::ForgedLogs { .. }))
}

#[tokio::test]
async fn a_scan_that_fails_on_the_way_goes_on_from_the_last_piece() {
    let chain = chain(9_100, 9_000);
    (chain.lock().unwrap().longest, chain.lock().unwrap().broken_from) = (1_000, 6_000);
    let scene = Scene::new(&chain).await;
    scene.duty(network()).tick().await.unwrap_err();
    let kept = scene.database().checkpoint().unwrap();
    assert!((4_000..6_000).contains(&kept), "{kept}");
}

#[tokio::test]
async fn a_decision_does_not_read_the_chain_from_its_beginning() {
    let chain = chain(200_000, 199_000);
    let scene = Scene::new(&chain).await;
    scene.database().insert(&[], 1).unwrap();
    let snapshot = scene.execution.head().await.unwrap();
    let view = scene.validators(network()).view(&snapshot, &[], 0).await.unwrap();
    assert!(matches!(view, Err(WhyNot::ValidatorsNotScanned)), "{view:?}");
    assert_eq!(chain.lock().unwrap().asked_for_logs, 0);
}

#[tokio::test]
async fn a_node_whose_logs_lag_behind_its_contracts_gives_no_index() {
    let chain = chain(100, 50);
    chain.lock().unwrap().deposits = vec![(60, 4)];
    let scene = Scene::new(&chain).await;
    scene.database().insert(&[], 50).unwrap();
    let snapshot = scene.execution.head().await.unwrap();
    let validators = scene.validators(network());
    let error = validators.view(&snapshot, &[], 6).await.unwrap_err();
    assert!(is_forged(&error), "{error:?}");
    assert_eq!(validators.view(&snapshot, &[], 5).await.unwrap().unwrap().next_index, 0);
}

#[tokio::test]
async fn deposits_that_are_left_out_between_two_pieces_stop_the_scan_before_they_are_missed() {
    let chain = chain(3_100, 3_000);
    {
        let mut chain = chain.lock().unwrap();
        chain.longest = 1_000;
        chain.deposits = vec![(10, 0), (20, 1), (2_500, 3)];
    }
    let scene = Scene::new(&chain).await;
    let error = scene.duty(network()).tick().await.unwrap_err();
    assert!(is_forged(&error), "{error:?}");
    let kept = scene.database().checkpoint().unwrap();
    assert!((20..2_500).contains(&kept), "{kept}");
}

/// A dump in its own CID, so that no gateway is needed.
fn inline_dump(last_block: u64) -> ValidatorsDump {
    let mut record = 7_u32.to_be_bytes().to_vec();
    record.extend([9; 48]);
    ValidatorsDump {
        cid: format!("f01550034{}", hex::encode(record)),
        last_block,
        required: false,
    }
}

#[tokio::test]
async fn a_scan_that_began_without_the_published_list_takes_it_when_it_can_be_had() {
    let chain = chain(9_100, 9_000);
    let scene = Scene::new(&chain).await;
    scene.database().insert(&[], 100).unwrap();
    let mut network = network();
    network.validators_dump = Some(inline_dump(8_000));
    scene.duty(network).tick().await.unwrap();
    let index = scene.database();
    assert_eq!((index.count().unwrap(), index.checkpoint()), (1, Some(9_000)));
    assert_eq!(chain.lock().unwrap().asked_for_logs, 1, "from block 8001 on");
}

#[tokio::test]
async fn a_list_that_the_chain_cannot_replace_is_waited_for_and_any_other_is_done_without() {
    for (required, checkpoint) in [(true, None), (false, Some(3_000))] {
        let scene = Scene::new(&chain(3_100, 3_000)).await;
        let mut network = network();
        network.validators_dump = Some(ValidatorsDump {
            cid: "QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o".to_owned(),
            last_block: 2_000,
            required,
        });
        let ticked = scene.duty(network).tick().await;
        assert_eq!((ticked.is_err(), scene.database().checkpoint()), (required, checkpoint));
    }
}
