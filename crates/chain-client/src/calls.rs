//! Calldata of every transaction an operator sends.
//!
//! The encoders are pinned byte by byte by `fixtures/contracts.json` and `fixtures/original-v1.json`.

use alloy::sol_types::SolCall;
use alloy_primitives::{
    Address, B256, Bytes, U256,
    aliases::{I160, U160},
};

use crate::abi::{Approval, DepositDataRegistry, Harvest, Keeper, Multicall3, Vault, VaultV1, VaultV5};

/// A call of a contract: what a transaction does, before it has a sender, a nonce and fees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The contract.
    pub to: Address,
    /// Selector and arguments.
    pub data: Bytes,
    /// What is paid along, in wei.
    pub value: U256,
}

impl Call {
    /// A call that pays nothing along.
    pub fn new(to: Address, data: Bytes) -> Self {
        Self {
            to,
            data,
            value: U256::ZERO,
        }
    }
}

/// What updates a vault's state: its part of the rewards tree (`IKeeperRewards.HarvestParams`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HarvestParams {
    /// The root of the rewards tree, known to the Keeper.
    pub rewards_root: B256,
    /// What the vault earned in its life, in wei; negative after penalties.
    pub reward: I160,
    /// How much of the shared MEV escrow belongs to the vault, in wei.
    pub unlocked_mev_reward: U160,
    /// The Merkle proof.
    pub proof: Vec<B256>,
}

/// What the oracles approved (`IKeeperValidators.ApprovalParams`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeeperParams {
    /// The root of the deposit contract that the approval holds for.
    pub validators_registry_root: B256,
    /// Unix time after which the approval is void.
    pub deadline: u64,
    /// The validators' records, one after the other.
    pub validators: Bytes,
    /// The oracles' signatures, in ascending order of their addresses.
    pub signatures: Bytes,
    /// The CID of the exit signature shares.
    pub ipfs_hash: String,
}

/// `Vault.updateState`.
pub fn vault_update_state(harvest: &HarvestParams) -> Bytes {
    Vault::updateStateCall {
        harvestParams: harvest.into(),
    }
    .abi_encode()
    .into()
}

/// `Vault.multicall`.
pub fn vault_multicall(calls: &[Bytes]) -> Bytes {
    Vault::multicallCall { data: calls.to_vec() }.abi_encode().into()
}

/// `registerValidator` of a vault of version 1.
pub fn vault_v1_register_validator(approval: &KeeperParams, proof: &[B256]) -> Bytes {
    VaultV1::registerValidatorCall {
        keeperParams: approval.into(),
        proof: proof.to_vec(),
    }
    .abi_encode()
    .into()
}

/// `registerValidators` of a vault of version 1.
pub fn vault_v1_register_validators(
    approval: &KeeperParams,
    indexes: &[usize],
    proof_flags: &[bool],
    proof: &[B256],
) -> Bytes {
    VaultV1::registerValidatorsCall {
        keeperParams: approval.into(),
        indexes: words(indexes),
        proofFlags: proof_flags.to_vec(),
        proof: proof.to_vec(),
    }
    .abi_encode()
    .into()
}

/// `registerValidators` of a vault that is served by its validators manager; the manager itself signs with nothing.
pub fn vault_register_validators(approval: &KeeperParams, manager_signature: &[u8]) -> Bytes {
    VaultV5::registerValidatorsCall {
        keeperParams: approval.into(),
        validatorsManagerSignature: manager_signature.to_vec().into(),
    }
    .abi_encode()
    .into()
}

/// `fundValidators` of a vault of version 5.
pub fn vault_fund_validators(records: &[u8], manager_signature: &[u8]) -> Bytes {
    VaultV5::fundValidatorsCall {
        validators: records.to_vec().into(),
        validatorsManagerSignature: manager_signature.to_vec().into(),
    }
    .abi_encode()
    .into()
}

/// `withdrawValidators` of a vault of version 5 (EIP-7002).
pub fn vault_withdraw_validators(records: &[u8], manager_signature: &[u8]) -> Bytes {
    VaultV5::withdrawValidatorsCall {
        validators: records.to_vec().into(),
        validatorsManagerSignature: manager_signature.to_vec().into(),
    }
    .abi_encode()
    .into()
}

/// `consolidateValidators` of a vault of version 5 (EIP-7251).
pub fn vault_consolidate_validators(records: &[u8], manager_signature: &[u8], oracle_signatures: &[u8]) -> Bytes {
    VaultV5::consolidateValidatorsCall {
        validators: records.to_vec().into(),
        validatorsManagerSignature: manager_signature.to_vec().into(),
        oracleSignatures: oracle_signatures.to_vec().into(),
    }
    .abi_encode()
    .into()
}

/// `DepositDataRegistry.updateVaultState`.
pub fn registry_update_vault_state(vault: Address, harvest: &HarvestParams) -> Bytes {
    DepositDataRegistry::updateVaultStateCall {
        vault,
        harvestParams: harvest.into(),
    }
    .abi_encode()
    .into()
}

/// `DepositDataRegistry.registerValidator`.
pub fn registry_register_validator(vault: Address, approval: &KeeperParams, proof: &[B256]) -> Bytes {
    DepositDataRegistry::registerValidatorCall {
        vault,
        keeperParams: approval.into(),
        proof: proof.to_vec(),
    }
    .abi_encode()
    .into()
}

/// `DepositDataRegistry.registerValidators`.
pub fn registry_register_validators(
    vault: Address,
    approval: &KeeperParams,
    indexes: &[usize],
    proof_flags: &[bool],
    proof: &[B256],
) -> Bytes {
    DepositDataRegistry::registerValidatorsCall {
        vault,
        keeperParams: approval.into(),
        indexes: words(indexes),
        proofFlags: proof_flags.to_vec(),
        proof: proof.to_vec(),
    }
    .abi_encode()
    .into()
}

/// `DepositDataRegistry.multicall`.
pub fn registry_multicall(calls: &[Bytes]) -> Bytes {
    DepositDataRegistry::multicallCall { data: calls.to_vec() }
        .abi_encode()
        .into()
}

/// `DepositDataRegistry.setDepositDataRoot`, which the vault's deposit data manager sends.
pub fn registry_set_deposit_data_root(vault: Address, root: B256) -> Bytes {
    DepositDataRegistry::setDepositDataRootCall {
        vault,
        depositDataRoot: root,
    }
    .abi_encode()
    .into()
}

/// `Keeper.updateExitSignatures`.
pub fn keeper_update_exit_signatures(vault: Address, deadline: u64, ipfs_hash: &str, signatures: &[u8]) -> Bytes {
    Keeper::updateExitSignaturesCall {
        vault,
        deadline: U256::from(deadline),
        exitSignaturesIpfsHash: ipfs_hash.to_owned(),
        oraclesSignatures: signatures.to_vec().into(),
    }
    .abi_encode()
    .into()
}

/// `Multicall3.aggregate3`, each call with whether it may fail alone.
pub fn multicall3_aggregate3(calls: &[(Call, bool)]) -> Bytes {
    let calls = calls
        .iter()
        .map(|(call, may_fail)| Multicall3::Call3 {
            target: call.to,
            allowFailure: *may_fail,
            callData: call.data.clone(),
        })
        .collect();
    Multicall3::aggregate3Call { calls }.abi_encode().into()
}

fn words(indexes: &[usize]) -> Vec<U256> {
    indexes.iter().copied().map(U256::from).collect()
}

impl From<&HarvestParams> for Harvest {
    fn from(harvest: &HarvestParams) -> Self {
        Self {
            rewardsRoot: harvest.rewards_root,
            reward: harvest.reward,
            unlockedMevReward: harvest.unlocked_mev_reward,
            proof: harvest.proof.clone(),
        }
    }
}

impl From<&KeeperParams> for Approval {
    fn from(approval: &KeeperParams) -> Self {
        Self {
            validatorsRegistryRoot: approval.validators_registry_root,
            deadline: U256::from(approval.deadline),
            validators: approval.validators.clone(),
            signatures: approval.signatures.clone(),
            exitSignaturesIpfsHash: approval.ipfs_hash.clone(),
        }
    }
}
