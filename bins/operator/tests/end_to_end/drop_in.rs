//! What an operator brings along: a network file, and the original's directory, flags and variables.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::Path,
};

use serde_json::Value;
use sw_spec::NetworkSpec;

use crate::setup::{STOP, Setup, small};

#[tokio::test]
async fn the_network_file_of_a_devnet_is_read_and_kept_by_init() {
    let setup = Setup::without_root(small(), 1).await;
    let text = fs::read_to_string(setup.devnet.network_file()).unwrap();
    let (network, deployment) = (NetworkSpec::from_toml(&text).unwrap(), setup.devnet.deployment());
    assert_eq!(network.chain_id, deployment.chain_id);
    assert_eq!(network.genesis_validators_root, deployment.genesis_validators_root);
    assert_eq!(network.contracts.keeper, deployment.keeper);
    assert_eq!(
        NetworkSpec::from_toml(&network.to_toml()).unwrap(),
        network,
        "it is printed in the form that is read"
    );

    assert!(
        setup
            .person
            .environment
            .iter()
            .all(|(name, _)| name != "NETWORK_CONFIG")
    );
    let kept = setup.person.vault_dir().join("network.toml");
    assert_eq!(fs::read_to_string(kept).unwrap(), text);
    let config = fs::read_to_string(setup.person.vault_dir().join("config.json")).unwrap();
    assert!(config.contains(r#""network": "devnet""#), "{config}");
}

/// Writes a file anew as the original does, with no care for who may read it.
fn rewrite(path: &Path, text: &str, mode: u32) {
    let _ = fs::remove_file(path);
    fs::write(path, text).unwrap();
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[tokio::test]
async fn the_directory_and_the_variables_of_the_original_register_a_validator() {
    let mut setup = Setup::ready(small(), 1).await;
    let vault = setup.person.vault_dir();
    let original: Value = sw_testkit::fixture("original-v1.json");
    let (wallet, password) = (&original["wallet"], sw_testkit::text(&original["keystore_password"]));
    // A wallet of the original (scrypt with r=1, p=8) that lies elsewhere, its password where the original looks for it.
    let elsewhere = vault.join("wallet-of-the-original.txt");
    fs::remove_file(vault.join("wallet/wallet.json")).unwrap();
    rewrite(&elsewhere, &wallet["keyfile"].to_string(), 0o644);
    rewrite(&vault.join("wallet/password.txt"), &format!("{password}\n"), 0o644);
    for entry in fs::read_dir(vault.join("keystores")).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        if path.ends_with("password.txt") {
            rewrite(&path, &format!("{text}\n"), 0o644);
        } else {
            rewrite(&path, &text, 0o440);
        }
    }
    fs::set_permissions(vault.join("keystores"), Permissions::from_mode(0o755)).unwrap();
    for (name, value) in [
        ("VAULT", setup.person.vault.to_uppercase().replace("0X", "0x").as_str()),
        ("HOT_WALLET_FILE", &elsewhere.display().to_string()),
        ("HOT_WALLET_PASSWORD_FILE", ""),
        ("MAX_FEE_PER_GAS_GWEI", "70"),
        ("HARVEST_VAULT", "False"),
        ("VERBOSE", "no"),
        ("LOG_LEVEL", "INFO"),
        ("POOL_SIZE", "2"),
        ("NETWORK", ""),
    ] {
        setup.person.environment.push((name.to_owned(), value.to_owned()));
    }
    let address = sw_testkit::text(&wallet["address"]);
    setup.devnet.send_eth(address.parse().unwrap(), 1).await.unwrap();
    setup.devnet.stake(setup.devnet.vault(), 32).await.unwrap();

    let arguments = ["--pool-size", "2", "--max-fee-per-gas-gwei=70"];
    let mut running = setup.person.start(&arguments).unwrap();
    let registered = setup.registered(1, &running).await;
    assert_eq!(registered.len(), 1);
    assert!(running.log().contains(address), "its wallet paid:\n{}", running.log());
    assert_eq!(running.stop(STOP).await.unwrap().code(), Some(143));
}
