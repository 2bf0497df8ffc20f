//! Keys in this process's memory.

use std::{collections::HashMap, error::Error, sync::Arc};

use async_trait::async_trait;
use sw_keys::SecretKey;
use sw_spec::{B256, DepositMessage, NetworkSpec, PublicKeyBytes, SignatureBytes};
use tokio::{sync::Mutex, task::spawn_blocking};

use crate::{SignerError, ValidatorSigner, verified};

/// Where keys are kept until they are needed. The methods may block.
pub trait OpenKey: Send + Sync + 'static {
    /// Whether there is a key for this validator.
    fn contains(&self, public_key: &PublicKeyBytes) -> bool;

    /// The number of keys.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Opens the key of this validator, which may take seconds.
    ///
    /// # Errors
    /// Whatever keeps it closed; the error names the file.
    fn open(&self, public_key: &PublicKeyBytes) -> Result<SecretKey, Box<dyn Error + Send + Sync>>;
}

/// Signs with keys that it opens when they are first needed, and then keeps open.
///
/// Keys are opened one at a time: a scrypt key derivation takes 256 MiB.
pub struct LocalSigner<K> {
    keys: Arc<K>,
    opened: Mutex<HashMap<PublicKeyBytes, Arc<SecretKey>>>,
}

impl<K: OpenKey> LocalSigner<K> {
    /// Signs with these keys. None is opened yet.
    pub fn new(keys: K) -> Self {
        Self {
            keys: Arc::new(keys),
            opened: Mutex::default(),
        }
    }

    /// The store the keys come from.
    pub fn keys(&self) -> &K {
        &self.keys
    }

    async fn opened(&self, public_key: &PublicKeyBytes) -> Result<Arc<SecretKey>, SignerError> {
        let public_key = *public_key;
        if !self.keys.contains(&public_key) {
            return Err(SignerError::UnknownKey(public_key));
        }
        let mut opened = self.opened.lock().await;
        if let Some(key) = opened.get(&public_key) {
            return Ok(Arc::clone(key));
        }
        let keys = Arc::clone(&self.keys);
        let key = spawn_blocking(move || keys.open(&public_key))
            .await
            .map_err(|source| SignerError::Interrupted {
                public_key,
                source: source.into(),
            })?
            .map_err(|source| SignerError::Open { public_key, source })?;
        let actual = key.public_key().to_bytes();
        if actual != public_key {
            return Err(SignerError::OtherKey {
                expected: public_key,
                actual,
            });
        }
        let key = Arc::new(key);
        opened.insert(public_key, Arc::clone(&key));
        Ok(key)
    }

    async fn sign(&self, public_key: &PublicKeyBytes, root: B256) -> Result<SignatureBytes, SignerError> {
        let (key, public_key) = (self.opened(public_key).await?, *public_key);
        spawn_blocking(move || verified(key.sign(&root).to_bytes(), &root, &public_key))
            .await
            .map_err(|source| SignerError::Interrupted {
                public_key,
                source: source.into(),
            })?
    }
}

#[async_trait]
impl<K: OpenKey> ValidatorSigner for LocalSigner<K> {
    fn holds(&self, public_key: &PublicKeyBytes) -> bool {
        self.keys.contains(public_key)
    }

    fn key_count(&self) -> usize {
        self.keys.len()
    }

    async fn sign_deposit(
        &self,
        public_key: &PublicKeyBytes,
        message: &DepositMessage,
        network: &NetworkSpec,
    ) -> Result<SignatureBytes, SignerError> {
        if message.public_key != *public_key {
            return Err(SignerError::OtherDeposit {
                signer: *public_key,
                depositor: message.public_key,
            });
        }
        self.sign(public_key, message.signing_root(network.genesis_fork_version))
            .await
    }

    async fn sign_exit(
        &self,
        public_key: &PublicKeyBytes,
        validator_index: u64,
        network: &NetworkSpec,
    ) -> Result<SignatureBytes, SignerError> {
        self.sign(public_key, network.exit_signing_root(validator_index)).await
    }
}
