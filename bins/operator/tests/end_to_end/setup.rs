//! A person with keys, a wallet and a vault, on a network of their own.

use std::{path::Path, time::Duration};

use alloy_primitives::Address;
use sw_devnet::{
    Devnet, DevnetConfig, Registered, VaultKind,
    person::{Person, RunningOperator},
};

/// Registrations take a few slots of a second; the rest is room for a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);
/// What a stop may take.
pub(crate) const STOP: Duration = Duration::from_secs(5);

/// A network that starts fast: two oracles, both in Rust.
pub(crate) fn small() -> DevnetConfig {
    DevnetConfig {
        oracles: 2,
        node_oracle: false,
        validators_threshold: 2,
        recover_threshold: 2,
        ..DevnetConfig::default()
    }
}

pub(crate) struct Setup {
    pub(crate) devnet: Devnet,
    pub(crate) vault: Address,
    pub(crate) person: Person,
    pub(crate) mnemonic: String,
    pub(crate) wallet: String,
    pub(crate) root: String,
    _home: tempfile::TempDir,
}

impl Setup {
    /// Keys, a wallet with gas money, and the root uploaded.
    pub(crate) async fn ready(config: DevnetConfig, keys: usize) -> Self {
        let setup = Self::without_root(config, keys).await;
        setup.upload_root().await;
        setup
    }

    /// The same, but nobody has uploaded the root.
    pub(crate) async fn without_root(config: DevnetConfig, keys: usize) -> Self {
        let devnet = Devnet::start(config).await.unwrap();
        let vault = devnet.vault();
        Self::of_vault(devnet, vault, keys).await
    }

    /// The same with another vault than the one that the network started with.
    pub(crate) async fn of_kind(kind: VaultKind, config: DevnetConfig, keys: usize) -> Self {
        let devnet = Devnet::start(config).await.unwrap();
        let vault = devnet.create_vault(kind).await.unwrap();
        Self::of_vault(devnet, vault, keys).await
    }

    async fn of_vault(devnet: Devnet, vault: Address, keys: usize) -> Self {
        let home = tempfile::tempdir().unwrap();
        let operator = Path::new(env!("CARGO_BIN_EXE_operator"));
        let person = Person::new(operator, home.path(), vault.to_string(), &devnet);
        let mnemonic = person.init(devnet.network_file()).await.unwrap();
        person.create_keys(&mnemonic, keys).await.unwrap();
        let wallet = person.create_wallet(&mnemonic).await.unwrap();
        devnet.send_eth(wallet.parse().unwrap(), 1).await.unwrap();
        let root = person.validators_root().await.unwrap();
        Self {
            devnet,
            vault,
            person,
            mnemonic,
            wallet,
            root,
            _home: home,
        }
    }

    /// Whoever may set the vault's root sets that of its keys.
    pub(crate) async fn upload_root(&self) {
        let root = self.root.parse().unwrap();
        self.devnet.set_deposit_data_root(self.vault, root).await.unwrap();
    }

    /// Waits until the vault has registered `count` validators.
    pub(crate) async fn registered(&self, count: usize, running: &RunningOperator) -> Vec<Registered> {
        let registered = self.devnet.wait_registered(self.vault, count);
        match tokio::time::timeout(PATIENCE, registered).await {
            Ok(registered) => registered.unwrap(),
            Err(_) => panic!(
                "{count} validators were not registered; the operator said:\n{}",
                running.log()
            ),
        }
    }

    /// How many validators the vault has registered now.
    pub(crate) async fn count(&self) -> usize {
        self.devnet.registered(self.vault).await.unwrap().len()
    }

    /// How many transactions of the wallet are in the chain or on their way to it.
    pub(crate) async fn sent(&self) -> u64 {
        let wallet = self.wallet.parse().unwrap();
        self.devnet.chain().rpc().nonce(wallet).await.unwrap()
    }

    /// Waits until so many more blocks are mined.
    pub(crate) async fn blocks(&self, more: u64) {
        let number = async || {
            self.devnet
                .chain()
                .rpc()
                .block(None)
                .await
                .unwrap()
                .unwrap()
                .number
                .to::<u64>()
        };
        let until = number().await + more;
        while number().await < until {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Runs `start` that must end by itself, and returns its exit code and what it said.
    pub(crate) async fn start_fails(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let mut running = self.person.start(arguments).unwrap();
        match running.ends(PATIENCE).await {
            Ok(status) => (status.code(), running.log()),
            Err(_) => panic!("the operator did not end; it said:\n{}", running.log()),
        }
    }
}
