//! The eight word lists of BIP-39 that the original accepts.

use std::{fmt, ops::RangeInclusive, str::FromStr, sync::OnceLock};

use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

/// The language of a mnemonic phrase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Language {
    /// `chinese_simplified`
    ChineseSimplified,
    /// `chinese_traditional`
    ChineseTraditional,
    /// `czech`
    Czech,
    /// `english`
    #[default]
    English,
    /// `italian`
    Italian,
    /// `korean`
    Korean,
    /// `portuguese`
    Portuguese,
    /// `spanish`
    Spanish,
}

/// A text that names none of the eight languages.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "no mnemonic language is called `{0}`; use chinese_simplified, chinese_traditional, czech, english, italian, \
     korean, portuguese or spanish"
)]
pub struct ParseLanguageError(String);

impl Language {
    /// All of them, in the original's order.
    pub const ALL: [Self; 8] = [
        Self::ChineseSimplified,
        Self::ChineseTraditional,
        Self::Czech,
        Self::English,
        Self::Italian,
        Self::Korean,
        Self::Portuguese,
        Self::Spanish,
    ];

    /// The name, as in `--language`.
    pub fn name(self) -> &'static str {
        match self {
            Self::ChineseSimplified => "chinese_simplified",
            Self::ChineseTraditional => "chinese_traditional",
            Self::Czech => "czech",
            Self::English => "english",
            Self::Italian => "italian",
            Self::Korean => "korean",
            Self::Portuguese => "portuguese",
            Self::Spanish => "spanish",
        }
    }

    /// The 2048 words, in order.
    pub fn words(self) -> &'static [&'static str; 2048] {
        self.bip39().word_list()
    }

    /// Returns the index of the word that a typed text stands for: its first four letters decide, whatever their case,
    /// accents and Unicode form. In each list no two words share them.
    pub(crate) fn find(self, typed: &str) -> Option<usize> {
        let letters = first_letters(typed);
        let decided = letters.chars().count() == TELLING_LETTERS;
        let found = self.completing(&letters).iter().find(|(word, _)| match decided {
            true => first_letters(word) == letters,
            false => letters.nfd().eq(word.chars()),
        });
        found.map(|(_, index)| *index)
    }

    /// The word that a typed text stands for: in full, or shortened to its first four letters or more.
    pub fn word(self, typed: &str) -> Option<&'static str> {
        self.words().get(self.find(typed)?).copied()
    }

    /// The words that begin with the letters of `typed`, whatever their case, accents and Unicode form; a word that
    /// `typed` has in full comes first.
    pub fn completions(self, typed: &str) -> impl Iterator<Item = &'static str> {
        let found = self.completing(typed);
        found
            .iter()
            .filter_map(move |(_, index)| self.words().get(*index).copied())
    }

    fn completing(self, typed: &str) -> &'static [(String, usize)] {
        let mut letters = Zeroizing::new(String::with_capacity(typed.len() * 4));
        letters.extend(plain_letters(typed));
        let table = self.plain_words();
        let start = table.partition_point(|(word, _)| word.as_str() < letters.as_str());
        let rest = table.get(start..).unwrap_or_default();
        let length = rest.partition_point(|(word, _)| word.starts_with(letters.as_str()));
        rest.get(..length).unwrap_or_default()
    }

    /// The words in plain letters, in the order of these, each with its index.
    fn plain_words(self) -> &'static [(String, usize)] {
        static TABLES: [OnceLock<Vec<(String, usize)>>; 8] = [const { OnceLock::new() }; 8];
        let [
            simplified,
            traditional,
            czech,
            english,
            italian,
            korean,
            portuguese,
            spanish,
        ] = &TABLES;
        let table = match self {
            Self::ChineseSimplified => simplified,
            Self::ChineseTraditional => traditional,
            Self::Czech => czech,
            Self::English => english,
            Self::Italian => italian,
            Self::Korean => korean,
            Self::Portuguese => portuguese,
            Self::Spanish => spanish,
        };
        table.get_or_init(|| {
            let mut table: Vec<_> = self
                .words()
                .iter()
                .enumerate()
                .map(|(index, word)| (plain_letters(word).collect(), index))
                .collect();
            table.sort_unstable();
            table
        })
    }

    fn bip39(self) -> bip39::Language {
        match self {
            Self::ChineseSimplified => bip39::Language::SimplifiedChinese,
            Self::ChineseTraditional => bip39::Language::TraditionalChinese,
            Self::Czech => bip39::Language::Czech,
            Self::English => bip39::Language::English,
            Self::Italian => bip39::Language::Italian,
            Self::Korean => bip39::Language::Korean,
            Self::Portuguese => bip39::Language::Portuguese,
            Self::Spanish => bip39::Language::Spanish,
        }
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Case does not matter.
impl FromStr for Language {
    type Err = ParseLanguageError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL
            .into_iter()
            .find(|language| language.name().eq_ignore_ascii_case(text));
        found.ok_or_else(|| ParseLanguageError(text.chars().take(40).collect()))
    }
}

/// The letters without case, and without the accents that no list needs to tell its words apart. Those of Korean are not put
/// together into syllables, so that a word begins with any part of its first.
fn plain_letters(text: &str) -> impl Iterator<Item = char> {
    text.chars()
        .flat_map(char::to_lowercase)
        .nfkd()
        .filter(|letter| !ACCENTS.contains(letter))
}

fn first_letters(text: &str) -> Zeroizing<String> {
    let mut letters = Zeroizing::new(String::with_capacity(TELLING_LETTERS * 4));
    if text.is_ascii() {
        // The same, and ten times as fast.
        letters.extend(
            text.chars()
                .take(TELLING_LETTERS)
                .map(|letter| letter.to_ascii_lowercase()),
        );
    } else {
        letters.extend(plain_letters(text).nfc().take(TELLING_LETTERS));
    }
    letters
}

/// BIP-39, "Wordlist": the first four letters tell a word from all others of its list.
const TELLING_LETTERS: usize = 4;
/// Unicode's combining diacritical marks.
const ACCENTS: RangeInclusive<char> = '\u{300}'..='\u{36f}';

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_letters_tell_every_word_of_a_list() {
        for language in Language::ALL {
            for (index, word) in language.words().iter().enumerate() {
                assert_eq!(language.find(word), Some(index), "{language} {word}");
                let short: String = word.nfkc().take(4).collect();
                assert_eq!(language.find(&short), Some(index), "{language} {short}");
                let plain: String = plain_letters(word).nfc().take(4).collect();
                assert_eq!(language.find(&plain), Some(index), "{language} {plain}");
            }
        }
    }

    #[test]
    fn a_word_is_completed_from_any_of_its_beginnings() {
        for language in Language::ALL {
            for word in language.words() {
                for typed in [
                    word.nfc().collect::<String>(),
                    word.nfd().collect(),
                    word.to_uppercase(),
                ] {
                    assert_eq!(language.completions(&typed).next(), Some(*word), "{language} {typed}");
                }
                for length in 0..word.nfc().count() {
                    let typed: String = word.nfc().take(length).collect();
                    assert!(
                        language.completions(&typed).any(|found| found == *word),
                        "{language} {typed}"
                    );
                }
            }
            assert_eq!(language.completions("").count(), 2048);
            assert_eq!(language.completions("qqq").count(), 0);
        }
        assert_eq!(
            Language::Spanish.completions("arbo").collect::<Vec<_>>(),
            ["a\u{301}rbol"]
        );
        assert_eq!(Language::English.completions("act").count(), 5);
        assert_eq!(Language::English.completions("act").next(), Some("act"));
    }

    #[test]
    fn three_letters_stand_only_for_a_word_of_three() {
        let word = |typed| Language::English.word(typed);
        assert_eq!(
            [word("act"), word("acti"), word("ab"), word("actx")],
            [Some("act"), Some("action"), None, None]
        );
    }

    #[test]
    fn names_are_read_in_any_case() {
        for language in Language::ALL {
            assert_eq!(language.to_string().parse(), Ok(language));
            assert_eq!(language.name().to_uppercase().parse(), Ok(language));
        }
        assert!("french".parse::<Language>().is_err());
    }
}
