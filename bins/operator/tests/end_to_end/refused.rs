//! What is refused or waited for: with what is wrong, why, and what to do.

use std::fs;

use serde_json::json;
use sw_devnet::{Node, VaultKind};

use crate::setup::{PATIENCE, Setup, small};

#[tokio::test]
async fn a_node_of_another_chain_ends_the_start_and_is_named() {
    let setup = Setup::ready(small(), 1).await;
    setup.devnet.set_claimed_chain_id(Some(1));
    let (code, said) = setup.start_fails(&[]).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains(setup.devnet.execution_url()) && said.contains("is on chain 1"),
        "{said}"
    );
    assert!(
        said.contains("hint: give endpoints of the vault's network in `--execution-endpoints`"),
        "{said}"
    );
}

#[tokio::test]
async fn syncing_nodes_are_waited_for_with_one_line_each() {
    let setup = Setup::ready(small(), 1).await;
    setup.devnet.set_syncing(Node::Execution, true);
    setup.devnet.set_syncing(Node::Consensus, true);
    setup.devnet.stake(setup.devnet.vault(), 32).await.unwrap();
    let running = setup.person.start(&[]).unwrap();
    running.says("no execution node is ready", PATIENCE).await.unwrap();
    setup.devnet.set_syncing(Node::Execution, false);
    running.says("no consensus node is ready", PATIENCE).await.unwrap();
    setup.devnet.set_syncing(Node::Consensus, false);
    setup.registered(1, &running).await;
    assert_eq!(running.log().matches("no consensus node is ready").count(), 1);
}

#[tokio::test]
async fn keys_of_another_mnemonic_are_not_made() {
    let setup = Setup::ready(small(), 1).await;
    let other = "legal winner thank year wave sausage worth useful legal winner thank yellow";
    let arguments = [
        "create-keys",
        "--vault",
        &setup.person.vault,
        "--count",
        "1",
        "--mnemonic-file",
        "-",
    ];
    let answer = setup.person.run(&arguments, other).await.unwrap();
    assert_eq!(answer.status.code(), Some(4), "{}", answer.said);
    assert!(
        answer.said.contains("hint:") && !answer.said.contains("legal winner"),
        "{}",
        answer.said
    );
    let keystores = fs::read_dir(setup.person.vault_dir().join("keystores"))
        .unwrap()
        .count();
    assert_eq!(keystores, 2, "one keystore and its password, as before");
    assert!(!setup.mnemonic.is_empty());
}

#[tokio::test]
async fn a_wrong_keystore_password_is_named_when_the_key_is_needed_and_nothing_is_sent() {
    let setup = Setup::ready(small(), 1).await;
    let password = setup.person.vault_dir().join("keystores/password.txt");
    fs::remove_file(&password).unwrap();
    fs::write(&password, "not the password").unwrap();
    setup.devnet.stake(setup.devnet.vault(), 32).await.unwrap();
    let running = setup.person.start(&[]).unwrap();
    let said = running.says("no exit signature for validator", PATIENCE).await.unwrap();
    assert!(
        said.contains("keystore-m_12381_3600_0_0_0") && said.contains("password.txt"),
        "{said}"
    );
    assert!(said.contains("wrong password"), "{said}");
    assert!(setup.devnet.oracles().iter().all(|oracle| oracle.requests().is_empty()));
    assert_eq!(setup.count().await, 0);
}

#[tokio::test]
async fn a_key_that_will_not_open_is_named_once_while_the_vault_still_waits() {
    let setup = Setup::ready(small(), 1).await;
    let password = setup.person.vault_dir().join("keystores/password.txt");
    fs::remove_file(&password).unwrap();
    fs::write(&password, "not the password").unwrap();
    let running = setup.person.start(&[]).unwrap();
    let said = running.says("the next key cannot be opened", PATIENCE).await.unwrap();
    assert!(
        said.contains("keystore-m_12381_3600_0_0_0") && said.contains("wrong password"),
        "{said}"
    );
    setup.devnet.stake(setup.devnet.vault(), 32).await.unwrap();
    running.says("no exit signature for validator", PATIENCE).await.unwrap();
    assert_eq!(running.log().matches("the next key cannot be opened").count(), 1);
}

#[tokio::test]
async fn a_start_that_verifies_names_every_keystore_that_does_not_open() {
    let setup = Setup::ready(small(), 3).await;
    let keystores = setup.person.vault_dir().join("keystores");
    let mut paths: Vec<_> = fs::read_dir(&keystores)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    for path in &paths[1..] {
        fs::write(path.with_extension("txt"), "not the password").unwrap();
    }
    let (code, said) = setup.start_fails(&["--verify-keystores"]).await;
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("2 of 3 keystores"), "{said}");
    let named = |path: &std::path::PathBuf| said.contains(&format!("does not open keystore `{}`", path.display()));
    assert_eq!(
        paths.iter().map(named).collect::<Vec<_>>(),
        [false, true, true],
        "{said}"
    );
    assert!(!said.contains("checks"), "nothing else was begun: {said}");
    for path in &paths[1..] {
        fs::remove_file(path.with_extension("txt")).unwrap();
    }
    let running = setup.person.start(&["--verify-keystores", "--pool-size", "1"]).unwrap();
    running.says("operator started", PATIENCE).await.unwrap();
}

#[tokio::test]
async fn a_keystore_that_states_another_public_key_signs_nothing() {
    let setup = Setup::ready(small(), 2).await;
    let directory = setup.person.vault_dir().join("keystores");
    let mut keystores: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    keystores.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    keystores.sort();
    let texts: Vec<serde_json::Value> = keystores
        .iter()
        .map(|path| serde_json::from_slice(&fs::read(path).unwrap()).unwrap())
        .collect();
    for (path, (text, other)) in keystores.iter().zip([(&texts[0], &texts[1]), (&texts[1], &texts[0])]) {
        let mut swapped = text.clone();
        swapped["pubkey"] = other["pubkey"].clone();
        fs::remove_file(path).unwrap();
        fs::write(path, swapped.to_string()).unwrap();
    }
    setup.devnet.stake(setup.devnet.vault(), 32).await.unwrap();
    let running = setup.person.start(&[]).unwrap();
    let said = running.says("no exit signature for validator", PATIENCE).await.unwrap();
    assert!(
        said.contains("keystore-m_12381_3600_1_0_0"),
        "the file is named: {said}"
    );
    assert!(setup.devnet.oracles().iter().all(|oracle| oracle.requests().is_empty()));
}

#[tokio::test]
async fn deposit_data_of_another_vault_is_refused_before_anything_is_sent() {
    let mut setup = Setup::ready(small(), 1).await;
    let other = setup.devnet.create_vault(VaultKind::DepositData).await.unwrap();
    let file = setup.person.vault_dir().join("deposit_data.json").display().to_string();
    setup.person.vault = other.to_string();
    setup.person.init(setup.devnet.network_file()).await.unwrap();
    let arguments = [
        "get-validators-root",
        "--vault",
        &setup.person.vault,
        "--deposit-data-file",
        &file,
    ];
    let answer = setup.person.run(&arguments, "").await.unwrap();
    assert_eq!(answer.status.code(), Some(1), "{}", answer.said);
    assert!(
        answer.out.is_empty() && answer.said.contains("hint:"),
        "{}",
        answer.said
    );

    setup.person.vault = setup.devnet.vault().to_string();
    let text = fs::read_to_string(&file).unwrap();
    let (ours, theirs) = (format!("{:x}", setup.devnet.vault()), format!("{other:x}"));
    fs::remove_file(&file).unwrap();
    fs::write(&file, text.replace(&ours, &theirs)).unwrap();
    let (code, said) = setup.start_fails(&[]).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("deposit-data") && said.contains("hint: create the file again"),
        "{said}"
    );
}

#[tokio::test]
async fn a_root_that_is_not_uploaded_is_waited_for() {
    let setup = Setup::without_root(small(), 1).await;
    setup.devnet.stake(setup.devnet.vault(), 32).await.unwrap();
    let running = setup.person.start(&[]).unwrap();
    let said = running
        .says("no deposit data root is set for the vault", PATIENCE)
        .await
        .unwrap();
    assert!(
        said.contains(&setup.root) && said.contains(&setup.devnet.admin().to_string()),
        "{said}"
    );
    setup
        .devnet
        .set_deposit_data_root(setup.devnet.vault(), setup.root.parse().unwrap())
        .await
        .unwrap();
    setup.registered(1, &running).await;
}

#[tokio::test]
async fn a_config_that_the_gateway_altered_is_not_used() {
    let setup = Setup::ready(small(), 1).await;
    let mut config = setup.devnet.protocol_config();
    config["supported_relays"] = json!([]);
    let cid = setup.devnet.update_config(&config).await.unwrap();
    setup.devnet.gateway().tamper(&cid);
    setup.devnet.stake(setup.devnet.vault(), 32).await.unwrap();
    let running = setup.person.start(&[]).unwrap();
    let said = running
        .says("cannot fetch the oracles' config from IPFS", PATIENCE)
        .await
        .unwrap();
    assert!(said.contains(setup.devnet.ipfs_url()), "the gateway is named: {said}");
    assert!(
        setup.devnet.oracles().iter().all(|oracle| oracle.requests().is_empty()),
        "no share left"
    );
    setup.devnet.gateway().restore(&cid);
    setup.registered(1, &running).await;
}

#[tokio::test]
async fn a_config_that_names_a_key_which_is_no_oracle_gets_no_share() {
    let setup = Setup::ready(small(), 1).await;
    let honest = setup.devnet.protocol_config();
    let mut forged = honest.clone();
    let stranger = "0x1b84c5567b126440995d3ed5aaba0565d71e1834604819ff9c17f5e9d5dd078f70beaf8f588b541507fed6a642c5ab42dfdf8120a7f639de5122d47a69a8e8d1";
    forged["oracles"][0]["public_key"] = json!(stranger);
    setup.devnet.update_config(&forged).await.unwrap();
    setup.devnet.stake(setup.devnet.vault(), 32).await.unwrap();
    let running = setup.person.start(&[]).unwrap();
    let said = running
        .says("the oracle set is not consistent", PATIENCE)
        .await
        .unwrap();
    assert!(
        said.contains("0x1a642f0E3c3aF545E7AcBD38b07251B3990914F1"),
        "the stranger is named: {said}"
    );
    assert!(
        setup.devnet.oracles().iter().all(|oracle| oracle.requests().is_empty()),
        "no share left"
    );
    setup.devnet.update_config(&honest).await.unwrap();
    setup.registered(1, &running).await;
}

#[tokio::test]
async fn a_vault_without_a_manager_says_what_its_admin_must_do() {
    let mut setup = Setup::ready(small(), 1).await;
    let vault = setup.devnet.create_vault(VaultKind::Unmanaged).await.unwrap();
    setup.person.vault = vault.to_string();
    let mnemonic = setup.person.init(setup.devnet.network_file()).await.unwrap();
    setup.person.create_keys(&mnemonic, 1).await.unwrap();
    setup.person.create_wallet(&mnemonic).await.unwrap();
    let running = setup.person.start(&[]).unwrap();
    let said = running
        .says("the vault has no validators manager", PATIENCE)
        .await
        .unwrap();
    let registry = setup.devnet.deployment().deposit_data_registry;
    assert!(said.contains(&format!("setValidatorsManager({registry})")), "{said}");
}

#[tokio::test]
async fn an_address_that_is_no_vault_ends_the_start() {
    let mut setup = Setup::ready(small(), 1).await;
    setup.person.vault = setup.devnet.deployment().keeper.to_string();
    let mnemonic = setup.person.init(setup.devnet.network_file()).await.unwrap();
    setup.person.create_keys(&mnemonic, 1).await.unwrap();
    setup.person.create_wallet(&mnemonic).await.unwrap();
    let (code, said) = setup.start_fails(&[]).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("is not a StakeWise vault on devnet"), "{said}");
}
