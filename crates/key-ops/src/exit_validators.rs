//! Which validators may leave the beacon chain, and the exits that they sign.

use std::{collections::BTreeSet, fmt, num::NonZeroUsize};

use sw_signers::{SignerError, ValidatorSigner, verified};
use sw_spec::{
    Address, B256, Epoch, NetworkSpec, PublicKeyBytes, SignedVoluntaryExit, ValidatorStatus, VoluntaryExit,
    WithdrawalCredentials,
};

/// A validator at the head of the beacon chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownValidator {
    /// Its index in the beacon state.
    pub index: u64,
    /// Its key.
    pub public_key: PublicKeyBytes,
    /// Its state in life.
    pub status: ValidatorStatus,
    /// From when it validates.
    pub activation_epoch: Epoch,
    /// Where its stake is paid out.
    pub withdrawal_credentials: B256,
}

/// What decides whether a validator may leave.
#[derive(Debug, Clone)]
pub struct ExitRules {
    /// The vault that its stake must be paid out to.
    pub vault: Address,
    /// The epoch of the head.
    pub epoch: Epoch,
    /// For how many epochs it must have been active: `SHARD_COMMITTEE_PERIOD`.
    pub shard_committee_period: u64,
    /// Validators whose exit is known, but not in a block yet.
    pub in_pool: BTreeSet<u64>,
}

/// Which of them are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// All that may leave.
    All,
    /// As many of them, those with the lowest indexes.
    Count(NonZeroUsize),
    /// These and no others.
    Indexes(BTreeSet<u64>),
}

/// Who leaves, and who does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// Those to exit, by index.
    pub chosen: Vec<KnownValidator>,
    /// The others, by index, those without one last.
    pub left_out: Vec<LeftOut>,
}

/// A validator that does not leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeftOut {
    /// Its key, which is held.
    pub public_key: PublicKeyBytes,
    /// Its index, if the chain knows it.
    pub index: Option<u64>,
    /// Its state in life, if the chain knows it.
    pub status: Option<ValidatorStatus>,
    /// Why.
    pub reason: Withheld,
}

/// Why a validator does not leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Withheld {
    /// The chain has no such validator.
    Unknown,
    /// It is not active yet.
    Pending,
    /// It has not been active for long enough.
    TooYoung {
        /// From when on it may leave.
        from: Epoch,
    },
    /// Its exit waits for a block.
    InPool,
    /// It leaves already.
    Exiting,
    /// It was slashed, which makes it leave.
    Slashed,
    /// It has left.
    Exited,
    /// Its stake goes elsewhere than to the vault.
    OtherCredentials(B256),
    /// It may leave, but was not asked for.
    NotChosen,
}

impl Withheld {
    /// One word for it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Pending => "pending",
            Self::TooYoung { .. } => "too_young",
            Self::InPool => "in_pool",
            Self::Exiting => "exiting",
            Self::Slashed => "slashed",
            Self::Exited => "exited",
            Self::OtherCredentials(_) => "other_credentials",
            Self::NotChosen => "not_chosen",
        }
    }

    /// Whether it leaves, or has left: what would be asked of it is so already.
    fn is_leaving(&self) -> bool {
        matches!(self, Self::InPool | Self::Exiting | Self::Slashed | Self::Exited)
    }
}

impl fmt::Display for Withheld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("the beacon chain does not know it"),
            Self::Pending => f.write_str("it is not active yet"),
            Self::TooYoung { from } => write!(
                f,
                "it has not been active for long enough: it may exit from epoch {from} on"
            ),
            Self::InPool => f.write_str("its exit is submitted and waits for a block"),
            Self::Exiting => f.write_str("it exits already"),
            Self::Slashed => f.write_str("it was slashed, and leaves by that"),
            Self::Exited => f.write_str("it has exited"),
            Self::OtherCredentials(credentials) => {
                write!(
                    f,
                    "its stake is not paid out to the vault: its withdrawal credentials are {credentials}"
                )
            }
            Self::NotChosen => f.write_str("it may exit, but was not asked for"),
        }
    }
}

/// Validators that were asked for and cannot leave.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} of the validators that were asked for cannot be exited", .0.len())]
pub struct NotOffered(pub Vec<Refused>);

/// A validator that was asked for and cannot leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// Its index.
    pub index: u64,
    /// Why, if its key is held.
    pub reason: Option<Withheld>,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "validator {}: ", self.index)?;
        match self.reason {
            Some(reason) => reason.fmt(f),
            None => f.write_str("none of the keys is its key"),
        }
    }
}

/// Chooses who leaves of the validators whose keys are held. `known` is what the chain has of those keys.
///
/// # Errors
/// A validator is asked for by its index and may not leave, or is not among the keys. One that leaves already is left out.
pub fn choose_exits(
    rules: &ExitRules,
    keys: &[PublicKeyBytes],
    known: &[KnownValidator],
    choice: &Choice,
) -> Result<Selection, NotOffered> {
    let keys: BTreeSet<_> = keys.iter().collect();
    let mut known: Vec<_> = known
        .iter()
        .filter(|validator| keys.contains(&validator.public_key))
        .collect();
    known.sort_by_key(|validator| validator.index);
    if let Choice::Indexes(asked) = choice {
        refuse_others(rules, &known, asked)?;
    }
    let (mut chosen, mut left_out) = (Vec::new(), Vec::new());
    for validator in &known {
        let is_meant = match choice {
            Choice::All => true,
            Choice::Count(most) => chosen.len() < most.get(),
            Choice::Indexes(asked) => asked.contains(&validator.index),
        };
        match rules.withheld(validator).or((!is_meant).then_some(Withheld::NotChosen)) {
            None => chosen.push(**validator),
            Some(reason) => left_out.push(LeftOut {
                public_key: validator.public_key,
                index: Some(validator.index),
                status: Some(validator.status),
                reason,
            }),
        }
    }
    let on_chain: BTreeSet<_> = known.iter().map(|validator| &validator.public_key).collect();
    left_out.extend(keys.difference(&on_chain).map(|public_key| LeftOut {
        public_key: **public_key,
        index: None,
        status: None,
        reason: Withheld::Unknown,
    }));
    Ok(Selection { chosen, left_out })
}

fn refuse_others(rules: &ExitRules, known: &[&KnownValidator], asked: &BTreeSet<u64>) -> Result<(), NotOffered> {
    let refused = asked.iter().filter_map(|index| {
        let held = known.iter().find(|validator| validator.index == *index);
        let reason = match held {
            None => None,
            // Whoever runs the same again asks for those, too, that leave since then.
            Some(validator) => Some(rules.withheld(validator).filter(|reason| !reason.is_leaving())?),
        };
        Some(Refused { index: *index, reason })
    });
    let refused: Vec<_> = refused.collect();
    if refused.is_empty() {
        Ok(())
    } else {
        Err(NotOffered(refused))
    }
}

impl ExitRules {
    /// Why the validator may not leave now. Source: consensus specs, `process_voluntary_exit`.
    fn withheld(&self, validator: &KnownValidator) -> Option<Withheld> {
        let left = match validator.status {
            ValidatorStatus::PendingInitialized | ValidatorStatus::PendingQueued => Some(Withheld::Pending),
            ValidatorStatus::ActiveOngoing => None,
            ValidatorStatus::ActiveExiting => Some(Withheld::Exiting),
            ValidatorStatus::ActiveSlashed => Some(Withheld::Slashed),
            ValidatorStatus::ExitedUnslashed
            | ValidatorStatus::ExitedSlashed
            | ValidatorStatus::WithdrawalPossible
            | ValidatorStatus::WithdrawalDone => Some(Withheld::Exited),
        };
        left.or_else(|| self.other_credentials(validator))
            .or_else(|| self.in_pool.contains(&validator.index).then_some(Withheld::InPool))
            .or_else(|| self.too_young(validator))
    }

    /// Whoever exits somebody else's validator by mistake cannot undo it.
    fn other_credentials(&self, validator: &KnownValidator) -> Option<Withheld> {
        let credentials = WithdrawalCredentials(validator.withdrawal_credentials);
        let of_vault = [
            WithdrawalCredentials::execution(self.vault),
            WithdrawalCredentials::compounding(self.vault),
        ];
        (!of_vault.contains(&credentials)).then_some(Withheld::OtherCredentials(credentials.0))
    }

    fn too_young(&self, validator: &KnownValidator) -> Option<Withheld> {
        let from = Epoch(validator.activation_epoch.0.saturating_add(self.shard_committee_period));
        (self.epoch < from).then_some(Withheld::TooYoung { from })
    }
}

/// Signs the exit of a validator, as the beacon chain takes it at any time from the network's Capella epoch on (EIP-7044).
///
/// # Errors
/// When the signer does not sign, or what it gives does not verify.
pub async fn sign_exit(
    signer: &dyn ValidatorSigner,
    validator: &KnownValidator,
    network: &NetworkSpec,
) -> Result<SignedVoluntaryExit, SignerError> {
    let (public_key, validator_index) = (&validator.public_key, validator.index);
    let signature = signer.sign_exit(public_key, validator_index, network).await?;
    let root = network.exit_signing_root(validator_index);
    Ok(SignedVoluntaryExit {
        message: VoluntaryExit {
            epoch: network.capella_epoch,
            validator_index,
        },
        signature: verified(signature, &root, public_key)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const VAULT: Address = Address::repeat_byte(0x33);

    fn key(byte: u8) -> PublicKeyBytes {
        PublicKeyBytes([byte; 48])
    }

    fn active(index: u8) -> KnownValidator {
        KnownValidator {
            index: index.into(),
            public_key: key(index),
            status: ValidatorStatus::ActiveOngoing,
            activation_epoch: Epoch(100),
            withdrawal_credentials: WithdrawalCredentials::execution(VAULT).0,
        }
    }

    fn rules() -> ExitRules {
        ExitRules {
            vault: VAULT,
            epoch: Epoch(400),
            shard_committee_period: 256,
            in_pool: BTreeSet::new(),
        }
    }

    fn choose(known: &[KnownValidator], choice: &Choice) -> Selection {
        let keys: Vec<_> = known.iter().map(|validator| validator.public_key).collect();
        choose_exits(&rules(), &keys, known, choice).expect("all may exit")
    }

    fn indexes(selection: &Selection) -> Vec<u64> {
        selection.chosen.iter().map(|validator| validator.index).collect()
    }

    #[test]
    fn those_with_the_lowest_indexes_are_chosen_in_order() {
        let known = [active(9), active(2), active(5)];
        assert_eq!(indexes(&choose(&known, &Choice::All)), [2, 5, 9]);
        let two = choose(&known, &Choice::Count(NonZeroUsize::new(2).expect("two")));
        assert_eq!(indexes(&two), [2, 5]);
        assert_eq!(
            (two.left_out[0].index, two.left_out[0].reason),
            (Some(9), Withheld::NotChosen)
        );
        let more = choose(&known, &Choice::Count(NonZeroUsize::new(7).expect("seven")));
        assert_eq!((indexes(&more), more.left_out), (vec![2, 5, 9], vec![]));
        assert_eq!(indexes(&choose(&known, &Choice::Indexes([9, 5].into()))), [5, 9]);
    }

    #[test]
    fn only_those_at_work_are_offered_and_the_others_have_a_reason() {
        let of = |status| KnownValidator { status, ..active(1) };
        let reasons = ValidatorStatus::ALL.map(|status| rules().withheld(&of(status)));
        let [pending, exited] = [Some(Withheld::Pending), Some(Withheld::Exited)];
        assert_eq!(
            reasons,
            [
                pending,
                pending,
                None,
                Some(Withheld::Exiting),
                Some(Withheld::Slashed),
                exited,
                exited,
                exited,
                exited
            ]
        );
    }

    #[test]
    fn a_validator_may_leave_from_the_epoch_on_in_which_it_is_old_enough() {
        let activated = |epoch| KnownValidator {
            activation_epoch: Epoch(epoch),
            ..active(1)
        };
        assert_eq!(rules().withheld(&activated(144)), None);
        let from = Epoch(401);
        assert_eq!(rules().withheld(&activated(145)), Some(Withheld::TooYoung { from }));
        let from = Epoch(u64::MAX);
        assert_eq!(
            rules().withheld(&activated(u64::MAX)),
            Some(Withheld::TooYoung { from })
        );
    }

    #[test]
    fn a_stake_that_is_paid_out_elsewhere_is_not_touched() {
        let with = |withdrawal_credentials| KnownValidator {
            withdrawal_credentials,
            ..active(1)
        };
        assert_eq!(
            rules().withheld(&with(WithdrawalCredentials::compounding(VAULT).0)),
            None
        );
        let other = WithdrawalCredentials::execution(Address::repeat_byte(0x34)).0;
        let mut bls = WithdrawalCredentials::execution(VAULT).0;
        bls.0[0] = 0;
        for other in [other, bls] {
            assert_eq!(rules().withheld(&with(other)), Some(Withheld::OtherCredentials(other)));
        }
    }

    #[test]
    fn an_exit_that_waits_for_a_block_is_not_made_again() {
        let rules = ExitRules {
            in_pool: [1].into(),
            ..rules()
        };
        assert_eq!(rules.withheld(&active(1)), Some(Withheld::InPool));
        assert_eq!(rules.withheld(&active(2)), None);
    }

    #[test]
    fn a_key_that_the_chain_does_not_know_is_named_and_one_that_is_not_held_is_left_alone() {
        let known = [active(1), active(2)];
        let selection = choose_exits(&rules(), &[key(1), key(7)], &known, &Choice::All).expect("all may exit");
        assert_eq!(indexes(&selection), [1]);
        let unknown = LeftOut {
            public_key: key(7),
            index: None,
            status: None,
            reason: Withheld::Unknown,
        };
        assert_eq!(selection.left_out, [unknown]);
    }

    #[test]
    fn those_that_were_asked_for_and_leave_already_hold_up_nobody_when_it_is_run_again() {
        let of = |index, status| KnownValidator {
            status,
            ..active(index)
        };
        let known = [
            of(1, ValidatorStatus::ActiveExiting),
            of(2, ValidatorStatus::ActiveSlashed),
            of(3, ValidatorStatus::WithdrawalDone),
            active(4),
            active(5),
        ];
        let rules = ExitRules {
            in_pool: [4].into(),
            ..rules()
        };
        let keys: Vec<_> = known.iter().map(|validator| validator.public_key).collect();
        let selection =
            choose_exits(&rules, &keys, &known, &Choice::Indexes([1, 2, 3, 4, 5].into())).expect("one is left");
        let reasons: Vec<_> = selection.left_out.iter().map(|each| each.reason).collect();
        assert_eq!(indexes(&selection), [5]);
        assert_eq!(
            reasons,
            [Withheld::Exiting, Withheld::Slashed, Withheld::Exited, Withheld::InPool]
        );
    }

    #[test]
    fn each_that_was_asked_for_and_cannot_leave_is_named() {
        let pending = KnownValidator {
            status: ValidatorStatus::PendingQueued,
            ..active(2)
        };
        let known = [active(1), pending, active(3)];
        let asked = Choice::Indexes([1, 2, 3, 4].into());
        let refused = choose_exits(&rules(), &[key(1), key(2)], &known, &asked).expect_err("three cannot");
        let lines: Vec<_> = refused.0.iter().map(ToString::to_string).collect();
        assert_eq!(
            lines,
            [
                "validator 2: it is not active yet",
                "validator 3: none of the keys is its key",
                "validator 4: none of the keys is its key"
            ]
        );
    }
}
