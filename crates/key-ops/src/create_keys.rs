//! Making validator keystores and their deposit data.

use std::{num::NonZeroU32, ops::Range, path::PathBuf};

use rand_core::CryptoRng;
use sw_deposit_data::{DepositDataFile, DepositEntry, VerifyError};
use sw_keys::{
    DerivedKey, ExposeSecret, KdfError, KdfParams, KeyPath, Keystore, KeystoreError, Mnemonic, SecretKey, SecretString,
    ValidatorKeys, generate_password,
};
use sw_spec::{Address, NetworkSpec};
use sw_vault_dir::{Batch, BatchError, LockError, PasswordFileError, VaultDir, load_or_create_password};

use crate::{
    Progress, Stage, Workers, WrongMnemonic,
    mnemonic::check_keys,
    workers::{SharedRng, map_in_parallel},
};

/// What keys to make.
#[derive(Debug, Clone, Copy)]
pub struct CreateKeys<'a> {
    /// The vault, to which all deposits are withdrawn.
    pub vault: Address,
    /// Its directory, set up before.
    pub directory: &'a VaultDir,
    /// Its network, which must be the one that the directory's configuration names.
    pub network: &'a NetworkSpec,
    /// The mnemonic the directory was set up with.
    pub mnemonic: &'a Mnemonic,
    /// How many.
    pub count: NonZeroU32,
    /// How they are encrypted.
    pub passwords: Passwords,
    /// How much of the machine to use.
    pub workers: Workers,
    /// The time for the file names, in seconds since 1970.
    pub created_at: u64,
}

/// How many passwords there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passwords {
    /// One for the vault, in `keystores/password.txt`; it is made with the first keystore and used again later.
    ///
    /// One key derivation serves the whole batch; each keystore has its own initialization vector.
    Shared,
    /// One for each keystore, in a `.txt` file of the same name.
    PerKeystore,
}

/// What was made.
#[derive(Debug)]
#[non_exhaustive]
pub struct CreatedKeys {
    /// The deposit data of the new keys, as in the file.
    pub deposit_data: DepositDataFile,
    /// Where the deposit data file that was there before is kept.
    pub previous_deposit_data: Option<PathBuf>,
}

/// Why no keys were made. Nothing has changed then, but that a shared password may exist, unless the variant says so.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CreateKeysError {
    /// Another command works on the vault.
    #[error(transparent)]
    Locked(#[from] LockError),
    /// An earlier run was cut short after its keys had come to be. They are in their place now; no others were made.
    #[error("an earlier run was cut short; the keys it had made are complete now, and no others were made")]
    EarlierRunCompleted,
    /// The configuration is for another network than the one given.
    #[error("the vault is configured for network `{configured}`, not `{given}`")]
    OtherNetwork {
        /// What `config.json` says.
        configured: String,
        /// What the caller says.
        given: String,
    },
    /// The mnemonic is of other keys.
    #[error(transparent)]
    Mnemonic(#[from] WrongMnemonic),
    /// A derivation index is a 32-bit number (EIP-2333).
    #[error("only {left} keys are left to derive from this mnemonic")]
    TooMany {
        /// How many indices are unused.
        left: u32,
    },
    /// The shared password file cannot be used.
    #[error(transparent)]
    Password(#[from] PasswordFileError),
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
    /// The deposits just signed do not verify.
    #[error("the new deposit data does not verify; this machine may be faulty")]
    Unverified(#[from] VerifyError),
    /// The configuration cannot be read or the files cannot be written. [`BatchError::NotMoved`] is the one case in which
    /// the keys exist all the same.
    #[error(transparent)]
    Batch(#[from] BatchError),
}

/// Makes the next keys of a vault, with their keystores, passwords and deposit data.
///
/// All of it appears at once or not at all: files are checked, staged beside the directory and moved in, and the next
/// index is raised last. The deposit data file then holds the new keys; one that was there is kept under another name.
///
/// # Errors
///
/// See [`CreateKeysError`].
pub fn create_keys<R>(
    request: &CreateKeys<'_>,
    rng: &mut R,
    progress: &impl Progress,
) -> Result<CreatedKeys, CreateKeysError>
where
    R: CryptoRng + Send + ?Sized,
{
    let lock = request.directory.lock()?;
    if Batch::finish_interrupted(&lock)? {
        return Err(CreateKeysError::EarlierRunCompleted);
    }
    let mut batch = Batch::begin(&lock)?;
    let config = batch.config().clone();
    if config.network != request.network.name.as_str() {
        return Err(CreateKeysError::OtherNetwork {
            configured: config.network,
            given: request.network.name.to_string(),
        });
    }
    let keys = ValidatorKeys::new(&request.mnemonic.to_seed());
    check_keys(&config, &keys)?;
    let first = config.mnemonic_next_index;
    let next = first
        .checked_add(request.count.get())
        .ok_or(CreateKeysError::TooMany { left: u32::MAX - first })?;

    let new_keys = derive_keys(request, &keys, first..next, progress)?;
    let deposit_data = sign_deposits(request, &new_keys, progress)?;
    deposit_data.verify(request.vault, request.network, rng)?;

    for file in encrypt_keys(request, &new_keys, rng, progress)? {
        batch.add(&file.name, file.content.expose_secret().as_bytes())?;
    }
    let committed = batch.commit(next, Some(deposit_data.to_json().as_bytes()))?;
    Ok(CreatedKeys {
        deposit_data,
        previous_deposit_data: committed.previous_deposit_data,
    })
}

struct NewKey {
    index: u32,
    path: KeyPath,
    secret: SecretKey,
}

struct NewFile {
    name: String,
    content: SecretString,
}

fn derive_keys(
    request: &CreateKeys<'_>,
    keys: &ValidatorKeys,
    indices: Range<u32>,
    progress: &impl Progress,
) -> Result<Vec<NewKey>, CreateKeysError> {
    let indices: Vec<u32> = indices.collect();
    progress.begin(Stage::Keys, indices.len());
    let derived = map_in_parallel(request.workers.threads(), &indices, |index| {
        let key = NewKey {
            index: *index,
            path: ValidatorKeys::path(*index),
            secret: keys.key(*index),
        };
        progress.advance(Stage::Keys);
        Ok::<_, CreateKeysError>(key)
    })?;
    progress.finish(Stage::Keys);
    Ok(derived)
}

fn sign_deposits(
    request: &CreateKeys<'_>,
    keys: &[NewKey],
    progress: &impl Progress,
) -> Result<DepositDataFile, CreateKeysError> {
    progress.begin(Stage::DepositData, keys.len());
    let entries = map_in_parallel(request.workers.threads(), keys, |key| {
        let entry = DepositEntry::sign(&key.secret, request.vault, request.network);
        progress.advance(Stage::DepositData);
        Ok::<_, CreateKeysError>(entry)
    })?;
    progress.finish(Stage::DepositData);
    Ok(DepositDataFile::new(entries))
}

fn encrypt_keys<R>(
    request: &CreateKeys<'_>,
    keys: &[NewKey],
    rng: &mut R,
    progress: &impl Progress,
) -> Result<Vec<NewFile>, CreateKeysError>
where
    R: CryptoRng + Send + ?Sized,
{
    progress.begin(Stage::Keystores, keys.len());
    let files = match request.passwords {
        Passwords::Shared => {
            let password = load_or_create_password(&request.directory.keystores_password(), rng)?;
            let derived = KdfParams::scrypt(rng).derive(&password)?;
            let rng = SharedRng::new(rng);
            map_in_parallel(request.workers.threads(), keys, |key| {
                let content = seal(key, &derived, &mut rng.handle())?;
                progress.advance(Stage::Keystores);
                Ok::<_, CreateKeysError>(vec![NewFile {
                    name: file_name(request, key, "json"),
                    content,
                }])
            })?
        }
        Passwords::PerKeystore => {
            let rng = SharedRng::new(rng);
            map_in_parallel(request.workers.scrypt_threads(), keys, |key| {
                let mut rng = rng.handle();
                let password = generate_password(&mut rng);
                let derived = KdfParams::scrypt(&mut rng).derive(&password)?;
                let content = seal(key, &derived, &mut rng)?;
                progress.advance(Stage::Keystores);
                let password = NewFile {
                    name: file_name(request, key, "txt"),
                    content: password,
                };
                Ok::<_, CreateKeysError>(vec![
                    password,
                    NewFile {
                        name: file_name(request, key, "json"),
                        content,
                    },
                ])
            })?
        }
    };
    progress.finish(Stage::Keystores);
    Ok(files.into_iter().flatten().collect())
}

/// Encrypts a key, and opens what is to be written before it is trusted.
fn seal(key: &NewKey, derived: &DerivedKey, rng: &mut impl CryptoRng) -> Result<SecretString, CreateKeysError> {
    let json = Keystore::encrypt_with(derived, &key.secret, &key.path, rng).to_json();
    let opened = Keystore::parse(json.as_bytes()).and_then(|keystore| keystore.decrypt_with(derived));
    let unreadable = |source| CreateKeysError::Unreadable {
        index: key.index,
        source,
    };
    if opened.map_err(unreadable)?.public_key().to_bytes() == key.secret.public_key().to_bytes() {
        Ok(json.into())
    } else {
        Err(CreateKeysError::OtherKey { index: key.index })
    }
}

/// The original's name for a keystore: `keystore-m_12381_3600_0_0_0-1700000000.json`.
fn file_name(request: &CreateKeys<'_>, key: &NewKey, extension: &str) -> String {
    format!(
        "keystore-{}-{}.{extension}",
        key.path.to_string().replace('/', "_"),
        request.created_at
    )
}
