use std::{
    num::{NonZeroU32, NonZeroUsize},
    time::{SystemTime, UNIX_EPOCH},
};

use sw_key_ops::{CreateKeys, CreateKeysError, Passwords, Workers, create_keys};

use sw_vault_dir::{BatchError, LockError};

use crate::{
    config::{VaultArgs, concurrency, load_vault, warn_of_loose_secrets},
    error::{CliError, Kind},
    host,
    mnemonic::MnemonicArgs,
    ui::{Question, Ui},
};

/// Create validator keystores and their deposit data.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Asks, in this order: vault, count, mnemonic.\n\n\
Examples:\n  \
  operator create-keys\n  \
  operator create-keys --vault 0x3320... --count 10 --mnemonic-file words.txt")]
pub(crate) struct Args {
    #[command(flatten)]
    vault: VaultArgs,
    /// Number of validator keys to create; asked for when missing.
    #[arg(long, value_name = "N", value_parser = parse_count)]
    count: Option<NonZeroU32>,
    #[command(flatten)]
    mnemonic: MnemonicArgs,
    /// Give each keystore a password of its own, in a file beside it. Takes about a second of one processor for each.
    #[arg(long)]
    per_keystore_password: bool,
    /// Give each keystore a salt of its own, not only an initialization vector. Takes about a second of one processor for
    /// each.
    #[arg(long, conflicts_with = "per_keystore_password")]
    unique_salts: bool,
    /// Number of threads, also CONCURRENCY [default: the number of processors]. Keystores with passwords or salts of their own
    /// take 256 MiB of memory each while they are made; no more are made at once than fit.
    #[arg(long, env = "POOL_SIZE", value_name = "N", visible_alias = "concurrency")]
    pool_size: Option<NonZeroUsize>,
}

pub(crate) fn run(args: Args, ui: &Ui) -> Result<(), CliError> {
    let pool_size = args.pool_size.map_or_else(concurrency, |given| Ok(Some(given)))?;
    let (vault, directory) = args.vault.resolve("Enter the vault address", ui)?;
    let (_, network) = load_vault(&directory)?;
    warn_of_loose_secrets(&directory, ui);
    let question = Question {
        text: "Enter the number of the validator keys to generate",
        flag: "`--count`",
        default: None,
    };
    let count = ui.answer(args.count, question, parse_count)?;
    let mnemonic = args
        .mnemonic
        .read("Enter the mnemonic for generating the validator keys", ui)?;

    let workers = Workers::new(pool_size.unwrap_or_else(host::processors));
    let request = CreateKeys {
        vault,
        directory: &directory,
        network: &network,
        mnemonic: &mnemonic,
        count,
        passwords: match (args.per_keystore_password, args.unique_salts) {
            (true, _) => Passwords::PerKeystore,
            (false, true) => Passwords::SharedUniqueSalts,
            (false, false) => Passwords::Shared,
        },
        workers: host::available_memory().map_or(workers, |bytes| workers.with_memory(bytes / 4 * 3)),
        created_at: SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs(),
    };
    let bars = ui.bars();
    let created = create_keys(&request, &mut host::randomness(), &bars).map_err(|error| refused(&error))?;
    drop(bars);

    if created.were_made_before {
        ui.warn("an earlier run was cut short; the keys it had made are complete now, and no others were made");
    }
    if created.configured_index < created.first_index {
        ui.warn(format_args!(
            "config.json was behind the keys that are here: it said that key {} is the next; the new keys begin with {}",
            created.configured_index, created.first_index
        ));
    }
    if let Some(kept) = &created.previous_deposit_data {
        ui.warn(format_args!(
            "the deposit data file holds the new keys only; the one it replaces is kept as `{}`",
            kept.display()
        ));
    }
    ui.result(format_args!(
        "Done. Generated {} keys for {} vault.",
        ui.strong(count),
        ui.strong(vault)
    ))?;
    ui.result(format_args!(
        "Keystores saved to {} file",
        ui.strong(directory.keystores().display())
    ))?;
    ui.result(format_args!(
        "Deposit data saved to {} file",
        ui.strong(directory.deposit_data().display())
    ))
}

/// Does not repeat what it cannot read: of piped answers that are one off, it is the mnemonic.
fn parse_count(text: &str) -> Result<NonZeroU32, &'static str> {
    text.parse().map_err(|_| "not a number of keys; expected 1 or more")
}

fn refused(error: &CreateKeysError) -> CliError {
    match error {
        CreateKeysError::Mnemonic(_) => CliError::from_error(Kind::Secret, error).hint(
            "use the mnemonic that `operator init` generated for this vault, or name the right vault with `--vault`",
        ),
        CreateKeysError::EarlierRunCompleted => CliError::from_error(Kind::PartlyDone, error)
            .hint("see the keystores and the deposit data; run this again only when you want more keys"),
        CreateKeysError::Batch(BatchError::NotMoved { .. }) => CliError::from_error(Kind::PartlyDone, error),
        CreateKeysError::Locked(LockError::Held { .. }) => CliError::from_error(Kind::Unsafe, error)
            .hint("wait for the other command to end, or stop the operator, then run this again"),
        CreateKeysError::Password(_) => CliError::from_error(Kind::Failed, error)
            .hint("mend the password file of the keystores, or use `--per-keystore-password`"),
        _ => CliError::from_error(Kind::Failed, error).hint("no keys were made; mend the cause and run this again"),
    }
}
