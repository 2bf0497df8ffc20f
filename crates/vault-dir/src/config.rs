//! `config.json`: what the vault's directory remembers of its phrase.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use serde_json::Value;
use sw_spec::PublicKeyBytes;

use crate::{Overwrite, VaultDir, WriteError, write_private};

/// The vault's settings, as `init` writes them and `create-keys` moves them on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VaultConfig {
    /// The network's name. Whether it is known is not checked here: the network may come from a file.
    pub network: String,
    /// The index that the next key made of the phrase gets.
    pub mnemonic_next_index: u32,
    /// The public key of index 0, which tells the vault's phrase from others.
    pub first_public_key: PublicKeyBytes,
}

/// `config.json` cannot be used.
///
/// Members are looked at in the order of the original, so the first fault is the same.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The vault has not been initialised.
    #[error("`{path}` does not exist: the vault has not been set up with `init`")]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be read.
    #[error("`{path}` cannot be read")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file is not JSON.
    #[error("`{path}` is not JSON")]
    NotJson {
        /// The file.
        path: PathBuf,
        /// Where it stops being JSON.
        #[source]
        source: serde_json::Error,
    },
    /// The file is JSON, and not an object of less than 64 KiB.
    #[error("`{path}` is not a JSON object with the vault's settings")]
    NotAnObject {
        /// The file.
        path: PathBuf,
    },
    /// No network.
    #[error("`network` in `{path}` is missing or empty")]
    Network {
        /// The file.
        path: PathBuf,
    },
    /// No next index.
    #[error("`mnemonic_next_index` in `{path}` is missing")]
    NextIndexMissing {
        /// The file.
        path: PathBuf,
    },
    /// A next index that is not a whole number from 0 to 2^32 - 1 (EIP-2333 knows no others).
    #[error("`mnemonic_next_index` in `{path}` is not an index: {found}")]
    NextIndex {
        /// The file.
        path: PathBuf,
        /// What is there instead.
        found: String,
    },
    /// No first public key.
    #[error("`first_public_key` in `{path}` is missing")]
    FirstPublicKeyMissing {
        /// The file.
        path: PathBuf,
    },
    /// A first public key that is not `0x` and 96 hexadecimal digits.
    #[error("`first_public_key` in `{path}` is not a public key")]
    FirstPublicKey {
        /// The file.
        path: PathBuf,
    },
    /// A phrase that is not the vault's.
    #[error("the phrase is not the one this vault was set up with: its first key is {found}, not {expected}")]
    OtherMnemonic {
        /// The first public key in the file.
        expected: PublicKeyBytes,
        /// That of the phrase.
        found: PublicKeyBytes,
    },
    /// The file cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

impl VaultConfig {
    /// Reads `config.json`. Members it does not know are ignored.
    pub fn load(dir: &VaultDir) -> Result<Self, ConfigError> {
        let path = dir.config();
        parse(&read(&path)?, &path)
    }

    /// Writes `config.json` in the original's form, in the place of the one that may be there.
    pub fn save(&self, dir: &VaultDir) -> Result<(), ConfigError> {
        Ok(write_private(
            &dir.config(),
            self.to_json().as_bytes(),
            Overwrite::Replace,
        )?)
    }

    /// The original's form: one line, a space after each colon and comma, no line ending.
    pub fn to_json(&self) -> String {
        let Self {
            network,
            mnemonic_next_index,
            first_public_key,
        } = self;
        let network = Value::from(network.as_str());
        format!(
            r#"{{"network": {network}, "mnemonic_next_index": {mnemonic_next_index}, "first_public_key": "{first_public_key}"}}"#
        )
    }

    /// Refuses the first public key of another phrase.
    pub fn check_first_public_key(&self, found: &PublicKeyBytes) -> Result<(), ConfigError> {
        let expected = self.first_public_key;
        if expected == *found {
            Ok(())
        } else {
            Err(ConfigError::OtherMnemonic {
                expected,
                found: *found,
            })
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, ConfigError> {
    let mut bytes = Vec::new();
    match File::open(path).and_then(|file| file.take(MAX_CONFIG_BYTES + 1).read_to_end(&mut bytes)) {
        Ok(length) if length as u64 > MAX_CONFIG_BYTES => Err(ConfigError::NotAnObject { path: path.to_owned() }),
        Ok(_) => Ok(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(ConfigError::Missing { path: path.to_owned() }),
        Err(source) => Err(ConfigError::Unreadable {
            path: path.to_owned(),
            source,
        }),
    }
}

pub(crate) fn parse(bytes: &[u8], path: &Path) -> Result<VaultConfig, ConfigError> {
    let path = || path.to_owned();
    let json: Value = serde_json::from_slice(bytes).map_err(|source| ConfigError::NotJson { path: path(), source })?;
    let members = json
        .as_object()
        .ok_or_else(|| ConfigError::NotAnObject { path: path() })?;
    let member = |name| members.get(name).filter(|value| !value.is_null());
    let network = member("network")
        .and_then(Value::as_str)
        .filter(|name| !name.is_empty())
        .ok_or_else(|| ConfigError::Network { path: path() })?;
    let index = member("mnemonic_next_index").ok_or_else(|| ConfigError::NextIndexMissing { path: path() })?;
    let mnemonic_next_index = index
        .as_u64()
        .and_then(|index| u32::try_from(index).ok())
        .ok_or_else(|| ConfigError::NextIndex {
            path: path(),
            found: shortened(index),
        })?;
    let key = member("first_public_key").ok_or_else(|| ConfigError::FirstPublicKeyMissing { path: path() })?;
    let first_public_key = key
        .as_str()
        .filter(|text| text.starts_with("0x"))
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| ConfigError::FirstPublicKey { path: path() })?;
    Ok(VaultConfig {
        network: network.to_owned(),
        mnemonic_next_index,
        first_public_key,
    })
}

fn shortened(value: &Value) -> String {
    value.to_string().chars().take(40).collect()
}

/// The original's file has about 170.
const MAX_CONFIG_BYTES: u64 = 64 * 1024;
