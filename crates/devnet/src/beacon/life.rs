//! The epochs of a validator's life, and what the Beacon API calls the state of it.

use alloy_primitives::B256;

use super::{BeaconConfig, registry::Validator};

/// `FAR_FUTURE_EPOCH` of the consensus specs.
pub(super) const FAR_FUTURE: u64 = u64::MAX;
/// `MIN_ACTIVATION_BALANCE` of the consensus specs, in Gwei.
pub(super) const MIN_ACTIVATION_BALANCE: u64 = 32_000_000_000;

/// The epochs of the blocks that made a validator leave.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Left {
    pub(super) exit: Option<u64>,
    pub(super) slashing: Option<u64>,
}

/// A validator's epochs as a state has them: what that state cannot know yet is in the far future.
#[derive(Debug, Clone, Copy)]
pub(super) struct Life {
    pub(super) eligible: u64,
    pub(super) activation: u64,
    pub(super) exit: u64,
    pub(super) withdrawable: u64,
    pub(super) slashed: bool,
    /// Whether the stake has been paid out.
    pub(super) is_paid_out: bool,
}

impl Life {
    /// The life of a validator with `balance` Gwei, in a state of `epoch`.
    ///
    /// On the live chain a queue decides on the activation, and a sweep of all validators pays out; here it is two epochs
    /// after the one behind the deposit's, and the epoch after `withdrawable_epoch`.
    pub(super) fn of(config: &BeaconConfig, validator: &Validator, balance: u64, left: Left, epoch: u64) -> Self {
        let eligible = match balance >= MIN_ACTIVATION_BALANCE {
            true => config.epoch_of(validator.since) + 1,
            false => FAR_FUTURE,
        };
        let known = |from: u64, what: u64| if epoch < from { FAR_FUTURE } else { what };
        let mut life = Self {
            eligible: known(eligible, eligible),
            activation: known(eligible.saturating_add(1), eligible.saturating_add(2)),
            exit: FAR_FUTURE,
            withdrawable: FAR_FUTURE,
            slashed: left.slashing.is_some(),
            is_paid_out: false,
        };
        if let Some(first) = left.exit.into_iter().chain(left.slashing).min() {
            life.exit = config.activation_exit_epoch(first);
            life.withdrawable = life.exit.saturating_add(config.min_validator_withdrawability_delay);
        }
        if let Some(slashing) = left.slashing {
            life.withdrawable = life.withdrawable.max(slashing + config.epochs_per_slashings_vector);
        }
        life.is_paid_out = epoch > life.withdrawable && has_execution_credentials(&validator.credentials);
        life
    }

    /// `is_active_validator` of the consensus specs.
    pub(super) fn is_active(&self, epoch: u64) -> bool {
        self.activation <= epoch && epoch < self.exit
    }

    /// The status in the words of the Beacon API.
    pub(super) fn status(&self, epoch: u64) -> &'static str {
        match () {
            () if epoch < self.activation && self.eligible == FAR_FUTURE => "pending_initialized",
            () if epoch < self.activation => "pending_queued",
            () if epoch >= self.withdrawable && self.is_paid_out => "withdrawal_done",
            () if epoch >= self.withdrawable => "withdrawal_possible",
            () if epoch >= self.exit && self.slashed => "exited_slashed",
            () if epoch >= self.exit => "exited_unslashed",
            () if self.slashed => "active_slashed",
            () if self.exit != FAR_FUTURE => "active_exiting",
            () => "active_ongoing",
        }
    }

    /// A life that has this status at `epoch`; of a status that there is not, the life that it is.
    pub(super) fn posing_as(self, status: &str, epoch: u64) -> Self {
        let pending = Self {
            eligible: FAR_FUTURE,
            activation: FAR_FUTURE,
            exit: FAR_FUTURE,
            withdrawable: FAR_FUTURE,
            slashed: false,
            is_paid_out: false,
        };
        let active = Self {
            eligible: self.eligible.min(epoch),
            activation: self.activation.min(epoch),
            ..pending
        };
        let leaving = |exit: u64, withdrawable: u64, slashed: bool| Self {
            exit,
            withdrawable,
            slashed,
            ..active
        };
        match status {
            "pending_initialized" => pending,
            "pending_queued" => Self {
                eligible: self.eligible.min(epoch),
                ..pending
            },
            "active_ongoing" => active,
            "active_exiting" => leaving(epoch + 1, epoch + 2, false),
            "active_slashed" => leaving(epoch + 1, epoch + 2, true),
            "exited_unslashed" => leaving(epoch, epoch + 1, false),
            "exited_slashed" => leaving(epoch, epoch + 1, true),
            "withdrawal_possible" => leaving(epoch, epoch, false),
            "withdrawal_done" => Self {
                is_paid_out: true,
                ..leaving(epoch, epoch, false)
            },
            _ => self,
        }
    }
}

impl BeaconConfig {
    /// `compute_activation_exit_epoch` of the consensus specs. There is no churn: everybody may leave at once.
    fn activation_exit_epoch(&self, epoch: u64) -> u64 {
        epoch.saturating_add(1).saturating_add(self.max_seed_lookahead)
    }
}

/// Whether the stake can be paid out to an address: `0x01` and `0x02` credentials.
fn has_execution_credentials(credentials: &B256) -> bool {
    matches!(credentials.first(), Some(1 | 2))
}
