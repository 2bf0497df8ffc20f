//! Making validator keystores and their deposit data.

use std::{collections::HashSet, convert::Infallible, fs, num::NonZeroU32, ops::Range, path::PathBuf};

use rand_core::CryptoRng;
use sw_deposit_data::{DepositDataFile, DepositEntry, VerifyError};
use sw_keys::{ExposeSecret, Mnemonic, ValidatorKeys};
use sw_spec::{Address, NetworkSpec, PublicKeyBytes};
use sw_vault_dir::{Batch, BatchError, KeystoreIndex, LockError, PasswordFileError, VaultConfig, VaultDir};

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
    /// The derivation index of the first new key.
    pub first_index: u32,
    /// The index that `config.json` had for it. When it is lower, the file was of an older state of the directory.
    pub configured_index: u32,
    /// The keys are those of an earlier run for as many, which was cut short after they had come to be. They are in their
    /// place now, and no others were made.
    pub were_made_before: bool,
}

/// Why no keys were made. Nothing has changed then, unless the variant says so.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CreateKeysError {
    /// Another command works on the vault.
    #[error(transparent)]
    Locked(#[from] LockError),
    /// An earlier run, for another number of keys, was cut short after they had come to be. They are in their place now; no
    /// others were made.
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
/// The first index is that of `config.json`, or the one after the last key of this mnemonic that a keystore or deposit data
/// of the directory names: a key is never made twice because an old `config.json` was put back.
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
    let was_cut_short = Batch::finish_interrupted(&lock)?;
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
    if was_cut_short {
        return made_before(request, &config, &keys).ok_or(CreateKeysError::EarlierRunCompleted);
    }

    let new_keys = next_keys(request, &config, &keys, progress)?;
    let first = new_keys.first().map_or(config.mnemonic_next_index, |key| key.index);
    let deposit_data = sign_deposits(&new_keys, request.vault, request.network, request.workers, progress);
    deposit_data.verify(request.vault, request.network, rng)?;

    let json = deposit_data.to_json();
    batch.check_space(
        new_keys.len().saturating_mul(request.passwords.files_each()),
        json.len(),
    )?;
    let sealing = request.passwords.sealing(|| batch.shared_password(rng))?;
    let (created_at, workers) = (request.created_at, request.workers);
    for file in keystore_files(&new_keys, &sealing, created_at, workers, rng, progress)? {
        batch.add(&file.name, file.content.expose_secret().as_bytes())?;
    }
    let committed = batch.commit(first + request.count.get(), Some(json.as_bytes()))?;
    Ok(CreatedKeys {
        deposit_data,
        previous_deposit_data: committed.previous_deposit_data,
        first_index: first,
        configured_index: config.mnemonic_next_index,
        were_made_before: false,
    })
}

/// The keys of a run that was cut short, when they are as many of this mnemonic as are asked for now. One of `recover` leaves
/// the deposit data as it was: its keys may be others than those of the keystores.
fn made_before(request: &CreateKeys<'_>, config: &VaultConfig, keys: &ValidatorKeys) -> Option<CreatedKeys> {
    let deposit_data = DepositDataFile::parse(&fs::read(request.directory.deposit_data()).ok()?).ok()?;
    let next = config.mnemonic_next_index;
    let first = next.checked_sub(request.count.get())?;
    let made: Vec<PublicKeyBytes> = deposit_data.entries().iter().map(|entry| entry.public_key).collect();
    let asked_for = (first..next).map(|index| keys.key(index).public_key().to_bytes());
    let (listed, _) = KeystoreIndex::list(&request.directory.keystores()).ok()?;
    let stored: HashSet<PublicKeyBytes> = listed.iter().filter_map(|keystore| keystore.public_key).collect();
    let are_stored = made.iter().all(|key| stored.contains(key));
    (are_stored && asked_for.eq(made)).then_some(CreatedKeys {
        deposit_data,
        previous_deposit_data: None,
        first_index: first,
        configured_index: first,
        were_made_before: true,
    })
}

/// Derives the next keys that no file of the directory names.
fn next_keys(
    request: &CreateKeys<'_>,
    config: &VaultConfig,
    keys: &ValidatorKeys,
    progress: &impl Progress,
) -> Result<Vec<NewKey>, CreateKeysError> {
    let stated = request.directory.stated_keys()?;
    let mut ahead: Vec<_> = stated
        .iter()
        .filter_map(|key| Some((key.index?, key.public_key)))
        .filter(|(index, _)| *index >= config.mnemonic_next_index)
        .collect();
    ahead.sort_unstable();
    let last = ahead
        .iter()
        .rev()
        .find(|(index, public_key)| keys.key(*index).public_key().to_bytes() == *public_key);
    let mut first = last.map_or(config.mnemonic_next_index, |(index, _)| index.saturating_add(1));

    let mut known: HashSet<PublicKeyBytes> = stated.iter().map(|key| key.public_key).collect();
    for path in request.directory.deposit_data_files()? {
        // A file that is no deposit data names no key.
        let parsed = fs::read(&path)
            .ok()
            .and_then(|bytes| DepositDataFile::parse(&bytes).ok());
        known.extend(
            parsed
                .iter()
                .flat_map(|file| file.entries())
                .map(|entry| entry.public_key),
        );
    }
    loop {
        let left = u32::MAX - first;
        let next = first
            .checked_add(request.count.get())
            .ok_or(CreateKeysError::TooMany { left })?;
        let derived = derive_keys(request, keys, first..next, progress)?;
        let is_known = |key: &&NewKey| known.contains(&key.secret.public_key().to_bytes());
        match derived.iter().rev().find(is_known) {
            None => return Ok(derived),
            Some(last) => first = last.index.saturating_add(1),
        }
    }
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

pub(crate) fn sign_deposits(
    keys: &[NewKey],
    vault: Address,
    network: &NetworkSpec,
    workers: Workers,
    progress: &impl Progress,
) -> DepositDataFile {
    progress.begin(Stage::DepositData, keys.len());
    let signed = map_in_parallel(workers.threads(), keys, |key| {
        let entry = DepositEntry::sign(&key.secret, vault, network);
        progress.advance(Stage::DepositData);
        Ok::<_, Infallible>(entry)
    });
    progress.finish(Stage::DepositData);
    match signed {
        Ok(entries) => DepositDataFile::new(entries),
        Err(never) => match never {},
    }
}
