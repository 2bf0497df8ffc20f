//! The commands that are cut short, and the vaults they work on.

use std::{
    fs,
    io::Write,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::OnceLock,
    time::Duration,
};

use crate::strace::Fault;

/// A command, and what is there before it.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) arguments: &'static [&'static str],
    pub(crate) answers: &'static str,
    /// Commands that prepare the vault's directory, each with its answers.
    before: &'static [(&'static [&'static str], &'static str)],
    /// Whether the vault's directory is there before.
    has_directory: bool,
    /// Keys there are before.
    pub(crate) first: u32,
    /// Keys the command makes.
    pub(crate) count: u32,
}

/// Two more keys of a vault that has one.
pub(crate) const CREATE_KEYS: Scenario = Scenario {
    name: "create-keys",
    arguments: &["create-keys", "--vault", VAULT, "--count", "2", "--concurrency", "1"],
    answers: PHRASE,
    before: &[(&["create-keys", "--vault", VAULT, "--count", "1"], PHRASE)],
    has_directory: true,
    first: 1,
    count: 2,
};

/// Many files, so many orders in which they may get to the disk.
pub(crate) const CREATE_KEYS_WITH_OWN_PASSWORDS: Scenario = Scenario {
    name: "create-keys",
    arguments: &[
        "create-keys",
        "--vault",
        VAULT,
        "--count",
        "4",
        "--concurrency",
        "1",
        "--per-keystore-password",
    ],
    answers: PHRASE,
    before: &[],
    has_directory: true,
    first: 0,
    count: 4,
};

pub(crate) const CREATE_WALLET: Scenario = Scenario {
    name: "create-wallet",
    arguments: &["create-wallet", "--vault", VAULT],
    answers: PHRASE,
    before: &[],
    has_directory: true,
    first: 0,
    count: 0,
};

pub(crate) const INIT: Scenario = Scenario {
    name: "init",
    arguments: &[
        "init",
        "--no-verify",
        "--vault",
        VAULT,
        "--network",
        "hoodi",
        "--language",
        "english",
    ],
    answers: "",
    before: &[],
    has_directory: false,
    first: 0,
    count: 0,
};

/// The keys 0 and 2, of which the vault's directory has the first alone.
pub(crate) const RECOVER: Scenario = Scenario {
    name: "recover",
    arguments: &[
        "recover",
        "--vault",
        VAULT,
        "--network-config",
        NETWORK_FILE,
        "--execution-endpoints",
        EXECUTION,
        "--consensus-endpoints",
        CONSENSUS,
        "--mnemonic-file",
        "-",
        "--concurrency",
        "1",
        "--no-confirm",
    ],
    answers: PHRASE,
    before: &[(&["create-keys", "--vault", VAULT, "--count", "1"], PHRASE)],
    has_directory: true,
    first: 1,
    count: 0,
};

/// Those that need nobody else.
pub(crate) const SCENARIOS: [&Scenario; 3] = [&CREATE_KEYS, &CREATE_WALLET, &INIT];

const VAULT: &str = "0x3320ad928c20187602a2b2c04eeaa813fa899468";
/// Stand for what [`Surroundings`] say.
const NETWORK_FILE: &str = "<network file>";
const EXECUTION: &str = "<execution node>";
const CONSENSUS: &str = "<consensus node>";
const PHRASE: &str = "legal winner thank year wave sausage worth useful legal winner thank yellow\n";
const CONFIG: &str = r#"{"network": "<network>", "mnemonic_next_index": 0, "first_public_key": "0x90d317fa6a570715d34556f27f5b390a9c6b3deab4ef0092b45214e553f2302724d22324eeae418ba8b358cb108125ec"}"#;

/// The network that `recover` asks.
pub(crate) struct Surroundings {
    pub(crate) vault: String,
    pub(crate) network: String,
    pub(crate) network_file: PathBuf,
    pub(crate) execution: String,
    pub(crate) consensus: String,
}

/// Set by the test that has a network.
pub(crate) static SURROUNDINGS: OnceLock<Surroundings> = OnceLock::new();

impl Scenario {
    fn surroundings(&self) -> Option<&'static Surroundings> {
        SURROUNDINGS.get().filter(|_| self.name == "recover")
    }

    fn vault(&self) -> &'static str {
        self.surroundings().map_or(VAULT, |around| &around.vault)
    }

    pub(crate) fn network(&self) -> &'static str {
        self.surroundings().map_or("mainnet", |around| &around.network)
    }

    fn filled_in(&self, argument: &str) -> String {
        match (argument, self.surroundings()) {
            (VAULT, Some(around)) => around.vault.clone(),
            (NETWORK_FILE, Some(around)) => around.network_file.display().to_string(),
            (EXECUTION, Some(around)) => around.execution.clone(),
            (CONSENSUS, Some(around)) => around.consensus.clone(),
            (plain, _) => plain.to_owned(),
        }
    }
}

/// A data directory with the one vault.
pub(crate) struct Vault {
    pub(crate) scenario: &'static Scenario,
    pub(crate) data_dir: tempfile::TempDir,
    pub(crate) root: PathBuf,
    /// The files before the command, by their paths below the root.
    pub(crate) old: Vec<(PathBuf, Vec<u8>)>,
}

impl Vault {
    fn empty(scenario: &'static Scenario) -> Self {
        let data_dir = tempfile::tempdir().unwrap();
        let root = data_dir.path().join(scenario.vault());
        Self {
            scenario,
            data_dir,
            root,
            old: Vec::new(),
        }
    }

    /// The vault as it is before the command.
    pub(crate) fn prepared(scenario: &'static Scenario) -> Self {
        let mut vault = Self::empty(scenario);
        if scenario.has_directory {
            fs::DirBuilder::new().mode(0o700).create(&vault.root).unwrap();
            let config = CONFIG.replace("<network>", scenario.network());
            write_private(&vault.root.join("config.json"), config.as_bytes());
        }
        if let Some(around) = scenario.surroundings() {
            let text = fs::read(&around.network_file).unwrap();
            write_private(&vault.root.join("network.toml"), &text);
        }
        for (arguments, answers) in scenario.before {
            let ended = finish(vault.command(arguments, None), answers);
            assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
        }
        vault.old = crate::disk::files(&vault.root);
        vault
    }

    /// The same, elsewhere.
    pub(crate) fn copied(&self) -> Self {
        let mut copy = Self::empty(self.scenario);
        if self.root.exists() {
            crate::disk::copy(&self.root, &copy.root);
        }
        copy.old = self.old.clone();
        copy
    }

    /// A data directory with nothing in it, which is to get the same vault in another state.
    pub(crate) fn cleared(&self) -> Self {
        let mut other = Self::empty(self.scenario);
        other.old = self.old.clone();
        other
    }

    /// The operator, where files would be open to everybody by default.
    fn command(&self, arguments: &[&str], fault: Option<&Fault>) -> Command {
        let operator = env!("CARGO_BIN_EXE_operator");
        let arguments = arguments.iter().map(|argument| self.scenario.filled_in(argument));
        let mut command = Command::new("sh");
        command.args(["-c", "umask 000; exec \"$@\"", "sh"]);
        if let Some(fault) = fault {
            command.arg("strace").args(fault.options());
        }
        command.arg(operator).args(arguments);
        command.env_clear().env("DATA_DIR", self.data_dir.path());
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub(crate) fn keystores(&self) -> Vec<PathBuf> {
        let files = crate::disk::files(&self.root.join("keystores"));
        let names = files.into_iter().map(|(name, _)| name);
        let keystores = names.filter(|name| name.extension().is_some_and(|extension| extension == "json"));
        keystores.map(|name| self.root.join("keystores").join(name)).collect()
    }
}

impl Scenario {
    /// Runs the command to its end.
    pub(crate) fn run(&self, vault: &Vault) -> Output {
        self.run_with(vault, None)
    }

    /// Runs it under strace, which brings the fault about.
    pub(crate) fn run_with(&self, vault: &Vault, fault: Option<&Fault>) -> Output {
        finish(vault.command(self.arguments, fault), self.answers)
    }

    /// Runs it for so long, and kills it.
    pub(crate) fn run_for(&self, vault: &Vault, moment: Duration) {
        let mut child = start(vault.command(self.arguments, None), self.answers);
        std::thread::sleep(moment);
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

fn start(mut command: Command, answers: &str) -> Child {
    let mut child = command.spawn().unwrap();
    // A command that was killed before it asked does not read the answer.
    let _ = child.stdin.take().unwrap().write_all(answers.as_bytes());
    child
}

pub(crate) fn finish(command: Command, answers: &str) -> Output {
    start(command, answers).wait_with_output().unwrap()
}

fn write_private(path: &Path, bytes: &[u8]) {
    use std::os::unix::fs::OpenOptionsExt;
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .unwrap();
    file.write_all(bytes).unwrap();
}
