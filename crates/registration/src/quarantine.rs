//! Keys of ours that somebody else has made a deposit for, with other withdrawal credentials.
//!
//! The first valid deposit of a key decides for ever where its stake is paid out, so a vault that deposits after a stranger
//! pays for the stranger's validator. Only whoever holds the key can sign such a deposit: it has leaked, or it was made to
//! be registered by somebody else. A deposit with an invalid signature decides nothing and says nothing.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use sw_chain_client::DepositEvent;
use sw_spec::{Address, B256, PublicKeyBytes, WithdrawalCredentials};

use crate::Metrics;

/// A validly signed deposit for a key of the vault that pays out to somebody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ForeignDeposit {
    /// The key.
    pub validator: PublicKeyBytes,
    /// Where the deposit pays out to.
    pub withdrawal_credentials: B256,
    /// Its block.
    pub block: u64,
    /// Its transaction.
    pub transaction: B256,
}

/// The keys of a vault's deposit data, and which of them must never be registered.
#[derive(Clone)]
pub struct Quarantine(Arc<Inner>);

struct Inner {
    keys: HashSet<PublicKeyBytes>,
    own: [B256; 2],
    metrics: Arc<Metrics>,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    foreign: BTreeMap<PublicKeyBytes, ForeignDeposit>,
    /// Keys with a stored deposit whose credentials were asked for.
    looked_up: HashSet<PublicKeyBytes>,
}

impl Quarantine {
    /// For the keys of this vault's deposit data.
    pub fn new(vault: Address, keys: impl IntoIterator<Item = PublicKeyBytes>, metrics: Arc<Metrics>) -> Self {
        let own = [
            WithdrawalCredentials::execution(vault),
            WithdrawalCredentials::compounding(vault),
        ];
        Self(Arc::new(Inner {
            keys: keys.into_iter().collect(),
            own: own.map(|credentials| credentials.0),
            metrics,
            seen: Mutex::default(),
        }))
    }

    /// Whether it is a key of the vault's deposit data.
    pub(crate) fn is_ours(&self, key: &PublicKeyBytes) -> bool {
        self.0.keys.contains(key)
    }

    /// Looks through proven deposits whose signatures are valid, and raises the alarm once for each key of the vault with one that
    /// is not the vault's.
    ///
    /// A key stays in quarantine when a reorganisation undoes the deposit: whoever signed it can send it again.
    pub(crate) fn look_through(&self, valid: &[DepositEvent]) {
        for deposit in valid {
            let foreign = !self.0.own.contains(&deposit.withdrawal_credentials);
            if foreign && self.0.keys.contains(&deposit.public_key) {
                self.add(ForeignDeposit {
                    validator: deposit.public_key,
                    withdrawal_credentials: deposit.withdrawal_credentials,
                    block: deposit.block,
                    transaction: deposit.transaction,
                });
            }
        }
    }

    /// The deposit for which a key must not be registered, if there is one.
    pub(crate) fn of(&self, key: &PublicKeyBytes) -> Option<ForeignDeposit> {
        self.seen().foreign.get(key).copied()
    }

    /// Whether this is the first time that the deposit of a key is looked up.
    pub(crate) fn looks_up(&self, key: &PublicKeyBytes) -> bool {
        self.seen().looked_up.insert(*key)
    }

    fn add(&self, found: ForeignDeposit) {
        let quarantined = {
            let mut seen = self.seen();
            if seen.foreign.contains_key(&found.validator) {
                return;
            }
            seen.foreign.insert(found.validator, found);
            seen.foreign.len()
        };
        self.0
            .metrics
            .quarantined_keys
            .set(f64::from(u32::try_from(quarantined).unwrap_or(u32::MAX)));
        tracing::error!(
            validator = %found.validator,
            withdrawal_credentials = %found.withdrawal_credentials,
            block = found.block,
            tx = %found.transaction,
            "a validator of the deposit data has a valid deposit that pays out to somebody else: it must never be registered, \
             and its key is in other hands; upload a deposit data root over other keys"
        );
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
