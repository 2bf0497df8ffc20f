//! `operator recover`.

mod chain;
mod words;

use std::{
    collections::BTreeSet,
    num::{NonZeroU32, NonZeroUsize},
    time::{SystemTime, UNIX_EPOCH},
};

use sw_key_ops::{
    FoundKey, Passwords, Restore, Search, SearchOutcome, Workers, is_restored, present_config, restore, search,
    unused_keys,
};
use sw_keys::Mnemonic;
use sw_spec::{Address, PublicKeyBytes, RedactedUrl};
use sw_vault_dir::{Batch, VaultDir, VaultLock};

use self::chain::{Nodes, Registered};
use crate::{
    config::{DataDirArgs, EndpointParser, NetworkArgs, concurrency, parse_address},
    error::CliError,
    host,
    jwt::JwtArgs,
    mnemonic::MnemonicArgs,
    nodes,
    ui::Ui,
};

/// Restore the keystores of a vault's validators from the mnemonic and the chain.
///
/// Reads from the chain which keys the vault has registered, finds them among the keys of the mnemonic, and makes their
/// keystores anew. The keystores that are there are kept beside the new ones, as keystores.bak-1 and so on. Validators that
/// have exited are left out.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Asks, in this order: mnemonic, vault, execution endpoints, consensus endpoints,\n\
network; then whether to go on.\n\n\
Examples:\n  \
  operator recover\n  \
  operator recover --vault 0x3320... --mnemonic-file words.txt --no-confirm")]
pub(crate) struct Args {
    #[command(flatten)]
    data_dir: DataDirArgs,
    #[command(flatten)]
    mnemonic: MnemonicArgs,
    /// Address of the vault; asked for when missing.
    #[arg(long, value_name = "ADDRESS", value_parser = parse_address)]
    vault: Option<Address>,
    /// Execution nodes, comma-separated, first choice first; asked for when missing.
    #[arg(long, env = "EXECUTION_ENDPOINTS", value_name = "URLS", value_delimiter = ',', value_parser = EndpointParser, hide_env_values = true)]
    execution_endpoints: Vec<RedactedUrl>,
    #[command(flatten)]
    jwt: JwtArgs,
    /// Consensus nodes, comma-separated, first choice first; asked for when missing.
    #[arg(long, env = "CONSENSUS_ENDPOINTS", value_name = "URLS", value_delimiter = ',', value_parser = EndpointParser, hide_env_values = true)]
    consensus_endpoints: Vec<RedactedUrl>,
    #[command(flatten)]
    network: NetworkArgs,
    /// Block from which registrations are looked for [default: that of the network's Keeper, before which there were none].
    #[arg(long, env = "VAULT_FIRST_BLOCK", value_name = "BLOCK")]
    vault_first_block: Option<u64>,
    /// End the search after so many keys of the mnemonic in a row that the vault has not registered.
    #[arg(long, value_name = "N", default_value = "1000", value_parser = parse_count)]
    max_gap: NonZeroU32,
    /// Restore also the first N keys that are in no use yet, and write deposit data of them, to be uploaded anew.
    #[arg(long, value_name = "N", value_parser = parse_count)]
    restore_deposit_data: Option<NonZeroU32>,
    /// Restore keys that are at work, or of which the consensus node cannot tell. Two validator clients with the same key
    /// are slashed.
    #[arg(long)]
    allow_live_keys: bool,
    /// Give each keystore a password of its own, in a file beside it.
    #[arg(long, conflicts_with = "unique_salts")]
    per_keystore_password: bool,
    /// Derive the encryption key of each keystore with a salt of its own from their one password.
    #[arg(long)]
    unique_salts: bool,
    /// Number of threads, also CONCURRENCY [default: the number of processors].
    #[arg(long, env = "POOL_SIZE", value_name = "N", visible_alias = "concurrency")]
    pool_size: Option<NonZeroUsize>,
    /// Ask nothing but what is missing: go on with whatever is found.
    #[arg(long)]
    no_confirm: bool,
}

pub(crate) fn run(args: Args, ui: &Ui) -> Result<(), CliError> {
    let jwt_secret = args.jwt.resolve()?;
    let pool_size = args.pool_size.map_or_else(concurrency, |given| Ok(Some(given)))?;
    let workers = Workers::new(pool_size.unwrap_or_else(host::processors));
    let data_dir = args.data_dir.resolve()?;
    let mnemonic = args.mnemonic.read(words::MNEMONIC, ui)?;
    let vault = ui.answer(args.vault, words::VAULT, parse_address)?;
    let directory = VaultDir::new(&data_dir, vault);
    let (lock, was_cut_short) = lock_present(&directory, ui)?;
    let present = present_config(&directory, &mnemonic).map_err(|error| words::refused(&error))?;
    let execution = nodes::endpoints(args.execution_endpoints, words::EXECUTION, ui)?;
    let consensus = nodes::endpoints(args.consensus_endpoints, words::CONSENSUS, ui)?;
    let network = args.network.resolve_for(&directory, present.as_ref(), ui)?;

    let nodes = Nodes::connect(&network.spec, execution, consensus, jwt_secret, ui)?;
    let registered = nodes.registered(vault, args.vault_first_block, &ui.bars())?;
    let staying = registered.staying();
    words::announce(&registered, &staying, vault, &network, ui)?;
    if !args.no_confirm {
        words::confirm(&staying, &directory, ui)?;
    }
    ui.result(format_args!(
        "Found {} validators, recovering...",
        ui.strong(staying.len())
    ))?;

    let request = Search {
        mnemonic: &mnemonic,
        public_keys: &registered.keys,
        max_gap: args.max_gap,
        workers,
    };
    let outcome = search(&request, &ui.bars());
    let (found, missing) = split(&outcome, &staying);
    if found.is_empty() {
        return Err(words::none_found(&outcome, staying.len(), args.max_gap));
    }
    if !args.allow_live_keys {
        refuse_live(&nodes, &found, &registered)?;
    }
    let unused = match args.restore_deposit_data {
        Some(count) => unused(&nodes, &mnemonic, count, args.max_gap, &registered)?,
        None => Vec::new(),
    };
    let lock = match lock {
        Some(lock) => lock,
        None => lock_new(&directory)?,
    };
    let passwords = match (args.per_keystore_password, args.unique_salts) {
        (true, _) => Passwords::PerKeystore,
        (false, true) => Passwords::SharedUniqueSalts,
        (false, false) => Passwords::Shared,
    };
    let request = Restore {
        vault,
        network: &network.spec,
        network_file: network.file.as_deref(),
        mnemonic: &mnemonic,
        registered: &found,
        unused: &unused,
        next_index: next_index(&outcome, &unused),
        passwords,
        workers: host::available_memory().map_or(workers, |bytes| workers.with_memory(bytes / 4 * 3)),
        created_at: now(),
    };
    // What is made already is not put aside for the same once more.
    if !(was_cut_short && is_restored(&lock, &request)) {
        let restored = restore(&lock, &request, &mut host::randomness(), &ui.bars());
        words::kept(&restored.map_err(|error| words::refused(&error))?, ui);
    }
    tell(&request, &directory, ui)?;
    if missing.is_empty() {
        return Ok(());
    }
    Err(words::some_missing(&outcome, found.len(), &missing, args.max_gap))
}

/// Keeps the operator out of a directory that exists, before anything is asked of a node; and says whether a run that was
/// cut short had to be finished.
fn lock_present(directory: &VaultDir, ui: &Ui) -> Result<(Option<VaultLock>, bool), CliError> {
    if !directory.exists() {
        return Ok((None, false));
    }
    let lock = directory.lock().map_err(|error| words::locked(&error))?;
    let finished = Batch::finish_interrupted(&lock).map_err(|error| words::refused(&error.into()))?;
    if finished {
        ui.say("An earlier run was cut short; the keys that it had made are in their place now.");
    }
    Ok((Some(lock), finished))
}

fn lock_new(directory: &VaultDir) -> Result<VaultLock, CliError> {
    directory.create().map_err(|error| words::refused(&error.into()))?;
    directory.lock().map_err(|error| words::locked(&error))
}

/// The keys that need a keystore, and those of the validators that are not of this mnemonic as far as it was searched.
fn split(outcome: &SearchOutcome, staying: &BTreeSet<PublicKeyBytes>) -> (Vec<FoundKey>, Vec<PublicKeyBytes>) {
    let found = outcome.found.iter().filter(|key| staying.contains(&key.public_key));
    let missing = outcome.missing.iter().filter(|key| staying.contains(*key));
    (found.copied().collect(), missing.copied().collect())
}

fn refuse_live(nodes: &Nodes<'_>, found: &[FoundKey], registered: &Registered) -> Result<(), CliError> {
    let live = nodes.at_work(found, registered)?;
    if live.is_empty() {
        Ok(())
    } else {
        Err(words::at_work(&live, found.len()))
    }
}

/// Keys that neither the vault nor anybody else has deposited for.
fn unused(
    nodes: &Nodes<'_>,
    mnemonic: &Mnemonic,
    count: NonZeroU32,
    max_gap: NonZeroU32,
    registered: &Registered,
) -> Result<Vec<FoundKey>, CliError> {
    let count = usize::try_from(count.get()).unwrap_or(usize::MAX);
    let most = registered
        .keys
        .len()
        .saturating_add(usize::try_from(max_gap.get()).unwrap_or(usize::MAX));
    let mut used = registered.keys.clone();
    while used.len() <= most {
        let candidates = unused_keys(mnemonic, count, &used);
        let known = nodes.known(&candidates)?;
        if known.is_empty() {
            return Ok(candidates);
        }
        used.extend(known);
    }
    Err(words::all_in_use(max_gap))
}

/// After the last key that is known to be in use.
fn next_index(outcome: &SearchOutcome, unused: &[FoundKey]) -> u32 {
    let keys = outcome.found.iter().chain(unused);
    keys.map(|key| key.index.saturating_add(1)).max().unwrap_or(0)
}

fn tell(request: &Restore<'_>, directory: &VaultDir, ui: &Ui) -> Result<(), CliError> {
    ui.result(format_args!(
        "Keystores for vault {} successfully recovered to {}",
        ui.strong(request.vault),
        ui.strong(directory.keystores().display())
    ))?;
    if request.unused.is_empty() {
        return Ok(());
    }
    ui.result(format_args!(
        "Deposit data of {} unused keys saved to {}",
        ui.strong(request.unused.len()),
        ui.strong(directory.deposit_data().display())
    ))?;
    ui.say("Upload the deposit data to the vault: `operator get-validators-root` prints its root.");
    Ok(())
}

fn parse_count(text: &str) -> Result<NonZeroU32, &'static str> {
    text.parse().map_err(|_| "expected a number, 1 or more")
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}
