//! Project tasks: `cargo xtask demo | devnet | ci | crash | kills | chaos | soak | fuzz | layers | figures | fixtures`.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a task talks to the person who runs it"
)]

mod chaos;
mod ci;
mod crash;
mod demo;
mod devnet;
mod figures;
mod fixtures;
mod fuzz;
mod kills;
mod layers;
mod shell;
mod soak;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// What every task may fail with: shown with its causes, handled by nobody.
type Failure = Box<dyn std::error::Error + Send + Sync>;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Tasks of this project")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Shows the main job on a whole network on this machine.
    Demo(demo::Arguments),
    /// Keeps such a network up, and prints how to play with it by hand.
    Devnet(devnet::Arguments),
    /// Runs every check: format, lints, layers, tests, docs.
    Ci,
    /// Kills the commands that make keys, and has their disk fail, at every call that touches it.
    Crash(crash::Arguments),
    /// Kills and stops a running operator hundreds of times, and starts it again.
    Kills(kills::Arguments),
    /// Runs a long random scenario over the whole network, and holds the invariants after each step.
    Chaos(chaos::Arguments),
    /// Runs all duties for thousands of slots while a tenth of all calls fails, and counts what happened.
    Soak(soak::Arguments),
    /// Feeds every parser of what comes from outside with mutated and random inputs.
    Fuzz(fuzz::Arguments),
    /// Proves that the crates depend on each other in one direction only.
    Layers,
    /// Measures the shipped binary against its limits.
    Figures,
    /// Checks that every test vector is documented and used, and remakes those that can be remade.
    Fixtures,
}

fn main() -> ExitCode {
    let result = match Arguments::parse().task {
        Task::Demo(arguments) => demo::run(&arguments),
        Task::Devnet(arguments) => devnet::run(&arguments),
        Task::Ci => ci::run(),
        Task::Crash(arguments) => crash::run(&arguments),
        Task::Kills(arguments) => kills::run(&arguments),
        Task::Chaos(arguments) => chaos::run(&arguments),
        Task::Soak(arguments) => soak::run(&arguments),
        Task::Fuzz(arguments) => fuzz::run(&arguments),
        Task::Layers => layers::run(),
        Task::Figures => figures::run(),
        Task::Fixtures => fixtures::run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            let mut source = failure.source();
            while let Some(cause) = source {
                eprintln!("  caused by: {cause}");
                source = cause.source();
            }
            ExitCode::FAILURE
        }
    }
}
