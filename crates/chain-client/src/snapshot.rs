//! Reads pinned to one endpoint and one block hash (EIP-1898).

use std::sync::Arc;

use alloy::rpc::json_rpc::{RpcRecv, RpcSend};
use alloy_primitives::{Address, B256, Bytes, U64, U256};
use serde::Serialize;
use sw_spec::RedactedUrl;

use crate::{
    BlockRef, Call, EndpointFault, ExecutionError, SimulateError,
    block::BlockAnswer,
    endpoints::{Endpoint, Failed},
    execution::Inner,
    rpc::Node,
};

/// One block, as one endpoint sees it.
///
/// Everything a decision depends on is read from one snapshot: the calls name the block by its hash, so a node that
/// does not have that block answers with an error instead of with another state.
#[derive(Clone)]
pub struct Snapshot {
    inner: Arc<Inner>,
    pub(crate) endpoint: Arc<Endpoint<Node>>,
    block: BlockRef,
}

impl Snapshot {
    pub(crate) fn new(inner: Arc<Inner>, endpoint: Arc<Endpoint<Node>>, block: BlockRef) -> Self {
        Self { inner, endpoint, block }
    }

    /// The block.
    pub fn block(&self) -> &BlockRef {
        &self.block
    }

    /// The endpoint.
    pub fn endpoint(&self) -> &RedactedUrl {
        &self.endpoint.url
    }

    /// What an account holds, in wei.
    ///
    /// # Errors
    /// When the node fails.
    pub async fn balance(&self, address: Address) -> Result<U256, ExecutionError> {
        self.ask("eth_getBalance", (address, self.at())).await
    }

    /// Tries a call without sending it.
    ///
    /// # Errors
    /// [`SimulateError::Reverted`] with the error's name when it would revert, and when the node fails.
    pub async fn simulate(&self, from: Address, call: &Call) -> Result<(), SimulateError> {
        self.eth_call(Some(from), call).await?;
        Ok(())
    }

    /// The gas that a call needs now, by the node's own account.
    pub(crate) async fn estimate_gas(&self, from: Address, call: &Call) -> Result<u64, ExecutionError> {
        let gas: U64 = self
            .ask("eth_estimateGas", (CallParams::new(Some(from), call),))
            .await?;
        Ok(gas.to())
    }

    /// How many transactions of an account are in blocks up to this one, and how many the node knows of in all.
    pub(crate) async fn nonces(&self, address: Address) -> Result<(u64, u64), ExecutionError> {
        let mined: U64 = self.ask("eth_getTransactionCount", (address, self.at())).await?;
        let pending: U64 = self.ask("eth_getTransactionCount", (address, "pending")).await?;
        Ok((mined.to(), pending.to::<u64>().max(mined.to())))
    }

    pub(crate) async fn eth_call(&self, from: Option<Address>, call: &Call) -> Result<Bytes, ExecutionError> {
        self.ask("eth_call", (CallParams::new(from, call), self.at())).await
    }

    /// A call at another block of the same endpoint.
    pub(crate) async fn call_at(&self, block_hash: B256, call: &Call) -> Result<Bytes, ExecutionError> {
        self.ask(
            "eth_call",
            (CallParams::new(None, call), BlockHash::canonical(block_hash)),
        )
        .await
    }

    /// A word of a contract's storage, at a block of the same endpoint.
    pub(crate) async fn storage_at(
        &self,
        contract: Address,
        slot: u64,
        block_hash: B256,
    ) -> Result<B256, ExecutionError> {
        self.ask(
            "eth_getStorageAt",
            (contract, U256::from(slot), BlockHash::canonical(block_hash)),
        )
        .await
    }

    /// Makes sure that the block is still in the chain: ranges of logs are asked for by number.
    pub(crate) async fn check_canonical(&self) -> Result<(), ExecutionError> {
        let BlockRef { number, hash, .. } = self.block;
        let now: Option<BlockAnswer> = self.ask("eth_getBlockByNumber", (U64::from(number), false)).await?;
        match now.and_then(|answer| BlockRef::try_from(answer).ok()) {
            Some(block) if block.hash == hash => Ok(()),
            _ => Err(ExecutionError::Reorganised { number, hash }),
        }
    }

    /// Asks the endpoint of the snapshot, and nobody else.
    pub(crate) async fn ask<P: RpcSend, R: RpcRecv>(
        &self,
        method: &'static str,
        params: P,
    ) -> Result<R, ExecutionError> {
        let answer = self.endpoint.client.ask(self.inner.chain_id(), method, params).await;
        answer.map_err(|failed| self.fail(failed))
    }

    pub(crate) fn fail(&self, failed: Failed<ExecutionError>) -> ExecutionError {
        match failed {
            Failed::Request(error) => error,
            Failed::Endpoint(fault) => {
                let endpoint = Box::new(self.endpoint.url.clone());
                ExecutionError::Endpoint {
                    endpoint,
                    fault: self.endpoint.failed(fault),
                }
            }
        }
    }

    /// The endpoint has shown that its word does not count: from now on, and for an hour, every other one is preferred.
    pub fn set_aside(&self, reason: String) {
        self.endpoint.set_aside(EndpointFault::Malformed(reason));
    }

    /// How many endpoints there are.
    pub fn endpoints(&self) -> usize {
        self.inner.endpoints()
    }

    pub(crate) fn retry_budget(&self) -> std::time::Duration {
        self.inner.retry_budget()
    }

    fn at(&self) -> BlockHash {
        BlockHash::canonical(self.block.hash)
    }
}

/// A block parameter by hash (EIP-1898).
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct BlockHash {
    block_hash: B256,
    require_canonical: bool,
}

impl BlockHash {
    fn canonical(block_hash: B256) -> Self {
        Self {
            block_hash,
            require_canonical: true,
        }
    }
}

/// A call object (execution-apis `GenericTransaction`).
#[derive(Debug, Clone, Serialize)]
struct CallParams {
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<Address>,
    to: Address,
    #[serde(skip_serializing_if = "U256::is_zero")]
    value: U256,
    data: Bytes,
}

impl CallParams {
    fn new(from: Option<Address>, call: &Call) -> Self {
        Self {
            from,
            to: call.to,
            value: call.value,
            data: call.data.clone(),
        }
    }
}
