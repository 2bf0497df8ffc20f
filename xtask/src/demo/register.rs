//! The main job: one validator alone, then two together, on a v5 vault whose manager is the DepositDataRegistry.

use std::{path::Path, time::Duration};

use sw_devnet::{Devnet, DevnetConfig, person::Person};

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
    let vault = devnet.vault();
    let person = Person::new(operator, &home, vault.to_string(), &devnet);

    step("operator init");
    let mnemonic = person.init(devnet.network_file()).await?;
    step("operator create-keys --count 4");
    person.create_keys(&mnemonic, 4).await?;
    step("operator create-wallet");
    let wallet = person.create_wallet(&mnemonic).await?;
    devnet.send_eth(wallet.parse()?, 1).await?;
    step("operator get-validators-root");
    let root = person.validators_root().await?;
    step(&format!("the vault's admin uploads {root} and somebody stakes 32 ETH"));
    devnet.set_deposit_data_root(vault, root.parse()?).await?;
    devnet.stake(vault, 32).await?;

    step("operator start");
    let mut running = person.start(&[])?;
    wait_for(&devnet, 1, &running).await?;
    step("one validator is registered; somebody stakes 64 ETH more");
    devnet.stake(vault, 64).await?;
    wait_for(&devnet, 3, &running).await?;

    step("stopping the operator");
    let status = running.stop(STOP).await?;
    if status.code() != Some(STOPPED) {
        return Err(format!("the operator ended with {status}:\n{}", running.log()).into());
    }
    let log = home.join("operator.log");
    std::fs::write(&log, running.log())?;
    let registered = devnet.registered(vault).await?;
    let together = registered
        .iter()
        .filter(|each| registered.last().is_some_and(|last| last.tx == each.tx))
        .count();
    if together < 2 {
        return Err("the last validators were not registered together".into());
    }
    devnet.stop().await;
    Ok(Registrations {
        vaults: vec![VaultOutcome {
            address: vault.to_string(),
            version: 5,
            road: "deposit-data-registry",
            registered,
        }],
        look_at: vec![
            format!("the operator's log:   {}", log.display()),
            format!("its vault directory:  {}", person.vault_dir().display()),
            "play with it by hand: cargo xtask devnet".to_owned(),
        ],
    })
}

pub(super) async fn wait_for(
    devnet: &Devnet,
    count: usize,
    running: &sw_devnet::person::RunningOperator,
) -> Result<(), Failure> {
    let seen = tokio::time::timeout(PATIENCE, devnet.wait_registered(devnet.vault(), count)).await;
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
