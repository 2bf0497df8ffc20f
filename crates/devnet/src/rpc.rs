//! JSON-RPC to the devnet's own execution node.

use std::time::Duration;

use alloy_primitives::{Address, B256, Bytes, U64, U256};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

/// A request to the devnet's execution node that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RpcError {
    /// The node was not reached.
    #[error("the devnet's execution node did not answer `{method}`")]
    Unreachable {
        /// The JSON-RPC method.
        method: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// The node answered with an error.
    #[error("the devnet's execution node refused `{method}`: {message}")]
    Refused {
        /// The JSON-RPC method.
        method: String,
        /// What the node said.
        message: String,
        /// The bytes a contract reverted with.
        revert: Option<Bytes>,
    },
    /// The node's answer has another shape.
    #[error("the devnet's execution node answered `{method}` with something unexpected")]
    Unexpected {
        /// The JSON-RPC method.
        method: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A transaction was not mined in time.
    #[error("transaction {hash} was not mined within {seconds} s")]
    NotMined {
        /// The transaction.
        hash: B256,
        /// How long it was waited for.
        seconds: u64,
    },
}

/// A log of a contract, as the node gives it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Log {
    /// The contract.
    pub address: Address,
    /// The event and its indexed members.
    pub topics: Vec<B256>,
    /// The other members.
    pub data: Bytes,
    /// The block.
    pub block_number: U64,
    /// The transaction.
    pub transaction_hash: B256,
    /// Its place in the block.
    pub log_index: U64,
}

/// A block without its transactions.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Block {
    /// Its number.
    pub number: U64,
    /// Its hash.
    pub hash: B256,
    /// The hash of the block before.
    pub parent_hash: B256,
    /// Its Unix time.
    pub timestamp: U64,
}

/// What became of a transaction.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Receipt {
    /// 1 when it did not revert.
    pub status: U64,
    /// The block.
    pub block_number: U64,
    /// The contract it created.
    pub contract_address: Option<Address>,
}

/// A transaction as it was sent.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Transaction {
    /// Who sent it.
    pub from: Address,
    /// The contract it calls.
    pub to: Option<Address>,
    /// Its calldata.
    pub input: Bytes,
}

/// A call: to whom, with what.
#[derive(Debug, Clone, Default)]
pub struct Call {
    /// Who calls.
    pub from: Address,
    /// The contract; `None` creates one.
    pub to: Option<Address>,
    /// Calldata, or the code that creates the contract.
    pub data: Bytes,
    /// Wei sent along.
    pub value: U256,
}

/// The devnet's execution node. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Rpc {
    client: reqwest::Client,
    url: String,
}

impl Rpc {
    /// A node at `url`.
    pub fn new(client: reqwest::Client, url: impl Into<String>) -> Self {
        Self {
            client,
            url: url.into(),
        }
    }

    /// Where it is.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Sends one request.
    ///
    /// # Errors
    ///
    /// The node is not reached, refuses, or answers something else than a `T`.
    pub async fn request<T: DeserializeOwned>(&self, method: &str, params: Value) -> Result<T, RpcError> {
        let unreachable = |source| RpcError::Unreachable {
            method: method.to_owned(),
            source,
        };
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let response = self
            .client
            .post(&self.url)
            .json(&body)
            .send()
            .await
            .map_err(unreachable)?;
        let mut answer: Value = response.json().await.map_err(unreachable)?;
        if let Some(error) = answer.get("error") {
            return Err(RpcError::Refused {
                method: method.to_owned(),
                message: error
                    .get("message")
                    .and_then(Value::as_str)
                    .unwrap_or("no message")
                    .to_owned(),
                revert: error
                    .get("data")
                    .and_then(Value::as_str)
                    .and_then(|data| data.parse().ok()),
            });
        }
        let result = answer.get_mut("result").map(Value::take).unwrap_or_default();
        serde_json::from_value(result).map_err(|source| RpcError::Unexpected {
            method: method.to_owned(),
            source,
        })
    }

    /// Sends a transaction from an account that the node holds the key of, with `nonce` if it is given.
    ///
    /// # Errors
    ///
    /// The transaction would revert, or the node does not take it.
    pub async fn send(&self, call: &Call, nonce: Option<u64>) -> Result<B256, RpcError> {
        let mut transaction = json!({"from": call.from, "data": call.data, "value": call.value});
        if let Some(members) = transaction.as_object_mut() {
            if let Some(to) = call.to {
                members.insert("to".to_owned(), json!(to));
            }
            if let Some(nonce) = nonce {
                members.insert("nonce".to_owned(), json!(U64::from(nonce)));
                members.insert("gas".to_owned(), json!(U64::from(GAS_OF_A_SETUP_TRANSACTION)));
            }
        }
        self.request("eth_sendTransaction", json!([transaction])).await
    }

    /// Waits for a transaction to be mined.
    ///
    /// # Errors
    ///
    /// It is not mined in half a minute. A receipt may tell of a revert: that is not an error here.
    pub async fn receipt(&self, hash: B256) -> Result<Receipt, RpcError> {
        for _ in 0..RECEIPT_POLLS {
            if let Some(receipt) = self.request("eth_getTransactionReceipt", json!([hash])).await? {
                return Ok(receipt);
            }
            tokio::time::sleep(RECEIPT_POLL).await;
        }
        Err(RpcError::NotMined {
            hash,
            seconds: (RECEIPT_POLL * RECEIPT_POLLS).as_secs(),
        })
    }

    /// Calls a contract without a transaction, at the newest block.
    ///
    /// # Errors
    ///
    /// The call reverts, or the node does not answer.
    pub async fn call(&self, call: &Call) -> Result<Bytes, RpcError> {
        let transaction = json!({"from": call.from, "to": call.to, "data": call.data, "value": call.value});
        self.request("eth_call", json!([transaction, "latest"])).await
    }

    /// Logs of one contract and event from block `from` to block `to`.
    ///
    /// # Errors
    ///
    /// The node does not answer.
    pub async fn logs(&self, contract: Address, topics: &[B256], from: u64, to: u64) -> Result<Vec<Log>, RpcError> {
        let filter = json!({
            "address": contract, "topics": [topics],
            "fromBlock": U64::from(from), "toBlock": U64::from(to),
        });
        self.request("eth_getLogs", json!([filter])).await
    }

    /// The block with a number, or the newest.
    ///
    /// # Errors
    ///
    /// The node does not answer.
    pub async fn block(&self, number: Option<u64>) -> Result<Option<Block>, RpcError> {
        let tag = number.map_or_else(|| json!("latest"), |number| json!(U64::from(number)));
        self.request("eth_getBlockByNumber", json!([tag, false])).await
    }

    /// The next nonce of an account, transactions not yet mined included.
    ///
    /// # Errors
    ///
    /// The node does not answer.
    pub async fn nonce(&self, account: Address) -> Result<u64, RpcError> {
        let nonce: U64 = self
            .request("eth_getTransactionCount", json!([account, "pending"]))
            .await?;
        Ok(nonce.to())
    }
}

/// Enough for every contract of the devnet, and below the limit of one transaction (EIP-7825).
const GAS_OF_A_SETUP_TRANSACTION: u64 = 6_000_000;
const RECEIPT_POLL: Duration = Duration::from_millis(50);
const RECEIPT_POLLS: u32 = 600;
