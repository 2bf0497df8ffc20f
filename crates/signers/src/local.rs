//! Keys in this process's memory.

use std::{
    collections::HashMap,
    error::Error,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use sw_keys::SecretKey;
use sw_spec::{B256, DepositMessage, NetworkSpec, PublicKeyBytes, SignatureBytes};
use tokio::task::spawn_blocking;

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

    /// Opens the keys of these validators, in order: one by one, unless the store knows a quicker way.
    fn open_many(&self, public_keys: &[PublicKeyBytes]) -> Vec<Result<SecretKey, Box<dyn Error + Send + Sync>>> {
        public_keys.iter().map(|public_key| self.open(public_key)).collect()
    }
}

/// Signs with keys that it opens when they are first needed, and then keeps open until they are forgotten.
///
/// The store is asked by one caller at a time: opening a key takes memory, and the store knows how much it may.
pub struct LocalSigner<K> {
    keys: Arc<K>,
    opened: Arc<Mutex<HashMap<PublicKeyBytes, Arc<SecretKey>>>>,
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl<K: OpenKey> LocalSigner<K> {
    /// Signs with these keys. None is opened yet.
    pub fn new(keys: K) -> Self {
        Self {
            keys: Arc::new(keys),
            opened: Arc::default(),
            turn: Arc::default(),
        }
    }

    /// The store the keys come from.
    pub fn keys(&self) -> &K {
        &self.keys
    }

    async fn opened(&self, public_key: &PublicKeyBytes) -> Result<Arc<SecretKey>, SignerError> {
        if !self.keys.contains(public_key) {
            return Err(SignerError::UnknownKey(*public_key));
        }
        if let Some(key) = locked(&self.opened).get(public_key) {
            return Ok(Arc::clone(key));
        }
        self.open(&[*public_key])
            .await
            .pop()
            .unwrap_or(Err(SignerError::UnknownKey(*public_key)))
    }

    /// Opens those that are not open. Dropping this does not stop the store: what it opens is kept, and the next caller waits.
    async fn open(&self, public_keys: &[PublicKeyBytes]) -> Vec<Result<Arc<SecretKey>, SignerError>> {
        let turn = Arc::clone(&self.turn).lock_owned().await;
        let (keys, opened, wanted) = (Arc::clone(&self.keys), Arc::clone(&self.opened), public_keys.to_vec());
        let work = spawn_blocking(move || {
            let _turn = turn;
            open_missing(&*keys, &opened, &wanted)
        });
        work.await.unwrap_or_else(|source| {
            let first = public_keys.first().copied();
            let interrupted = first.map(|public_key| SignerError::Interrupted {
                public_key,
                source: source.into(),
            });
            interrupted.into_iter().map(Err).collect()
        })
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

/// The keys of `wanted`, in order.
fn open_missing(
    keys: &impl OpenKey,
    opened: &Mutex<HashMap<PublicKeyBytes, Arc<SecretKey>>>,
    wanted: &[PublicKeyBytes],
) -> Vec<Result<Arc<SecretKey>, SignerError>> {
    let missing: Vec<PublicKeyBytes> = {
        let opened = locked(opened);
        wanted.iter().filter(|key| !opened.contains_key(key)).copied().collect()
    };
    let mut refused = HashMap::new();
    for (public_key, key) in missing.iter().zip(keys.open_many(&missing)) {
        match key.map(|key| (key.public_key().to_bytes(), key)) {
            Ok((actual, key)) if actual == *public_key => {
                locked(opened).insert(*public_key, Arc::new(key));
            }
            Ok((actual, _)) => {
                let expected = *public_key;
                refused.insert(expected, SignerError::OtherKey { expected, actual });
            }
            Err(source) => {
                let public_key = *public_key;
                refused.insert(public_key, SignerError::Open { public_key, source });
            }
        }
    }
    let opened = locked(opened);
    wanted
        .iter()
        .map(
            |public_key| match (opened.get(public_key), refused.remove(public_key)) {
                (_, Some(error)) => Err(error),
                (Some(key), None) => Ok(Arc::clone(key)),
                (None, None) => Err(SignerError::UnknownKey(*public_key)),
            },
        )
        .collect()
}

/// What the mutex guards is valid after every statement, so a panic elsewhere does not spoil it.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many keys are opened before whoever waits for another gets a turn.
const AT_ONCE: usize = 16;

#[async_trait]
impl<K: OpenKey> ValidatorSigner for LocalSigner<K> {
    fn holds(&self, public_key: &PublicKeyBytes) -> bool {
        self.keys.contains(public_key)
    }

    fn key_count(&self) -> usize {
        self.keys.len()
    }

    async fn prepare(&self, public_keys: &[PublicKeyBytes]) -> Vec<(PublicKeyBytes, SignerError)> {
        let mut refused = Vec::new();
        let held: Vec<PublicKeyBytes> = public_keys.iter().filter(|key| self.holds(key)).copied().collect();
        for few in held.chunks(AT_ONCE) {
            let opened = few.iter().copied().zip(self.open(few).await);
            refused.extend(opened.filter_map(|(public_key, opened)| Some((public_key, opened.err()?))));
        }
        refused
    }

    fn forget(&self, public_keys: &[PublicKeyBytes]) {
        let mut opened = locked(&self.opened);
        for public_key in public_keys {
            opened.remove(public_key);
        }
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
