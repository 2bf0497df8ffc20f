//! A seed phrase at the terminal: typed unseen or word by word, and shown where it leaves nothing.

use std::{fmt::Display, io, time::Duration};

use rustix::termios::tcgetwinsize;
use sw_keys::SecretString;

use super::{
    Ui,
    keys::Key,
    phrase_entry::{Mode, Outcome, PhraseEntry},
    prompt::{Question, given_answer, interrupted, unreadable},
    terminal::{self, Keyboard, Line, Screen},
    write_stderr,
};
use crate::error::CliError;

impl Ui {
    /// Asks for a seed phrase until the answer can be parsed. On a terminal it is typed unseen, or word by word.
    pub(crate) fn phrase<T, E: Display>(
        &self,
        question: Question<'_>,
        parse: impl Fn(&SecretString) -> Result<T, E>,
    ) -> Result<T, CliError> {
        let prompt = format!("{}: ", question.text);
        if self.has_screen() {
            self.say("What you type is not shown. Tab: type word by word, with completion.");
        }
        loop {
            let line = if self.stdin_is_terminal {
                self.type_phrase(&prompt, question.text)
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

    /// Takes all that is piped in as one phrase; on a terminal asks for it.
    pub(crate) fn phrase_from_stdin(&self, question: Question<'_>) -> Result<SecretString, CliError> {
        if self.stdin_is_terminal {
            return self.phrase(question, |text| Ok::<_, &str>(text.clone()));
        }
        terminal::read_to_end().map_err(|error| unreadable(&error))
    }

    /// Shows `text` until a key is pressed, and takes it off the screen again.
    pub(crate) fn show_until_key(&self, text: &str, farewell: &str) -> Result<(), CliError> {
        if !self.is_interactive() {
            self.say(text);
            return Ok(());
        }
        match self.key_after(text, farewell).map_err(|error| unreadable(&error))? {
            Key::Interrupt => Err(interrupted()),
            _ => Ok(()),
        }
    }

    fn key_after(&self, text: &str, farewell: &str) -> io::Result<Key> {
        let mut keyboard = Keyboard::open()?;
        if self.dumb {
            write_stderr(format_args!("{text}\n{farewell}"));
            let key = keyboard.next(None)?;
            write_stderr(format_args!("\n"));
            return Ok(key.unwrap_or(Key::Gone));
        }
        let mut screen = Screen::default();
        loop {
            screen.draw(format_args!("{text}\n{farewell}"));
            if let Some(key) = self.key_on(&mut screen, &mut keyboard)? {
                return Ok(key);
            }
        }
    }

    /// The next key. None when there was none for long: what was shown has been hidden until there was one.
    fn key_on(&self, screen: &mut Screen, keyboard: &mut Keyboard) -> io::Result<Option<Key>> {
        let key = keyboard.next(Some(self.patience))?;
        if key.is_some() {
            return Ok(key);
        }
        screen.hide();
        self.say("Nobody seemed to be there, so the words were taken off the screen. Press any key to see them again.");
        let key = keyboard.next(None)?;
        Ok(key.filter(|key| matches!(key, Key::Interrupt | Key::Gone)))
    }

    fn type_phrase(&self, prompt: &str, title: &str) -> io::Result<Line> {
        let mut keyboard = Keyboard::open()?;
        self.prompt(prompt);
        let mut entry = PhraseEntry::new();
        let mut screen = Screen::default();
        let mut status = Status::beside(prompt, self.has_screen());
        let mut ahead = None;
        let outcome = loop {
            let key = match ahead.take() {
                None => keyboard.next(Some(Duration::ZERO))?,
                key => key,
            };
            let key = match (key, entry.mode()) {
                (None, Mode::Hidden) => {
                    status.draw(&entry.summary());
                    keyboard.next(None)?
                }
                (None, Mode::Words) => {
                    screen.draw(format_args!("{}", entry.screen(title).as_str()));
                    self.key_on(&mut screen, &mut keyboard)?
                }
                (key, _) => key,
            };
            let key = match key {
                Some(Key::Tab) if !self.has_screen() => Some(Key::Char(' ')),
                // In what is pasted lines end, too: more is there already, or comes at once.
                Some(Key::Enter) if entry.may_go_on() => {
                    ahead = keyboard.next(Some(PASTE))?;
                    Some(if ahead.is_some() { Key::Char(' ') } else { Key::Enter })
                }
                key => key,
            };
            match key.map_or(Outcome::More, |key| entry.press(key)) {
                Outcome::More => {}
                outcome => break outcome,
            }
        };
        screen.hide();
        status.draw("");
        write_stderr(format_args!("\n"));
        Ok(match outcome {
            Outcome::More | Outcome::Done => Line::Text(entry.text()),
            Outcome::End => Line::End,
            Outcome::Interrupted => Line::Interrupted,
        })
    }

    /// Standard error is a terminal that can be drawn on.
    fn has_screen(&self) -> bool {
        self.is_interactive() && !self.dumb
    }
}

/// How long the rest of what is pasted may take.
const PASTE: Duration = Duration::from_millis(50);

/// A few words behind the cursor, written over without a single escape code.
struct Status {
    room: usize,
    drawn: usize,
}

impl Status {
    fn beside(prompt: &str, drawable: bool) -> Self {
        let columns = match tcgetwinsize(io::stderr()) {
            _ if !drawable => 0,
            Ok(size) if size.ws_col > 0 => usize::from(size.ws_col),
            _ => 80,
        };
        let before = prompt.lines().last().map_or(0, |line| line.chars().count());
        Self {
            room: columns.saturating_sub(before + 1),
            drawn: 0,
        }
    }

    fn draw(&mut self, text: &str) {
        let text = if text.len() <= self.room { text } else { "" };
        if self.drawn == 0 && text.is_empty() {
            return;
        }
        let rest = self.drawn.saturating_sub(text.len());
        let (back, blank, end) = ("\x08".repeat(self.drawn), " ".repeat(rest), "\x08".repeat(rest));
        write_stderr(format_args!("{back}{text}{blank}{end}"));
        self.drawn = text.len();
    }
}
