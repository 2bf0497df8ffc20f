//! The vault directory's keystores as a source of keys for a signer.

use std::error::Error;

use sw_keys::SecretKey;
use sw_signers::OpenKey;
use sw_spec::PublicKeyBytes;
use sw_vault_dir::KeystoreIndex;

/// Keystores that are opened when a signer first needs their key.
#[derive(Debug)]
pub struct KeystoreKeys(KeystoreIndex);

impl From<KeystoreIndex> for KeystoreKeys {
    fn from(index: KeystoreIndex) -> Self {
        Self(index)
    }
}

impl OpenKey for KeystoreKeys {
    fn contains(&self, public_key: &PublicKeyBytes) -> bool {
        self.0.contains(public_key)
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn open(&self, public_key: &PublicKeyBytes) -> Result<SecretKey, Box<dyn Error + Send + Sync>> {
        Ok(self.0.open(public_key)?)
    }
}
