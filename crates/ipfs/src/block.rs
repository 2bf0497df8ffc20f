//! Blocks, each of which has been compared with its CID.

use std::collections::HashMap;

use cid::Cid;
use sha2::{Digest, Sha256};

/// The multihash codes that are understood: SHA-256, and "the digest is the block".
const SHA2_256: u64 = 0x12;
const IDENTITY: u64 = 0x00;

/// Whether the hash function of a CID is one that proves something here.
pub(crate) fn is_verifiable(cid: &Cid) -> bool {
    match cid.hash().code() {
        SHA2_256 => cid.hash().digest().len() == 32,
        // A `Cid` has room for 64 bytes, so such a block is small.
        IDENTITY => true,
        _ => false,
    }
}

/// A block that is not what its CID names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WrongBlock;

/// Verified blocks by their digest.
#[derive(Debug, Default)]
pub(crate) struct Blocks {
    by_digest: HashMap<Vec<u8>, Vec<u8>>,
    bytes: usize,
}

impl Blocks {
    /// Takes a block after comparing it with its CID.
    pub(crate) fn insert(&mut self, cid: &Cid, block: &[u8]) -> Result<(), WrongBlock> {
        let digest = cid.hash().digest();
        let right = match cid.hash().code() {
            SHA2_256 => Sha256::digest(block).as_slice() == digest,
            IDENTITY => block == digest,
            _ => false,
        };
        if !right {
            return Err(WrongBlock);
        }
        if cid.hash().code() == SHA2_256 && !self.by_digest.contains_key(digest) {
            self.bytes = self.bytes.saturating_add(block.len());
            self.by_digest.insert(digest.to_vec(), block.to_vec());
        }
        Ok(())
    }

    /// The block of a CID, if it is known.
    pub(crate) fn get<'a>(&'a self, cid: &'a Cid) -> Option<&'a [u8]> {
        match cid.hash().code() {
            SHA2_256 => self.by_digest.get(cid.hash().digest()).map(Vec::as_slice),
            IDENTITY => Some(cid.hash().digest()),
            _ => None,
        }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.by_digest.len()
    }

    /// The length of all blocks together.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Drops the blocks that are not among those wanted.
    pub(crate) fn keep(&mut self, wanted: impl Fn(&[u8]) -> bool) {
        self.by_digest.retain(|digest, _| wanted(digest));
        self.bytes = self.by_digest.values().map(Vec::len).sum();
    }
}
