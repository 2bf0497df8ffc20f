//! The answers of the Beacon API, a type for each.

use std::fmt;

use alloy_primitives::{Address, B256};
use serde::{Deserialize, Deserializer, de};
use sw_spec::{Epoch, ForkVersion, Gwei, PublicKeyBytes, ValidatorStatus};
#[cfg(feature = "fuzzing")]
use sw_spec::{RedactedUrl, SignedVoluntaryExit};

#[cfg(feature = "fuzzing")]
use super::beacon::{parse, unless_optimistic};
use super::{BeaconSpec, BeaconValidator, Checkpoint, Finality, Fork};
use crate::EndpointFault;

/// What every answer comes in.
#[derive(Deserialize)]
pub(super) struct Envelope<T> {
    /// Came with a later version of the API, as the two below: nodes may leave it out.
    #[serde(default)]
    pub(super) execution_optimistic: Option<bool>,
    pub(super) data: T,
}

/// What comes with another status than success.
#[derive(Deserialize)]
pub(super) struct ErrorAnswer {
    message: String,
    #[serde(default)]
    stacktraces: Vec<String>,
}

impl ErrorAnswer {
    /// The message, and what follows it: Nimbus has the reason there, the others a stack trace or nothing.
    pub(super) fn reason(&self) -> String {
        match self.stacktraces.first() {
            Some(first) => format!("{}: {first}", self.message),
            None => self.message.clone(),
        }
    }
}

/// What comes with success when a node takes something: Nimbus repeats the HTTP status in it. A gateway says with 200, too, that
/// something went wrong.
#[derive(Deserialize)]
pub(super) struct TakenAnswer {
    #[serde(default)]
    code: Option<Decimal>,
    #[serde(default)]
    error: Option<de::IgnoredAny>,
}

impl TakenAnswer {
    pub(super) fn is_yes(&self) -> bool {
        self.error.is_none() && self.code.is_none_or(|code| (200..300).contains(&code.0))
    }
}

#[derive(Deserialize)]
pub(super) struct SyncingAnswer {
    pub(super) head_slot: Decimal,
    pub(super) sync_distance: Decimal,
    pub(super) is_syncing: bool,
    #[serde(default)]
    pub(super) is_optimistic: Option<bool>,
    #[serde(default)]
    pub(super) el_offline: Option<bool>,
}

#[derive(Deserialize)]
pub(super) struct GenesisAnswer {
    pub(super) genesis_time: Decimal,
    pub(super) genesis_validators_root: B256,
    pub(super) genesis_fork_version: ForkVersion,
}

#[derive(Deserialize)]
pub(super) struct DepositContractAnswer {
    pub(super) chain_id: Decimal,
    pub(super) address: Address,
}

#[derive(Deserialize)]
pub(super) struct BlockAnswer {
    pub(super) message: BlockMessage,
}

#[derive(Deserialize)]
pub(super) struct BlockMessage {
    pub(super) slot: Decimal,
    pub(super) body: BlockBody,
}

#[derive(Deserialize)]
pub(super) struct BlockBody {
    pub(super) execution_payload: ExecutionPayload,
}

#[derive(Deserialize)]
pub(super) struct ExecutionPayload {
    pub(super) block_number: Decimal,
    pub(super) block_hash: B256,
    pub(super) timestamp: Decimal,
}

#[derive(Deserialize)]
pub(super) struct ValidatorAnswer {
    pub(super) index: Decimal,
    pub(super) balance: Decimal,
    pub(super) status: ValidatorStatus,
    pub(super) validator: ValidatorMembers,
}

#[derive(Deserialize)]
pub(super) struct LivenessAnswer {
    pub(super) index: Decimal,
    pub(super) is_live: bool,
}

#[derive(Deserialize)]
pub(super) struct ValidatorMembers {
    pub(super) pubkey: PublicKeyBytes,
    pub(super) withdrawal_credentials: B256,
    pub(super) effective_balance: Decimal,
    pub(super) slashed: bool,
    pub(super) activation_epoch: Decimal,
    pub(super) exit_epoch: Decimal,
    pub(super) withdrawable_epoch: Decimal,
}

#[derive(Deserialize)]
pub(super) struct ForkAnswer {
    previous_version: ForkVersion,
    current_version: ForkVersion,
    epoch: Decimal,
}

impl From<ForkAnswer> for Fork {
    fn from(answer: ForkAnswer) -> Self {
        Self {
            previous_version: answer.previous_version,
            current_version: answer.current_version,
            epoch: Epoch(answer.epoch.0),
        }
    }
}

#[derive(Deserialize)]
pub(super) struct FinalityAnswer {
    previous_justified: CheckpointAnswer,
    current_justified: CheckpointAnswer,
    finalized: CheckpointAnswer,
}

#[derive(Deserialize)]
struct CheckpointAnswer {
    epoch: Decimal,
    root: B256,
}

impl From<FinalityAnswer> for Finality {
    fn from(answer: FinalityAnswer) -> Self {
        let checkpoint = |checkpoint: CheckpointAnswer| Checkpoint {
            epoch: Epoch(checkpoint.epoch.0),
            root: checkpoint.root,
        };
        Self {
            previous_justified: checkpoint(answer.previous_justified),
            current_justified: checkpoint(answer.current_justified),
            finalized: checkpoint(answer.finalized),
        }
    }
}

/// The few of a chain's constants that matter here; there are a hundred more.
#[derive(Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) struct SpecAnswer {
    capella_fork_version: ForkVersion,
    capella_fork_epoch: Decimal,
    shard_committee_period: Decimal,
    slots_per_epoch: Decimal,
    #[serde(default)]
    seconds_per_slot: Option<Decimal>,
    /// What the consensus specs have instead since Gloas.
    #[serde(default)]
    slot_duration_ms: Option<Decimal>,
}

impl TryFrom<SpecAnswer> for BeaconSpec {
    type Error = EndpointFault;

    fn try_from(answer: SpecAnswer) -> Result<Self, EndpointFault> {
        let seconds = answer.seconds_per_slot.map(|seconds| seconds.0);
        let seconds = seconds.or_else(|| answer.slot_duration_ms.map(|duration| duration.0 / 1000));
        let (slots, seconds) = (answer.slots_per_epoch.0, seconds.unwrap_or(0));
        if slots == 0 || seconds == 0 {
            return Err(EndpointFault::Malformed("a chain without slots".to_owned()));
        }
        Ok(Self {
            capella_fork_version: answer.capella_fork_version,
            capella_fork_epoch: Epoch(answer.capella_fork_epoch.0),
            shard_committee_period: answer.shard_committee_period.0,
            slots_per_epoch: slots,
            seconds_per_slot: seconds,
        })
    }
}

impl From<ValidatorAnswer> for BeaconValidator {
    fn from(answer: ValidatorAnswer) -> Self {
        let validator = answer.validator;
        Self {
            index: answer.index.0,
            public_key: validator.pubkey,
            balance: Gwei(answer.balance.0),
            effective_balance: Gwei(validator.effective_balance.0),
            status: answer.status,
            slashed: validator.slashed,
            withdrawal_credentials: validator.withdrawal_credentials,
            activation_epoch: Epoch(validator.activation_epoch.0),
            exit_epoch: Epoch(validator.exit_epoch.0),
            withdrawable_epoch: Epoch(validator.withdrawable_epoch.0),
        }
    }
}

/// A number, which the Beacon API writes as a decimal string.
#[derive(Clone, Copy)]
pub(super) struct Decimal(pub(super) u64);

impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Decimal;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a decimal number of at most 64 bits")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Decimal, E> {
                let digits = text.bytes().all(|byte| byte.is_ascii_digit());
                let number = text.parse().ok().filter(|_| digits);
                number
                    .map(Decimal)
                    .ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Decimal, E> {
                Ok(Decimal(number))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// Reads a body as each answer of the Beacon API, and says as which it can be read.
#[cfg(feature = "fuzzing")]
pub(crate) fn readable_as(body: &[u8], url: &RedactedUrl) -> Vec<&'static str> {
    let validators = parse::<Vec<ValidatorAnswer>>(body, url).and_then(unless_optimistic);
    let validators = validators.map(|found| found.into_iter().map(BeaconValidator::from).collect::<Vec<_>>());
    let read = [
        ("syncing", parse::<SyncingAnswer>(body, url).is_ok()),
        ("genesis", parse::<GenesisAnswer>(body, url).is_ok()),
        ("deposit_contract", parse::<DepositContractAnswer>(body, url).is_ok()),
        ("finalized", parse::<BlockAnswer>(body, url).is_ok()),
        ("validators", validators.is_ok()),
        ("liveness", parse::<Vec<LivenessAnswer>>(body, url).is_ok()),
        (
            "fork",
            parse::<ForkAnswer>(body, url)
                .map(|answer| Fork::from(answer.data))
                .is_ok(),
        ),
        (
            "finality",
            parse::<FinalityAnswer>(body, url)
                .map(|answer| Finality::from(answer.data))
                .is_ok(),
        ),
        (
            "spec",
            parse::<SpecAnswer>(body, url)
                .and_then(|answer| BeaconSpec::try_from(answer.data))
                .is_ok(),
        ),
        ("exits", parse::<Vec<SignedVoluntaryExit>>(body, url).is_ok()),
    ];
    read.into_iter().filter_map(|(name, is)| is.then_some(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_from_strings_and_nothing_else_passes() {
        let read = |text: &str| serde_json::from_str::<Decimal>(text).map(|number| number.0).ok();
        assert_eq!(read("\"18446744073709551615\""), Some(u64::MAX));
        assert_eq!(read("7"), Some(7));
        for text in [
            "\"18446744073709551616\"",
            "\"+1\"",
            "\"-1\"",
            "\"\"",
            "\"0x1\"",
            "1.5",
            "null",
            "[]",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
