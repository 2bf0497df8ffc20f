//! Standard input, byte by byte: nothing is buffered, so no secret stays behind and nothing is taken that was not asked for.

use std::{
    io::{self, Stdin},
    os::fd::AsFd,
};

use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};
use sw_keys::SecretString;
use zeroize::{Zeroize, Zeroizing};

/// What came in.
pub(super) enum Line {
    /// A line, without its end.
    Text(SecretString),
    /// Nothing, and nothing will.
    End,
    /// The person pressed Ctrl-C.
    Interrupted,
}

/// Reads a line; on a terminal it is seen while typed.
pub(super) fn read_line() -> io::Result<Line> {
    read_until(b"\n")
}

/// Reads a line that is not seen. `prompt` is called when typing is safe.
///
/// Ctrl-C must not end the process while the terminal hides what is typed, so it ends the line instead.
pub(super) fn read_hidden_line(prompt: impl FnOnce()) -> io::Result<Line> {
    let _changed = Changed::apply(|modes| {
        modes.local_modes.remove(LocalModes::ECHO | LocalModes::ISIG);
        modes.local_modes.insert(LocalModes::ICANON | LocalModes::ECHONL);
        modes.special_codes[SpecialCodeIndex::VEOL] = CTRL_C;
    })?;
    prompt();
    read_until(&[b'\n', CTRL_C])
}

/// Waits for a single key. `show` is called when keys, and Ctrl-C with them, come here.
pub(super) fn wait_for_key(show: impl FnOnce()) -> io::Result<Line> {
    let _changed = Changed::apply(|modes| {
        modes
            .local_modes
            .remove(LocalModes::ECHO | LocalModes::ISIG | LocalModes::ICANON);
        modes.special_codes[SpecialCodeIndex::VMIN] = 1;
        modes.special_codes[SpecialCodeIndex::VTIME] = 0;
    })?;
    show();
    Ok(match read_byte()? {
        Some(CTRL_C) => Line::Interrupted,
        Some(_) => Line::Text(SecretString::default()),
        None => Line::End,
    })
}

/// Reads everything that is piped in.
pub(super) fn read_to_end() -> io::Result<SecretString> {
    let mut bytes = empty_buffer();
    while let Some(byte) = read_byte()? {
        push(&mut bytes, byte)?;
    }
    into_text(bytes)
}

fn read_until(ends: &[u8]) -> io::Result<Line> {
    let mut bytes = empty_buffer();
    loop {
        match read_byte()? {
            Some(end) if ends.contains(&end) => {
                return if end == CTRL_C {
                    Ok(Line::Interrupted)
                } else {
                    into_text(bytes).map(Line::Text)
                };
            }
            Some(byte) => push(&mut bytes, byte)?,
            None if bytes.is_empty() => return Ok(Line::End),
            None => return into_text(bytes).map(Line::Text),
        }
    }
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

fn into_text(bytes: Zeroizing<Vec<u8>>) -> io::Result<SecretString> {
    let text = str::from_utf8(&bytes)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "the answer is not UTF-8 text"))?;
    Ok(text.strip_suffix('\r').unwrap_or(text).into())
}

/// Far above 24 words of any language.
const LONGEST_ANSWER: usize = 16 * 1024;
const CTRL_C: u8 = 3;

/// Terminal modes that are put back when this is dropped.
struct Changed {
    stdin: Stdin,
    before: Termios,
}

impl Changed {
    fn apply(change: impl FnOnce(&mut Termios)) -> io::Result<Self> {
        let stdin = io::stdin();
        let before = tcgetattr(stdin.as_fd())?;
        let mut modes = before.clone();
        change(&mut modes);
        tcsetattr(stdin.as_fd(), OptionalActions::Now, &modes)?;
        Ok(Self { stdin, before })
    }
}

impl Drop for Changed {
    fn drop(&mut self) {
        let _ = tcsetattr(self.stdin.as_fd(), OptionalActions::Now, &self.before);
    }
}
