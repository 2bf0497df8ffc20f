//! Phrases of eight languages: ours in the tools of others and theirs in ours, however they are spelled.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use sw_keys::{Language, Mnemonic, ValidatorKeys, WalletKey};

use crate::{
    tools::{Tools, both, node, python},
    vault::{PHRASE, Vault, member, read},
};

/// 12, 15, 18, 21 and 24 words.
const ENTROPY_BYTES: [usize; 5] = [16, 20, 24, 28, 32];
const LANGUAGES: [&str; 8] = [
    "chinese_simplified",
    "chinese_traditional",
    "czech",
    "english",
    "italian",
    "korean",
    "portuguese",
    "spanish",
];

/// The spellings, with the languages in which they are read in full by ethstaker-deposit and by bip39. Those two know less than
/// ours, which reads all: the former splits at single spaces, the latter has neither abbreviations nor capitals. Characters
/// of China and Korea have no case, and none of their words is longer than four.
const SPELLINGS: [(&str, &[&str], &[&str]); 6] = [
    ("full", &LANGUAGES, &LANGUAGES),
    (
        "four letters",
        &LANGUAGES,
        &["chinese_simplified", "chinese_traditional", "korean"],
    ),
    (
        "upper case",
        &LANGUAGES,
        &["chinese_simplified", "chinese_traditional", "korean"],
    ),
    ("wide spaces", &[], &[]),
    ("composed", &LANGUAGES, &LANGUAGES),
    ("decomposed", &LANGUAGES, &LANGUAGES),
];

#[test]
fn phrases_of_every_tool_lead_to_the_same_seed_in_every_other() {
    let (mut phrases, mut read_by) = (0, BTreeMap::<_, u32>::new());
    for (language, entropy) in cases() {
        let ours = Mnemonic::from_entropy(language, &entropy).unwrap();
        let request = json!({"language": language.name(), "entropy": hex(&entropy)});
        for tools in both() {
            assert_eq!(
                same_form(&tools.text("generate", request.clone())),
                same_form(ours.expose_phrase())
            );
            let seed = tools.text("seed", json!({"phrase": ours.expose_phrase()}));
            assert_eq!(seed, hex(ours.to_seed().expose_bytes()), "{} {language}", tools.name);
        }
        phrases += 1;
        let phrase = python().text("generate", request);
        let spellings = python().ask("spell", json!({"phrase": phrase}));
        for (spelling, ..) in SPELLINGS {
            let typed = sw_testkit::text(&spellings[spelling]);
            assert_eq!(
                Mnemonic::parse(typed).unwrap().expose_phrase(),
                ours.expose_phrase(),
                "{spelling} {language}"
            );
            for tools in both() {
                let accepted = tools.ask("accept", json!({"language": language.name(), "phrase": typed}));
                if let Value::String(accepted) = accepted {
                    assert_eq!(
                        Mnemonic::parse(&accepted).unwrap().expose_phrase(),
                        ours.expose_phrase()
                    );
                    *read_by.entry((spelling, tools.name, language.name())).or_default() += 1;
                }
            }
        }
    }
    assert_eq!(phrases, 40, "8 languages of 5 lengths");
    let expected = SPELLINGS.iter().flat_map(|(spelling, pypi, npm)| {
        let of = move |name: &'static str, languages: &'static [&str]| {
            languages.iter().map(move |language| (*spelling, name, *language))
        };
        of("PyPI", pypi).chain(of("npm", npm))
    });
    assert_eq!(read_by, expected.map(|which| (which, 5)).collect());
}

/// EIP-2333, by three implementations.
#[test]
fn the_first_key_of_a_phrase_is_that_of_other_tools() {
    let mut keys = BTreeSet::new();
    for (language, entropy) in cases() {
        let phrase = Mnemonic::from_entropy(language, &entropy).unwrap();
        let ours = ValidatorKeys::new(&phrase.to_seed())
            .key(0)
            .public_key()
            .to_bytes()
            .to_string();
        for tools in both() {
            let theirs = tools.text("derive", json!({"phrase": phrase.expose_phrase(), "index": 0}));
            assert_eq!(ours, format!("0x{theirs}"), "{} {language}", tools.name);
        }
        keys.insert(ours);
    }
    assert_eq!(keys.len(), 40);
    for index in [1, 255, 1 << 16, i32::MAX as u32] {
        let phrase = Mnemonic::parse(PHRASE).unwrap();
        let ours = ValidatorKeys::new(&phrase.to_seed())
            .key(index)
            .public_key()
            .to_bytes()
            .to_string();
        for tools in both() {
            let theirs = tools.text("derive", json!({"phrase": PHRASE, "index": index}));
            assert_eq!(ours, format!("0x{theirs}"), "{} {index}", tools.name);
        }
    }
}

/// The wallet of a phrase, BIP-44. eth-account has no Portuguese, which is why the original cannot make such a wallet.
#[test]
fn the_wallet_of_a_phrase_is_that_of_other_tools() {
    let mut lacking = Vec::new();
    let known = both().map(|tools| (tools, tools.ask("about", json!({}))["wallet_languages"].take()));
    for language in Language::ALL {
        let phrase = Mnemonic::from_entropy(language, &entropy(language, 32)).unwrap();
        let ours = WalletKey::derive(&phrase.to_seed()).address().to_string();
        for (tools, languages) in &known {
            if !sw_testkit::list(languages).contains(&json!(language.name())) {
                lacking.push((tools.name, language.name()));
                continue;
            }
            let request = json!({"language": language.name(), "phrase": phrase.expose_phrase()});
            assert_eq!(tools.text("wallet_address", request), ours, "{} {language}", tools.name);
        }
    }
    assert_eq!(lacking, [("PyPI", "portuguese")]);
}

#[test]
fn the_phrase_that_init_prints_gives_other_tools_the_key_it_notes() {
    for language in Language::ALL {
        let vault = Vault::nowhere();
        let flags = [
            "init",
            "--no-verify",
            "--network",
            "hoodi",
            "--language",
            language.name(),
        ];
        let printed = vault.operator(&flags, "");
        let phrase = printed.trim_end();
        let noted = member(&read(&vault.root().join("config.json")), "first_public_key");
        for tools in both() {
            let accepted = tools.ask("accept", json!({"language": language.name(), "phrase": phrase}));
            assert!(accepted.is_string(), "{} {language}", tools.name);
            let derived = tools.text("derive", json!({"phrase": phrase, "index": 0}));
            assert_eq!(noted, format!("0x{derived}"), "{} {language}", tools.name);
        }
    }
}

/// One language of one tool for each spelling and length.
#[test]
fn create_keys_takes_the_phrases_of_other_tools_as_people_type_them() {
    let (mut lengths, mut spelled, mut makers) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for (position, language) in Language::ALL.into_iter().enumerate() {
        let maker: &Tools = both()[position % 2];
        let bytes = ENTROPY_BYTES[position % 5];
        let (spelling, ..) = SPELLINGS[position % 6];
        let request = json!({"language": language.name(), "entropy": hex(&entropy(language, bytes))});
        let phrase = maker.text("generate", request);
        let first = node().text("derive", json!({"phrase": phrase, "index": 0}));
        let typed = python().ask("spell", json!({"phrase": phrase}));

        let vault = Vault::of(&first, "hoodi");
        vault.create_keys(1, &[], sw_testkit::text(&typed[spelling]));
        let made = vault.keystores();
        assert_eq!(
            made.iter()
                .map(|(keystore, _)| member(keystore, "pubkey"))
                .collect::<Vec<_>>(),
            [first]
        );
        lengths.insert(bytes);
        spelled.insert(spelling);
        makers.insert(maker.name);
    }
    assert_eq!((lengths.len(), spelled.len(), makers.len()), (5, 6, 2));
}

fn cases() -> impl Iterator<Item = (Language, Vec<u8>)> {
    let lengths = |language| ENTROPY_BYTES.map(|bytes| (language, entropy(language, bytes)));
    Language::ALL.into_iter().flat_map(lengths)
}

/// Bytes without a pattern, another for each language and length.
fn entropy(language: Language, length: usize) -> Vec<u8> {
    let mut state = language
        .name()
        .bytes()
        .fold(length as u64, |state, byte| state.wrapping_mul(131) + u64::from(byte));
    let byte = |_| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..length).map(byte).collect()
}

/// The lists of one tool are composed and those of another are not.
fn same_form(phrase: &str) -> String {
    Mnemonic::parse(phrase).unwrap().expose_phrase().to_owned()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
