//! What a sequence of commands leaves on the disk, and what it does not leave in the output.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code"
)]

use std::{
    fs,
    io::Write,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use sw_deposit_data::DepositDataFile;
use sw_keys::{ExposeSecret, Mnemonic, WalletFile};
use sw_spec::Network;
use sw_vault_dir::{KeystoreIndex, PasswordSource, VaultDir, read_secret_file};

const VAULT: &str = "0x3320ad928c20187602a2b2c04eeaa813fa899468";
const PHRASE: &str = "legal winner thank year wave sausage worth useful legal winner thank yellow";
const FIRST_KEY: &str =
    "0x90d317fa6a570715d34556f27f5b390a9c6b3deab4ef0092b45214e553f2302724d22324eeae418ba8b358cb108125ec";

/// Runs a command with answers on standard input, where files would be open to everybody by default.
fn operator(data_dir: &Path, arguments: &[&str], answers: &str) -> Output {
    let mut command = Command::new("sh");
    command
        .args(["-c", "umask 000; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_operator")])
        .args(arguments);
    command
        .env("DATA_DIR", data_dir)
        .env_remove("MNEMONIC_FILE")
        .env_remove("NETWORK_CONFIG");
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("starts");
    // A command that does not ask may be gone before it is answered.
    let _ = child.stdin.take().expect("piped").write_all(answers.as_bytes());
    child.wait_with_output().expect("ends")
}

fn succeed(data_dir: &Path, arguments: &[&str], answers: &str) -> String {
    let output = operator(data_dir, arguments, answers);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    String::from_utf8(output.stdout).expect("text")
}

fn initialized() -> (tempfile::TempDir, VaultDir) {
    let data_dir = tempfile::tempdir().expect("a directory");
    let vault = VaultDir::new(data_dir.path(), VAULT.parse().expect("an address"));
    vault.create().expect("created");
    let config = format!(r#"{{"network": "mainnet", "mnemonic_next_index": 0, "first_public_key": "{FIRST_KEY}"}}"#);
    fs::write(vault.config(), config).expect("written");
    (data_dir, vault)
}

fn keystores(vault: &VaultDir) -> KeystoreIndex {
    let passwords = PasswordSource {
        shared: Some(vault.keystores_password()),
        dir: vault.keystores(),
    };
    KeystoreIndex::scan(&vault.keystores(), passwords).expect("sound")
}

fn all_below(root: &Path) -> Vec<PathBuf> {
    let mut found = vec![root.to_owned()];
    let mut next = 0;
    while next < found.len() {
        if found[next].is_dir() {
            let entries = fs::read_dir(&found[next]).expect("a directory");
            found.extend(entries.map(|entry| entry.expect("readable").path()).collect::<Vec<_>>());
        }
        next += 1;
    }
    found
}

#[test]
fn the_files_are_private_sound_and_those_of_the_original_and_no_secret_is_said() {
    let (data_dir, vault) = initialized();
    let mut outputs = Vec::new();
    outputs.push(operator(
        data_dir.path(),
        &["create-keys", "-v"],
        &format!("{VAULT}\n5\n{PHRASE}\n"),
    ));
    outputs.push(operator(
        data_dir.path(),
        &["create-wallet", "-v"],
        &format!("{VAULT}\n{PHRASE}\n"),
    ));
    outputs.push(operator(
        data_dir.path(),
        &["get-validators-root"],
        &format!("{VAULT}\n"),
    ));
    assert_eq!(
        String::from_utf8_lossy(&outputs[2].stdout),
        "The validator deposit data Merkle tree root: 0x647dcc7df8bc8f26b6afb5be92fce175e2e480244e8289a91d01d640e427eaa5\n"
    );
    // Refused, and just as silent about secrets.
    outputs.push(operator(
        data_dir.path(),
        &["create-wallet", "--vault", VAULT],
        &format!("{PHRASE}\n"),
    ));
    outputs.push(operator(
        data_dir.path(),
        &["create-keys", "--vault", VAULT, "--count", "1"],
        &format!("{PHRASE} legal\n"),
    ));
    assert_eq!(
        outputs.iter().map(|output| output.status.code()).collect::<Vec<_>>(),
        [0, 0, 0, 6, 2].map(Some)
    );

    let index = keystores(&vault);
    let public_keys: Vec<_> = index.public_keys().copied().collect();
    assert_eq!(public_keys.len(), 5);
    let mut secrets: Vec<String> = PHRASE.split(' ').map(str::to_owned).collect();
    for public_key in public_keys {
        let secret = index.open(&public_key).expect("opens");
        assert_eq!(secret.public_key().to_bytes(), public_key);
        secrets.push(secret.expose_bytes().iter().map(|byte| format!("{byte:02x}")).collect());
    }
    let password = read_secret_file(&vault.wallet_password()).expect("there");
    let wallet = WalletFile::parse(&fs::read(vault.wallet()).expect("there")).expect("sound");
    assert_eq!(
        wallet.decrypt(&password).expect("opens").address().to_string(),
        "0x58A57ed9d8d624cBD12e2C467D34787555bB1b25"
    );
    secrets.push(password.expose_secret().to_owned());
    secrets.push(
        read_secret_file(&vault.keystores_password())
            .expect("there")
            .expose_secret()
            .to_owned(),
    );
    for output in &outputs {
        let said = String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned();
        let words: Vec<&str> = said
            .split(|character: char| !character.is_ascii_alphanumeric())
            .collect();
        for secret in &secrets {
            assert!(!words.contains(&secret.as_str()), "`{secret}` in {said}");
            assert!(secret.len() < 20 || !said.contains(secret), "`{secret}` in {said}");
        }
    }

    let mut checked = 0;
    for path in all_below(vault.root()) {
        let mode = path.metadata().expect("there").permissions().mode() & 0o777;
        let expected = if path.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode, expected, "{} has mode {mode:o}", path.display());
        checked += 1;
    }
    assert!(checked >= 12, "{checked}");
}

#[test]
fn a_mnemonic_of_any_language_goes_from_init_to_the_root() {
    for language in ["korean", "portuguese", "chinese_simplified"] {
        let data_dir = tempfile::tempdir().expect("a directory");
        let init = [
            "init",
            "--no-verify",
            "--network",
            "hoodi",
            "--vault",
            VAULT,
            "--language",
            language,
        ];
        let printed = succeed(data_dir.path(), &init, "");
        assert_eq!(printed.lines().count(), 1);
        assert_eq!(
            Mnemonic::parse(&printed).expect("valid").language().to_string(),
            language
        );
        succeed(data_dir.path(), &["create-keys"], &format!("{VAULT}\n2\n{printed}"));
        succeed(data_dir.path(), &["create-wallet"], &format!("{VAULT}\n{printed}"));
        let root = succeed(data_dir.path(), &["get-validators-root"], &format!("{VAULT}\n"));
        assert!(
            root.starts_with("The validator deposit data Merkle tree root: 0x"),
            "{root}"
        );
    }
}

#[test]
fn an_own_network_is_kept_and_its_deposits_are_signed_for_it() {
    let data_dir = tempfile::tempdir().expect("a directory");
    let mut network = Network::Hoodi.spec();
    network.name = "my_devnet".parse().expect("a name");
    network.chain_id = 31_338;
    network.genesis_fork_version = "0x10000042".parse().expect("a version");
    let file = data_dir.path().join("my.toml");
    fs::write(&file, network.to_toml()).expect("written");
    let file = file.to_str().expect("text");
    let init = [
        "init",
        "--no-verify",
        "--network-config",
        file,
        "--vault",
        VAULT,
        "--language",
        "english",
    ];
    let printed = succeed(data_dir.path(), &init, "");
    fs::remove_file(file).expect("there");

    succeed(
        data_dir.path(),
        &["create-keys", "--vault", VAULT, "--count", "2"],
        &printed,
    );
    succeed(data_dir.path(), &["get-validators-root", "--vault", VAULT], "");
    let vault = VaultDir::new(data_dir.path(), VAULT.parse().expect("an address"));
    let deposits = DepositDataFile::parse(&fs::read(vault.deposit_data()).expect("there")).expect("sound");
    assert_eq!(deposits.entries().len(), 2);
    for entry in deposits.entries() {
        assert_eq!(entry.network_name.as_deref(), Some("my_devnet"));
        assert_eq!(entry.fork_version, Some(network.genesis_fork_version));
    }
}

#[test]
fn a_vault_somebody_works_on_is_refused() {
    let (data_dir, vault) = initialized();
    let held = vault.lock().expect("free");
    let arguments = ["create-keys", "--vault", VAULT, "--count", "1"];
    let output = operator(data_dir.path(), &arguments, PHRASE);
    assert_eq!(output.status.code(), Some(6));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("another operator is at work") && said.contains("hint: "),
        "{said}"
    );
    drop(held);
    succeed(data_dir.path(), &arguments, PHRASE);
}

#[test]
fn a_merged_file_is_private_has_every_member_and_replaces_nothing() {
    let (data_dir, _) = initialized();
    let path = |name: &str| data_dir.path().join(name);
    let write = |name: &str, text: &str| {
        fs::write(path(name), text).expect("written");
        path(name).display().to_string()
    };
    let ours = write(
        "ours.json",
        "[\n  {\"b\": [1,2],\t\"a\": \"x,y:z\"},\n  {\"c\":1e400}\n]\n",
    );
    let theirs = write("theirs.json", "[null,{\"d\":{}},0]");
    let merged = path("merged.json").display().to_string();
    let merge = ["merge-deposit-data", "--no-verify", "-d", &ours, "-d", &theirs, "-m"];
    let said = succeed(data_dir.path(), &[&merge[..], &[&merged]].concat(), "");
    assert_eq!(said, format!("Merged deposit data saved to {merged}\n"));
    let expected = r#"[{"b": [1, 2], "a": "x,y:z"}, {"c": 1e400}, {"d": {}}, 0]"#;
    assert_eq!(fs::read_to_string(&merged).expect("a file"), expected);
    let mode = fs::metadata(&merged).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    std::os::unix::fs::symlink(path("elsewhere.json"), path("link.json")).expect("linked");
    for taken in ["merged.json", "ours.json", "link.json", ""] {
        let target = path(taken).display().to_string();
        let output = operator(data_dir.path(), &[&merge[..], &[&target]].concat(), "");
        assert_eq!(output.status.code(), Some(2), "{taken}");
    }
    assert_eq!(fs::read_to_string(&merged).expect("a file"), expected);
    assert!(!path("elsewhere.json").exists(), "nothing is written through a link");
    let left = fs::read_dir(data_dir.path()).expect("a directory").count();
    assert_eq!(left, 5, "three files, a link and the vault");
}

/// JSON has no bytes for a name that is not Unicode; the rest of the document is as good as ever.
#[test]
fn a_keystore_whose_name_is_not_unicode_is_listed_and_judged() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};

    let (data_dir, vault) = initialized();
    let answers = format!("{PHRASE}\n");
    succeed(
        data_dir.path(),
        &["create-keys", "--vault", VAULT, "--count", "1"],
        &answers,
    );
    let keystores = vault.keystores();
    let keystore = fs::read_dir(&keystores)
        .expect("listed")
        .map(|entry| entry.expect("an entry").path())
        .find(|path| path.extension() == Some(OsStr::new("json")))
        .expect("a keystore");
    fs::rename(keystore, keystores.join(OsStr::from_bytes(b"keystore-\xff.json"))).expect("renamed");

    let dir = keystores.to_str().expect("text");
    let listed = succeed(
        data_dir.path(),
        &["keystores", "list", "--json", "--keystores-dir", dir],
        "",
    );
    let listed: serde_json::Value = serde_json::from_str(&listed).expect("JSON");
    let file = listed["keystores"][0]["file"].as_str().expect("a name");
    assert!(file.ends_with("keystore-\u{fffd}.json"), "{file}");
    assert_eq!(listed["keystores"][0]["public_key"], FIRST_KEY);

    let password = keystores.join("password.txt");
    fs::write(&password, "another password").expect("written");
    let output = operator(
        data_dir.path(),
        &["keystores", "verify", "--json", "--keystores-dir", dir],
        "",
    );
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    let judged: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let file = judged["faults"][0]["file"].as_str().expect("a name");
    assert!(file.ends_with("keystore-\u{fffd}.json"), "{file}");
}
