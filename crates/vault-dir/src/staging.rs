//! The directory in which new keys are gathered before they come to be.

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
};

use rustix::fs::statvfs;
use sw_keys::{ExposeSecret, Keystore, SecretString};
use sw_spec::PublicKeyBytes;

use crate::{
    BatchError, Overwrite, VaultConfig, VaultDir, WriteError,
    batch_move::{Moved, move_into_place},
    counter_blocks::CounterBlocks,
    create_private_dir,
    keystore_index::is_keystore_name,
    private_file::{check_dir, check_target, sync_dir, write_new},
};

/// `.new-keys`, and what has been put into it.
#[derive(Debug)]
pub(crate) struct Staging {
    path: PathBuf,
    /// The new keys, with the names of their files.
    pub(crate) keys: HashMap<PublicKeyBytes, String>,
    pub(crate) names: Vec<String>,
    pub(crate) blocks: CounterBlocks,
}

/// What becomes of the keystores that are there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The new ones stand beside them.
    Add,
    /// The new directory takes the place of theirs.
    Swap,
}

impl Staging {
    /// An empty directory; what an earlier run left in it is removed.
    pub(crate) fn begin(dir: &VaultDir) -> Result<Self, BatchError> {
        let path = dir.root().join(".new-keys");
        check_dir(&path)?;
        check_dir(&ready(dir))?;
        check_target(&dir.config(), Overwrite::Replace)?;
        check_target(&dir.deposit_data(), Overwrite::Replace)?;
        remove_dir(&path)?;
        let staging = Self {
            path,
            keys: HashMap::new(),
            names: Vec::new(),
            blocks: CounterBlocks::default(),
        };
        create_private_dir(&staging.keystores())?;
        Ok(staging)
    }

    fn keystores(&self) -> PathBuf {
        self.path.join(KEYSTORES)
    }

    /// Writes a file of the keystores' directory: a keystore, or a password.
    pub(crate) fn add(&mut self, name: &str, bytes: &[u8]) -> Result<(), BatchError> {
        let unfit = name.is_empty() || name.len() > 255 || name.starts_with('.') || name.contains(['/', '\0']);
        if unfit {
            return Err(BatchError::Name { name: name.to_owned() });
        }
        if is_keystore_name(name) {
            self.take_note_of(name, bytes)?;
        }
        write_new(&self.keystores().join(name), bytes)?;
        self.names.push(name.to_owned());
        Ok(())
    }

    /// Writes `password.txt`.
    pub(crate) fn add_password(&mut self, password: &SecretString) -> Result<(), WriteError> {
        let name = "password.txt";
        write_new(&self.keystores().join(name), password.expose_secret().as_bytes())?;
        self.names.push(name.to_owned());
        Ok(())
    }

    /// Refuses, before any of it is written, what the file system has no room for: `files` small ones, and `bytes` besides.
    pub(crate) fn check_space(&self, files: usize, bytes: usize) -> Result<(), BatchError> {
        let found = statvfs(&self.path).map_err(|error| BatchError::io(&self.path)(error.into()))?;
        // Some network file systems do not say.
        if found.f_blocks == 0 {
            return Ok(());
        }
        let block = found.f_frsize.max(SMALL_FILE);
        let files = u64::try_from(files.saturating_add(OTHER_FILES)).unwrap_or(u64::MAX);
        // The deposit data twice: a copy of the file before it is kept.
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX).saturating_mul(2);
        let needed = files.saturating_mul(block).saturating_add(bytes);
        let free = found.f_bavail.saturating_mul(found.f_frsize);
        if needed <= free {
            return Ok(());
        }
        Err(BatchError::Space {
            path: self.path.clone(),
            needed,
            free,
        })
    }

    fn take_note_of(&mut self, name: &str, bytes: &[u8]) -> Result<(), BatchError> {
        let parsed = Keystore::parse(bytes);
        let keystore = parsed.map_err(|source| BatchError::Keystore {
            name: name.to_owned(),
            source: Box::new(source),
        })?;
        if let Some(public_key) = keystore.public_key()
            && let Some(first) = self.keys.insert(public_key, name.to_owned())
        {
            return Err(BatchError::KeyExists {
                public_key,
                keystore: first.into(),
            });
        }
        self.blocks.take(&keystore, Path::new(name))
    }

    /// Completes the directory, makes it last, gives it its final name, and moves what is in it into place.
    ///
    /// # Errors
    ///
    /// After any error but [`BatchError::NotMoved`] the vault's directory is as it was.
    pub(crate) fn commit(
        self,
        dir: &VaultDir,
        kind: Kind,
        config: &VaultConfig,
        deposit_data: Option<&[u8]>,
    ) -> Result<Moved, BatchError> {
        if let Some(bytes) = deposit_data {
            write_new(&self.path.join(DEPOSIT_DATA), bytes)?;
        }
        write_new(&self.path.join(CONFIG), config.to_json().as_bytes())?;
        if kind == Kind::Swap {
            write_new(&self.path.join(SWAP), SWAP_TEXT)?;
        }
        sync_dir(&self.keystores())?;
        sync_dir(&self.path)?;
        let ready = ready(dir);
        fs::rename(&self.path, &ready).map_err(BatchError::io(&ready))?;
        sync_dir(dir.root())
            .map_err(|source| not_moved(&ready, source.into()))
            .and_then(|()| finish(dir, &ready))
    }
}

impl Drop for Staging {
    /// What was not committed goes. If that fails, the next run does it.
    fn drop(&mut self) {
        let _ = remove_dir(&self.path);
    }
}

/// Moves what a run that was cut short had decided upon; returns what, if there was such a run.
pub(crate) fn finish_interrupted(dir: &VaultDir) -> Result<Option<Moved>, BatchError> {
    let ready = ready(dir);
    match fs::symlink_metadata(&ready) {
        Ok(there) if there.is_symlink() => Err(WriteError::Symlink { path: ready }.into()),
        Ok(there) if !there.is_dir() => Err(WriteError::NotADirectory { path: ready }.into()),
        Ok(_) => finish(dir, &ready).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(BatchError::io(&ready)(error)),
    }
}

fn finish(dir: &VaultDir, ready: &Path) -> Result<Moved, BatchError> {
    move_into_place(dir, ready).map_err(|source| not_moved(ready, source))
}

fn not_moved(ready: &Path, source: BatchError) -> BatchError {
    BatchError::NotMoved {
        path: ready.to_owned(),
        source: Box::new(source),
    }
}

fn remove_dir(path: &Path) -> Result<(), BatchError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(BatchError::io(path)(error)),
        _ => Ok(()),
    }
}

fn ready(dir: &VaultDir) -> PathBuf {
    dir.root().join(".new-keys.ready")
}

/// A keystore has about 700 bytes, a password 20.
const SMALL_FILE: u64 = 4096;
/// Directories, `config.json`, and a directory that grows.
const OTHER_FILES: usize = 16;

pub(crate) const KEYSTORES: &str = "keystores";
pub(crate) const DEPOSIT_DATA: &str = "deposit_data.json";
pub(crate) const CONFIG: &str = "config.json";
/// Says that the directory of keystores beside it takes the place of the vault's.
pub(crate) const SWAP: &str = "swap";
const SWAP_TEXT: &[u8] = b"`keystores` beside this file takes the place of the vault's\n";
