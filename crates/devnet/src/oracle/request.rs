//! The registration request as it arrives: parsed strictly, or not at all.
//!
//! Source: original-v1, 7.1, and live-protocol C.3, column v2-v3.1.

use std::str::FromStr;

use alloy::primitives::{Address, B256, FixedBytes, keccak256};
use serde::{Deserialize, Deserializer, de::Error as _};

use super::{key::SEALED_SHARE, refusal::Refusal};

/// A request whose members have the right shape and number; nothing in it is believed yet.
#[derive(Debug, Clone)]
pub(super) struct Request {
    /// The keccak of the body as it came, by which oracles speak of it.
    pub(super) hash: B256,
    pub(super) validator_index: u64,
    pub(super) vault: Address,
    pub(super) deposit_root: B256,
    pub(super) validators: Vec<NewValidator>,
    pub(super) deadline: u64,
    pub(super) proof: Vec<B256>,
    pub(super) proof_flags: Vec<bool>,
    pub(super) proof_indexes: Vec<u64>,
}

/// One validator of the batch.
#[derive(Debug, Clone)]
pub(super) struct NewValidator {
    pub(super) public_key: FixedBytes<48>,
    pub(super) deposit_signature: FixedBytes<96>,
    /// One for each oracle, in the order of the config.
    pub(super) public_shares: Vec<FixedBytes<48>>,
    /// One for each oracle, sealed to it.
    pub(super) sealed_shares: Vec<FixedBytes<SEALED_SHARE>>,
}

impl Request {
    /// Reads a body for a set of `oracles` that takes at most `batch_limit` validators.
    pub(super) fn parse(body: &[u8], oracles: usize, batch_limit: usize) -> Result<Self, Refusal> {
        let wire: Wire = serde_json::from_slice(body)
            .map_err(|error| Refusal::Malformed(error.to_string().chars().take(200).collect()))?;
        if wire.validators_manager_signature.is_some() {
            return Err(Refusal::ManagerSignature);
        }
        let (Some(proof), Some(proof_flags), Some(proof_indexes)) = (wire.proof, wire.proof_flags, wire.proof_indexes)
        else {
            return Err(Refusal::NoProof);
        };
        let count = wire.public_keys.len();
        if count == 0 {
            return Err(Refusal::Empty);
        }
        if count > batch_limit {
            return Err(Refusal::OverBatchLimit {
                count,
                limit: batch_limit,
            });
        }
        let lists = [
            wire.deposit_signatures.len(),
            wire.public_key_shards.len(),
            wire.exit_signature_shards.len(),
        ];
        if lists.iter().any(|len| *len != count) {
            return Err(Refusal::ListLengths);
        }
        let shards = wire.public_key_shards.iter().map(Vec::len);
        if shards
            .chain(wire.exit_signature_shards.iter().map(Vec::len))
            .any(|len| len != oracles)
        {
            return Err(Refusal::ShardCount { oracles });
        }
        let validators: Vec<NewValidator> = wire
            .public_keys
            .into_iter()
            .zip(wire.deposit_signatures)
            .zip(wire.public_key_shards)
            .zip(wire.exit_signature_shards)
            .map(
                |(((public_key, deposit_signature), public_shares), sealed_shares)| NewValidator {
                    public_key: public_key.0,
                    deposit_signature: deposit_signature.0,
                    public_shares: public_shares.into_iter().map(|share| share.0).collect(),
                    sealed_shares: sealed_shares.into_iter().map(|share| share.0).collect(),
                },
            )
            .collect();
        let mut keys: Vec<_> = validators.iter().map(|validator| validator.public_key).collect();
        keys.sort_unstable();
        keys.dedup();
        if keys.len() != count {
            return Err(Refusal::DuplicateKey);
        }
        Ok(Self {
            hash: keccak256(body),
            validator_index: wire.validator_index,
            vault: wire.vault_address.0,
            deposit_root: wire.validators_root.0,
            validators,
            deadline: wire.deadline,
            proof: proof.into_iter().map(|node| node.0).collect(),
            proof_flags,
            proof_indexes,
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    validator_index: u64,
    vault_address: Checksummed,
    validators_root: Hex<32>,
    public_keys: Vec<Hex<48>>,
    deposit_signatures: Vec<Hex<96>>,
    public_key_shards: Vec<Vec<Hex<48>>>,
    exit_signature_shards: Vec<Vec<Hex<SEALED_SHARE>>>,
    // `null` is meaningful and absence is another protocol version: with a function of its own the member is required.
    #[serde(deserialize_with = "Option::deserialize")]
    validators_manager_signature: Option<String>,
    deadline: u64,
    #[serde(deserialize_with = "Option::deserialize")]
    proof: Option<Vec<Hex<32>>>,
    #[serde(deserialize_with = "Option::deserialize")]
    proof_flags: Option<Vec<bool>>,
    #[serde(deserialize_with = "Option::deserialize")]
    proof_indexes: Option<Vec<u64>>,
}

/// Bytes as 0x and lower-case hex of exactly their length: all oracles write them into one document.
struct Hex<const N: usize>(FixedBytes<N>);

impl<'de, const N: usize> Deserialize<'de> for Hex<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parse_hex(&String::deserialize(deserializer)?)
            .map(Self)
            .ok_or_else(|| D::Error::custom(format_args!("expected 0x and {} lower-case hex digits", 2 * N)))
    }
}

pub(super) fn parse_hex<const N: usize>(text: &str) -> Option<FixedBytes<N>> {
    let digits = text.strip_prefix("0x")?;
    let lower = digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if !lower || digits.len() != 2 * N {
        return None;
    }
    FixedBytes::from_str(text).ok()
}

/// An address in the mixed case of EIP-55.
struct Checksummed(Address);

impl<'de> Deserialize<'de> for Checksummed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Address::parse_checksummed(text, None)
            .map(Self)
            .map_err(|_| D::Error::custom("expected an address with an EIP-55 checksum"))
    }
}
