//! Whose exit signatures can be made anew, of all that are outdated.

use std::collections::{BTreeMap, BTreeSet};

use sw_chain_client::BeaconValidator;
use sw_spec::{Address, PublicKeyBytes, WithdrawalCredentials};

use crate::shares::Exit;

/// The outdated validators, each kind in ascending order of index.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Sorted {
    /// Those that can be signed for.
    pub(super) ours: Vec<Exit>,
    /// The vault's whose key is not held.
    pub(super) not_held: Vec<PublicKeyBytes>,
    /// Those that are not the vault's, or that the beacon chain does not have.
    pub(super) not_ours: Vec<u64>,
    /// How many of the vault's leave already.
    pub(super) leaving: usize,
}

impl Sorted {
    /// Sorts `outdated` by what the beacon chain says of them.
    pub(super) fn new(
        outdated: &BTreeSet<u64>,
        validators: Vec<BeaconValidator>,
        vault: Address,
        holds: impl Fn(&PublicKeyBytes) -> bool,
    ) -> Self {
        let ours = [
            WithdrawalCredentials::execution(vault).0,
            WithdrawalCredentials::compounding(vault).0,
        ];
        let validators: BTreeMap<u64, BeaconValidator> = validators
            .into_iter()
            .map(|validator| (validator.index, validator))
            .collect();
        let mut sorted = Self::default();
        for index in outdated.iter().copied() {
            match validators.get(&index) {
                Some(validator) if ours.contains(&validator.withdrawal_credentials) => {
                    let key = validator.public_key;
                    if validator.status.is_leaving() {
                        sorted.leaving += 1;
                    } else if holds(&key) {
                        sorted.ours.push(Exit { validator: key, index });
                    } else {
                        sorted.not_held.push(key);
                    }
                }
                _ => sorted.not_ours.push(index),
            }
        }
        sorted
    }
}
