//! Making the keystores of found keys anew, in the place of those that may be there.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use rand_core::CryptoRng;
use sw_deposit_data::{DepositDataFile, VerifyError};
use sw_keys::{ExposeSecret, Mnemonic, ValidatorKeys};
use sw_spec::{Address, NetworkFileError, NetworkSpec, PublicKeyBytes};
use sw_vault_dir::{
    BatchError, ConfigError, KeystoreIndex, Opening, Overwrite, PasswordSource, Replaced, Replacement, VaultConfig,
    VaultDir, VaultLock, WriteError, write_private,
};

use crate::{
    FoundKey, Passwords, Progress, SealError, Stage, Workers,
    create_keys::sign_deposits,
    keystore_files::{NewKey, keystore_files},
    mnemonic::check_keys,
    workers::map_in_parallel,
};

/// What to restore.
#[derive(Debug, Clone, Copy)]
pub struct Restore<'a> {
    /// The vault.
    pub vault: Address,
    /// Its network.
    pub network: &'a NetworkSpec,
    /// The text of the file that describes the network, when it is none of the built-in ones.
    pub network_file: Option<&'a str>,
    /// The mnemonic of the keys.
    pub mnemonic: &'a Mnemonic,
    /// The keys of the vault's validators.
    pub registered: &'a [FoundKey],
    /// Keys of no validator yet, of which there is to be deposit data too. Without any, the file that is there stays.
    pub unused: &'a [FoundKey],
    /// No key of a lower index will be made by `create_keys` from now on.
    pub next_index: u32,
    /// How the keystores are encrypted.
    pub passwords: Passwords,
    /// How much of the machine to use.
    pub workers: Workers,
    /// The time for the file names, in seconds since 1970.
    pub created_at: u64,
}

/// What was restored.
#[derive(Debug)]
#[non_exhaustive]
pub struct Restored {
    /// Where the files that were there before are.
    pub replaced: Replaced,
    /// How many keystores that were there before are of keys that have none now; unknown when one could not be read.
    pub left_behind: Option<usize>,
}

/// Why nothing was restored. What was there before is still there, unless the variant says otherwise.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// The directory belongs to other keys.
    #[error("`{}` was set up with another mnemonic", .0.display())]
    OtherMnemonic(PathBuf),
    /// The directory belongs to another network.
    #[error("`{}` is set up for network `{configured}`, not `{given}`", directory.display())]
    OtherNetwork {
        /// The vault's directory.
        directory: PathBuf,
        /// What `config.json` says.
        configured: String,
        /// What the caller says.
        given: String,
    },
    /// The directory has a network file that describes another network of the same name.
    #[error("`{}` describes another network of the same name", path.display())]
    OtherNetworkFile {
        /// The file in the directory.
        path: PathBuf,
        /// What is wrong with it, when it cannot be read at all.
        #[source]
        source: Option<NetworkFileError>,
    },
    /// `config.json` is there and cannot be read.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A key derived now is not the one found before.
    #[error("key {index} is derived as {derived}, and was found as {found}; this machine may be faulty")]
    OtherKey {
        /// The derivation index.
        index: u32,
        /// The public key that the search found.
        found: PublicKeyBytes,
        /// The one derived now.
        derived: PublicKeyBytes,
    },
    /// A keystore could not be made.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The deposits just signed do not verify.
    #[error("the new deposit data does not verify; this machine may be faulty")]
    Unverified(#[from] VerifyError),
    /// The network file cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The files cannot be written. [`BatchError::NotMoved`] is the one case in which the keys exist all the same.
    #[error(transparent)]
    Batch(#[from] BatchError),
}

/// The configuration that a vault's directory has, if it has one that can be understood.
///
/// # Errors
///
/// [`RestoreError::OtherMnemonic`] when it is of another mnemonic: its keys are not to be put aside. One that is spoilt is
/// no obstacle: a recovery replaces it.
pub fn present_config(directory: &VaultDir, mnemonic: &Mnemonic) -> Result<Option<VaultConfig>, RestoreError> {
    present(directory, &ValidatorKeys::new(&mnemonic.to_seed()))
}

fn present(directory: &VaultDir, keys: &ValidatorKeys) -> Result<Option<VaultConfig>, RestoreError> {
    let config = match VaultConfig::load(directory) {
        Ok(config) => config,
        Err(error @ ConfigError::Unreadable { .. }) => return Err(error.into()),
        Err(_) => return Ok(None),
    };
    match check_keys(&config, keys) {
        Ok(()) => Ok(Some(config)),
        Err(_) => Err(RestoreError::OtherMnemonic(directory.root().to_owned())),
    }
}

/// Makes the keystores of keys that were found by [`crate::search`], and puts them in the place of those that are there,
/// which are kept.
///
/// All of it appears at once or not at all, with a `config.json` that fits. Whoever calls has seen to it that the keys are
/// nowhere else at work.
///
/// # Errors
///
/// See [`RestoreError`].
pub fn restore<R>(
    lock: &VaultLock,
    request: &Restore<'_>,
    rng: &mut R,
    progress: &impl Progress,
) -> Result<Restored, RestoreError>
where
    R: CryptoRng + Send + ?Sized,
{
    let mut replacement = Replacement::begin(lock)?;
    let directory = lock.dir();
    let keys = ValidatorKeys::new(&request.mnemonic.to_seed());
    let config = new_config(directory, request, &keys)?;
    keep_network_file(directory, request)?;

    let unused = derive_keys(request, &keys, request.unused, progress)?;
    let mut new_keys = derive_keys(request, &keys, request.registered, progress)?;
    let deposit_data = if unused.is_empty() {
        None
    } else {
        let deposits = sign_deposits(&unused, request.vault, request.network, request.workers, progress);
        deposits.verify(request.vault, request.network, rng)?;
        Some(deposits.to_json())
    };
    new_keys.extend(unused);

    let deposit_bytes = deposit_data.as_ref().map_or(0, String::len);
    replacement.check_space(
        new_keys.len().saturating_mul(request.passwords.files_each()),
        deposit_bytes,
    )?;
    let sealing = request.passwords.sealing(|| replacement.shared_password(rng))?;
    let (created_at, workers) = (request.created_at, request.workers);
    for file in keystore_files(&new_keys, &sealing, created_at, workers, rng, progress)? {
        replacement.add(&file.name, file.content.expose_secret().as_bytes())?;
    }
    let left_behind = left_behind(&directory.keystores(), request);
    let replaced = replacement.commit(&config, deposit_data.as_deref().map(str::as_bytes))?;
    Ok(Restored { replaced, left_behind })
}

/// Whether the directory has all that [`restore`] would make, and nothing else: then a run that was cut short has made it.
/// Every keystore is opened.
pub fn is_restored(lock: &VaultLock, request: &Restore<'_>) -> bool {
    let directory = lock.dir();
    let is_past = |config: VaultConfig| config.mnemonic_next_index >= request.next_index;
    VaultConfig::load(directory).is_ok_and(is_past)
        && has_deposit_data_of(directory, request.unused)
        && has_keystores_of(directory, request)
}

fn has_deposit_data_of(directory: &VaultDir, unused: &[FoundKey]) -> bool {
    if unused.is_empty() {
        return true;
    }
    let file = fs::read(directory.deposit_data())
        .ok()
        .and_then(|bytes| DepositDataFile::parse(&bytes).ok());
    file.is_some_and(|file| {
        let stated = file.entries().iter().map(|entry| entry.public_key);
        stated.eq(unused.iter().map(|key| key.public_key))
    })
}

fn has_keystores_of(directory: &VaultDir, request: &Restore<'_>) -> bool {
    let passwords = PasswordSource {
        shared: Some(directory.keystores_password()),
        dir: directory.keystores(),
    };
    let opening = Opening {
        threads: request.workers.threads(),
        ..Opening::default()
    };
    KeystoreIndex::scan_with(&directory.keystores(), passwords, opening).is_ok_and(|index| {
        request.public_keys().iter().eq(index.public_keys()) && index.verify_all(opening, &|| {}).is_empty()
    })
}

impl Restore<'_> {
    fn public_keys(&self) -> BTreeSet<PublicKeyBytes> {
        let keys = self.registered.iter().chain(self.unused);
        keys.map(|key| key.public_key).collect()
    }
}

fn new_config(directory: &VaultDir, request: &Restore<'_>, keys: &ValidatorKeys) -> Result<VaultConfig, RestoreError> {
    let present = present(directory, keys)?;
    let network = request.network.name.to_string();
    if let Some(other) = present.as_ref().filter(|config| config.network != network) {
        return Err(RestoreError::OtherNetwork {
            directory: directory.root().to_owned(),
            configured: other.network.clone(),
            given: network,
        });
    }
    let present_index = present.map_or(0, |config| config.mnemonic_next_index);
    Ok(VaultConfig {
        network,
        mnemonic_next_index: request.next_index.max(present_index),
        first_public_key: keys.key(0).public_key().to_bytes(),
    })
}

/// Later commands find the network by a copy of its file, as after [`crate::initialize`].
fn keep_network_file(directory: &VaultDir, request: &Restore<'_>) -> Result<(), RestoreError> {
    let (path, Some(text)) = (directory.network_file(), request.network_file) else {
        return Ok(());
    };
    let Ok(present) = fs::read_to_string(&path) else {
        return Ok(write_private(&path, text.as_bytes(), Overwrite::Refuse)?);
    };
    match NetworkSpec::from_toml(&present) {
        Ok(spec) if spec == *request.network => Ok(()),
        other => Err(RestoreError::OtherNetworkFile {
            path,
            source: other.err(),
        }),
    }
}

fn derive_keys(
    request: &Restore<'_>,
    keys: &ValidatorKeys,
    found: &[FoundKey],
    progress: &impl Progress,
) -> Result<Vec<NewKey>, RestoreError> {
    if found.is_empty() {
        return Ok(Vec::new());
    }
    progress.begin(Stage::Keys, found.len());
    let derived = map_in_parallel(request.workers.threads(), found, |key| {
        let new = NewKey::derive(keys, key.index);
        let derived = new.secret.public_key().to_bytes();
        if derived != key.public_key {
            let (index, found) = (key.index, key.public_key);
            return Err(RestoreError::OtherKey { index, found, derived });
        }
        progress.advance(Stage::Keys);
        Ok(new)
    })?;
    progress.finish(Stage::Keys);
    Ok(derived)
}

/// The keys are named by what the files state: nothing is opened, and it is for a person to look at.
fn left_behind(keystores: &Path, request: &Restore<'_>) -> Option<usize> {
    if !keystores.exists() {
        return Some(0);
    }
    let passwords = PasswordSource {
        shared: None,
        dir: keystores.to_owned(),
    };
    let present = KeystoreIndex::scan(keystores, passwords).ok()?;
    let new = request.public_keys();
    Some(present.public_keys().filter(|key| !new.contains(*key)).count())
}
