//! What the contracts do with proofs: `MerkleProof.verify`, `multiProofVerify`, and how `DepositDataRegistry` places the
//! leaves of several validators, written from the Solidity and not from the code under test.

use sw_spec::B256;

/// `MerkleProof.verify`.
pub fn verify(proof: &[B256], root: B256, leaf: B256) -> bool {
    proof
        .iter()
        .fold(leaf, |computed, sibling| hash_pair(computed, *sibling))
        == root
}

/// `MerkleProof.processMultiProof` of OpenZeppelin 5: the root that the proof leads to, or nothing where it reverts.
pub fn process_multiproof(proof: &[B256], flags: &[bool], leaves: &[B256]) -> Option<B256> {
    if leaves.len() + proof.len() != flags.len() + 1 {
        return None;
    }
    let mut hashes = Vec::new();
    let (mut leaf_position, mut hash_position, mut proof_position) = (0, 0, 0);
    for flag in flags {
        let mut next = || {
            if leaf_position < leaves.len() {
                leaf_position += 1;
                leaves.get(leaf_position - 1).copied()
            } else {
                hash_position += 1;
                hashes.get(hash_position - 1).copied()
            }
        };
        let first = next()?;
        let second = if *flag {
            next()?
        } else {
            proof_position += 1;
            proof.get(proof_position - 1).copied()?
        };
        hashes.push(hash_pair(first, second));
    }
    if !flags.is_empty() && proof_position != proof.len() {
        return None;
    }
    hashes.last().or(leaves.first()).or(proof.first()).copied()
}

/// `Hashes.commutativeKeccak256`.
fn hash_pair(one: B256, other: B256) -> B256 {
    let (low, high) = if one.0 < other.0 { (one, other) } else { (other, one) };
    alloy_primitives::keccak256([low.0, high.0].concat())
}
