//! The sealing of shares against the vector that the original's own library made.

use alloy::primitives::{B256, Bytes};
use serde_json::Value;
use sw_devnet::oracle::OracleKey;

use crate::toolchain;

fn vector() -> Value {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/original-v1.json");
    let mut fixtures: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    fixtures["ecies"].take()
}

fn text<'a>(vector: &'a Value, member: &str) -> &'a str {
    vector[member].as_str().unwrap()
}

#[test]
fn a_rust_oracle_opens_what_the_original_sealed() {
    let vector = vector();
    let secret: B256 = text(&vector, "receiver_sk").parse().unwrap();
    let key = OracleKey::from_bytes(&secret).unwrap();
    assert_eq!(key.public_key(), text(&vector, "receiver_pub64"));
    assert_eq!(key.address().to_checksum(None), text(&vector, "receiver_address"));
    let sealed: Bytes = text(&vector, "ciphertext").parse().unwrap();
    assert_eq!(sealed.len() as u64, vector["length"].as_u64().unwrap());
    let mut sealed: [u8; 193] = sealed.as_ref().try_into().unwrap();
    let opened = key.open(&sealed.into()).expect("the oracle opens its share");
    assert_eq!(opened.to_string(), text(&vector, "plaintext"));
    sealed[192] ^= 1;
    assert_eq!(key.open(&sealed.into()), None);
}

#[tokio::test]
async fn the_node_oracles_library_opens_what_the_original_sealed() {
    let script = r#"
        import { decrypt, PrivateKey } from "eciesjs";
        import { text } from "node:stream/consumers";
        const { receiver_sk, ciphertext } = JSON.parse(await text(process.stdin));
        const hex = (bytes) => Buffer.from(bytes).toString("hex");
        const opened = decrypt(receiver_sk, Buffer.from(ciphertext.slice(2), "hex"));
        const own = PrivateKey.fromHex(receiver_sk).publicKey.toHex(false);
        process.stdout.write(JSON.stringify({ opened: `0x${hex(opened)}`, own }));
    "#;
    let vector = vector();
    let printed = toolchain()
        .await
        .run_script("ecies.mjs", script, vector.to_string().into_bytes())
        .await
        .unwrap();
    let printed: Value = serde_json::from_slice(&printed).unwrap();
    assert_eq!(printed["opened"], vector["plaintext"]);
    assert!(
        printed["own"]
            .as_str()
            .unwrap()
            .ends_with(&text(&vector, "receiver_pub64")[2..])
    );
}
