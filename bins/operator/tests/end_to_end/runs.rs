//! How it runs: what it serves, how it stops, and what a second start finds.

use std::time::Duration;

use serde_json::{Value, json};
use sw_devnet::DevnetConfig;

use crate::setup::{PATIENCE, STOP, Setup};

#[tokio::test]
async fn metrics_are_up_first_and_carry_the_original_names() {
    let setup = Setup::ready(DevnetConfig::default(), 1).await;
    setup.devnet.set_syncing(sw_devnet::Node::Execution, true);
    let mut running = setup
        .person
        .start(&["--enable-metrics", "--metrics-port", "0"])
        .unwrap();
    let line = running.says("metrics are served", PATIENCE).await.unwrap();
    let address = line
        .split("address=")
        .nth(1)
        .unwrap()
        .split_whitespace()
        .next()
        .unwrap()
        .to_owned();
    let client = sw_devnet::http::loopback_client(PATIENCE).unwrap();
    let scrape = async || {
        let answer = client.get(format!("http://{address}/metrics")).send().await.unwrap();
        answer.text().await.unwrap()
    };
    let before = scrape().await;
    assert!(
        before.contains("sw_operator_service_started{network=\"devnet\"} 0"),
        "{before}"
    );
    setup.devnet.set_syncing(sw_devnet::Node::Execution, false);
    setup.devnet.stake(setup.devnet.vault(), 32).await.unwrap();
    setup.registered(1, &running).await;
    running.says("validator registered", PATIENCE).await.unwrap();
    let after = scrape().await;
    assert!(
        after.contains("sw_operator_service_started{network=\"devnet\"} 1"),
        "{after}"
    );
    let registered_in = after
        .lines()
        .find(|line| line.starts_with("sw_operator_last_registration_block"))
        .unwrap();
    assert!(!registered_in.ends_with(" 0"), "{registered_in}");
    assert_eq!(running.stop(STOP).await.unwrap().code(), Some(143));
}

#[tokio::test]
async fn a_second_operator_on_the_same_directory_is_refused_until_the_first_is_gone() {
    let setup = Setup::ready(DevnetConfig::default(), 1).await;
    let mut first = setup.person.start(&[]).unwrap();
    first.says("operator started", PATIENCE).await.unwrap();
    let (code, said) = setup.start_fails(&[]).await;
    assert_eq!(code, Some(6), "{said}");
    assert!(said.contains("hint:"), "{said}");
    assert_eq!(first.stop(STOP).await.unwrap().code(), Some(143));
    let second = setup.person.start(&[]).unwrap();
    second.says("operator started", PATIENCE).await.unwrap();
}

/// A wallet file that takes long to open: a foreign one may, and it is opened before any node is asked.
#[tokio::test]
async fn a_stop_while_files_are_opened_is_as_quick_as_any_other() {
    let setup = Setup::ready(DevnetConfig::default(), 1).await;
    let path = setup.person.vault_dir().join("wallet/wallet.json");
    let mut wallet: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    wallet["crypto"]["kdfparams"]["n"] = (1 << 20).into();
    wallet["crypto"]["kdfparams"]["p"] = 8.into();
    std::fs::write(&path, wallet.to_string()).unwrap();
    let mut running = setup.person.start(&[]).unwrap();
    running.says("keystores found", PATIENCE).await.unwrap();
    let status = running.stop(STOP).await.unwrap();
    assert_eq!(status.code(), Some(143), "{}", running.log());
}

/// Keystores that take long to open, as foreign ones may: they are opened ahead of need, in the background.
#[tokio::test]
async fn a_stop_while_keys_are_opened_ahead_is_as_quick_as_any_other() {
    let setup = Setup::ready(DevnetConfig::default(), 2).await;
    for entry in std::fs::read_dir(setup.person.vault_dir().join("keystores")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let mut keystore: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            keystore["crypto"]["kdf"]["params"]["n"] = (1 << 20).into();
            keystore["crypto"]["kdf"]["params"]["p"] = 8.into();
            std::fs::write(&path, keystore.to_string()).unwrap();
        }
    }
    let mut running = setup.person.start(&["--verbose"]).unwrap();
    running.says("opening the next keys", PATIENCE).await.unwrap();
    let status = running.stop(STOP).await.unwrap();
    assert_eq!(status.code(), Some(143), "{}", running.log());
}

#[tokio::test]
async fn why_nothing_is_registered_is_said_once_and_again_when_it_changes() {
    let setup = Setup::without_root(DevnetConfig::default(), 1).await;
    let running = setup.person.start(&[]).unwrap();
    running.says("must call setDepositDataRoot(", PATIENCE).await.unwrap();
    setup
        .devnet
        .set_deposit_data_root(setup.devnet.vault(), setup.root.parse().unwrap())
        .await
        .unwrap();
    running
        .says("the vault can stake 0 ETH, a validator takes 32", PATIENCE)
        .await
        .unwrap();
    setup.devnet.stake(setup.devnet.vault(), 10).await.unwrap();
    setup.devnet.stake(setup.devnet.vault(), 22).await.unwrap();
    setup.registered(1, &running).await;
    running
        .says("all 1 keys of the deposit data file are used", Duration::from_secs(20))
        .await
        .ok();
    let log = running.log();
    assert_eq!(log.matches("must call setDepositDataRoot(").count(), 1, "{log}");
    assert_eq!(log.matches("a validator takes 32").count(), 1, "{log}");
}

#[tokio::test]
async fn a_restart_goes_on_where_the_last_run_stopped() {
    let setup = Setup::ready(DevnetConfig::default(), 2).await;
    setup.devnet.stake(setup.devnet.vault(), 32).await.unwrap();
    let mut first = setup.person.start(&[]).unwrap();
    setup.registered(1, &first).await;
    first.stop(STOP).await.unwrap();
    setup.devnet.stake(setup.devnet.vault(), 32).await.unwrap();
    let second = setup.person.start(&[]).unwrap();
    let registered = setup.registered(2, &second).await;
    assert_ne!(registered[0].public_key, registered[1].public_key);
    assert_eq!(setup.count().await, 2);
}

#[tokio::test]
async fn a_wallet_that_something_else_sends_from_is_refused_until_the_user_says_that_it_is_over() {
    let setup = Setup::ready(DevnetConfig::default(), 2).await;
    setup.devnet.stake(setup.devnet.vault(), 32).await.unwrap();
    let mut first = setup.person.start(&[]).unwrap();
    setup.registered(1, &first).await;
    first.says("validator registered", PATIENCE).await.unwrap();
    first.stop(STOP).await.unwrap();
    let rpc = setup.devnet.chain().rpc();
    let _: Value = rpc
        .request("anvil_impersonateAccount", json!([setup.wallet]))
        .await
        .unwrap();
    let foreign = json!([{"from": setup.wallet, "to": setup.wallet, "value": "0x1"}]);
    let _: Value = rpc.request("eth_sendTransaction", foreign).await.unwrap();
    setup.devnet.stake(setup.devnet.vault(), 32).await.unwrap();
    let (code, said) = setup.start_fails(&[]).await;
    assert_eq!(code, Some(6), "{said}");
    assert!(said.contains("--adopt-wallet"), "{said}");
    assert_eq!(setup.count().await, 1);
    let second = setup.person.start(&["--adopt-wallet"]).unwrap();
    setup.registered(2, &second).await;
}
