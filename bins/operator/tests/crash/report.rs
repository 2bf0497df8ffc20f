//! What came of the cases.

use std::{io::Write, process::Output, time::Duration};

use crate::{
    disk::{Tree, tree},
    judge::{Finding, judge},
    scenario::Vault,
};

/// Counts of what went wrong, and where.
#[derive(Debug, Default)]
pub(crate) struct Report {
    runs: u32,
    states: u32,
    finding: Finding,
    manual_steps: u32,
    unnamed: u32,
    changed: u32,
    details: Vec<String>,
}

impl Report {
    /// Runs the same command again, which must do, and judges what is there then.
    pub(crate) fn rerun(&mut self, vault: &Vault, after: &str) {
        let ended = vault.scenario.run(vault);
        self.runs += 1;
        // A run that had come to its end before it was killed need not be repeated: `init` and `create-wallet` say so.
        let is_done = ended.status.code() == Some(6) && crate::judge::is_complete(vault);
        if !ended.status.success() && !is_done {
            self.manual_steps += 1;
            let said = String::from_utf8_lossy(&ended.stderr).into_owned();
            self.details.push(format!("{after}: run again: {said}"));
        }
        self.judged(vault, after);
    }

    /// Judges what is there.
    pub(crate) fn judged(&mut self, vault: &Vault, after: &str) {
        self.found(judge(vault), after);
    }

    pub(crate) fn found(&mut self, found: Finding, after: &str) {
        if !found.is_sound() {
            self.details.push(format!("{after}: {found:?}"));
        }
        self.finding.add(&found);
    }

    /// A run whose disk failed says what and why, and leaves what was there.
    pub(crate) fn refused(&mut self, vault: &Vault, before: &Tree, ended: &Output, reason: &str, what: &str) {
        let said = String::from_utf8_lossy(&ended.stderr);
        let code = ended.status.code();
        let why = match reason {
            "ENOSPC" => "No space left on device",
            "EIO" => "Input/output error",
            "EDQUOT" => "Disk quota exceeded",
            "EROFS" => "Read-only file system",
            "EMFILE" => "Too many open files",
            other => panic!("{other}"),
        };
        // Where there is another way, such as a copy instead of a second name, that may have been taken.
        let named = said.contains(why) && said.contains(vault.data_dir.path().to_str().unwrap());
        if code != Some(0) && !(named && matches!(code, Some(1 | 7))) {
            self.unnamed += 1;
            self.details.push(format!("{what}: exit code {code:?}: {said}"));
        }
        if code == Some(0) {
            self.judged(vault, what);
            return;
        }
        let after = tree(&vault.root);
        let decided = code == Some(7);
        for (path, bytes) in before {
            let kept = after.get(path) == Some(bytes);
            let moved_on = decided && after.values().any(|there| there == bytes);
            let superseded = decided && path.ends_with("config.json");
            if !(kept || moved_on || superseded) {
                self.changed += 1;
                self.details.push(format!("{what}: `{}` has changed", path.display()));
            }
        }
        for (path, bytes) in after.iter().filter(|(path, _)| !before.contains_key(*path)) {
            let is_leftover = bytes.is_some() && !path.ends_with(".lock") && !path.ends_with("password.txt");
            if is_leftover && !decided && !path.ends_with("network.toml") {
                self.changed += 1;
                self.details.push(format!("{what}: `{}` was left", path.display()));
            }
        }
    }

    /// A state was judged without a run.
    pub(crate) fn count_state(&mut self) {
        self.states += 1;
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.runs += other.runs;
        self.states += other.states;
        self.finding.add(&other.finding);
        self.manual_steps += other.manual_steps;
        self.unnamed += other.unnamed;
        self.changed += other.changed;
        self.details.extend(other.details);
    }

    /// Prints the totals as `cargo xtask crash` adds them up, and fails if anything was wrong.
    pub(crate) fn finish(self, command: &str, what: &str, took: Duration) {
        let Finding {
            lost,
            duplicate,
            torn,
            leftovers,
            open,
        } = self.finding;
        let states = self.states;
        let (runs, manual_steps, unnamed, changed) = (self.runs, self.manual_steps, self.unnamed, self.changed);
        // Past the capture of the test harness: the task reads it.
        let _ = writeln!(
            std::io::stderr(),
            r#"
crash: {{"command": "{command}", "what": "{what}", "runs": {runs}, "states": {states}, "lost": {lost}, "duplicate": {duplicate}, "torn": {torn}, "leftovers": {leftovers}, "open": {open}, "manual_steps": {manual_steps}, "unnamed_errors": {unnamed}, "changed": {changed}, "seconds": {}}}"#,
            took.as_secs()
        );
        let wrong = lost + duplicate + torn + leftovers + open + manual_steps + unnamed + changed;
        assert_eq!(wrong, 0, "{command}, {what}:\n{}", self.details.join("\n"));
        assert!(runs + states > 0);
    }
}
