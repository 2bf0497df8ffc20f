//! The records as they are written.

use alloy_primitives::{Address, B256, Bytes, U128};
use serde::{Deserialize, Serialize};
use sw_spec::PublicKeyBytes;

use super::{EntryState, JournalEntry};

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
    from: Address,
    chain_id: u64,
    nonce: u64,
    hash: B256,
    max_fee_per_gas: U128,
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

impl From<JournalEntry> for Record {
    fn from(entry: JournalEntry) -> Self {
        let JournalEntry {
            kind,
            keys,
            from,
            chain_id,
            nonce,
            hash,
            max_fee_per_gas,
            raw,
            state: _,
        } = entry;
        let max_fee_per_gas = U128::from(max_fee_per_gas);
        Self::Intent(Intent {
            kind,
            keys,
            from,
            chain_id,
            nonce,
            hash,
            max_fee_per_gas,
            raw,
        })
    }
}

impl From<Intent> for JournalEntry {
    fn from(intent: Intent) -> Self {
        let Intent {
            kind,
            keys,
            from,
            chain_id,
            nonce,
            hash,
            max_fee_per_gas,
            raw,
        } = intent;
        let max_fee_per_gas = max_fee_per_gas.to();
        Self {
            kind,
            keys,
            from,
            chain_id,
            nonce,
            hash,
            max_fee_per_gas,
            raw,
            state: EntryState::Intended,
        }
    }
}
