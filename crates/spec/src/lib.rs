#![doc = include_str!("../README.md")]

mod bytes;
mod containers;
mod deposit_tree;
mod endpoint;
mod foreign_text;
mod network;
mod network_file;
mod networks;
mod ssz;
mod units;
mod validator;

pub use alloy_primitives::{Address, B256, U256, address, b256};
pub use bytes::{ParseBytesError, PublicKeyBytes, SignatureBytes};
pub use containers::{
    DepositData, DepositMessage, Domain, ForkVersion, VoluntaryExit, WithdrawalCredentials, signing_root,
};
pub use deposit_tree::{DepositTree, DepositTreeFull, MalformedDepositTree};
pub use endpoint::{ParseUrlError, RedactedUrl};
pub use foreign_text::is_harmless;
pub use network::{Contracts, NetworkName, NetworkSpec, ValidatorsDump};
pub use network_file::NetworkFileError;
pub use networks::{Network, ParseNetworkError, RETIRED_NETWORKS};
pub use ssz::{hash_pair, merkleize};
pub use units::{Epoch, Gwei, Slot, VALIDATOR_DEPOSIT};
pub use validator::{ParseStatusError, SignedVoluntaryExit, ValidatorStatus};
