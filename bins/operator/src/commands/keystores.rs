use std::path::Path;

use serde_json::{Value, json};
use sw_key_ops::{Verification, verify_keystores};
use sw_keys::KeyPath;
use sw_vault_dir::{IndexError, KeystoreFault, KeystoreIndex, LikelyCause, ListedKeystore, OpenKeystoreError};

use crate::{
    config::VaultArgs,
    error::{CliError, Kind},
    keystores::{KeystoreArgs, KeystoresAt, OpeningArgs, named, not_all_open, shared_iv_warning},
    ui::Ui,
};

/// List keystores, or open all of them to see whether they can be.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Verify(VerifyArgs),
    List(ListArgs),
}

/// Open every keystore and name all that do not open, each with the likely cause.
///
/// Exits with 4 when passwords are all that is wrong.
#[derive(Debug, clap::Args)]
#[command(
    mut_arg("vault", |vault| vault.env("VAULT")),
    after_help = "\
Asks for the vault unless `--keystores-dir` is given.\n\n\
Examples:\n  \
  operator keystores verify --vault 0x3320...\n  \
  operator keystores verify --keystores-dir keys --keystores-password-dir words"
)]
struct VerifyArgs {
    #[command(flatten)]
    vault: VaultArgs,
    #[command(flatten)]
    keystores: KeystoreArgs,
    #[command(flatten)]
    opening: OpeningArgs,
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

/// Print public key, index and file of every keystore. No password is needed.
///
/// A dash stands for what a keystore does not state.
#[derive(Debug, clap::Args)]
#[command(
    mut_arg("vault", |vault| vault.env("VAULT")),
    after_help = "\
Asks for the vault unless `--keystores-dir` is given.\n\n\
Example:\n  \
  operator keystores list --vault 0x3320..."
)]
struct ListArgs {
    #[command(flatten)]
    vault: VaultArgs,
    /// Keystores, also in sub-directories [default: keystores in the vault's directory].
    #[arg(long, env = "KEYSTORES_DIR", value_name = "DIR")]
    keystores_dir: Option<std::path::PathBuf>,
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: Args, ui: &Ui) -> Result<(), CliError> {
    match args.command {
        Command::Verify(args) => verify(args, ui),
        Command::List(args) => list(args, ui),
    }
}

fn verify(args: VerifyArgs, ui: &Ui) -> Result<(), CliError> {
    let opening = args.opening.resolve()?;
    let at = keystores(args.vault, args.keystores, ui)?;
    let (index, faults) =
        KeystoreIndex::survey(&at.dir, at.passwords.clone(), opening).map_err(|error| cannot_list(&error))?;
    let bars = ui.bars();
    let verification = verify_keystores(&index, faults, opening, &bars);
    drop(bars);
    if let Some(warning) = shared_iv_warning(&verification.shared_ivs) {
        ui.warn(warning);
    }
    if args.json {
        ui.result(report(&at.dir, &verification))?;
    } else if verification.faults.is_empty() {
        ui.result(format_args!(
            "All {} keystores in {} open.",
            ui.strong(verification.total),
            ui.strong(at.dir.display())
        ))?;
    }
    not_all_open(&at, &verification)
}

fn list(args: ListArgs, ui: &Ui) -> Result<(), CliError> {
    let keystores_args = KeystoreArgs {
        keystores_dir: args.keystores_dir,
        keystores_password_file: None,
        keystores_password_dir: None,
    };
    let dir = keystores(args.vault, keystores_args, ui)?.dir;
    let (listed, faults) = KeystoreIndex::list(&dir).map_err(|error| cannot_list(&error))?;
    if args.json {
        let listed: Vec<Value> = listed.iter().map(described).collect();
        let faults: Vec<Value> = faults.iter().map(fault).collect();
        let schema = "operator.keystores.list.v1";
        ui.result(json!({"schema": schema, "directory": shown(&dir), "keystores": listed, "faults": faults}))?;
    } else {
        for keystore in &listed {
            let public_key = keystore
                .public_key
                .map_or_else(|| "-".to_owned(), |key| key.to_string());
            let index = index_of(keystore).map_or_else(|| "-".to_owned(), |index| index.to_string());
            let file = keystore.file.strip_prefix(&dir).unwrap_or(&keystore.file);
            ui.result(format_args!("{public_key} {index} {}", file.display()))?;
        }
    }
    if faults.is_empty() {
        return Ok(());
    }
    let total = listed.len().saturating_add(faults.len());
    let message = format!(
        "{} of {total} keystores in `{}` cannot be listed",
        faults.len(),
        dir.display()
    );
    Err(named(CliError::new(Kind::Failed, message), &faults).hint("restore the files from a copy, or move them away"))
}

fn keystores(vault: VaultArgs, keystores: KeystoreArgs, ui: &Ui) -> Result<KeystoresAt, CliError> {
    if vault.vault.is_none() && keystores.keystores_dir.is_some() {
        return keystores.resolve(None);
    }
    let (_, directory) = vault.resolve("Enter the vault address", ui)?;
    keystores.resolve(Some(&directory))
}

fn cannot_list(error: &IndexError) -> CliError {
    CliError::from_error(Kind::Failed, error).hint("name the right directory with `--keystores-dir`")
}

fn report(dir: &Path, verification: &Verification) -> Value {
    let faults: Vec<Value> = verification.faults.iter().map(fault).collect();
    json!({
        "schema": "operator.keystores.verify.v1",
        "directory": shown(dir),
        "keystores": verification.total,
        "opened": verification.total.saturating_sub(faults.len()),
        "faults": faults,
        "shared_ivs": verification.shared_ivs,
    })
}

fn described(keystore: &ListedKeystore) -> Value {
    json!({
        "file": shown(&keystore.file),
        "public_key": keystore.public_key.map(|key| key.to_string()),
        "path": keystore.path,
        "index": index_of(keystore),
    })
}

fn fault(fault: &KeystoreFault) -> Value {
    let causes: &[LikelyCause] = match &fault.cause {
        OpenKeystoreError::WrongPassword { likely_causes, .. } => likely_causes,
        _ => &[],
    };
    json!({
        "file": shown(&fault.keystore),
        "kind": fault.cause.kind(),
        "reason": fault.to_string(),
        "likely_causes": causes.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

/// JSON has no name for a file that is not Unicode.
fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// The index of the path `m/12381/3600/index/0/0` (EIP-2334); other tools put other things there.
fn index_of(keystore: &ListedKeystore) -> Option<u32> {
    keystore.path.parse::<KeyPath>().ok()?;
    let numbers = keystore.path.strip_prefix("m/12381/3600/")?;
    numbers.strip_suffix("/0/0")?.parse().ok()
}
