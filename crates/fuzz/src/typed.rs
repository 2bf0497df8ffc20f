//! What a person types or writes into a settings file: sources of the binary, which has no library to use them from.

#[allow(dead_code, reason = "the fuzzer reads no file and sets no variable")]
#[path = "../../../bins/operator/src/env_file.rs"]
pub(crate) mod env_file;
#[allow(dead_code, reason = "there is no terminal that could be gone")]
#[path = "../../../bins/operator/src/ui/keys.rs"]
mod keys;
#[allow(dead_code, reason = "the fuzzer does not draw the screen of a terminal")]
#[path = "../../../bins/operator/src/ui/phrase_entry.rs"]
mod phrase_entry;

use sw_keys::{ExposeSecret, Mnemonic};

/// Types bytes into the entry of a phrase, to the end that the person or the terminal makes. Whether it was a valid one.
pub(crate) fn type_phrase(bytes: &[u8]) -> bool {
    let (mut decoder, mut entry) = (keys::Decoder::default(), phrase_entry::PhraseEntry::new());
    for (position, byte) in bytes.iter().enumerate() {
        let Some(key) = decoder.push(*byte) else { continue };
        let outcome = entry.press(key);
        // A terminal shows it after each key; here now and then is enough.
        if position % 64 == 0 {
            let _ = (
                entry.summary(),
                entry.screen("Enter the phrase"),
                entry.mode(),
                entry.may_go_on(),
            );
        }
        match outcome {
            phrase_entry::Outcome::More => {}
            phrase_entry::Outcome::Done => return Mnemonic::parse(entry.text().expose_secret()).is_ok(),
            phrase_entry::Outcome::End | phrase_entry::Outcome::Interrupted => return false,
        }
    }
    Mnemonic::parse(entry.text().expose_secret()).is_ok()
}
