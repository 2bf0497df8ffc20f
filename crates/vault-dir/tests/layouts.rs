//! Directories of other tools, and directories that are not as they should be. Reliability A6.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code"
)]

use std::{fs, os::unix::fs::symlink, path::Path};

use serde_json::Value;
use sw_spec::PublicKeyBytes;
use sw_testkit::{fixture, list, text};
use sw_vault_dir::{IndexError, KeystoreIndex, OpenKeystoreError, Opening, PasswordSource};
use tempfile::TempDir;

struct Layout {
    value: Value,
    home: TempDir,
}

impl Layout {
    fn named(start: &str) -> Self {
        let layouts = fixture("keystore_layouts.json");
        let value = list(&layouts)
            .iter()
            .find(|layout| text(&layout["name"]).starts_with(start));
        Self::written(value.expect(start).clone())
    }

    fn written(value: Value) -> Self {
        let home = tempfile::tempdir().unwrap();
        for (path, content) in value["files"].as_object().unwrap() {
            let path = home.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text(content)).unwrap();
        }
        Self { value, home }
    }

    fn name(&self) -> &str {
        text(&self.value["name"])
    }

    fn dir(&self) -> std::path::PathBuf {
        self.home.path().join(text(&self.value["keystores"]))
    }

    fn passwords(&self) -> PasswordSource {
        PasswordSource {
            shared: self.value["shared"].as_str().map(|path| self.home.path().join(path)),
            dir: self.home.path().join(text(&self.value["passwords"])),
        }
    }

    fn scan(&self) -> Result<KeystoreIndex, IndexError> {
        KeystoreIndex::scan(&self.dir(), self.passwords())
    }

    fn keys(&self) -> Vec<PublicKeyBytes> {
        list(&self.value["keys"])
            .iter()
            .map(|key| text(key).parse().unwrap())
            .collect()
    }
}

#[test]
fn the_keystores_of_every_tool_are_found_and_open_and_what_holds_a_wallet_is_named() {
    let layouts = fixture("keystore_layouts.json");
    let layouts = list(&layouts);
    assert_eq!(layouts.len(), 12);
    let mut refused = 0;
    for value in layouts {
        let layout = Layout::written(value.clone());
        let (index, faults) = KeystoreIndex::survey(&layout.dir(), layout.passwords(), Opening::default()).unwrap();
        let named: Vec<_> = faults.iter().map(|fault| fault.keystore.clone()).collect();
        let expected: Vec<_> = list(&value["faults"])
            .iter()
            .map(|path| layout.home.path().join(text(path)))
            .collect();
        assert_eq!(named, expected, "{}: {faults:?}", layout.name());
        assert!(
            faults
                .iter()
                .all(|fault| matches!(fault.cause, OpenKeystoreError::SeveralKeys { .. }))
        );
        refused += faults.len();
        let keys = layout.keys();
        assert_eq!(index.len(), keys.len(), "{}", layout.name());
        for (key, opened) in keys.iter().zip(index.open_many(&keys, Opening::default())) {
            let opened = opened.unwrap_or_else(|error| panic!("{}: {error}", layout.name()));
            assert_eq!(opened.public_key().to_bytes(), *key);
        }
    }
    assert_eq!(refused, 1, "Prysm's wallet");
}

#[test]
fn every_place_of_a_missing_password_is_named() {
    let layout = Layout::named("Lighthouse");
    fs::remove_dir_all(layout.home.path().join("secrets")).unwrap();
    let key = layout.keys()[0];
    let passwords = PasswordSource {
        shared: Some(layout.home.path().join("shared.txt")),
        ..layout.passwords()
    };
    let index = KeystoreIndex::scan(&layout.dir(), passwords).unwrap();
    let message = index.open(&key).unwrap_err().to_string();
    for place in [
        format!("validators/{key}/voting-keystore.txt"),
        format!("secrets/{key}/voting-keystore.txt"),
        "secrets/voting-keystore.txt".to_owned(),
        format!("secrets/{key}"),
        format!("validators/{key}/password.txt"),
        "shared.txt".to_owned(),
    ] {
        assert!(message.contains(&format!("{place}`")), "{place}: {message}");
    }
}

#[test]
fn the_nearest_password_counts() {
    let layout = Layout::named("Teku");
    let key = layout.keys()[0];
    let sub = layout.dir().join("moved");
    fs::create_dir(&sub).unwrap();
    let name = format!("{}.json", key.to_bare_hex());
    fs::rename(layout.dir().join(&name), sub.join(&name)).unwrap();
    let index = layout.scan().unwrap();
    index.open(&key).expect("the flat directory of passwords");
    fs::remove_dir_all(layout.home.path().join("passwords")).unwrap();
    assert!(index.open(&key).is_err());
    fs::write(sub.join("password.txt"), "pass of number 0").unwrap();
    index.open(&key).expect("password.txt of its own directory");
    fs::write(sub.join(name.replace(".json", ".txt")), "another").unwrap();
    assert!(
        matches!(index.open(&key), Err(OpenKeystoreError::WrongPassword { .. })),
        "its own file counts first, and nothing else is tried"
    );
}

/// Nimbus and Lighthouse keep each keystore in a directory named like its key, where a password could have that name.
#[test]
fn a_directory_named_like_the_key_is_no_password() {
    let layout = Layout::named("Nimbus");
    let key = layout.keys()[0];
    let secrets = layout.home.path().join(text(&layout.value["passwords"]));
    let password = fs::read(secrets.join(key.to_string())).unwrap();
    let shared = layout.dir().join("password.txt");
    fs::write(&shared, password).unwrap();
    let dir = layout.dir();
    assert!(dir.join(key.to_string()).is_dir());
    let passwords = PasswordSource {
        shared: Some(shared),
        dir: dir.clone(),
    };
    let index = KeystoreIndex::scan(&dir, passwords).unwrap();
    index.open(&key).expect("the shared password");
}

#[test]
fn a_key_in_two_directories_names_both_files() {
    let layout = Layout::named("ethstaker-deposit, one salt");
    let old = layout.dir().join("old");
    fs::create_dir(&old).unwrap();
    let first = "keystore-m_12381_3600_0_0_0-1700000000.json";
    fs::copy(layout.dir().join(first), old.join("any-other-name.json")).unwrap();
    let error = layout.scan().unwrap_err();
    let message = error.to_string();
    assert!(
        message.contains("old/any-other-name.json") && message.contains(first),
        "{message}"
    );
    assert!(matches!(error, IndexError::Duplicate { public_key, .. } if public_key == layout.keys()[0]));
}

/// Kubernetes mounts secrets as links through a hidden directory.
#[test]
fn a_container_volume_of_links_is_read_once() {
    let layout = Layout::named("ethstaker-deposit, one salt");
    let mounted = layout.home.path().join("mounted");
    fs::create_dir(&mounted).unwrap();
    fs::rename(layout.dir(), mounted.join("..2026_01_01")).unwrap();
    symlink("..2026_01_01", mounted.join("..data")).unwrap();
    for entry in fs::read_dir(mounted.join("..data")).unwrap() {
        let name = entry.unwrap().file_name();
        symlink(Path::new("..data").join(&name), mounted.join(name)).unwrap();
    }
    let index = KeystoreIndex::scan(&mounted, layout.passwords()).unwrap();
    assert_eq!(index.public_keys().copied().collect::<Vec<_>>(), {
        let mut keys = layout.keys();
        keys.sort();
        keys
    });
}

#[test]
fn a_directory_that_links_lead_to_is_read_once() {
    let layout = Layout::named("Nimbus");
    let keys = layout.scan().unwrap().len();
    symlink(layout.home.path(), layout.dir().join("again")).unwrap();
    symlink(layout.dir(), layout.dir().join("aa-the-same")).unwrap();
    let index = layout.scan().expect("a loop of links holds no other keystore");
    assert_eq!(index.len(), keys);
    for key in layout.keys() {
        let path = index.path(&key).unwrap();
        let own = path.strip_prefix(layout.dir()).unwrap();
        assert_eq!(own.components().count(), 2, "{} goes by its own name", path.display());
    }
    // Followed one by one, these would be 40^7 directories.
    for level in 0..8 {
        let dir = layout.dir().join(format!("level-{level}"));
        fs::create_dir(&dir).unwrap();
        for link in 0..40 {
            symlink(
                layout.dir().join(format!("level-{}", level + 1)),
                dir.join(link.to_string()),
            )
            .unwrap();
        }
    }
    assert_eq!(layout.scan().unwrap().len(), keys);
}

#[test]
fn what_a_volume_and_its_owner_leave_beside_keystores_keeps_none_of_them_away() {
    let layout = Layout::named("ethstaker-deposit, one salt");
    let keys = layout.keys().len();
    symlink("itself", layout.dir().join("itself")).unwrap();
    symlink("password.txt/below-a-file", layout.dir().join("notes.json")).unwrap();
    let lost = layout.dir().join("lost+found");
    fs::create_dir(&lost).unwrap();
    fs::write(lost.join("keystore-12.json"), "half of a fi").unwrap();
    assert_eq!(layout.scan().expect("these are no keystores").len(), keys);
    symlink("keystore-again.json", layout.dir().join("keystore-again.json")).unwrap();
    let error = layout.scan().unwrap_err();
    assert!(
        matches!(&error, IndexError::Unusable { faults, .. } if faults.len() == 1),
        "what is named like one is named: {error}"
    );
}

#[test]
fn a_directory_that_never_ends_is_refused() {
    let layout = Layout::named("Nimbus");
    let mut deep = layout.dir();
    for _ in 0..8 {
        deep.push("deeper");
        fs::create_dir(&deep).unwrap();
    }
    layout.scan().expect("eight levels are read");
    deep.push("deeper");
    fs::create_dir(&deep).unwrap();
    let error = layout.scan().unwrap_err();
    assert!(matches!(&error, IndexError::TooDeep { dir } if *dir == deep), "{error}");
}

#[test]
fn what_looks_like_a_keystore_and_is_none_is_never_passed_over() {
    let layout = Layout::named("Teku");
    let key = layout.keys()[0].to_bare_hex();
    let path = layout.dir().join(format!("{key}.json"));
    let json = fs::read_to_string(&path).unwrap();
    for (from, to) in [
        (r#""function": "pbkdf2""#, r#""function": "argon2""#),
        (r#""version": 4"#, r#""version": 5"#),
        (r#""c": 262144"#, r#""c": 4000000000"#),
    ] {
        assert!(json.contains(from));
        fs::write(&path, json.replace(from, to)).unwrap();
        let error = layout.scan().unwrap_err();
        assert!(
            matches!(&error, IndexError::Unusable { faults, .. } if faults[0].keystore == path),
            "{to}: {error}"
        );
    }
    fs::remove_file(&path).unwrap();
    symlink("nowhere", layout.dir().join("keystore-x.json")).unwrap();
    assert!(layout.scan().is_err());
}

#[test]
fn files_whose_key_streams_overlap_are_named_without_a_password() {
    let layout = Layout::named("version 1 of the original");
    let index = layout.scan().unwrap();
    let groups = index.shared_ivs();
    assert_eq!(groups.iter().map(Vec::len).collect::<Vec<_>>(), [3]);
    for other in ["ethstaker-deposit, one salt", "Lighthouse", "Lodestar"] {
        assert!(Layout::named(other).scan().unwrap().shared_ivs().is_empty(), "{other}");
    }

    let own = layout.dir().join("keystore-m_12381_3600_1_0_0-1690000000.txt");
    fs::write(own, "another password").unwrap();
    let names: Vec<String> = index.shared_ivs()[0]
        .iter()
        .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    let of = |index: u32| format!("keystore-m_12381_3600_{index}_0_0-1690000000.json");
    assert_eq!(names.len(), 2);
    assert!(names.contains(&of(0)) && names.contains(&of(2)), "{names:?}");
    fs::remove_file(layout.dir().join("password.txt")).unwrap();
    assert_eq!(
        index.shared_ivs().len(),
        1,
        "a password that cannot be read excuses nothing"
    );
}

#[test]
fn vectors_that_follow_each_other_overlap_too() {
    let layout = Layout::named("version 1 of the original");
    let path = |index: u32| {
        layout
            .dir()
            .join(format!("keystore-m_12381_3600_{index}_0_0-1690000000.json"))
    };
    let json: Value = serde_json::from_str(&fs::read_to_string(path(0)).unwrap()).unwrap();
    let iv = text(&json["crypto"]["cipher"]["params"]["iv"]).to_owned();
    let set = |index: u32, vector: u128| {
        let json = fs::read_to_string(path(index)).unwrap();
        let mut value: Value = serde_json::from_str(&json).unwrap();
        value["crypto"]["cipher"]["params"]["iv"] = format!("{vector:032x}").into();
        fs::write(path(index), value.to_string()).unwrap();
    };
    assert_eq!(iv.len(), 32);
    for (vectors, grouped) in [
        ([10, 11, 12], 3),
        ([10, 12, 14], 0),
        ([10, 11, 13], 2),
        ([u128::MAX, 0, 7], 2),
        ([u128::MAX, 1, 7], 0),
        ([u128::MAX - 1, u128::MAX, 0], 3),
        ([5, 5, 5], 3),
    ] {
        for (index, vector) in (0..).zip(vectors) {
            set(index, vector);
        }
        let found: usize = layout.scan().unwrap().shared_ivs().iter().map(Vec::len).sum();
        assert_eq!(found, grouped, "{vectors:?}");
    }
}
