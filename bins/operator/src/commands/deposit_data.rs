mod report;

use self::report::{Keystores, Report};
use crate::{
    deposit_data::{DepositDataArgs, reasons},
    error::CliError,
    nodes::NodeArgs,
    ui::Ui,
};

/// Look into deposit data.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Verify(VerifyArgs),
}

/// Check every entry of a deposit data file, and say all that is wrong with it.
///
/// Checks the signatures, withdrawal address, amount, network, roots and duplicates, and compares the entries with the
/// keystores of the vault. With nodes to ask, it looks for validators that have a deposit already, and for the root that
/// the vault holds. Ends with exit code 1 when the file must not be used.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:\n  \
  operator deposit-data verify --vault 0x3320...\n  \
  operator deposit-data verify --vault 0x3320... --deposit-data-file merged.json\n  \
  operator deposit-data verify --execution-endpoints http://localhost:8545")]
struct VerifyArgs {
    #[command(flatten)]
    data: DepositDataArgs,
    /// Print a JSON document.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    nodes: NodeArgs,
}

pub(crate) fn run(args: Args, ui: &Ui) -> Result<(), CliError> {
    let Command::Verify(args) = args.command;
    let data = args.data.load(ui)?;
    let root = data.tree()?.root();
    let network = data.network(ui)?.ok_or_else(|| data.network_unknown())?;
    let faults = data.faults(&network, ui);
    let keystores = Keystores::compare(&data);
    let found = data.look_up(root, &network, &args.nodes, ui)?;
    let report = Report {
        reasons: reasons(&faults, found.as_ref(), data.vault),
        data,
        network,
        root,
        keystores,
        found,
    };
    if args.json {
        ui.result(report.to_json())?;
    } else {
        report.print(ui)?;
    }
    report.verdict()
}
