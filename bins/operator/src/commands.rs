//! The command line: one file a command.

mod create_keys;
mod create_wallet;
mod deposit_data;
mod get_validators_root;
mod init;
mod keystores;
mod merge_deposit_data;
mod network;
mod recover;
pub(crate) mod start;
mod validators_exit;

use std::{
    env,
    ffi::{OsStr, OsString},
    path::PathBuf,
    process::ExitCode,
};

use clap::{
    ArgAction, CommandFactory, FromArgMatches, Parser, Subcommand,
    builder::{BoolishValueParser, Resettable},
};

use crate::{
    error::CliError,
    ui::{ColorWhen, Ui},
};

/// Runs the validators of a StakeWise vault.
///
/// Makes validator keys, deposit data and a hot wallet, and registers validators when the vault has the assets for
/// them. Questions that no option answers are asked; without a terminal the answers are read from standard input, a
/// line each, in the order in which a terminal would be asked.
#[derive(Debug, Parser)]
#[command(
    name = "operator",
    display_name = "StakeWise operator,",
    version = concat!("version ", env!("CARGO_PKG_VERSION")),
    max_term_width = 80,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "A new vault, in order:\n  \
        operator init\n  \
        operator create-keys\n  \
        operator create-wallet\n  \
        operator get-validators-root\n  \
        operator start\n\n\
        Exit codes: 0 done, 1 failed, 2 wrong usage, 4 a secret was refused,\n\
        6 refused for safety, 7 partly done, 70 a bug,\n\
        130 and 143 stopped by a signal."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Say more of what is done.
    #[arg(short, long, global = true, env = "VERBOSE", action = ArgAction::SetTrue, value_parser = BoolishValueParser::new())]
    pub(crate) verbose: bool,
    /// Use colour on a terminal (auto, unless NO_COLOR is set), always or never.
    #[arg(
        long,
        global = true,
        value_enum,
        hide_possible_values = true,
        value_name = "WHEN",
        default_value = "auto"
    )]
    pub(crate) color: ColorWhen,
    /// Read environment variables from this file first; those that are set already win.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) env_file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    Init(init::Args),
    CreateKeys(create_keys::Args),
    CreateWallet(create_wallet::Args),
    GetValidatorsRoot(get_validators_root::Args),
    Keystores(keystores::Args),
    MergeDepositData(merge_deposit_data::Args),
    DepositData(deposit_data::Args),
    Recover(Box<recover::Args>),
    #[command(alias = "start-local")]
    Start(Box<start::Args>),
    ValidatorsExit(Box<validators_exit::Args>),
    Network(network::Args),
}

/// Reads the command line and the environment; help and wrong usage end the process here.
pub(crate) fn parse(args: Vec<OsString>) -> Cli {
    let matches = without_empty_variables(Cli::command()).get_matches_from(args);
    Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

/// A variable that is set to nothing, as in the lines of an unfinished `.env` file, counts as not set.
fn without_empty_variables(command: clap::Command) -> clap::Command {
    let is_empty = |name: &OsStr| env::var_os(name).is_some_and(|value| value.is_empty());
    command
        .mut_args(|arg| {
            if arg.get_env().is_some_and(is_empty) {
                arg.env(Resettable::Reset)
            } else {
                arg
            }
        })
        .mut_subcommands(without_empty_variables)
}

/// Runs the command that was asked for.
pub(crate) fn run(cli: Cli, ui: &Ui) -> Result<ExitCode, CliError> {
    match cli.command {
        Command::Init(args) => init::run(args, ui),
        Command::CreateKeys(args) => create_keys::run(args, ui),
        Command::CreateWallet(args) => create_wallet::run(args, ui),
        Command::GetValidatorsRoot(args) => get_validators_root::run(args, ui),
        Command::Keystores(args) => keystores::run(args, ui),
        Command::MergeDepositData(args) => merge_deposit_data::run(&args, ui),
        Command::DepositData(args) => deposit_data::run(args, ui),
        Command::Recover(args) => recover::run(*args, ui),
        Command::Start(args) => return start::run(*args, cli.global.verbose, ui),
        Command::ValidatorsExit(args) => validators_exit::run(*args, ui),
        Command::Network(args) => network::run(args, ui),
    }
    .map(|()| ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
