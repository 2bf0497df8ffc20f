//! The index that each exit was signed for, held against the index that the validator has.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use alloy_primitives::{B256, FixedBytes};

use super::Violation;
use crate::{
    Devnet, Registered, bls,
    chain::{Chain, ChainError},
    contracts::interface::DepositContract,
    ssz,
};

/// Reports every registered validator of whose exits none that the oracles recovered is for its index.
pub(super) async fn judge(
    devnet: &Devnet,
    registered: &[Registered],
    violations: &mut Vec<Violation>,
) -> Result<(), ChainError> {
    let indexes = indexes(devnet.chain()).await?;
    let mut recovered: BTreeMap<FixedBytes<48>, BTreeSet<u64>> = BTreeMap::new();
    for oracle in devnet.oracles().into_iter().chain(devnet.retired_oracles()) {
        for exit in oracle.recovered_exits() {
            recovered
                .entry(exit.public_key)
                .or_default()
                .insert(exit.validator_index);
        }
    }
    for Registered { public_key, .. } in registered {
        let Ok(key) = public_key.parse::<FixedBytes<48>>() else {
            continue;
        };
        let signed_for = recovered.get(&key);
        // A registration that is newer than the deposits that were read.
        let Some(index) = indexes.get(&key) else { continue };
        if !signed_for.is_some_and(|signed_for| signed_for.contains(index)) {
            let what = format!("validator {public_key} has index {index}, its exits are for {signed_for:?}");
            violations.push(Violation::new("I7", what));
        }
    }
    Ok(())
}

/// The index of every key: its place among the distinct keys with a valid first deposit.
pub(crate) async fn indexes(chain: &Chain) -> Result<HashMap<FixedBytes<48>, u64>, ChainError> {
    let contract = chain.addresses().deposit_contract;
    let mut indexes = HashMap::new();
    for (event, _) in chain.events::<DepositContract::DepositEvent>(contract).await? {
        let (Ok(key), Ok(credentials), Ok(signature), Ok(amount)) = (
            FixedBytes::<48>::try_from(event.pubkey.as_ref()),
            B256::try_from(event.withdrawal_credentials.as_ref()),
            FixedBytes::<96>::try_from(event.signature.as_ref()),
            <[u8; 8]>::try_from(event.amount.as_ref()),
        ) else {
            continue;
        };
        if indexes.contains_key(&key) {
            continue;
        }
        let gwei = u64::from_le_bytes(amount);
        let root = ssz::deposit_signing_root(&key, credentials, gwei, chain.genesis_fork_version());
        if bls::verify(&key, root, &signature) {
            indexes.insert(key, indexes.len() as u64);
        }
    }
    Ok(indexes)
}
