//! Somebody deposits for our validators before we do.

use std::fs;

use alloy_primitives::{B256, FixedBytes};
use serde_json::{Value, json};
use sw_devnet::{VaultKind, person::Person};

use crate::setup::{PATIENCE, STOP, Setup, small};

/// What a deposit of one validator takes, as a deposit data file has it.
struct Entry {
    public_key: FixedBytes<48>,
    credentials: B256,
    signature: FixedBytes<96>,
}

fn first_entry(person: &Person) -> Entry {
    let file: Value = serde_json::from_slice(&fs::read(person.vault_dir().join("deposit_data.json")).unwrap()).unwrap();
    let member = |name: &str| file[0][name].as_str().unwrap().to_owned();
    Entry {
        public_key: member("pubkey").parse().unwrap(),
        credentials: member("withdrawal_credentials").parse().unwrap(),
        signature: member("signature").parse().unwrap(),
    }
}

impl Setup {
    async fn deposit(&self, entry: &Entry, signature: &FixedBytes<96>) {
        let chain = self.devnet.chain();
        let gwei = 32_000_000_000;
        chain
            .deposit(&entry.public_key, entry.credentials, signature, gwei)
            .await
            .unwrap();
    }

    /// The first validator of the mnemonic, signed for a vault of somebody else's.
    async fn signed_for_another_vault(&self) -> Entry {
        let other = self.devnet.create_vault(VaultKind::DepositData).await.unwrap();
        let home = tempfile::tempdir().unwrap();
        let person = Person::new(&self.person.binary, home.path(), other.to_string(), &self.devnet);
        person.init(self.devnet.network_file()).await.unwrap();
        let config = person.vault_dir().join("config.json");
        let ours = fs::read(self.person.vault_dir().join("config.json")).unwrap();
        let mut ours: Value = serde_json::from_slice(&ours).unwrap();
        ours["mnemonic_next_index"] = json!(0);
        fs::remove_file(&config).unwrap();
        fs::write(&config, ours.to_string()).unwrap();
        person.create_keys(&self.mnemonic, 1).await.unwrap();
        let entry = first_entry(&person);
        assert!(
            entry.credentials.ends_with(other.as_slice()),
            "it pays out to the other vault"
        );
        entry
    }
}

/// The attack of 2021: the first valid deposit fixes where a validator pays out, whoever makes it. A deposit whose
/// signature does not hold before it, as the attacker may make to hide his own, changes nothing.
#[tokio::test]
async fn a_key_that_somebody_else_deposited_for_is_never_put_to_the_oracles() {
    let setup = Setup::ready(small(), 2).await;
    let stolen = setup.signed_for_another_vault().await;
    let ours = first_entry(&setup.person);
    assert_eq!(ours.public_key, stolen.public_key);
    setup.deposit(&ours, &FixedBytes::repeat_byte(7)).await;
    setup.deposit(&stolen, &stolen.signature).await;
    setup.deposit(&ours, &ours.signature).await;
    setup.devnet.stake(setup.devnet.vault(), 64).await.unwrap();

    let mut running = setup.person.start(&[]).unwrap();
    let alarm = running.says("pays out to somebody else", PATIENCE).await.unwrap();
    let (key, credentials) = (stolen.public_key.to_string(), stolen.credentials.to_string());
    assert!(
        alarm.contains("ERROR") && alarm.contains(&key) && alarm.contains(&credentials),
        "{alarm}"
    );
    let why = running.says("the next key", PATIENCE).await.unwrap();
    assert!(why.contains("must never be registered") && why.contains(&key), "{why}");
    assert!(setup.devnet.oracles().iter().all(|oracle| oracle.requests().is_empty()));
    assert_eq!(setup.count().await, 0);
    assert_eq!(running.stop(STOP).await.unwrap().code(), Some(143));
}
