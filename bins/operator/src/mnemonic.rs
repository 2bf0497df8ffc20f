//! The mnemonic as an argument: from a file, from standard input, or by an answer that is not shown.

use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use sw_keys::{ExposeSecret, Mnemonic, MnemonicError, SecretString};
use sw_vault_dir::read_secret_file;

use crate::{
    argv,
    error::{CliError, Kind},
    ui::{Question, Ui},
};

/// Where the mnemonic comes from.
#[derive(Debug, clap::Args)]
pub(crate) struct MnemonicArgs {
    /// The mnemonic itself. Other users of the machine and the shell's history see it: prefer --mnemonic-file.
    // What clap sees is a stand-in: the words themselves are in `argv`.
    #[arg(long, value_name = "WORDS", conflicts_with = "mnemonic_file")]
    mnemonic: Option<String>,
    /// File that holds the mnemonic, or - for standard input; asked for when missing.
    #[arg(long, env = "MNEMONIC_FILE", value_name = "FILE")]
    mnemonic_file: Option<PathBuf>,
}

impl MnemonicArgs {
    /// Reads the mnemonic, asking for it if need be.
    pub(crate) fn read(self, text: &str, ui: &Ui) -> Result<Mnemonic, CliError> {
        let question = Question {
            text,
            flag: "`--mnemonic-file`",
            default: None,
        };
        if let Some(mnemonic) = self.mnemonic.and_then(|_| argv::take_mnemonic()) {
            ui.warn("a mnemonic on the command line is seen by other users and kept in the shell's history; use `--mnemonic-file` or answer the question");
            return accept(&mnemonic, "the mnemonic");
        }
        match self.mnemonic_file {
            Some(path) if path.as_os_str() == "-" => {
                accept(&ui.phrase_from_stdin(question)?, "the mnemonic on standard input")
            }
            Some(path) if argv::is_phrase(path.as_os_str()) => Err(CliError::new(
                Kind::Usage,
                "`--mnemonic-file` was given the mnemonic itself, not the name of a file that holds it",
            )
            .hint("leave out `--mnemonic-file`, and unset MNEMONIC_FILE, to be asked for the words")),
            Some(path) => {
                warn_if_readable_by_others(&path, ui);
                let words = read_secret_file(&path).map_err(|error| {
                    CliError::from_error(Kind::Failed, &error)
                        .hint("`--mnemonic-file` names the file with the words; without it they are asked for")
                })?;
                accept(&words, &format!("the mnemonic in `{}`", path.display()))
            }
            None => ui.phrase(question, |words| Mnemonic::parse(words.expose_secret())),
        }
    }
}

fn warn_if_readable_by_others(path: &Path, ui: &Ui) {
    let Ok(file) = path.metadata() else { return };
    if file.is_file() && file.permissions().mode() & 0o077 != 0 {
        let path = path.display();
        ui.warn(format_args!(
            "other users may read the mnemonic in `{path}`; `chmod 600` it, and remove it when it is not needed"
        ));
    }
}

fn accept(words: &SecretString, what: &str) -> Result<Mnemonic, CliError> {
    Mnemonic::parse(words.expose_secret()).map_err(|error: MnemonicError| {
        CliError::caused_by(Kind::Secret, format_args!("{what} is not valid"), &error)
            .hint("check the words for typos; each may be shortened to its first four letters")
    })
}
