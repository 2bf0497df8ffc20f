//! What came of asking each oracle.

use std::{error::Error, fmt};

use alloy_primitives::Address;
use sw_spec::RedactedUrl;

use crate::InvalidSignature;

/// What came of asking one oracle.
#[derive(Debug)]
#[non_exhaustive]
pub struct OracleOutcome {
    /// The oracle.
    pub oracle: Address,
    /// Whether it counted, and if not, why.
    pub verdict: Verdict,
    /// The endpoints that gave nothing that counts, in the order they were tried.
    pub failures: Vec<FailedAttempt>,
}

/// Whether an oracle counted.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// Its approval is among those used.
    Counted,
    /// It approved, with exit signatures at another place than the largest group.
    OtherContent {
        /// That place.
        ipfs_hash: String,
    },
    /// Enough others had answered before it.
    NotAwaited,
    /// None of its endpoints gave an approval.
    NoApproval,
    /// The configuration gives it no endpoint that could be asked.
    NoEndpoint,
}

/// An endpoint that gave nothing that counts.
#[derive(Debug)]
#[non_exhaustive]
pub struct FailedAttempt {
    /// The endpoint.
    pub endpoint: RedactedUrl,
    /// What it did.
    pub fault: AnswerFault,
}

/// Why an answer does not count.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerFault {
    /// The time was up.
    #[error("no answer in time")]
    Timeout,
    /// There was no connection, or it broke.
    #[error("no answer")]
    Unreachable(#[source] reqwest::Error),
    /// It answered with a status that is not success.
    #[error("status {status}{}", said(.message))]
    Status {
        /// The HTTP status.
        status: u16,
        /// The beginning of what it said, on one line.
        message: String,
    },
    /// It pointed elsewhere. Redirects are not followed: they could lead into the operator's own network.
    #[error("a redirect, which is not followed")]
    Redirected,
    /// The body is longer than any answer.
    #[error("an answer that is too long")]
    TooLong,
    /// The body is not an approval.
    #[error("an answer that is no approval")]
    Malformed(#[source] serde_json::Error),
    /// The body is not a list of outdated exit signatures.
    #[error("an answer that is no list of outdated exit signatures")]
    NotAList(#[source] serde_json::Error),
    /// The list is longer than that of any vault.
    #[error("a list of {0} outdated exit signatures, too many for any vault")]
    ListTooLong(usize),
    /// The `ipfs_hash` cannot be a content identifier.
    #[error("an answer whose ipfs hash is none")]
    NoContentId,
    /// The approval is for another deadline than the one asked for.
    #[error("an approval until {actual} instead of {requested}")]
    OtherDeadline {
        /// The deadline asked for.
        requested: u64,
        /// The deadline given.
        actual: u64,
    },
    /// The signature is not 65 bytes as hexadecimal text.
    #[error("a signature that is not 65 bytes")]
    SignatureLength,
    /// The signature is one that the Keeper refuses.
    #[error("a signature that the keeper would refuse")]
    InvalidSignature(#[source] InvalidSignature),
    /// The signature was made by another key, or for something else.
    #[error("a signature of {0} or for something else")]
    OtherSigner(Address),
}

impl AnswerFault {
    /// Whether asking again, with nothing changed, may help.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Timeout | Self::Unreachable(_) => true,
            Self::Status { status, .. } => *status >= 500 || matches!(status, 408 | 425 | 429),
            _ => false,
        }
    }
}

/// One line: who, and why it did not count.
impl fmt::Display for OracleOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.oracle, self.verdict)?;
        for attempt in &self.failures {
            write!(f, "; {attempt}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Counted => f.write_str("approved"),
            Self::OtherContent { ipfs_hash } => write!(f, "approved other exit signatures, {ipfs_hash}"),
            Self::NotAwaited => f.write_str("not needed any more"),
            Self::NoApproval => f.write_str("no approval"),
            Self::NoEndpoint => f.write_str("no endpoint to ask"),
        }
    }
}

impl fmt::Display for FailedAttempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.endpoint, self.fault)?;
        let mut cause = self.fault.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

fn said(message: &str) -> String {
    if message.is_empty() {
        String::new()
    } else {
        format!(": {message}")
    }
}
