use sw_key_ops::{CreateWalletError, create_wallet};
use sw_vault_dir::LockError;

use crate::{
    config::{VaultArgs, load_vault, warn_of_loose_secrets},
    error::{CliError, Kind},
    host,
    mnemonic::MnemonicArgs,
    ui::Ui,
};

/// Create the hot wallet that pays for registrations.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Asks, in this order: vault, mnemonic. The mnemonic may be that of the validator\n\
keys or another.\n\n\
Example:\n  \
  operator create-wallet --vault 0x3320... --mnemonic-file words.txt")]
pub(crate) struct Args {
    #[command(flatten)]
    vault: VaultArgs,
    #[command(flatten)]
    mnemonic: MnemonicArgs,
}

pub(crate) fn run(args: Args, ui: &Ui) -> Result<(), CliError> {
    let (_, directory) = args.vault.resolve("Enter the vault address", ui)?;
    load_vault(&directory)?;
    warn_of_loose_secrets(&directory, ui);
    if directory.wallet().exists() {
        return Err(refused(&CreateWalletError::AlreadyThere(directory.wallet())));
    }
    let mnemonic = args.mnemonic.read("Enter the mnemonic for generating the wallet", ui)?;
    let wallet = create_wallet(&directory, &mnemonic, &mut host::randomness()).map_err(|error| refused(&error))?;
    ui.result(format_args!(
        "Done. The wallet and password saved to {} directory. The wallet address is: {}",
        ui.strong(directory.wallet_dir().display()),
        ui.strong(wallet.address)
    ))
}

fn refused(error: &CreateWalletError) -> CliError {
    match error {
        CreateWalletError::AlreadyThere(_) => CliError::from_error(Kind::Unsafe, error)
            .hint("it may hold funds; move it away together with its password file to create another"),
        CreateWalletError::Locked(LockError::Held { .. }) => CliError::from_error(Kind::Unsafe, error)
            .hint("wait for the other command to end, or stop the operator, then run this again"),
        _ => CliError::from_error(Kind::Failed, error).hint("no wallet was made; mend the cause and run this again"),
    }
}
