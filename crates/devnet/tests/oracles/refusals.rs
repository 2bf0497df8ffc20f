//! The table of wrong requests: each is refused by the oracles it concerns, in the same words by Rust and by Node.

use alloy::primitives::{Address, B256};
use serde_json::{Value, json};

use crate::{
    FOREIGN_KEYS, NODE, NOW, Network, VALIDITY, VAULT, all_approve,
    chain::FORK_VERSION,
    kit::{COEFFICIENTS, DepositData, ValidatorKey},
};

/// Makes a good request for keys 1 and 2 wrong.
type Spoil = fn(&Network, &mut Value);

struct Case {
    name: &'static str,
    spoil: Spoil,
    detail: String,
}

fn case(name: &'static str, detail: impl Into<String>, spoil: Spoil) -> Case {
    Case {
        name,
        spoil,
        detail: detail.into(),
    }
}

/// Wrong for every oracle.
fn table() -> Vec<Case> {
    let stranger = Address::repeat_byte(0xcd);
    let not_on_polynomial = "the public key shards of validator 1 are not on one polynomial of the threshold's degree";
    let not_the_key = "the public key shards of validator 0 do not give its public key";
    let bad_deposit = "the deposit signature of validator 0 is not valid for this vault";
    let bad_proof = "the proof does not lead to the vault's deposit data root";
    let bad_indexes = "proof_indexes are not the next ones of the vault's deposit data, which start at 1";
    let no_proof =
        "proof, proof_flags and proof_indexes must not be null: the vault registers through its deposit data";
    vec![
        case(
            "another deposit root",
            "validators_root is not the root of the deposit contract",
            |_, request| {
                request["validators_root"] = json!(B256::repeat_byte(9));
            },
        ),
        case(
            "an index that is taken",
            "validator_index is 1, the next one is 2",
            |_, request| {
                request["validator_index"] = json!(FOREIGN_KEYS - 1);
            },
        ),
        case(
            "an index too far",
            "validator_index is 4, the next one is 2",
            |_, request| {
                request["validator_index"] = json!(FOREIGN_KEYS + 2);
            },
        ),
        case(
            "a vault nobody knows",
            format!("vault {stranger} is not in the vaults registry"),
            |_, request| {
                request["vault_address"] = json!(Address::repeat_byte(0xcd).to_checksum(None));
            },
        ),
        case("a deadline that has passed", "the deadline has passed", |_, request| {
            request["deadline"] = json!(NOW - 1);
        }),
        case(
            "a deadline beyond the validity period",
            "the deadline is further away than the signature validity period",
            |_, request| request["deadline"] = json!(NOW + VALIDITY + 1),
        ),
        case(
            "a key that is deposited",
            "validator 1 is deposited already",
            |_, request| {
                request["public_keys"][1] = json!(ValidatorKey::new("foreign 1").public_key());
            },
        ),
        case("another validator's deposit signature", bad_deposit, |_, request| {
            request["deposit_signatures"][0] = request["deposit_signatures"][1].clone();
        }),
        case("a deposit signature that is no point", bad_deposit, |_, request| {
            request["deposit_signatures"][0] = json!(format!("0x{}", "ee".repeat(96)));
        }),
        case("credentials of another vault", bad_deposit, |net, request| {
            let other = Address::repeat_byte(0x77);
            request["deposit_signatures"][0] = json!(net.data.keys[1].deposit_signature(other, FORK_VERSION));
        }),
        case("another network's fork version", bad_deposit, |net, request| {
            let signature = net.data.keys[1].deposit_signature(VAULT, [0, 0, 0, 0].into());
            request["deposit_signatures"][0] = json!(signature);
        }),
        case("a changed proof node", bad_proof, |_, request| {
            request["proof"][0] = json!(B256::repeat_byte(1))
        }),
        case("a changed proof flag", bad_proof, |_, request| {
            let flag = request["proof_flags"][0].as_bool().unwrap();
            request["proof_flags"][0] = json!(!flag);
        }),
        case("a proof that is too short", bad_proof, |_, request| {
            request["proof"].as_array_mut().unwrap().pop();
        }),
        case("a proof without flags", bad_proof, |_, request| {
            request["proof_flags"] = json!([])
        }),
        case("leaves in the wrong order", bad_proof, |_, request| {
            request["proof_indexes"].as_array_mut().unwrap().reverse();
        }),
        case("a file whose root was not uploaded", bad_proof, |net, request| {
            let other = DepositData::new(VAULT, 4, FORK_VERSION);
            assert_ne!(other.root(), net.data.root());
            let (proof, flags, indexes) = other.multiproof(&[1, 2]);
            request["proof"] = json!(proof);
            request["proof_flags"] = json!(flags);
            request["proof_indexes"] = json!(indexes);
        }),
        case("indexes that are not next", bad_indexes, |_, request| {
            for index in request["proof_indexes"].as_array_mut().unwrap() {
                *index = json!(index.as_u64().unwrap() + 1);
            }
        }),
        case("an index twice", bad_indexes, |_, request| {
            request["proof_indexes"] = json!([1, 1])
        }),
        case("fewer indexes than validators", bad_indexes, |_, request| {
            request["proof_indexes"] = json!([1])
        }),
        case(
            "one public share of another polynomial",
            not_on_polynomial,
            |net, request| {
                let draft = net.draft([1, 2]);
                let (public, sealed) = draft.shares(&net.data.keys[2], &["other 1", "other 2"], FOREIGN_KEYS + 1);
                request["public_key_shards"][1][3] = public[3].clone();
                request["exit_signature_shards"][1][3] = sealed[3].clone();
            },
        ),
        case(
            "shares that two oracles could recover from",
            not_on_polynomial,
            |net, request| {
                let (public, sealed) =
                    net.draft([1, 2])
                        .shares(&net.data.keys[2], &COEFFICIENTS[..1], FOREIGN_KEYS + 1);
                request["public_key_shards"][1] = public;
                request["exit_signature_shards"][1] = sealed;
            },
        ),
        case(
            "shares that four oracles would be needed for",
            not_on_polynomial,
            |net, request| {
                let others = ["1", "2", "3"];
                let (public, sealed) = net.draft([1, 2]).shares(&net.data.keys[2], &others, FOREIGN_KEYS + 1);
                request["public_key_shards"][1] = public;
                request["exit_signature_shards"][1] = sealed;
            },
        ),
        case("public shares in another order", not_on_polynomial, |_, request| {
            request["public_key_shards"][1].as_array_mut().unwrap().swap(1, 2);
        }),
        case("shares of another key", not_the_key, |net, request| {
            let other = ValidatorKey::new("somebody else");
            let (public, sealed) = net.draft([1, 2]).shares(&other, &COEFFICIENTS, FOREIGN_KEYS);
            request["public_key_shards"][0] = public;
            request["exit_signature_shards"][0] = sealed;
        }),
        case(
            "a public share at infinity",
            "a public key shard of validator 0 is not a point",
            |_, request| {
                request["public_key_shards"][0][2] = json!(format!("0xc0{}", "00".repeat(47)));
            },
        ),
        case(
            "a public share outside the subgroup",
            "a public key shard of validator 0 is not a point",
            // x = 4 is on the curve and not in the subgroup.
            |_, request| request["public_key_shards"][0][2] = json!(format!("0x80{}04", "00".repeat(46))),
        ),
        case(
            "exits of another index",
            "the exit signature shard of validator 1 does not match its public key shard",
            |net, request| {
                let (_, sealed) = net
                    .draft([1, 2])
                    .shares(&net.data.keys[2], &COEFFICIENTS, FOREIGN_KEYS + 7);
                request["exit_signature_shards"][1] = sealed;
            },
        ),
        case(
            "over the batch limit",
            "4 validators are over the batch limit of 3",
            |net, request| {
                *request = net.draft([1, 2, 3, 4]).build();
            },
        ),
        case(
            "no validators",
            "there are no validators in the request",
            |_, request| request["public_keys"] = json!([]),
        ),
        case("a key twice", "a public key is in the request twice", |_, request| {
            request["public_keys"][1] = request["public_keys"][0].clone();
        }),
        case(
            "lists of different length",
            "public_keys, deposit_signatures and shards differ in length",
            |_, request| {
                request["deposit_signatures"].as_array_mut().unwrap().pop();
            },
        ),
        case(
            "a share too few",
            "each validator needs 5 shards, one for each oracle",
            |_, request| {
                request["exit_signature_shards"][1].as_array_mut().unwrap().pop();
            },
        ),
        case("no proof", no_proof, |_, request| request["proof"] = Value::Null),
        case(
            "a manager's signature",
            "validators_manager_signature must be null: the vault registers through its deposit data",
            |_, request| request["validators_manager_signature"] = json!("0x00"),
        ),
    ]
}

/// Bodies that are no request at all; after the colon each implementation says it in its own words.
fn malformed() -> Vec<(&'static str, Spoil)> {
    vec![
        ("a member of v4", |_, request| request["amounts"] = Value::Null),
        ("a member missing", |_, request| {
            request.as_object_mut().unwrap().remove("validators_manager_signature");
        }),
        ("an index as text", |_, request| request["validator_index"] = json!("2")),
        ("a negative index", |_, request| request["validator_index"] = json!(-1)),
        ("a deadline with a fraction", |_, request| {
            request["deadline"] = json!(1.5)
        }),
        ("a vault without checksum", |_, request| {
            request["vault_address"] = json!(VAULT.to_string().to_lowercase());
        }),
        ("a short key", |_, request| request["public_keys"][0] = json!("0x00")),
        ("hex without 0x", |_, request| {
            request["public_keys"][0] = json!(request["public_keys"][0].as_str().unwrap()[2..]);
        }),
        ("hex in upper case", |_, request| {
            let key = request["public_keys"][0].as_str().unwrap()[2..].to_uppercase();
            request["public_keys"][0] = json!(format!("0x{key}"));
        }),
        ("a long share", |_, request| {
            let share = request["exit_signature_shards"][0][0].as_str().unwrap().to_owned() + "00";
            request["exit_signature_shards"][0][0] = json!(share);
        }),
        ("a list of lists", |_, request| *request = json!([[]])),
    ]
}

#[tokio::test]
async fn every_wrong_request_is_refused_by_all_oracles_in_the_same_words() {
    let net = Network::start().await;
    let good = net.draft([1, 2]).build();
    let table = table();
    for Case { name, spoil, detail } in &table {
        let mut request = good.clone();
        spoil(&net, &mut request);
        assert_ne!(request, good, "{name}: changed nothing");
        for (oracle, answer) in net.ask(&request).await.iter().enumerate() {
            assert_eq!(answer.detail(), detail, "{name}: oracle {oracle}");
        }
    }
    let malformed = malformed();
    for (name, spoil) in &malformed {
        let mut request = good.clone();
        spoil(&net, &mut request);
        for (oracle, answer) in net.ask(&request).await.iter().enumerate() {
            assert!(
                answer.detail().starts_with("malformed request: "),
                "{name}: oracle {oracle}: {answer:?}"
            );
        }
    }
    assert_eq!((table.len(), malformed.len()), (35, 11));
    assert!(net.oracles.handles().iter().all(|oracle| oracle.approvals().is_empty()));
    // What was refused leaves nothing behind that would stop the good one.
    all_approve(&net.ask(&good).await);
}

#[tokio::test]
async fn oracles_whose_shares_were_swapped_refuse_and_the_others_recover_without_them() {
    let net = Network::start().await;
    let mut request = net.draft([1, 2]).build();
    request["exit_signature_shards"][0]
        .as_array_mut()
        .unwrap()
        .swap(0, NODE);
    let answers = net.ask(&request).await;
    for oracle in [0, NODE] {
        let detail = "the exit signature shard of validator 0 cannot be decrypted";
        assert_eq!(answers[oracle].detail(), detail);
    }
    all_approve(&answers[1..NODE]);
}

#[tokio::test]
async fn a_share_sealed_for_the_right_oracle_but_of_another_is_not_taken() {
    let net = Network::start().await;
    let draft = net.draft([1]);
    let mut request = draft.build();
    // Two oracles get what is another oracle's share, sealed properly: the shares of one polynomial in another order.
    let mut swapped = net.keys.clone();
    swapped.swap(0, NODE);
    let draft = crate::Draft {
        oracles: &swapped,
        ..draft
    };
    let (_, sealed) = draft.shares(&net.data.keys[1], &COEFFICIENTS, FOREIGN_KEYS);
    request["exit_signature_shards"][0][0] = sealed[NODE].clone();
    request["exit_signature_shards"][0][NODE] = sealed[0].clone();
    let answers = net.ask(&request).await;
    for oracle in [0, NODE] {
        let detail = "the exit signature shard of validator 0 does not match its public key shard";
        assert_eq!(answers[oracle].detail(), detail);
    }
    all_approve(&answers[1..NODE]);
}
