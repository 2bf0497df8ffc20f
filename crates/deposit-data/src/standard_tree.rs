//! OpenZeppelin's standard Merkle tree, over the hashes of its leaves.
//!
//! Source: npm `@openzeppelin/merkle-tree` 1.0.8 (its layout and proofs) and the contract library `MerkleProof` (what
//! verifies them).

use alloy_primitives::{B256, Keccak256, keccak256};

/// A standard Merkle tree.
///
/// The nodes form a heap: the root is node 0, the children of node `i` are `2i + 1` and `2i + 2`, and the leaves, sorted by
/// hash, fill the end from the back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StandardTree {
    nodes: Vec<B256>,
    /// The node of each leaf, in the order the leaves were given.
    leaf_nodes: Vec<usize>,
}

/// What proves several leaves of a [`StandardTree`] at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StandardProof {
    /// The hashes that the contract cannot compute itself.
    pub proof: Vec<B256>,
    /// For each step whether its second operand is computed (`true`) or taken from `proof`.
    pub flags: Vec<bool>,
    /// The leaves, by the position they were given at, in the order the contract must be handed their hashes.
    pub leaves: Vec<usize>,
}

/// Why a tree or a proof cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TreeError {
    /// A tree of no leaves has no root.
    #[error("a tree needs at least one leaf")]
    Empty,
    /// A proof of no leaves proves nothing.
    #[error("a proof needs at least one leaf")]
    NothingSelected,
    /// The tree has fewer leaves.
    #[error("there is no leaf {position} in a tree of {leaves}")]
    OutOfRange {
        /// What was asked for, from 0.
        position: usize,
        /// How many there are.
        leaves: usize,
    },
    /// A leaf was selected twice, which no contract accepts.
    #[error("leaf {0} is selected twice")]
    SelectedTwice(usize),
}

/// The hash of a leaf: Keccak-256 twice over its ABI-encoded value, so that no inner node can pass for a leaf.
pub fn standard_leaf(encoded: &[u8]) -> B256 {
    keccak256(keccak256(encoded))
}

impl StandardTree {
    /// Builds the tree over hashes of leaves, in any order.
    ///
    /// # Errors
    /// When there are none.
    pub fn new(leaves: &[B256]) -> Result<Self, TreeError> {
        let inner = leaves.len().checked_sub(1).ok_or(TreeError::Empty)?;
        let mut sorted: Vec<(B256, usize)> = leaves.iter().copied().zip(0..).collect();
        sorted.sort_unstable();
        let mut leaf_nodes = vec![0; leaves.len()];
        let mut nodes = vec![B256::ZERO; inner];
        for (hash, position) in sorted.into_iter().rev() {
            if let Some(node) = leaf_nodes.get_mut(position) {
                *node = nodes.len();
            }
            nodes.push(hash);
        }
        for node in (0..inner).rev() {
            let (parents, children) = nodes.split_at_mut(node + 1);
            // The children of `node` stand at 2 node + 1 and 2 node + 2, that is at `node` behind the split.
            if let (Some(parent), Some([left, right])) = (
                parents.last_mut(),
                children.get(node..).and_then(|rest| rest.first_chunk()),
            ) {
                *parent = hash_sorted(left, right);
            }
        }
        Ok(Self { nodes, leaf_nodes })
    }

    /// The root.
    pub fn root(&self) -> B256 {
        self.node(0)
    }

    /// All nodes, in the layout of the library's `dump()`.
    pub fn nodes(&self) -> &[B256] {
        &self.nodes
    }

    /// How many leaves there are; never none.
    pub fn leaf_count(&self) -> usize {
        self.leaf_nodes.len()
    }

    /// The node of a leaf.
    pub fn leaf_node(&self, position: usize) -> Option<usize> {
        self.leaf_nodes.get(position).copied()
    }

    /// The siblings on a leaf's way to the root.
    pub fn proof(&self, position: usize) -> Option<Vec<B256>> {
        let way = std::iter::successors(Some(self.leaf_node(position)?), |node| parent(*node));
        Some(way.filter_map(sibling).map(|node| self.node(node)).collect())
    }

    /// One proof for several leaves.
    ///
    /// # Errors
    /// When no leaf is selected, one is not there, or one is selected twice.
    pub fn multiproof(&self, positions: &[usize]) -> Result<StandardProof, TreeError> {
        let mut selected = positions
            .iter()
            .map(|position| self.selected(*position))
            .collect::<Result<Vec<_>, _>>()?;
        selected.sort_unstable_by(|left, right| right.cmp(left));
        let twice = selected.windows(2).find_map(|pair| match pair {
            [left, right] if left == right => Some(left.1),
            _ => None,
        });
        if let Some(position) = twice {
            return Err(TreeError::SelectedTwice(position));
        }
        if selected.is_empty() {
            return Err(TreeError::NothingSelected);
        }
        let (mut proof, mut flags) = (Vec::new(), Vec::new());
        let mut queue: std::collections::VecDeque<usize> = selected.iter().map(|(node, _)| *node).collect();
        while let Some(node) = queue.pop_front() {
            let (Some(sibling), Some(parent)) = (sibling(node), parent(node)) else {
                break;
            };
            if queue.front() == Some(&sibling) {
                queue.pop_front();
                flags.push(true);
            } else {
                proof.push(self.node(sibling));
                flags.push(false);
            }
            queue.push_back(parent);
        }
        Ok(StandardProof {
            proof,
            flags,
            leaves: selected.into_iter().map(|(_, position)| position).collect(),
        })
    }

    fn selected(&self, position: usize) -> Result<(usize, usize), TreeError> {
        let node = self.leaf_node(position);
        node.map(|node| (node, position)).ok_or(TreeError::OutOfRange {
            position,
            leaves: self.leaf_count(),
        })
    }

    fn node(&self, node: usize) -> B256 {
        self.nodes.get(node).copied().unwrap_or_default()
    }
}

/// The hash of an inner node: of its children, the smaller first.
fn hash_sorted(left: &B256, right: &B256) -> B256 {
    let (first, second) = if left <= right { (left, right) } else { (right, left) };
    let mut hasher = Keccak256::new();
    hasher.update(first);
    hasher.update(second);
    hasher.finalize()
}

fn parent(node: usize) -> Option<usize> {
    node.checked_sub(1).map(|before| before / 2)
}

fn sibling(node: usize) -> Option<usize> {
    match node {
        0 => None,
        left if left % 2 == 1 => Some(left + 1),
        right => Some(right - 1),
    }
}
