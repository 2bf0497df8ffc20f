//! Phrases that are wrong, and phrases that two word lists share.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "test code: what is not as expected must fail"
)]

use std::collections::{HashMap, HashSet};

use sha2::{Digest, Sha256};
use sw_keys::{Language, Mnemonic, MnemonicError};
use unicode_normalization::UnicodeNormalization;

const PHRASE: &str = "legal winner thank year wave sausage worth useful legal winner thank yellow";

fn refused(text: &str) -> MnemonicError {
    Mnemonic::parse(text).expect_err("refused")
}

#[test]
fn the_reconstructed_phrase_derives() {
    let expected = Mnemonic::parse(PHRASE).expect("valid");
    for form in [
        "lega winn than year wave saus wort usef lega winn than yell",
        "LEGAL Winner tHANK year  wave\tsausage worth\nuseful legal winner thank yellow ",
        "legally winners thankyou year wave sausages worthy useful legal winner thank yellowxyz",
        "\u{201c}legal winner thank year wave sausage worth useful legal winner thank yellow\u{201d}",
        "\u{feff}legal winner thank year wave sausage worth useful legal winner thank yellow\r\n",
        "\u{2018}legal winner thank year wave sausage worth useful legal winner thank yellow\u{2019}",
    ] {
        let parsed = Mnemonic::parse(form).expect("valid");
        assert_eq!(parsed.expose_phrase(), PHRASE);
        assert_eq!(parsed.to_seed().expose_bytes(), expected.to_seed().expose_bytes());
    }
}

#[test]
fn a_wrong_number_of_words_is_counted() {
    for count in [0, 1, 11, 13, 23, 25, 100_000] {
        assert_eq!(refused(&"legal ".repeat(count)), MnemonicError::WordCount(count));
    }
}

#[test]
fn unknown_words_are_named_by_position_and_never_repeated() {
    let error = refused(&PHRASE.replacen("thank", "thonk", 1).replacen("yellow", "yollow", 1));
    assert_eq!(
        error,
        MnemonicError::UnknownWords {
            language: Language::English,
            positions: vec![3, 12]
        }
    );
    assert_eq!(error.to_string(), "not in the english word list: words 3, 12");
    let error = refused(&PHRASE.replacen("wave", "wav3", 1));
    assert_eq!(error.to_string(), "not in the english word list: word 5");
    assert_eq!(refused(&"xxxx ".repeat(12)), MnemonicError::UnknownLanguage);
}

#[test]
fn a_wrong_checksum_is_told_from_an_unknown_word() {
    for typed in [
        PHRASE.replacen("legal", "year", 1),
        "abandon ".repeat(12),
        "winner legal thank year wave sausage worth useful legal winner thank yellow".to_owned(),
    ] {
        assert_eq!(
            refused(&typed),
            MnemonicError::WrongChecksum {
                language: Language::English
            }
        );
    }
}

#[test]
fn a_mnemonic_does_not_print_itself() {
    let mnemonic = Mnemonic::parse(PHRASE).expect("valid");
    assert_eq!(
        format!("{mnemonic:?}"),
        "Mnemonic { language: English, word_count: 12, .. }"
    );
    assert_eq!(format!("{:?}", mnemonic.to_seed()), "Seed(..)");
}

#[test]
fn generated_phrases_have_24_words_and_differ() {
    let mut rng = rand_core::UnwrapErr(getrandom::SysRng);
    let mut seen = HashSet::new();
    for language in Language::ALL {
        for _ in 0..8 {
            let mnemonic = Mnemonic::generate(language, &mut rng);
            assert_eq!(mnemonic.expose_phrase().split(' ').count(), 24);
            let parsed = Mnemonic::parse(mnemonic.expose_phrase()).expect("valid");
            assert_eq!(parsed.expose_phrase(), mnemonic.expose_phrase());
            assert!(seen.insert(mnemonic.expose_phrase().to_owned()));
        }
    }
}

/// The Chinese lists share 1275 characters, each at one index: what is made of them alone is the same phrase, and the same
/// seed, in both; a single character of one list decides for it.
#[test]
fn phrases_of_shared_chinese_words_are_accepted_and_the_others_decide() {
    let (simplified, traditional) = (
        Language::ChineseSimplified.words(),
        Language::ChineseTraditional.words(),
    );
    let (shared, own): (Vec<usize>, Vec<usize>) =
        (0..2048).partition(|index| simplified[*index] == traditional[*index]);
    assert_eq!(shared.len(), 1275);
    let (mut valid, mut wrong) = (0, 0);
    for last in &shared {
        let words: Vec<&str> = shared
            .iter()
            .skip(200)
            .take(11)
            .chain([last])
            .map(|index| simplified[*index])
            .collect();
        let phrase = words.join(" ");
        if is_valid(&words, simplified) {
            valid += 1;
            assert_eq!(
                Mnemonic::parse(&phrase).expect("valid in both lists").expose_phrase(),
                phrase
            );
        } else {
            wrong += 1;
            assert!(
                matches!(refused(&phrase), MnemonicError::WrongChecksum { .. }),
                "{phrase}"
            );
        }
    }
    assert!(valid > 40 && wrong > 1000, "{valid} {wrong}");

    let mut decided = 0;
    for last in &own {
        for (list, language) in [
            (simplified, Language::ChineseSimplified),
            (traditional, Language::ChineseTraditional),
        ] {
            let words: Vec<&str> = shared.iter().take(11).chain([last]).map(|index| list[*index]).collect();
            if is_valid(&words, list) {
                decided += 1;
                assert_eq!(Mnemonic::parse(&words.join(" ")).expect("valid").language(), language);
            }
        }
    }
    assert!(decided > 40, "{decided}");
}

/// Abbreviations that stand for different words of two languages, with a right checksum in both.
#[test]
fn an_abbreviated_phrase_of_two_languages_is_refused_and_the_full_words_decide() {
    let (spanish, italian) = (Language::Spanish.words(), Language::Italian.words());
    let short = |word: &&str| word.nfkc().take(4).collect::<String>();
    let by_prefix: HashMap<String, &str> = italian.iter().map(|word| (short(word), *word)).collect();
    let pairs: Vec<(&str, &str)> = spanish
        .iter()
        .filter_map(|word| by_prefix.get(&short(word)).map(|other| (*word, *other)))
        .filter(|(one, other)| one != other)
        .collect();
    let mut ambiguous = 0;
    for last in &pairs {
        let chosen: Vec<_> = pairs.iter().take(11).chain([last]).copied().collect();
        let (in_spanish, in_italian): (Vec<&str>, Vec<&str>) = chosen.into_iter().unzip();
        if !is_valid(&in_spanish, spanish) || !is_valid(&in_italian, italian) {
            continue;
        }
        ambiguous += 1;
        let abbreviated: Vec<String> = in_spanish.iter().map(short).collect();
        let (first, second) = (Language::Italian, Language::Spanish);
        assert_eq!(
            refused(&abbreviated.join(" ")),
            MnemonicError::Ambiguous { first, second }
        );
        for (words, language) in [(in_spanish, Language::Spanish), (in_italian, Language::Italian)] {
            let mnemonic = Mnemonic::parse(&words.join(" ").to_uppercase()).expect("spelled out");
            assert_eq!(
                (mnemonic.language(), mnemonic.expose_phrase()),
                (language, words.join(" ").as_str())
            );
        }
    }
    assert!(ambiguous > 0, "{} pairs", pairs.len());
}

/// BIP-39's checksum for 12 words, written anew.
fn is_valid(words: &[&str], list: &[&str; 2048]) -> bool {
    let number = words
        .iter()
        .map(|word| list.iter().position(|listed| listed == word).expect("listed"));
    let (mut entropy, mut last) = (0_u128, 0);
    for (position, index) in number.enumerate() {
        if position < 11 {
            entropy = entropy << 11 | index as u128;
        } else {
            entropy = entropy << 7 | (index >> 4) as u128;
            last = index & 0xf;
        }
    }
    usize::from(Sha256::digest(entropy.to_be_bytes())[0] >> 4) == last
}
