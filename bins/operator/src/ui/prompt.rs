//! Questions: asked on a terminal, or answered by lines that a script pipes in, in the same order.

use std::{fmt::Display, io};

use sw_keys::{ExposeSecret, SecretString};

use super::{
    Ui,
    terminal::{self, Line},
    write_stderr,
};
use crate::error::{CliError, Kind};

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

    /// Asks for a secret, unseen on a terminal, until the answer can be parsed.
    pub(crate) fn secret<T, E: Display>(
        &self,
        question: Question<'_>,
        parse: impl Fn(&SecretString) -> Result<T, E>,
    ) -> Result<T, CliError> {
        let prompt = format!("{}: ", question.text);
        loop {
            let line = if self.stdin_is_terminal {
                terminal::read_hidden_line(|| self.prompt(&prompt))
            } else {
                self.prompt(&prompt);
                terminal::read_line()
            };
            let text = given_answer(line.map_err(|error| unreadable(&error))?, question)?;
            match parse(&text) {
                Ok(answer) => return Ok(answer),
                Err(reason) => self.reject(reason),
            }
        }
    }

    /// Takes all that is piped in as one secret; on a terminal asks for it.
    pub(crate) fn secret_from_stdin(&self, question: Question<'_>) -> Result<SecretString, CliError> {
        if self.stdin_is_terminal {
            return self.secret(question, |text| Ok::<_, &str>(text.clone()));
        }
        terminal::read_to_end().map_err(|error| unreadable(&error))
    }

    /// Shows `text` until a key is pressed, and takes it off the screen again.
    pub(crate) fn show_until_key(&self, text: &str, farewell: &str) -> Result<(), CliError> {
        if !self.is_interactive() {
            self.say(text);
            return Ok(());
        }
        let (enter, leave) = if self.dumb {
            ("", "\n")
        } else {
            ("\x1b[?1049h\x1b[H", "\x1b[?1049l")
        };
        let pressed = terminal::wait_for_key(|| write_stderr(format_args!("{enter}{text}\n{farewell}")));
        write_stderr(format_args!("{leave}"));
        match pressed.map_err(|error| unreadable(&error))? {
            Line::Interrupted => Err(interrupted()),
            Line::End | Line::Text(_) => Ok(()),
        }
    }

    /// A script's log reads better when each question ends its line.
    fn prompt(&self, text: &str) {
        let end = if self.stdin_is_terminal { "" } else { "\n" };
        write_stderr(format_args!("{text}{end}"));
    }

    fn reject(&self, reason: impl Display) {
        self.failure(&reason.to_string(), &[], &[]);
    }
}

fn given_answer(line: Line, question: Question<'_>) -> Result<SecretString, CliError> {
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

fn interrupted() -> CliError {
    CliError::new(Kind::Interrupted, "interrupted; nothing was written")
}

fn unreadable(error: &io::Error) -> CliError {
    CliError::caused_by(Kind::Failed, "cannot read the answer from standard input", error)
}
