//! The `operator` binary: parse, run, report.

mod commands;
mod config;
mod error;
mod host;
mod keystores;
mod logging;
mod mnemonic;
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
    host::keep_memory_private();
    report_panics();
    catch_unwind(AssertUnwindSafe(run)).unwrap_or(ExitCode::from(error::BUG))
}

fn run() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().collect();
    if let Err(error) = config::load_env_file(&args) {
        return error.report(&Ui::plain());
    }
    let cli = commands::parse(args);
    let ui = Ui::new(cli.global.color);
    commands::run(cli, &ui).unwrap_or_else(|error| error.report(&ui))
}
