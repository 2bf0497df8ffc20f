//! `cargo xtask soak`: all duties of one operator for many slots while a tenth of all calls fails; what is due happens once.

mod due;
mod faults;
mod report;
mod rotations;
mod scenario;
mod schedule;

use std::path::PathBuf;

use crate::{Failure, chaos::another_seed, shell::build_operator};

/// What may be asked of a run.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Arguments {
    /// For how many slots, of a second each in real time: as many blocks, and as many ticks of the duties.
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u64).range(40..))]
    slots: u64,
    /// What draws the schedule and the faults [default: another one in each run].
    #[arg(long)]
    seed: Option<u64>,
    /// Run this operator instead of building one.
    #[arg(long, value_name = "FILE")]
    operator: Option<PathBuf>,
    /// Print the counts alone, as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let operator = match &arguments.operator {
        Some(path) => path.canonicalize()?,
        None => build_operator()?,
    };
    let seed = arguments.seed.unwrap_or_else(another_seed);
    eprintln!("==> seed {seed}");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let report = runtime.block_on(scenario::run(&operator, seed, arguments.slots))?;
    if arguments.json {
        println!("{}", report.json());
    } else {
        println!("{}", report.text());
    }
    report.verdict()
}
