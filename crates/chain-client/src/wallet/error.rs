//! How sending a transaction fails.

use std::time::Duration;

use alloy_primitives::{Address, B256, U256};

use super::SentTx;
use crate::{ExecutionError, FeeError, JournalError, Revert};

/// Not a secp256k1 secret key.
#[derive(Debug, thiserror::Error)]
#[error("the wallet's key is not a secp256k1 secret key")]
pub struct InvalidWalletKey;

/// A transaction that was not sent, or may not have been.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The node says that it would fail, so it was not sent.
    #[error("the transaction would revert: {revert}")]
    Reverted {
        /// Why.
        revert: Revert,
    },
    /// The market asks for too much, or could not be asked.
    #[error("no transaction is sent at this gas price")]
    Fees(#[source] FeeError),
    /// The wallet cannot pay for it.
    #[error("the wallet holds {balance} wei, and the transaction may cost {needed} wei")]
    InsufficientFunds {
        /// What it holds.
        balance: U256,
        /// What it may cost.
        needed: U256,
    },
    /// An earlier transaction of the same kind, or of one that must not be beside it, is not in a block yet.
    #[error("transaction {hash} of kind `{kind}` is still waiting")]
    InFlight {
        /// What that is for.
        kind: String,
        /// The transaction that is out.
        hash: B256,
        /// Its nonce.
        nonce: u64,
    },
    /// Since this one was decided on, one that may have done the same got into a block.
    #[error("transaction {hash} in block {block} may have done the same")]
    Overtaken {
        /// That transaction.
        hash: B256,
        /// Its block.
        block: u64,
    },
    /// The wallet had transactions waiting when the journal was begun; it is begun when they are done.
    #[error("a transaction of {address} that is not in the journal is still waiting")]
    NotSettled {
        /// The wallet.
        address: Address,
    },
    /// A nonce was taken by a transaction that this journal does not know.
    #[error(
        "another operator uses this wallet: nonce {nonce} of {address} was taken by a transaction that is not in the journal"
    )]
    AnotherOperator {
        /// The wallet.
        address: Address,
        /// The nonce.
        nonce: u64,
    },
    /// Every node refused it.
    #[error("transaction {hash} was not accepted: {message}")]
    Rejected {
        /// The transaction.
        hash: B256,
        /// What the last node said.
        message: String,
    },
    /// The reply was lost. The transaction is in the journal: it can be waited for, and the next one finds out.
    #[error("transaction {} may have been sent, but no node knows it yet: {reason}", sent.hash)]
    Unconfirmed {
        /// The transaction.
        sent: Box<SentTx>,
        /// What went wrong.
        reason: String,
    },
    /// The key could not sign it.
    #[error("the transaction could not be signed")]
    NotSigned,
    /// It is not sent without being recorded first.
    #[error("the transaction was not sent, since it could not be recorded")]
    Journal(#[source] JournalError),
    /// The chain could not be asked.
    #[error("the transaction was not sent, since the chain could not be asked")]
    Execution(#[source] ExecutionError),
}

impl SendError {
    /// Whether time may cure it.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::InFlight { .. }
            | Self::Overtaken { .. }
            | Self::NotSettled { .. }
            | Self::Rejected { .. }
            | Self::Unconfirmed { .. } => true,
            Self::Fees(error) => error.is_retryable(),
            Self::Execution(error) => error.is_retryable(),
            Self::Reverted { .. }
            | Self::InsufficientFunds { .. }
            | Self::AnotherOperator { .. }
            | Self::NotSigned
            | Self::Journal(_) => false,
        }
    }
}

impl From<ExecutionError> for SendError {
    fn from(error: ExecutionError) -> Self {
        match error {
            ExecutionError::Reverted { revert } => Self::Reverted { revert },
            other => Self::Execution(other),
        }
    }
}

impl From<JournalError> for SendError {
    fn from(error: JournalError) -> Self {
        Self::Journal(error)
    }
}

/// A transaction that was waited for in vain.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WaitError {
    /// It is out, but in no block yet.
    #[error("transaction {hash} is not in a block after {waited:?}")]
    NotMined {
        /// The transaction.
        hash: B256,
        /// How long it was waited for.
        waited: Duration,
        /// Why the chain could not be asked at last, if it could not.
        #[source]
        source: Option<ExecutionError>,
    },
    /// It is in a block, but that could not be recorded.
    #[error("the outcome of the transaction could not be recorded")]
    Journal(#[source] JournalError),
}

impl WaitError {
    /// Whether time may cure it.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::NotMined { .. })
    }
}
