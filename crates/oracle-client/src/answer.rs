//! An oracle's answer: read, and an approval believed only as far as its signature goes.

use std::collections::BTreeSet;

use alloy_primitives::Address;
use serde::{Deserialize, de::Error};

use crate::{AnswerFault, ApprovalSubject, Eip712Domain, Vote, recover_signer};

/// Turns the body of an answer into the vote of `oracle`.
pub(crate) fn vote(
    body: &[u8],
    oracle: Address,
    subject: &(impl ApprovalSubject + ?Sized),
    domain: &Eip712Domain,
) -> Result<Vote, AnswerFault> {
    let WireAnswer {
        ipfs_hash,
        signature,
        deadline,
    } = serde_json::from_slice(body).map_err(|error| AnswerFault::Malformed(shortened(error)))?;
    if deadline != subject.deadline() {
        return Err(AnswerFault::OtherDeadline {
            requested: subject.deadline(),
            actual: deadline,
        });
    }
    if !plausible_content_id(&ipfs_hash) {
        return Err(AnswerFault::NoContentId);
    }
    let signature = hex::decode_to_array(&signature).map_err(|_| AnswerFault::SignatureLength)?;
    let digest = subject.digest(domain, &ipfs_hash);
    let signer = recover_signer(&digest, &signature).map_err(AnswerFault::InvalidSignature)?;
    if signer != oracle {
        return Err(AnswerFault::OtherSigner(signer));
    }
    Ok(Vote {
        oracle,
        ipfs_hash,
        deadline,
        signature,
    })
}

/// Which exit signatures of a vault an oracle calls outdated, and how far it has come.
pub(crate) struct List {
    pub(crate) synced_to: Option<u64>,
    pub(crate) indexes: BTreeSet<u64>,
}

/// Reads a list of outdated exit signatures.
pub(crate) fn list(body: &[u8]) -> Result<List, AnswerFault> {
    let WireList {
        exit_signature_block_number,
        validators,
    } = serde_json::from_slice(body).map_err(|error| AnswerFault::NotAList(shortened(error)))?;
    if validators.len() > MAX_LIST {
        return Err(AnswerFault::ListTooLong(validators.len()));
    }
    Ok(List {
        synced_to: exit_signature_block_number,
        indexes: validators.into_iter().map(|validator| validator.index).collect(),
    })
}

/// Whether a text can be a content identifier: it goes into a transaction as it is. The shortest in use have 46
/// characters (version 0), base32 ones of version 1 have 59.
fn plausible_content_id(text: &str) -> bool {
    (46..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// The beginning of what is wrong: serde repeats the text it found, which a stranger may make as long as an answer may be.
fn shortened(error: serde_json::Error) -> serde_json::Error {
    let text = error.to_string();
    match text.char_indices().nth(MAX_CAUSE) {
        Some((end, _)) => serde_json::Error::custom(text.get(..end).unwrap_or_default()),
        None => error,
    }
}

const MAX_CAUSE: usize = 200;
/// Two million ether in one vault.
const MAX_LIST: usize = 1 << 16;

#[derive(Deserialize)]
struct WireAnswer {
    ipfs_hash: String,
    signature: String,
    deadline: u64,
}

#[derive(Deserialize)]
struct WireList {
    // Null says that the oracle has seen no change; a text without the member says nothing.
    #[serde(deserialize_with = "Option::deserialize")]
    exit_signature_block_number: Option<u64>,
    validators: Vec<WireValidator>,
}

#[derive(Deserialize)]
struct WireValidator {
    index: u64,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ApprovalRequest;

    const REQUEST: ApprovalRequest = ApprovalRequest {
        validator_index: 1,
        vault: Address::ZERO,
        validators_registry_root: alloy_primitives::B256::ZERO,
        public_keys: Vec::new(),
        deposit_signatures: Vec::new(),
        public_key_shards: Vec::new(),
        exit_signature_shards: Vec::new(),
        deadline: 7,
        proof: Vec::new(),
        proof_flags: Vec::new(),
        proof_indexes: Vec::new(),
        validators: Vec::new(),
    };

    fn counts(body: &[u8]) -> bool {
        let domain = Eip712Domain {
            chain_id: 1,
            keeper: Address::ZERO,
        };
        vote(body, Address::repeat_byte(1), &REQUEST, &domain).is_ok()
    }

    proptest! {
        #[test]
        fn no_bytes_panic_or_count(body in prop::collection::vec(any::<u8>(), 0..400)) {
            prop_assert!(!counts(&body));
        }

        #[test]
        fn no_signature_out_of_the_air_counts(
            ipfs_hash in "[a-zA-Z0-9]{46,60}|.{0,50}",
            signature in prop_oneof![
                prop::collection::vec(any::<u8>(), 65).prop_map(hex::encode_prefixed),
                (prop::collection::vec(any::<u8>(), 64), 27_u8..=28).prop_map(|(rs, v)| hex::encode([rs, vec![v]].concat())),
                ".{0,140}",
            ],
            deadline in 6_u64..=8,
        ) {
            let answer = serde_json::json!({ "ipfs_hash": ipfs_hash, "signature": signature, "deadline": deadline });
            prop_assert!(!counts(answer.to_string().as_bytes()));
        }
    }

    #[test]
    fn an_answer_that_is_one_long_text_is_not_repeated_in_full() {
        let domain = Eip712Domain {
            chain_id: 1,
            keeper: Address::ZERO,
        };
        let long = "é".repeat(100_000);
        for body in [
            format!("\"{long}\""),
            format!(r#"{{"ipfs_hash": "Qm", "signature": "0x", "deadline": "{long}"}}"#),
        ] {
            let fault = vote(body.as_bytes(), Address::ZERO, &REQUEST, &domain).expect_err("refused");
            let cause = std::error::Error::source(&fault).expect("what is wrong").to_string();
            assert!(cause.starts_with("invalid type: string \"éé"), "{cause}");
            assert!(cause.chars().count() <= MAX_CAUSE, "{}", cause.len());
        }
    }

    #[test]
    fn content_identifiers_are_told_from_other_texts() {
        for text in [
            "QmeCywDfupWC7jz5EDHsU5yEb2unAhn8iSGWBUEdrMjdMc",
            "bafkreibwnvl4z2hwnrnh3oeuxe4pbnv5yqyjdmdiyxk3zmn2j5hxjxnqfi",
        ] {
            assert!(plausible_content_id(text), "{text}");
        }
        for text in [
            "",
            "Qm1",
            "ipfs://QmeCywDfupWC7jz5EDHsU5yEb2unAhn8iSGWBUEdrMjdMc",
            &"b".repeat(129),
            &"é".repeat(30),
        ] {
            assert!(!plausible_content_id(text), "{text}");
        }
    }
}
