//! What a network can be asked to be, and why it may not start.

use std::path::PathBuf;

use alloy_primitives::Address;

use crate::{
    chain::ChainError, http::HttpError, oracle::OracleSetError, process::ProcessError, toolchain::ToolchainError,
};

/// What kind of network to start.
#[derive(Debug, Clone)]
pub struct DevnetConfig {
    /// How many oracles there are.
    pub oracles: usize,
    /// Whether the last oracle is the Node program.
    pub node_oracle: bool,
    /// How many endpoints each oracle has, in order; where the list is too short, one.
    pub replicas: Vec<usize>,
    /// Approvals the Keeper asks for, at most one of each oracle.
    pub validators_threshold: usize,
    /// Shares that recover an exit signature, at most one of each oracle.
    pub recover_threshold: usize,
    /// Seconds of a slot.
    pub seconds_per_slot: u64,
    /// Slots of an epoch.
    pub slots_per_epoch: u64,
    /// `SHARD_COMMITTEE_PERIOD`: epochs that a validator must have been active for before it may leave; 256 on mainnet.
    pub shard_committee_period: u64,
    /// `MAX_SEED_LOOKAHEAD`: a validator leaves this many epochs, and one, after the epoch of the block that holds its exit; 4, as
    /// on mainnet, unless it is set.
    pub max_seed_lookahead: u64,
    /// Most validators of one approval.
    pub batch_limit: usize,
    /// Most validators of one rotation of exit signatures.
    pub rotation_batch_limit: usize,
    /// Seconds an approval is valid for.
    pub signature_validity_period: u64,
    /// Where the network file and logs go; without it, a directory that ends with the network.
    pub work_dir: Option<PathBuf>,
    /// Where tools and compiled contracts are kept between runs; without it, below Cargo's target directory.
    pub cache_dir: Option<PathBuf>,
}

impl Default for DevnetConfig {
    fn default() -> Self {
        Self {
            oracles: 5,
            node_oracle: true,
            replicas: vec![2],
            validators_threshold: 4,
            recover_threshold: 3,
            seconds_per_slot: 1,
            slots_per_epoch: 4,
            shard_committee_period: 0,
            max_seed_lookahead: 4,
            batch_limit: 10,
            rotation_batch_limit: 100,
            signature_validity_period: 60,
            work_dir: None,
            cache_dir: None,
        }
    }
}

/// The network did not start, or does not do what it is told.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DevnetError {
    /// Node.js, npm packages or compiled contracts.
    #[error(transparent)]
    Toolchain(#[from] ToolchainError),
    /// The execution node.
    #[error("the devnet has no execution node")]
    Anvil(#[source] ProcessError),
    /// Servers on loopback.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The chain and its contracts.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The oracles.
    #[error(transparent)]
    Oracles(#[from] OracleSetError),
    /// The network file and logs.
    #[error("cannot write the devnet's files to `{}`", .path.display())]
    Files {
        /// The directory or file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// What kind of vault it is: its version, and who registers its validators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum VaultKind {
    /// Version 5; the DepositDataRegistry registers its validators.
    DepositData,
    /// Version 5; this account registers its validators, or signs for it.
    Managed(Address),
    /// Version 5 as it is created: nobody may register.
    Unmanaged,
    /// Version 5 with a MEV escrow of its own; the DepositDataRegistry registers its validators.
    OwnEscrow,
    /// Version 1: the vault itself keeps the root and takes the proofs.
    V1,
}

/// One of the nodes that the operator talks to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Node {
    /// The execution node.
    Execution,
    /// The consensus node.
    Consensus,
}
