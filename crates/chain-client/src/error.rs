//! How reading the execution chain fails.

use std::sync::Arc;

use alloy_primitives::{Address, B256};
use sw_spec::RedactedUrl;

use crate::{EndpointFailure, EndpointFault, Revert};

/// A read of the execution chain that gave no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExecutionError {
    /// Every endpoint was tried, or is resting after a failure.
    #[error("no execution endpoint gave an answer: {}", EndpointFailure::list(.0))]
    Unavailable(Vec<EndpointFailure>),
    /// The endpoint that the snapshot is pinned to failed; the next snapshot may be taken from another.
    #[error("the execution endpoint {endpoint} failed")]
    Endpoint {
        /// The endpoint.
        endpoint: Box<RedactedUrl>,
        /// What is wrong with it.
        #[source]
        fault: Arc<EndpointFault>,
    },
    /// The node understood the request and does not accept it; another one would not either.
    #[error("the execution endpoint {endpoint} refuses {method} with error {code}: {message}")]
    Refused {
        /// The endpoint.
        endpoint: Box<RedactedUrl>,
        /// The JSON-RPC method.
        method: &'static str,
        /// The JSON-RPC error code.
        code: i64,
        /// The beginning of the node's message.
        message: String,
    },
    /// The call was executed and reverted.
    #[error("the call reverts: {revert}")]
    Reverted {
        /// Why.
        revert: Revert,
    },
    /// The address has no code that answers like a vault.
    #[error("{vault} is not a vault")]
    NotAVault {
        /// The address.
        vault: Address,
    },
    /// A contract of the network does not answer a function it must have: the node is on another network, or its state
    /// is older than the contract.
    #[error("{contract} at {address} does not answer `{function}`")]
    ContractMismatch {
        /// Which contract.
        contract: &'static str,
        /// Where it should be.
        address: Address,
        /// The function that was called.
        function: &'static str,
    },
    /// Logs that the contracts cannot have written, or that do not belong to the question.
    #[error("the execution endpoint {endpoint} gives logs that cannot be true: {reason}")]
    ForgedLogs {
        /// The endpoint.
        endpoint: Box<RedactedUrl>,
        /// What gives them away.
        reason: String,
    },
    /// Too few endpoints say the same of what money depends on.
    #[error("fewer than {needed} execution endpoints agree on {what}: {said}")]
    NoQuorum {
        /// What was asked.
        what: &'static str,
        /// How many must agree.
        needed: usize,
        /// Who agrees with whom, and what is wrong with the others.
        said: String,
    },
    /// The block of the snapshot is no longer part of the chain.
    #[error("block {number} ({hash}) is no longer in the chain")]
    Reorganised {
        /// The number of the block.
        number: u64,
        /// The hash it had.
        hash: B256,
    },
}

impl ExecutionError {
    /// Whether time, or another endpoint, may cure it.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unavailable(failures) => failures.iter().any(|failure| failure.fault.is_retryable()),
            Self::Endpoint { fault, .. } => fault.is_retryable(),
            Self::ForgedLogs { .. } | Self::NoQuorum { .. } | Self::Reorganised { .. } => true,
            Self::Refused { .. } | Self::Reverted { .. } | Self::NotAVault { .. } | Self::ContractMismatch { .. } => {
                false
            }
        }
    }
}

/// A call that would not succeed, or could not be tried.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SimulateError {
    /// A transaction with this call would revert.
    #[error("the call would revert: {revert}")]
    Reverted {
        /// Why.
        revert: Revert,
    },
    /// It could not be tried.
    #[error("the call could not be tried")]
    Execution(#[source] ExecutionError),
}

impl SimulateError {
    /// Whether time, or another endpoint, may cure it.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Reverted { .. } => false,
            Self::Execution(error) => error.is_retryable(),
        }
    }
}

impl From<ExecutionError> for SimulateError {
    fn from(error: ExecutionError) -> Self {
        match error {
            ExecutionError::Reverted { revert } => Self::Reverted { revert },
            other => Self::Execution(other),
        }
    }
}
