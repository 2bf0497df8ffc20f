//! Keystores: ours in two other tools, and theirs in ours.

use std::{collections::BTreeSet, fs};

use serde_json::{Value, json};
use sw_keys::{Keystore, KeystoreError, SecretString};
use sw_vault_dir::{KeystoreIndex, PasswordSource};

use crate::{
    tools::{both, node},
    vault::{PHRASE, Vault, member},
};

#[test]
fn keystores_of_ours_open_in_the_tools_of_others() {
    let derived: Vec<String> = (0..6)
        .map(|index| node().text("derive", json!({"phrase": PHRASE, "index": index})))
        .collect();
    let vault = Vault::of(&derived[0], "mainnet");
    vault.create_keys(2, &[], PHRASE);
    vault.create_keys(2, &["--unique-salts"], PHRASE);
    vault.create_keys(2, &["--per-keystore-password"], PHRASE);

    let keystores = vault.keystores();
    let passwords: BTreeSet<_> = keystores.iter().map(|(_, password)| password).collect();
    assert_eq!(passwords.len(), 3, "one is shared, and two have their own");
    let salts: BTreeSet<_> = keystores.iter().map(|(keystore, _)| salt(keystore)).collect();
    assert_eq!(salts.len(), 5, "the first two have one salt");
    for tools in both() {
        let mut opened: Vec<String> = keystores
            .iter()
            .map(|(keystore, password)| {
                let arguments = json!({"keystore": keystore, "password": password});
                let held = tools.text("open_keystore", arguments);
                assert_eq!(held, member(keystore, "pubkey"), "{}", tools.name);
                held
            })
            .collect();
        opened.sort();
        let mut expected = derived.clone();
        expected.sort();
        assert_eq!(opened, expected, "{}", tools.name);
    }
}

#[test]
fn keystores_of_other_tools_open_in_ours() {
    let directory = tempfile::tempdir().unwrap();
    let mut expected = BTreeSet::new();
    let mut secret = 0;
    for tools in both() {
        for kdf in ["scrypt", "pbkdf2"] {
            for path in ["m/12381/3600/7/0/0", ""] {
                secret += 1;
                let arguments = json!({
                    "secret": format!("{secret:064x}"), "password": "pässwörd of theirs", "path": path, "kdf": kdf
                });
                let keystore = tools.text("encrypt_keystore", arguments);
                expected.insert(member(&keystore, "pubkey"));
                // Some tools leave the public key out, and the path empty.
                let keystore = if path.is_empty() {
                    without_public_key(&keystore)
                } else {
                    keystore
                };
                let name = format!("keystore-{}-{kdf}-{secret}.json", tools.name);
                fs::write(directory.path().join(name), keystore).unwrap();
            }
        }
    }
    let password = directory.path().join("password.txt");
    fs::write(&password, "pässwörd of theirs\r\n").unwrap();

    let passwords = PasswordSource {
        shared: Some(password),
        dir: directory.path().to_owned(),
    };
    let index = KeystoreIndex::scan(directory.path(), passwords).unwrap();
    let opened = index.public_keys().map(|public_key| {
        let held = index.open(public_key).unwrap().public_key().to_bytes();
        held.to_string().trim_start_matches("0x").to_owned()
    });
    assert_eq!(opened.collect::<BTreeSet<_>>(), expected);
    assert_eq!(expected.len(), 8);
    Vault::nowhere().verify_keystores(directory.path(), 8);
}

fn salt(keystore: &str) -> String {
    let keystore: Value = serde_json::from_str(keystore).unwrap();
    sw_testkit::text(&keystore["crypto"]["kdf"]["params"]["salt"]).to_owned()
}

fn without_public_key(keystore: &str) -> String {
    let mut keystore: Value = serde_json::from_str(keystore).unwrap();
    keystore.as_object_mut().unwrap().remove("pubkey").unwrap();
    keystore.to_string()
}

#[test]
fn a_wrong_password_is_refused_by_every_tool() {
    for maker in both() {
        let arguments = json!({"secret": format!("{:064x}", 1), "password": "right", "path": "m/12381/3600/0/0/0", "kdf": "pbkdf2"});
        let keystore = maker.text("encrypt_keystore", arguments);
        for (password, opens) in [("right", true), ("Right", false), ("right ", false), ("", false)] {
            let arguments = json!({"keystore": keystore, "password": password});
            for tools in both() {
                let opened = tools.try_ask("open_keystore", arguments.clone());
                assert_eq!(opened.is_ok(), opens, "{} {password:?}", tools.name);
            }
            let ours = Keystore::parse(keystore.as_bytes()).unwrap();
            match ours.decrypt(&SecretString::from(password)) {
                Ok(_) => assert!(opens, "{password:?}"),
                Err(error) => assert!(!opens && matches!(error, KeystoreError::WrongPassword), "{error}"),
            }
        }
    }
}
