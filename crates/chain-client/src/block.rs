//! Blocks and receipts, as far as the operator looks at them.

use alloy_primitives::{B256, U64, U128, U256};
use serde::Deserialize;

use crate::EndpointFault;

/// A block that reads are pinned to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockRef {
    /// Its number.
    pub number: u64,
    /// Its hash, which names it even across a reorganisation.
    pub hash: B256,
    /// Unix time, from which deadlines are counted.
    pub timestamp: u64,
    /// Wei per gas that every transaction of the block paid at least (EIP-1559).
    pub base_fee_per_gas: u128,
}

/// What became of a transaction that is in a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// The transaction.
    pub hash: B256,
    /// The number of its block.
    pub block: u64,
    /// The hash of its block.
    pub block_hash: B256,
    /// Whether it did what it was sent for; a reverted transaction is mined and paid for, too.
    pub success: bool,
    /// What it used of its gas limit.
    pub gas_used: u64,
    /// What it paid for a unit of gas, in wei, if the node says so.
    pub gas_price: Option<u128>,
}

/// The members of `eth_getBlockByNumber` that matter (execution-apis `Block`).
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BlockAnswer {
    number: U64,
    hash: B256,
    timestamp: U64,
    base_fee_per_gas: U256,
}

impl TryFrom<BlockAnswer> for BlockRef {
    type Error = EndpointFault;

    fn try_from(answer: BlockAnswer) -> Result<Self, EndpointFault> {
        let impossible = |_| EndpointFault::Malformed("a block with an impossible base fee".to_owned());
        Ok(Self {
            number: answer.number.to(),
            hash: answer.hash,
            timestamp: answer.timestamp.to(),
            base_fee_per_gas: answer.base_fee_per_gas.try_into().map_err(impossible)?,
        })
    }
}

/// The members of `eth_getTransactionReceipt` that matter (execution-apis `ReceiptInfo`).
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ReceiptAnswer {
    transaction_hash: B256,
    block_number: U64,
    block_hash: B256,
    status: U64,
    gas_used: U64,
    #[serde(default)]
    effective_gas_price: Option<U128>,
}

impl From<ReceiptAnswer> for Receipt {
    fn from(answer: ReceiptAnswer) -> Self {
        Self {
            hash: answer.transaction_hash,
            block: answer.block_number.to(),
            block_hash: answer.block_hash,
            success: answer.status == U64::from(1),
            gas_used: answer.gas_used.to(),
            gas_price: answer.effective_gas_price.map(|price| price.to()),
        }
    }
}
