//! A vault's directory and the shipped program at work on it.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::{Value, json};
use tempfile::TempDir;

pub const VAULT: &str = "0x3320ad928c20187602a2b2c04eeaa813fa899468";
pub const PHRASE: &str = "legal winner thank year wave sausage worth useful legal winner thank yellow";

pub struct Vault {
    data_dir: TempDir,
}

impl Vault {
    /// A data directory without a vault.
    pub fn nowhere() -> Self {
        let data_dir = tempfile::tempdir().unwrap();
        Self { data_dir }
    }

    /// A vault as `operator init` leaves it, for a phrase that another tool derived the first key of.
    pub fn of(first_public_key: &str, network: &str) -> Self {
        let vault = Self::nowhere();
        fs::create_dir(vault.root()).unwrap();
        let config = format!(
            r#"{{"network": "{network}", "mnemonic_next_index": 0, "first_public_key": "0x{first_public_key}"}}"#
        );
        fs::write(vault.root().join("config.json"), config).unwrap();
        vault
    }

    pub fn root(&self) -> PathBuf {
        self.data_dir.path().join(VAULT)
    }

    /// Runs a command that must succeed, with the mnemonic or nothing on standard input, and returns what it printed.
    pub fn operator(&self, arguments: &[&str], input: &str) -> String {
        let mut child = Command::new(env!("CARGO_BIN_EXE_operator"))
            .args(arguments)
            .args(["--vault", VAULT])
            .env("DATA_DIR", self.data_dir.path())
            .env_remove("MNEMONIC_FILE")
            .env_remove("NETWORK_CONFIG")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A command that does not read may be gone before it is written to.
        let _broken_pipe = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Makes keys with the mnemonic on standard input.
    pub fn create_keys(&self, count: u32, flags: &[&str], phrase: &str) {
        let count = count.to_string();
        let arguments = ["create-keys", "--mnemonic-file", "-", "--count", &count];
        self.operator(&[&arguments[..], flags].concat(), phrase);
    }

    /// Has all keystores of a directory opened, of which there are `count`.
    pub fn verify_keystores(&self, directory: &Path, count: usize) {
        let directory = directory.to_str().unwrap();
        let report = self.operator(&["keystores", "verify", "--json", "--keystores-dir", directory], "");
        let mut report: Value = serde_json::from_str(&report).unwrap();
        let found = json!({
            "keystores": report["keystores"].take(), "opened": report["opened"].take(), "faults": report["faults"].take()
        });
        assert_eq!(found, json!({"keystores": count, "opened": count, "faults": []}));
    }

    /// The keystores with their passwords, by name.
    pub fn keystores(&self) -> Vec<(String, String)> {
        let directory = self.root().join("keystores");
        let mut paths: Vec<PathBuf> = fs::read_dir(&directory)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        paths.sort();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
        let with_password = |path: &PathBuf| {
            let own = path.with_extension("txt");
            let password = if own.exists() {
                own
            } else {
                directory.join("password.txt")
            };
            (read(path), read(&password))
        };
        paths.iter().map(with_password).collect()
    }

    /// The entries of the deposit data.
    pub fn deposits(&self) -> Vec<Value> {
        serde_json::from_str(&read(&self.root().join("deposit_data.json"))).unwrap()
    }
}

pub fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

/// A member of a JSON file.
pub fn member(json: &str, name: &str) -> String {
    let value: Value = serde_json::from_str(json).unwrap();
    sw_testkit::text(&value[name]).to_owned()
}
