//! Vaults of version 1: the road through the vault itself.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use alloy_primitives::{Address, B256, hex};
use serde_json::{Value, json};
use sw_devnet::{DevnetConfig, VaultKind, rpc::Transaction};

use crate::setup::{PATIENCE, STOP, Setup, small};

/// Selectors of the original's calls (`fixtures/contracts.json`): of a vault of version 1, and of the DepositDataRegistry.
const REGISTER_ONE: &str = "f5e9de4d";
const REGISTER_SEVERAL: &str = "ef2a2158";
const MULTICALL: &str = "ac9650d8";
const UPDATE_STATE: &str = "1a7ff553";
const REGISTRY_REGISTER_ONE: &str = "a03301c6";

/// Whom a transaction called, and its calldata in hexadecimal.
async fn sent(setup: &Setup, tx: B256) -> (Address, String) {
    let rpc = setup.devnet.chain().rpc();
    let sent: Transaction = rpc.request("eth_getTransactionByHash", json!([tx])).await.unwrap();
    (sent.to.unwrap(), hex::encode(&sent.input))
}

async fn verify(setup: &Setup) -> Value {
    let (execution, consensus) = (setup.devnet.execution_url(), setup.devnet.consensus_url());
    let nodes = ["--execution-endpoints", execution, "--consensus-endpoints", consensus];
    let command = ["deposit-data", "verify", "--vault", &setup.person.vault, "--json"];
    let answer = setup
        .person
        .succeed(&[&command[..], &nodes].concat(), "")
        .await
        .unwrap();
    serde_json::from_str(&answer).unwrap()
}

/// All oracles must approve, the Node program among them: the vault's own root and index are read alike by three programs.
#[tokio::test]
async fn a_vault_of_version_1_registers_one_key_then_several_then_with_a_harvest() {
    let all = DevnetConfig {
        oracles: 3,
        validators_threshold: 3,
        recover_threshold: 2,
        ..DevnetConfig::default()
    };
    let setup = Setup::of_kind(VaultKind::V1, all, 5).await;
    let (devnet, vault) = (&setup.devnet, setup.vault);
    setup.upload_root().await;
    devnet.stake(vault, 32).await.unwrap();
    let mut running = setup.person.start(&[]).unwrap();
    running
        .says("version 1, registers through the vault itself", PATIENCE)
        .await
        .unwrap();
    let registered = setup.registered(1, &running).await;
    let (to, data) = sent(&setup, registered[0].tx).await;
    assert_eq!((to, &data[..8]), (vault, REGISTER_ONE));

    // Two of the five in the middle of the tree: a multiproof with hashes and flags of both kinds.
    devnet.stake(vault, 64).await.unwrap();
    let registered = setup.registered(3, &running).await;
    assert_eq!(registered[1].tx, registered[2].tx, "both together");
    let (to, data) = sent(&setup, registered[1].tx).await;
    assert_eq!((to, &data[..8]), (vault, REGISTER_SEVERAL));

    // 31 ETH alone are too few: what the vault earned has to be counted, twice, so that an update is required as well.
    devnet.stake(vault, 31).await.unwrap();
    for _ in 0..2 {
        let half = 500_000_000_000_000_000;
        devnet.reward(vault, half, 500_000_000_000_000_000).await.unwrap();
    }
    let registered = setup.registered(4, &running).await;
    let (to, data) = sent(&setup, registered[3].tx).await;
    assert_eq!((to, &data[..8]), (vault, MULTICALL));
    let (update, register) = (data.find(UPDATE_STATE), data.find(REGISTER_ONE));
    assert!(update.is_some() && update < register, "{data}");
    let harvests = devnet.chain().harvests(vault).await.unwrap();
    assert!(
        matches!(&harvests[..], [one] if one.tx == registered[3].tx),
        "{harvests:?}"
    );
    assert_eq!(setup.sent().await, 3, "a transaction for each registration");
    assert_eq!(running.stop(STOP).await.unwrap().code(), Some(143));

    let signers = devnet.approval_signers(registered[3].tx).await.unwrap();
    assert!(signers.contains(&devnet.node_oracle_address().unwrap()), "{signers:?}");
    let uploaded = &verify(&setup).await["deposits"]["uploaded_root"];
    assert_eq!(
        (&uploaded["is_this"], &uploaded["next_entry"]),
        (&true.into(), &4.into())
    );

    // All of it is found again by the mnemonic alone.
    fs::remove_dir_all(setup.person.vault_dir()).unwrap();
    let answer = setup.person.recover(&setup.mnemonic, devnet.network_file(), &[]).await;
    let answer = answer.unwrap();
    assert_eq!(answer.status.code(), Some(0), "{}", answer.said);
    assert!(answer.out.contains("Found 4 validators"), "{}", answer.out);
}

#[tokio::test]
async fn a_root_is_asked_for_by_the_call_to_make_and_an_upgrade_while_oracles_answer_changes_the_road() {
    let setup = Setup::of_kind(VaultKind::V1, small(), 3).await;
    let (devnet, vault) = (&setup.devnet, setup.vault);
    let keys_manager = devnet.chain().accounts().stranger;
    devnet.chain().set_keys_manager(vault, keys_manager).await.unwrap();
    let wanted = format!(
        "{keys_manager} must call setValidatorsRoot({}) on the vault",
        setup.root
    );
    let nodes = ["--execution-endpoints", devnet.execution_url()];
    let command = ["get-validators-root", "--vault", &setup.person.vault];
    let answer = setup.person.run(&[&command[..], &nodes].concat(), "").await.unwrap();
    assert_eq!(answer.status.code(), Some(0), "{}", answer.said);
    assert!(answer.said.contains(&wanted), "{}", answer.said);
    assert_eq!(
        verify(&setup).await["deposits"]["uploaded_root"]["set_by"],
        keys_manager.to_string()
    );

    devnet.stake(vault, 32).await.unwrap();
    let (chain, requests) = (Arc::clone(devnet.chain()), Arc::new(AtomicUsize::new(0)));
    devnet.hook_before_reply(move |_| {
        let (chain, second) = (Arc::clone(&chain), requests.fetch_add(1, Ordering::SeqCst) == 1);
        async move {
            if second {
                chain.upgrade_v1_vault(vault).await.unwrap();
            }
        }
    });
    let running = setup.person.start(&[]).unwrap();
    let asks = async |what: &str, wanted: &str| {
        let said = running.says(what, PATIENCE).await.unwrap();
        assert!(said.contains(wanted), "{said}");
    };
    asks("no deposit data root is set for the vault", &wanted).await;
    let other = B256::repeat_byte(7);
    devnet.set_deposit_data_root(vault, other).await.unwrap();
    asks(&format!("the deposit data root on chain is {other}"), &wanted).await;
    assert!(devnet.oracles().iter().all(|oracle| oracle.requests().is_empty()));
    setup.upload_root().await;
    let registered = setup.registered(1, &running).await;
    assert_eq!(sent(&setup, registered[0].tx).await.0, vault);

    // The upgrade comes between the request for the second and its approval, which would still be good.
    devnet.stake(vault, 32).await.unwrap();
    asks("the vault's version or validators manager changed", "").await;
    let registered = setup.registered(2, &running).await;
    let (to, data) = sent(&setup, registered[1].tx).await;
    assert_eq!(
        (to, &data[..8]),
        (devnet.deployment().deposit_data_registry, REGISTRY_REGISTER_ONE)
    );
    let nonce = devnet.chain().rpc().nonce(setup.wallet.parse().unwrap()).await.unwrap();
    assert_eq!(nonce, 2, "nothing else was sent:\n{}", running.log());

    devnet.set_deposit_data_root(vault, other).await.unwrap();
    devnet.stake(vault, 32).await.unwrap();
    let call = format!("{keys_manager} must call setDepositDataRoot({vault}, {})", setup.root);
    asks(&call, "").await;
}
