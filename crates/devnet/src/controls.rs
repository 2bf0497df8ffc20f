//! What a test does to the chain itself: fees, and blocks that never were.

use alloy_primitives::{B256, Bytes};
use serde_json::{Value, json};

use crate::{Devnet, DevnetError, rpc::RpcError};

/// What becomes of the operators' transactions that a reorganisation takes out of the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dropped {
    /// They are in the pool again, and mined again when they still can be.
    BackInPool,
    /// No node has heard of them.
    Gone,
}

impl Devnet {
    /// Replaces the newest `depth` blocks by others of the same number. What people on the devnet did in them happens
    /// again in the same order; an operator's transactions are back in the pool.
    ///
    /// # Errors
    ///
    /// The chain is too short, or the node fails.
    pub async fn reorg(&self, depth: u64) -> Result<(), DevnetError> {
        self.reorg_with(depth, Dropped::BackInPool).await
    }

    /// As [`Devnet::reorg`], with a say in what becomes of the operators' transactions.
    ///
    /// # Errors
    ///
    /// As [`Devnet::reorg`].
    pub async fn reorg_with(&self, depth: u64, dropped: Dropped) -> Result<(), DevnetError> {
        // No block may come between what is read of the old blocks and the new ones.
        self.pause_mining().await?;
        let done = self.replace_blocks(depth).await;
        self.resume_mining().await?;
        for (hash, raw) in done? {
            match dropped {
                Dropped::BackInPool => self.proxy().pool().put_back(&raw).await,
                Dropped::Gone => self.proxy().pool().forget(hash).await,
            }
        }
        Ok(())
    }

    /// Replaces blocks, and returns the operators' transactions that were in them.
    async fn replace_blocks(&self, depth: u64) -> Result<Vec<(B256, Bytes)>, DevnetError> {
        let rpc = self.chain().rpc();
        let accounts: Vec<Value> = rpc.request("eth_accounts", json!([])).await.map_err(refused)?;
        let head = rpc.block(None).await.map_err(refused)?;
        let head: u64 = head.map(|block| block.number.to()).unwrap_or_default();
        let (mut again, mut operators) = (Vec::new(), Vec::new());
        for place in 0..depth {
            let number = format!("{:#x}", (head + 1 + place).saturating_sub(depth));
            let block: Value = rpc
                .request("eth_getBlockByNumber", json!([number, true]))
                .await
                .map_err(refused)?;
            for transaction in block
                .get("transactions")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
            {
                match transaction.get("from") {
                    Some(from) if accounts.contains(from) => again.push(json!([request_of(transaction), place])),
                    _ => {
                        let hash: B256 = serde_json::from_value(transaction.get("hash").cloned().unwrap_or_default())
                            .unwrap_or_default();
                        let raw: Bytes = rpc
                            .request("eth_getRawTransactionByHash", json!([hash]))
                            .await
                            .map_err(refused)?;
                        operators.push((hash, raw));
                    }
                }
            }
        }
        let _: Value = rpc
            .request("anvil_reorg", json!([depth, again]))
            .await
            .map_err(refused)?;
        Ok(operators)
    }

    /// Mines no more blocks but those of [`Devnet::mine`].
    ///
    /// # Errors
    ///
    /// The node fails.
    pub async fn pause_mining(&self) -> Result<(), DevnetError> {
        self.set_interval(0).await
    }

    /// Mines a block each slot again.
    ///
    /// # Errors
    ///
    /// The node fails.
    pub async fn resume_mining(&self) -> Result<(), DevnetError> {
        self.set_interval(self.deployment().seconds_per_slot).await
    }

    async fn set_interval(&self, seconds: u64) -> Result<(), DevnetError> {
        let set: Result<Value, RpcError> = self
            .chain()
            .rpc()
            .request("evm_setIntervalMining", json!([seconds]))
            .await;
        set.map(drop).map_err(refused)
    }

    /// Mines that many blocks now, a slot of the chain's own time apart, each with what waits for it.
    ///
    /// # Errors
    ///
    /// The node fails.
    pub async fn mine(&self, blocks: u64) -> Result<(), DevnetError> {
        let rpc = self.chain().rpc();
        let interval: Option<u64> = rpc
            .request("anvil_getIntervalMining", json!([]))
            .await
            .map_err(refused)?;
        // A block of the node's own in between would have the fee that is meant for the next one of these.
        self.set_interval(0).await?;
        let mined = self.mine_now(blocks).await;
        self.set_interval(interval.unwrap_or_default()).await?;
        mined
    }

    async fn mine_now(&self, blocks: u64) -> Result<(), DevnetError> {
        let rpc = self.chain().rpc();
        for _ in 0..blocks {
            self.proxy().pool().tend_now().await;
            let head = rpc.block(None).await.map_err(refused)?;
            let time: u64 = head.map(|block| block.timestamp.to()).unwrap_or_default();
            let next = json!([{"timestamp": time + self.deployment().seconds_per_slot}]);
            let _: Value = rpc.request("evm_mine", next).await.map_err(refused)?;
        }
        Ok(())
    }

    /// Holds the base fee of every block from the next one on, until [`Devnet::release_base_fee`]. Anvil is told after each
    /// block: one that follows another within milliseconds may cost an eighth less, unless [`Devnet::mine`] makes them all.
    pub async fn set_base_fee(&self, wei: u128) {
        self.proxy().pool().hold_base_fee(wei).await;
    }

    /// Lets the base fee be again what it was before it was held, and go its own way from there.
    pub async fn release_base_fee(&self) {
        self.proxy().pool().release_base_fee().await;
    }
}

/// The transaction as it can be sent again from an account that the node holds the key of.
fn request_of(transaction: &Value) -> Value {
    let members = [
        "from",
        "to",
        "input",
        "value",
        "gas",
        "nonce",
        "maxFeePerGas",
        "maxPriorityFeePerGas",
    ];
    let kept = members.iter().filter_map(|name| {
        Some((
            (*name).to_owned(),
            transaction.get(*name).filter(|value| !value.is_null())?.clone(),
        ))
    });
    Value::Object(kept.collect())
}

fn refused(error: RpcError) -> DevnetError {
    DevnetError::Chain(error.into())
}
