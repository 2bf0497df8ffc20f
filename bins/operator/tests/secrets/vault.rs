//! A vault that was initialized with the planted phrase, and commands that work on it.

use std::{
    fs,
    io::Write,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use sw_keys::{Mnemonic, ValidatorKeys};

use crate::planted::PHRASE;

pub(crate) const VAULT: &str = "0x3320ad928c20187602a2b2c04eeaa813fa899468";

pub(crate) struct Vault {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) temporary: tempfile::TempDir,
}

impl Vault {
    pub(crate) fn new() -> Self {
        let vault = Self {
            dir: tempfile::tempdir().unwrap(),
            temporary: tempfile::tempdir().unwrap(),
        };
        let keys = ValidatorKeys::new(&Mnemonic::parse(PHRASE).unwrap().to_seed());
        let config = format!(
            r#"{{"network": "mainnet", "mnemonic_next_index": 0, "first_public_key": "{}"}}"#,
            keys.key(0).public_key().to_bytes()
        );
        fs::create_dir(vault.path("")).unwrap();
        fs::write(vault.path("config.json"), config).unwrap();
        vault
    }

    /// A file of the vault.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(VAULT).join(name)
    }

    /// Writes a secret to a file of its own, outside the vault.
    pub(crate) fn secret_file(&self, content: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(content.as_bytes()).unwrap();
        assert_eq!(file.as_file().metadata().unwrap().permissions().mode() & 0o077, 0);
        file
    }

    pub(crate) fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(arguments);
        for name in ["MNEMONIC_FILE", "NETWORK_CONFIG", "POOL_SIZE", "CONCURRENCY"] {
            command.env_remove(name);
        }
        command
            .env("DATA_DIR", self.dir.path())
            .env("TMPDIR", self.temporary.path());
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub(crate) fn spawn(&self, arguments: &[&str]) -> Child {
        self.command(env!("CARGO_BIN_EXE_operator"), arguments).spawn().unwrap()
    }

    pub(crate) fn run(&self, arguments: &[&str], answers: &str) -> Output {
        let mut child = self.spawn(arguments);
        // A command that does not ask may be gone before it is answered.
        let _ = child.stdin.take().unwrap().write_all(answers.as_bytes());
        child.wait_with_output().unwrap()
    }
}

/// All files below a directory.
pub(crate) fn files_below(root: &Path) -> Vec<PathBuf> {
    let (mut files, mut directories) = (Vec::new(), vec![root.to_owned()]);
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else {
                files.push(path);
            }
        }
    }
    files
}
