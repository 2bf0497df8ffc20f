//! What an oracle can be told to do wrong.

use std::time::Duration;

use alloy::primitives::FixedBytes;

/// How an oracle misbehaves from now on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// It behaves.
    #[default]
    None,
    /// It closes every connection without an answer; its peers get no shares from it.
    Down,
    /// It refuses every request with HTTP 400 and this reason, without looking at it.
    Refuse(String),
    /// It answers this much later than it could.
    Slow(Duration),
    /// Its signature is well formed and made with another key.
    BadSignature,
    /// It approves another document than the rest, correctly signed.
    WrongCid,
    /// It approves another deadline than the one asked for, correctly signed.
    WrongDeadline,
}

/// The parts of an approval that a fault changes before it is signed.
#[derive(Debug, Clone)]
pub(super) struct Terms {
    pub(super) ipfs_hash: String,
    pub(super) deadline: u64,
}

impl Fault {
    pub(super) fn refusal(&self) -> Option<&str> {
        match self {
            Self::Refuse(reason) => Some(reason),
            _ => None,
        }
    }

    pub(super) fn delay(&self) -> Option<Duration> {
        match self {
            Self::Slow(delay) => Some(*delay),
            _ => None,
        }
    }

    /// What the oracle signs in place of `terms`.
    pub(super) fn spoil_terms(&self, mut terms: Terms) -> Terms {
        match self {
            Self::WrongCid => terms.ipfs_hash = "QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o".to_owned(),
            Self::WrongDeadline => terms.deadline = terms.deadline.saturating_add(1),
            _ => {}
        }
        terms
    }

    /// Whether the oracle signs with a key that nobody knows.
    pub(super) fn forges(&self) -> bool {
        matches!(self, Self::BadSignature)
    }
}

/// What an oracle said when it approved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// The CID of the exit signatures document.
    pub ipfs_hash: String,
    /// The deadline, Unix seconds.
    pub deadline: u64,
    /// r, s, v.
    pub signature: FixedBytes<65>,
}
