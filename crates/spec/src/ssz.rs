//! The part of SSZ Merkleization that the containers here need.
//!
//! Source: consensus specs, `ssz/simple-serialize.md`, "Merkleization".

use alloy_primitives::B256;
use sha2::{Digest, Sha256};

/// Returns SHA-256 of two 32-byte chunks.
pub fn hash_pair(left: B256, right: B256) -> B256 {
    let mut hasher = Sha256::new();
    hasher.update(left);
    hasher.update(right);
    B256::from_slice(&hasher.finalize())
}

/// Returns the root of a tree over `chunks`, padded with zero chunks to the next power of two.
pub fn merkleize(chunks: &[B256]) -> B256 {
    let mut layer = chunks.to_vec();
    layer.resize(chunks.len().next_power_of_two(), B256::ZERO);
    while layer.len() > 1 {
        layer = layer
            .chunks_exact(2)
            .map(|pair| match pair {
                [left, right] => hash_pair(*left, *right),
                _ => B256::ZERO,
            })
            .collect();
    }
    layer.first().copied().unwrap_or(B256::ZERO)
}

/// Returns the chunk of a `uint64`: little-endian, zero-padded to 32 bytes.
pub(crate) fn uint64_chunk(value: u64) -> B256 {
    let mut chunk = [0; 32];
    chunk[..8].copy_from_slice(&value.to_le_bytes());
    B256::from(chunk)
}

/// Returns the root of a `ByteVector[N]`: its bytes in 32-byte chunks, the last one zero-padded.
pub(crate) fn byte_vector_root(bytes: &[u8]) -> B256 {
    let chunks: Vec<B256> = bytes.chunks(32).map(B256::right_padding_from).collect();
    merkleize(&chunks)
}
