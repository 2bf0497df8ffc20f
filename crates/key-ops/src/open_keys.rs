//! The vault directory's keystores as a source of keys for a signer.

use std::error::Error;

use sw_keys::SecretKey;
use sw_signers::OpenKey;
use sw_spec::PublicKeyBytes;
use sw_vault_dir::{KeystoreIndex, Opening};

/// Keystores that are opened when a signer first needs their key.
#[derive(Debug)]
pub struct KeystoreKeys {
    index: KeystoreIndex,
    opening: Opening,
}

impl KeystoreKeys {
    /// The keystores of an index, and what may be taken of the machine to open them.
    pub fn new(index: KeystoreIndex, opening: Opening) -> Self {
        Self { index, opening }
    }
}

impl From<KeystoreIndex> for KeystoreKeys {
    fn from(index: KeystoreIndex) -> Self {
        Self::new(index, Opening::default())
    }
}

impl OpenKey for KeystoreKeys {
    fn contains(&self, public_key: &PublicKeyBytes) -> bool {
        self.index.contains(public_key)
    }

    fn len(&self) -> usize {
        self.index.len()
    }

    fn open(&self, public_key: &PublicKeyBytes) -> Result<SecretKey, Box<dyn Error + Send + Sync>> {
        Ok(self.index.open(public_key)?)
    }

    fn open_many(&self, public_keys: &[PublicKeyBytes]) -> Vec<Result<SecretKey, Box<dyn Error + Send + Sync>>> {
        let opened = self.index.open_many(public_keys, self.opening).into_iter();
        opened.map(|opened| Ok(opened?)).collect()
    }
}
