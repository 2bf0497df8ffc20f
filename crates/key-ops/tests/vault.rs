//! From a mnemonic to the files of a vault, with the figures of the original.
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
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::Mutex,
};

use sw_deposit_data::{DepositDataFile, ValidatorsTree};
use sw_key_ops::{
    CreateKeys, CreateKeysError, CreateWalletError, InitializeError, KeystoreKeys, NoProgress, Passwords, Progress,
    Stage, Workers, check_mnemonic, create_keys, create_wallet, initialize,
};
use sw_keys::{Keystore, Mnemonic, WalletFile};
use sw_signers::OpenKey;
use sw_spec::{Address, Network, NetworkSpec, PublicKeyBytes};
use sw_testkit::{fixture, list, text};
use sw_vault_dir::{KeystoreIndex, LockError, PasswordSource, VaultConfig, VaultDir, read_secret_file};

const OTHER_PHRASE: &str =
    "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about";

fn rng() -> impl rand_core::CryptoRng {
    rand_core::UnwrapErr(getrandom::SysRng)
}

struct Vault {
    address: Address,
    network: NetworkSpec,
    mnemonic: Mnemonic,
    directory: VaultDir,
    data_dir: tempfile::TempDir,
}

impl Vault {
    fn new() -> Self {
        let figures = fixture("original-v1.json");
        let address: Address = text(&figures["vault"]).parse().expect("an address");
        let data_dir = tempfile::tempdir().expect("a directory");
        let directory = VaultDir::new(data_dir.path(), address);
        let mnemonic = Mnemonic::parse(text(&figures["mnemonic"])).expect("valid");
        let network = Network::Mainnet.spec();
        initialize(&directory, &network.name, None, &mnemonic).expect("initialized");
        Self {
            address,
            network,
            mnemonic,
            directory,
            data_dir,
        }
    }

    fn request(&self, count: u32, passwords: Passwords) -> CreateKeys<'_> {
        CreateKeys {
            vault: self.address,
            directory: &self.directory,
            network: &self.network,
            mnemonic: &self.mnemonic,
            count: NonZeroU32::new(count).expect("not zero"),
            passwords,
            workers: Workers::new(NonZeroUsize::new(2).expect("not zero")).with_memory(1 << 29),
            created_at: 1_700_000_000,
        }
    }

    fn keys(&self) -> KeystoreKeys {
        let keystores = self.directory.keystores();
        let passwords = PasswordSource {
            shared: Some(self.directory.keystores_password()),
            dir: keystores.clone(),
        };
        KeystoreIndex::scan(&keystores, passwords)
            .expect("sound keystores")
            .into()
    }

    fn keystores(&self) -> Vec<Keystore> {
        let names = names(&self.directory.keystores());
        let files = names.iter().filter(|name| name.ends_with(".json"));
        files
            .map(|name| Keystore::parse(&fs::read(self.directory.keystores().join(name)).unwrap()).unwrap())
            .collect()
    }
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("a directory");
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn mode(path: &Path) -> u32 {
    path.symlink_metadata().expect("there").permissions().mode() & 0o7777
}

#[test]
fn five_keys_are_those_of_the_original() {
    let vault = Vault::new();
    let created = create_keys(&vault.request(5, Passwords::Shared), &mut rng(), &NoProgress).expect("created");
    assert_eq!(created.previous_deposit_data, None);

    // The deposit data file, byte for byte but for the version of the program.
    let figures = fixture("original-v1.json");
    let written = fs::read_to_string(vault.directory.deposit_data()).expect("written");
    let mut expected = String::from("[");
    for (index, entry) in list(&figures["deposit_data"]["mainnet"]).iter().enumerate() {
        let separator = if index == 0 { "" } else { ", " };
        expected += &format!(
            r#"{separator}{{"pubkey": {}, "withdrawal_credentials": {}, "amount": {}, "signature": {}, "deposit_message_root": {}, "deposit_data_root": {}, "fork_version": {}, "network_name": {}, "deposit_cli_version": "?"}}"#,
            entry["pubkey"],
            entry["withdrawal_credentials"],
            entry["amount"],
            entry["signature"],
            entry["deposit_message_root"],
            entry["deposit_data_root"],
            entry["fork_version"],
            entry["network_name"],
        );
    }
    expected.push(']');
    let version = created.deposit_data.entries()[0]
        .deposit_cli_version
        .clone()
        .expect("a version");
    assert_eq!(written.replace(&format!("\"{version}\""), "\"?\""), expected);

    let file = DepositDataFile::parse(written.as_bytes()).expect("parses");
    assert_eq!(file.entries().len(), 5);
    let root = ValidatorsTree::new(vault.address, &file).expect("a tree").root();
    assert_eq!(root.to_string(), text(&figures["tree"]["root"]));

    // The keystores hold the original's keys, under names of the original's form.
    let keys = vault.keys();
    assert_eq!(keys.len(), 5);
    let mut compared = 0;
    for key in list(&figures["keys"]) {
        let public_key: PublicKeyBytes = text(&key["pk"]).parse().expect("a key");
        assert!(keys.contains(&public_key));
        let secret = keys.open(&public_key).expect("opens");
        assert_eq!(secret.expose_bytes().as_slice(), sw_testkit::bytes(&key["sk"]));
        compared += 1;
    }
    assert_eq!(compared, 5);
    let mut names = names(&vault.directory.keystores());
    names.retain(|name| name.ends_with(".json"));
    let expected: Vec<_> = (0..5)
        .map(|index| format!("keystore-m_12381_3600_{index}_0_0-1700000000.json"))
        .collect();
    assert_eq!(names, expected);

    let config = VaultConfig::load(&vault.directory).expect("there");
    assert_eq!(config.mnemonic_next_index, 5);
    assert_eq!(config.first_public_key.to_string(), text(&figures["keys"][0]["pk"]));
}

#[test]
fn one_derivation_serves_the_batch_but_no_two_keystores_share_an_initialization_vector() {
    let vault = Vault::new();
    create_keys(&vault.request(20, Passwords::Shared), &mut rng(), &NoProgress).expect("created");
    let keystores = vault.keystores();
    assert_eq!(keystores.len(), 20);
    assert!(keystores.iter().all(|keystore| keystore.kdf() == keystores[0].kdf()));
    let distinct: HashSet<_> = keystores.iter().map(|keystore| *keystore.iv()).collect();
    assert_eq!(distinct.len(), 20);
    let distinct: HashSet<_> = keystores.iter().map(|keystore| keystore.uuid().to_owned()).collect();
    assert_eq!(distinct.len(), 20);
}

#[test]
fn each_keystore_may_have_a_password_of_its_own() {
    let vault = Vault::new();
    create_keys(&vault.request(2, Passwords::PerKeystore), &mut rng(), &NoProgress).expect("created");
    assert!(!vault.directory.keystores_password().exists());
    let files = names(&vault.directory.keystores());
    assert_eq!(files.len(), 4, "{files:?}");
    let keys = vault.keys();
    for keystore in vault.keystores() {
        let public_key = keystore.public_key().expect("stated");
        assert_eq!(
            keys.open(&public_key).expect("opens").public_key().to_bytes(),
            public_key
        );
    }
    let keystores = vault.keystores();
    assert_ne!(keystores[0].kdf(), keystores[1].kdf());
    let password = |index: usize| {
        let name = format!("keystore-m_12381_3600_{index}_0_0-1700000000.txt");
        fs::read_to_string(vault.directory.keystores().join(name)).expect("there")
    };
    assert_ne!(password(0), password(1));
}

#[test]
fn the_next_batch_goes_on_where_the_last_one_ended_with_the_same_password() {
    let vault = Vault::new();
    create_keys(&vault.request(2, Passwords::Shared), &mut rng(), &NoProgress).expect("created");
    let password = fs::read(vault.directory.keystores_password()).expect("there");
    let first = fs::read(vault.directory.deposit_data()).expect("there");
    let created = create_keys(&vault.request(3, Passwords::Shared), &mut rng(), &NoProgress).expect("created");

    assert_eq!(fs::read(vault.directory.keystores_password()).expect("there"), password);
    assert_eq!(
        fs::read(created.previous_deposit_data.expect("kept")).expect("there"),
        first
    );
    let figures = fixture("original-v1.json");
    let new: Vec<_> = created
        .deposit_data
        .entries()
        .iter()
        .map(|entry| entry.public_key.to_string())
        .collect();
    assert_eq!(
        new,
        list(&figures["keys"])[2..]
            .iter()
            .map(|key| text(&key["pk"]))
            .collect::<Vec<_>>()
    );
    assert_eq!(vault.keys().len(), 5);
    let kdfs: HashSet<_> = vault
        .keystores()
        .iter()
        .map(|keystore| format!("{:?}", keystore.kdf()))
        .collect();
    assert_eq!(kdfs.len(), 2, "a salt is never used again");
}

#[test]
fn nobody_else_may_read_what_is_written() {
    let vault = Vault::new();
    create_keys(&vault.request(1, Passwords::PerKeystore), &mut rng(), &NoProgress).expect("created");
    create_wallet(&vault.directory, &vault.mnemonic, &mut rng()).expect("created");
    let mut pending = vec![vault.directory.root().to_owned()];
    let (mut files, mut directories) = (0, 0);
    while let Some(path) = pending.pop() {
        if path.is_dir() {
            assert_eq!(mode(&path), 0o700, "{}", path.display());
            directories += 1;
            pending.extend(names(&path).iter().map(|name| path.join(name)));
        } else {
            assert_eq!(mode(&path) & 0o177, 0, "{} {:o}", path.display(), mode(&path));
            files += 1;
        }
    }
    assert_eq!(directories, 3);
    assert!(files >= 6, "{files}");
}

#[test]
fn another_mnemonic_makes_no_keys_and_leaves_nothing_behind() {
    let vault = Vault::new();
    let before = names(vault.directory.root());
    let other = Mnemonic::parse(OTHER_PHRASE).expect("valid");
    let request = CreateKeys {
        mnemonic: &other,
        ..vault.request(1, Passwords::Shared)
    };
    let error = create_keys(&request, &mut rng(), &NoProgress).expect_err("refused");
    assert!(matches!(error, CreateKeysError::Mnemonic(_)), "{error}");
    let config = VaultConfig::load(&vault.directory).expect("there");
    assert!(check_mnemonic(&config, &other).is_err());
    assert!(check_mnemonic(&config, &vault.mnemonic).is_ok());

    let hoodi = Network::Hoodi.spec();
    let request = CreateKeys {
        network: &hoodi,
        ..vault.request(1, Passwords::Shared)
    };
    let error = create_keys(&request, &mut rng(), &NoProgress).expect_err("refused");
    assert_eq!(
        error.to_string(),
        "the vault is configured for network `mainnet`, not `hoodi`"
    );

    let mut after = names(vault.directory.root());
    after.retain(|name| name != ".lock");
    assert_eq!(
        after,
        before.into_iter().filter(|name| name != ".lock").collect::<Vec<_>>()
    );
}

#[test]
fn a_vault_somebody_works_on_is_left_alone() {
    let vault = Vault::new();
    let _held = vault.directory.lock().expect("free");
    let error = create_keys(&vault.request(1, Passwords::Shared), &mut rng(), &NoProgress).expect_err("refused");
    assert!(
        matches!(error, CreateKeysError::Locked(LockError::Held { .. })),
        "{error}"
    );
}

#[test]
fn a_run_that_was_cut_short_is_completed_and_no_more_is_made() {
    let vault = Vault::new();
    let ready = vault.directory.root().join(".new-keys.ready");
    fs::create_dir_all(ready.join("keystores")).expect("made");
    let config = VaultConfig::load(&vault.directory).expect("there");
    fs::write(
        ready.join("config.json"),
        VaultConfig {
            mnemonic_next_index: 1,
            ..config
        }
        .to_json(),
    )
    .expect("written");
    let error = create_keys(&vault.request(4, Passwords::Shared), &mut rng(), &NoProgress).expect_err("refused");
    assert!(matches!(error, CreateKeysError::EarlierRunCompleted), "{error}");
    assert_eq!(
        VaultConfig::load(&vault.directory).expect("there").mnemonic_next_index,
        1
    );
    assert!(!ready.exists());
}

#[test]
fn the_last_index_is_the_last() {
    let vault = Vault::new();
    let config = VaultConfig::load(&vault.directory).expect("there");
    VaultConfig {
        mnemonic_next_index: u32::MAX - 3,
        ..config
    }
    .save(&vault.directory)
    .expect("saved");
    let error = create_keys(&vault.request(4, Passwords::Shared), &mut rng(), &NoProgress).expect_err("refused");
    assert!(matches!(error, CreateKeysError::TooMany { left: 3 }), "{error}");
}

#[test]
fn progress_is_told_of_every_key_of_every_stage() {
    #[derive(Default)]
    struct Heard(Mutex<Vec<(Stage, usize, usize, bool)>>);
    impl Progress for Heard {
        fn begin(&self, stage: Stage, total: usize) {
            self.0.lock().unwrap().push((stage, total, 0, false));
        }
        fn advance(&self, stage: Stage) {
            let mut heard = self.0.lock().unwrap();
            let last = heard.last_mut().unwrap();
            assert_eq!(last.0, stage);
            last.2 += 1;
        }
        fn finish(&self, stage: Stage) {
            let mut heard = self.0.lock().unwrap();
            let last = heard.last_mut().unwrap();
            assert_eq!(last.0, stage);
            last.3 = true;
        }
    }
    let (vault, heard) = (Vault::new(), Heard::default());
    create_keys(&vault.request(7, Passwords::Shared), &mut rng(), &heard).expect("created");
    let stages = [Stage::Keys, Stage::DepositData, Stage::Keystores];
    assert_eq!(*heard.0.lock().unwrap(), stages.map(|stage| (stage, 7, 7, true)));
}

#[test]
fn a_vault_is_initialized_once() {
    let vault = Vault::new();
    let config = fs::read(vault.directory.config()).expect("there");
    let other = Mnemonic::parse(OTHER_PHRASE).expect("valid");
    let error = initialize(&vault.directory, &vault.network.name, None, &other).expect_err("refused");
    assert!(matches!(error, InitializeError::AlreadyThere(_)), "{error}");
    assert_eq!(fs::read(vault.directory.config()).expect("there"), config);
}

#[test]
fn the_file_of_an_own_network_is_kept_as_it_is() {
    let vault = Vault::new();
    let directory = VaultDir::new(vault.data_dir.path(), Address::repeat_byte(1));
    let text = "# not looked at here\n";
    let name = "my_devnet".parse().expect("a name");
    let config = initialize(&directory, &name, Some(text), &vault.mnemonic).expect("initialized");
    assert_eq!(config.network, "my_devnet");
    assert_eq!(fs::read_to_string(directory.network_file()).expect("kept"), text);
}

#[test]
fn the_wallet_is_the_originals_and_is_never_overwritten() {
    let vault = Vault::new();
    let other = Mnemonic::parse(OTHER_PHRASE).expect("valid");
    let wallet = create_wallet(&vault.directory, &vault.mnemonic, &mut rng()).expect("created");
    assert_eq!(wallet.address.to_string(), "0x58A57ed9d8d624cBD12e2C467D34787555bB1b25");
    let json = fs::read(vault.directory.wallet()).expect("there");
    let password = read_secret_file(&vault.directory.wallet_password()).expect("there");
    let key = WalletFile::parse(&json)
        .expect("parses")
        .decrypt(&password)
        .expect("opens");
    assert_eq!(key.address(), wallet.address);

    let error = create_wallet(&vault.directory, &other, &mut rng()).expect_err("refused");
    assert!(matches!(error, CreateWalletError::AlreadyThere(_)), "{error}");
    assert_eq!(fs::read(vault.directory.wallet()).expect("there"), json);
}
