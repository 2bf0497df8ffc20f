//! Who has been seen at work: whoever was said to be, for the devnet has no validator clients.

use std::{
    collections::BTreeSet,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use alloy_primitives::FixedBytes;

#[derive(Debug, Default)]
pub(super) struct Liveness {
    live: Mutex<BTreeSet<FixedBytes<48>>>,
    untracked: AtomicBool,
}

impl Liveness {
    pub(super) fn set_live(&self, public_keys: impl IntoIterator<Item = FixedBytes<48>>) {
        *self.live.lock().unwrap_or_else(PoisonError::into_inner) = public_keys.into_iter().collect();
    }

    pub(super) fn set_tracked(&self, tracked: bool) {
        self.untracked.store(!tracked, Ordering::SeqCst);
    }

    pub(super) fn is_tracked(&self) -> bool {
        !self.untracked.load(Ordering::SeqCst)
    }

    pub(super) fn is_live(&self, public_key: &FixedBytes<48>) -> bool {
        self.live
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(public_key)
    }
}
