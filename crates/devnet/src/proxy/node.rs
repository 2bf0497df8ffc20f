//! The node behind the proxy.

use alloy_primitives::{U64, U256};
use serde_json::{Value, json};

use super::{Outcome, error};

/// The node behind the proxy; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Upstream {
    client: reqwest::Client,
    url: String,
}

impl Upstream {
    pub(super) fn new(client: reqwest::Client, url: String) -> Self {
        Self { client, url }
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Calls a method; a node that does not answer is an internal error of the proxy.
    pub(super) async fn call(&self, method: &str, params: &Value) -> Outcome {
        let request = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let broken = |cause: reqwest::Error| error(-32603, &format!("the node behind the proxy failed: {cause}"));
        let response = self
            .client
            .post(&self.url)
            .json(&request)
            .send()
            .await
            .map_err(broken)?;
        let mut answer: Value = response.json().await.map_err(broken)?;
        match answer.get_mut("error").map(Value::take) {
            Some(refusal) => Err(refusal),
            None => Ok(answer.get_mut("result").map(Value::take).unwrap_or_default()),
        }
    }

    /// A quantity that a method answers.
    pub(super) async fn quantity(&self, method: &str, params: Value) -> Result<U256, Value> {
        let answer = self.call(method, &params).await?;
        serde_json::from_value(answer).map_err(|cause| error(-32603, &cause.to_string()))
    }

    /// The number of the newest block.
    pub(super) async fn head(&self) -> Result<u64, Value> {
        Ok(self.quantity("eth_blockNumber", json!([])).await?.saturating_to())
    }

    /// The base fee of the block that is next, wei.
    pub(super) async fn next_base_fee(&self) -> Result<u128, Value> {
        let history = self.call("eth_feeHistory", &json!(["0x1", "latest", []])).await?;
        let next = history
            .get("baseFeePerGas")
            .and_then(Value::as_array)
            .and_then(|fees| fees.last());
        Ok(next.map_or(0, |fee| quantity(fee).unwrap_or_default()))
    }

    /// The number of the block with this hash, if the node has it.
    pub(super) async fn number_of(&self, hash: &Value) -> Result<Option<u64>, Value> {
        let block = self.call("eth_getBlockByHash", &json!([hash, false])).await?;
        Ok(block.get("number").and_then(number))
    }
}

/// A hexadecimal quantity.
pub(super) fn quantity(value: &Value) -> Option<u128> {
    let value: U256 = serde_json::from_value(value.clone()).ok()?;
    u128::try_from(value).ok()
}

/// A hexadecimal quantity that is a block's number.
pub(super) fn number(value: &Value) -> Option<u64> {
    let value: U64 = serde_json::from_value(value.clone()).ok()?;
    Some(value.to())
}
