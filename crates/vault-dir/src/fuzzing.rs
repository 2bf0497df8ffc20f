//! Entrances for the fuzzer, past the disk.

use std::path::Path;

use sw_keys::Keystore;

use crate::{ConfigError, OpenKeystoreError, VaultConfig, config, open_keystore};

/// Reads the text of `config.json`.
///
/// # Errors
/// When it is none.
pub fn config(bytes: &[u8]) -> Result<VaultConfig, ConfigError> {
    config::parse(bytes, Path::new("config.json"))
}

/// Reads the text of a file in the keystores directory; `None` when it is something else.
///
/// # Errors
/// When it looks like a keystore and cannot be used.
pub fn keystore(bytes: &[u8]) -> Result<Option<Keystore>, OpenKeystoreError> {
    open_keystore::keystore_of(Path::new("keystore.json"), bytes)
}
