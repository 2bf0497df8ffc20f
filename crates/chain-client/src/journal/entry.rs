//! A journalled transaction.

use alloy::{
    consensus::{Transaction, TxEnvelope},
    eips::eip2718::Decodable2718,
};
use alloy_primitives::{Address, B256, Bytes};
use sw_spec::PublicKeyBytes;

use crate::Call;

/// What is known of a journalled transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum EntryState {
    /// It was about to be handed out; whether it was is not known.
    Intended,
    /// A node took it, or knew it.
    Sent,
    /// Every node refused it.
    Rejected,
    /// It is in a block.
    Mined {
        /// The block.
        block: u64,
        /// Whether it did what it was sent for.
        success: bool,
    },
    /// Another transaction of this journal took its nonce.
    Replaced,
}

/// A journalled transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct JournalEntry {
    /// What it is for: `register`, `harvest`, `rotate`.
    pub kind: String,
    /// The validators it is about.
    pub keys: Vec<PublicKeyBytes>,
    /// Whether it does nothing but take the nonce of one of this kind, which is no longer useful.
    pub cancels: bool,
    /// The wallet.
    pub from: Address,
    /// The chain.
    pub chain_id: u64,
    /// The wallet's nonce.
    pub nonce: u64,
    /// Its hash.
    pub hash: B256,
    /// The most it pays for a unit of gas, in wei.
    pub max_fee_per_gas: u128,
    /// The tip for a unit of gas, in wei.
    pub max_priority_fee_per_gas: u128,
    /// The newest block when it was signed. Format 1 did not tell.
    pub signed_at: Option<u64>,
    /// The signed transaction; dropped once it can never be needed again.
    pub raw: Bytes,
    /// What is known of it.
    pub state: EntryState,
}

impl JournalEntry {
    /// What it does, and the most gas it may use, as long as the signed transaction is kept.
    pub fn call(&self) -> Option<(Call, u64)> {
        let transaction = decoded(&self.raw)?;
        let call = Call {
            to: transaction.to()?,
            data: transaction.input().clone(),
            value: transaction.value(),
        };
        Some((call, transaction.gas_limit()))
    }

    /// Whether it was mined so long before `head` that no reorganisation takes it out.
    pub(crate) fn is_settled(&self, head: u64) -> bool {
        matches!(self.state, EntryState::Mined { block, .. } if block.saturating_add(DEEPEST_REORGANISATION) <= head)
    }
}

/// The tip that a signed transaction offers.
pub(super) fn tip(raw: &Bytes) -> Option<u128> {
    decoded(raw)?.max_priority_fee_per_gas()
}

fn decoded(raw: &Bytes) -> Option<TxEnvelope> {
    TxEnvelope::decode_2718(&mut raw.as_ref()).ok()
}

/// Blocks after which a transaction is not looked at again: two epochs.
const DEEPEST_REORGANISATION: u64 = 64;
