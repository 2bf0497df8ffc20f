//! Requests made from blst, bls12_381 and ecies alone, the way the original made them: the *key* is split.

use alloy::primitives::{Address, B256, Bytes, FixedBytes, U256, keccak256};
use alloy::sol_types::SolValue;
use bls12_381::Scalar;
use blst::min_pk::SecretKey;
use serde_json::{Value, json};
use sw_devnet::{Deployment, bls::CIPHERSUITE, oracle::OracleKey, ssz};

pub const DEPOSIT_GWEI: u64 = 32_000_000_000;

pub struct ValidatorKey(SecretKey);

impl ValidatorKey {
    pub fn new(seed: &str) -> Self {
        Self(SecretKey::key_gen(keccak256(seed).as_slice(), &[]).unwrap())
    }

    fn from_scalar(scalar: &Scalar) -> Self {
        let mut bytes = scalar.to_bytes();
        bytes.reverse();
        Self(SecretKey::from_bytes(&bytes).unwrap())
    }

    fn scalar(&self) -> Scalar {
        let mut bytes = self.0.to_bytes();
        bytes.reverse();
        Option::from(Scalar::from_bytes(&bytes)).unwrap()
    }

    pub fn public_key(&self) -> FixedBytes<48> {
        FixedBytes(self.0.sk_to_pk().to_bytes())
    }

    pub fn sign(&self, root: B256) -> FixedBytes<96> {
        FixedBytes(self.0.sign(root.as_slice(), CIPHERSUITE, &[]).to_bytes())
    }

    pub fn deposit_signature(&self, vault: Address, fork_version: FixedBytes<4>) -> FixedBytes<96> {
        self.sign(ssz::deposit_signing_root(
            &self.public_key(),
            credentials(vault),
            DEPOSIT_GWEI,
            fork_version,
        ))
    }

    /// Shares of a polynomial with `others` as its further coefficients, at 1..=n.
    pub fn split(&self, others: &[&str], n: usize) -> Vec<ValidatorKey> {
        let mut coefficients = vec![self.scalar()];
        coefficients.extend(others.iter().map(|seed| ValidatorKey::new(seed).scalar()));
        (1..=n as u64)
            .map(|x| {
                coefficients
                    .iter()
                    .rev()
                    .fold(Scalar::zero(), |sum, c| sum * Scalar::from(x) + c)
            })
            .map(|share| ValidatorKey::from_scalar(&share))
            .collect()
    }
}

pub fn credentials(vault: Address) -> B256 {
    let mut credentials = vault.into_word();
    credentials[0] = 1;
    credentials
}

/// A vault's deposit data: its keys, and OpenZeppelin's tree over their records.
pub struct DepositData {
    pub keys: Vec<ValidatorKey>,
    pub signatures: Vec<FixedBytes<96>>,
    tree: Vec<B256>,
    /// Where in the tree the leaf of each key is.
    positions: Vec<usize>,
    vault: Address,
}

impl DepositData {
    pub fn new(vault: Address, count: usize, fork_version: FixedBytes<4>) -> Self {
        let keys: Vec<_> = (0..count)
            .map(|index| ValidatorKey::new(&format!("{vault} key {index}")))
            .collect();
        let signatures: Vec<_> = keys
            .iter()
            .map(|key| key.deposit_signature(vault, fork_version))
            .collect();
        let mut data = Self {
            keys,
            signatures,
            tree: Vec::new(),
            positions: Vec::new(),
            vault,
        };
        let leaves: Vec<B256> = (0..count).map(|index| leaf(&data.record(index), index)).collect();
        let mut order: Vec<usize> = (0..count).collect();
        order.sort_by_key(|index| leaves[*index]);
        data.tree = vec![B256::ZERO; 2 * count - 1];
        data.positions = vec![0; count];
        for (rank, index) in order.into_iter().enumerate() {
            let at = data.tree.len() - 1 - rank;
            data.tree[at] = leaves[index];
            data.positions[index] = at;
        }
        for node in (0..count - 1).rev() {
            let (left, right) = (data.tree[2 * node + 1], data.tree[2 * node + 2]);
            data.tree[node] = keccak256([left.min(right).0, left.max(right).0].concat());
        }
        data
    }

    pub fn root(&self) -> B256 {
        self.tree[0]
    }

    pub fn record(&self, index: usize) -> Vec<u8> {
        let (key, signature) = (self.keys[index].public_key(), self.signatures[index]);
        let root = ssz::deposit_data_root(&key, credentials(self.vault), DEPOSIT_GWEI, &signature);
        [key.as_slice(), signature.as_slice(), root.as_slice()].concat()
    }

    /// Proof, flags and proof indexes, as original-v1 4.4 tells.
    pub fn multiproof(&self, indexes: &[usize]) -> (Vec<B256>, Vec<bool>, Vec<usize>) {
        let mut leaves: Vec<usize> = indexes.to_vec();
        leaves.sort_by_key(|index| std::cmp::Reverse(self.positions[*index]));
        let mut queue: std::collections::VecDeque<usize> = leaves.iter().map(|index| self.positions[*index]).collect();
        let (mut proof, mut flags) = (Vec::new(), Vec::new());
        while let Some(node) = queue.pop_front().filter(|node| *node > 0) {
            let sibling = if node % 2 == 1 { node + 1 } else { node - 1 };
            if queue.front() == Some(&sibling) {
                queue.pop_front();
                flags.push(true);
            } else {
                proof.push(self.tree[sibling]);
                flags.push(false);
            }
            queue.push_back((node - 1) / 2);
        }
        (proof, flags, leaves)
    }
}

fn leaf(record: &[u8], index: usize) -> B256 {
    keccak256(keccak256(
        (Bytes::copy_from_slice(record), U256::from(index)).abi_encode_params(),
    ))
}

/// The further coefficients of every polynomial the tests split with: the recover threshold is 3.
pub const COEFFICIENTS: [&str; 2] = ["coefficient 1", "coefficient 2"];

/// What a request is made of, so that a test can make it wrongly.
pub struct Draft<'a> {
    pub deployment: &'a Deployment,
    pub data: &'a DepositData,
    pub oracles: &'a [OracleKey],
    pub vault: Address,
    pub indexes: Vec<usize>,
    pub validator_index: u64,
    pub deposit_root: B256,
    pub deadline: u64,
}

impl Draft<'_> {
    pub fn exit_root(&self, validator_index: u64) -> B256 {
        exit_root(self.deployment, validator_index)
    }

    /// The shares of a validator's exit, sealed, with their public keys.
    pub fn shares(&self, key: &ValidatorKey, others: &[&str], validator_index: u64) -> (Value, Value) {
        shares(self.deployment, self.oracles, key, others, validator_index)
    }

    pub fn build(&self) -> Value {
        let (proof, flags, proof_indexes) = self.data.multiproof(&self.indexes);
        let keys: Vec<_> = self
            .indexes
            .iter()
            .map(|index| self.data.keys[*index].public_key())
            .collect();
        let signatures: Vec<_> = self.indexes.iter().map(|index| self.data.signatures[*index]).collect();
        let (public, sealed): (Vec<Value>, Vec<Value>) = self
            .indexes
            .iter()
            .zip(self.validator_index..)
            .map(|(index, validator_index)| self.shares(&self.data.keys[*index], &COEFFICIENTS, validator_index))
            .unzip();
        json!({
            "validator_index": self.validator_index,
            "vault_address": self.vault.to_checksum(None),
            "validators_root": self.deposit_root,
            "public_keys": keys,
            "deposit_signatures": signatures,
            "public_key_shards": public,
            "exit_signature_shards": sealed,
            "deadline": self.deadline,
            "proof": proof,
            "proof_flags": flags,
            "proof_indexes": proof_indexes,
            "validators_manager_signature": null,
        })
    }
}

pub fn exit_root(network: &Deployment, validator_index: u64) -> B256 {
    ssz::exit_signing_root(
        network.capella_epoch,
        validator_index,
        network.capella_fork_version,
        network.genesis_validators_root,
    )
}

/// The public keys of shares of a validator's exit, and the shares, each sealed to its oracle.
pub fn shares(
    network: &Deployment,
    oracles: &[OracleKey],
    key: &ValidatorKey,
    others: &[&str],
    validator_index: u64,
) -> (Value, Value) {
    let shares = key.split(others, oracles.len());
    let root = exit_root(network, validator_index);
    let seal = |(share, oracle): (&ValidatorKey, &OracleKey)| {
        let receiver = hex::decode(format!("04{}", &oracle.public_key()[2..])).unwrap();
        hex::encode_prefixed(ecies::encrypt(&receiver, share.sign(root).as_slice()).unwrap())
    };
    let public: Vec<_> = shares.iter().map(ValidatorKey::public_key).collect();
    let sealed: Vec<_> = shares.iter().zip(oracles).map(seal).collect();
    (json!(public), json!(sealed))
}
