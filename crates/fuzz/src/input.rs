//! How inputs are made: an entry of the corpus with edits, or random bytes. Proptest draws and shrinks the recipe.

use proptest::{collection::vec, prelude::*};

/// A recipe for an input. Zero is the simplest in each part.
#[derive(Debug, Clone)]
pub(crate) struct Recipe {
    /// Which corpus entry; one in sixteen is random bytes instead.
    source: u16,
    seed: u64,
    edits: Vec<Edit>,
}

#[derive(Debug, Clone, Copy)]
struct Edit {
    kind: u8,
    at: u32,
    length: u16,
    value: u32,
}

pub(crate) fn recipes() -> impl Strategy<Value = Recipe> {
    let edit = any::<(u8, u32, u16, u32)>().prop_map(|(kind, at, length, value)| Edit {
        kind,
        at,
        length,
        value,
    });
    (any::<u16>(), any::<u64>(), vec(edit, 0..6)).prop_map(|(source, seed, edits)| Recipe { source, seed, edits })
}

/// What inputs of a target are made of.
pub(crate) struct Material {
    pub(crate) corpus: Vec<Vec<u8>>,
    /// Texts that mean something to the parser.
    pub(crate) tokens: &'static [&'static str],
}

/// No input is longer.
pub(crate) const LONGEST: usize = 1 << 16;

impl Recipe {
    pub(crate) fn make(&self, material: &Material) -> Vec<u8> {
        let mut numbers = Numbers(self.seed);
        let mut bytes = if self.source % 16 == 15 || material.corpus.is_empty() {
            let length = usize::from(self.source >> 4) >> (numbers.next() % 12);
            (0..length).map(|_| numbers.next() as u8).collect()
        } else {
            let index = usize::from(self.source >> 4) % material.corpus.len();
            material.corpus.get(index).cloned().unwrap_or_default()
        };
        for edit in &self.edits {
            edit.apply(&mut bytes, material);
            bytes.truncate(LONGEST);
        }
        bytes
    }
}

impl Edit {
    fn apply(self, bytes: &mut Vec<u8>, material: &Material) {
        let at = self.at as usize % (bytes.len() + 1);
        let length = (usize::from(self.length >> 4) & ((1 << (self.length & 0xf).min(12)) - 1)).min(bytes.len() - at);
        let value = self.value as usize;
        match self.kind % 16 {
            0 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << (value % 8);
                }
            }
            1 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = BYTES.get(value % BYTES.len()).copied().unwrap_or_default();
                }
            }
            2 => drop(bytes.drain(at..at + length)),
            3 => bytes.truncate(at),
            4 => {
                let part = bytes.get(at..at + length).unwrap_or_default().to_vec();
                let times = (1 << (value % 12)).min(LONGEST / part.len().max(1));
                splice(bytes, at, 0, &part.repeat(times));
            }
            5 => {
                let token = material.tokens.get(value % material.tokens.len().max(1)).copied();
                splice(bytes, at, 0, token.unwrap_or_default().as_bytes());
            }
            6 => {
                let other = material.corpus.get(value % material.corpus.len().max(1));
                let from = usize::from(self.length) % other.map_or(1, |other| other.len() + 1);
                bytes.truncate(at);
                bytes.extend(other.and_then(|other| other.get(from..)).unwrap_or_default());
            }
            7 => {
                let mut numbers = Numbers(u64::from(self.value));
                let random: Vec<u8> = (0..length.min(64)).map(|_| numbers.next() as u8).collect();
                splice(bytes, at, length.min(64), &random);
            }
            8..=10 => replace_token(bytes, at, VALUES.get(value % VALUES.len()).copied().unwrap_or("null")),
            11 => replace_digits(bytes, at, DIGITS.get(value % DIGITS.len()).copied().unwrap_or("0")),
            12 => {
                let opening = OPENINGS.get(value % OPENINGS.len()).copied().unwrap_or("[");
                splice(
                    bytes,
                    at,
                    0,
                    opening.repeat(1 + usize::from(self.length) % 2_048).as_bytes(),
                );
            }
            13 => set_word(bytes, at, value),
            14 => {
                // An integer of two, four or eight bytes, either way round: lengths and counts of binary formats.
                let width = 2 << (value % 3);
                let number = u64::from(self.value) >> (self.length % 32);
                let number = if self.length & 0x8000 == 0 {
                    number
                } else {
                    u64::MAX - number
                };
                let number = if self.length & 0x4000 == 0 {
                    number.to_le_bytes()
                } else {
                    number.to_be_bytes()
                };
                splice(bytes, at, width, number.get(..width).unwrap_or_default());
            }
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = byte.wrapping_add(1);
                }
            }
        }
    }
}

fn splice(bytes: &mut Vec<u8>, at: usize, length: usize, with: &[u8]) {
    let end = (at + length).min(bytes.len());
    drop(bytes.splice(at.min(end)..end, with.iter().copied()));
}

/// Puts another value in the place of the JSON value that begins at or after a position.
fn replace_token(bytes: &mut Vec<u8>, at: usize, value: &str) {
    let rest = bytes.get(at..).unwrap_or_default();
    let Some(start) = rest.iter().position(|byte| b"\"-0123456789tfn[{".contains(byte)) else {
        return;
    };
    let token = rest.get(start..).unwrap_or_default();
    let length = match token.first() {
        Some(b'"') => token.iter().skip(1).position(|byte| *byte == b'"').map(|end| end + 2),
        Some(b'[' | b'{') => {
            let mut depth = 0_u32;
            let closes = token.iter().position(|byte| {
                match byte {
                    b'[' | b'{' => depth += 1,
                    b']' | b'}' => depth -= 1,
                    _ => {}
                }
                depth == 0
            });
            closes.map(|end| end + 1)
        }
        _ => token
            .iter()
            .position(|byte| !(byte.is_ascii_alphanumeric() || b"+-.".contains(byte))),
    };
    splice(bytes, at + start, length.unwrap_or(token.len()), value.as_bytes());
}

fn replace_digits(bytes: &mut Vec<u8>, at: usize, digits: &str) {
    let rest = bytes.get(at..).unwrap_or_default();
    let Some(start) = rest.iter().position(u8::is_ascii_digit) else {
        return;
    };
    let digit = |byte: &u8| !byte.is_ascii_digit();
    let length = rest.get(start..).unwrap_or_default().iter().position(digit);
    splice(
        bytes,
        at + start,
        length.unwrap_or(rest.len() - start),
        digits.as_bytes(),
    );
}

/// Puts a number, or another word of the input, in the place of a word of 32 bytes as the ABI has them.
fn set_word(bytes: &mut [u8], at: usize, value: usize) {
    let words = bytes.len() / 32;
    if words == 0 {
        return;
    }
    let number = match value % 8 {
        0 => 0,
        1 => 32,
        2 => bytes.len() as u64,
        3 => u64::MAX,
        4 => (value as u64 / 8 % 64) * 32,
        5 => value as u64 / 8,
        _ => u64::from(u32::MAX),
    };
    let mut word = [0; 32];
    word.iter_mut()
        .rev()
        .zip(number.to_le_bytes())
        .for_each(|(byte, digit)| *byte = digit);
    if value % 8 == 7 {
        let from = value / 8 % words * 32;
        word.copy_from_slice(bytes.get(from..from + 32).unwrap_or(&[0xff; 32]));
    }
    let to = at / 32 % words * 32;
    if let Some(place) = bytes.get_mut(to..to + 32) {
        place.copy_from_slice(&word);
    }
}

/// SplitMix64 (Steele, Lea and Flood, 2014).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

const BYTES: [u8; 16] = [
    0, 1, 0x7f, 0x80, 0xff, b'"', b'\\', b'{', b'[', b',', b'\n', b'0', b'x', b' ', 0xc3, 0xed,
];

const VALUES: [&str; 28] = [
    "null",
    "true",
    "0",
    "-1",
    "-0",
    "1.5",
    "1e400",
    "255",
    "4294967296",
    "18446744073709551615",
    "18446744073709551616",
    "340282366920938463463374607431768211456",
    "\"\"",
    "\"0\"",
    "\"18446744073709551615\"",
    "\"18446744073709551616\"",
    "\"0x\"",
    "\"0x0\"",
    "\"0x00\"",
    "\"0xffffffffffffffff\"",
    "\"0x10000000000000000\"",
    "\"0xffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff\"",
    "\"\\ud800\"",
    "\"\\u0000\u{e9}\u{1f980}\"",
    "[]",
    "{}",
    "[[]]",
    "{\"\":{}}",
];

const DIGITS: [&str; 12] = [
    "0",
    "1",
    "00",
    "255",
    "256",
    "65536",
    "2147483648",
    "4294967295",
    "4294967296",
    "9223372036854775808",
    "18446744073709551615",
    "340282366920938463463374607431768211456",
];

const OPENINGS: [&str; 6] = ["[", "{\"a\":", "{", "\"", "\u{e9}", "a = [["];
