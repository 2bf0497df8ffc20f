//! The devnet's own SSZ and BLS against deposits and exits of the original operator.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

use alloy::primitives::{B256, FixedBytes};
use serde_json::Value;
use sw_devnet::{bls, ssz};

fn fixture() -> Value {
    serde_json::from_str(include_str!("../../../fixtures/original-v1.json")).unwrap()
}

fn bytes<const N: usize>(value: &Value) -> FixedBytes<N> {
    value.as_str().unwrap().parse().unwrap()
}

#[test]
fn deposits_of_the_original_have_our_roots_and_valid_signatures() {
    let fixture = fixture();
    let mut checked = 0;
    for deposit in fixture["deposit_data"]
        .as_object()
        .unwrap()
        .values()
        .flat_map(|list| list.as_array().unwrap())
    {
        let (key, credentials) = (
            bytes(&deposit["pubkey"]),
            bytes::<32>(&deposit["withdrawal_credentials"]),
        );
        let (amount, signature) = (deposit["amount"].as_u64().unwrap(), bytes(&deposit["signature"]));
        let message_root = ssz::deposit_message_root(&key, credentials, amount);
        assert_eq!(message_root, bytes::<32>(&deposit["deposit_message_root"]));
        let root = ssz::deposit_data_root(&key, credentials, amount, &signature);
        assert_eq!(root, bytes::<32>(&deposit["deposit_data_root"]));
        let signed = ssz::deposit_signing_root(&key, credentials, amount, bytes(&deposit["fork_version"]));
        assert!(bls::verify(&key, signed, &signature));
        assert!(!bls::verify(&key, message_root, &signature));
        checked += 1;
    }
    assert_eq!(checked, 15);
}

#[test]
fn exits_of_the_original_are_signatures_of_our_root() {
    let fixture = fixture();
    let key = bytes(&fixture["deposit_data"]["mainnet"][0]["pubkey"]);
    let mut checked = 0;
    for (network, genesis_validators_root) in GENESIS_VALIDATORS_ROOTS {
        let exit = &fixture["exit_domain"][network];
        let genesis_validators_root: B256 = genesis_validators_root.parse().unwrap();
        let epoch = exit["epoch"].as_u64().unwrap();
        let root = ssz::exit_signing_root(epoch, 123, bytes(&exit["fork"]), genesis_validators_root);
        assert_eq!(root, bytes::<32>(&exit["signing_root_index_123"]), "{network}");
        assert!(bls::verify(&key, root, &bytes(&exit["signature_key0"])), "{network}");
        checked += 1;
    }
    assert_eq!(checked, 4);
}

#[test]
fn points_off_the_curve_and_at_infinity_are_no_keys() {
    let infinity_key = FixedBytes::<48>::right_padding_from(&[0xc0]);
    let infinity_signature = FixedBytes::<96>::right_padding_from(&[0xc0]);
    assert!(!bls::verify(&infinity_key, B256::ZERO, &infinity_signature));
    assert!(!bls::verify(&FixedBytes::ZERO, B256::ZERO, &FixedBytes::ZERO));
    assert!(!bls::verify(
        &FixedBytes::repeat_byte(0xff),
        B256::ZERO,
        &FixedBytes::repeat_byte(0xff)
    ));
}

const GENESIS_VALIDATORS_ROOTS: [(&str, &str); 4] = [
    (
        "mainnet",
        "0x4b363db94e286120d76eb905340fdd4e54bfe9f06bf33ff6cf5ad27f511bfe95",
    ),
    (
        "goerli",
        "0x043db0d9a83813551ee2f33450d23797757d430911a9320530ad8a0eabc43efb",
    ),
    (
        "holesky",
        "0x9143aa7c615a7f7115e2b6aac319c03529df8242ae705fba9df39b79c59fa8b1",
    ),
    (
        "holesky_fixed",
        "0x9143aa7c615a7f7115e2b6aac319c03529df8242ae705fba9df39b79c59fa8b1",
    ),
];
