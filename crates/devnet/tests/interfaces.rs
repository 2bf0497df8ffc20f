//! The compiled contracts have the interfaces of the live ones.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

use alloy::primitives::keccak256;
use serde_json::Value;
use sw_devnet::{
    contracts::Artifacts,
    toolchain::{Toolchain, default_cache},
};

/// What set-up needs, what a later OpenZeppelin calls differently, and what the fixture leaves out of the live contracts.
const BEYOND_THE_FIXTURE: [&str; 11] = [
    "vault_v1 FailedCall()",
    "vault_v1 KeysManagerUpdated(address indexed caller, address indexed keysManager)",
    "vault_v1 Upgraded(address indexed implementation)",
    "vault_v1 receiveFromMevEscrow() payable",
    "vault_v1 upgradeToAndCall(address newImplementation, bytes data) payable",
    "vault_v5 receiveFromMevEscrow() payable",
    "vaults_registry OwnershipTransferred(address indexed previousOwner, address indexed newOwner)",
    "vaults_registry addVault(address vault) nonpayable",
    "vaults_registry owner() view returns (address)",
    "vaults_registry renounceOwnership() nonpayable",
    "vaults_registry transferOwnership(address newOwner) nonpayable",
];

#[tokio::test]
async fn every_function_event_and_error_is_that_of_the_live_contracts() {
    let fixture: Value = serde_json::from_str(include_str!("../../../fixtures/contracts.json")).unwrap();
    let toolchain = Toolchain::prepare(&default_cache()).await.unwrap();
    let artifacts = Artifacts::compile(&toolchain).await.unwrap();
    let contracts = [
        ("DepositContract", "deposit_contract"),
        ("DepositDataRegistry", "deposit_data_registry"),
        ("EthVault", "vault_v5"),
        ("EthVaultV1", "vault_v1"),
        ("Keeper", "keeper"),
        ("Multicall3", "multicall3"),
        ("VaultsRegistry", "vaults_registry"),
    ];
    let (mut compared, mut beyond) = (0, Vec::new());
    for (ours, theirs) in contracts {
        for entry in &artifacts.contract(ours).unwrap().abi {
            let section = match entry["type"].as_str().unwrap() {
                "function" => "functions",
                "event" => "events",
                "error" => "errors",
                _ => continue,
            };
            let signature = signature(entry);
            // Live vaults throw some errors from a library, which keeps them out of the vault's interface.
            let library = fixture["errors_library"][section].get(&signature);
            match fixture[theirs][section].get(&signature).or(library) {
                Some(identifier) => {
                    assert_eq!(identifier, &identifier_of(entry), "{theirs} {signature}");
                    compared += 1;
                }
                None => beyond.push(format!("{theirs} {signature}")),
            }
        }
    }
    beyond.sort();
    assert_eq!(beyond, BEYOND_THE_FIXTURE);
    assert_eq!(compared, 165);
}

/// The selector of a function or error, the first topic of an event.
fn identifier_of(entry: &Value) -> String {
    let types = entry["inputs"]
        .as_array()
        .unwrap()
        .iter()
        .map(kind)
        .collect::<Vec<_>>()
        .join(",");
    let hash = keccak256(format!("{}({types})", entry["name"].as_str().unwrap()));
    match entry["type"] == "event" {
        true => hash.to_string(),
        false => alloy::hex::encode_prefixed(&hash[..4]),
    }
}

fn kind(parameter: &Value) -> String {
    let kind = parameter["type"].as_str().unwrap();
    let Some(array) = kind.strip_prefix("tuple") else {
        return kind.to_owned();
    };
    let components = parameter["components"].as_array().unwrap();
    format!(
        "({}){array}",
        components.iter().map(self::kind).collect::<Vec<_>>().join(",")
    )
}

/// A signature in the fixture's words: `name(type name, ..) mutability returns (..)`.
fn signature(entry: &Value) -> String {
    let mut text = format!("{}({})", entry["name"].as_str().unwrap(), parameters(&entry["inputs"]));
    if entry["type"] == "function" {
        text.push_str(&format!(" {}", entry["stateMutability"].as_str().unwrap()));
        let outputs = parameters(&entry["outputs"]);
        if !outputs.is_empty() {
            text.push_str(&format!(" returns ({})", outputs.trim_end()));
        }
    }
    text
}

fn parameters(list: &Value) -> String {
    let one = |parameter: &Value| {
        let kind = parameter["type"].as_str().unwrap();
        let kind = match kind.strip_prefix("tuple") {
            Some(array) => format!("({}){array}", parameters(&parameter["components"])),
            None => kind.to_owned(),
        };
        let indexed = if parameter["indexed"] == true { " indexed" } else { "" };
        format!("{kind}{indexed} {}", parameter["name"].as_str().unwrap())
    };
    list.as_array().unwrap().iter().map(one).collect::<Vec<_>>().join(", ")
}
