//! The few SSZ roots a deposit and an exit need, written from the consensus specs and independent of the operator's own.

use alloy_primitives::{B256, FixedBytes};
use sha2::{Digest, Sha256};

const DOMAIN_DEPOSIT: [u8; 4] = [3, 0, 0, 0];
const DOMAIN_VOLUNTARY_EXIT: [u8; 4] = [4, 0, 0, 0];

/// SHA-256 of two nodes side by side.
pub fn hash_pair(left: B256, right: B256) -> B256 {
    let mut hasher = Sha256::new();
    hasher.update(left);
    hasher.update(right);
    B256::from(<[u8; 32]>::from(hasher.finalize()))
}

/// A `uint64` as a leaf: little-endian, padded with zeros.
pub fn uint64(value: u64) -> B256 {
    padded(&value.to_le_bytes())
}

/// The root of a `Bytes48`.
pub fn bytes48_root(value: &FixedBytes<48>) -> B256 {
    let (first, rest) = value.split_at(32);
    hash_pair(padded(first), padded(rest))
}

/// The root of a `Bytes96`.
pub fn bytes96_root(value: &FixedBytes<96>) -> B256 {
    let (first, rest) = value.split_at(32);
    let (second, third) = rest.split_at(32);
    hash_pair(
        hash_pair(padded(first), padded(second)),
        hash_pair(padded(third), B256::ZERO),
    )
}

/// `hash_tree_root(DepositMessage)`.
pub fn deposit_message_root(public_key: &FixedBytes<48>, credentials: B256, amount_gwei: u64) -> B256 {
    hash_pair(
        hash_pair(bytes48_root(public_key), credentials),
        hash_pair(uint64(amount_gwei), B256::ZERO),
    )
}

/// `hash_tree_root(DepositData)`: what the deposit contract calls `deposit_data_root`.
pub fn deposit_data_root(
    public_key: &FixedBytes<48>,
    credentials: B256,
    amount_gwei: u64,
    signature: &FixedBytes<96>,
) -> B256 {
    hash_pair(
        hash_pair(bytes48_root(public_key), credentials),
        hash_pair(uint64(amount_gwei), bytes96_root(signature)),
    )
}

/// What a depositor signs: valid under the genesis fork version and no validators root, for ever.
pub fn deposit_signing_root(
    public_key: &FixedBytes<48>,
    credentials: B256,
    amount_gwei: u64,
    genesis_fork_version: FixedBytes<4>,
) -> B256 {
    let domain = domain(DOMAIN_DEPOSIT, genesis_fork_version, B256::ZERO);
    hash_pair(deposit_message_root(public_key, credentials, amount_gwei), domain)
}

/// What a validator signs to exit, under Capella for ever (EIP-7044).
pub fn exit_signing_root(
    epoch: u64,
    validator_index: u64,
    capella_fork_version: FixedBytes<4>,
    genesis_validators_root: B256,
) -> B256 {
    let domain = domain(DOMAIN_VOLUNTARY_EXIT, capella_fork_version, genesis_validators_root);
    hash_pair(hash_pair(uint64(epoch), uint64(validator_index)), domain)
}

fn domain(kind: [u8; 4], fork_version: FixedBytes<4>, genesis_validators_root: B256) -> B256 {
    let fork_data = hash_pair(padded(fork_version.as_slice()), genesis_validators_root);
    let mut domain = fork_data.0;
    domain.rotate_right(4);
    if let Some(head) = domain.first_chunk_mut::<4>() {
        *head = kind;
    }
    B256::from(domain)
}

fn padded(bytes: &[u8]) -> B256 {
    B256::right_padding_from(bytes)
}
