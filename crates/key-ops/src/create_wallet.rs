//! Making the hot wallet.

use std::path::PathBuf;

use rand_core::CryptoRng;
use sw_keys::{KdfError, Mnemonic, WalletFile, WalletFileError, WalletKey};
use sw_spec::Address;
use sw_vault_dir::{
    BatchError, LockError, Overwrite, PasswordFileError, VaultDir, WriteError, load_or_create_password, write_private,
};

/// The wallet that was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct CreatedWallet {
    /// The address to send the funds for gas to.
    pub address: Address,
}

/// Why no wallet was made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CreateWalletError {
    /// There is one, which may hold funds.
    #[error("the wallet `{}` already exists", .0.display())]
    AlreadyThere(PathBuf),
    /// Another command works on the vault.
    #[error(transparent)]
    Locked(#[from] LockError),
    /// What an earlier run left cannot be removed.
    #[error(transparent)]
    Leftover(#[from] BatchError),
    /// The password file cannot be used.
    #[error(transparent)]
    Password(#[from] PasswordFileError),
    /// The password could not be turned into a key.
    #[error("cannot derive the encryption key of the wallet")]
    Kdf(#[from] KdfError),
    /// The file just made did not open to its key.
    #[error("the new wallet file does not open again; this machine may be faulty")]
    Unreadable(#[from] WalletFileError),
    /// The wallet file cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// Makes `wallet/wallet.json` and `wallet/password.txt` in the vault's directory, from any mnemonic.
///
/// A password file that is there already is used: it may be that of an earlier run that was cut short before its wallet.
///
/// # Errors
///
/// See [`CreateWalletError`]. A wallet that exists is never overwritten.
pub fn create_wallet(
    directory: &VaultDir,
    mnemonic: &Mnemonic,
    rng: &mut (impl CryptoRng + ?Sized),
) -> Result<CreatedWallet, CreateWalletError> {
    let lock = directory.lock()?;
    lock.remove_temporary_files()?;
    let path = directory.wallet();
    if path.symlink_metadata().is_ok() {
        return Err(CreateWalletError::AlreadyThere(path));
    }
    let key = WalletKey::derive(&mnemonic.to_seed());
    let password = load_or_create_password(&directory.wallet_password(), rng)?;
    let json = WalletFile::encrypt(&key, &password, rng)?.to_json();
    let opened = WalletFile::parse(json.as_bytes())?.decrypt(&password)?;
    write_private(&path, json.as_bytes(), Overwrite::Refuse)?;
    Ok(CreatedWallet {
        address: opened.address(),
    })
}
