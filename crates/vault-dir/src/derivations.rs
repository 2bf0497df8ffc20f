//! Keys derived from passwords: each as seldom as possible, and few at a time.

use std::{
    collections::HashMap,
    num::NonZeroUsize,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

use subtle::ConstantTimeEq;
use sw_keys::{DerivedKey, ExposeSecret, KdfError, KdfParams, SecretString};

/// What has been derived for parameters that several keystores share.
#[derive(Default)]
pub(crate) struct Derivations {
    shared: Mutex<HashMap<KdfParams, Arc<Mutex<Vec<Known>>>>>,
    slots: Slots,
}

struct Known {
    password: SecretString,
    key: Arc<DerivedKey>,
}

impl Derivations {
    pub(crate) fn with_limit(limit: NonZeroUsize) -> Self {
        Self {
            slots: Slots {
                limit,
                ..Slots::default()
            },
            ..Self::default()
        }
    }

    /// Derives a key that only one keystore can use, and forgets it.
    pub(crate) fn derive_once(&self, params: &KdfParams, password: &SecretString) -> Result<DerivedKey, KdfError> {
        let _slot = self.slots.take();
        params.derive(password)
    }

    /// Derives a key, or returns the one derived before from the same password and parameters.
    ///
    /// Threads that need the same key wait for the first of them.
    pub(crate) fn derive_shared(
        &self,
        params: &KdfParams,
        password: &SecretString,
    ) -> Result<Arc<DerivedKey>, KdfError> {
        let known = Arc::clone(locked(&self.shared).entry(params.clone()).or_default());
        let mut known = locked(&known);
        if let Some(known) = known.iter().find(|known| same(&known.password, password)) {
            return Ok(Arc::clone(&known.key));
        }
        let key = Arc::new(self.derive_once(params, password)?);
        known.push(Known {
            password: password.clone(),
            key: Arc::clone(&key),
        });
        Ok(key)
    }
}

/// How many derivations run at once: each of the usual cost takes 256 MiB while it runs.
struct Slots {
    limit: NonZeroUsize,
    used: Mutex<usize>,
    freed: Condvar,
}

impl Default for Slots {
    fn default() -> Self {
        Self {
            limit: DEFAULT_LIMIT,
            used: Mutex::new(0),
            freed: Condvar::new(),
        }
    }
}

impl Slots {
    fn take(&self) -> Slot<'_> {
        let used = locked(&self.used);
        let full = |used: &mut usize| *used >= self.limit.get();
        let mut used = self
            .freed
            .wait_while(used, full)
            .unwrap_or_else(PoisonError::into_inner);
        *used += 1;
        Slot(self)
    }
}

struct Slot<'a>(&'a Slots);

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        *locked(&self.0.used) -= 1;
        self.0.freed.notify_one();
    }
}

/// What the mutexes guard is valid after every statement, so a panic elsewhere does not spoil it.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn same(left: &SecretString, right: &SecretString) -> bool {
    left.expose_secret()
        .as_bytes()
        .ct_eq(right.expose_secret().as_bytes())
        .into()
}

/// Half a gibibyte.
const DEFAULT_LIMIT: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1);

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        thread,
    };

    use super::*;

    fn cheap(salt: u8) -> KdfParams {
        KdfParams::Pbkdf2 {
            c: 1,
            dklen: 32,
            salt: vec![salt; 32],
        }
    }

    #[test]
    fn a_shared_key_is_derived_once_for_each_password_and_salt() {
        let derivations = Derivations::default();
        let derive = |salt, password: &str| {
            derivations
                .derive_shared(&cheap(salt), &SecretString::from(password))
                .expect("derived")
        };
        let first = derive(1, "one");
        assert!(Arc::ptr_eq(&first, &derive(1, "one")));
        assert!(!Arc::ptr_eq(&first, &derive(1, "two")));
        assert!(!Arc::ptr_eq(&first, &derive(2, "one")));
        assert!(Arc::ptr_eq(&first, &derive(1, "one")));
    }

    #[test]
    fn no_more_run_at_once_than_allowed() {
        let slots = Slots {
            limit: NonZeroUsize::MIN.saturating_add(2),
            ..Slots::default()
        };
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| {
                    let _slot = slots.take();
                    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    thread::yield_now();
                    now.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        assert!((1..=3).contains(&most.load(Ordering::SeqCst)));
        assert_eq!(*locked(&slots.used), 0);
    }
}
