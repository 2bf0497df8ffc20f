#![doc = include_str!("../README.md")]

mod dump;
mod error;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod history;
mod validator_index;

pub use dump::{DUMP_RECORD_LENGTH, DumpError};
pub use error::StoreError;
pub use history::{Deposits, Mark};
pub use validator_index::{SetAside, ValidatorIndex};
