//! `cargo xtask kills`: a running operator is killed and stopped hundreds of times, at any moment and at chosen ones.

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

/// What the tests count.
const COUNTS: [&str; 3] = ["kills", "stops", "registered"];
/// What must be none of it.
const NONE_OF: [&str; 3] = ["duplicates", "lost", "violations"];

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let begun = Instant::now();
    eprintln!("building the operator as it is shipped (minutes the first time)");
    let mut command = cargo(&["test", "--release", "--package", "operator", "--test", "kills"]);
    command.args(["--", "--nocapture"]).env("KILLS_FULL", "1");
    let (status, sweeps) = counted(&mut command, "kills: ")?;
    let sum = |name: &str| -> u64 { sweeps.iter().filter_map(|sweep| sweep.get(name)?.as_u64()).sum() };
    let mut totals = Map::new();
    for name in COUNTS.iter().chain(&NONE_OF) {
        totals.insert((*name).to_owned(), json!(sum(name)));
    }
    totals.insert("seconds".to_owned(), json!(begun.elapsed().as_secs()));
    if arguments.json {
        println!("{}", Value::Object(totals.clone()));
    } else {
        for (name, value) in &totals {
            println!("{name:<16} {value:>8}");
        }
    }
    if status.success() && sum("kills") > 0 && NONE_OF.iter().all(|name| sum(name) == 0) {
        Ok(())
    } else {
        Err(format!("the kills ended with {status}").into())
    }
}
