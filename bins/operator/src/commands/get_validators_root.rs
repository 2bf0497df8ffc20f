use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use sw_deposit_data::{DepositDataFile, EntryFault, ValidatorsTree};
use sw_spec::{Address, NetworkSpec};

use crate::{
    config::{VaultArgs, load_vault},
    error::{CliError, Kind},
    host,
    ui::Ui,
};

/// Print the Merkle tree root of the deposit data, for upload to the vault.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:\n  \
  operator get-validators-root --vault 0x3320...")]
pub(crate) struct Args {
    #[command(flatten)]
    vault: VaultArgs,
    /// File with the deposit data [default: deposit_data.json in the directory of the vault].
    #[arg(long, value_name = "FILE")]
    deposit_data_file: Option<PathBuf>,
    /// Do not check the entries: signatures, withdrawal address, amount, network and duplicates.
    #[arg(long)]
    no_verify: bool,
}

pub(crate) fn run(args: Args, ui: &Ui) -> Result<(), CliError> {
    let (vault, directory) = args.vault.resolve("Enter the vault address", ui)?;
    let path = args.deposit_data_file.unwrap_or_else(|| directory.deposit_data());
    let file = read(&path)?;
    if args.no_verify {
    } else if directory.config().exists() {
        let (_, network) = load_vault(&directory)?;
        verify(&file, &path, vault, &network)?;
    } else {
        ui.warn("the entries were not checked: the vault has no config.json that tells its network");
    }
    let tree = ValidatorsTree::new(vault, &file).map_err(|error| cannot_use(&path, &error))?;
    ui.result(format_args!(
        "The validator deposit data Merkle tree root: {}",
        ui.strong(tree.root())
    ))
}

fn read(path: &Path) -> Result<DepositDataFile, CliError> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(LARGEST_FILE).read_to_end(&mut bytes))
        .map_err(|error| {
            let missing = error.kind() == io::ErrorKind::NotFound;
            let error = CliError::caused_by(
                Kind::Failed,
                format_args!("cannot read the deposit data `{}`", path.display()),
                &error,
            );
            if missing {
                error.hint("run `operator create-keys` first, or name the file with `--deposit-data-file`")
            } else {
                error
            }
        })?;
    DepositDataFile::parse(&bytes).map_err(|error| cannot_use(path, &error))
}

fn verify(file: &DepositDataFile, path: &Path, vault: Address, network: &NetworkSpec) -> Result<(), CliError> {
    let Err(error) = file.verify(vault, network, &mut host::randomness()) else {
        return Ok(());
    };
    let message = format!(
        "the deposit data `{}` must not be used for vault {vault} on {}",
        path.display(),
        network.name
    );
    let mut refused = CliError::new(Kind::Failed, message);
    let entries: Vec<&[EntryFault]> = error.faults.chunk_by(|one, other| one.index == other.index).collect();
    for faults in entries.iter().take(MOST_ENTRIES) {
        let Some(EntryFault { index, public_key, .. }) = faults.first() else {
            continue;
        };
        let reasons: Vec<String> = faults.iter().map(|fault| fault.fault.to_string()).collect();
        refused = refused.cause(format_args!("entry {index}, {public_key}: {}", reasons.join("; ")));
    }
    let more = entries.len().saturating_sub(MOST_ENTRIES);
    if more > 0 {
        refused = refused.cause(format_args!("{more} more of the {} entries", error.entries));
    }
    Err(refused.hint("name the right file with `--deposit-data-file`, or make new keys with `operator create-keys`"))
}

fn cannot_use(path: &Path, error: &(dyn std::error::Error + 'static)) -> CliError {
    CliError::caused_by(
        Kind::Failed,
        format_args!("cannot use the deposit data `{}`", path.display()),
        error,
    )
    .hint("name the file that `operator create-keys` made with `--deposit-data-file`")
}

const MOST_ENTRIES: usize = 10;
/// One byte more than can be parsed, so that what is cut off is refused.
const LARGEST_FILE: u64 = DepositDataFile::MAX_FILE_BYTES as u64 + 1;
