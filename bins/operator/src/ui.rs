//! What a person sees: results on stdout, everything said to them on stderr.

mod keys;
mod phrase;
mod phrase_entry;
mod progress;
mod prompt;
mod terminal;

use std::{
    env,
    fmt::{self, Display},
    io::{self, IsTerminal, Write},
    time::Duration,
};

use zeroize::Zeroizing;

pub(crate) use self::prompt::Question;
use crate::error::{CliError, Kind};

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum ColorWhen {
    #[default]
    Auto,
    Always,
    Never,
}

/// The streams of this process, and what they can show.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ui {
    stdin_is_terminal: bool,
    stderr_is_terminal: bool,
    dumb: bool,
    verbose: bool,
    color_out: bool,
    color_err: bool,
    /// How long words are shown without a key being pressed.
    patience: Duration,
}

impl Ui {
    /// Looks at the streams and the environment.
    pub(crate) fn new(color: ColorWhen, verbose: bool) -> Self {
        let set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = env::var_os("TERM").is_some_and(|term| term == "dumb");
        let colored = |is_terminal: bool| match color {
            ColorWhen::Always => true,
            ColorWhen::Never => false,
            ColorWhen::Auto => !set("NO_COLOR") && (set("FORCE_COLOR") || (is_terminal && !dumb)),
        };
        let (stdin_is_terminal, stderr_is_terminal) = (io::stdin().is_terminal(), io::stderr().is_terminal());
        Self {
            stdin_is_terminal,
            stderr_is_terminal,
            dumb,
            verbose,
            color_out: colored(io::stdout().is_terminal()),
            color_err: colored(stderr_is_terminal),
            patience: env::var("MNEMONIC_HIDE_AFTER")
                .ok()
                .and_then(|seconds| seconds.parse().ok())
                .map_or(PATIENCE, Duration::from_secs),
        }
    }

    /// No colour, no questions: for what is said before the arguments are understood.
    pub(crate) fn plain() -> Self {
        Self {
            stdin_is_terminal: false,
            stderr_is_terminal: false,
            dumb: true,
            verbose: false,
            color_out: false,
            color_err: false,
            patience: PATIENCE,
        }
    }

    /// Prints a line of the result.
    pub(crate) fn result(&self, line: impl Display) -> Result<(), CliError> {
        let mut stdout = io::stdout().lock();
        writeln!(stdout, "{line}")
            .and_then(|()| stdout.flush())
            .map_err(|error| CliError::caused_by(Kind::Failed, "cannot write the result to standard output", &error))
    }

    /// Prints a secret as a line of the result, past the buffer of standard output, which would keep a copy.
    pub(crate) fn secret_result(&self, secret: &str) -> Result<(), CliError> {
        let stdout = io::stdout().lock();
        let mut left = Zeroizing::new(String::with_capacity(secret.len() + 1));
        left.push_str(secret);
        left.push('\n');
        let mut left = left.as_bytes();
        while !left.is_empty() {
            match rustix::io::write(&stdout, left) {
                Ok(written) => left = left.get(written..).unwrap_or_default(),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => {
                    let error = io::Error::from(error);
                    return Err(CliError::caused_by(
                        Kind::Failed,
                        "cannot write the result to standard output",
                        &error,
                    ));
                }
            }
        }
        Ok(())
    }

    /// Says something.
    pub(crate) fn say(&self, line: impl Display) {
        write_stderr(format_args!("{line}\n"));
    }

    /// Says something that may need attention.
    pub(crate) fn warn(&self, line: impl Display) {
        self.say(format_args!("{} {line}", self.painted(YELLOW, "warning:")));
    }

    /// Says what failed, why, and what to do.
    pub(crate) fn failure(&self, message: &str, causes: &[String], hints: &[String]) {
        self.say(format_args!("{} {message}", self.painted(RED, "error:")));
        for cause in causes {
            self.say(format_args!(
                "  caused by: {}",
                cause.trim_end().replace('\n', "\n    ")
            ));
        }
        for hint in hints {
            self.say(format_args!("{} {hint}", self.painted(CYAN, "hint:")));
        }
    }

    /// The part of a result that matters.
    pub(crate) fn strong<T: Display>(&self, value: T) -> Painted<T> {
        Painted {
            style: self.color_out.then_some(GREEN),
            value,
        }
    }

    fn painted<T: Display>(&self, style: &'static str, value: T) -> Painted<T> {
        Painted {
            style: self.color_err.then_some(style),
            value,
        }
    }

    /// Whether standard error is coloured.
    pub(crate) fn colors_stderr(&self) -> bool {
        self.color_err
    }

    /// Somebody sits there: answers are typed, and what is said is seen.
    pub(crate) fn is_interactive(&self) -> bool {
        self.stdin_is_terminal && self.stderr_is_terminal
    }

    /// Answers are typed, but what is said goes elsewhere.
    pub(crate) fn talks_into_a_file(&self) -> bool {
        self.stdin_is_terminal && !self.stderr_is_terminal
    }
}

/// A value with the escape codes around it that make it stand out, or with none.
pub(crate) struct Painted<T> {
    style: Option<&'static str>,
    value: T,
}

impl<T: Display> Display for Painted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.style {
            Some(style) => write!(f, "\x1b[{style}m{}\x1b[0m", self.value),
            None => self.value.fmt(f),
        }
    }
}

const PATIENCE: Duration = Duration::from_secs(300);
const RED: &str = "1;31";
const GREEN: &str = "1;32";
const YELLOW: &str = "1;33";
const CYAN: &str = "1;36";

/// Nobody can be told when standard error is gone.
fn write_stderr(text: fmt::Arguments<'_>) {
    let mut stderr = io::stderr().lock();
    let _ = stderr.write_fmt(text);
    let _ = stderr.flush();
}
