//! The deposit data tree as the contracts check it: OpenZeppelin's multiproof over double-hashed leaves.

use std::collections::VecDeque;

use alloy::{
    primitives::{B256, Bytes, U256, keccak256},
    sol_types::SolValue,
};

/// `keccak256(bytes.concat(keccak256(abi.encode(validator, index))))` of the DepositDataRegistry.
pub(super) fn leaf(record: &[u8], index: u64) -> B256 {
    let encoded = (Bytes::copy_from_slice(record), U256::from(index)).abi_encode_params();
    keccak256(keccak256(encoded))
}

/// The root that leaves, proof and flags lead to (`MerkleProof.processMultiProof`), or nothing if they do not fit.
pub(super) fn process_multi_proof(leaves: &[B256], proof: &[B256], flags: &[bool]) -> Option<B256> {
    if leaves.len() + proof.len() != flags.len() + 1 {
        return None;
    }
    let mut queue: VecDeque<B256> = leaves.iter().copied().collect();
    let mut proof: VecDeque<B256> = proof.iter().copied().collect();
    for flag in flags {
        let left = queue.pop_front()?;
        let right = if *flag { queue.pop_front()? } else { proof.pop_front()? };
        queue.push_back(pair(left, right));
    }
    match (queue.len(), proof.len()) {
        (1, 0) => queue.pop_front(),
        (0, 1) => proof.pop_front(),
        _ => None,
    }
}

fn pair(left: B256, right: B256) -> B256 {
    let (first, second) = if left < right { (left, right) } else { (right, left) };
    keccak256([first.0, second.0].concat())
}
