//! Setting up the directory of a vault.

use std::path::PathBuf;

use sw_keys::{Mnemonic, ValidatorKeys};
use sw_spec::NetworkName;
use sw_vault_dir::{ConfigError, LockError, Overwrite, VaultConfig, VaultDir, WriteError, write_private};

/// Why a vault's directory was not set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InitializeError {
    /// There is one, and its keys may be in use.
    #[error("the vault directory `{}` already exists", .0.display())]
    AlreadyThere(PathBuf),
    /// Another command sets it up right now.
    #[error(transparent)]
    Locked(#[from] LockError),
    /// The directory or the network file cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The configuration cannot be written.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// Makes the directory of a vault whose keys will be derived from `mnemonic`.
///
/// `network_file` is the text of the file that describes the network, when it is none of the built-in ones: a copy is
/// kept, since later commands find the network by it. The configuration is written last, so that a directory with one
/// is complete.
///
/// # Errors
///
/// See [`InitializeError`]. A directory that exists is never touched.
pub fn initialize(
    directory: &VaultDir,
    network: &NetworkName,
    network_file: Option<&str>,
    mnemonic: &Mnemonic,
) -> Result<VaultConfig, InitializeError> {
    if directory.exists() {
        return Err(InitializeError::AlreadyThere(directory.root().to_owned()));
    }
    let first_key = ValidatorKeys::new(&mnemonic.to_seed()).key(0);
    let config = VaultConfig {
        network: network.to_string(),
        mnemonic_next_index: 0,
        first_public_key: first_key.public_key().to_bytes(),
    };
    directory.create()?;
    let _lock = directory.lock()?;
    if let Some(text) = network_file {
        write_private(&directory.network_file(), text.as_bytes(), Overwrite::Refuse)?;
    }
    config.save(directory)?;
    Ok(config)
}
