//! `cargo xtask fuzz`: every parser of what comes from outside, with a million inputs each.

use crate::{
    Failure,
    shell::{cargo, succeed},
};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How many inputs each target gets.
    #[arg(long, default_value_t = 1_000_000)]
    inputs: u32,
    /// Only this target; may be given several times.
    #[arg(long)]
    target: Vec<String>,
    /// The same seed makes the same inputs.
    #[arg(long, default_value_t = 4)]
    seed: u64,
    /// Print the totals as JSON.
    #[arg(long)]
    json: bool,
}

/// The fuzzer has a process of its own: it counts what is allocated there.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    eprintln!("building the parsers, optimised and with overflow checks (minutes the first time)");
    let mut command = cargo(&["run", "--quiet", "--profile", "fuzz", "--package", "sw-fuzz", "--"]);
    command.args([
        "--inputs",
        &arguments.inputs.to_string(),
        "--seed",
        &arguments.seed.to_string(),
    ]);
    for target in &arguments.target {
        command.args(["--target", target]);
    }
    if arguments.json {
        command.arg("--json");
    }
    succeed(&mut command)
}
