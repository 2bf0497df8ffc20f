//! What a person types.

use sw_keys::Mnemonic;
use sw_testkit::{fixture, list, text};

use crate::{Memory, Target, Verdict, typed::type_phrase};

pub(super) fn mnemonic() -> Target {
    Target::new(
        "mnemonic",
        phrases(),
        &[" abandon", " \u{3000}", "\"", "ab", "\u{301}"],
        |input| {
            let Ok(mnemonic) = str::from_utf8(input)
                .map_err(drop)
                .and_then(|text| Mnemonic::parse(text).map_err(drop))
            else {
                return Ok(Verdict::Refused);
            };
            if Mnemonic::parse(mnemonic.expose_phrase()).is_err() {
                return Err("the phrase in full is not read again".to_owned());
            }
            Ok(Verdict::Accepted)
        },
    )
}

pub(super) fn phrase_entry() -> Target {
    let mut corpus = phrases();
    for phrase in phrases() {
        let mut words = b"\t".to_vec();
        words.extend(phrase);
        words.push(b'\r');
        corpus.push(words);
    }
    let tokens = &[
        "\t",
        "\r",
        "\u{7f}",
        "\u{17}",
        "\u{15}",
        "\u{3}",
        "\u{4}",
        "\u{1b}[200~",
        "\u{1b}[201~",
        "\u{1b}[A",
        " ",
    ];
    Target::new("phrase-entry", corpus, tokens, |input| {
        // A person does not type more, and the screen is drawn for each key here.
        Ok(type_phrase(input.get(..1_024).unwrap_or(input)).into())
    }) // The words that may be meant are looked for among all of the eight lists, whatever was typed.
    .within(Memory {
        base: 512 * 1024,
        per_byte: 64,
    })
}

fn phrases() -> Vec<Vec<u8>> {
    let vectors = fixture("bip39_vectors.json");
    let mut corpus: Vec<Vec<u8>> = list(&vectors)
        .iter()
        .step_by(60)
        .map(|vector| text(&vector[2]).as_bytes().to_vec())
        .collect();
    corpus.push(text(&fixture("original-v1.json")["mnemonic"]).as_bytes().to_vec());
    corpus
}
