//! Finding the keys of validators again, and making their keystores anew.

mod search;

pub use search::{FoundKey, Search, SearchOutcome, search};
