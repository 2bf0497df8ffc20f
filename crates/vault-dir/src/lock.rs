//! One operator for one directory.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
};

use rustix::fs::OFlags;

use crate::{BatchError, VaultDir, inventory::remove_temporary};

/// The directory could not be locked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// Another process works in the directory.
    #[error("another operator is at work in `{dir}`")]
    Held {
        /// The vault's directory.
        dir: PathBuf,
    },
    /// The lock file cannot be opened, or the file system knows no locks.
    #[error("`{path}` cannot be locked")]
    Unusable {
        /// The lock file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// The sole use of a vault's directory, for as long as it is held.
///
/// It is a lock of the kernel on the file `.lock`, not the file itself: it ends with the process, however that ends, and
/// is never stale.
#[derive(Debug)]
pub struct VaultLock {
    dir: VaultDir,
    _file: File,
}

impl VaultLock {
    /// The directory that is locked.
    pub fn dir(&self) -> &VaultDir {
        &self.dir
    }

    /// Removes the temporary files of writes that were cut short.
    ///
    /// # Errors
    ///
    /// When a directory cannot be listed or changed.
    pub fn remove_temporary_files(&self) -> Result<(), BatchError> {
        for dir in [self.dir.root(), &self.dir.keystores(), &self.dir.wallet_dir()] {
            remove_temporary(dir).map_err(BatchError::io(dir))?;
        }
        Ok(())
    }
}

impl VaultDir {
    pub(crate) fn lock_file(&self) -> PathBuf {
        self.root().join(".lock")
    }

    /// Locks the directory, or says at once that another process has.
    pub fn lock(&self) -> Result<VaultLock, LockError> {
        let path = self.lock_file();
        let opened = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(&path);
        let locked = opened
            .map_err(TryLockError::Error)
            .and_then(|file| file.try_lock().map(|()| file));
        match locked {
            Ok(file) => Ok(VaultLock {
                dir: self.clone(),
                _file: file,
            }),
            Err(TryLockError::WouldBlock) => Err(LockError::Held {
                dir: self.root().to_owned(),
            }),
            Err(TryLockError::Error(source)) => Err(LockError::Unusable { path, source }),
        }
    }
}
