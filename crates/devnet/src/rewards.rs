//! Rewards of vaults: what the oracles of the live network vote on twice a day, made here when a test wants it.

use std::collections::BTreeMap;

use alloy::{
    primitives::{Address, B256, I256, U256, keccak256},
    signers::{SignerSync, local::PrivateKeySigner},
    sol_types::{SolStruct, SolValue},
};
use serde_json::json;

use crate::{
    chain::{Chain, ChainError, call},
    contracts::interface::{EthVault, Keeper, KeeperRewards, RewardsUpdateParams},
    oracle::OracleKey,
};

/// What each vault has earned since it was made.
#[derive(Debug, Clone, Default)]
pub struct Ledger(BTreeMap<Address, Earned>);

#[derive(Debug, Clone, Copy, Default)]
struct Earned {
    /// Wei from the consensus layer; a slashed vault has lost some.
    consensus: i128,
    /// Wei of MEV in the escrow that the vault may take out.
    unlocked_mev: u128,
    /// Whether that is an escrow of its own: then the file tells of it, and the leaf does not.
    own_escrow: bool,
}

impl Ledger {
    /// Lists a vault.
    pub fn add_vault(&mut self, vault: Address) {
        self.0.entry(vault).or_default();
    }

    /// Lists a vault with a MEV escrow of its own.
    pub fn add_vault_with_own_escrow(&mut self, vault: Address) {
        self.0.entry(vault).or_default().own_escrow = true;
    }

    /// Adds to what a vault has earned.
    pub fn earn(&mut self, vault: Address, consensus: i128, unlocked_mev: u128) {
        let earned = self.0.entry(vault).or_default();
        earned.consensus = earned.consensus.saturating_add(consensus);
        earned.unlocked_mev = earned.unlocked_mev.saturating_add(unlocked_mev);
    }

    /// The root that the Keeper takes, and the JSON file that says how each vault proves its part of it.
    ///
    /// A leaf is `keccak256(keccak256(abi.encode(vault, int160 reward, uint160 unlockedMevReward)))`, the reward counting
    /// the MEV; of a vault with its own escrow both are without it. Pairs are hashed in order of size, as OpenZeppelin's proofs want it.
    pub fn tree(&self) -> (B256, String) {
        let mut leaves: Vec<(B256, Address, Earned)> = self
            .0
            .iter()
            .map(|(vault, earned)| (leaf(*vault, *earned), *vault, *earned))
            .collect();
        leaves.sort_by_key(|(leaf, ..)| *leaf);
        let mut levels = vec![leaves.iter().map(|(leaf, ..)| *leaf).collect::<Vec<_>>()];
        while let Some(below) = levels.last().filter(|level| level.len() > 1) {
            let above = below.chunks(2).map(|pair| match pair {
                [left, right] => hash_pair(*left, *right),
                alone => alone.first().copied().unwrap_or_default(),
            });
            levels.push(above.collect());
        }
        let root = levels
            .last()
            .and_then(|level| level.first())
            .copied()
            .unwrap_or_default();
        let vaults: Vec<String> = leaves
            .iter()
            .enumerate()
            .map(|(position, (_, vault, earned))| {
                // Written by hand: the amounts are JSON integers that may exceed 64 bits, as in the live files.
                format!(
                    r#"{{"vault":"{vault}","consensus_reward":{},"unlocked_mev_reward":{},"locked_mev_reward":0,"proof":{}}}"#,
                    earned.consensus,
                    earned.unlocked_mev,
                    json!(proof(&levels, position)),
                )
            })
            .collect();
        (root, format!(r#"{{"vaults":[{}]}}"#, vaults.join(",")))
    }
}

impl Chain {
    /// Pays MEV into the escrow that a vault has.
    ///
    /// # Errors
    ///
    /// It is no vault, or the node fails.
    pub async fn pay_mev(&self, vault: Address, wei: u128) -> Result<(), ChainError> {
        if wei == 0 {
            return Ok(());
        }
        let escrow = self.read(vault, &EthVault::mevEscrowCall {}).await?;
        self.send_wei(escrow, U256::from(wei)).await
    }

    /// Has the oracles with these keys sign the ledger's root.
    /// `publish` puts the rewards file on IPFS and returns its CID.
    ///
    /// # Errors
    ///
    /// The Keeper refuses, or the node fails.
    pub async fn update_rewards(
        &self,
        ledger: &Ledger,
        keys: &[OracleKey],
        publish: impl FnOnce(&[u8]) -> String,
    ) -> Result<(), ChainError> {
        let (owner, keeper) = (self.accounts().owner, self.addresses().keeper);
        let (root, file) = ledger.tree();
        let required = self.read(keeper, &Keeper::rewardsMinOraclesCall {}).await?;
        let vote = KeeperRewards {
            rewardsRoot: root,
            rewardsIpfsHash: publish(file.as_bytes()),
            avgRewardPerSecond: U256::ZERO,
            updateTimestamp: self.rpc().block(None).await?.map_or(0, |block| block.timestamp.to()),
            nonce: self.read(keeper, &Keeper::rewardsNonceCall {}).await?,
        };
        let digest = vote.eip712_signing_hash(&self.keeper_domain().await?);
        let mut signers: Vec<&OracleKey> = keys.iter().collect();
        signers.sort_by_key(|key| key.address());
        let sign = |key: &&OracleKey| {
            let signer = PrivateKeySigner::from_bytes(&key.expose_bytes()).ok()?;
            signer
                .sign_hash_sync(&digest)
                .ok()
                .map(|signature| signature.as_bytes())
        };
        let signatures = signers.iter().take(required.saturating_to()).filter_map(sign);
        let update = Keeper::updateRewardsCall {
            params: RewardsUpdateParams {
                rewardsRoot: root,
                avgRewardPerSecond: vote.avgRewardPerSecond,
                updateTimestamp: vote.updateTimestamp,
                rewardsIpfsHash: vote.rewardsIpfsHash,
                signatures: signatures.flatten().collect::<Vec<u8>>().into(),
            },
        };
        self.transact(&call(owner, keeper, &update)).await.map(drop)
    }
}

fn leaf(vault: Address, earned: Earned) -> B256 {
    let mev = if earned.own_escrow { 0 } else { earned.unlocked_mev };
    let reward = i256(earned.consensus) + I256::from_raw(U256::from(mev));
    let encoded = (vault, reward, U256::from(mev)).abi_encode_params();
    keccak256(keccak256(encoded))
}

/// An `int160` is encoded in a word like an `int256`.
fn i256(value: i128) -> I256 {
    let magnitude = I256::from_raw(U256::from(value.unsigned_abs()));
    if value < 0 { -magnitude } else { magnitude }
}

fn hash_pair(left: B256, right: B256) -> B256 {
    let (first, second) = if left < right { (left, right) } else { (right, left) };
    keccak256([first.0, second.0].concat())
}

fn proof(levels: &[Vec<B256>], position: usize) -> Vec<B256> {
    let sibling = |(height, level): (usize, &Vec<B256>)| level.get((position >> height) ^ 1).copied();
    levels.iter().enumerate().filter_map(sibling).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn every_vaults_proof_leads_to_the_root() {
        for count in 1u8..=9 {
            let mut ledger = Ledger::default();
            for vault in 1..=count {
                ledger.earn(Address::repeat_byte(vault), i128::from(vault) * -5, 3);
            }
            let (root, file) = ledger.tree();
            let file: Value = serde_json::from_str(&file).unwrap();
            let vaults = file["vaults"].as_array().unwrap();
            assert_eq!(vaults.len(), usize::from(count));
            for vault in vaults {
                let address: Address = serde_json::from_value(vault["vault"].clone()).unwrap();
                let earned = Earned {
                    consensus: vault["consensus_reward"].as_i64().unwrap().into(),
                    unlocked_mev: 3,
                    own_escrow: false,
                };
                let proof: Vec<B256> = serde_json::from_value(vault["proof"].clone()).unwrap();
                assert_eq!(proof.into_iter().fold(leaf(address, earned), hash_pair), root);
            }
        }
    }
}
