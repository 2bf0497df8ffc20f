//! The chain as one answer sees it: up to a head, and nothing past it.

use serde_json::{Value, json};

use super::{
    error,
    node::{Upstream, number},
};

/// The chain up to a block.
#[derive(Debug)]
pub(super) struct View<'a> {
    node: &'a Upstream,
    head: u64,
    behind: u64,
}

impl<'a> View<'a> {
    /// The chain up to `behind` blocks below the node's newest.
    pub(super) async fn new(node: &'a Upstream, behind: u64) -> Result<Self, Value> {
        let head = node.head().await?.saturating_sub(behind);
        Ok(Self { node, head, behind })
    }

    pub(super) fn head(&self) -> u64 {
        self.head
    }

    /// Names every block in `params` by a number that this view has, or refuses as geth does.
    pub(super) async fn place(&self, method: &str, params: &mut Value) -> Result<(), Value> {
        match method {
            "eth_getLogs" => match params.get_mut(0) {
                Some(filter) => self.place_filter(filter).await,
                None => Ok(()),
            },
            "eth_getBlockByNumber" | "eth_getBlockReceipts" => match params.get_mut(0) {
                Some(block) => self.lower(block).await,
                None => Ok(()),
            },
            _ => match state_position(method).and_then(|position| params.get_mut(position)) {
                Some(block) => self.place_state(block).await,
                None => Ok(()),
            },
        }
    }

    async fn place_filter(&self, filter: &mut Value) -> Result<(), Value> {
        if let Some(hash) = filter.get("blockHash") {
            return match self.node.number_of(hash).await? {
                Some(block) if block <= self.head => Ok(()),
                _ => Err(error(-32000, "unknown block")),
            };
        }
        for name in ["fromBlock", "toBlock"] {
            if let Some(block) = filter.get_mut(name) {
                self.lower(block).await?;
            }
        }
        let edge = |name: &str| filter.get(name).and_then(number);
        let (from, to) = (edge("fromBlock"), edge("toBlock"));
        if let (Some(from), Some(to)) = (from, to)
            && from > to
        {
            return Err(error(-32602, "invalid block range params"));
        }
        match from.max(to) {
            Some(last) if last > self.head => Err(error(-32602, "block range extends beyond current head block")),
            _ => Ok(()),
        }
    }

    /// EIP-1898: a block by tag, number, or hash.
    async fn place_state(&self, block: &mut Value) -> Result<(), Value> {
        let Some(hash) = block.get("blockHash") else {
            self.lower(block).await?;
            return match number(block) {
                Some(number) if number > self.head => Err(error(-32000, "header not found")),
                _ => Ok(()),
            };
        };
        let number = match self.node.number_of(hash).await? {
            Some(number) if number <= self.head => number,
            _ => return Err(error(-32000, "header for hash not found")),
        };
        if block.get("requireCanonical").and_then(Value::as_bool) == Some(true) {
            let params = json!([format!("{number:#x}"), false]);
            let canonical = self.node.call("eth_getBlockByNumber", &params).await?;
            if canonical.get("hash") != Some(hash) {
                return Err(error(-32000, "hash is not currently canonical"));
            }
        }
        Ok(())
    }

    /// A node that is behind takes its own newest block for the newest.
    async fn lower(&self, block: &mut Value) -> Result<(), Value> {
        let Some(tag) = block.as_str().filter(|_| self.behind > 0) else {
            return Ok(());
        };
        let lowered = match tag {
            "latest" | "pending" => self.head,
            "safe" | "finalized" => {
                let there = self.node.call("eth_getBlockByNumber", &json!([tag, false])).await?;
                let there = there.get("number").and_then(number).unwrap_or_default();
                there.saturating_sub(self.behind)
            }
            _ => return Ok(()),
        };
        *block = json!(format!("{lowered:#x}"));
        Ok(())
    }

    /// Takes away from a result what this view has not seen yet.
    pub(super) fn cut_off(&self, method: &str, result: Value) -> Value {
        if self.behind == 0 {
            return result;
        }
        let unseen = |name: &str| result.get(name).and_then(number).is_some_and(|block| block > self.head);
        match method {
            "eth_blockNumber" => json!(format!("{:#x}", self.head)),
            "eth_getTransactionReceipt" if unseen("blockNumber") => Value::Null,
            "eth_getBlockByNumber" | "eth_getBlockByHash" if unseen("number") => Value::Null,
            "eth_getTransactionByHash" if unseen("blockNumber") => {
                let mut pending = result;
                for name in ["blockHash", "blockNumber", "transactionIndex"] {
                    if let Some(member) = pending.get_mut(name) {
                        *member = Value::Null;
                    }
                }
                pending
            }
            _ => result,
        }
    }
}

/// Which parameter names the block whose state is asked for.
fn state_position(method: &str) -> Option<usize> {
    match method {
        "eth_call"
        | "eth_estimateGas"
        | "eth_getBalance"
        | "eth_getCode"
        | "eth_getTransactionCount"
        | "eth_feeHistory" => Some(1),
        "eth_getStorageAt" | "eth_getProof" => Some(2),
        _ => None,
    }
}
