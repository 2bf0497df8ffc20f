//! A validator's life and its exit, in the words of the Beacon API.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

use crate::{Epoch, SignatureBytes, VoluntaryExit};

/// The state of a validator's life.
///
/// Source: beacon-APIs, `types/api.yaml`, `ValidatorStatus`, which follows <https://hackmd.io/ofFJ5gOmQpu1jjHilHbdQQ>.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ValidatorStatus {
    /// Its deposit has been taken up; it is not in the queue yet.
    PendingInitialized,
    /// It waits to become active.
    PendingQueued,
    /// It works.
    ActiveOngoing,
    /// It works until its exit takes effect.
    ActiveExiting,
    /// It still works, but was slashed, which is an exit as well.
    ActiveSlashed,
    /// It has left, and waits to be withdrawn.
    ExitedUnslashed,
    /// It has left after it was slashed, and waits to be withdrawn.
    ExitedSlashed,
    /// Its stake can be withdrawn.
    WithdrawalPossible,
    /// Its stake was withdrawn.
    WithdrawalDone,
}

impl ValidatorStatus {
    /// All of them, in the order of a life.
    pub const ALL: [Self; 9] = [
        Self::PendingInitialized,
        Self::PendingQueued,
        Self::ActiveOngoing,
        Self::ActiveExiting,
        Self::ActiveSlashed,
        Self::ExitedUnslashed,
        Self::ExitedSlashed,
        Self::WithdrawalPossible,
        Self::WithdrawalDone,
    ];

    /// Its name in the Beacon API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PendingInitialized => "pending_initialized",
            Self::PendingQueued => "pending_queued",
            Self::ActiveOngoing => "active_ongoing",
            Self::ActiveExiting => "active_exiting",
            Self::ActiveSlashed => "active_slashed",
            Self::ExitedUnslashed => "exited_unslashed",
            Self::ExitedSlashed => "exited_slashed",
            Self::WithdrawalPossible => "withdrawal_possible",
            Self::WithdrawalDone => "withdrawal_done",
        }
    }

    /// Whether it is not at work yet.
    pub fn is_pending(self) -> bool {
        matches!(self, Self::PendingInitialized | Self::PendingQueued)
    }

    /// Whether its exit is decided, or over: nothing more can be asked of it.
    pub fn is_leaving(self) -> bool {
        !self.is_pending() && self != Self::ActiveOngoing
    }

    /// Whether it has no work left.
    pub fn has_left(self) -> bool {
        matches!(
            self,
            Self::ExitedUnslashed | Self::ExitedSlashed | Self::WithdrawalPossible | Self::WithdrawalDone
        )
    }
}

impl fmt::Display for ValidatorStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that is no [`ValidatorStatus`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a state of a validator's life")]
pub struct ParseStatusError;

impl FromStr for ValidatorStatus {
    type Err = ParseStatusError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|status| status.as_str() == text);
        found.ok_or(ParseStatusError)
    }
}

impl Serialize for ValidatorStatus {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for ValidatorStatus {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// `SignedVoluntaryExit`: with it, anybody can make the validator leave, at any time (EIP-7044).
///
/// In JSON it is as the Beacon API has it, with integers as decimal text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignedVoluntaryExit {
    /// What is signed.
    pub message: VoluntaryExit,
    /// The validator's signature of it.
    pub signature: SignatureBytes,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SignedExitJson {
    message: ExitJson,
    signature: SignatureBytes,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExitJson {
    epoch: String,
    validator_index: String,
}

impl Serialize for SignedVoluntaryExit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let message = ExitJson {
            epoch: self.message.epoch.to_string(),
            validator_index: self.message.validator_index.to_string(),
        };
        let signature = self.signature;
        SignedExitJson { message, signature }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for SignedVoluntaryExit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let SignedExitJson { message, signature } = SignedExitJson::deserialize(deserializer)?;
        let number = |text: &str| decimal(text).ok_or_else(|| D::Error::custom("an integer is not in decimal digits"));
        Ok(Self {
            message: VoluntaryExit {
                epoch: Epoch(number(&message.epoch)?),
                validator_index: number(&message.validator_index)?,
            },
            signature,
        })
    }
}

/// `Uint64` of the Beacon API: `^(0|[1-9][0-9]{0,19})$`.
fn decimal(text: &str) -> Option<u64> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_is_read_as_it_is_written_and_nothing_else_is() {
        for status in ValidatorStatus::ALL {
            assert_eq!(status.as_str().parse(), Ok(status));
        }
        for text in ["", "active", "Active_ongoing", "active_ongoing ", "exited", "unknown"] {
            assert_eq!(text.parse::<ValidatorStatus>(), Err(ParseStatusError), "{text}");
        }
    }

    #[test]
    fn a_life_goes_from_pending_over_active_to_leaving() {
        let of = |is: fn(ValidatorStatus) -> bool| ValidatorStatus::ALL.map(|status| u8::from(is(status)));
        assert_eq!(of(ValidatorStatus::is_pending), [1, 1, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(of(ValidatorStatus::is_leaving), [0, 0, 0, 1, 1, 1, 1, 1, 1]);
        assert_eq!(of(ValidatorStatus::has_left), [0, 0, 0, 0, 0, 1, 1, 1, 1]);
    }

    #[test]
    fn integers_of_an_exit_are_plain_decimal_text() {
        assert_eq!(decimal("18446744073709551615"), Some(u64::MAX));
        assert_eq!(decimal("0"), Some(0));
        for text in ["", "00", "07", "+7", "-7", "0x7", "7 ", "18446744073709551616"] {
            assert_eq!(decimal(text), None, "{text}");
        }
    }
}
