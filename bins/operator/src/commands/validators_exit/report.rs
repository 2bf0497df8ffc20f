//! What became of each validator, for a person and for a program.

use std::{fmt, path::Path};

use serde_json::{Value, json};
use sw_chain_client::{EndpointFailure, ExitOutcome, ExitRefusal};
use sw_key_ops::{KnownValidator, LeftOut};
use sw_spec::{Address, Epoch};

use super::words::listed;
use crate::{
    error::{CliError, Kind},
    ui::Ui,
};

/// What became of a validator that was chosen.
#[derive(Debug)]
pub(super) enum Fate {
    /// It would be exited.
    Listed,
    /// Its exit is in the file.
    Signed,
    /// A node took its exit; others may have refused it before.
    Accepted(Option<String>),
    /// Its exit was sent, and a node has it, though none was heard to take it.
    Arrived(String),
    /// It had an exit before.
    AlreadyKnown(String),
    /// The nodes say no.
    Refused(String),
    /// Its exit may have arrived.
    Unknown(String),
    /// Its exit did not reach a node.
    NotSent(String),
}

impl Fate {
    fn name(&self) -> &'static str {
        match self {
            Self::Listed => "would_exit",
            Self::Signed => "signed",
            Self::Accepted(_) => "accepted",
            Self::Arrived(_) => "arrived",
            Self::AlreadyKnown(_) => "already_known",
            Self::Refused(_) => "refused",
            Self::Unknown(_) => "unknown",
            Self::NotSent(_) => "not_sent",
        }
    }

    fn reason(&self) -> Option<&str> {
        match self {
            Self::Listed | Self::Signed => None,
            Self::Accepted(reason) => reason.as_deref(),
            Self::Arrived(reason)
            | Self::AlreadyKnown(reason)
            | Self::Refused(reason)
            | Self::Unknown(reason)
            | Self::NotSent(reason) => Some(reason),
        }
    }

    fn is_under_way(&self) -> bool {
        matches!(self, Self::Accepted(_) | Self::Arrived(_) | Self::AlreadyKnown(_))
    }
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Listed => "it would be exited",
            Self::Signed => "its exit is signed",
            Self::Accepted(_) => "its exit was accepted",
            Self::Arrived(_) => "its exit was sent and has arrived",
            Self::AlreadyKnown(_) => "it exits already",
            Self::Refused(_) => "its exit was refused",
            Self::Unknown(_) => "its exit may have arrived, but nobody can tell",
            Self::NotSent(_) => "its exit was not sent",
        })?;
        match self.reason() {
            Some(reason) => write!(f, ": {reason}"),
            None => Ok(()),
        }
    }
}

impl From<ExitOutcome> for Fate {
    fn from(outcome: ExitOutcome) -> Self {
        match outcome {
            ExitOutcome::Accepted { refusals, .. } if refusals.is_empty() => Self::Accepted(None),
            ExitOutcome::Accepted { endpoint, refusals } => {
                Self::Accepted(Some(format!("{endpoint} took it; {}", said(&refusals, &[]))))
            }
            ExitOutcome::Arrived { endpoint, seen } => {
                Self::Arrived(format!("the answer was lost, and {endpoint} shows it: {seen}"))
            }
            ExitOutcome::AlreadyKnown { endpoint, seen } => Self::AlreadyKnown(format!("{endpoint} shows it: {seen}")),
            ExitOutcome::Refused { refusals, failures } => Self::Refused(said(&refusals, &failures)),
            ExitOutcome::Unknown { refusals, failures } => Self::Unknown(said(&refusals, &failures)),
            _ => Self::Unknown("the outcome is not known".to_owned()),
        }
    }
}

fn said(refusals: &[ExitRefusal], failures: &[EndpointFailure]) -> String {
    let refusals = refusals.iter().map(ToString::to_string);
    let lines: Vec<_> = refusals.chain(failures.iter().map(ToString::to_string)).collect();
    lines.join("; ")
}

/// All there is to tell at the end.
pub(super) struct Report<'a> {
    pub(super) vault: Address,
    pub(super) network: &'a str,
    pub(super) epoch: Epoch,
    /// Of the validators that were chosen, in order.
    pub(super) fates: Vec<(KnownValidator, Fate)>,
    pub(super) left_out: &'a [LeftOut],
    pub(super) output: Option<&'a Path>,
    pub(super) is_dry: bool,
}

impl Report<'_> {
    /// Gives all that were chosen the same fate.
    pub(super) fn all_are(&mut self, chosen: &[KnownValidator], fate: impl Fn() -> Fate) {
        self.fates = chosen.iter().map(|validator| (*validator, fate())).collect();
    }

    /// Prints the result in one line, if there is one.
    pub(super) fn print(&self, ui: &Ui) -> Result<(), CliError> {
        let under_way: Vec<u64> = self.of(Fate::is_under_way);
        if !under_way.is_empty() {
            let indexes = ui.strong(listed(&under_way)).to_string();
            return ui.result(format_args!("Validators {indexes} exits successfully initiated"));
        }
        let chosen = self.of(|fate| matches!(fate, Fate::Listed | Fate::Signed));
        if chosen.is_empty() {
            return Ok(());
        }
        let indexes = ui.strong(listed(&chosen)).to_string();
        match self.output {
            Some(path) => ui.result(format_args!(
                "Signed exits of validators {indexes} saved to {}",
                ui.strong(path.display())
            )),
            None => ui.result(format_args!("Validators {indexes} would be exited")),
        }
    }

    pub(super) fn to_json(&self) -> Value {
        let chosen = self.fates.iter().map(|(validator, fate)| {
            json!({
                "index": validator.index,
                "public_key": validator.public_key,
                "status": validator.status,
                "outcome": fate.name(),
                "reason": fate.reason(),
            })
        });
        let left_out = self.left_out.iter().map(|validator| {
            json!({
                "index": validator.index,
                "public_key": validator.public_key,
                "status": validator.status,
                "outcome": "left_out",
                "kind": validator.reason.name(),
                "reason": validator.reason.to_string(),
            })
        });
        json!({
            "schema": "operator.validators-exit.v1",
            "vault": self.vault,
            "network": self.network,
            "epoch": self.epoch,
            "dry_run": self.is_dry,
            // Where nobody can exit, no file is written.
            "output": self.output.filter(|_| !self.fates.is_empty()).map(|path| path.display().to_string()),
            "validators": chosen.chain(left_out).collect::<Vec<_>>(),
        })
    }

    /// Whether all that were sent are on their way.
    pub(super) fn verdict(&self, stopped_by: Option<Kind>) -> Result<(), CliError> {
        let (all, under_way) = (self.fates.len(), self.of(Fate::is_under_way).len());
        if under_way == all {
            return Ok(());
        }
        let unknown = self.of(|fate| matches!(fate, Fate::Unknown(_)));
        let kind = match stopped_by {
            Some(kind) => kind,
            None if under_way > 0 || !unknown.is_empty() => Kind::PartlyDone,
            None => Kind::Failed,
        };
        let message = format!("{under_way} of {all} validators exit");
        let mut error = CliError::new(kind, message);
        for (validator, fate) in self
            .fates
            .iter()
            .filter(|(_, fate)| !fate.is_under_way())
            .take(MOST_CAUSES)
        {
            error = error.cause(format_args!("validator {}: {fate}", validator.index));
        }
        let more = all.saturating_sub(under_way).saturating_sub(MOST_CAUSES);
        if more > 0 {
            error = error.cause(format_args!("{more} more"));
        }
        Err(error.hint("run this again for those that are left: a validator that exits already is left out"))
    }

    fn of(&self, is: impl Fn(&Fate) -> bool) -> Vec<u64> {
        let those = self.fates.iter().filter(|(_, fate)| is(fate));
        those.map(|(validator, _)| validator.index).collect()
    }
}

const MOST_CAUSES: usize = 10;

#[cfg(test)]
mod tests {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};

    use sw_spec::{B256, PublicKeyBytes, ValidatorStatus};

    use super::*;

    #[test]
    fn a_file_whose_name_is_not_unicode_is_told_as_well_as_it_can_be() {
        let validator = KnownValidator {
            index: 7,
            public_key: PublicKeyBytes([1; 48]),
            status: ValidatorStatus::ActiveOngoing,
            activation_epoch: Epoch(0),
            withdrawal_credentials: B256::ZERO,
        };
        let report = Report {
            vault: Address::ZERO,
            network: "mainnet",
            epoch: Epoch(1),
            fates: vec![(validator, Fate::Signed)],
            left_out: &[],
            output: Some(Path::new(OsStr::from_bytes(b"drawer\xff.json"))),
            is_dry: false,
        };
        assert_eq!(report.to_json()["output"], "drawer\u{fffd}.json");
    }
}
