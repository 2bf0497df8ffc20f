//! The eight word lists of BIP-39 that the original accepts.

use std::{fmt, str::FromStr, sync::OnceLock};

use unicode_normalization::UnicodeNormalization;

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

    /// Returns the index of the word that a typed text stands for: its first four letters decide, whatever their case
    /// and Unicode form. In each list no two words share them.
    pub(crate) fn find(self, typed: &str) -> Option<usize> {
        let table = self.prefixes();
        let position = table.binary_search_by_key(&prefix(typed), |(key, _)| *key).ok()?;
        table.get(position).map(|(_, index)| *index)
    }

    fn prefixes(self) -> &'static [(Prefix, usize)] {
        static TABLES: [OnceLock<Vec<(Prefix, usize)>>; 8] = [const { OnceLock::new() }; 8];
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
                .map(|(index, word)| (prefix(word), index))
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

/// What tells a word from all others of its list, padded with NUL.
type Prefix = [char; 4];

fn prefix(word: &str) -> Prefix {
    let mut prefix = ['\0'; 4];
    let letters = word.chars().flat_map(char::to_lowercase).nfkc();
    prefix.iter_mut().zip(letters).for_each(|(slot, letter)| *slot = letter);
    prefix
}

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
            }
        }
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
