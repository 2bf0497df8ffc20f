//! Turns errors into words, hints and exit codes.

use std::{error::Error, fmt, process::ExitCode};

use crate::ui::Ui;

/// What kind of failure it is, for whoever reads only the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It did not work.
    Failed,
    /// It was asked for in a way that cannot work, or an answer is missing.
    Usage,
    /// A password or mnemonic was refused.
    Secret,
    /// It could be done, but would endanger keys or files.
    Unsafe,
    /// Some of it is done, nothing is lost, and running it again is safe.
    PartlyDone,
    /// The person stopped it.
    Interrupted,
    /// It was told to end, by a signal.
    Terminated,
    /// A bug of ours, caught.
    Bug,
}

impl Kind {
    fn exit_code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Secret => 4,
            Self::Unsafe => 6,
            Self::PartlyDone => 7,
            Self::Interrupted => 130,
            Self::Terminated => 143,
            Self::Bug => BUG,
        }
    }
}

/// The exit code of a bug of ours (`EX_SOFTWARE` of sysexits.h).
pub(crate) const BUG: u8 = 70;

/// A failure in the words of the person who ran the command.
#[derive(Debug)]
pub(crate) struct CliError {
    kind: Kind,
    message: String,
    causes: Vec<String>,
    hints: Vec<String>,
}

impl CliError {
    /// A failure that has no cause but itself.
    pub(crate) fn new(kind: Kind, message: impl fmt::Display) -> Self {
        Self {
            kind,
            message: message.to_string(),
            causes: Vec::new(),
            hints: Vec::new(),
        }
    }

    /// The failure `error`, with all its sources as causes.
    pub(crate) fn from_error(kind: Kind, error: &(dyn Error + 'static)) -> Self {
        Self::new(kind, error).with_causes(error.source())
    }

    /// A failure that `error` is the first cause of.
    pub(crate) fn caused_by(kind: Kind, message: impl fmt::Display, error: &(dyn Error + 'static)) -> Self {
        Self::new(kind, message).with_causes(Some(error))
    }

    /// Adds what could be done about it.
    pub(crate) fn hint(mut self, hint: impl fmt::Display) -> Self {
        self.hints.push(hint.to_string());
        self
    }

    /// Adds one more cause.
    pub(crate) fn cause(mut self, cause: impl fmt::Display) -> Self {
        self.causes.push(cause.to_string());
        self
    }

    fn with_causes(mut self, first: Option<&(dyn Error + 'static)>) -> Self {
        self.causes
            .extend(std::iter::successors(first, |error| (*error).source()).map(ToString::to_string));
        self
    }

    /// Prints the failure and returns its exit code.
    pub(crate) fn report(&self, ui: &Ui) -> ExitCode {
        ui.failure(&self.message, &self.causes, &self.hints);
        ExitCode::from(self.kind.exit_code())
    }
}

/// Has panics said in one line, with the place and without a stack of ours that nobody asked for.
pub(crate) fn report_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let reason = panic.payload_as_str().unwrap_or("no reason given");
        let place = panic
            .location()
            .map(|location| format!(" at {}:{}", location.file(), location.line()));
        let ui = Ui::plain();
        ui.failure(
            &format!("a bug of the operator{}", place.unwrap_or_default()),
            &[reason.to_owned()],
            &["please report these lines; they hold no secret".to_owned()],
        );
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn causes_are_listed_once_each() {
        let error = Outer(std::io::Error::other("inner"));
        assert_eq!(CliError::from_error(Kind::Failed, &error).causes, ["inner"]);
        assert_eq!(
            CliError::caused_by(Kind::Failed, "said", &error).causes,
            ["outer", "inner"]
        );
    }

    #[test]
    fn every_kind_has_the_documented_exit_code() {
        let kinds = [
            Kind::Failed,
            Kind::Usage,
            Kind::Secret,
            Kind::Unsafe,
            Kind::PartlyDone,
            Kind::Interrupted,
            Kind::Terminated,
            Kind::Bug,
        ];
        assert_eq!(kinds.map(Kind::exit_code), [1, 2, 4, 6, 7, 130, 143, 70]);
    }
}
