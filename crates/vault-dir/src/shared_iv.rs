//! Keystores whose key streams overlap.
//!
//! AES in counter mode encrypts by XOR with a stream that only the key and the initialisation vector decide. Two keystores of
//! one password, one salt and one vector have the same stream: the XOR of their ciphertexts, which anybody who reads the files
//! can compute, is the XOR of their secret keys. The original's version 1 wrote such files. A secret key takes two blocks of
//! the stream (NIST SP 800-38A, section 6.5), so vectors that follow each other overlap as well.

use sw_keys::Keystore;

/// The positions of those that share some of their streams, if their passwords are the same; in groups.
pub(crate) fn overlapping<'a>(keystores: impl Iterator<Item = (usize, &'a Keystore)>) -> Vec<Vec<usize>> {
    let mut streams: Vec<(usize, u128, usize)> = keystores
        .map(|(kdf, keystore)| (kdf, u128::from_be_bytes(*keystore.iv())))
        .enumerate()
        .map(|(position, (kdf, iv))| (kdf, iv, position))
        .collect();
    streams.sort_unstable();
    let mut groups = Vec::new();
    for of_one_kdf in streams.chunk_by(|one, next| one.0 == next.0) {
        let mut runs: Vec<&[(usize, u128, usize)]> = of_one_kdf
            .chunk_by(|one, next| next.1.abs_diff(one.1) < BLOCKS)
            .collect();
        let mut joined = Vec::new();
        // The counter goes on at zero after its end.
        let around = matches!((of_one_kdf.first(), of_one_kdf.last()), (Some(first), Some(last)) if first.1.wrapping_sub(last.1) < BLOCKS && first.1 != last.1);
        if around && runs.len() > 1 {
            joined.extend_from_slice(runs.pop().unwrap_or_default());
        }
        for run in runs {
            joined.extend_from_slice(run);
            if joined.len() > 1 {
                groups.push(joined.iter().map(|(_, _, position)| *position).collect());
            }
            joined.clear();
        }
    }
    groups
}

/// A secret key has 32 bytes, a block 16.
const BLOCKS: u128 = 2;
