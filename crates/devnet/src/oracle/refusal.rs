//! Why an oracle says no.

use alloy::primitives::Address;

/// What is wrong with a request; its text is the answer's `detail`, word for word the same from the Node oracle.
///
/// Validators are counted from 0 within the batch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(super) enum Refusal {
    #[error("malformed request: {0}")]
    Malformed(String),
    #[error("validators_manager_signature must be null: the vault registers through its deposit data")]
    ManagerSignature,
    #[error("proof, proof_flags and proof_indexes must not be null: the vault registers through its deposit data")]
    NoProof,
    #[error("there are no validators in the request")]
    Empty,
    #[error("{count} validators are over the batch limit of {limit}")]
    OverBatchLimit { count: usize, limit: usize },
    #[error("public_keys, deposit_signatures and shards differ in length")]
    ListLengths,
    #[error("each validator needs {oracles} shards, one for each oracle")]
    ShardCount { oracles: usize },
    #[error("a public key is in the request twice")]
    DuplicateKey,
    #[error("vault {0} is not in the vaults registry")]
    UnknownVault(Address),
    #[error("vault {0} has no validators that the Keeper knows of")]
    NotCollateralized(Address),
    #[error("validators_root is not the root of the deposit contract")]
    DepositRoot,
    #[error("the deadline has passed")]
    DeadlinePassed,
    #[error("the deadline is further away than the signature validity period")]
    DeadlineTooFar,
    #[error("the deadline is that of a request which is older than the present set of oracles")]
    OlderThanOracles,
    #[error("validator {0} is none of this vault")]
    NotOfVault(usize),
    #[error("validator {position} is {status}")]
    Leaving { position: usize, status: String },
    #[error("the exit signature of validator {0} is not outdated")]
    NotOutdated(usize),
    #[error("validator_index is {got}, the next one is {expected}")]
    ValidatorIndex { got: u64, expected: u64 },
    #[error("validator {0} is deposited already")]
    AlreadyDeposited(usize),
    #[error("the deposit signature of validator {0} is not valid for this vault")]
    DepositSignature(usize),
    #[error("proof_indexes are not the next ones of the vault's deposit data, which start at {0}")]
    ProofIndexes(u64),
    #[error("the proof does not lead to the vault's deposit data root")]
    Proof,
    #[error("a public key shard of validator {0} is not a point")]
    PublicShardPoint(usize),
    #[error("the public key shards of validator {0} are not on one polynomial of the threshold's degree")]
    PublicShardPolynomial(usize),
    #[error("the public key shards of validator {0} do not give its public key")]
    PublicShardKey(usize),
    #[error("the exit signature shard of validator {0} cannot be decrypted")]
    SealedShard(usize),
    #[error("the exit signature shard of validator {0} does not match its public key shard")]
    ExitShard(usize),
    #[error("shards of {have} oracles arrived in time, {need} recover an exit signature")]
    NotEnoughShards { have: usize, need: usize },
    #[error("the recovered exit signature of validator {0} is not valid")]
    ExitSignature(usize),
    /// A fault that was set on this oracle.
    #[error("{0}")]
    Told(String),
}
