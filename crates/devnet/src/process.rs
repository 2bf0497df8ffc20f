//! Child processes that never outlive this one.

use std::{
    ffi::OsStr,
    fs::File,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::{Child, ChildStdin, ChildStdout, Command},
    task::JoinSet,
};

/// A program that could not be run or did not say what was waited for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProcessError {
    /// The log file that would take its output cannot be written.
    #[error("cannot write the log `{}`", .path.display())]
    Log {
        /// The log file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It could not be started.
    #[error("cannot start `{program}`")]
    Start {
        /// The program.
        program: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It ended with an error.
    #[error("`{program}` failed ({status}): {log}")]
    Failed {
        /// The program.
        program: String,
        /// How it ended.
        status: ExitStatus,
        /// The end of what it wrote.
        log: String,
    },
    /// It did not end.
    #[error("`{program}` did not finish within {seconds} s and was stopped")]
    TimedOut {
        /// The program.
        program: String,
        /// How long it was waited for.
        seconds: u64,
    },
    /// It ended, or went on without a word, before it was ready.
    #[error("`{program}` did not become ready within {seconds} s: {log}")]
    NotReady {
        /// The program.
        program: String,
        /// How long it was waited for.
        seconds: u64,
        /// The end of what it wrote.
        log: String,
    },
}

/// How long the watchdog may take; it takes milliseconds.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// Runs the program given as arguments, and kills it when standard input ends: the pipe closes with this process,
/// however this process ends.
const WATCHDOG: &str = r#"exec 3<&0; "$@" 3<&- </dev/null & child=$!
( while read -r _ <&3; do :; done; kill -9 "$child" 2>/dev/null ) & watch=$!
exec 3<&-; wait "$child"; code=$?; kill -9 "$watch" 2>/dev/null; exit "$code""#;

/// A child process in a group of its own, killed by a watchdog when this is dropped or when this process ends.
#[derive(Debug)]
pub struct GuardedProcess {
    child: Child,
    group: Option<Pid>,
    /// The watchdog's standard input.
    alive: Option<ChildStdin>,
    _drain: JoinSet<()>,
}

impl GuardedProcess {
    /// Starts `program` and waits until `ready` finds what it looks for in a line of its standard output.
    ///
    /// Standard error goes to the file `log`.
    ///
    /// # Errors
    ///
    /// The program cannot be started, ends, or is not ready within `timeout`.
    pub async fn spawn<T>(
        program: &Path,
        arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
        log: &Path,
        timeout: Duration,
        ready: impl Fn(&str) -> Option<T>,
    ) -> Result<(Self, T), ProcessError> {
        let stderr = File::create(log).map_err(|source| ProcessError::Log {
            path: log.to_owned(),
            source,
        })?;
        let name = program
            .file_name()
            .unwrap_or(program.as_os_str())
            .to_string_lossy()
            .into_owned();
        let mut child = Command::new("sh")
            .arg("-c")
            .arg(WATCHDOG)
            .arg("watchdog")
            .arg(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .process_group(0)
            .spawn()
            .map_err(|source| ProcessError::Start {
                program: name.clone(),
                source,
            })?;
        let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let alive = child.stdin.take();
        let stdout = child.stdout.take();
        let mut process = Self {
            child,
            group,
            alive,
            _drain: JoinSet::new(),
        };
        let mut heard = String::new();
        let found = match stdout {
            Some(stdout) => {
                let mut lines = BufReader::new(stdout).lines();
                let found = tokio::time::timeout(timeout, first_match(&mut lines, &ready, &mut heard)).await;
                process
                    ._drain
                    .spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
                found.unwrap_or(None)
            }
            None => None,
        };
        match found {
            Some(found) => Ok((process, found)),
            None => {
                let said = std::fs::read_to_string(log).unwrap_or_default();
                let log = tail(&format!("{heard}{said}"));
                Err(ProcessError::NotReady {
                    program: name,
                    seconds: timeout.as_secs(),
                    log,
                })
            }
        }
    }

    /// Whether the program still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Kills the program and waits until it is gone.
    pub async fn stop(mut self) -> Option<ExitStatus> {
        drop(self.alive.take());
        tokio::time::timeout(STOP_TIMEOUT, self.child.wait()).await.ok()?.ok()
    }
}

impl Drop for GuardedProcess {
    /// Lets the watchdog kill the program, so that it is also reaped; kills all of the group if that takes too long.
    fn drop(&mut self) {
        drop(self.alive.take());
        let begun = Instant::now();
        while self.is_running() {
            if begun.elapsed() > STOP_TIMEOUT {
                if let Some(group) = self.group {
                    let _already_gone = kill_process_group(group, Signal::KILL);
                }
                return;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// Runs a program to its end with `input`, and returns what it wrote to standard output.
///
/// # Errors
///
/// It cannot be started, fails, or does not end within `timeout`.
pub async fn run(
    program: &str,
    arguments: &[&OsStr],
    directory: &Path,
    input: Vec<u8>,
    timeout: Duration,
) -> Result<Vec<u8>, ProcessError> {
    let start = |source| ProcessError::Start {
        program: program.to_owned(),
        source,
    };
    let mut child = Command::new(program)
        .args(arguments)
        .current_dir(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(start)?;
    let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    let stdin = child.stdin.take();
    let write = async move {
        if let Some(mut stdin) = stdin {
            // A program that ends without reading says why on its standard error.
            let _broken_pipe = stdin.write_all(&input).await;
        }
    };
    let both = async { tokio::join!(write, child.wait_with_output()).1 };
    let Ok(output) = tokio::time::timeout(timeout, both).await else {
        if let Some(group) = group {
            let _already_gone = kill_process_group(group, Signal::KILL);
        }
        return Err(ProcessError::TimedOut {
            program: program.to_owned(),
            seconds: timeout.as_secs(),
        });
    };
    let output = output.map_err(start)?;
    match output.status.success() {
        true => Ok(output.stdout),
        false => Err(ProcessError::Failed {
            program: program.to_owned(),
            status: output.status,
            log: tail(&String::from_utf8_lossy(&output.stderr)),
        }),
    }
}

/// The last lines of a log, for an error message.
pub(crate) fn tail(log: &str) -> String {
    let lines: Vec<&str> = log
        .lines()
        .rev()
        .filter(|line| !line.trim().is_empty())
        .take(12)
        .collect();
    match lines.is_empty() {
        true => "it wrote nothing".to_owned(),
        false => lines.into_iter().rev().collect::<Vec<_>>().join("\n"),
    }
}

async fn first_match<T>(
    lines: &mut tokio::io::Lines<BufReader<ChildStdout>>,
    ready: &impl Fn(&str) -> Option<T>,
    heard: &mut String,
) -> Option<T> {
    while let Ok(Some(line)) = lines.next_line().await {
        if let Some(found) = ready(&line) {
            return Some(found);
        }
        heard.push_str(&line);
        heard.push('\n');
    }
    None
}
