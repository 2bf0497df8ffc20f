//! An oracle is replaced: the operator notices, and signs the exits of all validators for the new set.

use std::{path::Path, time::Duration};

use alloy_primitives::Address;
use serde_json::json;
use sw_devnet::{Devnet, DevnetConfig, person::Person};
use tokio::time::Instant;

use super::{
    Outcome,
    register::{STOP, step, wait_for},
};
use crate::Failure;

pub(super) async fn run(operator: &Path) -> Result<Outcome, Failure> {
    step("starting a network: execution node, contracts, beacon API, IPFS gateway, oracles");
    let devnet = Devnet::start(DevnetConfig::default()).await?;
    let home = tempfile::Builder::new().prefix("operator-demo-").tempdir()?;
    let vault = devnet.vault();
    let person = Person::new(operator, home.path(), vault.to_string(), &devnet);
    step("operator init, create-keys --count 3, create-wallet; its admin uploads the root");
    let mnemonic = person.init(devnet.network_file()).await?;
    person.create_keys(&mnemonic, VALIDATORS).await?;
    let wallet = person.create_wallet(&mnemonic).await?;
    devnet.send_eth(wallet.parse()?, 1).await?;
    devnet
        .set_deposit_data_root(vault, person.validators_root().await?.parse()?)
        .await?;
    step("somebody stakes 96 ETH; operator start");
    devnet.stake(vault, 32 * VALIDATORS as u64).await?;
    let mut running = person.start(&[])?;
    wait_for(&devnet, vault, VALIDATORS, &running).await?;

    step("the Keeper replaces the first oracle, and announces the new set");
    let newcomer = devnet.replace_oracle(0).await?;
    let left = devnet.recoverable(vault).await?.len();
    step(&format!(
        "{newcomer} is new; its set recovers the exits of {left} validators"
    ));
    let recoverable = wait_recoverable(&devnet, vault).await.map_err(|failure| {
        let said = running.log();
        Failure::from(format!("{failure}; the operator said:\n{said}"))
    })?;
    running.stop(STOP).await?;
    let rotated: usize = devnet
        .rotated(vault)
        .await?
        .iter()
        .map(|rotation| rotation.public_keys.len())
        .sum();
    devnet.stop().await;
    if rotated != VALIDATORS || left != 0 {
        return Err(format!("{rotated} were rotated, and {left} did not need it").into());
    }
    Ok(Outcome {
        document: json!({ "rotated": rotated, "recoverable_by_new_oracles": recoverable }),
        lines: vec![
            format!("vault {vault}, new oracle {newcomer}"),
            format!("  {rotated} validators rotated, {recoverable} recoverable by any threshold of the new set"),
        ],
    })
}

/// Waits until the present oracles can recover the exit of every validator.
async fn wait_recoverable(devnet: &Devnet, vault: Address) -> Result<usize, Failure> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let recoverable = devnet.recoverable(vault).await?.len();
        if recoverable == VALIDATORS {
            return Ok(recoverable);
        }
        if Instant::now() > deadline {
            return Err(format!("the new oracles recover the exits of {recoverable} validators only").into());
        }
        tokio::time::sleep(POLL).await;
    }
}

const VALIDATORS: usize = 3;
const PATIENCE: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(500);
