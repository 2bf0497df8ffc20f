//! No two secrets under one key stream.

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
};

use sw_keys::{KdfParams, Keystore};

use crate::BatchError;

/// The counter blocks that keystores with equal derivations have used.
///
/// AES-CTR turns an initialization vector of 16 bytes, a big-endian number, into a block of key stream for it and for each
/// number after it. A secret takes two blocks. Two secrets that share a block under one key give away the difference of
/// their halves, so no two vectors may be equal or follow each other.
#[derive(Debug, Default)]
pub(crate) struct CounterBlocks(HashMap<KdfParams, BTreeMap<u128, PathBuf>>);

impl CounterBlocks {
    /// Takes note of a keystore's blocks, or names the keystore that uses one of them already.
    pub(crate) fn take(&mut self, keystore: &Keystore, path: &Path) -> Result<(), BatchError> {
        self.check(keystore, path)?;
        let first = u128::from_be_bytes(*keystore.iv());
        self.0
            .entry(keystore.kdf().clone())
            .or_default()
            .insert(first, path.to_owned());
        Ok(())
    }

    pub(crate) fn check(&self, keystore: &Keystore, path: &Path) -> Result<(), BatchError> {
        let Some(used) = self.0.get(keystore.kdf()) else {
            return Ok(());
        };
        let first = u128::from_be_bytes(*keystore.iv());
        let near = [first.wrapping_sub(1), first, first.wrapping_add(1)];
        match near.iter().find_map(|number| used.get(number)) {
            None => Ok(()),
            Some(other) => Err(BatchError::KeyStream {
                keystore: path.to_owned(),
                other: other.clone(),
            }),
        }
    }
}
