//! Content identifiers as people and contracts write them.

use cid::{Cid, Version, multibase};

/// A text that names no content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{shown}` is not an IPFS content identifier such as `bafkrei..` or `Qm..`")]
pub struct ParseCidError {
    shown: String,
}

/// Reads a CID of version 0 or 1, after an optional `ipfs://` or `/ipfs/`.
///
/// A path below the CID is refused: a CID names the bytes themselves here.
///
/// # Errors
///
/// When the text is not a CID from its first to its last character. The start of the text is shown in the error.
pub fn parse_cid(text: &str) -> Result<Cid, ParseCidError> {
    let bare = text.trim();
    let bare = bare.strip_prefix("ipfs://").unwrap_or(bare);
    let bare = bare.strip_prefix("/ipfs/").unwrap_or(bare);
    decode(bare).ok_or_else(|| ParseCidError {
        shown: text.chars().take(MAX_TEXT_LENGTH).collect(),
    })
}

fn decode(text: &str) -> Option<Cid> {
    if text.len() < 2 || text.len() > MAX_TEXT_LENGTH {
        return None;
    }
    let bytes = if Version::is_v0_str(text) {
        multibase::Base::Base58Btc.decode(text).ok()?
    } else {
        multibase::decode(text).ok()?.1
    };
    let mut rest = bytes.as_slice();
    let cid = Cid::read_bytes(&mut rest).ok()?;
    rest.is_empty().then_some(cid)
}

/// A CID of a 64-byte digest takes about 130 characters in base32, the longest base in use.
const MAX_TEXT_LENGTH: usize = 160;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const V0: &str = "QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o";
    const V1: &str = "bafkreibwnvl4z2hwnrnh3oeuxe4pbnv5yqyjdmdiyxk3zmn2j5hxjxnqfi";

    #[test]
    fn both_versions_are_read_with_and_without_a_prefix() {
        for cid in [V0, V1] {
            for prefix in ["", "ipfs://", "/ipfs/", " "] {
                assert_eq!(parse_cid(&format!("{prefix}{cid}\n")).expect("a CID").to_string(), cid);
            }
        }
    }

    #[test]
    fn what_is_no_cid_is_shown_in_the_error() {
        let long = "Q".repeat(10_000);
        for text in [
            "",
            "Qm",
            "ipfs://",
            &V0[..45],
            &format!("{V1}/config.json"),
            &format!("x/ipfs/{V1}"),
            "b",
            &long,
        ] {
            let error = parse_cid(text).expect_err(text);
            assert!(error.to_string().len() < 300);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_cid_or_an_error(text in "(Qm|baf|f01|z)?\\PC{0,80}") {
            let _ = parse_cid(&text);
        }
    }
}
