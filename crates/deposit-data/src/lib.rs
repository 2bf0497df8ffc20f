#![doc = include_str!("../README.md")]

mod entry;
mod file;
mod json;
mod merge;
mod standard_tree;
mod validators_tree;
mod verify;

pub use entry::DepositEntry;
pub use file::{DepositDataFile, DepositDataFileError};
pub use merge::{Clash, MergeConflict, MergeError, Place, merge, merge_conflicts};
pub use standard_tree::{StandardProof, StandardTree, TreeError, standard_leaf};
pub use validators_tree::{Multiproof, RECORD_LENGTH, ValidatorsTree};
pub use verify::{EntryFault, Fault, VerifyError};
