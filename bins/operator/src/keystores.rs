//! Where the keystores are and what may be taken to open them, for every command that opens some; and what is said of those
//! that do not open.

use std::{num::NonZeroUsize, path::PathBuf};

use sw_key_ops::Verification;
use sw_vault_dir::{KeystoreFault, OpenKeystoreError, Opening, PasswordSource, VaultDir};

use crate::{
    config::concurrency,
    error::{CliError, Kind},
    host,
    places::Place,
};

/// Keystores that are not where `create-keys` puts them.
#[derive(Debug, clap::Args)]
pub(crate) struct KeystoreArgs {
    /// Keystores, also in sub-directories [default: keystores in the vault's directory].
    #[arg(long, env = "KEYSTORES_DIR", value_name = "DIR")]
    pub(crate) keystores_dir: Option<PathBuf>,
    /// Password of the keystores [default: password.txt beside them, or else in the vault's keystores directory].
    #[arg(long, env = "KEYSTORES_PASSWORD_FILE", value_name = "FILE")]
    pub(crate) keystores_password_file: Option<PathBuf>,
    /// Passwords of single keystores, each named like its keystore or its public key [default: beside the keystores].
    #[arg(long, env = "KEYSTORES_PASSWORD_DIR", value_name = "DIR")]
    pub(crate) keystores_password_dir: Option<PathBuf>,
}

/// How much of the machine is taken to open keystores.
#[derive(Debug, clap::Args)]
pub(crate) struct OpeningArgs {
    /// Threads that open keystores, also CONCURRENCY [default: the number of processors]. Each takes up to 1 GiB while it
    /// does, all of them half of the memory that is free.
    #[arg(long, env = "POOL_SIZE", value_name = "N", visible_alias = "concurrency")]
    pool_size: Option<NonZeroUsize>,
}

/// A directory of keystores and the passwords to it.
#[derive(Debug, Clone)]
pub(crate) struct KeystoresAt {
    pub(crate) dir: PathBuf,
    pub(crate) passwords: PasswordSource,
}

impl KeystoreArgs {
    /// The places that were given, or those in the vault's directory.
    pub(crate) fn resolve(self, vault: Option<&VaultDir>) -> Result<KeystoresAt, CliError> {
        let dir = match (self.keystores_dir, vault) {
            (Some(dir), _) => KEYSTORES.given(dir)?,
            (None, Some(vault)) => KEYSTORES.find(None, vault.keystores(), "create-keys")?,
            (None, None) => {
                return Err(CliError::new(Kind::Usage, "no keystores directory is named")
                    .hint("name it with `--keystores-dir`, or a vault with `--vault`"));
            }
        };
        let beside = dir.join("password.txt");
        let otherwise = vault.map_or_else(|| beside.clone(), VaultDir::keystores_password);
        let shared = match self.keystores_password_file {
            Some(path) => PASSWORD.given(path)?,
            None if beside.exists() || !otherwise.exists() => beside,
            None => otherwise,
        };
        let passwords = PasswordSource {
            shared: Some(shared),
            dir: match self.keystores_password_dir {
                Some(path) => PASSWORDS.given(path)?,
                None => dir.clone(),
            },
        };
        Ok(KeystoresAt { dir, passwords })
    }
}

impl OpeningArgs {
    pub(crate) fn resolve(self) -> Result<Opening, CliError> {
        let threads = match self.pool_size {
            Some(threads) => threads,
            None => concurrency()?.unwrap_or_else(host::processors),
        };
        let most = u64::try_from(threads.get())
            .unwrap_or(u64::MAX)
            .saturating_mul(GIBIBYTE);
        let memory = host::available_memory().map_or(Opening::default().memory, |bytes| (bytes / 2).min(most));
        Ok(Opening { threads, memory })
    }
}

/// The failure that names every keystore that does not open, if there is one.
pub(crate) fn not_all_open(at: &KeystoresAt, verification: &Verification) -> Result<(), CliError> {
    let (total, faults) = (verification.total, &verification.faults);
    if faults.is_empty() {
        return Ok(());
    }
    let message = format!(
        "{} of {total} keystores in `{}` cannot be used",
        faults.len(),
        at.dir.display()
    );
    let kind = if verification.is_about_passwords() {
        Kind::Secret
    } else {
        Kind::Failed
    };
    let mut error = named(CliError::new(kind, message), faults);
    if faults.iter().any(|fault| fault.cause.is_about_the_password()) {
        error = error.hint(
            "mend the passwords, or name other places with `--keystores-password-file` or `--keystores-password-dir`",
        );
    }
    let twice = |fault: &KeystoreFault| matches!(fault.cause, OpenKeystoreError::Duplicate { .. });
    if faults.iter().any(twice) {
        error = error.hint(MOVE_COPIES);
    }
    if faults
        .iter()
        .any(|fault| !fault.cause.is_about_the_password() && !twice(fault))
    {
        error = error
            .hint("restore damaged files from a copy, or make them again from the mnemonic with `operator recover`");
    }
    Err(error)
}

/// Adds the faults as causes.
pub(crate) fn named(error: CliError, faults: &[KeystoreFault]) -> CliError {
    faults.iter().fold(error, CliError::cause)
}

/// What to say of keystores whose secret keys can be computed from each other.
pub(crate) fn shared_iv_warning(groups: &[Vec<PathBuf>]) -> Option<String> {
    let (first, second) = match groups.first()?.as_slice() {
        [first, second, ..] => (first.display(), second.display()),
        _ => return None,
    };
    let count: usize = groups.iter().map(Vec::len).sum();
    Some(format!(
        "{count} keystores share password, salt and initialisation vector with others, `{first}` and `{second}` among them: \
         whoever reads two such files and knows one key can compute the other; make them again from the mnemonic with \
         `operator recover`, and destroy these and their copies"
    ))
}

/// The original did not read sub-directories.
pub(crate) const MOVE_COPIES: &str = "move copies of keystores out of the directory: sub-directories are read as well";

const GIBIBYTE: u64 = 1 << 30;

const KEYSTORES: Place = Place {
    what: "keystores directory",
    flag: "--keystores-dir",
};
const PASSWORD: Place = Place {
    what: "password of the keystores",
    flag: "--keystores-password-file",
};
const PASSWORDS: Place = Place {
    what: "directory with passwords of keystores",
    flag: "--keystores-password-dir",
};
