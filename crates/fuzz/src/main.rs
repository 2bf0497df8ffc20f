//! Runs the targets: `cargo xtask fuzz` builds this in its own profile.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it talks to the person who runs it"
)]

use std::process::ExitCode;

use clap::Parser;
use serde_json::{Value, json};
use sw_fuzz::{NAMES, Report, run, target};

/// Feeds every parser of what comes from outside.
#[derive(Parser)]
struct Arguments {
    /// How many inputs each target gets.
    #[arg(long, default_value_t = 1_000_000)]
    inputs: u32,
    /// Only this target; may be given several times.
    #[arg(long, value_parser = NAMES)]
    target: Vec<String>,
    /// The same seed makes the same inputs.
    #[arg(long, default_value_t = 4)]
    seed: u64,
    /// Print the totals as JSON.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // A panic is told once, with the input that was made as small as it could be.
    std::panic::set_hook(Box::new(|_| {}));
    let chosen = |name: &&str| arguments.target.is_empty() || arguments.target.iter().any(|chosen| chosen == name);
    let (mut reports, mut failures) = (Vec::new(), Vec::new());
    for target in NAMES.into_iter().filter(|name| chosen(name)).filter_map(target) {
        match run(&target, arguments.inputs, arguments.seed) {
            Ok(report) => {
                eprintln!("{}", line(&report));
                reports.push(report);
            }
            Err(failure) => {
                eprintln!("{failure}");
                failures.push(json!({
                    "target": failure.target,
                    "reason": failure.reason,
                    "input": String::from_utf8_lossy(&failure.input),
                }));
            }
        }
    }
    let inputs: u64 = reports.iter().map(|report| report.inputs).sum();
    if arguments.json {
        let targets: Vec<Value> = reports.iter().map(figures).collect();
        println!(
            "{}",
            json!({ "seed": arguments.seed, "inputs": inputs, "targets": targets, "failures": failures })
        );
    } else {
        println!(
            "{} targets, {inputs} inputs, {} failures",
            reports.len(),
            failures.len()
        );
    }
    if failures.is_empty() && inputs > 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn line(report: &Report) -> String {
    format!(
        "{:<16} {:>8} inputs, {:>7} accepted, longest {:>5} bytes, most memory {:>8} bytes, slowest {:>7.2} ms, {:>6.1} s",
        report.target,
        report.inputs,
        report.accepted,
        report.longest,
        report.most_memory,
        report.slowest.as_secs_f64() * 1_000.0,
        report.took.as_secs_f64(),
    )
}

fn figures(report: &Report) -> Value {
    json!({
        "target": report.target,
        "inputs": report.inputs,
        "accepted": report.accepted,
        "longest_bytes": report.longest,
        "most_memory_bytes": report.most_memory,
        "slowest_ms": report.slowest.as_secs_f64() * 1_000.0,
        "seconds": report.took.as_secs_f64(),
    })
}
