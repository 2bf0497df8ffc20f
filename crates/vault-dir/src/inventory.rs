//! What the files of a vault's directory say, whatever `config.json` says.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use sw_keys::{KeyPath, ValidatorKeys};
use sw_spec::PublicKeyBytes;

use crate::{BatchError, VaultDir, keystore_index::keystore_files, open_keystore::read_keystore, private_file};

/// A key that a keystore says it holds. Nothing of it is proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatedKey {
    /// The public key.
    pub public_key: PublicKeyBytes,
    /// `i` of the path `m/12381/3600/i/0/0`; `None` of any other path.
    pub index: Option<u32>,
}

impl VaultDir {
    /// The keys that keystores state, those in `keystores` and those that were replaced, in `keystores.bak-<n>`.
    ///
    /// Files that are no keystores, or cannot be read, are passed over.
    ///
    /// # Errors
    ///
    /// When a directory cannot be listed.
    pub fn stated_keys(&self) -> Result<Vec<StatedKey>, BatchError> {
        let mut stated = Vec::new();
        for dir in self.named_as("keystores")? {
            if !dir.is_dir() {
                continue;
            }
            for path in keystore_files(&dir).map_err(BatchError::io(&dir))? {
                let Ok(keystore) = read_keystore(&path) else { continue };
                let index = validator_index(keystore.path());
                stated.extend(keystore.public_key().map(|public_key| StatedKey { public_key, index }));
            }
        }
        Ok(stated)
    }

    /// `deposit_data.json` and the ones before it, `deposit_data.json.bak-<n>`, as far as they are there.
    ///
    /// # Errors
    ///
    /// When the directory cannot be listed.
    pub fn deposit_data_files(&self) -> Result<Vec<PathBuf>, BatchError> {
        let mut files = self.named_as("deposit_data.json")?;
        files.retain(|path| path.is_file());
        Ok(files)
    }

    /// The shared password files and the wallet that others than their owner may read or write.
    pub fn loose_secrets(&self) -> Vec<PathBuf> {
        let mut secrets = vec![self.keystores_password(), self.wallet(), self.wallet_password()];
        secrets.retain(|path| fs::metadata(path).is_ok_and(|there| there.permissions().mode() & 0o077 != 0));
        secrets
    }

    /// Whether there is nothing but what a killed `init` may have left: no entry besides the lock, temporary files, and
    /// the network's file with the same text.
    ///
    /// # Errors
    ///
    /// When the directory cannot be listed. A missing one holds nothing.
    pub fn is_unused(&self, network_file: Option<&str>) -> io::Result<bool> {
        let entries = match fs::read_dir(self.root()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let (path, name) = (entry.path(), entry.file_name());
            let ours = path == self.lock_file()
                || private_file::is_temporary(&name)
                || path == self.network_file()
                    && network_file.is_some_and(|text| fs::read(&path).is_ok_and(|bytes| bytes == text.as_bytes()));
            if !ours || !entry.file_type()?.is_file() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// `name` and `<name>.bak-<n>`, as far as they are there.
    fn named_as(&self, name: &str) -> Result<Vec<PathBuf>, BatchError> {
        let mut found = Vec::new();
        for entry in fs::read_dir(self.root()).map_err(BatchError::io(self.root()))? {
            let path = entry.map_err(BatchError::io(self.root()))?.path();
            let this = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if this == name || this.strip_prefix(name).is_some_and(|rest| rest.starts_with(".bak-")) {
                found.push(path);
            }
        }
        Ok(found)
    }
}

fn validator_index(path: &str) -> Option<u32> {
    let index = path.strip_prefix("m/12381/3600/")?.strip_suffix("/0/0")?.parse().ok()?;
    let parsed: KeyPath = path.parse().ok()?;
    (parsed == ValidatorKeys::path(index)).then_some(index)
}

/// Removes the temporary files of writes that were cut short. Only for a directory that nobody else writes to.
pub(crate) fn remove_temporary(dir: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if private_file::is_temporary(&entry.file_name()) && entry.file_type()?.is_file() {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_path_of_a_signing_key_has_an_index() {
        assert_eq!(validator_index("m/12381/3600/7/0/0"), Some(7));
        for path in [
            "",
            "m/12381/3600/7/0",
            "m/12381/3600/+7/0/0",
            "m/12381/3600/7/0/0/0",
            "m/1/2/7/0/0",
        ] {
            assert_eq!(validator_index(path), None, "{path}");
        }
    }
}
