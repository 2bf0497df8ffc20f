//! The person at the terminal: runs a built operator the way its user would, and watches what it says.

use std::{
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader},
    process::{Child, Command},
    sync::Notify,
    task::JoinHandle,
};

use crate::Devnet;

/// What a person ran into.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PersonError {
    /// The operator could not be run at all.
    #[error("cannot run {}", binary.display())]
    Spawn {
        /// The operator.
        binary: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// A command failed.
    #[error("`operator {command}` ended with {status}:\n{said}")]
    Failed {
        /// What was typed.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// What it said on standard error.
        said: String,
    },
    /// The operator did not say what it should have.
    #[error("the operator did not say `{wanted}` within {} s; it said:\n{said}", within.as_secs())]
    Silent {
        /// What was waited for.
        wanted: String,
        /// How long.
        within: Duration,
        /// What it said instead.
        said: String,
    },
    /// It did not stop when told to.
    #[error("the operator did not stop within {} s of SIGTERM", within.as_secs())]
    Deaf {
        /// How long it was given.
        within: Duration,
    },
}

/// What a command answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The exit status.
    pub status: ExitStatus,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub said: String,
}

/// Somebody with a built operator, a data directory and a vault.
#[derive(Debug, Clone)]
pub struct Person {
    /// The operator.
    pub binary: PathBuf,
    /// `--data-dir`.
    pub data_dir: PathBuf,
    /// `--vault`.
    pub vault: String,
    /// Environment of every command, beyond an otherwise empty one.
    pub environment: Vec<(String, String)>,
}

impl Person {
    /// A person on this network.
    pub fn new(binary: &Path, data_dir: &Path, vault: String, devnet: &Devnet) -> Self {
        let variable = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        Self {
            binary: binary.to_owned(),
            data_dir: data_dir.to_owned(),
            vault,
            environment: vec![
                variable("EXECUTION_ENDPOINTS", devnet.execution_url()),
                variable("CONSENSUS_ENDPOINTS", devnet.consensus_url()),
                variable("IPFS_FETCH_ENDPOINTS", devnet.ipfs_url()),
                variable("DATA_DIR", &data_dir.display().to_string()),
            ],
        }
    }

    /// The directory of the vault.
    pub fn vault_dir(&self) -> PathBuf {
        self.data_dir.join(self.vault.to_lowercase())
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command
            .args(arguments)
            .env_clear()
            .envs(self.environment.iter().cloned())
            .kill_on_drop(true);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs a command to its end, with `typed` on its standard input.
    ///
    /// # Errors
    ///
    /// It cannot be run. A command that fails is an answer.
    pub async fn run(&self, arguments: &[&str], typed: &str) -> Result<Answer, PersonError> {
        let spawn = |source| PersonError::Spawn {
            binary: self.binary.clone(),
            source,
        };
        let mut child = self.command(arguments).spawn().map_err(spawn)?;
        if let Some(mut input) = child.stdin.take() {
            // A command that reads nothing may have ended already.
            let _ = input.write_all(typed.as_bytes()).await;
        }
        let output = child.wait_with_output().await.map_err(spawn)?;
        Ok(Answer {
            status: output.status,
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            said: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Runs a command that must succeed, and returns its standard output.
    ///
    /// # Errors
    ///
    /// It cannot be run, or it failed.
    pub async fn succeed(&self, arguments: &[&str], typed: &str) -> Result<String, PersonError> {
        let answer = self.run(arguments, typed).await?;
        if answer.status.success() {
            return Ok(answer.out);
        }
        Err(PersonError::Failed {
            command: arguments.join(" "),
            status: answer.status,
            said: answer.said,
        })
    }

    /// `init`, without the confirmation: returns the mnemonic.
    pub async fn init(&self, network_file: &Path) -> Result<String, PersonError> {
        let network_file = network_file.display().to_string();
        let arguments = [
            "init",
            "--network-config",
            &network_file,
            "--vault",
            &self.vault,
            "--language",
            "english",
            "--no-verify",
        ];
        Ok(self.succeed(&arguments, "").await?.trim().to_owned())
    }

    /// `create-keys`, with the mnemonic on standard input.
    pub async fn create_keys(&self, mnemonic: &str, count: usize) -> Result<String, PersonError> {
        let count = count.to_string();
        let arguments = [
            "create-keys",
            "--vault",
            &self.vault,
            "--count",
            &count,
            "--mnemonic-file",
            "-",
        ];
        self.succeed(&arguments, mnemonic).await
    }

    /// `create-wallet`, with the mnemonic on standard input: returns the wallet's address.
    pub async fn create_wallet(&self, mnemonic: &str) -> Result<String, PersonError> {
        let said = self
            .succeed(
                &["create-wallet", "--vault", &self.vault, "--mnemonic-file", "-"],
                mnemonic,
            )
            .await?;
        Ok(last_hex(&said))
    }

    /// `get-validators-root`.
    pub async fn validators_root(&self) -> Result<String, PersonError> {
        Ok(last_hex(
            &self
                .succeed(&["get-validators-root", "--vault", &self.vault], "")
                .await?,
        ))
    }

    /// `recover`, with the mnemonic on standard input and without questions, on the devnet that `network_file` describes.
    ///
    /// # Errors
    ///
    /// It cannot be run. A recovery that is refused is an answer.
    pub async fn recover(&self, mnemonic: &str, network_file: &Path, more: &[&str]) -> Result<Answer, PersonError> {
        let network_file = network_file.display().to_string();
        let arguments: Vec<&str> = [
            "recover",
            "--vault",
            &self.vault,
            "--network-config",
            &network_file,
            "--mnemonic-file",
            "-",
            "--no-confirm",
        ]
        .into_iter()
        .chain(more.iter().copied())
        .collect();
        self.run(&arguments, mnemonic).await
    }

    /// `start`, in the background.
    ///
    /// # Errors
    ///
    /// It cannot be run.
    pub fn start(&self, arguments: &[&str]) -> Result<RunningOperator, PersonError> {
        let all: Vec<&str> = ["start", "--vault", &self.vault]
            .into_iter()
            .chain(arguments.iter().copied())
            .collect();
        let mut child = self
            .command(&all)
            .stdin(Stdio::null())
            .spawn()
            .map_err(|source| PersonError::Spawn {
                binary: self.binary.clone(),
                source,
            })?;
        let said = Arc::new(Said::default());
        let mut readers = Vec::new();
        if let Some(out) = child.stdout.take() {
            readers.push(listen(out, Arc::clone(&said)));
        }
        if let Some(err) = child.stderr.take() {
            readers.push(listen(err, Arc::clone(&said)));
        }
        Ok(RunningOperator { child, said, readers })
    }
}

/// The last `0x...` word of a text.
fn last_hex(text: &str) -> String {
    let mut words = text.split(|character: char| !character.is_ascii_alphanumeric());
    words
        .rfind(|word| word.starts_with("0x"))
        .unwrap_or_default()
        .to_owned()
}

#[derive(Debug, Default)]
struct Said {
    lines: Mutex<Vec<String>>,
    news: Notify,
}

#[expect(clippy::disallowed_methods, reason = "a reader lives as long as the pipe it drains")]
fn listen(pipe: impl AsyncRead + Unpin + Send + 'static, said: Arc<Said>) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut lines = BufReader::new(pipe).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            said.lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            said.news.notify_waiters();
        }
    })
}

/// An operator that was started. It is killed when this is dropped.
#[derive(Debug)]
pub struct RunningOperator {
    child: Child,
    said: Arc<Said>,
    readers: Vec<JoinHandle<()>>,
}

impl RunningOperator {
    /// Everything it said so far.
    pub fn log(&self) -> String {
        self.said
            .lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .join("\n")
    }

    /// How many lines it said so far: a mark for [`RunningOperator::says_since`].
    pub fn lines(&self) -> usize {
        self.said.lines.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// The process id, while it runs.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits until a line contains `wanted`, and returns it.
    ///
    /// # Errors
    ///
    /// It ended or stayed silent.
    pub async fn says(&self, wanted: &str, within: Duration) -> Result<String, PersonError> {
        self.says_since(0, wanted, within).await
    }

    /// Waits until a line after the first `mark` contains `wanted`, and returns it.
    ///
    /// # Errors
    ///
    /// It ended or stayed silent.
    pub async fn says_since(&self, mark: usize, wanted: &str, within: Duration) -> Result<String, PersonError> {
        let found = async {
            loop {
                let news = self.said.news.notified();
                let line = {
                    let lines = self.said.lines.lock().unwrap_or_else(PoisonError::into_inner);
                    let mut since = lines.iter().skip(mark);
                    since.find(|line| line.contains(wanted)).cloned()
                };
                match line {
                    Some(line) => return line,
                    None => news.await,
                }
            }
        };
        tokio::time::timeout(within, found)
            .await
            .map_err(|_| PersonError::Silent {
                wanted: wanted.to_owned(),
                within,
                said: self.log(),
            })
    }

    /// Waits for its end.
    ///
    /// # Errors
    ///
    /// It does not end within the time.
    pub async fn ends(&mut self, within: Duration) -> Result<ExitStatus, PersonError> {
        let status = tokio::time::timeout(within, self.child.wait()).await;
        let status = status.ok().and_then(Result::ok).ok_or(PersonError::Deaf { within })?;
        for reader in self.readers.drain(..) {
            let _ = reader.await;
        }
        Ok(status)
    }

    /// Sends SIGKILL and waits until it is gone.
    ///
    /// # Errors
    ///
    /// It is not gone within a moment.
    pub async fn kill(&mut self) -> Result<ExitStatus, PersonError> {
        // One that has ended already need not be killed.
        let _ = self.child.start_kill();
        self.ends(GONE_WITHIN).await
    }

    /// Sends SIGTERM and waits for the end.
    ///
    /// # Errors
    ///
    /// It does not stop within the time.
    pub async fn stop(&mut self, within: Duration) -> Result<ExitStatus, PersonError> {
        if let Some(pid) = self
            .child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(rustix::process::Pid::from_raw)
        {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        self.ends(within).await
    }
}

/// The kernel takes no longer to end a process.
const GONE_WITHIN: Duration = Duration::from_secs(10);
