//! The `operator` binary: parse, run, report.

mod argv;
mod commands;
mod config;
mod deposit_data;
mod env_file;
mod error;
mod host;
mod jwt;
mod keystores;
mod logging;
mod mnemonic;
mod nodes;
mod places;
mod start_config;
mod ui;
mod wiring;

use std::{
    ffi::OsString,
    panic::{AssertUnwindSafe, catch_unwind},
    process::ExitCode,
};

use crate::{error::report_panics, ui::Ui};

fn main() -> ExitCode {
    // First, because a process whose memory is private may not write to it by way of `/proc`.
    let args = argv::args();
    host::keep_memory_private();
    report_panics();
    catch_unwind(AssertUnwindSafe(|| run(args))).unwrap_or(ExitCode::from(error::BUG))
}

fn run(args: Vec<OsString>) -> ExitCode {
    if let Err(error) = config::load_env_file(&args) {
        return error.report(&Ui::plain());
    }
    let cli = commands::parse(args);
    let ui = Ui::new(cli.global.color, cli.global.verbose);
    commands::run(cli, &ui).unwrap_or_else(|error| error.report(&ui))
}
