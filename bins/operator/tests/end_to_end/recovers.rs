//! Keys that were lost, found again from the phrase and the chain; and what must stay as it was.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Stdio,
};

use alloy_primitives::FixedBytes;
use serde_json::{Value, json};
use sw_devnet::{
    Devnet, Past,
    person::{Answer, Person},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::setup::small;

type Key = FixedBytes<48>;

/// A vault whose validators were registered long ago, by a person who has their keys.
struct Vault {
    devnet: Devnet,
    person: Person,
    mnemonic: String,
    /// In the order of the mnemonic.
    keys: Vec<Key>,
    home: tempfile::TempDir,
}

impl Vault {
    /// Of `count` keys those at `v1` and `v2` were registered, in the words of either version.
    async fn with_a_past(count: usize, v1: &[usize], v2: &[usize]) -> Self {
        let devnet = Devnet::start(small()).await.unwrap();
        let address = devnet.chain().create_past_vault().await.unwrap();
        let home = tempfile::tempdir().unwrap();
        let operator = Path::new(env!("CARGO_BIN_EXE_operator"));
        let person = Person::new(operator, home.path(), address.to_string(), &devnet);
        let mnemonic = person.init(devnet.network_file()).await.unwrap();
        person.create_keys(&mnemonic, count).await.unwrap();
        let deposits = read_json(&person.vault_dir().join("deposit_data.json"));
        let deposits = deposits.as_array().unwrap();
        let keys: Vec<Key> = deposits.iter().map(|deposit| hex(&deposit["pubkey"])).collect();
        for index in v1.iter().chain(v2) {
            deposit(&devnet, &deposits[*index]).await;
        }
        for (past, indices) in [(Past::V1, v1), (Past::V2, v2)] {
            let keys: Vec<Key> = indices.iter().map(|index| keys[*index]).collect();
            devnet.chain().remember(address, past, &keys).await.unwrap();
        }
        Self {
            devnet,
            person,
            mnemonic,
            keys,
            home,
        }
    }

    async fn recover(&self, more: &[&str]) -> Answer {
        let file = self.devnet.network_file();
        self.person.recover(&self.mnemonic, file, more).await.unwrap()
    }

    fn keys_at(&self, indices: &[usize]) -> BTreeSet<String> {
        indices.iter().map(|index| self.keys[*index].to_string()).collect()
    }

    fn keystores(&self) -> PathBuf {
        self.person.vault_dir().join("keystores")
    }

    /// The same person, on a machine that has nothing.
    fn elsewhere(&self, name: &str) -> Person {
        let data_dir = self.home.path().join(name);
        fs::create_dir(&data_dir).unwrap();
        Person::new(&self.person.binary, &data_dir, self.person.vault.clone(), &self.devnet)
    }
}

async fn deposit(devnet: &Devnet, entry: &Value) {
    let (credentials, signature) = (hex(&entry["withdrawal_credentials"]), hex(&entry["signature"]));
    let chain = devnet.chain();
    chain
        .deposit(&hex(&entry["pubkey"]), credentials, &signature, 32_000_000_000)
        .await
        .unwrap();
}

fn hex<const N: usize>(value: &Value) -> FixedBytes<N> {
    value.as_str().unwrap().parse().unwrap()
}

fn read_json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// What the keystores of a directory state. That they open to it is made sure of before they are written.
fn stated_keys(keystores: &Path) -> BTreeSet<String> {
    files(keystores)
        .keys()
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .map(|path| format!("0x{}", read_json(path)["pubkey"].as_str().unwrap()))
        .collect()
}

/// Every file below a directory, with its bytes.
fn files(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path.clone(), fs::read(path).unwrap());
        }
    }
    found
}

fn assert_refused(answer: &Answer, code: i32, says: &[&str]) {
    assert_eq!(answer.status.code(), Some(code), "{}", answer.said);
    for text in says {
        assert!(answer.said.contains(text), "no `{text}` in:\n{}", answer.said);
    }
}

#[tokio::test]
async fn lost_keys_are_found_again_and_what_was_there_is_kept() {
    let vault = Vault::with_a_past(6, &[0, 4], &[1, 5]).await;
    let before = files(&vault.keystores());
    let broken = before
        .keys()
        .find(|path| path.to_string_lossy().contains("3600_1_0_0"))
        .unwrap();
    fs::remove_file(broken).unwrap();
    fs::write(broken, "{").unwrap();
    let kept = files(&vault.keystores());

    let answer = vault.recover(&[]).await;
    assert_eq!(answer.status.code(), Some(0), "{}", answer.said);
    assert!(
        answer.out.contains("Found 4 validators, recovering..."),
        "{}",
        answer.out
    );
    let done = format!(
        "Keystores for vault {} successfully recovered to {}",
        vault.person.vault,
        vault.keystores().display()
    );
    assert!(answer.out.contains(&done), "{}", answer.out);
    assert!(answer.said.contains("keystores.bak-1"), "{}", answer.said);
    let backup = vault.person.vault_dir().join("keystores.bak-1");
    let moved: Vec<_> = files(&backup).into_values().collect();
    assert_eq!(moved, kept.values().cloned().collect::<Vec<_>>());
    assert_eq!(stated_keys(&vault.keystores()), vault.keys_at(&[0, 1, 4, 5]));
    let password = |directory: &Path| fs::read(directory.join("password.txt")).unwrap();
    assert_eq!(
        password(&vault.keystores()),
        password(&backup),
        "other tools go on working"
    );
    let config = read_json(&vault.person.vault_dir().join("config.json"));
    assert_eq!(config["mnemonic_next_index"], 6);

    let answer = vault
        .recover(&["--per-keystore-password", "--restore-deposit-data", "3"])
        .await;
    assert_eq!(answer.status.code(), Some(0), "{}", answer.said);
    assert_eq!(files(&vault.person.vault_dir().join("keystores.bak-2")).len(), 5);
    let names: Vec<_> = files(&vault.keystores()).into_keys().collect();
    assert_eq!(
        names.iter().filter(|name| name.extension().unwrap() == "txt").count(),
        7
    );
    let deposits = read_json(&vault.person.vault_dir().join("deposit_data.json"));
    assert_eq!(deposits.as_array().unwrap().len(), 3);
    assert_eq!(hex(&deposits[0]["pubkey"]), vault.keys[2]);
    assert_eq!(hex(&deposits[1]["pubkey"]), vault.keys[3]);
    let config = read_json(&vault.person.vault_dir().join("config.json"));
    assert_eq!(config["mnemonic_next_index"], 7, "key 6 has deposit data now");
    vault.person.validators_root().await.unwrap();

    // As if the kill had come just before the last thing was tidied away.
    fs::create_dir(vault.person.vault_dir().join(".new-keys.ready")).unwrap();
    let after = files(&vault.person.vault_dir());
    let answer = vault.recover(&["--restore-deposit-data", "3"]).await;
    assert_eq!(answer.status.code(), Some(0), "{}", answer.said);
    assert!(answer.out.contains(&done), "{}", answer.out);
    assert_eq!(files(&vault.person.vault_dir()), after, "nothing is made twice");
}

#[tokio::test]
async fn keys_in_use_elsewhere_are_passed_over_but_not_for_ever() {
    let vault = Vault::with_a_past(6, &[0], &[]).await;
    let deposits = read_json(&vault.person.vault_dir().join("deposit_data.json"));
    for index in 1..=3 {
        deposit(&vault.devnet, &deposits[index]).await;
    }
    let before = files(&vault.person.vault_dir());
    let answer = vault.recover(&["--restore-deposit-data", "1", "--max-gap", "2"]).await;
    assert_refused(&answer, 1, &["more than 2 keys", "--max-gap 20"]);
    assert_eq!(files(&vault.person.vault_dir()), before);

    let answer = vault.recover(&["--restore-deposit-data", "1", "--max-gap", "3"]).await;
    assert_eq!(answer.status.code(), Some(0), "{}", answer.said);
    assert_eq!(stated_keys(&vault.keystores()), vault.keys_at(&[0, 4]));
}

#[tokio::test]
async fn a_search_that_finds_nothing_or_a_part_says_how_to_go_on() {
    let vault = Vault::with_a_past(8, &[0, 7], &[]).await;
    let person = vault.elsewhere("new-machine");
    let file = vault.devnet.network_file();
    let other = "legal winner thank year wave sausage worth useful legal winner thank yellow";
    let answer = person.recover(other, file, &["--max-gap", "20"]).await.unwrap();
    assert_refused(
        &answer,
        1,
        &[
            "searched indices 0 to 19, found 0 of 2",
            "not disproved",
            "--max-gap 200",
        ],
    );
    assert!(!person.vault_dir().exists(), "nothing was written");

    let answer = person
        .recover(&vault.mnemonic, file, &["--max-gap", "6"])
        .await
        .unwrap();
    assert_refused(
        &answer,
        7,
        &[
            "searched indices 0 to 6, found 1 of 2",
            "not disproved",
            &vault.keys[7].to_string(),
        ],
    );
    assert_eq!(stated_keys(&person.vault_dir().join("keystores")), vault.keys_at(&[0]));
    let answer = person
        .recover(&vault.mnemonic, file, &["--max-gap", "7"])
        .await
        .unwrap();
    assert_eq!(answer.status.code(), Some(0), "{}", answer.said);
    assert_eq!(
        stated_keys(&person.vault_dir().join("keystores")),
        vault.keys_at(&[0, 7])
    );

    let before = files(vault.home.path());
    let answer = vault.person.recover(other, file, &[]).await.unwrap();
    assert_refused(&answer, 4, &["was set up with another mnemonic", "--data-dir"]);
    assert_eq!(files(vault.home.path()), before);
}

#[tokio::test]
async fn keys_at_work_are_restored_only_when_that_is_asked_for_and_exited_ones_never() {
    let vault = Vault::with_a_past(3, &[0, 1, 2], &[]).await;
    let before = files(vault.home.path());
    let beacon = vault.devnet.beacon();
    beacon.set_live([vault.keys[1]]);
    let answer = vault.recover(&[]).await;
    let live = vault.keys[1].to_string();
    assert_refused(
        &answer,
        6,
        &[
            "1 of the 3 keys",
            "at work in the last two epochs",
            &live,
            "--allow-live-keys",
        ],
    );
    beacon.set_live([]);
    beacon.set_tracks_liveness(false);
    assert_refused(
        &vault.recover(&[]).await,
        6,
        &["cannot be told", "501", "--allow-live-keys"],
    );
    assert_eq!(files(vault.home.path()), before);

    beacon.set_status(vault.keys[0], Some("withdrawal_done"));
    let answer = vault.recover(&["--allow-live-keys"]).await;
    assert_eq!(answer.status.code(), Some(0), "{}", answer.said);
    assert!(answer.said.contains("1 of 3 validators have exited"), "{}", answer.said);
    assert_eq!(stated_keys(&vault.keystores()), vault.keys_at(&[1, 2]));

    let after = files(vault.home.path());
    for key in &vault.keys {
        beacon.set_status(*key, Some("exited_slashed"));
    }
    assert_refused(&vault.recover(&[]).await, 1, &["all 3 validators", "have exited"]);
    assert_eq!(files(vault.home.path()), after);
}

/// A person who is asked whether to go on may think about it for epochs: what counts is who is at work when they have answered.
#[tokio::test]
async fn who_is_at_work_is_asked_of_the_epoch_in_which_the_question_was_answered() {
    let vault = Vault::with_a_past(1, &[0], &[]).await;
    let file = vault.devnet.network_file().to_str().unwrap().to_owned();
    let words = vault.home.path().join("words.txt");
    fs::write(&words, &vault.mnemonic).unwrap();
    let mut running = tokio::process::Command::new(&vault.person.binary)
        .args(["recover", "--vault", &vault.person.vault, "--network-config", &file])
        .arg("--mnemonic-file")
        .arg(&words)
        .env_clear()
        .envs(vault.person.environment.iter().cloned())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut said = running.stderr.take().unwrap();
    let mut read = Vec::new();
    while !String::from_utf8_lossy(&read).contains("Recover their keystores?") {
        assert_ne!(said.read_buf(&mut read).await.unwrap(), 0, "it has ended");
    }
    let rpc = vault.devnet.chain().rpc();
    let _: Value = rpc.request("evm_increaseTime", json!([100_000])).await.unwrap();
    let _: Value = rpc.request("evm_mine", json!([])).await.unwrap();
    vault.devnet.beacon().set_live([vault.keys[0]]);
    running.stdin.take().unwrap().write_all(b"yes\nyes\n").await.unwrap();
    said.read_to_end(&mut read).await.unwrap();
    let read = String::from_utf8_lossy(&read);
    assert_eq!(running.wait().await.unwrap().code(), Some(6), "{read}");
    assert!(read.contains("1 of the 1 keys have been at work"), "{read}");
}

#[tokio::test]
async fn a_node_that_lies_or_an_operator_that_runs_changes_nothing() {
    let vault = Vault::with_a_past(2, &[0], &[1]).await;
    let before = files(vault.home.path());
    let held = fs::File::open(vault.person.vault_dir().join(".lock")).unwrap();
    held.lock().unwrap();
    assert_refused(
        &vault.recover(&[]).await,
        6,
        &["another operator is at work", "stop the operator"],
    );
    drop(held);
    let proxy = vault.devnet.proxy();
    proxy.answer("eth_getLogs", Some(json!([])));
    assert_refused(
        &vault.recover(&[]).await,
        1,
        &["no registered validators in blocks", "on devnet"],
    );
    let foreign = json!({
        "address": vault.devnet.vault(), "blockNumber": "0x5", "blockHash": format!("0x{}", "11".repeat(32)),
        "transactionHash": format!("0x{}", "22".repeat(32)), "logIndex": "0x0", "transactionIndex": "0x0", "removed": false,
        "topics": ["0x64b6e61d93b7a91e8cc4376183ede0997a27b44fd9dd2f30a866b2a5730efdb1"], "data": "0x",
    });
    proxy.answer("eth_getLogs", Some(json!([foreign])));
    assert_refused(&vault.recover(&[]).await, 1, &["cannot be true", "it was written by"]);
    proxy.answer("eth_getLogs", None);
    vault.devnet.set_claimed_chain_id(Some(1));
    assert_refused(
        &vault.recover(&[]).await,
        1,
        &["is on chain 1", "--execution-endpoints"],
    );
    vault.devnet.set_claimed_chain_id(None);
    vault.devnet.set_syncing(sw_devnet::Node::Consensus, true);
    assert_refused(&vault.recover(&[]).await, 1, &["no consensus node can be asked"]);
    vault.devnet.set_syncing(sw_devnet::Node::Consensus, false);
    let keeper = vault.devnet.deployment().keeper.to_string();
    let stranger = Person {
        vault: keeper,
        ..vault.person.clone()
    };
    let file = vault.devnet.network_file();
    let answer = stranger.recover(&vault.mnemonic, file, &[]).await.unwrap();
    assert_refused(&answer, 1, &["is not a vault", "--vault"]);
    assert_eq!(files(vault.home.path()), before);
}

/// The genesis vault has validators that the pool of StakeWise V2 registered.
#[tokio::test]
async fn validators_that_came_from_the_legacy_pool_are_found_and_questions_are_answered_by_lines() {
    let vault = Vault::with_a_past(2, &[0], &[]).await;
    let pool = vault.devnet.chain().create_legacy_pool().await.unwrap();
    let chain = vault.devnet.chain();
    chain.remember(pool, Past::LegacyPool, &vault.keys[1..]).await.unwrap();
    let person = vault.elsewhere("new-machine");
    let file = person.data_dir.join("network.toml");
    let network = format!(
        "{}genesis_vault = \"{}\"\nlegacy_pool = \"{pool}\"\nlegacy_pool_block = 0\n",
        fs::read_to_string(vault.devnet.network_file()).unwrap(),
        person.vault,
    );
    fs::write(&file, network).unwrap();
    let arguments = ["recover", "--network-config", file.to_str().unwrap()];
    let no = format!("{}\n{}\nno\n", vault.mnemonic, person.vault);
    assert_refused(
        &person.run(&arguments, &no).await.unwrap(),
        1,
        &["declined; nothing was changed"],
    );
    assert!(!person.vault_dir().exists());
    let yes = no.replace("\nno\n", "\nyes\n");
    let answer = person.run(&arguments, &yes).await.unwrap();
    assert_eq!(answer.status.code(), Some(0), "{}", answer.said);
    assert_eq!(
        stated_keys(&person.vault_dir().join("keystores")),
        vault.keys_at(&[0, 1])
    );
    let again = person.create_keys(&vault.mnemonic, 1).await;
    assert!(again.is_ok(), "the directory is one as after `init`: {again:?}");
}
