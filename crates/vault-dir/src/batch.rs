//! New keys: all of them, or none.

use std::{
    io,
    path::{Path, PathBuf},
};

use rand_core::CryptoRng;
use sw_keys::{KeystoreError, SecretString, generate_password};
use sw_spec::PublicKeyBytes;

use crate::{
    ConfigError, Overwrite, PasswordFileError, VaultConfig, VaultDir, VaultLock, WriteError, create_private_dir,
    keystore_index::keystore_files,
    open_keystore::read_keystore,
    private_file::{check_dir, check_target},
    secret_file::load_password,
    staging::{self, Kind, Staging},
};

/// New keys could not be stored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BatchError {
    /// `config.json` cannot be read.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A file cannot be written. Nothing has been added.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// A directory cannot be read or changed.
    #[error("`{path}` cannot be read or changed")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A name that is not that of a file in the keystores' directory.
    #[error("`{name}` cannot be the name of a keystore or password file")]
    Name {
        /// The name.
        name: String,
    },
    /// A keystore that could not be read again.
    #[error("`{name}` would not be a keystore")]
    Keystore {
        /// The name.
        name: String,
        /// What is wrong with it.
        #[source]
        source: Box<KeystoreError>,
    },
    /// A key that is there already: the index in `config.json` is behind the keystores.
    #[error(
        "the key {public_key} is in `{keystore}` already: `mnemonic_next_index` in `config.json` is behind the keystores"
    )]
    KeyExists {
        /// The key.
        public_key: PublicKeyBytes,
        /// The keystore that holds it.
        keystore: PathBuf,
    },
    /// Two keystores that would give away the difference of their secrets: the randomness of this machine is broken.
    #[error(
        "`{keystore}` and `{other}` would be encrypted with the same key stream: this machine's randomness is broken"
    )]
    KeyStream {
        /// The new keystore.
        keystore: PathBuf,
        /// The one whose key stream it shares.
        other: PathBuf,
    },
    /// A directory that cannot be exchanged for another.
    #[error("`{path}` is a mount point, so that no other directory can take its place")]
    Mounted {
        /// The directory.
        path: PathBuf,
    },
    /// The disk is too full.
    #[error("`{path}` needs {needed} bytes, and its file system has {free} left")]
    Space {
        /// Where the new files would be.
        path: PathBuf,
        /// The bytes that are needed.
        needed: u64,
        /// Those that there are.
        free: u64,
    },
    /// A replacement without any keystore.
    #[error("there is no keystore to put in the place of those that are there")]
    NoKeystores,
    /// An index before the present one: keys would be made twice.
    #[error("the next index cannot go back from {from} to {to}")]
    IndexGoesBack {
        /// The index in `config.json`.
        from: u32,
        /// The one to be written.
        to: u32,
    },
    /// The keys are stored, but not all in their place. Nothing is lost, and nothing is to be made again.
    #[error(
        "the new keys are complete in `{path}`, but could not be moved into place: mend the cause and run this again"
    )]
    NotMoved {
        /// Where they are.
        path: PathBuf,
        /// What went wrong.
        #[source]
        source: Box<BatchError>,
    },
}

impl BatchError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }
}

/// A batch of new keys on its way to the disk.
///
/// The files are first written into `.new-keys`, a directory of their own, together with the deposit data and the
/// `config.json` that belong to them. Renaming that directory to `.new-keys.ready` is the moment in which they come to be:
///
/// 1. before it, the vault's directory is as it was, and a leftover `.new-keys` is removed by the next run;
/// 2. after it, everything is on the disk. The keystores are moved into `keystores`, then `deposit_data.json` into its
///    place (the one before it is kept as `deposit_data.json.bak-<n>`), then `config.json`. A run that finds
///    `.new-keys.ready` first moves what is left in it.
///
/// So the index in `config.json` moves on exactly when the keys are there, whatever cuts a run short. The lock keeps other
/// runs out.
#[derive(Debug)]
pub struct Batch<'a> {
    dir: &'a VaultDir,
    config: VaultConfig,
    staging: Staging,
}

/// What a batch has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Committed {
    /// The new `config.json`.
    pub config: VaultConfig,
    /// Where the deposit data that was there before is now.
    pub previous_deposit_data: Option<PathBuf>,
}

impl<'a> Batch<'a> {
    /// Starts a batch, after finishing one that was cut short when its keys were already there.
    ///
    /// The first index of the batch is that of [`Batch::config`], which is only known now.
    pub fn begin(lock: &'a VaultLock) -> Result<Self, BatchError> {
        Self::finish_interrupted(lock)?;
        let dir = lock.dir();
        let config = VaultConfig::load(dir)?;
        check_dir(&dir.keystores())?;
        Ok(Self {
            dir,
            config,
            staging: Staging::begin(dir)?,
        })
    }

    /// Moves the keys of a batch or of a [`crate::Replacement`] that was cut short into place; returns whether there was
    /// one. Temporary files of writes that were cut short are removed.
    ///
    /// To be called by whoever takes the lock and reads keystores or `config.json`.
    pub fn finish_interrupted(lock: &VaultLock) -> Result<bool, BatchError> {
        lock.remove_temporary_files()?;
        staging::finish_interrupted(lock.dir()).map(|moved| moved.is_some())
    }

    /// The settings as they are before the batch.
    pub fn config(&self) -> &VaultConfig {
        &self.config
    }

    /// Writes a file of the keystores' directory: a keystore, or the password of one.
    pub fn add(&mut self, name: &str, bytes: &[u8]) -> Result<(), BatchError> {
        self.staging.add(name, bytes)
    }

    /// The shared password, of `keystores/password.txt`. When there is none, a new one becomes part of the batch. To be
    /// called once.
    ///
    /// # Errors
    ///
    /// A file that is empty or unreadable, or a symbolic link, is an error.
    pub fn shared_password(&mut self, rng: &mut (impl CryptoRng + ?Sized)) -> Result<SecretString, PasswordFileError> {
        if let Some(password) = load_password(&self.dir.keystores_password())? {
            return Ok(password);
        }
        let password = generate_password(rng);
        self.staging.add_password(&password)?;
        Ok(password)
    }

    /// Refuses what the disk has no room for: `files` keystores and passwords, and deposit data of `bytes`.
    pub fn check_space(&self, files: usize, bytes: usize) -> Result<(), BatchError> {
        self.staging.check_space(files, bytes)
    }

    /// Makes the batch part of the vault: its files, the deposit data that goes with them, and the next index.
    ///
    /// # Errors
    ///
    /// After any error but [`BatchError::NotMoved`] the vault's directory is as it was.
    pub fn commit(self, next_index: u32, deposit_data: Option<&[u8]>) -> Result<Committed, BatchError> {
        let from = self.config.mnemonic_next_index;
        if next_index < from {
            return Err(BatchError::IndexGoesBack { from, to: next_index });
        }
        self.check_against_the_vault()?;
        let config = VaultConfig {
            mnemonic_next_index: next_index,
            ..self.config
        };
        let moved = self.staging.commit(self.dir, Kind::Add, &config, deposit_data)?;
        Ok(Committed {
            config,
            previous_deposit_data: moved.previous_deposit_data,
        })
    }

    /// Nothing may be in the way once the keys have come to be.
    fn check_against_the_vault(&self) -> Result<(), BatchError> {
        let keystores = self.dir.keystores();
        create_private_dir(&keystores)?;
        for name in &self.staging.names {
            check_target(&keystores.join(name), Overwrite::Refuse)?;
        }
        for path in keystore_files(&keystores).map_err(BatchError::io(&keystores))? {
            // One that cannot be read is not for this command to refuse.
            let Ok(keystore) = read_keystore(&path) else { continue };
            let stated = keystore.public_key();
            if let Some(public_key) = stated.filter(|key| self.staging.keys.contains_key(key)) {
                return Err(BatchError::KeyExists {
                    public_key,
                    keystore: path,
                });
            }
            self.staging.blocks.check(&keystore, &path)?;
        }
        Ok(())
    }
}
