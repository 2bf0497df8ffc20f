//! `cargo xtask crash`: every command that makes keys, killed and refused at every call that touches the disk.

use std::time::Instant;

use serde_json::{Map, Value, json};

use crate::{
    Failure,
    shell::{cargo, counted},
};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Print the totals alone, as JSON.
    #[arg(long)]
    json: bool,
}

/// What the crash tests count, and what must be none of it.
const NONE_OF: [&str; 8] = [
    "lost",
    "duplicate",
    "torn",
    "leftovers",
    "open",
    "manual_steps",
    "unnamed_errors",
    "changed",
];

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let begun = Instant::now();
    eprintln!("building the operator as it is shipped (minutes the first time)");
    let mut command = cargo(&["test", "--release", "--package", "operator", "--test", "crash"]);
    command.args(["--", "--nocapture"]).env("CRASH_FULL", "1");
    let (status, sweeps) = counted(&mut command, "crash: ")?;
    let sum = |name: &str| -> u64 { sweeps.iter().filter_map(|sweep| sweep.get(name)?.as_u64()).sum() };
    let mut totals = Map::new();
    totals.insert("runs".to_owned(), json!(sum("runs")));
    totals.insert("states".to_owned(), json!(sum("states")));
    for name in NONE_OF {
        totals.insert(name.to_owned(), json!(sum(name)));
    }
    totals.insert("seconds".to_owned(), json!(begun.elapsed().as_secs()));
    if arguments.json {
        println!("{}", Value::Object(totals.clone()));
    } else {
        for (name, value) in &totals {
            println!("{name:<16} {value:>8}");
        }
    }
    if status.success() && sum("runs") > 0 && NONE_OF.iter().all(|name| sum(name) == 0) {
        Ok(())
    } else {
        Err(format!("the crash tests ended with {status}").into())
    }
}
