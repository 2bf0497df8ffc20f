//! Which keys are next, and how many.

use sw_deposit_data::ValidatorsTree;
use sw_keys::{SignedRoot, verify};
use sw_spec::{Address, DepositMessage, NetworkSpec, PublicKeyBytes, U256, VALIDATOR_DEPOSIT, WithdrawalCredentials};

use crate::{ForeignDeposit, WhyNot};

/// Bytes of a 0x01 record: public key, deposit signature, deposit data root.
const RECORD_BYTES: usize = 176;
/// Bytes of a 0x02 record: the same and the amount.
const LONG_RECORD_BYTES: usize = 184;

/// Returns how many validators `assets` pay for.
pub fn affordable(assets: U256, validator_assets: U256) -> u64 {
    assets.checked_div(validator_assets).unwrap_or_default().saturating_to()
}

/// Returns the largest number of records, at most `wanted`, whose bytes can be read in one way only.
///
/// The vault tells 176-byte from 184-byte records by the total length alone and refuses a length that both divide:
/// 23 records of 176 bytes are 22 of 184 (`VaultValidators`, `InvalidValidators`).
pub fn unambiguous(wanted: usize) -> usize {
    if wanted > 0 && wanted.saturating_mul(RECORD_BYTES).is_multiple_of(LONG_RECORD_BYTES) {
        wanted.saturating_sub(1)
    } else {
        wanted
    }
}

/// What the chain has of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Nothing.
    Unused,
    /// A valid deposit.
    Deposited,
    /// A valid deposit that pays out to somebody else.
    Quarantined(ForeignDeposit),
}

/// A run of consecutive keys of the deposit data file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NextKeys {
    /// The position of the first in the file.
    pub first: usize,
    /// The keys, in registration order; never empty.
    pub keys: Vec<PublicKeyBytes>,
}

impl NextKeys {
    /// The positions in the file.
    pub fn positions(&self) -> Vec<usize> {
        (self.first..self.first.saturating_add(self.keys.len())).collect()
    }
}

/// Keeps the keys before the first whose deposit is not validly signed for this vault: the deposit contract would take its 32
/// ETH and the beacon chain would ignore it.
///
/// # Errors
///
/// The first of them is.
pub(crate) fn validly_signed(
    next: NextKeys,
    tree: &ValidatorsTree,
    vault: Address,
    network: &NetworkSpec,
) -> Result<NextKeys, WhyNot> {
    let holds = |(position, public_key): (usize, &PublicKeyBytes)| {
        let message = DepositMessage {
            public_key: *public_key,
            withdrawal_credentials: WithdrawalCredentials::execution(vault),
            amount: VALIDATOR_DEPOSIT,
        };
        let root = message.signing_root(network.genesis_fork_version);
        tree.signature(position).is_some_and(|signature| {
            verify(&SignedRoot {
                public_key: *public_key,
                root,
                signature,
            })
        })
    };
    let NextKeys { first, mut keys } = next;
    let good = (first..).zip(&keys).take_while(|key| holds(*key)).count();
    if let (0, Some(validator)) = (good, keys.first()) {
        return Err(WhyNot::BadDeposit {
            validator: *validator,
            position: u64::try_from(first).unwrap_or(u64::MAX),
        });
    }
    keys.truncate(unambiguous(good));
    Ok(NextKeys { first, keys })
}

/// Returns the keys from `index` on that can be registered together, at most `limit`.
///
/// Keys are never skipped: the registry takes them in the order of the file, so the run ends at the first key that the
/// operator does not hold, or that has a deposit already, be it the vault's or a stranger's.
///
/// # Errors
///
/// Why there is none.
pub fn next_keys(
    tree: &ValidatorsTree,
    index: u64,
    limit: usize,
    holds: impl Fn(&PublicKeyBytes) -> bool,
    standing: impl Fn(&PublicKeyBytes) -> Standing,
) -> Result<NextKeys, WhyNot> {
    let used_up = WhyNot::KeysUsedUp { keys: tree.len() };
    let first = usize::try_from(index).map_err(|_| used_up.clone())?;
    let mut keys = Vec::new();
    let mut stopped_by = used_up;
    for position in first..first.saturating_add(limit) {
        let Some(validator) = tree.public_key(position) else {
            break;
        };
        let position = u64::try_from(position).unwrap_or(u64::MAX);
        if !holds(&validator) {
            stopped_by = WhyNot::KeyNotHeld { validator, position };
            break;
        }
        match standing(&validator) {
            Standing::Unused => keys.push(validator),
            Standing::Deposited => {
                stopped_by = WhyNot::KeyDeposited { validator, position };
                break;
            }
            Standing::Quarantined(foreign) => {
                stopped_by = WhyNot::Quarantined {
                    foreign: Box::new(foreign),
                    position,
                };
                break;
            }
        }
    }
    keys.truncate(unambiguous(keys.len()));
    if keys.is_empty() {
        Err(stopped_by)
    } else {
        Ok(NextKeys { first, keys })
    }
}

#[cfg(test)]
mod tests {
    use sw_deposit_data::{DepositDataFile, ValidatorsTree};
    use sw_spec::address;

    use super::*;

    fn tree() -> ValidatorsTree {
        let vectors = sw_testkit::fixture("original-v1.json");
        let json = vectors["deposit_data"]["mainnet"].to_string();
        let file = DepositDataFile::parse(json.as_bytes()).expect("five entries");
        ValidatorsTree::new(address!("3320ad928c20187602a2B2C04EeAa813fA899468"), &file).expect("a tree")
    }

    #[test]
    fn no_batch_has_a_length_that_two_record_formats_share() {
        for wanted in 0..=200 {
            let sent = unambiguous(wanted);
            assert!(
                sent == 0 || !(sent * RECORD_BYTES).is_multiple_of(LONG_RECORD_BYTES),
                "{wanted}"
            );
            assert!(wanted - sent <= 1);
        }
        assert_eq!(
            (unambiguous(23), unambiguous(46), unambiguous(22), unambiguous(1)),
            (22, 45, 22, 1)
        );
    }

    #[test]
    fn assets_pay_for_whole_validators_only() {
        let eth = |wei: u128| U256::from(wei);
        let each = eth(32_000_000_000_000_000_000);
        assert_eq!(affordable(eth(31_999_999_999_999_999_999), each), 0);
        assert_eq!(affordable(eth(96_000_000_000_000_000_000), each), 3);
        assert_eq!(affordable(each, U256::ZERO), 0);
    }

    #[test]
    fn keys_are_taken_in_the_order_of_the_file_and_never_skipped() {
        let tree = tree();
        let key = |position| tree.public_key(position).expect("in the file");
        let all = next_keys(&tree, 1, 3, |_| true, |_| Standing::Unused).expect("three keys");
        assert_eq!(
            all,
            NextKeys {
                first: 1,
                keys: vec![key(1), key(2), key(3)]
            }
        );
        let held = next_keys(&tree, 1, 9, |held| *held != key(3), |_| Standing::Unused).expect("two keys");
        assert_eq!(held.positions(), [1, 2]);
        assert_eq!(
            next_keys(&tree, 3, 9, |held| *held != key(3), |_| Standing::Unused),
            Err(WhyNot::KeyNotHeld {
                validator: key(3),
                position: 3
            })
        );
        assert_eq!(
            next_keys(&tree, 0, 9, |_| true, |_| Standing::Deposited),
            Err(WhyNot::KeyDeposited {
                validator: key(0),
                position: 0
            })
        );
        assert_eq!(
            next_keys(&tree, 5, 9, |_| true, |_| Standing::Unused),
            Err(WhyNot::KeysUsedUp { keys: 5 })
        );
        assert_eq!(
            next_keys(&tree, u64::MAX, 9, |_| true, |_| Standing::Unused),
            Err(WhyNot::KeysUsedUp { keys: 5 })
        );
    }
}
