//! Oracles with real keys, and the request they are asked to approve.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that meets a surprise should fail"
)]

use std::sync::Arc;

use alloy::{
    primitives::{Address, B256, Signature, U256, address},
    signers::{SignerSync, local::PrivateKeySigner},
};
use serde_json::{Value, json};
use sw_oracle_client::{ApprovalRequest, Eip712Domain, OnChainOracles, OracleSet, ProtocolConfig, RotationRequest};
use sw_shamir_exit::{EncryptedShare, OraclePublicKey};
use sw_spec::{PublicKeyBytes, SignatureBytes};
use sw_testkit::{array, fixture, list, text};

pub const DEADLINE: u64 = 1_700_000_600;
pub const CID: &str = "bafkreibwnvl4z2hwnrnh3oeuxe4pbnv5yqyjdmdiyxk3zmn2j5hxjxnqfi";
pub const OTHER_CID: &str = "QmeCywDfupWC7jz5EDHsU5yEb2unAhn8iSGWBUEdrMjdMc";

pub fn domain() -> Eip712Domain {
    Eip712Domain {
        chain_id: 1,
        keeper: address!("6B5815467da09DaA7DC83Db21c9239d98Bb487b5"),
    }
}

/// The oracle at a position, counted from 0.
pub fn signer(position: usize) -> PrivateKeySigner {
    PrivateKeySigner::from_bytes(&B256::repeat_byte(u8::try_from(position).unwrap() + 1)).unwrap()
}

pub fn public_key(position: usize) -> OraclePublicKey {
    OraclePublicKey::from_bytes(signer(position).public_key().as_slice()).unwrap()
}

pub fn sign(position: usize, digest: &B256) -> Signature {
    signer(position).sign_hash_sync(digest).unwrap()
}

/// A client as the operator's, with a policy for redirects.
pub fn client(redirects: reqwest::redirect::Policy) -> reqwest::Client {
    let tls = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(redirects)
        .no_proxy()
        .build()
        .unwrap()
}

pub fn config_json(endpoints: &[Vec<String>], recover: usize) -> Value {
    let oracles = endpoints
        .iter()
        .enumerate()
        .map(|(position, endpoints)| json!({ "public_key": public_key(position).to_string(), "endpoints": endpoints }));
    json!({
        "oracles": oracles.collect::<Vec<_>>(),
        "exit_signature_recover_threshold": recover,
        "signature_validity_period": 3600,
        "validators_approval_batch_limit": 10,
        "validators_exit_rotation_batch_limit": 20,
    })
}

pub fn config(endpoints: &[Vec<String>], recover: usize) -> ProtocolConfig {
    ProtocolConfig::parse(config_json(endpoints, recover).to_string().as_bytes()).unwrap()
}

pub fn on_chain(config: &ProtocolConfig, needed: u64) -> OnChainOracles {
    let is_oracle = config
        .oracle_addresses()
        .into_iter()
        .map(|oracle| (oracle, true))
        .collect();
    OnChainOracles {
        is_oracle,
        validators_min_oracles: needed,
        rewards_min_oracles: 1,
    }
}

pub fn set(endpoints: &[Vec<String>], needed: usize) -> OracleSet {
    set_recovering(endpoints, needed, 1)
}

/// The same with a threshold of shares for an exit.
pub fn set_recovering(endpoints: &[Vec<String>], needed: usize, recover: usize) -> OracleSet {
    let config = config(endpoints, recover);
    let on_chain = on_chain(&config, u64::try_from(needed).unwrap());
    OracleSet::new(config, &on_chain).unwrap()
}

/// Validators 1 and 2 of the vectors, with the vectors' shares for as many oracles as asked for.
pub fn request(oracles: usize) -> ApprovalRequest {
    let vectors = fixture("original-v1.json");
    let proof = &vectors["multiproofs"]["1,2"];
    let entries = &list(&vectors["deposit_data"]["mainnet"])[1..=2];
    let public_keys = entries
        .iter()
        .map(|entry| PublicKeyBytes(array(&entry["pubkey"])))
        .collect::<Vec<_>>();
    let deposit_signatures = entries
        .iter()
        .map(|entry| SignatureBytes(array(&entry["signature"])))
        .collect::<Vec<_>>();
    let records = entries
        .iter()
        .zip(&public_keys)
        .zip(&deposit_signatures)
        .flat_map(|((entry, key), signature)| {
            [
                key.0.as_slice(),
                &signature.0,
                &array::<32>(&entry["deposit_data_root"]),
            ]
            .concat()
        });
    let public_share = |position: usize| PublicKeyBytes(array(&vectors["shamir"]["public_key_shards"][position % 5]));
    let sealed_share = |_| EncryptedShare::from(array(&vectors["ecies"]["ciphertext"]));
    ApprovalRequest {
        validator_index: 123,
        vault: text(&vectors["vault"]).parse::<Address>().unwrap(),
        validators_registry_root: B256::repeat_byte(0xaa),
        validators: records.collect(),
        public_keys,
        deposit_signatures,
        public_key_shards: vec![(0..oracles).map(public_share).collect(); 2],
        exit_signature_shards: vec![(0..oracles).map(sealed_share).collect(); 2],
        deadline: DEADLINE,
        proof: list(&proof["proof"])
            .iter()
            .map(|node| B256::from(array::<32>(node)))
            .collect(),
        proof_flags: list(&proof["proof_flags"])
            .iter()
            .map(|flag| flag.as_bool().unwrap())
            .collect(),
        proof_indexes: list(&proof["proof_indexes"])
            .iter()
            .map(|i| usize::try_from(i.as_u64().unwrap()).unwrap())
            .collect(),
    }
}

/// The same validators and shares, for a vault whose exit signatures changed three times.
pub fn rotation(oracles: usize) -> RotationRequest {
    let ApprovalRequest {
        vault,
        public_keys,
        public_key_shards,
        exit_signature_shards,
        deadline,
        ..
    } = request(oracles);
    RotationRequest {
        vault,
        public_keys,
        public_key_shards,
        exit_signature_shards,
        deadline,
        nonce: U256::from(3),
    }
}
