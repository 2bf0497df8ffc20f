//! Voluntary exits: what the pool takes, and what they make of a validator.

use alloy_primitives::FixedBytes;
use serde::{Deserialize, Serialize};

use super::{BeaconConfig, registry::Validator};
use crate::{bls, ssz};

/// `FAR_FUTURE_EPOCH` of the consensus specs.
pub(super) const FAR_FUTURE: u64 = u64::MAX;
/// `MIN_ACTIVATION_BALANCE` of the consensus specs, in Gwei.
const MIN_ACTIVATION_BALANCE: u64 = 32_000_000_000;

/// `SignedVoluntaryExit` in the JSON of the Beacon API.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct SignedExit {
    pub(super) message: ExitMessage,
    pub(super) signature: FixedBytes<96>,
}

/// `VoluntaryExit`, with integers as decimal text.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct ExitMessage {
    pub(super) epoch: String,
    pub(super) validator_index: String,
}

/// An exit that was accepted, and when it takes effect.
#[derive(Debug, Clone)]
pub(super) struct Exit {
    pub(super) signed: SignedExit,
    pub(super) epoch: u64,
}

/// The epochs of a validator's life in a state.
#[derive(Debug, Clone, Copy)]
pub(super) struct Life {
    pub(super) eligible: u64,
    pub(super) activation: u64,
    pub(super) exit: u64,
    pub(super) withdrawable: u64,
}

impl Life {
    /// A validator becomes active when its deposit is final.
    pub(super) fn of(config: &BeaconConfig, validator: &Validator, balance: u64, exit: Option<u64>) -> Self {
        let eligible = config.epoch_of(validator.since) + 1;
        let exit = exit.unwrap_or(FAR_FUTURE);
        match balance >= MIN_ACTIVATION_BALANCE {
            true => Self {
                eligible,
                activation: eligible + 2,
                exit,
                withdrawable: exit.saturating_add(2),
            },
            false => Self {
                eligible: FAR_FUTURE,
                activation: FAR_FUTURE,
                exit,
                withdrawable: FAR_FUTURE,
            },
        }
    }

    /// The status in the words of the Beacon API.
    pub(super) fn status(&self, epoch: u64) -> &'static str {
        match epoch {
            epoch if epoch < self.eligible => "pending_initialized",
            epoch if epoch < self.activation => "pending_queued",
            epoch if epoch >= self.withdrawable => "withdrawal_possible",
            epoch if epoch >= self.exit => "exited_unslashed",
            _ if self.exit != FAR_FUTURE => "active_exiting",
            _ => "active_ongoing",
        }
    }
}

/// Why `process_voluntary_exit` of the consensus specs refuses an exit at `epoch`, or `None` if it does not.
pub(super) fn refusal(
    config: &BeaconConfig,
    validator: &Validator,
    life: &Life,
    exit: (u64, u64, &FixedBytes<96>),
    epoch: u64,
) -> Option<&'static str> {
    let (exit_epoch, index, signature) = exit;
    let root = ssz::exit_signing_root(
        exit_epoch,
        index,
        config.capella_fork_version,
        config.genesis_validators_root,
    );
    match () {
        () if epoch < life.activation => Some("the validator is not active"),
        () if life.exit != FAR_FUTURE => Some("the validator has already initiated its exit"),
        () if exit_epoch > epoch => Some("the exit is not valid before its epoch"),
        () if !bls::verify(&validator.public_key, root, signature) => Some("the signature is invalid"),
        () => None,
    }
}
