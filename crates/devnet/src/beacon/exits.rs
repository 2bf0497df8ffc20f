//! Voluntary exits: what `process_voluntary_exit` of the consensus specs takes, and the pool they wait in.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{MutexGuard, PoisonError},
};

use alloy_primitives::FixedBytes;
use serde::{Deserialize, Serialize};

use super::{
    BeaconConfig, Shared,
    clock::Head,
    life::{FAR_FUTURE, Left, Life},
};
use crate::{bls, rpc::RpcError, ssz};

/// `SignedVoluntaryExit` in the JSON of the Beacon API: integers are decimal text.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct SignedExit {
    pub(super) message: ExitMessage,
    pub(super) signature: FixedBytes<96>,
}

/// `VoluntaryExit`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct ExitMessage {
    #[serde(with = "decimal")]
    pub(super) epoch: u64,
    #[serde(with = "decimal")]
    pub(super) validator_index: u64,
}

/// An exit that the node has taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcceptedExit {
    /// The validator.
    pub index: u64,
    /// The epoch from which the exit is valid: the one of the message, not the one it leaves in.
    pub epoch: u64,
    /// The validator's signature.
    pub signature: FixedBytes<96>,
}

/// Why an exit is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("there is no validator {0}")]
    Unknown(u64),
    #[error("validator {0} is not active")]
    NotActive(u64),
    #[error("validator {index} leaves in epoch {exit} already")]
    Leaving { index: u64, exit: u64 },
    #[error("the exit of validator {index} is valid from epoch {from}, and this is {now}")]
    Early { index: u64, from: u64, now: u64 },
    #[error("validator {index} may leave from epoch {from}, and this is {now}: it was activated in {activation}")]
    Young {
        index: u64,
        from: u64,
        now: u64,
        activation: u64,
    },
    #[error("validator {0} waits for a partial withdrawal")]
    PendingWithdrawal(u64),
    #[error("the exit of validator {0} is not signed by it for this chain")]
    Signature(u64),
    #[error("an exit of validator {0} is known already")]
    Seen(u64),
}

/// Why `process_voluntary_exit` refuses an exit in a state of `epoch`, or `None` if it does not: the form of Electra, with
/// the signature under the Capella fork version for ever (EIP-7044).
pub(super) fn refusal(
    config: &BeaconConfig,
    public_key: &FixedBytes<48>,
    life: &Life,
    has_pending_withdrawal: bool,
    signed: &SignedExit,
    epoch: u64,
) -> Option<Refusal> {
    let ExitMessage {
        epoch: from,
        validator_index: index,
    } = signed.message;
    let old_enough = life.activation.saturating_add(config.shard_committee_period);
    let root = ssz::exit_signing_root(from, index, config.capella_fork_version, config.genesis_validators_root);
    match () {
        () if !life.is_active(epoch) => Some(Refusal::NotActive(index)),
        () if life.exit != FAR_FUTURE => Some(Refusal::Leaving { index, exit: life.exit }),
        () if epoch < from => Some(Refusal::Early {
            index,
            from,
            now: epoch,
        }),
        () if epoch < old_enough => Some(Refusal::Young {
            index,
            from: old_enough,
            now: epoch,
            activation: life.activation,
        }),
        () if has_pending_withdrawal => Some(Refusal::PendingWithdrawal(index)),
        () if !bls::verify(public_key, root, &signed.signature) => Some(Refusal::Signature(index)),
        () => None,
    }
}

/// What the node knows of those who leave.
///
/// An exit takes effect with the first block after the one that was the newest when it came, and is out of the pool then;
/// a block takes them all. What a reorganisation puts in that block's place holds the exit as well: it does not come back
/// to the pool unless the chain has become shorter than that.
#[derive(Debug, Default)]
pub(super) struct Exits {
    taken: Vec<Taken>,
    refused: Vec<String>,
    slashed: BTreeMap<FixedBytes<48>, Option<Included>>,
    pending_withdrawals: BTreeSet<FixedBytes<48>>,
}

#[derive(Debug)]
struct Taken {
    public_key: FixedBytes<48>,
    signed: SignedExit,
    /// The newest block when it came.
    came_at: u64,
    fate: Fate,
}

#[derive(Debug, Clone, Copy)]
enum Fate {
    Waiting,
    Included(Included),
    /// It became invalid while it waited.
    Dropped,
}

/// The block that something happened in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Included {
    block: u64,
    epoch: u64,
}

impl Exits {
    pub(super) fn take(&mut self, public_key: FixedBytes<48>, signed: SignedExit, came_at: u64) {
        self.taken.push(Taken {
            public_key,
            signed,
            came_at,
            fate: Fate::Waiting,
        });
    }

    pub(super) fn refuse(&mut self, why: String) {
        self.refused.push(why);
    }

    /// Whether an exit of this validator was ever taken.
    pub(super) fn has_seen(&self, public_key: &FixedBytes<48>) -> bool {
        self.taken.iter().any(|taken| taken.public_key == *public_key)
    }

    /// The exits that no block up to `block` holds.
    pub(super) fn pool(&self, block: u64) -> impl Iterator<Item = &SignedExit> {
        let waits = move |taken: &&Taken| match taken.fate {
            Fate::Waiting => true,
            Fate::Included(included) => included.block > block,
            Fate::Dropped => false,
        };
        self.taken.iter().filter(waits).map(|taken| &taken.signed)
    }

    /// What blocks up to `block` have made of a validator.
    pub(super) fn left(&self, public_key: &FixedBytes<48>, block: u64) -> Left {
        let exit = self.taken.iter().find_map(|taken| match taken.fate {
            Fate::Included(included) if taken.public_key == *public_key => Some(included),
            _ => None,
        });
        let slashing = self.slashed.get(public_key).copied().flatten();
        let until_then = |included: Option<Included>| included.filter(|it| it.block <= block).map(|it| it.epoch);
        Left {
            exit: until_then(exit),
            slashing: until_then(slashing),
        }
    }

    pub(super) fn has_pending_withdrawal(&self, public_key: &FixedBytes<48>) -> bool {
        self.pending_withdrawals.contains(public_key)
    }

    pub(super) fn set_pending_withdrawals(&mut self, public_keys: impl IntoIterator<Item = FixedBytes<48>>) {
        self.pending_withdrawals = public_keys.into_iter().collect();
    }

    pub(super) fn slash(&mut self, public_key: FixedBytes<48>) {
        self.slashed.entry(public_key).or_default();
    }

    pub(super) fn accepted(&self) -> Vec<AcceptedExit> {
        let accepted = self.taken.iter().map(|taken| AcceptedExit {
            index: taken.signed.message.validator_index,
            epoch: taken.signed.message.epoch,
            signature: taken.signed.signature,
        });
        accepted.collect()
    }

    pub(super) fn refused(&self) -> Vec<String> {
        self.refused.clone()
    }

    /// The exits that wait: their place, the epoch they are valid from, and the newest block when they came.
    fn waiting(&self) -> Vec<(usize, u64, u64)> {
        let waiting = self.taken.iter().enumerate();
        let waiting = waiting.filter(|(_, taken)| matches!(taken.fate, Fate::Waiting));
        waiting
            .map(|(place, taken)| (place, taken.signed.message.epoch, taken.came_at))
            .collect()
    }

    /// A proposer leaves out what has become invalid.
    fn include(&mut self, place: usize, included: Included) {
        let Some(taken) = self.taken.get_mut(place) else {
            return;
        };
        let is_slashed = self.slashed.contains_key(&taken.public_key);
        taken.fate = match is_slashed || self.pending_withdrawals.contains(&taken.public_key) {
            true => Fate::Dropped,
            false => Fate::Included(included),
        };
    }
}

impl Shared {
    pub(super) fn exits(&self) -> MutexGuard<'_, Exits> {
        self.exits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts what waits into the blocks that have come since.
    pub(super) async fn include_exits(&self, head: &Head) -> Result<(), RpcError> {
        let number = head.block.number.to::<u64>();
        let now = Included {
            block: number,
            epoch: head.epoch,
        };
        for slashed in self.exits().slashed.values_mut() {
            slashed.get_or_insert(now);
        }
        let waiting = self.exits().waiting();
        for (place, from, came_at) in waiting {
            if from > head.epoch || came_at >= number {
                continue;
            }
            let block = self.first_block_of(head, from).await?.max(came_at + 1);
            let Some(block) = self.rpc.block(Some(block)).await? else {
                continue;
            };
            let included = Included {
                block: block.number.to(),
                epoch: self.config.epoch_of(self.config.slot_at(block.timestamp.to())),
            };
            self.exits().include(place, included);
        }
        Ok(())
    }
}

/// A `uint64` as the Beacon API writes it: decimal text, and nothing else is read.
mod decimal {
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(number)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        let text = String::deserialize(deserializer)?;
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|_| digits);
        number.ok_or_else(|| de::Error::custom(format!("`{text}` is not a uint64")))
    }
}
