//! An operator whose calls are watched from outside, and that can be caught in the middle of one: strace.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use sw_devnet::person::{Person, RunningOperator};
use tempfile::TempDir;
use tokio::time::{Duration, Instant};

use crate::setup::PATIENCE;

/// An operator that runs under strace. Its process id is its own, not that of strace.
pub(crate) struct Traced {
    pub(crate) running: RunningOperator,
    log: PathBuf,
    _home: TempDir,
}

/// A script that runs the operator by way of `prefix`, as a person who types that would.
pub(crate) fn by_way_of(person: &Person, prefix: &str, home: &Path) -> Person {
    let script = home.join("operator");
    let text = format!("#!/bin/sh\n{prefix} {} \"$@\"\n", person.binary.display());
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let mut person = person.clone();
    person.binary = script;
    let path = std::env::var("PATH").unwrap_or_default();
    person.environment.push(("PATH".to_owned(), path));
    person
}

impl Traced {
    /// Starts the operator under strace with these options.
    pub(crate) fn start(person: &Person, options: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        let log = home.path().join("calls");
        let prefix = format!("exec strace -D -f -y -s 200 -o {} {options}", log.display());
        let running = by_way_of(person, &prefix, home.path()).start(&[]).unwrap();
        Self {
            running,
            log,
            _home: home,
        }
    }

    /// The calls so far, the one that is being made included, each as far as it has come.
    pub(crate) fn calls(&self) -> Vec<String> {
        let log = fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let line = |line: &str| {
            let call = line.split_once(' ')?.1.trim_start();
            let is_call = call.starts_with(|first: char| first.is_ascii_lowercase()) && call.contains('(');
            is_call.then(|| call.to_owned())
        };
        log.lines().filter_map(line).collect()
    }

    /// Waits until it makes a call that is wanted; strace holds it there for a moment.
    pub(crate) async fn makes(&self, wanted: impl Fn(&[String]) -> bool) -> bool {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if wanted(&self.calls()) {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        false
    }
}
