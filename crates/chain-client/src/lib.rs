#![doc = include_str!("../README.md")]

mod abi;
mod block;
mod broadcast;
pub mod calls;
mod consensus;
mod deposits;
mod endpoints;
mod error;
mod events;
mod execution;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod head;
mod http;
mod journal;
mod jwt;
mod learned;
mod logs;
mod memory;
mod multicall;
mod pace;
mod quorum;
mod ranges;
mod revert;
mod rpc;
mod snapshot;
mod vault;
mod wallet;

pub use alloy_primitives::{
    Address, B256, Bytes, U256,
    aliases::{I160, U160},
};
pub use block::{BlockRef, Receipt};
pub use calls::{Call, HarvestParams, KeeperParams};
pub use consensus::{
    BeaconDepositContract, BeaconSpec, BeaconValidator, Checkpoint, ConsensusClient, ConsensusError, ConsensusOptions,
    ConsensusStatus, ExitOutcome, ExitRefusal, ExitSeen, ExpectedGenesis, Finality, FinalizedBlock, Fork, Genesis,
};
pub use deposits::{DepositTotals, OutOfPlace, fold_deposits};
pub use endpoints::EndpointFailure;
pub use error::{ExecutionError, SimulateError};
pub use events::{DepositEvent, ExitSignaturesUpdate, RegisteredValidator, RewardsUpdate};
pub use execution::{EndpointStatus, ExecutionClient, ExecutionOptions, TransactionStatus};
pub use http::EndpointFault;
pub use journal::{EntryState, Journal, JournalEntry, JournalError};
pub use jwt::{InvalidJwtSecret, JwtSecret};
pub use revert::{Revert, decode_revert};
pub use snapshot::Snapshot;
pub use vault::{RegistrationState, RotationState, VaultState};
pub use wallet::{
    FeeError, FeeLimits, Fees, HotWallet, InvalidWalletKey, MinedTx, Offer, SendError, SentTx, Step, Tended, Unless,
    WaitError, Waiting,
};
