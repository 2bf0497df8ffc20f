//! Reads pinned to one endpoint and one block hash (EIP-1898).

use std::sync::Arc;

use alloy::rpc::json_rpc::{RpcRecv, RpcSend};
use alloy_primitives::{Address, B256, Bytes, U64, U256};
use serde::{Serialize, de::IgnoredAny};
use sw_spec::RedactedUrl;

use crate::{
    BlockRef, Call, EndpointFault, ExecutionError, SimulateError,
    block::BlockAnswer,
    endpoints::{Endpoint, Failed, LAG, LIE},
    execution::Inner,
    quorum::{Answer, Said, ask_all, groups},
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
    /// Other endpoints that have the same block, and confirm what money depends on.
    witnesses: Vec<Arc<Endpoint<Node>>>,
    block: BlockRef,
}

impl Snapshot {
    pub(crate) fn new(
        inner: Arc<Inner>,
        endpoint: Arc<Endpoint<Node>>,
        witnesses: Vec<Arc<Endpoint<Node>>>,
        block: BlockRef,
    ) -> Self {
        Self {
            inner,
            endpoint,
            witnesses,
            block,
        }
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
        self.confirmed("eth_getBalance", (address, self.at())).await
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
        let params = (CallParams::new(Some(from), call),);
        if self.witnesses.is_empty() {
            return Ok(self.ask::<_, U64>("eth_estimateGas", params).await?.to());
        }
        let said = self.ask_each::<_, U64>("eth_estimateGas", params).await;
        // Nodes estimate differently. Of what is no revert the middle counts, or the higher of two.
        let mut estimates: Vec<u64> = said
            .answers
            .iter()
            .filter_map(|(_, answer)| Some(answer.as_ref().ok()?.to()))
            .collect();
        estimates.sort_unstable();
        match estimates.get(estimates.len() / 2) {
            Some(gas) if estimates.len() >= self.inner.quorum() => Ok(*gas),
            _ => said.agreed(self.inner.quorum(), "eth_estimateGas").map(|gas| gas.to()),
        }
    }

    /// How many transactions of an account are in blocks up to this one, and how many the node knows of in all.
    pub(crate) async fn nonces(&self, address: Address) -> Result<(u64, u64), ExecutionError> {
        let mined: U64 = self.confirmed("eth_getTransactionCount", (address, self.at())).await?;
        let params = (address, "pending");
        if self.witnesses.is_empty() {
            let pending: U64 = self.ask("eth_getTransactionCount", params).await?;
            return Ok((mined.to(), pending.to::<u64>().max(mined.to())));
        }
        let said = self.ask_each::<_, U64>("eth_getTransactionCount", params).await;
        // Each node knows its own waiting transactions: the highest count that enough of them reach.
        let mut pending: Vec<U64> = said
            .answers
            .iter()
            .filter_map(|(_, answer)| answer.as_ref().ok().copied())
            .collect();
        pending.sort_unstable_by(|one, other| other.cmp(one));
        let pending = match pending.get(self.inner.quorum() - 1) {
            Some(pending) => *pending,
            None => said.agreed(self.inner.quorum(), "eth_getTransactionCount")?,
        };
        Ok((mined.to(), pending.to::<u64>().max(mined.to())))
    }

    /// Asks all others who have the block for the count of an account's transactions. Returns who contradicts whom, if
    /// somebody does: then this endpoint rests, and nobody is accused on its word alone.
    pub(crate) async fn contradicted_count(&self, address: Address, mined: u64) -> Option<ExecutionError> {
        const COUNT: &str = "eth_getTransactionCount";
        let chain_id = self.inner.chain_id();
        let others = self.inner.endpoints.rested();
        let others: Vec<_> = others
            .into_iter()
            .filter(|other| !Arc::ptr_eq(other, &self.endpoint))
            .collect();
        let count = others.len();
        let mut said = ask_all(others, count, |endpoint| {
            let params = (address, self.at());
            async move { endpoint.client.ask::<_, U64>(chain_id, COUNT, params).await }
        })
        .await;
        said.answers.retain(|(_, answer)| answer.is_ok());
        let agrees = |(_, answer): &Answer<U64>| matches!(answer, Ok(count) if count.to::<u64>() == mined);
        if said.answers.iter().all(agrees) {
            return None;
        }
        said.answers
            .insert(0, (Arc::clone(&self.endpoint), Ok(U64::from(mined))));
        let groups = groups(&said.answers, |one, other| agrees(one) == agrees(other));
        self.endpoint.failed(EndpointFault::Outvoted { what: COUNT });
        Some(said.disagreement(&groups, 2, COUNT))
    }

    /// Asks those who count nonces for receipts. Returns why one that is there does not count, if one is.
    pub(crate) async fn unconfirmed_receipt(
        &self,
        hashes: Vec<B256>,
    ) -> Result<Option<ExecutionError>, ExecutionError> {
        const RECEIPT: &str = "eth_getTransactionReceipt";
        let needed = self.inner.quorum();
        for hash in hashes {
            let said = self.ask_each::<_, Option<IgnoredAny>>(RECEIPT, (hash,)).await;
            if said.answers.is_empty() {
                return Err(ExecutionError::Unavailable(said.failures));
            }
            let denies = |(_, answer): &&Answer<Option<IgnoredAny>>| matches!(answer, Ok(None));
            // Whoever counts a nonce and cannot tell of its transaction proves nothing.
            if said.answers.iter().filter(denies).count() < needed {
                let groups = groups(&said.answers, |one, other| denies(&one) == denies(&other));
                return Ok(Some(said.disagreement(&groups, needed, RECEIPT)));
            }
        }
        Ok(None)
    }

    pub(crate) async fn eth_call(&self, from: Option<Address>, call: &Call) -> Result<Bytes, ExecutionError> {
        self.confirmed("eth_call", (CallParams::new(from, call), self.at()))
            .await
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

    /// Asks as many endpoints as must agree.
    async fn confirmed<P: RpcSend, R: RpcRecv + PartialEq>(
        &self,
        method: &'static str,
        params: P,
    ) -> Result<R, ExecutionError> {
        if self.witnesses.is_empty() {
            return self.ask(method, params).await;
        }
        self.ask_each(method, params).await.agreed(self.inner.quorum(), method)
    }

    /// Asks the endpoint of the snapshot and its witnesses.
    async fn ask_each<P: RpcSend, R: RpcRecv>(&self, method: &'static str, params: P) -> Said<R> {
        let endpoints = std::iter::once(&self.endpoint).chain(&self.witnesses);
        let chain_id = self.inner.chain_id();
        ask_all(endpoints, self.inner.quorum(), |endpoint| {
            let params = params.clone();
            async move { endpoint.client.ask(chain_id, method, params).await }
        })
        .await
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
        self.endpoint.set_aside(EndpointFault::Malformed(reason), LIE);
    }

    /// The same for a few minutes: what it gave may be true of another block.
    pub(crate) fn set_aside_shortly(&self, reason: String) {
        self.endpoint.set_aside(EndpointFault::Malformed(reason), LAG);
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
