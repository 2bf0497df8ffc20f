use sw_spec::Network;

use crate::{error::CliError, ui::Ui};

/// Show the networks that are built in.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Print a built-in network in the form that `--network-config` reads.
    Show {
        /// The network: mainnet, hoodi or gnosis.
        #[arg(value_name = "NAME")]
        network: Network,
    },
}

pub(crate) fn run(args: Args, ui: &Ui) -> Result<(), CliError> {
    let Command::Show { network } = args.command;
    ui.result(network.spec().to_toml().trim_end())
}
