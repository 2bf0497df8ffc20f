//! Recovery phrases: BIP-39.

use std::fmt;

use rand_core::CryptoRng;
use sha2::{Digest, Sha256, Sha512};
use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

use crate::{Language, Seed};

/// A recovery phrase whose checksum is right, in full words.
///
/// It is wiped when dropped, cannot be cloned, compared or serialized, and prints only its language and length.
pub struct Mnemonic {
    language: Language,
    word_count: usize,
    phrase: Zeroizing<String>,
}

/// Why a text is not a recovery phrase. The words themselves are never repeated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MnemonicError {
    /// Not 12, 15, 18, 21 or 24 words.
    #[error("a mnemonic has 12, 15, 18, 21 or 24 words, got {0}")]
    WordCount(usize),
    /// No list has the first word, nor any other.
    #[error("the words are of none of the eight languages")]
    UnknownLanguage,
    /// Words that the most likely language does not have; their positions start at 1.
    #[error("not in the {language} word list: {}", positions_text(.positions))]
    UnknownWords {
        /// The language that has most of the words.
        language: Language,
        /// Where the others stand, from 1.
        positions: Vec<usize>,
    },
    /// All words exist, and together they are wrong: one is mistaken for another, or the order is.
    #[error("the checksum of the {language} words is wrong: a word is mistaken for another, or the order is")]
    WrongChecksum {
        /// The language of the words.
        language: Language,
    },
    /// The text is a valid phrase in several languages, which lead to different keys.
    #[error("the mnemonic is valid in {} and in {}; write every word in full", .first, .second)]
    Ambiguous {
        /// One language.
        first: Language,
        /// Another.
        second: Language,
    },
}

impl Mnemonic {
    /// Draws a phrase of 24 words (256 bits).
    pub fn generate(language: Language, rng: &mut (impl CryptoRng + ?Sized)) -> Self {
        let mut entropy = Zeroizing::new([0; MAX_ENTROPY]);
        rng.fill_bytes(entropy.as_mut_slice());
        Self::from_entropy_bits(language, entropy.as_slice())
    }

    /// Makes the phrase of the given entropy.
    ///
    /// # Errors
    /// When it does not have 16, 20, 24, 28 or 32 bytes.
    pub fn from_entropy(language: Language, entropy: &[u8]) -> Result<Self, InvalidEntropyLength> {
        match entropy.len() {
            16 | 20 | 24 | 28 | 32 => Ok(Self::from_entropy_bits(language, entropy)),
            length => Err(InvalidEntropyLength(length)),
        }
    }

    fn from_entropy_bits(language: Language, entropy: &[u8]) -> Self {
        let checksum = checksum(entropy);
        let bits = entropy
            .iter()
            .chain([&checksum])
            .flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1));
        let mut indexes = Zeroizing::new(Vec::with_capacity(MAX_WORDS));
        let mut index = 0;
        for (position, bit) in bits.take(entropy.len() * 8 + entropy.len() / 4).enumerate() {
            index = index << 1 | usize::from(bit);
            if position % BITS_PER_WORD == BITS_PER_WORD - 1 {
                indexes.push(std::mem::take(&mut index));
            }
        }
        Self::from_indexes(language, &indexes)
    }

    fn from_indexes(language: Language, indexes: &[usize]) -> Self {
        // Room for the longest words, so that the secret is not copied while the text grows.
        let mut phrase = Zeroizing::new(String::with_capacity(MAX_WORDS * 40));
        for word in indexes.iter().filter_map(|index| language.words().get(*index)) {
            if !phrase.is_empty() {
                phrase.push(' ');
            }
            phrase.push_str(word);
        }
        Self {
            language,
            word_count: indexes.len(),
            phrase,
        }
    }

    /// Reads a phrase as people type and store it: quoted, in capitals, widely spaced, in any Unicode form, each word in
    /// full or cut to its first four letters. What is kept, and what keys are derived from, is the phrase in full.
    ///
    /// The language is found by trying all eight: the two Chinese lists share many words.
    ///
    /// # Errors
    /// When the text is not a valid phrase of exactly one language.
    pub fn parse(text: &str) -> Result<Self, MnemonicError> {
        let mut unquoted = Zeroizing::new(String::with_capacity(text.len()));
        unquoted.extend(text.chars().filter(|character| !QUOTES.contains(character)));
        let count = unquoted.split_whitespace().count();
        if !matches!(count, 12 | 15 | 18 | 21 | 24) {
            return Err(MnemonicError::WordCount(count));
        }
        let (mut found, mut failures) = (Vec::<Self>::new(), Vec::new());
        for language in Language::ALL {
            match Self::parse_in(language, &unquoted) {
                // The same text in another list gives the same seed, so it makes nothing ambiguous.
                Ok(mnemonic) if found.iter().any(|other| other.phrase == mnemonic.phrase) => {}
                Ok(mnemonic) => found.push(mnemonic),
                Err(failure) => failures.push(failure),
            }
        }
        if found.iter().any(|mnemonic| mnemonic.is_spelled_out_in(&unquoted)) {
            found.retain(|mnemonic| mnemonic.is_spelled_out_in(&unquoted));
        }
        match (found.pop(), found.pop()) {
            (Some(mnemonic), None) => Ok(mnemonic),
            (None, _) => Err(likeliest(failures, count)),
            (Some(last), Some(other)) => Err(MnemonicError::Ambiguous {
                first: other.language,
                second: last.language,
            }),
        }
    }

    fn parse_in(language: Language, text: &str) -> Result<Self, MnemonicError> {
        let mut indexes = Zeroizing::new(Vec::with_capacity(MAX_WORDS));
        let mut positions = Vec::new();
        for (position, word) in (1..).zip(text.split_whitespace()) {
            match language.find(word) {
                Some(index) => indexes.push(index),
                None => positions.push(position),
            }
        }
        if !positions.is_empty() {
            return Err(MnemonicError::UnknownWords { language, positions });
        }
        if !checksum_matches(&indexes) {
            return Err(MnemonicError::WrongChecksum { language });
        }
        Ok(Self::from_indexes(language, &indexes))
    }

    /// Whether `text` has every word in full.
    fn is_spelled_out_in(&self, text: &str) -> bool {
        let full = self.phrase.split(' ');
        // Letter by letter, so that no copy of a word is left behind.
        full.zip(text.split_whitespace())
            .all(|(full, typed)| typed.chars().flat_map(char::to_lowercase).nfkd().eq(full.nfkd()))
    }

    /// The language of the words.
    pub fn language(&self) -> Language {
        self.language
    }

    /// The words in full, with a space between them.
    pub fn expose_phrase(&self) -> &str {
        &self.phrase
    }

    /// Stretches the phrase into the seed of its keys, without a passphrase, as the original does.
    pub fn to_seed(&self) -> Seed {
        self.to_seed_with_passphrase("")
    }

    /// Stretches the phrase into the seed of other keys for each passphrase.
    ///
    /// The operator uses none: BIP-39's published figures need it.
    pub fn to_seed_with_passphrase(&self, passphrase: &str) -> Seed {
        let mut phrase = Zeroizing::new(String::with_capacity(self.phrase.len() * 3));
        phrase.extend(self.phrase.nfkd());
        let salt: Zeroizing<String> = Zeroizing::new("mnemonic".chars().chain(passphrase.nfkd()).collect());
        let mut seed = Zeroizing::new([0; 64]);
        pbkdf2::pbkdf2_hmac::<Sha512>(phrase.as_bytes(), salt.as_bytes(), SEED_ITERATIONS, seed.as_mut_slice());
        Seed::from_array(&seed)
    }
}

impl fmt::Debug for Mnemonic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mnemonic")
            .field("language", &self.language)
            .field("word_count", &self.word_count)
            .finish_non_exhaustive()
    }
}

/// Entropy of another length than BIP-39 knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the entropy of a mnemonic has 16, 20, 24, 28 or 32 bytes, got {0}")]
pub struct InvalidEntropyLength(usize);

/// What to tell a person whose phrase is valid in no language: about the language that came closest.
fn likeliest(failures: Vec<MnemonicError>, count: usize) -> MnemonicError {
    let unknown = |failure: &MnemonicError| match failure {
        MnemonicError::UnknownWords { positions, .. } => positions.len(),
        _ => 0,
    };
    match failures.into_iter().min_by_key(unknown) {
        Some(failure) if unknown(&failure) < count => failure,
        _ => MnemonicError::UnknownLanguage,
    }
}

/// The first byte of the entropy's SHA-256, of which one bit for each four bytes of entropy counts.
fn checksum(entropy: &[u8]) -> u8 {
    let [first, ..] = <[u8; 32]>::from(Sha256::digest(entropy));
    first
}

fn checksum_matches(indexes: &[usize]) -> bool {
    let total_bits = indexes.len() * BITS_PER_WORD;
    let entropy_bits = total_bits / 33 * 32;
    let mut bytes = Zeroizing::new([0_u8; MAX_ENTROPY + 1]);
    let bits = indexes
        .iter()
        .flat_map(|index| (0..BITS_PER_WORD).rev().map(move |bit| index >> bit & 1 == 1));
    for (position, _) in bits.enumerate().filter(|(_, bit)| *bit) {
        if let Some(byte) = bytes.get_mut(position / 8) {
            *byte |= 0x80 >> (position % 8);
        }
    }
    let (entropy, stated) = bytes.split_at(entropy_bits / 8);
    let unused = 8 - (total_bits - entropy_bits);
    stated
        .first()
        .is_some_and(|stated| stated >> unused == checksum(entropy) >> unused)
}

fn positions_text(positions: &[usize]) -> String {
    let list: Vec<String> = positions.iter().map(usize::to_string).collect();
    match list.as_slice() {
        [single] => format!("word {single}"),
        _ => format!("words {}", list.join(", ")),
    }
}

const BITS_PER_WORD: usize = 11;
const MAX_WORDS: usize = 24;
const MAX_ENTROPY: usize = 32;
/// BIP-39, "From mnemonic to seed".
const SEED_ITERATIONS: u32 = 2048;
/// What a shell, a JSON file, an editor (its byte order mark) or a word processor may put around the phrase or its words.
const QUOTES: [char; 7] = ['"', '\'', '\u{feff}', '\u{2018}', '\u{2019}', '\u{201c}', '\u{201d}'];
