//! Finding the keys of validators again, and making their keystores anew.

mod restore;
mod search;

pub use restore::{Restore, RestoreError, Restored, is_restored, present_config, restore};
pub use search::{FoundKey, Search, SearchOutcome, search, unused_keys};
