//! The tree a vault commits to: its validators, in the order of the deposit data file.

use std::collections::HashMap;

use alloy_primitives::{Address, B256};
use sw_spec::{PublicKeyBytes, SignatureBytes};

use crate::{DepositDataFile, StandardTree, TreeError, standard_leaf};

/// The length of a validator's record: public key (48 bytes), signature (96), deposit data root (32).
pub const RECORD_LENGTH: usize = 176;

/// The Merkle tree whose root the deposit data manager uploads.
///
/// Its leaves are `(bytes record, uint256 index)`, the index being the entry's place in the file; records state deposits of
/// 32 ETH to the vault itself. Source: v3-core, `DepositDataRegistry.registerValidators`.
#[derive(Debug, Clone)]
pub struct ValidatorsTree {
    records: Vec<[u8; RECORD_LENGTH]>,
    tree: StandardTree,
    positions: HashMap<PublicKeyBytes, usize>,
}

/// What registers several validators at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Multiproof {
    /// The hashes that the contract cannot compute itself.
    pub proof: Vec<B256>,
    /// For each step whether its second operand is computed (`true`) or taken from `proof`.
    pub flags: Vec<bool>,
    /// For the oracles: the deposit data index of each leaf, in the order the proof takes the leaves.
    pub proof_indexes: Vec<usize>,
    /// For the contract: where in that order each validator stands, validators in registration order.
    pub indexes: Vec<usize>,
    /// The records, one after the other, in registration order.
    pub validators: Vec<u8>,
}

impl ValidatorsTree {
    /// Builds the tree of a vault's deposit data, whatever vault, amount and network the file states: those are for
    /// [`DepositDataFile::verify`] to compare.
    ///
    /// # Errors
    /// When the file has no entry.
    pub fn new(vault: Address, file: &DepositDataFile) -> Result<Self, TreeError> {
        let entries = file.entries();
        let mut records = Vec::with_capacity(entries.len());
        let mut leaves = Vec::with_capacity(entries.len());
        let mut positions = HashMap::with_capacity(entries.len());
        for (position, entry) in entries.iter().enumerate() {
            let record = record(&entry.public_key, &entry.signature, &entry.deposit_data(vault).root());
            leaves.push(leaf(&record, position));
            records.push(record);
            positions.entry(entry.public_key).or_insert(position);
        }
        Ok(Self {
            records,
            tree: StandardTree::new(&leaves)?,
            positions,
        })
    }

    /// The root that the vault commits to.
    pub fn root(&self) -> B256 {
        self.tree.root()
    }

    /// How many validators there are; never none.
    #[expect(clippy::len_without_is_empty, reason = "there is always at least one")]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// The tree under it.
    pub fn tree(&self) -> &StandardTree {
        &self.tree
    }

    /// The validator at a place of the file.
    pub fn public_key(&self, index: usize) -> Option<PublicKeyBytes> {
        self.records.get(index)?.first_chunk().copied().map(PublicKeyBytes)
    }

    /// The signature of its deposit.
    pub fn signature(&self, index: usize) -> Option<SignatureBytes> {
        let (_, rest) = self.records.get(index)?.split_at(PublicKeyBytes::LENGTH);
        rest.first_chunk().copied().map(SignatureBytes)
    }

    /// Where a validator stands first in the file.
    pub fn position(&self, public_key: &PublicKeyBytes) -> Option<usize> {
        self.positions.get(public_key).copied()
    }

    /// The record that registers a validator: public key, signature, deposit data root.
    pub fn record(&self, index: usize) -> Option<[u8; RECORD_LENGTH]> {
        self.records.get(index).copied()
    }

    /// What proves a single validator.
    pub fn proof(&self, index: usize) -> Option<Vec<B256>> {
        self.tree.proof(index)
    }

    /// What proves several validators, given by their places in the order they are to be registered.
    ///
    /// # Errors
    /// When none is selected, one is not there, or one is selected twice.
    pub fn multiproof(&self, selection: &[usize]) -> Result<Multiproof, TreeError> {
        let proof = self.tree.multiproof(selection)?;
        let order: HashMap<usize, usize> = proof.leaves.iter().copied().zip(0..).collect();
        Ok(Multiproof {
            indexes: selection
                .iter()
                .filter_map(|position| order.get(position).copied())
                .collect(),
            validators: selection
                .iter()
                .filter_map(|position| self.records.get(*position))
                .flatten()
                .copied()
                .collect(),
            proof: proof.proof,
            flags: proof.flags,
            proof_indexes: proof.leaves,
        })
    }
}

fn record(public_key: &PublicKeyBytes, signature: &SignatureBytes, root: &B256) -> [u8; RECORD_LENGTH] {
    let mut record = [0; RECORD_LENGTH];
    let fields = public_key.0.iter().chain(&signature.0).chain(&root.0);
    record.iter_mut().zip(fields).for_each(|(slot, byte)| *slot = *byte);
    record
}

/// The leaf of a record: `abi.encode(bytes record, uint256 index)`, hashed.
fn leaf(record: &[u8; RECORD_LENGTH], index: usize) -> B256 {
    // Two words of head (where the bytes start, the index), one of length, and the bytes padded to full words.
    let mut encoded = [0; 3 * WORD + RECORD_LENGTH.next_multiple_of(WORD)];
    let (head, body) = encoded.split_at_mut(3 * WORD);
    put_word(head, 0, 2 * WORD);
    put_word(head, 1, index);
    put_word(head, 2, RECORD_LENGTH);
    body.iter_mut().zip(record).for_each(|(slot, byte)| *slot = *byte);
    standard_leaf(&encoded)
}

fn put_word(head: &mut [u8], position: usize, value: usize) {
    if let Some(word) = head.chunks_exact_mut(WORD).nth(position) {
        word.iter_mut()
            .rev()
            .zip(value.to_le_bytes())
            .for_each(|(slot, byte)| *slot = byte);
    }
}

const WORD: usize = 32;
