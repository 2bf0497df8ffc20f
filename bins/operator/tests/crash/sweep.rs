//! One command over many faults.

use std::{
    fs,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::{
    disk::{self, Tree},
    report::Report,
    scenario::{Scenario, Vault},
    strace::{Call, Fault, parse},
};

/// Whether every call is taken, and not a part of them.
pub(crate) fn full() -> bool {
    std::env::var_os("CRASH_FULL").is_some_and(|value| !value.is_empty())
}

/// All calls, or every third.
pub(crate) fn thinned(calls: &[Call]) -> Vec<Call> {
    calls.iter().step_by(if full() { 1 } else { 3 }).cloned().collect()
}

pub(crate) struct Sweep {
    scenario: &'static Scenario,
    before: Vault,
    begun: Instant,
}

impl Sweep {
    pub(crate) fn begin(scenario: &'static Scenario) -> Self {
        Self {
            scenario,
            before: Vault::prepared(scenario),
            begun: Instant::now(),
        }
    }

    /// A fresh vault, as it is before the command.
    pub(crate) fn vault(&self) -> Vault {
        self.before.copied()
    }

    /// A vault in this state of its data directory.
    pub(crate) fn vault_in(&self, state: &Tree) -> Vault {
        let vault = self.before.cleared();
        disk::write(state, vault.data_dir.path());
        vault
    }

    /// What the command does to the vault's directory when nothing goes wrong.
    pub(crate) fn calls(&self) -> Vec<Call> {
        self.calls_of(&self.vault())
    }

    /// The same, of a run in this vault.
    pub(crate) fn calls_of(&self, vault: &Vault) -> Vec<Call> {
        let log = tempfile::NamedTempFile::new().unwrap();
        let ended = self.scenario.run_with(vault, Some(&Fault::none(log.path())));
        assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
        let calls = parse(&fs::read_to_string(log.path()).unwrap(), vault.data_dir.path());
        assert!(calls.len() >= 8, "{calls:?}");
        calls
    }

    /// How long the command takes.
    pub(crate) fn duration(&self) -> Duration {
        let vault = self.vault();
        let begun = Instant::now();
        assert!(self.scenario.run(&vault).status.success());
        begun.elapsed()
    }

    pub(crate) fn end(self, what: &str, report: Report) {
        report.finish(self.scenario.name, what, self.begun.elapsed());
    }
}

/// Runs cases on two threads, and adds up what they say.
pub(crate) fn in_parallel<T: Sync>(cases: &[T], run: impl Fn(&T) -> Report + Sync) -> Report {
    let next = AtomicUsize::new(0);
    let total = Mutex::new(Report::default());
    let work = || {
        while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
            let report = run(case);
            total.lock().unwrap().add(report);
        }
    };
    thread::scope(|scope| {
        let other = scope.spawn(work);
        work();
        other.join().unwrap();
    });
    total.into_inner().unwrap()
}
