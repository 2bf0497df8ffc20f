//! From keys to the files that hold them: encrypted, opened again, and named as the original names them.

use rand_core::CryptoRng;
use sw_keys::{
    DerivedKey, KdfError, KdfParams, KeyPath, Keystore, KeystoreError, SecretKey, SecretString, Stretcher,
    ValidatorKeys, generate_password,
};

use crate::{
    Progress, Stage, Workers,
    workers::{SharedRng, map_in_parallel, map_in_parallel_with},
};

/// How keystores are encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passwords {
    /// One password for the vault, in `keystores/password.txt`; it is made with the first keystore and used again later.
    ///
    /// One key derivation, with a fresh salt, serves all keystores of a run; each has its own initialization vector.
    Shared,
    /// One password for the vault, and a salt, so a key derivation, for each keystore.
    SharedUniqueSalts,
    /// One for each keystore, in a `.txt` file of the same name.
    PerKeystore,
}

/// [`Passwords`], with the shared one at hand where there is one.
pub(crate) enum Sealing {
    Shared(SecretString),
    SharedUniqueSalts(SecretString),
    PerKeystore,
}

impl Passwords {
    /// How many files a key takes.
    pub(crate) fn files_each(self) -> usize {
        match self {
            Self::Shared | Self::SharedUniqueSalts => 1,
            Self::PerKeystore => 2,
        }
    }

    /// `shared` reads or makes the shared password; it is called only when one is used.
    pub(crate) fn sealing<E>(self, shared: impl FnOnce() -> Result<SecretString, E>) -> Result<Sealing, E> {
        Ok(match self {
            Self::Shared => Sealing::Shared(shared()?),
            Self::SharedUniqueSalts => Sealing::SharedUniqueSalts(shared()?),
            Self::PerKeystore => Sealing::PerKeystore,
        })
    }
}

/// Why a key could not be encrypted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// A password could not be turned into a key.
    #[error("cannot derive the encryption key of a keystore")]
    Kdf(#[from] KdfError),
    /// A keystore just made did not open to the key it was made from.
    #[error("the keystore of key {index} does not open again; this machine may be faulty")]
    Unreadable {
        /// The derivation index.
        index: u32,
        /// What is wrong with it.
        #[source]
        source: KeystoreError,
    },
    /// A keystore just made opens to another key.
    #[error("the keystore of key {index} opens to another key; this machine may be faulty")]
    OtherKey {
        /// The derivation index.
        index: u32,
    },
}

/// A validator key and its place in the tree of keys.
pub(crate) struct NewKey {
    pub(crate) index: u32,
    path: KeyPath,
    pub(crate) secret: SecretKey,
}

impl NewKey {
    pub(crate) fn derive(keys: &ValidatorKeys, index: u32) -> Self {
        Self {
            index,
            path: ValidatorKeys::path(index),
            secret: keys.key(index),
        }
    }

    /// The original's name for a keystore: `keystore-m_12381_3600_0_0_0-1700000000.json`.
    fn file_name(&self, created_at: u64, extension: &str) -> String {
        let path = self.path.to_string().replace('/', "_");
        format!("keystore-{path}-{created_at}.{extension}")
    }
}

/// A file of the keystores' directory.
pub(crate) struct NewFile {
    pub(crate) name: String,
    pub(crate) content: SecretString,
}

/// Encrypts keys and returns the files of their keystores and, before each that has one, of its own password.
///
/// `created_at`, in seconds since 1970, becomes part of the names.
pub(crate) fn keystore_files<R>(
    keys: &[NewKey],
    sealing: &Sealing,
    created_at: u64,
    workers: Workers,
    rng: &mut R,
    progress: &impl Progress,
) -> Result<Vec<NewFile>, SealError>
where
    R: CryptoRng + Send + ?Sized,
{
    progress.begin(Stage::Keystores, keys.len());
    let keystore = |key: &NewKey, content| NewFile {
        name: key.file_name(created_at, "json"),
        content,
    };
    let files = match sealing {
        Sealing::Shared(password) => {
            let derived = KdfParams::scrypt(rng).derive(password)?;
            let rng = SharedRng::new(rng);
            map_in_parallel(workers.threads(), keys, |key| {
                let content = seal(key, &derived, &mut rng.handle())?;
                progress.advance(Stage::Keystores);
                Ok::<_, SealError>(vec![keystore(key, content)])
            })?
        }
        Sealing::SharedUniqueSalts(password) => in_lanes(
            keys,
            workers,
            rng,
            progress,
            |_| password.clone(),
            |key, json, _| vec![keystore(key, json)],
        )?,
        Sealing::PerKeystore => in_lanes(
            keys,
            workers,
            rng,
            progress,
            |rng| generate_password(rng),
            |key, json, password| {
                let password = NewFile {
                    name: key.file_name(created_at, "txt"),
                    content: password,
                };
                vec![password, keystore(key, json)]
            },
        )?,
    };
    progress.finish(Stage::Keystores);
    Ok(files.into_iter().flatten().collect())
}

/// Encrypts each key with a derivation of its own, several side by side on each thread.
fn in_lanes<R>(
    keys: &[NewKey],
    workers: Workers,
    rng: &mut R,
    progress: &impl Progress,
    password: impl Fn(&mut dyn CryptoRng) -> SecretString + Sync,
    files: impl Fn(&NewKey, SecretString, SecretString) -> Vec<NewFile> + Sync,
) -> Result<Vec<Vec<NewFile>>, SealError>
where
    R: CryptoRng + Send + ?Sized,
{
    let plan = workers.scrypt_plan(keys.len());
    let chunks: Vec<&[NewKey]> = keys.chunks(plan.side_by_side.get()).collect();
    let rng = SharedRng::new(rng);
    let stretcher = || Stretcher::new(plan.memory);
    map_in_parallel_with(plan.threads, &chunks, stretcher, |stretcher, chunk| {
        let mut rng = rng.handle();
        let jobs: Vec<_> = chunk
            .iter()
            .map(|_| (KdfParams::scrypt(&mut rng), password(&mut rng)))
            .collect();
        let borrowed: Vec<_> = jobs.iter().map(|(params, password)| (params, password)).collect();
        let derived = stretcher.derive(&borrowed);
        let sealed = chunk.iter().zip(derived).zip(jobs);
        let made = sealed.map(|((key, derived), (_, password))| {
            let json = seal(key, &derived?, &mut rng)?;
            progress.advance(Stage::Keystores);
            Ok(files(key, json, password))
        });
        made.collect::<Result<Vec<_>, SealError>>()
    })
    .map(|chunks| chunks.into_iter().flatten().collect())
}

/// Encrypts a key, and opens what is to be written before it is trusted.
fn seal(key: &NewKey, derived: &DerivedKey, rng: &mut impl CryptoRng) -> Result<SecretString, SealError> {
    let json = Keystore::encrypt_with(derived, &key.secret, &key.path, rng).to_json();
    let opened = Keystore::parse(json.as_bytes()).and_then(|keystore| keystore.decrypt_with(derived));
    let unreadable = |source| SealError::Unreadable {
        index: key.index,
        source,
    };
    if opened.map_err(unreadable)?.public_key().to_bytes() == key.secret.public_key().to_bytes() {
        Ok(json.into())
    } else {
        Err(SealError::OtherKey { index: key.index })
    }
}
