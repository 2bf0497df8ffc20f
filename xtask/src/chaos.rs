//! `cargo xtask chaos`: one long scenario over the built operator, its steps drawn by a seed, its invariants held after each.

pub(crate) mod dice;
pub(crate) mod faults;
pub(crate) mod operator;
mod report;
pub(crate) mod scenario;
pub(crate) mod secrets;
mod steps;
mod trap;
pub(crate) mod vitals;

use std::{
    path::PathBuf,
    time::{SystemTime, UNIX_EPOCH},
};

use crate::{Failure, shell::build_operator};

/// What may be asked of a run.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Arguments {
    /// What draws the steps; the same seed, the same steps [default: another one in each run].
    #[arg(long)]
    seed: Option<u64>,
    /// How many validators are paid for and must be registered.
    #[arg(long, default_value_t = 20)]
    registrations: usize,
    /// How often the operator is killed at the least.
    #[arg(long, default_value_t = 3)]
    kills: u32,
    /// Everybody behaves after so many seconds, and what is missing of the registrations is paid for then.
    #[arg(long)]
    seconds: Option<u64>,
    /// Blocks of the deepest reorganisation. Finality, without which nothing is registered, comes after more than that.
    #[arg(long, value_name = "BLOCKS", default_value_t = 32, value_parser = clap::value_parser!(u64).range(1..=64))]
    deepest_reorg: u64,
    /// No steps: about this percentage of the transactions that are sent get no reply, and one validator is registered at a time.
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u32).range(1..=50))]
    lost_replies: Option<u32>,
    /// Run this operator instead of building one.
    #[arg(long, value_name = "FILE")]
    operator: Option<PathBuf>,
    /// Print the counts alone, as JSON.
    #[arg(long)]
    json: bool,
}

impl Arguments {
    /// Without steps nobody kills it.
    fn required_kills(&self) -> u32 {
        if self.lost_replies.is_some() { 0 } else { self.kills }
    }
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
    let report = runtime.block_on(scenario::run(&operator, seed, arguments))?;
    if arguments.json {
        println!("{}", report.json());
    } else {
        println!("{}", report.text());
    }
    report.verdict(arguments)
}

pub(crate) fn another_seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::from(now.subsec_nanos()) ^ now.as_secs()
}
