//! A seed phrase while it is typed: what each key does to it, and what may be said about it.

use sw_keys::{Language, Mnemonic, SecretString};
use zeroize::Zeroizing;

use super::keys::Key;

/// How the phrase is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// In one line that nobody sees.
    Hidden,
    /// Word by word: the current one is seen, completed and checked.
    Words,
}

/// What a key came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// There is more to type.
    More,
    /// The phrase is as the person wants it.
    Done,
    /// There will be no phrase: input ended.
    End,
    /// The person gave up.
    Interrupted,
}

/// The words typed so far.
pub(super) struct PhraseEntry {
    mode: Mode,
    /// Complete words, a space after each, then the current word. Never grows, so that no copy is left behind.
    typed: Zeroizing<String>,
    /// Where the current word begins.
    current: usize,
}

impl PhraseEntry {
    pub(super) fn new() -> Self {
        Self {
            mode: Mode::Hidden,
            typed: Zeroizing::new(String::with_capacity(CAPACITY)),
            current: 0,
        }
    }

    pub(super) fn mode(&self) -> Mode {
        self.mode
    }

    /// Whether the end of a line may be one in the middle of a phrase.
    pub(super) fn may_go_on(&self) -> bool {
        self.mode == Mode::Hidden && !self.is_valid()
    }

    /// What was typed, for [`Mnemonic::parse`].
    pub(super) fn text(&self) -> SecretString {
        self.typed.as_str().into()
    }

    /// Does what a key means.
    pub(super) fn press(&mut self, key: Key) -> Outcome {
        match key {
            Key::Interrupt => return Outcome::Interrupted,
            Key::Gone => return Outcome::End,
            Key::End if self.typed.is_empty() => return Outcome::End,
            Key::End => {}
            Key::EraseAll => self.cut(0),
            Key::EraseWord => self.cut(self.start_of_last_word()),
            Key::Backspace => self.erase_letter(),
            Key::Char(character) if is_letter(character) => self.letter(character),
            Key::Char(character) if !character.is_whitespace() => {}
            _ if self.mode == Mode::Words => return self.end_word(key),
            Key::Enter => return Outcome::Done,
            Key::Tab => self.show_words(),
            Key::Char(_) => self.space(),
        }
        Outcome::More
    }

    /// What a person who does not see the words may be told: how many they are, and whether they can be right.
    pub(super) fn summary(&self) -> String {
        match (self.words().count(), self.first_unknown()) {
            (0, _) => String::new(),
            (_, Some(position)) => format!("[word {position} is in no list]"),
            (count @ MOST_WORDS.., _) if !self.is_valid() => format!("[{count} words, not valid]"),
            (count, _) if self.is_valid() => format!("[{count} words, valid]"),
            (1, _) => "[1 word]".to_owned(),
            (count, _) => format!("[{count} words]"),
        }
    }

    /// The screen on which words are typed one by one: only the current one is seen.
    pub(super) fn screen(&self, title: &str) -> Zeroizing<String> {
        let mut screen = Zeroizing::new(String::with_capacity(CAPACITY));
        let count = self.accepted().count();
        for line in title.trim().lines() {
            push_all(&mut screen, [line, "\n"]);
        }
        for number in 1..=count {
            push_all(
                &mut screen,
                [if number % 4 == 1 { "\n" } else { "  " }, &format!("{number:2} ****")],
            );
        }
        push_all(&mut screen, ["\n\n", &self.languages_text(), "\n"]);
        let advice = self.advice();
        push_all(&mut screen, [advice.as_str(), "\n"]);
        push_all(
            &mut screen,
            ["Space: next word. Backspace: back.\nCtrl-C: give up.\n\n"],
        );
        push_all(&mut screen, [&format!("Word {}: ", count + 1)]);
        screen.extend(self.current_word().chars().take(LONGEST_WORD));
        screen
    }

    fn letter(&mut self, character: char) {
        if self.mode == Mode::Words {
            // The words of the Chinese lists have one character each, so that the next begins another.
            if self.current_word().chars().any(is_ideograph) {
                self.accept();
            }
            if self.accepted().count() == MOST_WORDS || self.is_stuck() {
                return;
            }
        }
        self.push(character);
    }

    /// Nothing is added to a word that no list has: it is to be corrected first.
    fn is_stuck(&self) -> bool {
        let current = self.current_word();
        !current.is_empty()
            && !self
                .languages()
                .iter()
                .any(|language| language.completions(current).next().is_some())
    }

    fn space(&mut self) {
        if !self.current_word().is_empty() {
            self.push(' ');
            self.current = self.typed.len();
        }
    }

    fn push(&mut self, character: char) {
        if self.typed.len() + character.len_utf8() <= CAPACITY {
            self.typed.push(character);
        }
    }

    fn erase_letter(&mut self) {
        // Before the first letter it goes back into the word before.
        self.typed.pop();
        self.current = self.start_of_current();
    }

    fn end_word(&mut self, key: Key) -> Outcome {
        if !self.current_word().is_empty() {
            self.accept();
            if self.accepted().count() == MOST_WORDS && self.is_valid() {
                return Outcome::Done;
            }
        } else if key == Key::Enter && self.is_valid() {
            return Outcome::Done;
        }
        Outcome::More
    }

    /// Takes the current word when it is one, in full when no other is possible.
    fn accept(&mut self) {
        let candidates = self.candidates();
        if let [word] = candidates.as_slice() {
            self.cut(self.current);
            if self.typed.len() + word.len() < CAPACITY {
                self.typed.push_str(word);
            }
            self.space();
        } else if !candidates.is_empty()
            && self
                .languages()
                .iter()
                .any(|language| language.word(self.current_word()).is_some())
        {
            // Which of them it is depends on the language, and the words to come tell that.
            self.space();
        }
    }

    /// Goes on word by word, at the first word that is unknown.
    fn show_words(&mut self) {
        self.mode = Mode::Words;
        if let Some(position) = self.first_unknown() {
            let end = self.words().take(position).map(|word| word.len() + 1).sum::<usize>();
            self.cut(end.saturating_sub(1));
        }
    }

    fn cut(&mut self, length: usize) {
        self.typed.truncate(length);
        self.current = self.start_of_current();
    }

    fn start_of_current(&self) -> usize {
        self.typed.rfind(' ').map_or(0, |space| space + 1)
    }

    fn start_of_last_word(&self) -> usize {
        let text = self.typed.trim_end();
        text.rfind(' ').map_or(0, |space| space + 1)
    }

    fn words(&self) -> impl Iterator<Item = &str> {
        self.typed.split_whitespace()
    }

    fn accepted(&self) -> impl Iterator<Item = &str> {
        self.typed.get(..self.current).unwrap_or_default().split_whitespace()
    }

    fn current_word(&self) -> &str {
        self.typed.get(self.current..).unwrap_or_default()
    }

    fn is_valid(&self) -> bool {
        Mnemonic::parse(&self.typed).is_ok()
    }

    /// The languages that have all complete words.
    fn languages(&self) -> Vec<Language> {
        let mut languages = Language::ALL.to_vec();
        languages.retain(|language| self.accepted().all(|word| language.word(word).is_some()));
        languages
    }

    /// The words that the current one may become, in the languages that are possible.
    fn candidates(&self) -> Vec<&'static str> {
        let typed = self.current_word();
        if typed.is_empty() {
            return Vec::new();
        }
        let mut candidates: Vec<_> = self
            .languages()
            .iter()
            .flat_map(|language| language.completions(typed))
            .collect();
        candidates.sort_unstable();
        candidates.dedup();
        candidates
    }

    /// The position, from 1, of the first word that none of the languages has that have those before it.
    fn first_unknown(&self) -> Option<usize> {
        let mut languages = Language::ALL.to_vec();
        for (position, word) in (1..).zip(self.accepted()) {
            languages.retain(|language| language.word(word).is_some());
            if languages.is_empty() {
                return Some(position);
            }
        }
        let current = self.current_word();
        let begins =
            |language: &Language| language.word(current).is_some() || language.completions(current).next().is_some();
        (!languages.iter().any(begins)).then(|| self.words().count())
    }

    fn languages_text(&self) -> String {
        match self.languages().as_slice() {
            all if all.len() == Language::ALL.len() => String::new(),
            some => some
                .iter()
                .map(|language| language.name())
                .collect::<Vec<_>>()
                .join(", "),
        }
    }

    fn advice(&self) -> Zeroizing<String> {
        let mut advice = Zeroizing::new(String::with_capacity(200));
        let candidates = self.candidates();
        let count = self.accepted().count();
        match (self.current_word(), candidates.as_slice()) {
            ("", _) if self.is_valid() => push_all(&mut advice, ["The checksum is right. Enter: done."]),
            ("", _) => {
                if let (MOST_WORDS, Err(error)) = (count, Mnemonic::parse(&self.typed)) {
                    push_all(&mut advice, [&error.to_string()]);
                }
            }
            (_, []) => push_all(&mut advice, ["No such word."]),
            (_, [word]) => push_all(&mut advice, ["Space takes: ", word]),
            (_, some) if some.len() <= 4 => some.iter().for_each(|word| push_all(&mut advice, [word, " "])),
            _ => {}
        }
        advice
    }
}

fn push_all<const N: usize>(text: &mut String, parts: [&str; N]) {
    parts.iter().for_each(|part| text.push_str(part));
}

/// Quotes, commas and numbers around pasted words are no part of them.
fn is_letter(character: char) -> bool {
    character.is_alphabetic() || ('\u{300}'..='\u{36f}').contains(&character)
}

fn is_ideograph(character: char) -> bool {
    ('\u{4e00}'..='\u{9fff}').contains(&character)
}

const MOST_WORDS: usize = 24;
/// What is shown of a current word that is none.
const LONGEST_WORD: usize = 20;
/// Far above 24 words of any language.
const CAPACITY: usize = 4096;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sw_keys::ExposeSecret;

    use super::*;

    const ZOO: &str = "zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo wrong";

    fn entry(mode: Mode) -> PhraseEntry {
        let mut entry = PhraseEntry::new();
        entry.mode = mode;
        entry
    }

    fn type_in(entry: &mut PhraseEntry, text: &str) -> Vec<Outcome> {
        text.chars()
            .map(|character| entry.press(Key::Char(character)))
            .collect()
    }

    fn phrase(language: Language, bytes: usize, fill: u8) -> Mnemonic {
        let entropy: Vec<u8> = (0..bytes)
            .map(|at| fill.wrapping_mul(31).wrapping_add((at as u8).wrapping_mul(37)))
            .collect();
        Mnemonic::from_entropy(language, &entropy).expect("a length of BIP-39")
    }

    fn parsed(entry: &PhraseEntry) -> Mnemonic {
        Mnemonic::parse(entry.text().expose_secret()).expect("valid")
    }

    #[test]
    fn any_phrase_may_be_typed_word_by_word_in_four_letters_or_in_full() {
        use unicode_normalization::UnicodeNormalization as _;
        let plain = |word: &str| {
            word.nfd()
                .filter(|letter| !('\u{300}'..='\u{36f}').contains(letter))
                .nfc()
                .collect()
        };
        let ways: [fn(&str) -> String; 4] = [
            |word| word.nfc().collect(),
            |word| word.nfd().collect(),
            |word| word.nfc().take(4).collect(),
            |word| word.to_uppercase(),
        ];
        let mut typed = 0;
        for language in Language::ALL {
            for (bytes, fill) in [(16, 1), (20, 2), (24, 3), (28, 4), (32, 5)] {
                let phrase = phrase(language, bytes, fill);
                for way in ways
                    .iter()
                    .map(|way| way as &dyn Fn(&str) -> String)
                    .chain([&plain as &dyn Fn(&str) -> String])
                {
                    let mut entry = entry(Mode::Words);
                    let mut last = Outcome::More;
                    for word in phrase.expose_phrase().split(' ') {
                        assert_eq!(last, Outcome::More);
                        type_in(&mut entry, &way(word));
                        last = entry.press(Key::Tab);
                    }
                    if bytes < 32 {
                        assert_eq!(last, Outcome::More, "more words may come");
                        last = entry.press(Key::Enter);
                    }
                    assert_eq!(last, Outcome::Done, "{language} {bytes}");
                    assert_eq!(parsed(&entry).expose_phrase(), phrase.expose_phrase());
                    typed += 1;
                }
            }
        }
        assert_eq!(typed, 8 * 5 * 5);
    }

    #[test]
    fn a_pasted_phrase_is_taken_whole_in_either_mode() {
        for (mode, end) in [(Mode::Hidden, Key::Enter), (Mode::Words, Key::Enter)] {
            let mut entry = entry(mode);
            type_in(&mut entry, &format!("  \"{}\" ", ZOO.replace(' ', "  ")));
            assert_eq!(entry.press(end), Outcome::Done);
            assert_eq!(parsed(&entry).expose_phrase(), ZOO);
        }
        // A Chinese phrase may come without spaces, a numbered list with numbers.
        let chinese = phrase(Language::ChineseSimplified, 32, 9);
        let mut unspaced = entry(Mode::Words);
        type_in(&mut unspaced, &chinese.expose_phrase().replace(' ', ""));
        assert_eq!(unspaced.press(Key::Enter), Outcome::Done);
        assert_eq!(parsed(&unspaced).expose_phrase(), chinese.expose_phrase());
        let mut numbered = entry(Mode::Words);
        for (number, word) in (1..).zip(ZOO.split(' ')) {
            type_in(&mut numbered, &format!("{number}. {word},"));
            numbered.press(Key::Char(' '));
        }
        assert_eq!(numbered.press(Key::Enter), Outcome::Done);
    }

    #[test]
    fn an_unknown_word_is_told_at_once_and_taken_nowhere() {
        let mut entry = entry(Mode::Words);
        type_in(&mut entry, "zoo abx");
        assert!(entry.screen("").contains("No such word."));
        type_in(&mut entry, "yz ability ");
        assert_eq!(entry.text().expose_secret(), "zoo abx");
        entry.press(Key::Backspace);
        assert!(!entry.screen("").contains("No such word."));
        type_in(&mut entry, "ility ");
        assert_eq!(entry.text().expose_secret(), "zoo ability ");
    }

    #[test]
    fn a_hidden_line_tells_only_how_many_words_there_are_and_which_is_wrong() {
        let mut entry = entry(Mode::Hidden);
        assert_eq!(entry.summary(), "");
        let summaries: Vec<String> = "zoo qx zoo"
            .chars()
            .map(|character| {
                entry.press(Key::Char(character));
                entry.summary()
            })
            .collect();
        assert_eq!(summaries[..4], ["[1 word]"; 4]);
        assert_eq!(summaries[4], "[2 words]");
        assert_eq!(summaries[5..], vec!["[word 2 is in no list]"; 5]);
        for _ in 0..2 {
            entry.press(Key::EraseWord);
        }
        assert_eq!(entry.summary(), "[1 word]");
        entry.press(Key::EraseAll);
        type_in(&mut entry, ZOO);
        assert_eq!(entry.summary(), "[12 words, valid]");
        type_in(&mut entry, &format!(" {ZOO}"));
        assert_eq!(entry.summary(), "[24 words, not valid]");
    }

    #[test]
    fn going_back_shows_the_word_before_and_only_that() {
        let mut entry = entry(Mode::Words);
        type_in(&mut entry, "able zoo ");
        assert!(!entry.screen("").contains("zoo"), "{:?}", entry.screen(""));
        entry.press(Key::Backspace);
        assert!(entry.screen("").ends_with("Word 2: zoo"));
        assert!(!entry.screen("").contains("able"));
        entry.press(Key::EraseWord);
        entry.press(Key::Backspace);
        assert!(entry.screen("").ends_with("Word 1: able"));
        entry.press(Key::EraseWord);
        entry.press(Key::Backspace);
        assert!(entry.screen("").ends_with("Word 1: "));
    }

    #[test]
    fn the_checksum_is_told_at_the_last_word() {
        let mut entry = entry(Mode::Words);
        type_in(&mut entry, &"zoo ".repeat(24));
        assert!(entry.screen("").contains("checksum of the english words is wrong"));
        assert_eq!(entry.press(Key::Enter), Outcome::More);
        entry.press(Key::EraseWord);
        type_in(&mut entry, "vote");
        assert_eq!(entry.press(Key::Char(' ')), Outcome::Done);
    }

    #[test]
    fn words_typed_unseen_are_kept_up_to_the_first_unknown_one() {
        for (typed, text) in [
            ("zoo zo", "zoo zo"),
            ("zoo zoq zoo", "zoo zoq"),
            ("", ""),
            ("zoo ", "zoo "),
        ] {
            let mut entry = entry(Mode::Hidden);
            type_in(&mut entry, typed);
            assert_eq!(entry.press(Key::Tab), Outcome::More);
            assert_eq!(entry.text().expose_secret(), text);
            assert_eq!(entry.mode(), Mode::Words);
        }
    }

    fn any_key() -> impl Strategy<Value = Vec<Key>> {
        let words = |text: String| text.chars().map(Key::Char).collect::<Vec<_>>();
        prop_oneof![
            4 => (0..8_usize, 0..2048_usize, 1..12_usize).prop_map(move |(language, index, length)| {
                words(format!("{} ", Language::ALL[language].words()[index].chars().take(length).collect::<String>()))
            }),
            4 => prop::char::any().prop_map(|character| vec![Key::Char(character)]),
            2 => "[a-z ]{1,3}".prop_map(words),
            6 => prop::sample::select(vec![
                Key::Enter, Key::Tab, Key::Backspace, Key::EraseWord, Key::EraseAll, Key::End, Key::Interrupt, Key::Gone,
            ]).prop_map(|key| vec![key]),
        ]
    }

    // PROPTEST_CASES=100000 makes it a hundred thousand.
    proptest! {
        #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(5_000), failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_sequence_of_keys_panics_or_grows_the_buffer(keys in prop::collection::vec(any_key(), 0..8), words: bool) {
            let mut entry = entry(if words { Mode::Words } else { Mode::Hidden });
            let place = entry.typed.as_ptr();
            for key in keys.into_iter().flatten() {
                entry.press(key);
                prop_assert!(entry.current <= entry.typed.len());
                prop_assert!(entry.accepted().count() <= MOST_WORDS || entry.mode == Mode::Hidden);
            }
            prop_assert!(entry.summary().len() < 40 && entry.screen("").len() < 1000);
            prop_assert_eq!(entry.typed.as_ptr(), place);
        }
    }
}
