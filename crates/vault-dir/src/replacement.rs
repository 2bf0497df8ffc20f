//! New keystores in the place of all that were there.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use rand_core::CryptoRng;
use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags, statx};
use sw_keys::{SecretString, generate_password};

use crate::{
    Batch, BatchError, ConfigError, VaultConfig, VaultDir, VaultLock, WriteError, read_secret_file,
    staging::{Kind, Staging},
};

/// A new directory of keystores on its way to the disk, in the place of the one that is there.
///
/// It is gathered and decided upon as a [`Batch`] is. When it is decided, `keystores` becomes `keystores.bak-<n>`, whole,
/// with every file in it, and the new directory gets its name; then come the deposit data and `config.json`, each of
/// which keeps the file before it as `<name>.bak-<n>`. Nothing is ever deleted.
/// [`Batch::finish_interrupted`] finishes what was cut short.
#[derive(Debug)]
pub struct Replacement<'a> {
    dir: &'a VaultDir,
    staging: Staging,
}

/// What a replacement has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Replaced {
    /// Where the keystores that were there before are now.
    pub previous_keystores: Option<PathBuf>,
    /// Where the deposit data that was there before is now.
    pub previous_deposit_data: Option<PathBuf>,
    /// Where the `config.json` that was there before is now, when it was another.
    pub previous_config: Option<PathBuf>,
}

impl<'a> Replacement<'a> {
    /// Starts, after finishing a run that was cut short when its keys were already there. There may be no `config.json`.
    ///
    /// # Errors
    ///
    /// Also when `keystores` is a symbolic link or a mount point, which no other directory can take the place of.
    pub fn begin(lock: &'a VaultLock) -> Result<Self, BatchError> {
        Batch::finish_interrupted(lock)?;
        let dir = lock.dir();
        check_swappable(dir)?;
        Ok(Self {
            dir,
            staging: Staging::begin(dir)?,
        })
    }

    /// Writes a file of the new directory: a keystore, or the password of one.
    pub fn add(&mut self, name: &str, bytes: &[u8]) -> Result<(), BatchError> {
        self.staging.add(name, bytes)
    }

    /// Writes `password.txt` of the new directory, and returns the password in it: the one of the old directory, so that
    /// what uses it goes on working, or a new one when there is none that can be read. To be called once.
    pub fn shared_password(&mut self, rng: &mut (impl CryptoRng + ?Sized)) -> Result<SecretString, BatchError> {
        let path = self.dir.keystores_password();
        let password = read_secret_file(&path).unwrap_or_else(|_| generate_password(rng));
        self.staging.add_password(&password)?;
        Ok(password)
    }

    /// Refuses what the disk has no room for: `files` keystores and passwords, and deposit data of `bytes`.
    pub fn check_space(&self, files: usize, bytes: usize) -> Result<(), BatchError> {
        self.staging.check_space(files, bytes)
    }

    /// Puts the new directory in the place of the old one, with its configuration and deposit data. Without deposit data
    /// the file that is there stays.
    ///
    /// # Errors
    ///
    /// After any error but [`BatchError::NotMoved`] the vault's directory is as it was. An empty directory is refused, as is
    /// a next index before that of the present configuration of the same mnemonic.
    pub fn commit(self, config: &VaultConfig, deposit_data: Option<&[u8]>) -> Result<Replaced, BatchError> {
        if self.staging.keys.is_empty() {
            return Err(BatchError::NoKeystores);
        }
        let to = config.mnemonic_next_index;
        match VaultConfig::load(self.dir) {
            Ok(present) if present.first_public_key == config.first_public_key && present.mnemonic_next_index > to => {
                let from = present.mnemonic_next_index;
                return Err(BatchError::IndexGoesBack { from, to });
            }
            Err(ConfigError::Unreadable { path, source }) => return Err(BatchError::io(&path)(source)),
            // A configuration that is missing or spoilt is what this is there to mend.
            _ => {}
        }
        check_swappable(self.dir)?;
        let moved = self.staging.commit(self.dir, Kind::Swap, config, deposit_data)?;
        Ok(Replaced {
            previous_keystores: moved.previous_keystores,
            previous_deposit_data: moved.previous_deposit_data,
            previous_config: moved.previous_config,
        })
    }
}

/// Refuses, before anything is decided, a directory whose name cannot be given to another.
fn check_swappable(dir: &VaultDir) -> Result<(), BatchError> {
    let path = dir.keystores();
    let there = match fs::symlink_metadata(&path) {
        Ok(there) => there,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(BatchError::io(&path)(error)),
    };
    if there.is_symlink() {
        return Err(WriteError::Symlink { path }.into());
    }
    if !there.is_dir() {
        return Err(WriteError::NotADirectory { path }.into());
    }
    let root = fs::metadata(dir.root()).map_err(BatchError::io(dir.root()))?;
    if root.dev() != there.dev() || is_mount_root(&path) {
        return Err(BatchError::Mounted { path });
    }
    Ok(())
}

/// A directory may also be mounted from another place of the same file system. Kernels before 5.8 do not tell.
fn is_mount_root(path: &Path) -> bool {
    statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::empty())
        .is_ok_and(|found| found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_are_told_from_directories() {
        let dir = tempfile::tempdir().expect("a directory");
        assert!(!is_mount_root(dir.path()));
        assert!(is_mount_root(Path::new("/proc")));
    }
}
