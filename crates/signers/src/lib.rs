#![doc = include_str!("../README.md")]

pub mod contract;
mod local;
mod signer;

pub use local::{LocalSigner, OpenKey};
pub use signer::{SignerError, ValidatorSigner, verified};
