//! What CI runs, and what a developer runs before a commit.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    time::Instant,
};

use crate::{
    Failure, fixtures, layers,
    shell::{cargo, succeed},
};

pub(crate) fn run() -> Result<(), Failure> {
    let start = Instant::now();
    step("format", start);
    succeed(&mut cargo(&["fmt", "--all", "--check"]))?;
    step("lints", start);
    succeed(&mut cargo(&[
        "clippy",
        "--quiet",
        "--workspace",
        "--all-targets",
        "--",
        "--deny",
        "warnings",
    ]))?;
    step("layers", start);
    layers::run()?;
    step("fixtures", start);
    fixtures::run()?;
    step("tests", start);
    let totals = tests(cargo(&["test", "--workspace", "--no-fail-fast"]));
    step("docs", start);
    succeed(cargo(&["doc", "--quiet", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "--deny warnings"))?;
    step("dependencies", start);
    if Command::new("cargo-deny").arg("--version").output().is_ok() {
        succeed(&mut cargo(&[
            "deny",
            "--offline",
            "check",
            "bans",
            "licenses",
            "sources",
        ]))?;
    } else {
        eprintln!("cargo-deny is not installed: its checks are left out");
    }
    let Totals {
        passed,
        failed,
        ignored,
    } = totals?;
    println!("{passed} passed, {failed} failed, {ignored} skipped");
    eprintln!("all checks passed in {} s", start.elapsed().as_secs());
    Ok(())
}

fn step(name: &str, start: Instant) {
    eprintln!("==> {name} ({} s)", start.elapsed().as_secs());
}

#[derive(Default)]
struct Totals {
    passed: u64,
    failed: u64,
    ignored: u64,
}

/// Runs the tests, shows their output, and adds up what each test binary said.
fn tests(mut command: Command) -> Result<Totals, Failure> {
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let mut totals = Totals::default();
    if let Some(output) = child.stdout.take() {
        for line in BufReader::new(output).lines() {
            let line = line?;
            println!("{line}");
            let Some(counts) = line.strip_prefix("test result: ") else {
                continue;
            };
            totals.passed += count(counts, " passed");
            totals.failed += count(counts, " failed");
            totals.ignored += count(counts, " ignored");
        }
    }
    let status = child.wait()?;
    if status.success() && totals.failed == 0 && totals.passed > 0 {
        return Ok(totals);
    }
    Err(format!("tests: {} passed, {} failed, {status}", totals.passed, totals.failed).into())
}

fn count(counts: &str, what: &str) -> u64 {
    let before = counts.split(what).next().unwrap_or_default();
    before
        .rsplit(' ')
        .next()
        .and_then(|number| number.parse().ok())
        .unwrap_or_default()
}
