//! Validators that leave: one by `--count`, the rest together, until the beacon chain calls all of them `active_exiting`.

use std::{path::Path, time::Duration};

use serde_json::{Value, json};
use sw_devnet::{Devnet, DevnetConfig, http::loopback_client, person::Person};
use tokio::time::Instant;

use super::{
    Outcome,
    register::{STOP, step, wait_for},
};
use crate::Failure;

pub(super) async fn run(operator: &Path) -> Result<Outcome, Failure> {
    step("starting a network: execution node, contracts, a beacon API that holds to the rules of exits, oracles");
    let devnet = Devnet::start(DevnetConfig::default()).await?;
    let home = tempfile::Builder::new().prefix("operator-demo-").tempdir()?;
    let vault = devnet.vault();
    let person = Person::new(operator, home.path(), vault.to_string(), &devnet);
    step("operator init, create-keys --count 2, create-wallet; its admin uploads the root");
    let mnemonic = person.init(devnet.network_file()).await?;
    person.create_keys(&mnemonic, VALIDATORS).await?;
    let wallet = person.create_wallet(&mnemonic).await?;
    devnet.send_eth(wallet.parse()?, 1).await?;
    devnet
        .set_deposit_data_root(vault, person.validators_root().await?.parse()?)
        .await?;
    step("somebody stakes 64 ETH; operator start");
    devnet.stake(vault, 32 * VALIDATORS as u64).await?;
    let mut running = person.start(&[])?;
    wait_for(&devnet, vault, VALIDATORS, &running).await?;
    running.stop(STOP).await?;

    step("the chain goes on until both are active");
    let states = statuses_at(&devnet, "active_ongoing").await?;
    step("operator validators-exit --count 1, then the rest");
    for (count, exits) in [(&["--count", "1"][..], 1), (&[], VALIDATORS)] {
        let exit = ["validators-exit", "--vault", &person.vault, "--no-confirm", "--json"];
        let all: Vec<&str> = exit.into_iter().chain(count.iter().copied()).collect();
        let told = person.succeed(&all, "").await?;
        step(&format!("  it says: {}", told.trim()));
        let taken = devnet.beacon().exits().len();
        if taken != exits {
            return Err(format!("the beacon node took {taken} exits, {exits} were asked for").into());
        }
    }
    let exiting = statuses_at(&devnet, "active_exiting").await?;
    if exiting.len() != states.len() {
        return Err("some validators do not exit".into());
    }
    devnet.stop().await;
    let exited: Vec<Value> = exiting
        .iter()
        .map(|(index, status)| json!({"index": index, "status": status}))
        .collect();
    let mut lines = vec![format!("vault {vault}")];
    lines.extend(
        exiting
            .iter()
            .map(|(index, status)| format!("  validator {index} is {status}")),
    );
    Ok(Outcome {
        document: json!({ "exited": exited }),
        lines,
    })
}

/// Mines until every validator has this status for the beacon node; returns index and status of each.
async fn statuses_at(devnet: &Devnet, wanted: &str) -> Result<Vec<(u64, String)>, Failure> {
    let client = loopback_client(Duration::from_secs(10))?;
    let url = format!("{}/eth/v1/beacon/states/head/validators", devnet.consensus_url());
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer: Value = serde_json::from_str(&client.get(&url).send().await?.text().await?)?;
        let states = answer
            .get("data")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        let state = |state: &Value| {
            let index = state.get("index")?.as_str()?.parse().ok()?;
            Some((index, state.get("status")?.as_str()?.to_owned()))
        };
        let states: Vec<(u64, String)> = states.iter().filter_map(state).collect();
        if states.len() == VALIDATORS && states.iter().all(|(_, status)| status == wanted) {
            return Ok(states);
        }
        if Instant::now() > deadline {
            return Err(format!("the validators are not {wanted}: {states:?}").into());
        }
        devnet.mine(1).await?;
        tokio::time::sleep(POLL).await;
    }
}

const VALIDATORS: usize = 2;
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);
