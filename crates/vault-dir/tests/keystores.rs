//! Listing keystores without opening them, and opening them when their keys are needed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code"
)]

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::Instant,
};

use sw_keys::{DerivedKey, KdfParams, KeyPath, Keystore, SecretKey, SecretString};
use sw_spec::PublicKeyBytes;
use sw_testkit::{fixture, text};
use sw_vault_dir::{IndexError, KeystoreIndex, LikelyCause, OpenKeystoreError, PasswordSource};
use tempfile::TempDir;

fn rng() -> impl rand_core::CryptoRng {
    rand_core::UnwrapErr(getrandom::SysRng)
}

fn secret(number: u32) -> SecretKey {
    let mut bytes = [1; 32];
    bytes[..4].copy_from_slice(&(number + 1).to_be_bytes());
    bytes[0] = 0;
    SecretKey::from_bytes(&bytes).unwrap()
}

fn public_key(number: u32) -> PublicKeyBytes {
    secret(number).public_key().to_bytes()
}

fn path() -> KeyPath {
    "m/12381/3600/0/0/0".parse().unwrap()
}

fn derived(password: &str) -> DerivedKey {
    KdfParams::Pbkdf2 {
        c: 2,
        dklen: 32,
        salt: vec![3; 32],
    }
    .derive(&SecretString::from(password))
    .unwrap()
}

/// A directory of keystores with one password, `password`.
struct Keystores {
    dir: TempDir,
}

impl Keystores {
    fn new(count: u32) -> Self {
        let keystores = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        let derived = derived("password");
        for number in 0..count {
            keystores.add(number, &derived);
        }
        keystores.write("password.txt", "password");
        keystores
    }

    fn add(&self, number: u32, derived: &DerivedKey) {
        let keystore = Keystore::encrypt_with(derived, &secret(number), &path(), &mut rng());
        self.write(&name(number), &keystore.to_json());
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn passwords(&self) -> PasswordSource {
        PasswordSource {
            shared: Some(self.path("password.txt")),
            dir: self.dir.path().to_owned(),
        }
    }

    fn scan(&self) -> Result<KeystoreIndex, IndexError> {
        KeystoreIndex::scan(self.dir.path(), self.passwords())
    }
}

fn name(number: u32) -> String {
    format!("keystore-m_12381_3600_{number}_0_0-1700000000.json")
}

fn file_name(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

#[test]
fn keystores_are_listed_without_any_password() {
    let keystores = Keystores::new(5);
    fs::remove_file(keystores.path("password.txt")).unwrap();
    let index = keystores.scan().unwrap();
    assert_eq!((index.len(), index.is_empty()), (5, false));
    assert!((0..5).all(|number| index.contains(&public_key(number))));
    assert!(!index.contains(&public_key(5)));
    assert_eq!(index.public_keys().count(), 5);
    assert_eq!(index.path(&public_key(3)).unwrap(), keystores.path(&name(3)));
    let error = index.open(&public_key(0)).unwrap_err();
    assert!(
        matches!(&error, OpenKeystoreError::NoPassword { looked_at, .. } if looked_at.contains(&keystores.path("password.txt"))),
        "{error}"
    );
}

#[test]
fn only_keystores_are_looked_at() {
    let keystores = Keystores::new(1);
    for other in [
        "deposit_data.json",
        "keystore.txt",
        "Keystore-1.json",
        ".keystore-2.json",
        "keystore-3.json.tmp",
    ] {
        keystores.write(other, "{}");
    }
    fs::create_dir(keystores.path("keystore-dir.json")).unwrap();
    fs::create_dir(keystores.path(".hidden")).unwrap();
    fs::copy(keystores.path(&name(0)), keystores.path(".hidden/keystore-4.json")).unwrap();
    let index = keystores.scan().unwrap();
    assert_eq!(index.len(), 1);
    let passed_over: Vec<&str> = index.passed_over().iter().map(|path| file_name(path)).collect();
    assert_eq!(passed_over, ["Keystore-1.json", "deposit_data.json"]);
    assert_eq!(
        KeystoreIndex::scan(&keystores.path("keystore-dir.json"), keystores.passwords())
            .unwrap()
            .len(),
        0
    );
    let missing = KeystoreIndex::scan(&keystores.path("missing"), keystores.passwords()).unwrap_err();
    assert!(matches!(missing, IndexError::Directory { .. }));
}

#[test]
fn a_keystore_gives_the_key_it_states() {
    let keystores = Keystores::new(3);
    let index = keystores.scan().unwrap();
    for number in 0..3 {
        assert_eq!(
            index.open(&public_key(number)).unwrap().public_key().to_bytes(),
            public_key(number)
        );
    }
    let error = index.open(&public_key(9)).unwrap_err();
    assert!(
        matches!(&error, OpenKeystoreError::Unknown { public_key: key, .. } if *key == public_key(9)),
        "{error}"
    );
}

#[test]
fn the_originals_keystore_opens_with_its_password_and_a_line_ending() {
    let fixture = fixture("original-v1.json");
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(name(0)), fixture["keystore"].to_string()).unwrap();
    fs::write(
        dir.path().join("password.txt"),
        format!("{}\n", text(&fixture["keystore_password"])),
    )
    .unwrap();
    let passwords = PasswordSource {
        shared: Some(dir.path().join("password.txt")),
        dir: dir.path().to_owned(),
    };
    let index = KeystoreIndex::scan(dir.path(), passwords).unwrap();
    let expected: PublicKeyBytes = text(&fixture["keys"][0]["pk"]).parse().unwrap();
    assert_eq!(index.open(&expected).unwrap().public_key().to_bytes(), expected);
}

#[test]
fn a_password_of_its_own_comes_before_the_shared_one() {
    let keystores = Keystores::new(1);
    keystores.add(1, &derived("its own"));
    let own = tempfile::tempdir().unwrap();
    fs::write(own.path().join(name(1).replace(".json", ".txt")), "its own\r\n").unwrap();
    let passwords = PasswordSource {
        shared: Some(keystores.path("password.txt")),
        dir: own.path().to_owned(),
    };
    let index = KeystoreIndex::scan(keystores.dir.path(), passwords.clone()).unwrap();
    index.open(&public_key(0)).unwrap();
    index.open(&public_key(1)).unwrap();

    let index = KeystoreIndex::scan(
        keystores.dir.path(),
        PasswordSource {
            shared: None,
            ..passwords
        },
    )
    .unwrap();
    index.open(&public_key(1)).unwrap();
    let error = index.open(&public_key(0)).unwrap_err();
    assert!(
        matches!(&error, OpenKeystoreError::NoPassword { keystore, .. } if file_name(keystore) == name(0)),
        "{error}"
    );
}

/// Reliability A9.
#[test]
fn a_wrong_password_names_both_files_and_what_is_odd() {
    let keystores = Keystores::new(1);
    let index = keystores.scan().unwrap();
    let open = |password: &str| {
        keystores.write("password.txt", password);
        index.open(&public_key(0)).err()
    };
    let shared = LikelyCause::NoFileOfItsOwn(keystores.path(&name(0).replace(".json", ".txt")));
    let cases: [(&str, Vec<LikelyCause>); 5] = [
        ("Password\n", vec![]),
        ("\u{feff}password\n", vec![LikelyCause::ByteOrderMark]),
        ("password\nother\n", vec![LikelyCause::SeveralLines]),
        ("Password \n", vec![LikelyCause::SpacesRemoved]),
        ("passw\r\nordx", vec![LikelyCause::SeveralLines]),
    ];
    for (text, mut expected) in cases {
        expected.push(shared.clone());
        let error = open(text).unwrap();
        let message = error.to_string();
        assert!(
            message.contains(&name(0)) && message.contains("password.txt"),
            "{message}"
        );
        let OpenKeystoreError::WrongPassword { likely_causes, .. } = error else {
            panic!("{error:?}")
        };
        assert_eq!(likely_causes, expected, "{text:?}");
        assert!(!message.contains(text.trim()));
    }
    assert!(open("\n").is_some_and(|error| matches!(error, OpenKeystoreError::Password { .. })));
    assert!(open("password\r\n").is_none());
}

#[test]
fn every_bad_file_is_named_at_once() {
    let keystores = Keystores::new(4);
    keystores.write(&name(10), "{");
    keystores.write(&name(11), "{\"version\": 3, \"crypto\": {}}");
    keystores.write(&name(12), &"x".repeat(70_000));
    let good = fs::read_to_string(keystores.path(&name(1))).unwrap();
    keystores.write(&name(13), &good.replace("\"c\": 2,", "\"c\": 4000000000,"));
    std::os::unix::fs::symlink("/nowhere", keystores.path(&name(14))).unwrap();
    let error = keystores.scan().unwrap_err();
    let message = error.to_string();
    assert!(message.starts_with("5 of 9 keystores in "), "{message}");
    let IndexError::Unusable { faults, .. } = error else {
        panic!("{error:?}")
    };
    let named: Vec<&str> = faults.iter().map(|fault| file_name(&fault.keystore)).collect();
    assert_eq!(named, [10, 11, 12, 13, 14].map(name));
    assert!(named.iter().all(|name| message.contains(name)));
}

#[test]
fn many_bad_files_are_counted_and_some_are_shown() {
    let keystores = Keystores::new(0);
    for number in 0..25 {
        keystores.write(&name(number), "not a keystore");
    }
    let message = keystores.scan().unwrap_err().to_string();
    assert!(
        message.starts_with("25 of 25") && message.ends_with("; and 15 more"),
        "{message}"
    );
}

#[test]
fn two_keystores_of_one_key_are_both_named() {
    let keystores = Keystores::new(2);
    fs::copy(keystores.path(&name(1)), keystores.path("keystore-copy.json")).unwrap();
    let error = keystores.scan().unwrap_err();
    let message = error.to_string();
    assert!(
        message.contains("keystore-copy.json") && message.contains(&name(1)),
        "{message}"
    );
    assert!(matches!(error, IndexError::Duplicate { public_key: key, .. } if key == public_key(1)));
}

#[test]
fn every_key_that_appears_twice_is_named_at_once() {
    let keystores = Keystores::new(4);
    for number in 1..4 {
        fs::copy(
            keystores.path(&name(number)),
            keystores.path(&format!("keystore-copy-{number}.json")),
        )
        .unwrap();
    }
    let message = keystores.scan().unwrap_err().to_string();
    assert!(message.starts_with("3 of 7 keystores in "), "{message}");
    for number in 1..4 {
        let copy = format!("keystore-copy-{number}.json");
        assert!(message.contains(&copy) && message.contains(&name(number)), "{message}");
    }
}

#[test]
fn a_keystore_that_states_no_key_is_opened_to_learn_it() {
    let keystores = Keystores::new(2);
    let silent = fs::read_to_string(keystores.path(&name(0)))
        .unwrap()
        .replace("pubkey", "unknown");
    keystores.write(&name(0), &silent);
    let index = keystores.scan().unwrap();
    assert!(index.contains(&public_key(0)) && index.contains(&public_key(1)));
    index.open(&public_key(0)).unwrap();

    keystores.write("password.txt", "wrong");
    let error = keystores.scan().unwrap_err();
    assert!(
        error.to_string().contains("wrong password") && error.to_string().contains(&name(0)),
        "{error}"
    );
}

/// Reliability A7.
#[test]
fn a_keystore_of_another_key_than_it_states_is_refused_when_opened() {
    let keystores = Keystores::new(2);
    let lying = fs::read_to_string(keystores.path(&name(0)))
        .unwrap()
        .replace(&public_key(0).to_bare_hex(), &public_key(7).to_bare_hex());
    keystores.write(&name(0), &lying);
    let index = keystores.scan().unwrap();
    let error = index.open(&public_key(7)).unwrap_err();
    assert!(
        matches!(&error, OpenKeystoreError::Unusable { keystore, .. } if file_name(keystore) == name(0)),
        "{error}"
    );

    keystores.add(0, &derived("password"));
    let error = index.open(&public_key(7)).unwrap_err();
    assert!(
        matches!(error, OpenKeystoreError::Exchanged { expected, found, .. } if (expected, found) == (public_key(7), public_key(0)))
    );
}

/// With scrypt at its usual cost, eight keystores of one password and salt take one derivation, not eight.
#[test]
fn keystores_of_one_password_and_salt_cost_one_derivation_together() {
    let mut rng = rng();
    let kdf = KdfParams::scrypt(&mut rng);
    let started = Instant::now();
    let derived = kdf.derive(&SecretString::from("password")).unwrap();
    let one = started.elapsed();
    let keystores = Keystores::new(0);
    for number in 0..8 {
        keystores.add(number, &derived);
    }
    let index = keystores.scan().unwrap();
    let started = Instant::now();
    thread::scope(|scope| {
        for number in 0..8 {
            let index = &index;
            scope.spawn(move || index.open(&public_key(number)).unwrap());
        }
    });
    let all = started.elapsed();
    assert!(all < one * 5, "one took {one:?}, eight took {all:?}");
}

/// About a second in a release build; here only that it is not a matter of decrypting.
#[test]
fn ten_thousand_keystores_are_listed_quickly() {
    let keystores = Keystores::new(1);
    let derived = derived("password");
    let template = Keystore::encrypt_with(&derived, &secret(0), &path(), &mut rng()).to_json();
    let stated = public_key(0).to_bare_hex();
    for number in 1..10_000u32 {
        let other = format!("{}{number:08x}", &stated[..88]);
        keystores.write(&name(number), &template.replace(&stated, &other));
    }
    let started = Instant::now();
    let index = keystores.scan().unwrap();
    let took = started.elapsed();
    assert_eq!(index.len(), 10_000);
    assert!(took.as_secs() < 15, "{took:?}");
}
