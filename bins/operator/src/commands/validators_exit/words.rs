//! What `validators-exit` asks and says.

use std::{collections::BTreeMap, fs, path::Path};

use sw_key_ops::{KnownValidator, LeftOut, NotOffered, Withheld};
use sw_signers::SignerError;
use sw_vault_dir::{IndexError, OpenKeystoreError, WriteError};

use crate::{
    error::{CliError, Kind},
    ui::{Question, Ui},
};

pub(super) const CONSENSUS: Question<'_> = Question {
    text: "Enter the comma separated list of API endpoints for consensus nodes",
    flag: "`--consensus-endpoints`",
    default: None,
};

pub(super) fn no_keys(error: &IndexError) -> CliError {
    CliError::from_error(Kind::Failed, error)
        .hint("`operator keystores verify` names everything that is wrong")
        .hint("name the right directory with `--keystores-dir`")
}

/// Numbers as the original lists them.
pub(super) fn listed(indexes: &[u64]) -> String {
    let indexes: Vec<_> = indexes.iter().map(u64::to_string).collect();
    indexes.join(", ")
}

/// Says who is left out, a line for each reason.
pub(super) fn left_out(left_out: &[LeftOut], ui: &Ui) {
    let mut reasons = BTreeMap::<String, (Vec<u64>, usize)>::new();
    for validator in left_out
        .iter()
        .filter(|validator| validator.reason != Withheld::NotChosen)
    {
        let (indexes, unknown) = reasons.entry(validator.reason.to_string()).or_default();
        match validator.index {
            Some(index) => indexes.push(index),
            None => *unknown = unknown.saturating_add(1),
        }
    }
    for (reason, (indexes, unknown)) in reasons {
        match unknown {
            0 => ui.say(format_args!("Left out, {reason}: {}", listed(&indexes))),
            unknown => ui.say(format_args!("Left out, {reason}: {unknown} keys")),
        }
    }
}

/// Has the person agree, in the words of the original.
pub(super) fn confirm(chosen: &[KnownValidator], ui: &Ui) -> Result<(), CliError> {
    let indexes: Vec<u64> = chosen.iter().map(|validator| validator.index).collect();
    let question = Question {
        text: &format!(
            "Are you sure you want to exit {} validators with indexes: {}?",
            indexes.len(),
            listed(&indexes)
        ),
        flag: "`--no-confirm`",
        default: Some("y/N"),
    };
    let yes = ui.answer(None, question, |answer| match answer.to_lowercase().as_str() {
        "y" | "yes" => Ok(true),
        "n" | "no" | "y/n" => Ok(false),
        _ => Err("answer yes or no"),
    })?;
    if yes {
        Ok(())
    } else {
        Err(CliError::new(Kind::Failed, "declined; nothing was sent"))
    }
}

/// Names each validator that was asked for and cannot be exited.
pub(super) fn not_offered(error: &NotOffered) -> CliError {
    let is_foreign = |reason| matches!(reason, Some(Withheld::OtherCredentials(_)));
    let kind = if error.0.iter().any(|refused| is_foreign(refused.reason)) {
        Kind::Unsafe
    } else {
        Kind::Failed
    };
    let refused = CliError::from_error(kind, error).cause("nothing was sent");
    let refused = error.0.iter().fold(refused, CliError::cause);
    refused.hint("`--dry-run` without `--indexes` lists those that can be")
}

/// What could not be signed. No exit has been sent.
pub(super) fn unsigned<'a>(errors: impl IntoIterator<Item = &'a SignerError>) -> CliError {
    let errors: Vec<_> = errors.into_iter().collect();
    let is_secret = |error: &&SignerError| match error {
        SignerError::Open { source, .. } => source
            .downcast_ref::<OpenKeystoreError>()
            .is_some_and(OpenKeystoreError::is_about_the_password),
        _ => false,
    };
    let kind = if errors.iter().all(is_secret) {
        Kind::Secret
    } else {
        Kind::Failed
    };
    let failed = CliError::new(kind, "not every exit can be signed; nothing was sent");
    let failed = errors.iter().take(MOST_CAUSES).fold(failed, |failed, error| {
        let causes = std::iter::successors(Some(*error as &dyn std::error::Error), |error| error.source());
        failed.cause(causes.map(ToString::to_string).collect::<Vec<_>>().join(": "))
    });
    failed.hint("`operator keystores verify` names all keystores that do not open; `--indexes` leaves validators out")
}

/// Refuses a file that is there before anybody is asked anything.
pub(super) fn refuse_present(path: &Path) -> Result<(), CliError> {
    // A link that leads nowhere is there as well.
    if fs::symlink_metadata(path).is_ok() {
        let path = path.to_owned();
        return Err(not_written(&WriteError::Exists { path }));
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    match parent.filter(|parent| !parent.is_dir()) {
        None => Ok(()),
        Some(parent) => Err(CliError::new(
            Kind::Usage,
            format_args!("there is no directory `{}`", parent.display()),
        )
        .hint("name a file in a directory that exists with `--output`")),
    }
}

pub(super) fn not_written(error: &WriteError) -> CliError {
    let kind = match error {
        WriteError::Exists { .. } | WriteError::Symlink { .. } | WriteError::NotAFile { .. } => Kind::Usage,
        _ => Kind::Failed,
    };
    CliError::from_error(kind, error).hint("name a new file with `--output`")
}

/// Says what the file is.
pub(super) fn drawer(path: &Path, ui: &Ui) {
    ui.warn(format_args!(
        "`{}` holds signed exits, which do not expire: whoever has it can make these validators exit at any time; keep it like a key",
        path.display()
    ));
    ui.say("Nothing was sent. To exit a validator, POST its element to /eth/v1/beacon/pool/voluntary_exits of any consensus node.");
}

const MOST_CAUSES: usize = 10;
