//! Standard input, byte by byte: nothing is buffered, so no secret stays behind and nothing is taken that was not asked for.

use std::{
    fmt,
    io::{self, Stdin},
    os::fd::AsFd,
    time::Duration,
};

use nix::sys::{
    signal::{SigSet, SigmaskHow, Signal},
    signalfd::SignalFd,
};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr},
};
use sw_keys::SecretString;
use zeroize::{Zeroize, Zeroizing};

use super::{
    keys::{Decoder, Key},
    write_stderr,
};

/// What came in.
pub(super) enum Line {
    /// A line, without its end.
    Text(SecretString),
    /// Nothing, and nothing will.
    End,
    /// The person pressed Ctrl-C, or the process is to end.
    Interrupted,
}

/// Reads a line; on a terminal it is seen while typed.
pub(super) fn read_line() -> io::Result<Line> {
    let mut bytes = empty_buffer();
    loop {
        match read_byte()? {
            Some(b'\n') => return into_text(&bytes).map(Line::Text),
            Some(byte) => push(&mut bytes, byte)?,
            None if bytes.is_empty() => return Ok(Line::End),
            None => return into_text(&bytes).map(Line::Text),
        }
    }
}

/// Reads everything that is piped in.
pub(super) fn read_to_end() -> io::Result<SecretString> {
    let mut bytes = empty_buffer();
    while let Some(byte) = read_byte()? {
        push(&mut bytes, byte)?;
    }
    into_text(&bytes)
}

fn read_byte() -> io::Result<Option<u8>> {
    let mut byte = [0];
    loop {
        match rustix::io::read(io::stdin(), &mut byte) {
            Ok(0) => return Ok(None),
            Ok(_) => {
                let [read] = byte;
                byte.zeroize();
                return Ok(Some(read));
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Never grows, so that no copy of a secret is left behind.
fn empty_buffer() -> Zeroizing<Vec<u8>> {
    Zeroizing::new(Vec::with_capacity(LONGEST_ANSWER))
}

fn push(bytes: &mut Zeroizing<Vec<u8>>, byte: u8) -> io::Result<()> {
    if bytes.len() == LONGEST_ANSWER {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the answer is too long"));
    }
    bytes.push(byte);
    Ok(())
}

fn into_text(bytes: &[u8]) -> io::Result<SecretString> {
    let text = str::from_utf8(bytes)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "the answer is not UTF-8 text"))?;
    Ok(text.strip_suffix('\r').unwrap_or(text).into())
}

/// Far above 24 words of any language.
const LONGEST_ANSWER: usize = 16 * 1024;

/// The terminal's keys, one by one and not echoed, Ctrl-C among them.
///
/// The signals that end a process wait until this is dropped, so that the terminal is as it was by then.
pub(super) struct Keyboard {
    stdin: Stdin,
    before: Termios,
    signals: SignalFd,
    unblocked: SigSet,
    decoder: Decoder,
}

impl Keyboard {
    pub(super) fn open() -> io::Result<Self> {
        let stdin = io::stdin();
        let before = tcgetattr(stdin.as_fd())?;
        let ending = SigSet::from_iter([Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM]);
        let signals = SignalFd::new(&ending)?;
        let unblocked = ending.thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
        let keyboard = Self {
            stdin,
            before,
            signals,
            unblocked,
            decoder: Decoder::default(),
        };
        let mut modes = keyboard.before.clone();
        modes
            .local_modes
            .remove(LocalModes::ECHO | LocalModes::ECHONL | LocalModes::ISIG | LocalModes::ICANON | LocalModes::IEXTEN);
        modes.special_codes[SpecialCodeIndex::VMIN] = 1;
        modes.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(keyboard.stdin.as_fd(), OptionalActions::Now, &modes)?;
        Ok(keyboard)
    }

    /// Waits for the next key, without end or as long as `patience` lasts. A signal counts as Ctrl-C: the process ends of
    /// it when this is dropped.
    pub(super) fn next(&mut self, patience: Option<Duration>) -> io::Result<Option<Key>> {
        let patience = patience.and_then(|patience| Timespec::try_from(patience).ok());
        loop {
            let mut ready = [
                PollFd::new(&self.stdin, PollFlags::IN),
                PollFd::new(&self.signals, PollFlags::IN),
            ];
            match poll(&mut ready, patience.as_ref()) {
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
                Ok(0) => return Ok(None),
                Ok(_) => {}
            }
            let [_, signals] = ready;
            if !signals.revents().is_empty() {
                return Ok(Some(Key::Interrupt));
            }
            let key = match read_byte()? {
                Some(byte) => self.decoder.push(byte),
                None => Some(Key::Gone),
            };
            if key.is_some() {
                return Ok(key);
            }
        }
    }
}

/// What was typed and not read is dropped: it may be the rest of a phrase, and the shell would run it and remember it.
impl Drop for Keyboard {
    fn drop(&mut self) {
        let _ = tcsetattr(self.stdin.as_fd(), OptionalActions::Flush, &self.before);
        let _ = self.unblocked.thread_set_mask();
    }
}

/// The terminal's other screen, which keeps no lines that scrolled away. Left, wiped, when dropped.
#[derive(Default)]
pub(super) struct Screen {
    shown: bool,
}

impl Screen {
    /// Shows nothing but `text`.
    pub(super) fn draw(&mut self, text: fmt::Arguments<'_>) {
        if !self.shown {
            write_stderr(format_args!("\x1b[?1049h\x1b[?2004h"));
            self.shown = true;
        }
        write_stderr(format_args!("\x1b[H\x1b[J{text}"));
    }

    /// Wiped before it is left: a terminal may keep the other screen, or have none.
    pub(super) fn hide(&mut self) {
        if std::mem::take(&mut self.shown) {
            write_stderr(format_args!("\x1b[H\x1b[J\x1b[?2004l\x1b[?1049l"));
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.hide();
    }
}
