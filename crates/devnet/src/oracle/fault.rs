//! What an oracle can be told to do wrong.

use std::time::Duration;

use alloy::primitives::{FixedBytes, U256, uint};

use crate::proxy::Act;

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
    /// Its answer goes wrong on the wire; a redirect leads to the next oracle. Faults of JSON-RPC are none here.
    Wire(Act),
    /// Its signature is well formed and made with another key.
    BadSignature,
    /// Its signature is the next oracle's, of the same approval.
    AnothersSignature,
    /// It answers with the first approval it ever gave, which was valid then; if it gave none, with one for another root
    /// of the deposit contract.
    Replayed,
    /// Its signature has the high `s` of the two that are mathematically valid (EIP-2).
    HighS,
    /// It approves another document than the rest, correctly signed.
    WrongCid,
    /// It approves another deadline than the one asked for, correctly signed.
    WrongDeadline,
    /// It says that the exit signatures of exactly these validators, by index, are outdated.
    Outdated(Vec<u64>),
    /// It says that this is the block of the last exit signatures it has seen, or that it has seen none.
    SyncedTo(Option<u64>),
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

    /// What the oracle says of a vault's exit signatures: the last block of them, and whose are outdated.
    pub(super) fn spoil_signatures(&self, block: Option<u64>, outdated: Vec<u64>) -> (Option<u64>, Vec<u64>) {
        match self {
            Self::Outdated(indexes) => (block, indexes.clone()),
            Self::SyncedTo(block) => (*block, outdated),
            _ => (block, outdated),
        }
    }

    /// What the signature becomes on its way into the answer.
    pub(super) fn spoil_signature(&self, signature: FixedBytes<65>) -> FixedBytes<65> {
        match self {
            Self::HighS => with_high_s(signature),
            _ => signature,
        }
    }

    pub(super) fn on_the_wire(&self) -> Option<&Act> {
        match self {
            Self::Wire(act) => Some(act),
            _ => None,
        }
    }

    /// Every way in which an oracle is expected to fail, with a name for reports.
    pub fn modes() -> Vec<(&'static str, Self)> {
        let status = |code| {
            Self::Wire(Act::Status {
                code,
                retry_after: None,
            })
        };
        vec![
            ("down", Self::Down),
            ("slow", Self::Slow(Duration::from_secs(30))),
            ("500", status(500)),
            ("400", Self::Refuse("not today".to_owned())),
            ("other CID", Self::WrongCid),
            ("other deadline", Self::WrongDeadline),
            ("bad signature", Self::BadSignature),
            ("another's signature", Self::AnothersSignature),
            ("replayed approval", Self::Replayed),
            ("high s", Self::HighS),
            ("truncated JSON", Self::Wire(Act::Truncated)),
            ("endless body", Self::Wire(Act::Endless)),
            ("one byte a second", Self::Wire(Act::Trickle)),
            ("redirect", Self::Wire(Act::Redirect)),
        ]
    }
}

/// `n - s` and the other parity: the same point, so the same signer is recovered where nobody looks at `s`.
fn with_high_s(mut signature: FixedBytes<65>) -> FixedBytes<65> {
    let s = U256::from_be_slice(signature.get(32..64).unwrap_or_default());
    let high = ORDER.wrapping_sub(s).to_be_bytes::<32>();
    for (byte, other) in signature.iter_mut().skip(32).zip(high) {
        *byte = other;
    }
    if let Some(v) = signature.last_mut() {
        *v = if *v == 27 { 28 } else { 27 };
    }
    signature
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

/// The order of secp256k1 (SEC 2, 2.4.1).
const ORDER: U256 = uint!(0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141_U256);
