//! What is in the directory already, and is not what `config.json` says or what a run leaves that went well.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code"
)]

use std::{
    collections::HashSet,
    fs,
    num::{NonZeroU32, NonZeroUsize},
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
};

use serde_json::Value;
use sw_key_ops::{
    CreateKeys, CreateKeysError, CreatedKeys, InitializeError, NoProgress, Passwords, Workers, create_keys,
    create_wallet, initialize,
};
use sw_keys::Mnemonic;
use sw_spec::{Network, NetworkSpec};
use sw_testkit::{fixture, text};
use sw_vault_dir::{BatchError, VaultConfig, VaultDir};

fn rng() -> impl rand_core::CryptoRng {
    rand_core::UnwrapErr(getrandom::SysRng)
}

struct Vault {
    figures: Value,
    mnemonic: Mnemonic,
    network: NetworkSpec,
    directory: VaultDir,
    data_dir: tempfile::TempDir,
}

impl Vault {
    fn uninitialized() -> Self {
        let figures = fixture("original-v1.json");
        let data_dir = tempfile::tempdir().unwrap();
        Self {
            mnemonic: Mnemonic::parse(text(&figures["mnemonic"])).unwrap(),
            network: Network::Mainnet.spec(),
            directory: VaultDir::new(data_dir.path(), text(&figures["vault"]).parse().unwrap()),
            figures,
            data_dir,
        }
    }

    fn new() -> Self {
        let vault = Self::uninitialized();
        initialize(&vault.directory, &vault.network.name, None, &vault.mnemonic).unwrap();
        vault
    }

    fn create(&self, count: u32, passwords: Passwords, created_at: u64) -> Result<CreatedKeys, CreateKeysError> {
        let request = CreateKeys {
            vault: text(&self.figures["vault"]).parse().unwrap(),
            directory: &self.directory,
            network: &self.network,
            mnemonic: &self.mnemonic,
            count: NonZeroU32::new(count).unwrap(),
            passwords,
            workers: Workers::new(NonZeroUsize::new(2).unwrap()).with_memory(1 << 30),
            created_at,
        };
        create_keys(&request, &mut rng(), &NoProgress)
    }

    fn next_index(&self) -> u32 {
        VaultConfig::load(&self.directory).unwrap().mnemonic_next_index
    }

    /// Puts a `config.json` of an older backup in place.
    fn turn_back(&self, index: u32) {
        let config = VaultConfig::load(&self.directory).unwrap();
        VaultConfig {
            mnemonic_next_index: index,
            ..config
        }
        .save(&self.directory)
        .unwrap();
    }
}

fn keystores(dir: &Path) -> Vec<Value> {
    let paths = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let jsons = paths.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
    jsons
        .map(|path| serde_json::from_slice(&fs::read(path).unwrap()).unwrap())
        .collect()
}

fn distinct(dir: &Path, pointer: &str) -> usize {
    let found = keystores(dir);
    let values: HashSet<_> = found
        .iter()
        .map(|json| json.pointer(pointer).unwrap().to_string())
        .collect();
    values.len()
}

#[test]
fn the_next_index_is_what_the_disk_proves() {
    let vault = Vault::new();
    let dir = &vault.directory;
    vault.create(2, Passwords::Shared, 1).unwrap();
    vault.turn_back(0);
    let created = vault.create(1, Passwords::Shared, 2).unwrap();
    assert_eq!((created.configured_index, created.first_index), (0, 2));
    assert_eq!((vault.next_index(), distinct(&dir.keystores(), "/pubkey")), (3, 3));

    // The same of keystores that were replaced.
    fs::rename(dir.keystores(), dir.root().join("keystores.bak-1")).unwrap();
    vault.turn_back(1);
    assert_eq!(vault.create(1, Passwords::Shared, 3).unwrap().first_index, 3);

    // And of keys of which only the deposit data is left.
    fs::remove_dir_all(dir.root().join("keystores.bak-1")).unwrap();
    fs::remove_dir_all(dir.keystores()).unwrap();
    vault.turn_back(2);
    assert_eq!(vault.create(1, Passwords::Shared, 4).unwrap().first_index, 4);

    // A configuration that is ahead is believed: its keys may be elsewhere.
    vault.turn_back(9);
    let created = vault.create(1, Passwords::Shared, 5).unwrap();
    assert_eq!((created.configured_index, created.first_index), (9, 9));
}

#[test]
fn a_keystore_that_only_claims_an_index_moves_nothing() {
    let vault = Vault::new();
    vault.create(1, Passwords::Shared, 1).unwrap();
    let of_others = fs::read_dir(vault.directory.keystores())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().unwrap() == "json")
        .unwrap();
    let json = fs::read_to_string(&of_others).unwrap();
    let other_key = text(&fixture("eip2335.json")["keystores"]["scrypt"]["pubkey"]).to_owned();
    let mut claims: Value = serde_json::from_str(&json).unwrap();
    claims["path"] = "m/12381/3600/7/0/0".into();
    claims["pubkey"] = other_key.into();
    fs::write(
        vault.directory.keystores().join("keystore-other.json"),
        claims.to_string(),
    )
    .unwrap();
    let created = vault.create(1, Passwords::Shared, 2).unwrap();
    assert_eq!((created.first_index, vault.next_index()), (1, 2));
}

#[test]
fn a_salt_for_each_keystore_is_one_and_opens_with_the_shared_password() {
    let vault = Vault::new();
    vault.create(3, Passwords::SharedUniqueSalts, 1).unwrap();
    let dir = vault.directory.keystores();
    assert_eq!(distinct(&dir, "/crypto/kdf/params/salt"), 3);
    assert_eq!(distinct(&dir, "/crypto/cipher/params/iv"), 3);
    let password = sw_vault_dir::read_secret_file(&vault.directory.keystores_password()).unwrap();
    let names: Vec<_> = fs::read_dir(&dir).unwrap().collect();
    assert_eq!(names.len(), 4);
    let one = sw_keys::Keystore::parse(keystores(&dir)[0].to_string().as_bytes()).unwrap();
    assert_eq!(
        Some(one.decrypt(&password).unwrap().public_key().to_bytes()),
        one.public_key()
    );
}

#[test]
fn what_a_killed_run_had_decided_is_what_the_same_command_asked_for() {
    let vault = Vault::new();
    vault.create(2, Passwords::Shared, 1).unwrap();
    let before = keystores(&vault.directory.keystores()).len();
    // As if the kill had come just before the last thing was tidied away.
    let ready = vault.directory.root().join(".new-keys.ready");
    fs::create_dir(&ready).unwrap();
    let created = vault.create(2, Passwords::Shared, 2).unwrap();
    assert!(created.were_made_before);
    assert_eq!((created.first_index, created.deposit_data.entries().len()), (0, 2));
    assert_eq!(keystores(&vault.directory.keystores()).len(), before);
    assert!(!ready.exists());

    fs::create_dir(&ready).unwrap();
    assert!(matches!(
        vault.create(3, Passwords::Shared, 3),
        Err(CreateKeysError::EarlierRunCompleted)
    ));
    assert!(!vault.create(1, Passwords::Shared, 4).unwrap().were_made_before);
}

/// `recover` leaves the deposit data as it is, which may be that of as many keys as are asked for now.
#[test]
fn what_a_killed_recover_had_decided_is_not_taken_for_keys_of_this_command() {
    let vault = Vault::new();
    vault.create(2, Passwords::Shared, 1).unwrap();
    let ready = vault.directory.root().join(".new-keys.ready");
    fs::create_dir_all(ready.join("keystores")).unwrap();
    fs::write(ready.join("swap"), "").unwrap();
    let name = "keystore-m_12381_3600_0_0_0-1.json";
    fs::copy(
        vault.directory.keystores().join(name),
        ready.join("keystores").join(name),
    )
    .unwrap();
    assert!(matches!(
        vault.create(2, Passwords::Shared, 2),
        Err(CreateKeysError::EarlierRunCompleted)
    ));
    assert_eq!(keystores(&vault.directory.keystores()).len(), 1);
}

#[test]
fn a_failed_run_leaves_no_password_behind() {
    let vault = Vault::new();
    fs::create_dir(vault.directory.keystores()).unwrap();
    let in_the_way = vault.directory.keystores().join("keystore-m_12381_3600_0_0_0-1.json");
    fs::write(&in_the_way, "{}").unwrap();
    vault.create(1, Passwords::Shared, 1).unwrap_err();
    assert!(!vault.directory.keystores_password().exists());
    fs::remove_file(in_the_way).unwrap();
    vault.create(1, Passwords::Shared, 1).unwrap();

    let elsewhere = vault.data_dir.path().join("password");
    fs::rename(vault.directory.keystores_password(), &elsewhere).unwrap();
    symlink(&elsewhere, vault.directory.keystores_password()).unwrap();
    let error = vault.create(1, Passwords::Shared, 2).unwrap_err();
    assert!(matches!(error, CreateKeysError::Password(_)), "{error:?}");
}

#[test]
fn what_has_no_room_is_refused_with_figures() {
    let vault = Vault::new();
    let lock = vault.directory.lock().unwrap();
    let batch = sw_vault_dir::Batch::begin(&lock).unwrap();
    batch.check_space(100, 1 << 16).unwrap();
    let error = batch.check_space(usize::MAX >> 13, 0).unwrap_err();
    assert!(
        matches!(error, BatchError::Space { needed, free, .. } if needed > free && free > 0),
        "{error:?}"
    );
    drop(batch);
    assert!(!vault.directory.root().join(".new-keys").exists());
}

#[test]
fn a_killed_init_is_run_again_but_nothing_of_value_is_touched() {
    let leftovers: [(&str, &str); 3] = [
        (".lock", ""),
        (".operator-aB3xyz.tmp", "{\"netw"),
        ("network.toml", "the same text"),
    ];
    for count in 0..=leftovers.len() {
        let vault = Vault::uninitialized();
        fs::create_dir_all(vault.directory.root()).unwrap();
        for (name, text) in &leftovers[..count] {
            fs::write(vault.directory.root().join(name), text).unwrap();
        }
        let (network, mnemonic) = (&vault.network.name, &vault.mnemonic);
        initialize(&vault.directory, network, Some("the same text"), mnemonic).unwrap();
        let mut names: Vec<_> = fs::read_dir(vault.directory.root())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        assert_eq!(names, [".lock", "config.json", "network.toml"]);
    }
    for of_value in [
        "config.json",
        "keystores",
        "wallet",
        "network.toml",
        "deposit_data.json",
        "x.tmp",
    ] {
        let vault = Vault::uninitialized();
        let path = vault.directory.root().join(of_value);
        fs::create_dir_all(vault.directory.root()).unwrap();
        fs::write(&path, "of value").unwrap();
        let refused = initialize(&vault.directory, &vault.network.name, Some("text"), &vault.mnemonic);
        assert!(matches!(refused, Err(InitializeError::AlreadyThere(_))), "{of_value}");
        assert_eq!(fs::read_to_string(path).unwrap(), "of value");
        assert_eq!(fs::read_dir(vault.directory.root()).unwrap().count(), 1);
    }
}

#[test]
fn a_killed_create_wallet_is_run_again_with_the_password_it_had_made() {
    let vault = Vault::new();
    let dir = vault.directory.wallet_dir();
    fs::create_dir(&dir).unwrap();
    fs::write(vault.directory.wallet_password(), "made before").unwrap();
    fs::write(dir.join(".operator-aB3xyz.tmp"), "{\"crypt").unwrap();
    create_wallet(&vault.directory, &vault.mnemonic, &mut rng()).unwrap();
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 2);
    assert_eq!(
        fs::read_to_string(vault.directory.wallet_password()).unwrap(),
        "made before"
    );
    let mode = |mode| fs::set_permissions(vault.directory.wallet(), fs::Permissions::from_mode(mode)).unwrap();
    assert_eq!(vault.directory.loose_secrets(), [vault.directory.wallet_password()]);
    fs::set_permissions(vault.directory.wallet_password(), fs::Permissions::from_mode(0o600)).unwrap();
    mode(0o640);
    assert_eq!(vault.directory.loose_secrets(), [vault.directory.wallet()]);
    mode(0o600);
    assert!(vault.directory.loose_secrets().is_empty());
}
