//! `operator validators-exit`.

mod chain;
mod plan;
mod report;
mod send;
mod words;

use std::{collections::BTreeSet, num::NonZeroUsize, path::PathBuf};

use sw_key_ops::{Choice, KeystoreKeys, choose_exits};
use sw_signers::LocalSigner;
use sw_spec::{PublicKeyBytes, RedactedUrl};
use sw_vault_dir::KeystoreIndex;

use self::{chain::Chain, plan::Plan, report::Report};
use crate::{
    config::{EndpointParser, VaultArgs},
    error::{CliError, Kind},
    keystores::{KeystoreArgs, OpeningArgs},
    nodes,
    start_config::NetworkChoice,
    ui::Ui,
};

/// Have validators leave the beacon chain, with exits that their keys sign.
///
/// Costs no gas. A validator that leaves does not come back: its stake is paid out to the vault. Only validators that are active,
/// for long enough, and whose stake goes to the vault are exited; the others are named with the reason. Run it again for what is
/// left: a validator that exits already is left out.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Asks, in this order: consensus endpoints, vault; then whether to go on.\n\n\
Exit codes: 0 all of them exit, or there is nothing to do; 1 none does;\n\
7 some do, or it is not known. With --json each validator's outcome is in the document.\n\n\
Examples:\n  \
  operator validators-exit --vault 0x3320... --dry-run\n  \
  operator validators-exit --vault 0x3320... --count 1\n  \
  operator validators-exit --vault 0x3320... --indexes 513571,513572\n  \
  operator validators-exit --vault 0x3320... --output drawer.json")]
pub(crate) struct Args {
    /// Consensus nodes, comma-separated, first choice first; asked for when missing.
    #[arg(long, env = "CONSENSUS_ENDPOINTS", value_name = "URLS", value_delimiter = ',', value_parser = EndpointParser, hide_env_values = true)]
    consensus_endpoints: Vec<RedactedUrl>,
    #[command(flatten)]
    vault: VaultArgs,
    /// Exit so many, those with the lowest indexes [default: all that can].
    #[arg(long, value_name = "N", value_parser = parse_count)]
    count: Option<NonZeroUsize>,
    /// Exit the validators with these indexes, comma-separated, and no others.
    #[arg(long, value_name = "INDEXES", value_delimiter = ',', conflicts_with = "count")]
    indexes: Vec<u64>,
    #[command(flatten)]
    network: NetworkChoice,
    #[command(flatten)]
    keystores: KeystoreArgs,
    #[command(flatten)]
    opening: OpeningArgs,
    /// Do not ask whether to go on.
    #[arg(long)]
    no_confirm: bool,
    /// Say which validators would be exited, and sign nothing.
    #[arg(long, conflicts_with = "output")]
    dry_run: bool,
    /// Write the signed exits into this new file, a JSON array, and send nothing. Whoever has it can exit the validators.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

impl Args {
    fn choice(&self) -> Choice {
        match self.count {
            Some(count) => Choice::Count(count),
            None if self.indexes.is_empty() => Choice::All,
            None => Choice::Indexes(self.indexes.iter().copied().collect::<BTreeSet<_>>()),
        }
    }
}

pub(crate) fn run(args: Args, ui: &Ui) -> Result<(), CliError> {
    args.vault.data_dir.existing()?;
    args.output.as_deref().map_or(Ok(()), words::refuse_present)?;
    let choice = args.choice();
    let opening = args.opening.resolve()?;
    let consensus = nodes::endpoints(args.consensus_endpoints, words::CONSENSUS, ui)?;
    let (vault, directory) = args.vault.resolve("Enter your vault address", ui)?;
    let network = args.network.resolve(&directory)?;
    let at = args.keystores.resolve(Some(&directory))?;
    let index =
        KeystoreIndex::scan_with(&at.dir, at.passwords.clone(), opening).map_err(|error| words::no_keys(&error))?;
    let keys: Vec<PublicKeyBytes> = index.public_keys().copied().collect();
    let signer = LocalSigner::new(KeystoreKeys::new(index, opening));

    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| CliError::caused_by(Kind::Failed, "cannot start", &error))?;
    let chain = runtime.block_on(Chain::connect(&network, &consensus, ui))?;
    let found = runtime.block_on(chain.look(vault, &keys))?;
    chain.compare(&network, args.output.is_some(), ui)?;
    let selection =
        choose_exits(&found.rules, &keys, &found.known, &choice).map_err(|error| words::not_offered(&error))?;
    words::left_out(&selection.left_out, ui);
    let mut report = Report {
        vault,
        network: network.name.as_str(),
        epoch: found.rules.epoch,
        fates: Vec::new(),
        left_out: &selection.left_out,
        output: args.output.as_deref(),
        is_dry: args.dry_run,
    };
    let plan = Plan {
        runtime: &runtime,
        chain: &chain,
        chosen: &selection.chosen,
        signer: &signer,
        network: &network,
        ui,
    };
    let done = plan.carry_out(&mut report, args.no_confirm);
    // A computation on another thread, such as opening a keystore, has nothing to finish.
    runtime.shutdown_background();
    if report.fates.is_empty() && done.is_err() {
        return done;
    }
    if args.json {
        ui.result(report.to_json())?;
    } else {
        report.print(ui)?;
    }
    done
}

fn parse_count(text: &str) -> Result<NonZeroUsize, &'static str> {
    text.parse().map_err(|_| "expected a number, 1 or more")
}
