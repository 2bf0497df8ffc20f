//! The bytes of a terminal as the keys that a person pressed.

/// A key, or a character of what was pasted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    /// A character; in a paste the ends of lines are spaces.
    Char(char),
    Enter,
    Tab,
    Backspace,
    /// Ctrl-W
    EraseWord,
    /// Ctrl-U
    EraseAll,
    /// Ctrl-C
    Interrupt,
    /// Ctrl-D
    End,
    /// The terminal is gone.
    Gone,
}

/// Makes keys of bytes. Keys that mean nothing here, such as the arrows, are taken whole and dropped.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    sequence: Sequence,
    pasted: bool,
    character: [u8; 4],
    length: usize,
}

/// What an escape has begun.
#[derive(Debug, Default, Clone, Copy)]
enum Sequence {
    #[default]
    None,
    Escape,
    /// `ESC O` and one byte.
    Single,
    /// `ESC [`, a number and other parameters, and a letter or `~`.
    Control(u32),
}

impl Decoder {
    /// Takes the next byte.
    pub(super) fn push(&mut self, byte: u8) -> Option<Key> {
        match (std::mem::take(&mut self.sequence), byte) {
            (Sequence::Escape, b'[') => self.sequence = Sequence::Control(0),
            (Sequence::Escape, b'O') => self.sequence = Sequence::Single,
            (Sequence::Control(number), b'0'..=b'9') => {
                let number = number.saturating_mul(10).saturating_add(u32::from(byte - b'0'));
                self.sequence = Sequence::Control(number);
            }
            (Sequence::Control(number), b' '..=b'?') => self.sequence = Sequence::Control(number),
            (Sequence::Control(200), b'~') => self.pasted = true,
            (Sequence::Control(201), b'~') => self.pasted = false,
            (Sequence::Control(_) | Sequence::Single, b'@'..=b'~') => {}
            (_, ESCAPE) => self.sequence = Sequence::Escape,
            _ => return self.plain(byte),
        }
        None
    }

    fn plain(&mut self, byte: u8) -> Option<Key> {
        if byte.is_ascii() {
            self.length = 0;
        }
        Some(match byte {
            0x03 => Key::Interrupt,
            b'\n' | b'\r' | b'\t' if self.pasted => Key::Char(' '),
            b'\n' | b'\r' => Key::Enter,
            b'\t' => Key::Tab,
            0x04 => Key::End,
            0x08 | 0x7f => Key::Backspace,
            0x15 => Key::EraseAll,
            0x17 => Key::EraseWord,
            b' '..=b'~' => Key::Char(char::from(byte)),
            0x80.. => return self.character(byte).map(Key::Char),
            _ => return None,
        })
    }

    /// Bytes that are not UTF-8 text are dropped.
    fn character(&mut self, byte: u8) -> Option<char> {
        *self.character.get_mut(self.length)? = byte;
        self.length += 1;
        match str::from_utf8(self.character.get(..self.length)?) {
            Ok(text) => {
                self.length = 0;
                text.chars().next()
            }
            Err(error) => {
                if error.error_len().is_some() {
                    self.length = 0;
                }
                None
            }
        }
    }
}

const ESCAPE: u8 = 0x1b;

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(bytes: &[u8]) -> Vec<Key> {
        let mut decoder = Decoder::default();
        bytes.iter().filter_map(|byte| decoder.push(*byte)).collect()
    }

    #[test]
    fn arrows_and_other_keys_leave_nothing() {
        assert_eq!(keys(b"\x1b[A\x1b[1;5C\x1bOP\x1b[15~a"), [Key::Char('a')]);
        assert_eq!(keys(b"\x1ba\x1b\x03"), [Key::Char('a'), Key::Interrupt]);
        assert_eq!(keys(b"\x1b[12\r"), [Key::Enter]);
    }

    #[test]
    fn the_ends_of_lines_in_a_paste_are_spaces() {
        assert_eq!(
            keys(b"\x1b[200~a\r\nb\tc\x1b[201~\r"),
            ['a', ' ', ' ', 'b', ' ', 'c']
                .map(Key::Char)
                .into_iter()
                .chain([Key::Enter])
                .collect::<Vec<_>>()
        );
    }

    #[test]
    fn characters_of_several_bytes_are_put_together() {
        assert_eq!(keys("é的😀".as_bytes()), ['é', '的', '😀'].map(Key::Char));
        assert_eq!(
            keys(b"\xe1rbol\xff\xfe\xf0\x9f "),
            "rbol ".chars().map(Key::Char).collect::<Vec<_>>()
        );
    }
}
