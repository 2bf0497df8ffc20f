//! The records as they are written.

use alloy_primitives::{Address, B256, Bytes, U128};
use serde::{Deserialize, Serialize};
use sw_spec::PublicKeyBytes;

use super::{EntryState, JournalEntry, Start, VERSION, entry::tip};

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Record {
    Start {
        version: u32,
        address: Address,
        chain_id: u64,
        nonce: u64,
    },
    Intent(Intent),
    Outcome {
        hash: B256,
        state: State,
    },
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Intent {
    kind: String,
    keys: Vec<PublicKeyBytes>,
    /// Since format 2, as the other two with a default.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    cancels: bool,
    from: Address,
    chain_id: u64,
    nonce: u64,
    hash: B256,
    max_fee_per_gas: U128,
    #[serde(default)]
    max_priority_fee_per_gas: Option<U128>,
    #[serde(default)]
    signed_at: Option<u64>,
    raw: Bytes,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    Intended,
    Sent,
    Rejected,
    Mined { block: u64, success: bool },
    Replaced,
}

impl Record {
    pub(super) fn outcome(hash: B256, state: EntryState) -> Self {
        let state = match state {
            EntryState::Intended => State::Intended,
            EntryState::Sent => State::Sent,
            EntryState::Rejected => State::Rejected,
            EntryState::Mined { block, success } => State::Mined { block, success },
            EntryState::Replaced => State::Replaced,
        };
        Self::Outcome { hash, state }
    }
}

impl From<State> for EntryState {
    fn from(state: State) -> Self {
        match state {
            State::Intended => Self::Intended,
            State::Sent => Self::Sent,
            State::Rejected => Self::Rejected,
            State::Mined { block, success } => Self::Mined { block, success },
            State::Replaced => Self::Replaced,
        }
    }
}

impl From<Start> for Record {
    fn from(start: Start) -> Self {
        let Start {
            address,
            chain_id,
            nonce,
        } = start;
        Self::Start {
            version: VERSION,
            address,
            chain_id,
            nonce,
        }
    }
}

impl From<&JournalEntry> for Record {
    fn from(entry: &JournalEntry) -> Self {
        let JournalEntry {
            kind,
            keys,
            cancels,
            from,
            chain_id,
            nonce,
            hash,
            max_fee_per_gas,
            max_priority_fee_per_gas,
            signed_at,
            raw,
            state: _,
        } = entry.clone();
        Self::Intent(Intent {
            kind,
            keys,
            cancels,
            from,
            chain_id,
            nonce,
            hash,
            max_fee_per_gas: U128::from(max_fee_per_gas),
            max_priority_fee_per_gas: Some(U128::from(max_priority_fee_per_gas)),
            signed_at,
            raw,
        })
    }
}

impl From<Intent> for JournalEntry {
    fn from(intent: Intent) -> Self {
        let Intent {
            kind,
            keys,
            cancels,
            from,
            chain_id,
            nonce,
            hash,
            max_fee_per_gas,
            max_priority_fee_per_gas,
            signed_at,
            raw,
        } = intent;
        let max_priority_fee_per_gas = max_priority_fee_per_gas.map(|tip| tip.to());
        Self {
            kind,
            keys,
            cancels,
            from,
            chain_id,
            nonce,
            hash,
            max_fee_per_gas: max_fee_per_gas.to(),
            max_priority_fee_per_gas: max_priority_fee_per_gas.or_else(|| tip(&raw)).unwrap_or_default(),
            signed_at,
            raw,
            state: EntryState::Intended,
        }
    }
}
