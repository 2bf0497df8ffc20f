#![doc = include_str!("../README.md")]

mod input;
mod run;
mod targets;
mod typed;

pub use run::{Failure, Memory, Report, Target, Verdict, run};
pub use targets::{NAMES, target};

/// Counts what is allocated, for all that runs in a process with this crate.
#[global_allocator]
static ALLOCATED: peak_alloc::PeakAlloc = peak_alloc::PeakAlloc;
