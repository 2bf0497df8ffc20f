//! An execution node of answers: what the oracles read, and nothing else.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use alloy::{
    primitives::{Address, B256, Bytes, FixedBytes, U64, U256, keccak256},
    sol,
    sol_types::{SolCall, SolEvent, SolValue},
};
use axum::{Json, Router, extract::State, routing::post};
use serde_json::{Value, json};
use sw_devnet::{http::serve, ssz};
use tokio::task::JoinSet;

use crate::kit::ValidatorKey;

sol! {
    function vaults(address vault) view returns (bool);
    function get_deposit_root() view returns (bytes32);
    function depositDataRoots(address vault) view returns (bytes32);
    function depositDataIndexes(address vault) view returns (uint256);
    function version() view returns (uint8);
    event DepositEvent(bytes pubkey, bytes withdrawal_credentials, bytes amount, bytes signature, bytes index);
}

pub const KEEPER: Address = Address::repeat_byte(1);
pub const FORK_VERSION: FixedBytes<4> = FixedBytes([0x10, 0x00, 0x09, 0x99]);

#[derive(Default)]
pub struct ChainState {
    pub timestamp: u64,
    pub deposit_root: B256,
    pub data_roots: HashMap<Address, B256>,
    pub data_indexes: HashMap<Address, u64>,
    deposits: Vec<(u64, Bytes)>,
    block: u64,
    fork: u64,
}

impl ChainState {
    /// A deposit in a block of its own; with `valid` its signature is good.
    pub fn deposit(&mut self, key: &ValidatorKey, amount_gwei: u64, valid: bool) {
        let credentials = B256::repeat_byte(0x11);
        let root = ssz::deposit_signing_root(&key.public_key(), credentials, amount_gwei, FORK_VERSION);
        let signature = key.sign(if valid { root } else { B256::ZERO });
        let event = (
            Bytes::from(key.public_key()),
            Bytes::from(credentials),
            Bytes::from(amount_gwei.to_le_bytes()),
            Bytes::from(signature),
            Bytes::from((self.deposits.len() as u64).to_le_bytes()),
        );
        self.block += 1;
        self.deposits.push((self.block, Bytes::from(event.abi_encode_params())));
        self.deposit_root = keccak256(&event.3);
    }

    /// Another history with the same deposits but the last.
    pub fn reorganise_without_last_deposit(&mut self) {
        self.deposits.pop();
        self.fork += 1;
        self.block += 1;
    }

    fn block_json(&self, number: u64) -> Value {
        json!({
            "number": U64::from(number), "timestamp": U64::from(self.timestamp),
            "hash": keccak256([number, self.fork].abi_encode()), "parentHash": B256::ZERO,
        })
    }

    fn answer(&self, method: &str, params: &Value) -> Value {
        match method {
            "eth_getBlockByNumber" if params[0] == "latest" => self.block_json(self.block),
            "eth_getBlockByNumber" => {
                let number: U64 = params[0].as_str().unwrap().parse().unwrap();
                self.block_json(number.to())
            }
            "eth_call" => {
                assert_eq!(
                    params[1]["blockHash"],
                    self.block_json(self.block)["hash"],
                    "reads are pinned to the head"
                );
                let data: Bytes = params[0]["data"].as_str().unwrap().parse().unwrap();
                self.call(&data)
            }
            // The Keeper of these tests is a stranger to events: the oracles are those they were started as.
            "eth_getLogs" if params[0]["address"] == json!(KEEPER) => json!([]),
            "eth_getLogs" => {
                let bound = |name: &str| -> u64 {
                    let text = params[0][name].as_str().unwrap();
                    text.parse::<U64>().unwrap().to()
                };
                let range = bound("fromBlock")..=bound("toBlock");
                self.deposits
                    .iter()
                    .filter(|(block, _)| range.contains(block))
                    .map(|(block, data)| {
                        json!({
                            "address": Address::ZERO, "topics": [DepositEvent::SIGNATURE_HASH], "data": data,
                            "blockNumber": U64::from(*block), "blockHash": self.block_json(*block)["hash"], "logIndex": "0x0",
                    "transactionHash": B256::ZERO, "transactionIndex": "0x0", "removed": false,
                        })
                    })
                    .collect()
            }
            other => panic!("an oracle called {other}"),
        }
    }

    fn call(&self, data: &Bytes) -> Value {
        let vault = || Address::from_slice(&data[16..36]);
        let selector: [u8; 4] = data[..4].try_into().unwrap();
        match selector {
            vaultsCall::SELECTOR => json!(Bytes::from(self.data_roots.contains_key(&vault()).abi_encode())),
            versionCall::SELECTOR => json!(B256::from(U256::from(5))),
            get_deposit_rootCall::SELECTOR => json!(self.deposit_root),
            depositDataRootsCall::SELECTOR => json!(self.data_roots.get(&vault()).copied().unwrap_or_default()),
            depositDataIndexesCall::SELECTOR => {
                let index = self.data_indexes.get(&vault()).copied().unwrap_or_default();
                json!(B256::from(U256::from(index)))
            }
            other => panic!("an oracle called {other:?}"),
        }
    }
}

pub type SharedChain = Arc<Mutex<ChainState>>;

pub async fn start(chain: SharedChain, tasks: &mut JoinSet<()>) -> String {
    let router = Router::new().route("/", post(rpc)).with_state(chain);
    format!("http://{}", serve(router, tasks).await.unwrap())
}

async fn rpc(State(chain): State<SharedChain>, Json(request): Json<Value>) -> Json<Value> {
    let result = chain
        .lock()
        .unwrap()
        .answer(request["method"].as_str().unwrap(), &request["params"]);
    Json(json!({"jsonrpc": "2.0", "id": request["id"], "result": result}))
}
