//! What the chain has of an operator.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, U64, U256};
use serde_json::{Value, json};

use super::Violation;
use crate::{
    Registered,
    chain::{Chain, ChainError},
    contracts::interface::{DepositContract, EthVault},
};

/// Reports every public key that was registered more than once, and returns how many were too many.
pub(super) fn duplicates(registered: &[Registered], violations: &mut Vec<Violation>) -> usize {
    let mut seen = BTreeMap::new();
    let mut duplicates = 0;
    for Registered { public_key, tx, .. } in registered {
        if let Some(first) = seen.insert(public_key, tx) {
            duplicates += 1;
            let what = format!("validator {public_key} was registered by {first} and again by {tx}");
            violations.push(Violation::new("I1", what));
        }
    }
    duplicates
}

/// The deposits with the vault's credentials are those of its validators, each once.
pub(super) async fn deposits(
    chain: &Chain,
    vault: Address,
    registered: &[Registered],
    violations: &mut Vec<Violation>,
) -> Result<(), ChainError> {
    let registrations: BTreeMap<&str, B256> = registered
        .iter()
        .map(|each| (each.public_key.as_str(), each.tx))
        .collect();
    let mut deposited = BTreeMap::<String, usize>::new();
    let contract = chain.addresses().deposit_contract;
    for (event, log) in chain.events::<DepositContract::DepositEvent>(contract).await? {
        let key = event.pubkey.to_string();
        let is_of_the_vault = event.withdrawal_credentials.get(12..) == Some(vault.as_slice());
        if is_of_the_vault {
            *deposited.entry(key).or_default() += 1;
        } else if registrations.get(key.as_str()) == Some(&log.transaction_hash) {
            violations.push(Violation::new(
                "I6",
                format!("{key} was registered with other credentials"),
            ));
        }
    }
    for (key, times) in &deposited {
        if *times > 1 {
            violations.push(Violation::new("I1", format!("{key} was deposited {times} times")));
        }
    }
    for key in registrations.keys().filter(|key| !deposited.contains_key(**key)) {
        violations.push(Violation::new(
            "I6",
            format!("no deposit of {key} has the vault's credentials"),
        ));
    }
    Ok(())
}

/// How many transactions of an account are in the chain.
pub(super) async fn mined(chain: &Chain, account: Address) -> Result<u64, ChainError> {
    let nonce: U64 = chain
        .rpc()
        .request("eth_getTransactionCount", json!([account, "latest"]))
        .await?;
    Ok(nonce.to())
}

pub(super) async fn head(chain: &Chain) -> Result<u64, ChainError> {
    let head: U64 = chain.rpc().request("eth_blockNumber", json!([])).await?;
    Ok(head.to())
}

/// The block that a transaction is in.
pub(super) async fn block_of(chain: &Chain, hash: B256) -> Result<Option<u64>, ChainError> {
    let receipt: Value = chain.rpc().request("eth_getTransactionReceipt", json!([hash])).await?;
    let number = receipt.get("blockNumber").and_then(Value::as_str);
    Ok(number.and_then(|number| u64::from_str_radix(number.trim_start_matches("0x"), 16).ok()))
}

/// The nonces that wait in the node's pool behind one that is missing.
pub(super) async fn queued(chain: &Chain, account: Address) -> Result<Vec<String>, ChainError> {
    let pool: Value = chain.rpc().request("txpool_content", json!([])).await?;
    let queued = pool.get("queued").and_then(Value::as_object);
    let of_account = queued.into_iter().flatten();
    let of_account = of_account.filter(|(address, _)| address.parse() == Ok(account));
    let nonces = of_account.filter_map(|(_, by_nonce)| by_nonce.as_object());
    Ok(nonces.flat_map(|by_nonce| by_nonce.keys().cloned()).collect())
}

/// How many validators a vault can pay for now.
pub(super) async fn affordable(chain: &Chain, vault: Address) -> Result<u64, ChainError> {
    let assets = chain.read(vault, &EthVault::withdrawableAssetsCall {}).await?;
    let validator = U256::from(32) * U256::from(10).pow(U256::from(18));
    Ok((assets / validator).saturating_to())
}
