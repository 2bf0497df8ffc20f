//! Opening many keystores at once, and what is said of those that do not open.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code"
)]

use std::{
    fs,
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
};

use sw_keys::{DerivedKey, KdfParams, KeyPath, Keystore, SecretKey, SecretString};
use sw_spec::PublicKeyBytes;
use sw_vault_dir::{KeystoreFault, KeystoreIndex, LikelyCause, OpenKeystoreError, Opening, PasswordSource};
use tempfile::TempDir;

fn secret(number: u32) -> SecretKey {
    let mut bytes = [1; 32];
    bytes[..4].copy_from_slice(&(number + 1).to_be_bytes());
    bytes[0] = 0;
    SecretKey::from_bytes(&bytes).unwrap()
}

fn public_key(number: u32) -> PublicKeyBytes {
    secret(number).public_key().to_bytes()
}

fn derived(password: &str, salt: u8) -> DerivedKey {
    let kdf = KdfParams::Pbkdf2 {
        c: 2,
        dklen: 32,
        salt: vec![salt; 32],
    };
    kdf.derive(&SecretString::from(password)).unwrap()
}

fn keystore(number: u32, derived: &DerivedKey) -> String {
    let path: KeyPath = format!("m/12381/3600/{number}/0/0").parse().unwrap();
    let mut rng = rand_core::UnwrapErr(getrandom::SysRng);
    Keystore::encrypt_with(derived, &secret(number), &path, &mut rng).to_json()
}

/// A directory of keystores, each given as its text.
struct Keystores(TempDir);

impl Keystores {
    fn of(count: u32, text: impl Fn(u32) -> String) -> Self {
        let keystores = Self(tempfile::tempdir().unwrap());
        for number in 0..count {
            fs::write(keystores.file(number), text(number)).unwrap();
        }
        fs::write(keystores.0.path().join("password.txt"), "password\n").unwrap();
        keystores
    }

    fn file(&self, number: u32) -> PathBuf {
        self.0.path().join(format!("keystore-{number:03}.json"))
    }

    fn survey(&self) -> (KeystoreIndex, Vec<KeystoreFault>) {
        let passwords = PasswordSource {
            shared: Some(self.0.path().join("password.txt")),
            dir: self.0.path().to_owned(),
        };
        KeystoreIndex::survey(self.0.path(), passwords, Opening::default()).unwrap()
    }
}

#[test]
fn many_keys_open_in_the_order_they_were_asked_for_whatever_they_share() {
    let (shared, other) = (derived("password", 1), derived("password", 2));
    let keystores = Keystores::of(60, |number| match number % 3 {
        0 => keystore(number, &shared),
        1 => keystore(number, &other),
        _ => keystore(number, &derived("password", 100 + u8::try_from(number).unwrap())),
    });
    let (index, faults) = keystores.survey();
    assert!(faults.is_empty());
    let mut keys: Vec<PublicKeyBytes> = (0..60).rev().map(public_key).collect();
    keys.insert(7, public_key(999));
    for (key, opened) in keys.iter().zip(index.open_many(&keys, Opening::default())) {
        match opened {
            Ok(secret) => assert_eq!(secret.public_key().to_bytes(), *key),
            Err(error) => assert!(
                matches!(error, OpenKeystoreError::Unknown { public_key: unknown, .. } if unknown == public_key(999)),
                "{error}"
            ),
        }
    }
    assert!(index.open_many(&[], Opening::default()).is_empty());
}

/// Reliability A9: a hundred files of which seven are bad, each for another reason.
#[test]
fn exactly_the_bad_files_are_named_each_with_its_likely_cause() {
    let run = derived("password", 1);
    let keystores = Keystores::of(100, |number| match number {
        10 => keystore(number, &derived("another password", 9)),
        20 => keystore(number, &run).replace(r#""checksum": {"#, r#""checksums": {"#),
        40 => {
            let json = keystore(number, &run);
            let at = json.find(r#""cipher": {"function": "aes-128-ctr""#).unwrap();
            let at = at + json[at..].find(r#""message": ""#).unwrap() + 12;
            let digit = if json.as_bytes()[at] == b'0' { "1" } else { "0" };
            format!("{}{digit}{}", &json[..at], &json[at + 1..])
        }
        50 => keystore(number, &run).replace(&public_key(50).to_bare_hex(), &public_key(500).to_bare_hex()),
        60 => keystore(number, &derived("its own", 7)),
        70 => keystore(number, &derived("its own", 8)),
        80 => keystore(81, &run),
        _ => keystore(number, &run),
    });
    fs::write(keystores.file(60).with_extension("txt"), " \n").unwrap();
    fs::write(keystores.file(70).with_extension("txt"), "\u{feff}its own\n").unwrap();
    let (index, mut faults) = keystores.survey();
    let opened = AtomicUsize::new(0);
    faults.extend(index.verify_all(Opening::default(), &|| {
        opened.fetch_add(1, Ordering::Relaxed);
    }));
    assert_eq!(opened.into_inner(), 93);
    faults.sort_by(|one, other| one.keystore.cmp(&other.keystore));
    let named: Vec<_> = faults
        .iter()
        .map(|fault| {
            (
                fault.keystore.clone(),
                fault.cause.kind(),
                fault.cause.is_about_the_password(),
            )
        })
        .collect();
    let expected = [
        (10, "wrong-password", true),
        (20, "not-a-keystore", false),
        (40, "damaged", false),
        (50, "other-public-key", false),
        (60, "unusable-password-file", true),
        (70, "wrong-password", true),
        (81, "duplicate", false),
    ];
    assert_eq!(
        named,
        expected.map(|(number, kind, password)| (keystores.file(number), kind, password))
    );
    let causes = |at: usize| match &faults[at].cause {
        OpenKeystoreError::WrongPassword { likely_causes, .. } => likely_causes.clone(),
        other => panic!("{other}"),
    };
    assert!(causes(0).contains(&LikelyCause::OpensOthers(93)), "{:?}", causes(0));
    assert_eq!(causes(2), [LikelyCause::Damaged]);
    assert_eq!(causes(5)[0], LikelyCause::ByteOrderMark);
    assert!(faults.iter().all(|fault| {
        let (text, name) = (fault.to_string(), fault.keystore.file_name().unwrap());
        text.contains(name.to_str().unwrap()) && !text.contains("its own\n")
    }));
}

/// Reliability A7: whatever is changed in what decides the key, no other key comes out.
#[test]
fn of_a_thousand_altered_keystores_none_opens() {
    let original = keystore(0, &derived("password", 1));
    let digits: Vec<usize> = ["\"salt\": \"", "\"iv\": \"", "\"pubkey\": \"", "\"message\": \""]
        .iter()
        .flat_map(|member| original.match_indices(member).map(|(at, member)| at + member.len()))
        .flat_map(|start| start..start + original[start..].find('"').unwrap())
        .collect();
    assert_eq!(digits.len(), 64 + 32 + 96 + 64 + 64);
    let (mut tried, mut unlisted, mut refused) = (0, 0, 0);
    let keystores = Keystores::of(1, |_| original.clone());
    assert_eq!(keystores.survey().0.verify_all(Opening::default(), &|| {}).len(), 0);
    for at in digits {
        let digit = char::from(original.as_bytes()[at]).to_digit(16).unwrap();
        for change in [1, 2, 4, 8] {
            let altered = char::from_digit(digit ^ change, 16).unwrap();
            fs::write(
                keystores.file(0),
                format!("{}{altered}{}", &original[..at], &original[at + 1..]),
            )
            .unwrap();
            let (index, faults) = keystores.survey();
            unlisted += faults.len();
            refused += index
                .verify_all(Opening::default(), &|| panic!("opened: {at} {change}"))
                .len();
            tried += 1;
        }
    }
    assert_eq!((tried, unlisted + refused), (1280, 1280));
    assert!(refused > 1000);
}

#[test]
fn keystores_that_state_no_key_are_opened_together_and_those_that_do_not_open_are_named() {
    let run = derived("password", 1);
    let silent = |number| keystore(number, &run).replace("pubkey", "unknown");
    let keystores = Keystores::of(20, |number| match number {
        5 => keystore(number, &derived("another password", 1)).replace("pubkey", "unknown"),
        9 => silent(8),
        _ => silent(number),
    });
    let (index, faults) = keystores.survey();
    assert_eq!(index.len(), 18);
    let named: Vec<_> = faults
        .iter()
        .map(|fault| (fault.keystore.clone(), fault.cause.kind()))
        .collect();
    assert_eq!(
        named,
        [(keystores.file(5), "wrong-password"), (keystores.file(9), "duplicate")]
    );
    let listed = KeystoreIndex::list(keystores.0.path()).unwrap().0;
    assert_eq!(listed.len(), 20);
    assert!(listed.iter().all(|listed| listed.public_key.is_none()));
    assert_eq!(listed[7].path, "m/12381/3600/7/0/0");
}
