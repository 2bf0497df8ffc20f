//! Setting up the directory of a vault.

use std::{io, path::PathBuf};

use sw_keys::{Mnemonic, ValidatorKeys};
use sw_spec::NetworkName;
use sw_vault_dir::{BatchError, LockError, Overwrite, VaultConfig, VaultDir, WriteError, write_private};

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
    /// The directory cannot be read.
    #[error("the vault directory `{path}` cannot be read")]
    Unreadable {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// What an earlier run left cannot be removed.
    #[error(transparent)]
    Leftover(#[from] BatchError),
}

/// Makes the directory of a vault whose keys will be derived from `mnemonic`.
///
/// `network_file` is the text of the file that describes the network, when it is none of the built-in ones: a copy is
/// kept, since later commands find the network by it. The configuration is written last, so that a directory with one
/// is complete.
///
/// # Errors
///
/// See [`InitializeError`]. A directory that holds anything but the leftovers of a run that was cut short is never touched.
pub fn initialize(
    directory: &VaultDir,
    network: &NetworkName,
    network_file: Option<&str>,
    mnemonic: &Mnemonic,
) -> Result<VaultConfig, InitializeError> {
    check_unused(directory, network_file)?;
    let first_key = ValidatorKeys::new(&mnemonic.to_seed()).key(0);
    let config = VaultConfig {
        network: network.to_string(),
        mnemonic_next_index: 0,
        first_public_key: first_key.public_key().to_bytes(),
    };
    directory.create()?;
    let lock = directory.lock()?;
    // Another run may have been here in between.
    check_unused(directory, network_file)?;
    lock.remove_temporary_files()?;
    if let Some(text) = network_file {
        write_private(&directory.network_file(), text.as_bytes(), Overwrite::Replace)?;
    }
    write_private(&directory.config(), config.to_json().as_bytes(), Overwrite::Refuse)?;
    Ok(config)
}

/// Refuses a directory that [`initialize`] would refuse, before anybody is asked for anything.
///
/// # Errors
///
/// [`InitializeError::AlreadyThere`], or that the directory cannot be read.
pub fn check_unused(directory: &VaultDir, network_file: Option<&str>) -> Result<(), InitializeError> {
    match directory.is_unused(network_file) {
        Ok(true) => Ok(()),
        Ok(false) => Err(InitializeError::AlreadyThere(directory.root().to_owned())),
        Err(source) => Err(InitializeError::Unreadable {
            path: directory.root().to_owned(),
            source,
        }),
    }
}
