//! Keystores and wallets of other tools, damaged ones and hostile ones.
#![expect(clippy::expect_used, reason = "test code: what is not as expected must fail")]

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use proptest::prelude::*;
use serde_json::{Value, json};
use sw_keys::{
    DerivedKey, KdfError, KdfParams, KeyPath, Keystore, KeystoreError, Mnemonic, SecretKey, SecretString,
    ValidatorKeys, WalletFile, WalletFileError, WalletKey,
};
use sw_spec::PublicKeyBytes;

fn rng() -> impl rand_core::CryptoRng {
    rand_core::UnwrapErr(getrandom::SysRng)
}

fn secret() -> SecretKey {
    SecretKey::from_bytes(&[0x2a; 32]).expect("a key")
}

/// A derivation that costs nothing, so that properties can be tried often.
fn cheap(password: &str) -> DerivedKey {
    let params = KdfParams::Pbkdf2 {
        c: 1,
        dklen: 32,
        salt: vec![1, 2, 3],
    };
    params.derive(&SecretString::from(password)).expect("derived")
}

fn keystore() -> (Keystore, DerivedKey) {
    let derived = cheap("password");
    (
        Keystore::encrypt_with(&derived, &secret(), &ValidatorKeys::path(7), &mut rng()),
        derived,
    )
}

/// The keystore above as JSON, for tests to change.
fn keystore_json() -> Value {
    serde_json::from_str(&keystore().0.to_json()).expect("JSON")
}

fn parse(json: &Value) -> Result<Keystore, KeystoreError> {
    Keystore::parse(json.to_string().as_bytes())
}

#[test]
fn a_keystore_comes_back_as_it_was_written() {
    let (keystore, derived) = keystore();
    let read = Keystore::parse(keystore.to_json().as_bytes()).expect("a keystore");
    assert_eq!(read, keystore);
    assert_eq!(read.path(), "m/12381/3600/7/0/0");
    assert_eq!(read.public_key(), Some(secret().public_key().to_bytes()));
    assert_eq!(
        read.decrypt_with(&derived).expect("opens").expose_bytes(),
        secret().expose_bytes()
    );
    let opened = read
        .decrypt(&SecretString::from("pass\tword\r\n"))
        .expect("control characters do not count");
    assert_eq!(opened.expose_bytes(), secret().expose_bytes());
}

#[test]
fn a_keystore_has_the_cost_of_the_original_unless_told_otherwise() {
    let password = SecretString::from("password");
    let keystore = Keystore::encrypt(&secret(), &password, &KeyPath::validator(0), &mut rng()).expect("encrypted");
    match keystore.kdf() {
        KdfParams::Scrypt {
            n: 262_144,
            r: 8,
            p: 1,
            dklen: 32,
            salt,
        } => assert_eq!(salt.len(), 32),
        other => panic!("{other:?}"),
    }
    assert_eq!(
        keystore.decrypt(&password).expect("opens").expose_bytes(),
        secret().expose_bytes()
    );
}

#[test]
fn a_batch_of_one_derivation_never_repeats_a_vector_or_an_identifier() {
    let derived = cheap("password");
    let mut rng = rng();
    let (mut vectors, mut blocks, mut identifiers) = (HashSet::new(), HashSet::new(), HashSet::new());
    for _ in 0..2000 {
        let keystore = Keystore::encrypt_with(&derived, &secret(), &ValidatorKeys::path(0), &mut rng);
        assert!(vectors.insert(*keystore.iv()));
        // 32 bytes take two blocks of key stream, so neighbouring counters would share one.
        let counter = u128::from_be_bytes(*keystore.iv());
        assert!(blocks.insert(counter) && blocks.insert(counter.wrapping_add(1)));
        assert_eq!(keystore.uuid().as_bytes()[14], b'4', "{}", keystore.uuid());
        assert!(identifiers.insert(keystore.uuid().to_owned()));
    }
}

#[test]
fn keystores_of_other_tools_open() {
    let derived = cheap("password");
    let mut bare = keystore_json();
    for optional in ["description", "pubkey", "path", "uuid"] {
        bare.as_object_mut().expect("an object").remove(optional);
    }
    let mut prysm = bare.clone();
    prysm["name"] = json!("keystore");
    prysm["pubkey"] = json!("");
    let mut nulls = keystore_json();
    nulls["description"] = Value::Null;
    nulls["extra"] = json!({"nested": [1, 2, 3]});
    let mut shouted = keystore_json();
    for member in [
        "/pubkey",
        "/crypto/checksum/message",
        "/crypto/cipher/message",
        "/crypto/cipher/params/iv",
    ] {
        let text = shouted.pointer_mut(member).expect("present");
        *text = json!(text.as_str().expect("text").to_uppercase());
    }
    let mut prefixed = keystore_json();
    prefixed["pubkey"] = json!(format!("0x{}", prefixed["pubkey"].as_str().expect("text")));
    for (form, has_key) in [
        (bare, false),
        (prysm, false),
        (nulls, true),
        (shouted, true),
        (prefixed, true),
    ] {
        let keystore = parse(&form).expect("a keystore");
        assert_eq!(keystore.public_key().is_some(), has_key);
        assert_eq!(
            keystore.decrypt_with(&derived).expect("opens").expose_bytes(),
            secret().expose_bytes()
        );
        assert_eq!(
            Keystore::parse(keystore.to_json().as_bytes()).expect("a keystore"),
            keystore
        );
    }
}

#[test]
fn what_is_not_a_keystore_says_why() {
    let changed = |pointer: &str, value: Value| {
        let mut json = keystore_json();
        *json.pointer_mut(pointer).expect("present") = value;
        parse(&json).expect_err("refused")
    };
    assert!(matches!(
        Keystore::parse(b"").expect_err("refused"),
        KeystoreError::Malformed(_)
    ));
    assert!(matches!(
        Keystore::parse(&[b' '; 70_000]).expect_err("refused"),
        KeystoreError::TooLarge(70_000)
    ));
    assert!(matches!(changed("/version", json!(3)), KeystoreError::Version(3)));
    assert!(matches!(changed("/pubkey", json!("12")), KeystoreError::PublicKey(_)));
    assert!(matches!(
        changed("/crypto/kdf/function", json!("argon2")),
        KeystoreError::KdfMembers(_)
    ));
    assert!(matches!(
        changed("/crypto/kdf/function", json!("scrypt")),
        KeystoreError::KdfMembers(_)
    ));
    assert!(matches!(
        changed("/crypto/kdf/params/prf", json!("hmac-sha512")),
        KeystoreError::KdfMembers(_)
    ));
    assert!(matches!(
        changed("/crypto/kdf/params/salt", json!("xyz")),
        KeystoreError::KdfMembers(_)
    ));
    assert!(matches!(
        changed("/crypto/kdf/params/dklen", json!(64)),
        KeystoreError::Kdf(KdfError::KeyLength(64))
    ));
    assert!(matches!(
        changed("/crypto/cipher/function", json!("aes-256-cbc")),
        KeystoreError::UnknownFunction { role: "cipher", .. }
    ));
    assert!(matches!(
        changed("/crypto/checksum/function", json!("md5")),
        KeystoreError::UnknownFunction { role: "checksum", .. }
    ));
    assert!(matches!(
        changed("/crypto/cipher/message", json!("")),
        KeystoreError::Hex {
            member: "cipher.message",
            expected: 32
        }
    ));
    assert_eq!(
        changed("/crypto/cipher/params/iv", json!("00")).to_string(),
        "`cipher.params.iv` is not the hexadecimal text of 16 bytes"
    );
}

/// A tired person points at the wrong file, and that file holds the key itself.
#[test]
fn what_is_found_instead_of_a_keystore_or_a_wallet_is_not_repeated() {
    let secret = "46".repeat(32);
    for content in [
        format!("\"{secret}\""),
        format!("\"0x{secret}, expected {secret}\""),
        secret.clone(),
        format!("[{secret}]"),
        format!("{{\"crypto\": \"{secret}\", \"version\": 4}}"),
        format!("{{\"version\": {secret}}}"),
        format!("{{\"version\": \"{secret}\"}}"),
    ] {
        let errors: [Box<dyn std::error::Error>; 2] = [
            Keystore::parse(content.as_bytes()).expect_err("refused").into(),
            WalletFile::parse(content.as_bytes()).expect_err("refused").into(),
        ];
        for error in errors {
            let cause = error.source().expect("what is wrong with it").to_string();
            assert!(!format!("{error} {error:?} {cause}").contains("46"), "{cause}");
            assert!(cause.contains("at line 1 column"), "{cause}");
        }
    }
}

#[test]
fn a_hostile_cost_is_refused_within_a_millisecond() {
    let mut hostile = keystore_json();
    hostile["crypto"]["kdf"] = json!({
        "function": "scrypt", "message": "",
        "params": {"dklen": 32, "n": 1_u64 << 40, "r": 8, "p": 1, "salt": "00"},
    });
    let text = hostile.to_string();
    let fastest = (0..20)
        .map(|_| {
            let started = Instant::now();
            let error = Keystore::parse(text.as_bytes()).expect_err("refused");
            assert!(matches!(
                error,
                KeystoreError::Kdf(KdfError::TooMuchMemory {
                    n: 0x100_0000_0000,
                    r: 8
                })
            ));
            started.elapsed()
        })
        .min();
    assert!(fastest.expect("20 tries") < Duration::from_millis(1), "{fastest:?}");
}

#[test]
fn a_keystore_of_another_validator_is_refused() {
    let derived = cheap("password");
    let other = SecretKey::from_bytes(&[0x2b; 32])
        .expect("a key")
        .public_key()
        .to_bytes();
    let mut json = keystore_json();
    json["pubkey"] = json!(other.to_bare_hex());
    let error = parse(&json)
        .expect("a keystore")
        .decrypt_with(&derived)
        .expect_err("refused");
    let own = secret().public_key().to_bytes();
    assert!(matches!(error, KeystoreError::OtherPublicKey { stated, held } if stated == other && held == own));
}

#[test]
fn a_derived_key_of_other_parameters_is_refused() {
    let (keystore, _) = keystore();
    let params = KdfParams::Pbkdf2 {
        c: 2,
        dklen: 32,
        salt: vec![1, 2, 3],
    };
    let derived = params.derive(&SecretString::from("password")).expect("derived");
    assert!(matches!(keystore.decrypt_with(&derived), Err(KeystoreError::OtherKdf)));
    assert!(matches!(
        keystore.decrypt_with(&cheap("passwort")),
        Err(KeystoreError::WrongPassword)
    ));
}

#[test]
fn a_wallet_comes_back_as_it_was_written_and_only_for_its_password_and_address() {
    let key = WalletKey::from_bytes(&[0x2a; 32]).expect("a key");
    let password = SecretString::from("password");
    let file = WalletFile::encrypt(&key, &password, &mut rng()).expect("encrypted");
    let json = file.to_json();
    assert!(
        json.contains(r#""kdfparams": {"dklen": 32, "n": 262144, "r": 8, "p": 1, "salt": ""#),
        "{json}"
    );
    let read = WalletFile::parse(json.as_bytes()).expect("a wallet");
    assert_eq!(read, file);
    assert_eq!(
        read.decrypt(&password).expect("opens").expose_bytes(),
        key.expose_bytes()
    );
    assert!(matches!(
        read.decrypt(&SecretString::from("passwort")),
        Err(WalletFileError::WrongPassword)
    ));
    let stated = "00".repeat(20);
    let forged = json.replace(&hex::encode(key.address()), &stated);
    let error = WalletFile::parse(forged.as_bytes())
        .expect("a wallet")
        .decrypt(&password)
        .expect_err("refused");
    assert!(matches!(error, WalletFileError::OtherAddress { held, .. } if held == key.address()));
}

#[test]
fn what_is_not_a_wallet_says_why() {
    let wallet = json!({
        "crypto": {
            "cipher": "aes-128-ctr", "cipherparams": {"iv": "00".repeat(16)}, "ciphertext": "00".repeat(32),
            "kdf": "pbkdf2", "kdfparams": {"c": 1, "dklen": 32, "prf": "hmac-sha256", "salt": ""}, "mac": "00".repeat(32),
        },
        "version": 3,
    });
    let parse = |json: &Value| WalletFile::parse(json.to_string().as_bytes());
    let early = json!({"Crypto": wallet["crypto"], "version": 3, "address": ""});
    assert_eq!(parse(&early).expect("a wallet"), parse(&wallet).expect("a wallet"));
    let changed = |pointer: &str, value: Value| {
        let mut json = wallet.clone();
        *json.pointer_mut(pointer).expect("present") = value;
        parse(&json).expect_err("refused")
    };
    assert!(matches!(
        WalletFile::parse(b"[]").expect_err("refused"),
        WalletFileError::Malformed(_)
    ));
    assert!(matches!(
        WalletFile::parse(&[b' '; 70_000]).expect_err("refused"),
        WalletFileError::TooLarge(70_000)
    ));
    assert!(matches!(changed("/version", json!(1)), WalletFileError::Version(1)));
    assert!(matches!(
        changed("/crypto/cipher", json!("aes-128-cbc")),
        WalletFileError::UnknownCipher(_)
    ));
    assert!(matches!(
        changed("/crypto/kdf", json!("bcrypt")),
        WalletFileError::KdfMembers(_)
    ));
    assert!(matches!(
        changed("/crypto/kdfparams/c", json!(0)),
        WalletFileError::Kdf(KdfError::NoIterations)
    ));
    assert!(matches!(
        changed("/crypto/mac", json!("00")),
        WalletFileError::Hex {
            member: "crypto.mac",
            expected: 32
        }
    ));
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..600), text in ".{0,200}") {
        let _ = Keystore::parse(&bytes);
        let _ = WalletFile::parse(&bytes);
        let _ = Keystore::parse(text.as_bytes());
        let _ = WalletFile::parse(text.as_bytes());
        let _ = Mnemonic::parse(&String::from_utf8_lossy(&bytes));
        let _ = Mnemonic::parse(&text);
        let _ = text.parse::<KeyPath>();
    }

    #[test]
    fn twelve_words_of_anything_are_read_without_a_panic(words in prop::collection::vec("\\PC{1,8}", 12)) {
        let _ = Mnemonic::parse(&words.join(" "));
    }

    /// One damaged byte: the file is refused, the password does not fit, or the key is still the right one.
    #[test]
    fn a_damaged_keystore_never_yields_another_key(position in 0_usize..700, byte in any::<u8>()) {
        let (keystore, derived) = keystore();
        let mut bytes = keystore.to_json().into_bytes();
        let position = position % bytes.len();
        bytes[position] = byte;
        if let Ok(damaged) = Keystore::parse(&bytes)
            && damaged.public_key().is_some()
            && let Ok(opened) = damaged.decrypt_with(&derived)
        {
            prop_assert_eq!(opened.expose_bytes(), secret().expose_bytes());
        }
    }

    #[test]
    fn any_key_comes_back_under_any_password_and_path(
        bytes in prop::array::uniform32(any::<u8>()),
        password in "\\PC{1,30}",
        indexes in prop::collection::vec(any::<u32>(), 0..6),
    ) {
        prop_assume!(SecretKey::from_bytes(&bytes).is_ok());
        let secret = SecretKey::from_bytes(&bytes).expect("assumed");
        let path: KeyPath = indexes.iter().fold("m".to_owned(), |path, index| format!("{path}/{index}")).parse().expect("a path");
        let derived = cheap(&password);
        let keystore = Keystore::encrypt_with(&derived, &secret, &path, &mut rng());
        let read = Keystore::parse(keystore.to_json().as_bytes()).expect("a keystore");
        prop_assert_eq!(&read, &keystore);
        prop_assert_eq!(read.path(), path.to_string());
        prop_assert_eq!(read.decrypt(&SecretString::from(password)).expect("opens").expose_bytes(), secret.expose_bytes());
    }

    #[test]
    fn points_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 48)) {
        let bytes = PublicKeyBytes::try_from(bytes.as_slice()).expect("48 bytes");
        if let Ok(key) = sw_keys::PublicKey::try_from(&bytes) {
            prop_assert_eq!(key.to_bytes(), bytes);
        }
    }
}
