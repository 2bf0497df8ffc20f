//! Making validator keystores and their deposit data.

use std::{num::NonZeroU32, ops::Range, path::PathBuf};

use rand_core::CryptoRng;
use sw_deposit_data::{DepositDataFile, DepositEntry, VerifyError};
use sw_keys::{ExposeSecret, Mnemonic, ValidatorKeys};
use sw_spec::{Address, NetworkSpec};
use sw_vault_dir::{Batch, BatchError, LockError, PasswordFileError, VaultDir, load_or_create_password};

use crate::{
    Passwords, Progress, SealError, Stage, Workers, WrongMnemonic,
    keystore_files::{NewKey, keystore_files},
    mnemonic::check_keys,
    workers::map_in_parallel,
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
    /// A keystore could not be made.
    #[error(transparent)]
    Seal(#[from] SealError),
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

    let password = || load_or_create_password(&request.directory.keystores_password(), rng);
    let sealing = request.passwords.sealing(password)?;
    let (created_at, workers) = (request.created_at, request.workers);
    for file in keystore_files(&new_keys, &sealing, created_at, workers, rng, progress)? {
        batch.add(&file.name, file.content.expose_secret().as_bytes())?;
    }
    let committed = batch.commit(next, Some(deposit_data.to_json().as_bytes()))?;
    Ok(CreatedKeys {
        deposit_data,
        previous_deposit_data: committed.previous_deposit_data,
    })
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
        let key = NewKey::derive(keys, *index);
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
