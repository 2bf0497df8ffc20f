//! Where a vault's files are.

use std::path::{Path, PathBuf};

use sw_spec::Address;

use crate::{WriteError, create_private_dir};

/// The directory of one vault: `<data directory>/<address, lower-case>`, laid out as the original's is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VaultDir {
    root: PathBuf,
}

impl VaultDir {
    /// The directory of a vault, whether it exists or not.
    pub fn new(data_dir: &Path, vault: Address) -> Self {
        Self {
            root: data_dir.join(format!("{vault:#x}")),
        }
    }

    /// The directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// `config.json`: the network, the next index of the phrase, and its first public key.
    pub fn config(&self) -> PathBuf {
        self.root.join("config.json")
    }

    /// `keystores`: the validator keys.
    pub fn keystores(&self) -> PathBuf {
        self.root.join("keystores")
    }

    /// `keystores/password.txt`: the password of all keystores that have none of their own.
    pub fn keystores_password(&self) -> PathBuf {
        self.keystores().join("password.txt")
    }

    /// `deposit_data.json`: the deposits to be uploaded.
    pub fn deposit_data(&self) -> PathBuf {
        self.root.join("deposit_data.json")
    }

    /// `wallet`: the hot wallet.
    pub fn wallet_dir(&self) -> PathBuf {
        self.root.join("wallet")
    }

    /// `wallet/wallet.json`: the hot wallet's key.
    pub fn wallet(&self) -> PathBuf {
        self.wallet_dir().join("wallet.json")
    }

    /// `wallet/password.txt`: the hot wallet's password.
    pub fn wallet_password(&self) -> PathBuf {
        self.wallet_dir().join("password.txt")
    }

    /// `network.toml`: the network's values, when they are not built in.
    pub fn network_file(&self) -> PathBuf {
        self.root.join("network.toml")
    }

    /// `operator.db`: the index of the network's validators.
    pub fn database(&self) -> PathBuf {
        self.root.join("operator.db")
    }

    /// `transactions.journal`: what the wallet was about to send.
    pub fn journal(&self) -> PathBuf {
        self.root.join("transactions.journal")
    }

    /// `endpoints.json`: how much the nodes serve at once, as it was learned. It can be deleted.
    pub fn endpoints(&self) -> PathBuf {
        self.root.join("endpoints.json")
    }

    /// `ipfs`: verified content.
    pub fn ipfs_cache(&self) -> PathBuf {
        self.root.join("ipfs")
    }

    /// Whether there is such a directory.
    pub fn exists(&self) -> bool {
        self.root.is_dir()
    }

    /// Creates the directory and those above it that are missing, readable by their owner only.
    pub fn create(&self) -> Result<(), WriteError> {
        create_private_dir(&self.root)
    }
}
