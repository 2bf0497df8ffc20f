//! Requests as they arrive: parsed strictly, or not at all.
//!
//! Source: original-v1, 7.1 and 7.4, and live-protocol C.3, column v2-v3.1.

use std::str::FromStr;

use alloy::primitives::{Address, B256, FixedBytes, keccak256};
use serde::{Deserialize, Deserializer, de::Error as _};

use super::{key::SEALED_SHARE, refusal::Refusal};

/// A registration request whose members have the right shape and number; nothing in it is believed yet.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) validator_index: u64,
    pub(super) vault: Address,
    pub(super) deposit_root: B256,
    pub(super) batch: Batch,
    /// One for each validator of the batch.
    pub(super) deposit_signatures: Vec<FixedBytes<96>>,
    pub(super) deadline: u64,
    pub(super) proof: Vec<B256>,
    pub(super) proof_flags: Vec<bool>,
    pub(super) proof_indexes: Vec<u64>,
}

/// The exits that a request shares among the oracles.
#[derive(Debug, Clone)]
pub(super) struct Batch {
    /// The keccak of the body as it came, by which oracles speak of the request.
    pub(super) hash: B256,
    pub(super) exits: Vec<SharedExit>,
}

/// The exit of one validator of the batch.
#[derive(Debug, Clone)]
pub(super) struct SharedExit {
    pub(super) public_key: FixedBytes<48>,
    /// The index that it is signed for.
    pub(super) index: u64,
    /// One for each oracle, in the order of the config.
    pub(super) public_shares: Vec<FixedBytes<48>>,
    /// One for each oracle, sealed to it.
    pub(super) sealed_shares: Vec<FixedBytes<SEALED_SHARE>>,
}

impl Request {
    /// Reads a body for a set of `oracles` that takes at most `batch_limit` validators.
    pub(super) fn parse(body: &[u8], oracles: usize, batch_limit: usize) -> Result<Self, Refusal> {
        let wire: Wire = parse_strictly(body)?;
        if wire.validators_manager_signature.is_some() {
            return Err(Refusal::ManagerSignature);
        }
        let (Some(proof), Some(proof_flags), Some(proof_indexes)) = (wire.proof, wire.proof_flags, wire.proof_indexes)
        else {
            return Err(Refusal::NoProof);
        };
        in_batch_limit(wire.public_keys.len(), batch_limit)?;
        if wire.deposit_signatures.len() != wire.public_keys.len() {
            return Err(Refusal::ListLengths);
        }
        let shared = SharedWire {
            public_keys: wire.public_keys,
            public_key_shards: wire.public_key_shards,
            exit_signature_shards: wire.exit_signature_shards,
        };
        let mut batch = shared.batch(body, oracles)?;
        for (exit, index) in batch.exits.iter_mut().zip(0..) {
            exit.index = wire.validator_index.saturating_add(index);
        }
        Ok(Self {
            validator_index: wire.validator_index,
            vault: wire.vault_address.0,
            deposit_root: wire.validators_root.0,
            batch,
            deposit_signatures: wire
                .deposit_signatures
                .into_iter()
                .map(|signature| signature.0)
                .collect(),
            deadline: wire.deadline,
            proof: proof.into_iter().map(|node| node.0).collect(),
            proof_flags,
            proof_indexes,
        })
    }
}

/// A request to replace exit signatures, as it arrives (original-v1, 7.4).
#[derive(Debug, Clone)]
pub(super) struct RotationRequest {
    pub(super) vault: Address,
    /// The indexes in it are not in the request: they are the validators' own.
    pub(super) batch: Batch,
    pub(super) deadline: u64,
}

impl RotationRequest {
    /// Reads a body for a set of `oracles` that takes at most `batch_limit` validators.
    pub(super) fn parse(body: &[u8], oracles: usize, batch_limit: usize) -> Result<Self, Refusal> {
        let wire: RotationWire = parse_strictly(body)?;
        in_batch_limit(wire.public_keys.len(), batch_limit)?;
        let shared = SharedWire {
            public_keys: wire.public_keys,
            public_key_shards: wire.public_key_shards,
            exit_signature_shards: wire.exit_signature_shards,
        };
        Ok(Self {
            vault: wire.vault_address.0,
            batch: shared.batch(body, oracles)?,
            deadline: wire.deadline,
        })
    }
}

fn parse_strictly<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| Refusal::Malformed(error.to_string().chars().take(200).collect()))
}

fn in_batch_limit(count: usize, limit: usize) -> Result<(), Refusal> {
    match count {
        0 => Err(Refusal::Empty),
        count if count > limit => Err(Refusal::OverBatchLimit { count, limit }),
        _ => Ok(()),
    }
}

/// The lists that both kinds of request have.
struct SharedWire {
    public_keys: Vec<Hex<48>>,
    public_key_shards: Vec<Vec<Hex<48>>>,
    exit_signature_shards: Vec<Vec<Hex<SEALED_SHARE>>>,
}

impl SharedWire {
    fn batch(self, body: &[u8], oracles: usize) -> Result<Batch, Refusal> {
        let count = self.public_keys.len();
        if self.public_key_shards.len() != count || self.exit_signature_shards.len() != count {
            return Err(Refusal::ListLengths);
        }
        let public = self.public_key_shards.iter().map(Vec::len);
        let sealed = self.exit_signature_shards.iter().map(Vec::len);
        if public.chain(sealed).any(|len| len != oracles) {
            return Err(Refusal::ShardCount { oracles });
        }
        let shards = self.public_key_shards.into_iter().zip(self.exit_signature_shards);
        let exits: Vec<SharedExit> = self
            .public_keys
            .into_iter()
            .zip(shards)
            .map(|(public_key, (public_shares, sealed_shares))| SharedExit {
                public_key: public_key.0,
                index: 0,
                public_shares: public_shares.into_iter().map(|share| share.0).collect(),
                sealed_shares: sealed_shares.into_iter().map(|share| share.0).collect(),
            })
            .collect();
        let mut keys: Vec<_> = exits.iter().map(|exit| exit.public_key).collect();
        keys.sort_unstable();
        keys.dedup();
        if keys.len() != count {
            return Err(Refusal::DuplicateKey);
        }
        Ok(Batch {
            hash: keccak256(body),
            exits,
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RotationWire {
    vault_address: Checksummed,
    public_keys: Vec<Hex<48>>,
    public_key_shards: Vec<Vec<Hex<48>>>,
    exit_signature_shards: Vec<Vec<Hex<SEALED_SHARE>>>,
    deadline: u64,
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
        parse_vault(&String::deserialize(deserializer)?)
            .map(Self)
            .ok_or_else(|| D::Error::custom("expected an address with an EIP-55 checksum"))
    }
}

pub(super) fn parse_vault(text: &str) -> Option<Address> {
    Address::parse_checksummed(text, None).ok()
}
