//! Private files, secrets, the config and the lock.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "test code"
)]

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    process::{Command, Stdio},
};

use proptest::prelude::*;
use sw_spec::PublicKeyBytes;
use sw_vault_dir::{
    ConfigError, ExposeSecret, LockError, Overwrite, PasswordFileError, ReadSecretError, VaultConfig, VaultDir,
    WriteError, create_private_dir, load_or_create_password, read_secret_file, write_private,
};

const VAULT: &str = "0x3320ad928c20187602a2B2C04EeAa813fA899468";

fn scratch() -> (tempfile::TempDir, VaultDir) {
    let data_dir = tempfile::tempdir().unwrap();
    let dir = VaultDir::new(data_dir.path(), VAULT.parse().unwrap());
    dir.create().unwrap();
    (data_dir, dir)
}

fn rng() -> impl rand_core::CryptoRng {
    rand_core::UnwrapErr(getrandom::SysRng)
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777
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
fn the_layout_is_the_originals() {
    let dir = VaultDir::new(Path::new("/data"), VAULT.parse().unwrap());
    let root = "/data/0x3320ad928c20187602a2b2c04eeaa813fa899468";
    assert_eq!(dir.root(), Path::new(root));
    let expected = [
        (dir.config(), "config.json"),
        (dir.keystores(), "keystores"),
        (dir.keystores_password(), "keystores/password.txt"),
        (dir.deposit_data(), "deposit_data.json"),
        (dir.wallet_dir(), "wallet"),
        (dir.wallet(), "wallet/wallet.json"),
        (dir.wallet_password(), "wallet/password.txt"),
        (dir.network_file(), "network.toml"),
        (dir.database(), "operator.db"),
        (dir.journal(), "transactions.journal"),
        (dir.ipfs_cache(), "ipfs"),
    ];
    for (path, name) in expected {
        assert_eq!(path, Path::new(root).join(name));
    }
    assert!(!dir.exists());
}

#[test]
fn a_directory_is_created_with_its_parents_for_the_owner_alone() {
    let data_dir = tempfile::tempdir().unwrap();
    let dir = VaultDir::new(&data_dir.path().join("a/b"), VAULT.parse().unwrap());
    dir.create().unwrap();
    dir.create().unwrap();
    assert!(dir.exists());
    for path in [
        data_dir.path().join("a"),
        data_dir.path().join("a/b"),
        dir.root().to_owned(),
    ] {
        assert_eq!(mode(&path), 0o700, "{}", path.display());
    }
    fs::write(data_dir.path().join("file"), "").unwrap();
    let error = create_private_dir(&data_dir.path().join("file/sub")).unwrap_err();
    assert!(matches!(error, WriteError::Io { .. }), "{error:?}");
}

#[test]
fn the_directory_of_a_bare_file_name_is_the_current_one() {
    let of_a_bare_name = Path::new("password.txt").parent().unwrap();
    create_private_dir(of_a_bare_name).unwrap();
    create_private_dir(Path::new(".")).unwrap();
}

#[test]
fn a_private_file_is_the_owners_and_leaves_nothing_beside_it() {
    let (_data_dir, dir) = scratch();
    let path = dir.root().join("secret");
    write_private(&path, b"one", Overwrite::Refuse).unwrap();
    assert_eq!((fs::read(&path).unwrap(), mode(&path)), (b"one".to_vec(), 0o600));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    write_private(&path, b"", Overwrite::Replace).unwrap();
    assert_eq!((fs::read(&path).unwrap(), mode(&path)), (Vec::new(), 0o600));
    assert_eq!(names(dir.root()), ["secret"]);
}

#[test]
fn an_existing_file_a_link_and_a_directory_are_not_written_to() {
    let (_data_dir, dir) = scratch();
    let [file, link, dangling, sub] = ["file", "link", "dangling", "sub"].map(|name| dir.root().join(name));
    fs::write(&file, "old").unwrap();
    symlink(&file, &link).unwrap();
    symlink(dir.root().join("nowhere"), &dangling).unwrap();
    fs::create_dir(&sub).unwrap();
    let refused = |path: &Path, overwrite| write_private(path, b"new", overwrite).unwrap_err();
    assert!(matches!(refused(&file, Overwrite::Refuse), WriteError::Exists { .. }));
    for overwrite in [Overwrite::Refuse, Overwrite::Replace] {
        assert!(matches!(refused(&link, overwrite), WriteError::Symlink { .. }));
        assert!(matches!(refused(&dangling, overwrite), WriteError::Symlink { .. }));
        assert!(matches!(refused(&sub, overwrite), WriteError::NotAFile { .. }));
        assert!(matches!(
            refused(&dir.root().join("missing/file"), overwrite),
            WriteError::Io { .. }
        ));
    }
    assert_eq!(fs::read(&file).unwrap(), b"old");
    assert_eq!(names(dir.root()), ["dangling", "file", "link", "sub"]);
}

#[test]
fn a_disk_that_is_full_is_named_and_leaves_the_old_file() {
    let error = write_private(Path::new("/dev/full"), b"x", Overwrite::Replace).unwrap_err();
    assert!(matches!(error, WriteError::NotAFile { .. }), "{error:?}");
    // A limit on the size of files stands in for a full disk: the child writes too much.
    let (_data_dir, dir) = scratch();
    let path = dir.root().join("secret");
    write_private(&path, b"old", Overwrite::Refuse).unwrap();
    let limited = format!(
        "trap '' XFSZ; ulimit -f 1; exec '{}' --exact --nocapture child_writes_a_megabyte",
        std::env::current_exe().unwrap().display()
    );
    let output = Command::new("sh")
        .args(["-c", &limited])
        .env("CHILD_PATH", &path)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        said.contains("cannot be written"),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(fs::read(&path).unwrap(), b"old");
    assert_eq!(names(dir.root()), ["secret"]);
}

#[test]
fn child_writes_a_megabyte() {
    let Ok(path) = std::env::var("CHILD_PATH") else { return };
    let error = write_private(Path::new(&path), &vec![7; 1 << 20], Overwrite::Replace).unwrap_err();
    println!("{error}");
}

#[test]
fn a_secret_is_read_without_its_line_ending() {
    let (_data_dir, dir) = scratch();
    let path = dir.root().join("password.txt");
    for text in ["pass word", "pass word\n", "pass word\r\n", "  pass word \n\n"] {
        fs::write(&path, text).unwrap();
        assert_eq!(read_secret_file(&path).unwrap().expose_secret(), "pass word");
    }
    assert!(!format!("{:?}", read_secret_file(&path).unwrap()).contains("pass"));
}

#[test]
fn no_secret_is_ever_read_from_an_empty_missing_huge_or_binary_file() {
    let (_data_dir, dir) = scratch();
    let path = dir.root().join("password.txt");
    assert!(matches!(read_secret_file(&path), Err(ReadSecretError::Missing { .. })));
    for empty in ["", "\n", " \r\n\t"] {
        fs::write(&path, empty).unwrap();
        assert!(matches!(read_secret_file(&path), Err(ReadSecretError::Empty { .. })));
    }
    fs::write(&path, vec![b'x'; 65_537]).unwrap();
    assert!(matches!(read_secret_file(&path), Err(ReadSecretError::TooLong { .. })));
    fs::write(&path, [b'p', 0xff, b'w']).unwrap();
    assert!(matches!(read_secret_file(&path), Err(ReadSecretError::NotText { .. })));
    assert!(matches!(
        read_secret_file(dir.root()),
        Err(ReadSecretError::Unreadable { .. })
    ));
    assert!(matches!(
        read_secret_file(Path::new("/dev/zero")),
        Err(ReadSecretError::TooLong { .. })
    ));
}

#[test]
fn a_password_is_made_once_and_kept() {
    let (_data_dir, dir) = scratch();
    let made = load_or_create_password(&dir.keystores_password(), &mut rng()).unwrap();
    let read = load_or_create_password(&dir.keystores_password(), &mut rng()).unwrap();
    assert_eq!(made.expose_secret(), read.expose_secret());
    assert_eq!(made.expose_secret().len(), 20);
    assert_eq!(
        fs::read_to_string(dir.keystores_password()).unwrap(),
        made.expose_secret(),
        "no line ending"
    );
    assert_eq!(
        (mode(&dir.keystores_password()), mode(&dir.keystores())),
        (0o600, 0o700)
    );
}

/// Reliability A3: the original takes an empty file for the empty password.
#[test]
fn an_empty_password_file_is_neither_used_nor_overwritten() {
    let (_data_dir, dir) = scratch();
    fs::create_dir(dir.keystores()).unwrap();
    fs::write(dir.keystores_password(), "\n").unwrap();
    let error = load_or_create_password(&dir.keystores_password(), &mut rng()).unwrap_err();
    assert!(matches!(error, PasswordFileError::Read(ReadSecretError::Empty { .. })));
    assert_eq!(fs::read(dir.keystores_password()).unwrap(), b"\n");
}

fn config() -> VaultConfig {
    VaultConfig {
        network: "mainnet".into(),
        mnemonic_next_index: 5,
        first_public_key: PublicKeyBytes([0xab; 48]),
    }
}

#[test]
fn the_config_is_written_byte_for_byte_as_the_original_does() {
    let (_data_dir, dir) = scratch();
    config().save(&dir).unwrap();
    let expected = format!(
        r#"{{"network": "mainnet", "mnemonic_next_index": 5, "first_public_key": "0x{}"}}"#,
        "ab".repeat(48)
    );
    assert_eq!(fs::read_to_string(dir.config()).unwrap(), expected);
    assert_eq!(VaultConfig::load(&dir).unwrap(), config());
    assert_eq!(mode(&dir.config()), 0o600);
}

#[test]
fn each_fault_of_the_config_is_told_in_the_originals_order() {
    let (_data_dir, dir) = scratch();
    assert!(matches!(VaultConfig::load(&dir), Err(ConfigError::Missing { .. })));
    let key = format!("0x{}", "ab".repeat(48));
    let load = |json: &str| {
        fs::write(dir.config(), json).unwrap();
        VaultConfig::load(&dir).unwrap_err()
    };
    assert!(matches!(load("{"), ConfigError::NotJson { .. }));
    assert!(matches!(load("[]"), ConfigError::NotAnObject { .. }));
    assert!(matches!(load(&" ".repeat(70_000)), ConfigError::NotAnObject { .. }));
    for network in ["", r#""network": "", "#, r#""network": null, "#, r#""network": 1, "#] {
        assert!(
            matches!(
                load(&format!(r#"{{{network}"other": 1}}"#)),
                ConfigError::Network { .. }
            ),
            "{network}"
        );
    }
    assert!(matches!(
        load(r#"{"network": "goerli"}"#),
        ConfigError::NextIndexMissing { .. }
    ));
    for index in ["-1", "1.0", "\"1\"", "true", "4294967296"] {
        let error = load(&format!(r#"{{"network": "hoodi", "mnemonic_next_index": {index}}}"#));
        assert!(
            matches!(&error, ConfigError::NextIndex { found, .. } if found == index),
            "{error}"
        );
    }
    let with_key = |key: &str| load(&format!(r#"{{"network": "hoodi", "mnemonic_next_index": 0{key}}}"#));
    assert!(matches!(with_key(""), ConfigError::FirstPublicKeyMissing { .. }));
    for text in [
        "1".to_owned(),
        "\"\"".to_owned(),
        format!("\"{}\"", &key[2..]),
        format!("\"{}\"", &key[..97]),
    ] {
        let error = with_key(&format!(r#", "first_public_key": {text}"#));
        assert!(matches!(error, ConfigError::FirstPublicKey { .. }), "{text}");
    }
}

#[test]
fn a_config_of_another_tool_may_have_more_members_and_capital_digits() {
    let (_data_dir, dir) = scratch();
    let json = format!(
        "{{\n  \"first_public_key\": \"0x{}\",\n  \"mnemonic_next_index\": 5,\n  \"extra\": [],\n  \"network\": \"mainnet\"\n}}\n",
        "AB".repeat(48)
    );
    fs::write(dir.config(), json).unwrap();
    assert_eq!(VaultConfig::load(&dir).unwrap(), config());
}

#[test]
fn another_phrase_is_told_by_its_first_key() {
    config().check_first_public_key(&PublicKeyBytes([0xab; 48])).unwrap();
    let error = config()
        .check_first_public_key(&PublicKeyBytes([0xcd; 48]))
        .unwrap_err();
    assert!(error.to_string().contains("0xcdcd") && error.to_string().contains("0xabab"));
}

#[test]
fn a_second_holder_is_refused_until_the_first_lets_go() {
    let (_data_dir, dir) = scratch();
    let lock = dir.lock().unwrap();
    assert_eq!(lock.dir(), &dir);
    let error = dir.lock().unwrap_err();
    assert!(
        matches!(&error, LockError::Held { dir: held } if held == dir.root()),
        "{error}"
    );
    drop(lock);
    dir.lock().unwrap();
    assert_eq!(mode(&dir.root().join(".lock")), 0o600);
}

#[test]
fn a_lock_is_not_taken_through_a_link_or_in_a_missing_directory() {
    let (data_dir, dir) = scratch();
    symlink(data_dir.path().join("elsewhere"), dir.root().join(".lock")).unwrap();
    assert!(matches!(dir.lock(), Err(LockError::Unusable { .. })));
    assert!(!data_dir.path().join("elsewhere").exists());
    let missing = VaultDir::new(&data_dir.path().join("missing"), VAULT.parse().unwrap());
    assert!(matches!(missing.lock(), Err(LockError::Unusable { .. })));
}

/// Reliability D9: a killed process leaves nothing to clean up.
#[test]
fn a_lock_ends_with_its_process_even_when_that_is_killed() {
    let (data_dir, dir) = scratch();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", "child_holds_the_lock"])
        .env("CHILD_DATA_DIR", data_dir.path())
        .stdout(Stdio::piped())
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("locked")));
    assert!(matches!(dir.lock(), Err(LockError::Held { .. })));
    child.kill().unwrap();
    child.wait().unwrap();
    dir.lock().unwrap();
}

#[test]
fn child_holds_the_lock() {
    let Ok(data_dir) = std::env::var("CHILD_DATA_DIR") else {
        return;
    };
    let _lock = VaultDir::new(Path::new(&data_dir), VAULT.parse().unwrap())
        .lock()
        .unwrap();
    println!("locked");
    // Until the parent kills this process, or goes away itself.
    let _ = std::io::stdin().read(&mut [0]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_config_survives_being_saved(network in "\\PC{1,20}", index in any::<u32>(), key in any::<[u8; 32]>()) {
        let (_data_dir, dir) = scratch();
        let mut first_public_key = PublicKeyBytes([9; 48]);
        first_public_key.0[..32].copy_from_slice(&key);
        let config = VaultConfig { network, mnemonic_next_index: index, first_public_key };
        config.save(&dir).unwrap();
        prop_assert_eq!(VaultConfig::load(&dir).unwrap(), config);
    }

    #[test]
    fn any_bytes_are_a_config_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let (_data_dir, dir) = scratch();
        fs::write(dir.config(), bytes).unwrap();
        let _ = VaultConfig::load(&dir);
    }
}
