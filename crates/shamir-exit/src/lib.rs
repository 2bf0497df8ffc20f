#![doc = include_str!("../README.md")]

mod check;
mod curve;
mod oracle_key;
mod polynomial;
mod recover;
mod sealed;
mod split;
mod threshold;

pub use check::{ShareFault, check_shares};
pub use oracle_key::{OraclePublicKey, ParseOracleKeyError};
pub use recover::{RecoverError, recover_public_key, recover_signature};
pub use sealed::{EncryptedShare, OpenError, SealError};
pub use split::{ExitShare, KeyShare, SplitError, split, split_signature};
pub use threshold::{ShareIndex, Threshold, ThresholdError};
