use serde_json::json;

use crate::{
    deposit_data::{DepositData, DepositDataArgs, by_entry, reasons},
    error::CliError,
    nodes::NodeArgs,
    ui::Ui,
};

/// Print the Merkle tree root of the deposit data, for upload to the vault.
///
/// The entries are checked first: signatures, withdrawal address, amount, network and duplicates; and, with nodes to
/// ask, that no validator has a deposit already. Those that the vault registered from this very root may have.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:\n  \
  operator get-validators-root --vault 0x3320...")]
pub(crate) struct Args {
    #[command(flatten)]
    data: DepositDataArgs,
    /// Do not check the entries.
    #[arg(long, conflicts_with_all = ["network", "network_config", "execution_endpoints", "consensus_endpoints"])]
    no_verify: bool,
    /// Print a JSON document.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    nodes: NodeArgs,
}

pub(crate) fn run(args: Args, ui: &Ui) -> Result<(), CliError> {
    let data = args.data.load(ui)?;
    let root = data.tree()?.root();
    let mut network = None;
    let mut asked = false;
    let mut to_upload = None;
    if !args.no_verify {
        network = data.network(ui)?;
        match &network {
            Some(network) => {
                let faults = data.faults(network, ui);
                let found = data.look_up(root, network, &args.nodes, ui)?;
                asked = found.is_some();
                let uploaded = found.as_ref().and_then(|found| found.uploaded);
                to_upload = uploaded
                    .filter(|uploaded| !uploaded.is_this)
                    .map(|uploaded| uploaded.to_upload(root, data.vault, network));
                let reasons = reasons(&faults, found.as_ref(), data.vault);
                if !reasons.is_empty() {
                    return Err(refused(&data, data.must_not_be_used(network), &by_entry(&reasons)));
                }
            }
            None if args.nodes.any() => return Err(data.network_unknown()),
            None => ui.warn(
                "the entries were not checked: neither the vault's config.json nor the entries tell the network; name it \
                 with `--network`",
            ),
        }
    }
    if !args.json {
        ui.result(format_args!(
            "The validator deposit data Merkle tree root: {}",
            ui.strong(root)
        ))?;
        if let Some(to_upload) = to_upload {
            ui.say(format_args!("To upload it, {to_upload}."));
        }
        return Ok(());
    }
    ui.result(json!({
        "schema": "operator.get-validators-root.v1",
        "vault": data.vault.to_string(),
        "network": network.as_ref().map(|network| network.name.as_str()),
        "deposit_data_file": data.path.display().to_string(),
        "entries": data.file.entries().len(),
        "root": root.to_string(),
        "verified": network.is_some(),
        "deposits_looked_up": asked,
    }))
}

fn refused(data: &DepositData, error: CliError, lines: &[String]) -> CliError {
    let more = lines.len().saturating_sub(MOST_ENTRIES);
    let mut error = lines.iter().take(MOST_ENTRIES).fold(error, CliError::cause);
    if more > 0 {
        error = error
            .cause(format_args!("{more} more of the {} entries", data.file.entries().len()))
            .hint("`operator deposit-data verify` lists every fault of every entry");
    }
    error.hint("name the right file with `--deposit-data-file`, or make new keys with `operator create-keys`")
}

const MOST_ENTRIES: usize = 10;
