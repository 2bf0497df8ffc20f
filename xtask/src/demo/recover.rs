//! The worst day: a disk has spoilt every keystore. The phrase and the chain bring the keys back, and the operator goes on.

use std::{collections::BTreeSet, fs, path::Path};

use serde_json::{Value, json};
use sw_devnet::{Devnet, DevnetConfig, person::Person};

use super::{
    Outcome,
    register::{STOP, step, wait_for},
};
use crate::Failure;

const LOST: usize = 3;

pub(super) async fn run(operator: &Path) -> Result<Outcome, Failure> {
    step("starting a network: execution node, contracts, beacon API, IPFS gateway, oracles");
    let devnet = Devnet::start(DevnetConfig::default()).await?;
    let home = tempfile::Builder::new().prefix("operator-demo-").tempdir()?.keep();
    let vault = devnet.vault();
    let person = Person::new(operator, &home, vault.to_string(), &devnet);
    let mnemonic = person.init(devnet.network_file()).await?;
    person.create_keys(&mnemonic, LOST).await?;
    let wallet = person.create_wallet(&mnemonic).await?;
    devnet.send_eth(wallet.parse()?, 1).await?;
    step(&format!("operator start registers {LOST} validators"));
    go_on(&devnet, &person, LOST, LOST).await?;

    step("every keystore is overwritten with zeros");
    let keystores = person.vault_dir().join("keystores");
    let spoilt = spoil(&keystores)?;
    step("operator recover: the phrase, the vault and two nodes are all it needs");
    let answer = person
        .recover(&mnemonic, devnet.network_file(), &["--restore-deposit-data", "1"])
        .await?;
    if !answer.status.success() {
        return Err(format!("the recovery ended with {}:\n{}", answer.status, answer.said).into());
    }
    let registered: BTreeSet<String> = keys_of(&devnet).await?;
    let recovered = stated_keys(&keystores)?;
    let kept = person.vault_dir().join("keystores.bak-1");
    let kept_old = spoilt
        .iter()
        .all(|name| fs::read(kept.join(name)).is_ok_and(|bytes| bytes == SPOILT));

    step("operator start goes on with the keystores that were recovered: one more validator is registered");
    go_on(&devnet, &person, 1, LOST + 1).await?;
    let next = keys_of(&devnet).await?;
    if !next.is_subset(&recovered) {
        return Err("the last validator is of no recovered key".into());
    }
    let count = registered.intersection(&recovered).count();
    let lines = vec![
        format!(
            "vault {vault}: {} validators registered, {count} recovered",
            registered.len()
        ),
        format!("what was there before is kept: {kept_old}"),
        format!("its vault directory:  {}", person.vault_dir().display()),
        "play with it by hand: cargo xtask devnet".to_owned(),
    ];
    devnet.stop().await;
    Ok(Outcome {
        document: json!({"registered": registered.len(), "recovered": count, "kept_old": kept_old}),
        lines,
    })
}

/// Uploads the root, pays for `count` validators, and runs the operator until `total` are registered.
async fn go_on(devnet: &Devnet, person: &Person, count: usize, total: usize) -> Result<(), Failure> {
    let root = person.validators_root().await?;
    devnet.set_deposit_data_root(devnet.vault(), root.parse()?).await?;
    devnet.stake(devnet.vault(), 32 * u64::try_from(count)?).await?;
    let mut running = person.start(&[])?;
    wait_for(devnet, devnet.vault(), total, &running).await?;
    running.stop(STOP).await?;
    Ok(())
}

/// Overwrites the keystores, and returns their names.
fn spoil(keystores: &Path) -> Result<Vec<String>, Failure> {
    let mut names = Vec::new();
    for path in json_files(keystores)? {
        fs::write(&path, SPOILT)?;
        names.extend(path.file_name().map(|name| name.to_string_lossy().into_owned()));
    }
    Ok(names)
}

fn stated_keys(keystores: &Path) -> Result<BTreeSet<String>, Failure> {
    let mut keys = BTreeSet::new();
    for path in json_files(keystores)? {
        let keystore: Value = serde_json::from_slice(&fs::read(path)?)?;
        keys.extend(
            keystore
                .get("pubkey")
                .and_then(Value::as_str)
                .map(|key| format!("0x{key}")),
        );
    }
    Ok(keys)
}

fn json_files(directory: &Path) -> Result<Vec<std::path::PathBuf>, Failure> {
    let mut paths = fs::read_dir(directory)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    Ok(paths)
}

async fn keys_of(devnet: &Devnet) -> Result<BTreeSet<String>, Failure> {
    let registered = devnet.registered(devnet.vault()).await?;
    Ok(registered.into_iter().map(|each| each.public_key).collect())
}

/// What a disk that failed gives back.
const SPOILT: &[u8] = &[0; 512];
