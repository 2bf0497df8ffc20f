//! The deposit contract's own proof that no deposit was left out, altered or made up.

use std::fmt;

use alloy_primitives::B256;

use crate::ssz::{hash_pair, uint64_chunk};

/// Levels of the tree (consensus specs, `DEPOSIT_CONTRACT_TREE_DEPTH`).
const DEPTH: usize = 32;

/// The deposit contract's incremental Merkle tree: folds deposits in their order into the root that the contract gives.
///
/// Of all leaves it keeps one hash a level, so that it can be stored, and taken up again, at any deposit.
///
/// Source: consensus specs, `solidity_deposit_contract/deposit_contract.sol`.
#[derive(Clone, PartialEq, Eq)]
pub struct DepositTree {
    /// For each level whose bit of `count` is set: the root of the left half that is full. Zero elsewhere.
    branch: Box<[B256; DEPTH]>,
    count: u64,
}

/// A tree that takes no further deposit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the deposit contract's tree holds no more than {} deposits", DepositTree::CAPACITY)]
pub struct DepositTreeFull;

/// Bytes that are no stored tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a deposit tree: {} bytes are expected, the count below 2^32, and hashes only where the count says so",
    DepositTree::LENGTH
)]
pub struct MalformedDepositTree;

impl DepositTree {
    /// The number of bytes that [`DepositTree::to_bytes`] gives.
    pub const LENGTH: usize = 8 + 32 * DEPTH;
    /// How many deposits there can be.
    pub const CAPACITY: u64 = (1 << DEPTH) - 1;

    /// The tree without deposits.
    pub fn new() -> Self {
        Self {
            branch: Box::new([B256::ZERO; DEPTH]),
            count: 0,
        }
    }

    /// The tree of a contract whose storage holds this `branch` and this count.
    ///
    /// # Errors
    /// More deposits than the tree can hold.
    pub fn from_branch(mut branch: [B256; DEPTH], count: u64) -> Result<Self, DepositTreeFull> {
        if count > Self::CAPACITY {
            return Err(DepositTreeFull);
        }
        // The contract leaves what is no longer needed where it was.
        for (level, node) in branch.iter_mut().enumerate() {
            if !is_full(count, level) {
                *node = B256::ZERO;
            }
        }
        Ok(Self {
            branch: Box::new(branch),
            count,
        })
    }

    /// Adds a deposit: the `hash_tree_root` of its [`DepositData`](crate::DepositData).
    ///
    /// # Errors
    /// The tree is full, and stays as it is.
    pub fn push(&mut self, leaf: B256) -> Result<(), DepositTreeFull> {
        if self.count >= Self::CAPACITY {
            return Err(DepositTreeFull);
        }
        let mut node = leaf;
        for (level, left) in self.branch.iter_mut().enumerate() {
            if !is_full(self.count, level) {
                *left = node;
                break;
            }
            node = hash_pair(std::mem::take(left), node);
        }
        self.count += 1;
        Ok(())
    }

    /// How many deposits there are: what `get_deposit_count` gives, as a number.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// What `get_deposit_root` gives: the root of the leaves, with their count mixed in.
    pub fn root(&self) -> B256 {
        let (mut node, mut zero) = (B256::ZERO, B256::ZERO);
        for (level, left) in self.branch.iter().enumerate() {
            node = if is_full(self.count, level) {
                hash_pair(*left, node)
            } else {
                hash_pair(node, zero)
            };
            zero = hash_pair(zero, zero);
        }
        hash_pair(node, uint64_chunk(self.count))
    }

    /// The bytes to store: the count, little-endian, then the branch from the leaves upwards.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(Self::LENGTH);
        bytes.extend(self.count.to_le_bytes());
        bytes.extend(self.branch.iter().flatten());
        bytes
    }

    /// Reads what [`DepositTree::to_bytes`] wrote.
    ///
    /// # Errors
    /// The bytes are something else. A changed hash cannot be told: only the contract's root tells it.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, MalformedDepositTree> {
        let (count, hashes) = bytes.split_first_chunk::<8>().ok_or(MalformedDepositTree)?;
        let (hashes, rest) = hashes.as_chunks::<32>();
        let hashes: &[[u8; 32]; DEPTH] = hashes.try_into().map_err(|_| MalformedDepositTree)?;
        let read = Self {
            branch: Box::new(hashes.map(B256::from)),
            count: u64::from_le_bytes(*count),
        };
        match Self::from_branch(*read.branch, read.count) {
            Ok(tree) if tree == read && rest.is_empty() => Ok(tree),
            _ => Err(MalformedDepositTree),
        }
    }
}

impl Default for DepositTree {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for DepositTree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DepositTree")
            .field("count", &self.count)
            .field("root", &self.root())
            .finish()
    }
}

/// Whether the left half at this level is full.
fn is_full(count: u64, level: usize) -> bool {
    count >> level & 1 == 1
}

#[cfg(test)]
mod tests {
    use alloy_primitives::b256;

    use super::*;

    fn leaf(number: u64) -> B256 {
        hash_pair(uint64_chunk(number), B256::repeat_byte(7))
    }

    /// The root over all leaves at once, as the SSZ list of deposits has it.
    fn whole(leaves: &[B256]) -> B256 {
        let (mut layer, mut zero) = (leaves.to_vec(), B256::ZERO);
        for _ in 0..DEPTH {
            if !layer.len().is_multiple_of(2) {
                layer.push(zero);
            }
            let pairs = layer.chunks_exact(2);
            layer = pairs
                .map(|pair| hash_pair(*pair.first().expect("two"), *pair.last().expect("two")))
                .collect();
            zero = hash_pair(zero, zero);
        }
        let root = layer.first().copied().unwrap_or(zero);
        hash_pair(root, uint64_chunk(u64::try_from(leaves.len()).expect("few")))
    }

    /// What `get_deposit_root` gave on every network at its first block.
    #[test]
    fn the_empty_tree_has_the_root_every_network_began_with() {
        let root = b256!("d70a234731285c6804c2a4f56711ddb8c82c99740f207854891028af34e27e5e");
        assert_eq!(DepositTree::new().root(), root);
    }

    #[test]
    fn after_each_deposit_the_root_is_that_of_all_leaves_and_the_stored_tree_is_the_same() {
        let (mut tree, mut leaves) = (DepositTree::new(), Vec::new());
        for number in 0..140 {
            assert_eq!((tree.root(), tree.count()), (whole(&leaves), number));
            let bytes = tree.to_bytes();
            assert_eq!(bytes.len(), DepositTree::LENGTH);
            assert_eq!(DepositTree::from_bytes(&bytes), Ok(tree.clone()));
            leaves.push(leaf(number));
            tree.push(leaf(number)).expect("room");
        }
    }

    #[test]
    fn what_the_contract_leaves_in_its_storage_makes_no_difference() {
        let mut tree = DepositTree::new();
        for number in 0..44 {
            tree.push(leaf(number)).expect("room");
        }
        let stale = tree
            .branch
            .map(|node| if node.is_zero() { B256::repeat_byte(0xee) } else { node });
        assert_eq!(DepositTree::from_branch(stale, 44), Ok(tree));
    }

    #[test]
    fn a_full_tree_takes_no_more_and_its_branch_is_never_left() {
        let mut tree =
            DepositTree::from_branch([B256::repeat_byte(1); DEPTH], DepositTree::CAPACITY - 1).expect("fits");
        assert_eq!(tree.push(leaf(0)), Ok(()));
        let before = tree.clone();
        assert_eq!(
            (tree.push(leaf(1)), tree.count()),
            (Err(DepositTreeFull), DepositTree::CAPACITY)
        );
        assert_eq!(tree, before);
        assert_eq!(
            DepositTree::from_branch([B256::ZERO; DEPTH], DepositTree::CAPACITY + 1),
            Err(DepositTreeFull)
        );
    }

    #[test]
    fn bytes_of_another_length_or_with_hashes_that_the_count_does_not_have_are_refused() {
        let mut tree = DepositTree::new();
        tree.push(leaf(0)).expect("room");
        let sound = tree.to_bytes();
        let refused = |bytes: &[u8]| assert_eq!(DepositTree::from_bytes(bytes), Err(MalformedDepositTree));
        refused(&[]);
        refused(sound.get(..sound.len() - 1).expect("long"));
        refused(&[sound.as_slice(), &[0]].concat());
        let changed = |at: usize| {
            let mut bytes = sound.clone();
            *bytes.get_mut(at).expect("within") ^= 1;
            bytes
        };
        refused(&changed(0));
        refused(&changed(4));
        refused(&changed(8 + 32));
        assert_ne!(
            DepositTree::from_bytes(&changed(8)).expect("a tree").root(),
            tree.root()
        );
    }
}
