//! Keystores made anew in the place of others.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code"
)]

use std::{collections::BTreeMap, fs, num::NonZeroUsize, path::Path, path::PathBuf};

use sw_deposit_data::DepositDataFile;
use sw_key_ops::{
    FoundKey, NoProgress, Passwords, Restore, RestoreError, Restored, Workers, initialize, is_restored, present_config,
    restore, unused_keys,
};
use sw_keys::Mnemonic;
use sw_spec::{Network, NetworkSpec, address};
use sw_vault_dir::{BatchError, KeystoreIndex, PasswordSource, VaultConfig, VaultDir, VaultLock};

const PHRASE: &str = "legal winner thank year wave sausage worth useful legal winner thank yellow";
const OTHER_PHRASE: &str =
    "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about";
const VAULT: sw_spec::Address = address!("3320ad928c20187602a2B2C04EeAa813fA899468");

struct Bench {
    directory: VaultDir,
    mnemonic: Mnemonic,
    network: NetworkSpec,
    /// The keys 0 to 9.
    keys: Vec<FoundKey>,
    data_dir: tempfile::TempDir,
}

/// What is not as usual in a request.
#[derive(Default)]
struct With<'a> {
    unused: &'a [FoundKey],
    network_file: Option<&'a str>,
    passwords: Option<Passwords>,
}

impl Bench {
    fn new() -> Self {
        let data_dir = tempfile::tempdir().unwrap();
        let mnemonic = Mnemonic::parse(PHRASE).unwrap();
        Self {
            directory: VaultDir::new(data_dir.path(), VAULT),
            keys: unused_keys(&mnemonic, 10, &std::collections::BTreeSet::new()),
            network: Network::Mainnet.spec(),
            mnemonic,
            data_dir,
        }
    }

    fn restore(&self, indices: &[usize], with: With<'_>) -> Result<Restored, RestoreError> {
        self.asked(indices, with, |lock, request| {
            let mut rng = rand_core::UnwrapErr(getrandom::SysRng);
            restore(lock, request, &mut rng, &NoProgress)
        })
    }

    fn is_restored(&self, indices: &[usize], with: With<'_>) -> bool {
        self.asked(indices, with, is_restored)
    }

    fn asked<T>(&self, indices: &[usize], with: With<'_>, ask: impl Fn(&VaultLock, &Restore<'_>) -> T) -> T {
        let registered: Vec<FoundKey> = indices.iter().map(|index| self.keys[*index]).collect();
        let request = Restore {
            vault: VAULT,
            network: &self.network,
            network_file: with.network_file,
            mnemonic: &self.mnemonic,
            registered: &registered,
            unused: with.unused,
            next_index: registered
                .iter()
                .chain(with.unused)
                .map(|key| key.index + 1)
                .max()
                .unwrap_or(0),
            passwords: with.passwords.unwrap_or(Passwords::Shared),
            workers: Workers::new(NonZeroUsize::MIN).with_memory(1 << 28),
            created_at: 1_700_000_000,
        };
        self.directory.create().unwrap();
        let lock = self.directory.lock().unwrap();
        ask(&lock, &request)
    }

    /// Opens every keystore, and returns the indices of the keys in them.
    fn opened(&self) -> Vec<u32> {
        let keystores = self.directory.keystores();
        let passwords = PasswordSource {
            shared: Some(self.directory.keystores_password()),
            dir: keystores.clone(),
        };
        let index = KeystoreIndex::scan(&keystores, passwords).unwrap();
        let mut indices: Vec<u32> = index
            .public_keys()
            .map(|stated| index.open(stated).unwrap().public_key().to_bytes())
            .map(|key| self.keys.iter().find(|known| known.public_key == key).unwrap().index)
            .collect();
        indices.sort_unstable();
        indices
    }

    fn config(&self) -> VaultConfig {
        VaultConfig::load(&self.directory).unwrap()
    }

    fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        files(self.data_dir.path())
    }
}

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

#[test]
fn an_empty_machine_has_everything_again() {
    let bench = Bench::new();
    let restored = bench.restore(&[1, 4], With::default()).unwrap();
    assert_eq!(restored.left_behind, Some(0));
    assert_eq!(restored.replaced.previous_keystores, None);
    assert_eq!(bench.opened(), [1, 4]);
    let expected = VaultConfig {
        network: "mainnet".to_owned(),
        mnemonic_next_index: 5,
        first_public_key: bench.keys[0].public_key,
    };
    assert_eq!(bench.config(), expected);
    assert!(!bench.directory.deposit_data().exists());
}

#[test]
fn what_is_there_is_kept_and_counted_and_an_index_never_goes_back() {
    let bench = Bench::new();
    bench.restore(&[0, 1, 2, 7], With::default()).unwrap();
    let before = files(&bench.directory.keystores());
    let own = With {
        passwords: Some(Passwords::PerKeystore),
        ..With::default()
    };
    let restored = bench.restore(&[0, 3], own).unwrap();
    assert_eq!(restored.left_behind, Some(3), "1, 2 and 7");
    let kept = restored.replaced.previous_keystores.unwrap();
    assert!(files(&kept).values().eq(before.values()));
    assert_eq!(bench.opened(), [0, 3]);
    assert_eq!(bench.config().mnemonic_next_index, 8);

    let spoilt = bench.directory.keystores().join("keystore-spoilt.json");
    fs::write(spoilt, "{").unwrap();
    assert_eq!(bench.restore(&[0], With::default()).unwrap().left_behind, None);
}

#[test]
fn unused_keys_get_keystores_and_deposit_data_that_verifies() {
    let bench = Bench::new();
    bench.restore(&[0, 2], With::default()).unwrap();
    let unused = [bench.keys[1], bench.keys[3]];
    let with = With {
        unused: &unused,
        ..With::default()
    };
    let restored = bench.restore(&[0, 2], with);
    assert_eq!(restored.unwrap().replaced.previous_deposit_data, None);
    assert_eq!(bench.opened(), [0, 1, 2, 3]);
    let file = DepositDataFile::parse(&fs::read(bench.directory.deposit_data()).unwrap()).unwrap();
    let verified = file.verify(VAULT, &bench.network, &mut rand_core::UnwrapErr(getrandom::SysRng));
    verified.unwrap();
    let keys: Vec<_> = file.entries().iter().map(|entry| entry.public_key).collect();
    assert_eq!(keys, unused.map(|key| key.public_key));
    assert_eq!(bench.config().mnemonic_next_index, 4);
}

#[test]
fn what_is_restored_already_is_told_from_what_is_not() {
    let bench = Bench::new();
    assert!(!bench.is_restored(&[0, 2], With::default()));
    let unused = [bench.keys[1], bench.keys[3]];
    let with = |unused| With {
        unused,
        ..With::default()
    };
    bench.restore(&[0, 2], with(&unused)).unwrap();
    assert!(bench.is_restored(&[0, 2], with(&unused)));
    for (indices, unused) in [
        (&[0, 2][..], &unused[..1]),
        (&[0], &unused),
        (&[0, 2, 4], &unused),
        (&[0, 1, 2], &unused[1..]),
    ] {
        assert!(!bench.is_restored(indices, with(unused)), "{indices:?}");
    }
    fs::write(bench.directory.keystores_password(), "another password").unwrap();
    assert!(!bench.is_restored(&[0, 2], with(&unused)), "nothing opens");
}

#[test]
fn a_directory_of_other_keys_or_another_network_stays_as_it_is() {
    let mut bench = Bench::new();
    let other = Mnemonic::parse(OTHER_PHRASE).unwrap();
    initialize(&bench.directory, &bench.network.name, None, &other).unwrap();
    let before = bench.files();
    assert!(matches!(
        bench.restore(&[0], With::default()),
        Err(RestoreError::OtherMnemonic(_))
    ));
    assert!(present_config(&bench.directory, &bench.mnemonic).is_err());
    assert!(present_config(&bench.directory, &other).unwrap().is_some());
    bench.mnemonic = other;
    bench.network = Network::Hoodi.spec();
    bench.keys = unused_keys(&bench.mnemonic, 1, &std::collections::BTreeSet::new());
    let refused = bench.restore(&[0], With::default());
    assert!(matches!(refused, Err(RestoreError::OtherNetwork { .. })), "{refused:?}");
    assert_eq!(bench.files(), before);
}

fn of_network(text: &str) -> With<'_> {
    With {
        network_file: Some(text),
        ..With::default()
    }
}

#[test]
fn a_network_of_ones_own_is_written_down_once() {
    let mut bench = Bench::new();
    bench.network.name = "mine".parse().unwrap();
    bench.network.chain_id = 31337;
    bench.network.genesis_fork_version = sw_spec::ForkVersion([9; 4]);
    let text = bench.network.to_toml();
    for _ in 0..2 {
        bench.restore(&[0], of_network(&text)).unwrap();
        assert_eq!(fs::read_to_string(bench.directory.network_file()).unwrap(), text);
    }
    let before = bench.files();
    bench.network.genesis_time = 1;
    let other = bench.network.to_toml();
    let refused = bench.restore(&[0], of_network(&other));
    assert!(
        matches!(refused, Err(RestoreError::OtherNetworkFile { .. })),
        "{refused:?}"
    );
    assert_eq!(bench.files(), before);
}

#[test]
fn a_configuration_that_is_spoilt_is_replaced_and_kept() {
    let bench = Bench::new();
    bench.directory.create().unwrap();
    fs::write(bench.directory.config(), "{\"network\"").unwrap();
    let restored = bench.restore(&[0], With::default()).unwrap();
    let kept = restored.replaced.previous_config.unwrap();
    assert_eq!(fs::read_to_string(kept).unwrap(), "{\"network\"");
    assert_eq!(bench.config().mnemonic_next_index, 1);
}

#[test]
fn a_key_that_is_derived_otherwise_than_it_was_found_is_not_written() {
    let mut bench = Bench::new();
    bench.keys[0].public_key = bench.keys[1].public_key;
    let refused = bench.restore(&[0], With::default());
    assert!(
        matches!(refused, Err(RestoreError::OtherKey { index: 0, .. })),
        "{refused:?}"
    );
    let refused = bench.restore(&[], With::default());
    assert!(
        matches!(refused, Err(RestoreError::Batch(BatchError::NoKeystores))),
        "{refused:?}"
    );
    assert!(!bench.directory.keystores().exists() && !bench.directory.config().exists());
}
