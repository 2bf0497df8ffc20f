//! New keys come to be all at once, and a run that was cut short is finished by the next.
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

use sw_keys::{KdfParams, Keystore, SecretKey, SecretString};
use sw_vault_dir::{Batch, BatchError, ConfigError, VaultConfig, VaultDir, WriteError};

const VAULT: &str = "0x3320ad928c20187602a2B2C04EeAa813fA899468";

fn secret(number: u32) -> SecretKey {
    let mut bytes = [1; 32];
    bytes[28..].copy_from_slice(&number.to_be_bytes());
    SecretKey::from_bytes(&bytes).unwrap()
}

fn keystore(number: u32) -> String {
    let mut rng = rand_core::UnwrapErr(getrandom::SysRng);
    let kdf = KdfParams::Pbkdf2 {
        c: 2,
        dklen: 32,
        salt: vec![3; 32],
    };
    let derived = kdf.derive(&SecretString::from("password")).unwrap();
    Keystore::encrypt_with(
        &derived,
        &secret(number),
        &"m/12381/3600/0/0/0".parse().unwrap(),
        &mut rng,
    )
    .to_json()
}

fn name(number: u32) -> String {
    format!("keystore-m_12381_3600_{number}_0_0-1700000000.json")
}

fn scratch() -> (tempfile::TempDir, VaultDir) {
    let data_dir = tempfile::tempdir().unwrap();
    let dir = VaultDir::new(data_dir.path(), VAULT.parse().unwrap());
    dir.create().unwrap();
    let first_public_key = secret(0).public_key().to_bytes();
    VaultConfig {
        network: "hoodi".into(),
        mnemonic_next_index: 0,
        first_public_key,
    }
    .save(&dir)
    .unwrap();
    (data_dir, dir)
}

/// Makes the keys `from..to`, as `create-keys` does.
fn create(dir: &VaultDir, count: u32, deposit_data: &str) -> Result<Option<PathBuf>, BatchError> {
    let lock = dir.lock().unwrap();
    let mut batch = Batch::begin(&lock)?;
    let from = batch.config().mnemonic_next_index;
    for number in from..from + count {
        batch.add(&name(number), keystore(number).as_bytes())?;
    }
    let committed = batch.commit(from + count, Some(deposit_data.as_bytes()))?;
    assert_eq!(committed.config.mnemonic_next_index, from + count);
    Ok(committed.previous_deposit_data)
}

fn next_index(dir: &VaultDir) -> u32 {
    VaultConfig::load(dir).unwrap().mnemonic_next_index
}

/// Every file below a directory with its bytes; temporary and half-done things included.
fn contents(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(contents(&path));
        } else {
            found.push((path.clone(), fs::read(path).unwrap_or_default()));
        }
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

#[test]
fn a_batch_adds_its_files_the_deposit_data_and_the_next_index() {
    let (_data_dir, dir) = scratch();
    assert_eq!(create(&dir, 2, "[1, 2]").unwrap(), None);
    assert_eq!(names(&dir.keystores()), [name(0), name(1)]);
    assert_eq!(
        (
            fs::read_to_string(dir.deposit_data()).unwrap().as_str(),
            next_index(&dir)
        ),
        ("[1, 2]", 2)
    );
    assert_eq!(
        names(dir.root()),
        [".lock", "config.json", "deposit_data.json", "keystores"]
    );
    for (path, _) in contents(dir.root()) {
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600,
            "{}",
            path.display()
        );
    }
    assert_eq!(
        fs::metadata(dir.keystores()).unwrap().permissions().mode() & 0o777,
        0o700
    );
}

#[test]
fn deposit_data_of_earlier_runs_is_kept_under_numbers() {
    let (_data_dir, dir) = scratch();
    create(&dir, 1, "[1]").unwrap();
    let bak = |number: u32| dir.root().join(format!("deposit_data.json.bak-{number}"));
    assert_eq!(create(&dir, 1, "[2]").unwrap(), Some(bak(1)));
    assert_eq!(create(&dir, 1, "[3]").unwrap(), Some(bak(2)));
    let read = |path: PathBuf| fs::read_to_string(path).unwrap();
    assert_eq!(
        [read(bak(1)), read(bak(2)), read(dir.deposit_data())],
        ["[1]", "[2]", "[3]"]
    );
    let lock = dir.lock().unwrap();
    let committed = Batch::begin(&lock).unwrap().commit(9, None).unwrap();
    assert_eq!(
        (committed.previous_deposit_data, read(dir.deposit_data())),
        (None, "[3]".to_owned())
    );
    assert_eq!(next_index(&dir), 9);
}

#[test]
fn a_batch_that_is_not_committed_leaves_nothing() {
    let (_data_dir, dir) = scratch();
    create(&dir, 1, "[1]").unwrap();
    let before = contents(dir.root());
    let lock = dir.lock().unwrap();
    let mut batch = Batch::begin(&lock).unwrap();
    batch.add(&name(1), keystore(1).as_bytes()).unwrap();
    drop(batch);
    assert_eq!(contents(dir.root()), before);
}

#[test]
fn what_a_killed_run_had_not_committed_is_removed_by_the_next() {
    let (_data_dir, dir) = scratch();
    create(&dir, 1, "[1]").unwrap();
    let lock = dir.lock().unwrap();
    let mut batch = Batch::begin(&lock).unwrap();
    batch.add(&name(1), keystore(1).as_bytes()).unwrap();
    std::mem::forget(batch);
    fs::write(dir.root().join(".new-keys/keystores/keystore-torn.json"), "{\"cry").unwrap();
    drop(lock);
    create(&dir, 1, "[2]").unwrap();
    assert_eq!(names(&dir.keystores()), [name(0), name(1)]);
    assert_eq!(next_index(&dir), 2);
}

/// A finished directory as it is after the deciding rename, made by taking a committed batch apart again.
fn interrupted_after_the_decision() -> (tempfile::TempDir, VaultDir, PathBuf) {
    let (data_dir, dir) = scratch();
    create(&dir, 1, "[old]").unwrap();
    let old_config = fs::read(dir.config()).unwrap();
    create(&dir, 3, "[new]").unwrap();
    let ready = dir.root().join(".new-keys.ready");
    fs::create_dir_all(ready.join("keystores")).unwrap();
    for number in 1..4 {
        fs::rename(
            dir.keystores().join(name(number)),
            ready.join("keystores").join(name(number)),
        )
        .unwrap();
    }
    fs::rename(dir.deposit_data(), ready.join("deposit_data.json")).unwrap();
    fs::rename(dir.root().join("deposit_data.json.bak-1"), dir.deposit_data()).unwrap();
    fs::rename(dir.config(), ready.join("config.json")).unwrap();
    fs::write(dir.config(), old_config).unwrap();
    (data_dir, dir, ready)
}

fn assert_finished(dir: &VaultDir) {
    assert_eq!(names(&dir.keystores()), [0, 1, 2, 3].map(name));
    assert_eq!(next_index(dir), 4);
    assert_eq!(fs::read_to_string(dir.deposit_data()).unwrap(), "[new]");
    assert_eq!(
        fs::read_to_string(dir.root().join("deposit_data.json.bak-1")).unwrap(),
        "[old]"
    );
    let expected = [
        ".lock",
        "config.json",
        "deposit_data.json",
        "deposit_data.json.bak-1",
        "keystores",
    ];
    assert_eq!(names(dir.root()), expected);
}

/// Every place between two steps at which a run may end, and the same again in the run that finishes it.
#[test]
fn a_run_cut_short_after_the_decision_is_finished_by_the_next_wherever_it_was() {
    type Step = fn(&VaultDir, &Path);
    let steps: [Step; 8] = [
        |dir, ready| fs::hard_link(ready.join("keystores").join(name(1)), dir.keystores().join(name(1))).unwrap(),
        |_dir, ready| fs::remove_file(ready.join("keystores").join(name(1))).unwrap(),
        |dir, ready| fs::rename(ready.join("keystores").join(name(2)), dir.keystores().join(name(2))).unwrap(),
        |dir, ready| fs::rename(ready.join("keystores").join(name(3)), dir.keystores().join(name(3))).unwrap(),
        |dir, _ready| {
            fs::copy(dir.deposit_data(), dir.root().join("deposit_data.json.bak-1"))
                .map(|_| ())
                .unwrap()
        },
        |dir, ready| fs::rename(ready.join("deposit_data.json"), dir.deposit_data()).unwrap(),
        |dir, ready| fs::rename(ready.join("config.json"), dir.config()).unwrap(),
        |_dir, ready| fs::remove_dir(ready.join("keystores")).unwrap(),
    ];
    for taken in 0..=steps.len() {
        let (_data_dir, dir, ready) = interrupted_after_the_decision();
        for step in &steps[..taken] {
            step(&dir, &ready);
        }
        let lock = dir.lock().unwrap();
        assert!(Batch::finish_interrupted(&lock).unwrap(), "after {taken} steps");
        assert_finished(&dir);
        assert!(!Batch::finish_interrupted(&lock).unwrap());
    }
}

#[test]
fn the_next_batch_starts_where_the_interrupted_one_ended() {
    let (_data_dir, dir, _ready) = interrupted_after_the_decision();
    create(&dir, 1, "[newest]").unwrap();
    assert_eq!(names(&dir.keystores()), [0, 1, 2, 3, 4].map(name));
    assert_eq!(next_index(&dir), 5);
}

#[test]
fn keys_that_cannot_be_moved_are_kept_and_moved_when_the_cause_is_gone() {
    let (_data_dir, dir, ready) = interrupted_after_the_decision();
    fs::write(dir.keystores().join(name(2)), "something else").unwrap();
    let lock = dir.lock().unwrap();
    let error = Batch::finish_interrupted(&lock).unwrap_err();
    assert!(
        matches!(&error, BatchError::NotMoved { path, .. } if *path == ready),
        "{error}"
    );
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains(&name(2)) && cause.contains("exists already"), "{cause}");
    assert_eq!(next_index(&dir), 1, "not before the keys are there");
    // A power cut may lose a new name and keep the removal of the old one, unless the new ones were flushed in between.
    let kept = names(&ready.join("keystores"));
    assert_eq!(kept, [1, 2, 3].map(name), "nothing is removed before all are in place");
    fs::remove_file(dir.keystores().join(name(2))).unwrap();
    assert!(Batch::finish_interrupted(&lock).unwrap());
    assert_finished(&dir);
}

#[test]
fn a_key_that_is_there_already_is_not_made_twice() {
    let (_data_dir, dir) = scratch();
    create(&dir, 2, "[1]").unwrap();
    // A config.json of an older backup.
    VaultConfig {
        mnemonic_next_index: 1,
        ..VaultConfig::load(&dir).unwrap()
    }
    .save(&dir)
    .unwrap();
    let before = contents(dir.root());
    let lock = dir.lock().unwrap();
    let mut batch = Batch::begin(&lock).unwrap();
    batch
        .add("keystore-m_12381_3600_1_0_0-1800000000.json", keystore(1).as_bytes())
        .unwrap();
    let error = batch.commit(2, Some(b"[2]")).unwrap_err();
    assert!(
        error.to_string().contains(&name(1)) && error.to_string().contains("mnemonic_next_index"),
        "{error}"
    );
    assert!(
        matches!(error, BatchError::KeyExists { public_key, .. } if public_key == secret(1).public_key().to_bytes())
    );
    assert_eq!(contents(dir.root()), before);

    let mut batch = Batch::begin(&lock).unwrap();
    batch.add("keystore-a.json", keystore(5).as_bytes()).unwrap();
    assert!(matches!(
        batch.add("keystore-b.json", keystore(5).as_bytes()),
        Err(BatchError::KeyExists { .. })
    ));
}

#[test]
fn what_is_in_the_way_is_found_before_anything_changes() {
    let (data_dir, dir) = scratch();
    create(&dir, 1, "[1]").unwrap();
    let refused = |prepare: &dyn Fn(), undo: &dyn Fn()| {
        prepare();
        let before = contents(dir.root());
        let error = create(&dir, 1, "[2]").unwrap_err();
        assert_eq!(contents(dir.root()), before, "{error}");
        undo();
        error
    };
    let remove = |path: PathBuf| move || fs::remove_file(&path).unwrap();
    let taken = dir.keystores().join(name(1));
    let error = refused(&|| fs::write(&taken, "{}").unwrap(), &remove(taken.clone()));
    assert!(
        matches!(error, BatchError::Write(WriteError::Exists { .. })),
        "{error:?}"
    );
    let elsewhere = data_dir.path().join("elsewhere");
    fs::remove_file(dir.deposit_data()).unwrap();
    let error = refused(
        &|| symlink(&elsewhere, dir.deposit_data()).unwrap(),
        &remove(dir.deposit_data()),
    );
    assert!(
        matches!(error, BatchError::Write(WriteError::Symlink { .. })),
        "{error:?}"
    );
    create(&dir, 1, "[2]").unwrap();
}

#[test]
fn names_bytes_and_indexes_that_cannot_be_right_are_refused() {
    let (_data_dir, dir) = scratch();
    create(&dir, 3, "[]").unwrap();
    let lock = dir.lock().unwrap();
    let mut batch = Batch::begin(&lock).unwrap();
    for bad in ["", ".hidden", "../keystore-1.json", "a/b.json", &"x".repeat(256)] {
        assert!(matches!(batch.add(bad, b"x"), Err(BatchError::Name { .. })), "{bad}");
    }
    assert!(matches!(
        batch.add("keystore-1.json", b"{}"),
        Err(BatchError::Keystore { .. })
    ));
    batch.add("keystore-1.txt", b"password").unwrap();
    let again = batch.add("keystore-1.txt", b"password");
    assert!(matches!(again, Err(BatchError::Write(WriteError::Exists { .. }))));
    assert!(matches!(
        batch.commit(2, None),
        Err(BatchError::IndexGoesBack { from: 3, to: 2 })
    ));
    assert_eq!(next_index(&dir), 3);
}

#[test]
fn a_vault_that_is_not_set_up_gets_no_keys() {
    let data_dir = tempfile::tempdir().unwrap();
    let dir = VaultDir::new(data_dir.path(), VAULT.parse().unwrap());
    dir.create().unwrap();
    let lock = dir.lock().unwrap();
    assert!(matches!(
        Batch::begin(&lock),
        Err(BatchError::Config(ConfigError::Missing { .. }))
    ));
    assert_eq!(names(dir.root()), [".lock"]);
}

/// What is written through a link could end up anywhere.
#[test]
fn a_linked_directory_of_keystores_is_not_written_to() {
    let (data_dir, dir) = scratch();
    let elsewhere = data_dir.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    symlink(&elsewhere, dir.keystores()).unwrap();
    let error = create(&dir, 2, "[1]").unwrap_err();
    assert!(
        matches!(&error, BatchError::Write(WriteError::Symlink { path }) if *path == dir.keystores()),
        "{error:?}"
    );
    assert_eq!(names(&elsewhere), [""; 0]);
    assert_eq!(names(dir.root()), [".lock", "config.json", "keystores"]);
}
