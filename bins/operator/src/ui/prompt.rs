//! Questions: asked on a terminal, or answered by lines that a script pipes in, in the same order.

use std::{fmt::Display, io};

use sw_keys::{ExposeSecret, SecretString};

use super::{
    Ui,
    terminal::{self, Line},
    write_stderr,
};
use crate::{
    argv,
    error::{CliError, Kind},
};

/// A question, and the flag that answers it beforehand.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Question<'a> {
    /// What is asked.
    pub(crate) text: &'a str,
    /// The flag that answers it, in backticks.
    pub(crate) flag: &'a str,
    /// What an empty answer means.
    pub(crate) default: Option<&'a str>,
}

impl Ui {
    /// Returns `given`, or asks until the answer can be parsed.
    pub(crate) fn answer<T, E: Display>(
        &self,
        given: Option<T>,
        question: Question<'_>,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Result<T, CliError> {
        if let Some(given) = given {
            return Ok(given);
        }
        let prompt = match question.default {
            Some(default) => format!("{} [{default}]: ", question.text),
            None => format!("{}: ", question.text),
        };
        loop {
            self.prompt(&prompt);
            let line = terminal::read_line().map_err(|error| unreadable(&error))?;
            let text = given_answer(line, question)?;
            if argv::is_phrase(text.expose_secret().as_ref()) {
                self.reject("that is a mnemonic, and not what was asked for");
                continue;
            }
            let answer = match (text.expose_secret().trim(), question.default) {
                ("", Some(default)) => parse(default),
                (typed, _) => parse(typed),
            };
            match answer {
                Ok(answer) => return Ok(answer),
                Err(reason) => self.reject(reason),
            }
        }
    }

    /// A script's log reads better when each question ends its line.
    pub(super) fn prompt(&self, text: &str) {
        let end = if self.stdin_is_terminal { "" } else { "\n" };
        write_stderr(format_args!("{text}{end}"));
    }

    pub(super) fn reject(&self, reason: impl Display) {
        self.failure(&reason.to_string(), &[], &[]);
    }
}

pub(super) fn given_answer(line: Line, question: Question<'_>) -> Result<SecretString, CliError> {
    match line {
        Line::Text(text) => Ok(text),
        Line::Interrupted => Err(interrupted()),
        Line::End => Err(
            CliError::new(Kind::Usage, format_args!("no answer to `{}`", question.text.trim_end()))
                .cause("standard input ended")
                .hint(format_args!("use {}, or answer in a terminal", question.flag)),
        ),
    }
}

pub(super) fn interrupted() -> CliError {
    CliError::new(Kind::Interrupted, "interrupted; nothing was written")
}

pub(super) fn unreadable(error: &io::Error) -> CliError {
    CliError::caused_by(Kind::Failed, "cannot read the answer from standard input", error)
}
