//! The main job on two vaults, each with an operator, a wallet and keys of its own in one data directory: on a v5 vault whose
//! manager is the DepositDataRegistry one validator alone, then two together; on a v1 vault two together.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use alloy_primitives::Address;
use sw_devnet::{
    Devnet, DevnetConfig, VaultKind,
    person::{Person, RunningOperator},
};

use super::{Registrations, VaultOutcome};
use crate::Failure;

/// One registration takes a few slots of one second; the rest is room for a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);
/// A clean stop takes at most this long.
pub(super) const STOP: Duration = Duration::from_secs(5);
/// The exit status of a program that was told to stop and did (128 + SIGTERM).
const STOPPED: i32 = 143;

pub(super) async fn run(operator: &Path) -> Result<Registrations, Failure> {
    step("starting a network: execution node, contracts, beacon API, IPFS gateway, oracles");
    let devnet = Devnet::start(DevnetConfig::default()).await?;
    let home = tempfile::Builder::new().prefix("operator-demo-").tempdir()?.keep();
    let (new, old) = tokio::try_join!(
        Served::prepare(operator, &home, &devnet, VaultKind::DepositData, 4),
        Served::prepare(operator, &home, &devnet, VaultKind::V1, 2),
    )?;
    // One after the other: a deposit makes void what the oracles approve meanwhile.
    new.register(&devnet, 32, 1).await?;
    old.register(&devnet, 64, 2).await?;
    new.register(&devnet, 64, 3).await?;

    step("stopping both operators");
    let (new, old) = tokio::try_join!(new.stop(&devnet), old.stop(&devnet))?;
    devnet.stop().await;
    let look_at = [&new, &old].into_iter().flat_map(|served| {
        let (log, directory) = (served.log.display(), served.directory.display());
        [
            format!("the log of its operator:  {log}"),
            format!("its vault directory:      {directory}"),
        ]
    });
    let look_at = look_at.chain(["play with it by hand: cargo xtask devnet".to_owned()]);
    Ok(Registrations {
        look_at: look_at.collect(),
        vaults: vec![new.outcome, old.outcome],
    })
}

/// A vault, and the operator that serves it.
struct Served {
    vault: Address,
    version: u8,
    road: &'static str,
    person: Person,
    running: RunningOperator,
}

/// What is left when the operator was stopped.
struct Stopped {
    outcome: VaultOutcome,
    log: PathBuf,
    directory: PathBuf,
}

impl Served {
    /// A vault with keys, a wallet, its root uploaded, and its operator started.
    async fn prepare(
        operator: &Path,
        home: &Path,
        devnet: &Devnet,
        kind: VaultKind,
        keys: usize,
    ) -> Result<Self, Failure> {
        let (vault, version, road) = match kind {
            VaultKind::V1 => (devnet.create_vault(kind).await?, 1, "vault"),
            _ => (devnet.vault(), 5, "deposit-data-registry"),
        };
        let say = |text: &str| step(&format!("v{version} vault: {text}"));
        let person = Person::new(operator, home, vault.to_string(), devnet);
        say("operator init");
        let mnemonic = person.init(devnet.network_file()).await?;
        say(&format!("operator create-keys --count {keys}"));
        person.create_keys(&mnemonic, keys).await?;
        say("operator create-wallet");
        let wallet = person.create_wallet(&mnemonic).await?;
        devnet.send_eth(wallet.parse()?, 1).await?;
        say("operator get-validators-root");
        let root = person.validators_root().await?;
        say(&format!("its admin uploads {root}; operator start"));
        devnet.set_deposit_data_root(vault, root.parse()?).await?;
        let running = person.start(&[])?;
        Ok(Self {
            vault,
            version,
            road,
            person,
            running,
        })
    }

    /// Somebody stakes, and the vault comes to have registered `count` validators.
    async fn register(&self, devnet: &Devnet, eth: u64, count: usize) -> Result<(), Failure> {
        step(&format!("v{} vault: somebody stakes {eth} ETH", self.version));
        devnet.stake(self.vault, eth).await?;
        wait_for(devnet, self.vault, count, &self.running).await?;
        step(&format!("v{} vault: {count} registered", self.version));
        Ok(())
    }

    async fn stop(self, devnet: &Devnet) -> Result<Stopped, Failure> {
        let (version, mut running) = (self.version, self.running);
        let status = running.stop(STOP).await?;
        if status.code() != Some(STOPPED) {
            return Err(format!(
                "the operator of the v{version} vault ended with {status}:\n{}",
                running.log()
            )
            .into());
        }
        let directory = self.person.vault_dir();
        let log = self.person.data_dir.join(format!("operator-v{version}.log"));
        std::fs::write(&log, running.log())?;
        let registered = devnet.registered(self.vault).await?;
        let together = registered
            .iter()
            .filter(|each| registered.last().is_some_and(|last| last.tx == each.tx))
            .count();
        if together < 2 {
            return Err(format!("the last validators of the v{version} vault were not registered together").into());
        }
        Ok(Stopped {
            outcome: VaultOutcome {
                address: self.vault.to_string(),
                version,
                road: self.road,
                registered,
            },
            log,
            directory,
        })
    }
}

pub(super) async fn wait_for(
    devnet: &Devnet,
    vault: Address,
    count: usize,
    running: &RunningOperator,
) -> Result<(), Failure> {
    let seen = tokio::time::timeout(PATIENCE, devnet.wait_registered(vault, count)).await;
    match seen {
        Ok(registered) => registered.map(drop).map_err(Failure::from),
        Err(_) => Err(format!(
            "{count} validators were not registered within {} s; the operator said:\n{}",
            PATIENCE.as_secs(),
            running.log()
        )
        .into()),
    }
}

pub(super) fn step(text: &str) {
    eprintln!("==> {text}");
}
