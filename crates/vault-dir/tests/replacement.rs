//! A new directory of keystores takes the place of the old one, which is kept whole.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code"
)]

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
};

use sw_keys::{ExposeSecret, KdfParams, Keystore, SecretKey, SecretString};
use sw_vault_dir::{Batch, BatchError, Replacement, VaultConfig, VaultDir, WriteError};

const VAULT: &str = "0x3320ad928c20187602a2B2C04EeAa813fA899468";

fn rng() -> impl rand_core::CryptoRng {
    rand_core::UnwrapErr(getrandom::SysRng)
}

fn secret(number: u8) -> SecretKey {
    SecretKey::from_bytes(&[number; 32]).unwrap()
}

fn keystore(number: u8) -> String {
    let kdf = KdfParams::Pbkdf2 {
        c: 2,
        dklen: 32,
        salt: vec![3; 32],
    };
    let derived = kdf.derive(&SecretString::from("password")).unwrap();
    let path = format!("m/12381/3600/{number}/0/0").parse().unwrap();
    Keystore::encrypt_with(&derived, &secret(number), &path, &mut rng()).to_json()
}

fn name(number: u8) -> String {
    format!("keystore-m_12381_3600_{number}_0_0-1800000000.json")
}

fn config(next: u32) -> VaultConfig {
    VaultConfig {
        network: "hoodi".into(),
        mnemonic_next_index: next,
        first_public_key: secret(1).public_key().to_bytes(),
    }
}

fn empty_vault() -> (tempfile::TempDir, VaultDir) {
    let data_dir = tempfile::tempdir().unwrap();
    let dir = VaultDir::new(data_dir.path(), VAULT.parse().unwrap());
    dir.create().unwrap();
    (data_dir, dir)
}

/// A vault with a keystore, a password, a file that is not ours, and deposit data.
fn vault() -> (tempfile::TempDir, VaultDir) {
    let (data_dir, dir) = empty_vault();
    config(1).save(&dir).unwrap();
    fs::create_dir(dir.keystores()).unwrap();
    for (name, text) in OLD {
        fs::write(dir.keystores().join(name), text).unwrap();
    }
    fs::write(dir.deposit_data(), "[old]").unwrap();
    (data_dir, dir)
}

const OLD: [(&str, &str); 3] = [
    ("keystore-old.json", "{\"torn"),
    ("notes of mine.md", "mine"),
    ("password.txt", "Pass\n"),
];

fn replace(dir: &VaultDir, config: &VaultConfig) -> Result<sw_vault_dir::Replaced, BatchError> {
    let lock = dir.lock().unwrap();
    let mut replacement = Replacement::begin(&lock)?;
    replacement.shared_password(&mut rng())?;
    for number in [1, 2] {
        replacement.add(&name(number), keystore(number).as_bytes())?;
    }
    replacement.commit(config, Some(b"[new]"))
}

fn contents(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut left = vec![dir.to_owned()];
    while let Some(path) = left.pop() {
        if path.is_dir() {
            left.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let name = path.strip_prefix(dir).unwrap().display().to_string();
        found.push((name, fs::read(path).unwrap()));
    }
    found.sort();
    found
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn assert_replaced(dir: &VaultDir) {
    assert_eq!(names(&dir.keystores()), [name(1), name(2), "password.txt".to_owned()]);
    assert_eq!(fs::read_to_string(dir.keystores_password()).unwrap(), "Pass");
    let kept = contents(&dir.root().join("keystores.bak-1"));
    assert_eq!(
        kept,
        OLD.map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec()))
    );
    assert_eq!(VaultConfig::load(dir).unwrap(), config(3));
    assert_eq!(fs::read_to_string(dir.deposit_data()).unwrap(), "[new]");
    let text = |name: &str| fs::read_to_string(dir.root().join(name)).unwrap();
    assert_eq!(text("deposit_data.json.bak-1"), "[old]");
    assert_eq!(text("config.json.bak-1"), config(1).to_json());
    let expected = [
        ".lock",
        "config.json",
        "config.json.bak-1",
        "deposit_data.json",
        "deposit_data.json.bak-1",
        "keystores",
        "keystores.bak-1",
    ];
    assert_eq!(names(dir.root()), expected);
}

#[test]
fn the_old_directory_is_kept_whole_and_everything_else_under_numbers() {
    let (_data_dir, dir) = vault();
    let replaced = replace(&dir, &config(3)).unwrap();
    assert_replaced(&dir);
    let kept = |name: &str| Some(dir.root().join(name));
    assert_eq!(replaced.previous_keystores, kept("keystores.bak-1"));
    assert_eq!(replaced.previous_deposit_data, kept("deposit_data.json.bak-1"));
    assert_eq!(replaced.previous_config, kept("config.json.bak-1"));
    for (path, _) in contents(&dir.keystores()) {
        let mode = fs::metadata(dir.keystores().join(&path)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{path}");
    }
    let again = replace(&dir, &config(3)).unwrap();
    assert_eq!(again.previous_keystores, kept("keystores.bak-2"));
    assert_eq!((again.previous_config, again.previous_deposit_data), (None, None));
}

#[test]
fn a_vault_without_anything_gets_its_keystores_and_a_new_password() {
    let (_data_dir, dir) = empty_vault();
    let lock = dir.lock().unwrap();
    let mut replacement = Replacement::begin(&lock).unwrap();
    let password = replacement.shared_password(&mut rng()).unwrap();
    assert_eq!(password.expose_secret().len(), 20);
    replacement.add(&name(1), keystore(1).as_bytes()).unwrap();
    let replaced = replacement.commit(&config(2), None).unwrap();
    assert_eq!(
        (
            replaced.previous_keystores,
            replaced.previous_deposit_data,
            replaced.previous_config
        ),
        (None, None, None)
    );
    assert_eq!(names(dir.root()), [".lock", "config.json", "keystores"]);
    assert_eq!(
        fs::read_to_string(dir.keystores_password()).unwrap(),
        password.expose_secret()
    );
}

/// A finished directory as it is after the deciding rename, made by taking a replacement apart again.
fn interrupted_after_the_decision() -> (tempfile::TempDir, VaultDir, PathBuf) {
    let (data_dir, dir) = vault();
    replace(&dir, &config(3)).unwrap();
    let ready = dir.root().join(".new-keys.ready");
    fs::create_dir(&ready).unwrap();
    fs::write(ready.join("swap"), "").unwrap();
    for (name, old) in [
        ("keystores", "keystores.bak-1"),
        ("deposit_data.json", "deposit_data.json.bak-1"),
        ("config.json", "config.json.bak-1"),
    ] {
        fs::rename(dir.root().join(name), ready.join(name)).unwrap();
        fs::rename(dir.root().join(old), dir.root().join(name)).unwrap();
    }
    (data_dir, dir, ready)
}

#[test]
fn a_replacement_cut_short_after_the_decision_is_finished_by_the_next_run_wherever_it_was() {
    type Step = fn(&VaultDir, &Path);
    let steps: [Step; 7] = [
        |dir, _| fs::rename(dir.keystores(), dir.root().join("keystores.bak-1")).unwrap(),
        |dir, ready| fs::rename(ready.join("keystores"), dir.keystores()).unwrap(),
        |dir, _| assert!(fs::copy(dir.deposit_data(), dir.root().join("deposit_data.json.bak-1")).is_ok()),
        |dir, ready| fs::rename(ready.join("deposit_data.json"), dir.deposit_data()).unwrap(),
        |dir, _| assert!(fs::copy(dir.config(), dir.root().join("config.json.bak-1")).is_ok()),
        |dir, ready| fs::rename(ready.join("config.json"), dir.config()).unwrap(),
        |_, ready| fs::remove_file(ready.join("swap")).unwrap(),
    ];
    for taken in 0..=steps.len() {
        let (_data_dir, dir, ready) = interrupted_after_the_decision();
        for step in &steps[..taken] {
            step(&dir, &ready);
        }
        let lock = dir.lock().unwrap();
        assert!(Batch::finish_interrupted(&lock).unwrap(), "after {taken} steps");
        assert_replaced(&dir);
        assert!(!Batch::finish_interrupted(&lock).unwrap());
    }
}

#[test]
fn what_is_not_moved_is_never_removed() {
    let (_data_dir, dir, ready) = interrupted_after_the_decision();
    fs::write(ready.join("of somebody"), "x").unwrap();
    let lock = dir.lock().unwrap();
    assert!(matches!(
        Batch::finish_interrupted(&lock),
        Err(BatchError::NotMoved { .. })
    ));
    assert_eq!(fs::read_to_string(ready.join("of somebody")).unwrap(), "x");
    fs::remove_file(ready.join("of somebody")).unwrap();
    assert!(Batch::finish_interrupted(&lock).unwrap());
    assert_replaced(&dir);
}

#[test]
fn what_cannot_take_the_place_is_refused_before_anything_changes() {
    let refused = |prepare: &dyn Fn(&VaultDir), config: &VaultConfig| {
        let (_data_dir, dir) = vault();
        prepare(&dir);
        drop(dir.lock().unwrap());
        let before = contents(dir.root());
        let error = replace(&dir, config).unwrap_err();
        assert_eq!(contents(dir.root()), before, "{error}");
        error
    };
    let error = refused(&|_| (), &config(0));
    assert!(
        matches!(error, BatchError::IndexGoesBack { from: 1, to: 0 }),
        "{error:?}"
    );
    let link = |dir: &VaultDir| {
        fs::rename(dir.keystores(), dir.root().join("elsewhere")).unwrap();
        symlink(dir.root().join("elsewhere"), dir.keystores()).unwrap();
    };
    let error = refused(&link, &config(3));
    assert!(
        matches!(error, BatchError::Write(WriteError::Symlink { .. })),
        "{error:?}"
    );
    let (_data_dir, dir) = vault();
    let lock = dir.lock().unwrap();
    let before = contents(dir.root());
    let mut replacement = Replacement::begin(&lock).unwrap();
    replacement.shared_password(&mut rng()).unwrap();
    assert!(matches!(
        replacement.commit(&config(3), None),
        Err(BatchError::NoKeystores)
    ));
    assert_eq!(contents(dir.root()), before);
}
