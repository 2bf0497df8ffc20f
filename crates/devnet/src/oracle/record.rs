//! What an oracle has been asked and has done, for tests and the curious.

use std::sync::{Mutex, PoisonError};

use alloy::primitives::FixedBytes;

use super::fault::Approval;

/// An exit signature that was recovered from shares and verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecoveredExit {
    /// The validator.
    pub public_key: FixedBytes<48>,
    /// Its index, predicted when it is new, which is part of the signed message.
    pub validator_index: u64,
    /// The signature.
    pub signature: FixedBytes<96>,
}

/// The log of one oracle; the Node oracle fills it through its standard output.
#[derive(Debug, Default)]
pub(super) struct Record(Mutex<Entries>);

#[derive(Debug, Default)]
pub(super) struct Entries {
    /// Registrations.
    pub(super) requests: Vec<String>,
    pub(super) rotations: Vec<String>,
    pub(super) approvals: Vec<Approval>,
    /// The first approval of a registration that was given without a fault.
    pub(super) first_registration: Option<Approval>,
    /// The first of a rotation.
    pub(super) first_rotation: Option<Approval>,
    pub(super) refusals: Vec<String>,
    pub(super) exits: Vec<RecoveredExit>,
}

impl Record {
    pub(super) fn write(&self, change: impl FnOnce(&mut Entries)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(super) fn read<T>(&self, look: impl FnOnce(&Entries) -> T) -> T {
        look(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
