//! The vault of version 1 does what the live ones do, and refuses what they refuse.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod support;

use alloy::primitives::{Address, B256, Bytes, U256};
use support::{Validators, approval, deposit_root, quiet, refusal, register_all, signed};
use sw_devnet::{
    Devnet, VaultKind,
    chain::call,
    contracts::interface::{ApprovalParams, DepositContract, DepositDataRegistry, EthVault, EthVaultV1},
    rpc::Call,
};

/// A vault of version 1 with the root of `count` validators, and stake for all of them.
async fn v1_vault(devnet: &Devnet, count: usize) -> (Address, Validators) {
    let vault = devnet.create_vault(VaultKind::V1).await.unwrap();
    let validators = Validators::new(devnet, vault, count);
    devnet.set_deposit_data_root(vault, validators.root()).await.unwrap();
    devnet.stake(vault, count as u64 * 32).await.unwrap();
    (vault, validators)
}

/// All leaves of the tree are proven at once.
fn register_own(devnet: &Devnet, vault: Address, approval: ApprovalParams) -> Call {
    let count = approval.validators.len() / 176;
    let register = EthVaultV1::registerValidatorsCall {
        keeperParams: approval,
        indexes: (0..count).map(U256::from).collect(),
        proofFlags: vec![true; count - 1],
        proof: Vec::new(),
    };
    call(devnet.chain().accounts().stranger, vault, &register)
}

fn register_one(devnet: &Devnet, vault: Address, approval: ApprovalParams, proof: Vec<B256>) -> Call {
    let register = EthVaultV1::registerValidatorCall {
        keeperParams: approval,
        proof,
    };
    call(devnet.chain().accounts().stranger, vault, &register)
}

async fn next_index(devnet: &Devnet, vault: Address) -> U256 {
    let read = devnet.chain().read(vault, &EthVaultV1::validatorIndexCall {});
    read.await.unwrap()
}

#[tokio::test]
async fn a_vault_of_version_1_registers_by_its_own_root_with_credentials_of_its_own() {
    let devnet = Devnet::start(quiet()).await.unwrap();
    let (vault, validators) = v1_vault(&devnet, 2).await;
    // A pair: each leaf is the other's proof.
    let first = approval(&devnet, vault, validators.records[0].clone().into()).await;
    let proof = vec![validators.leaves[1]];
    let register = register_one(&devnet, vault, first.clone(), proof.clone());
    devnet.chain().transact(&register).await.unwrap();
    assert_eq!(next_index(&devnet, vault).await, U256::from(1));
    let deposits = devnet
        .chain()
        .events::<DepositContract::DepositEvent>(devnet.deployment().deposit_contract);
    let (deposit, _) = deposits.await.unwrap().swap_remove(0);
    assert_eq!(
        deposit.withdrawal_credentials[..12],
        [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    );
    assert_eq!(deposit.withdrawal_credentials[12..], vault[..]);
    assert_eq!(deposit.amount.as_ref(), 32_000_000_000u64.to_le_bytes());

    let again = ApprovalParams {
        validatorsRegistryRoot: deposit_root(&devnet).await,
        ..first
    };
    let again = register_one(&devnet, vault, signed(&devnet, vault, again).await, proof);
    assert_eq!(refusal(&devnet, &again).await, "InvalidProof", "its turn is over");
    let second = approval(&devnet, vault, validators.records[1].clone().into()).await;
    let second = register_one(&devnet, vault, second, vec![validators.leaves[0]]);
    let receipt = devnet.chain().transact(&second).await.unwrap();
    let registered = devnet.registered(vault).await.unwrap();
    assert_eq!(
        (registered.len(), registered[1].block),
        (2, receipt.block_number.to::<u64>())
    );
    let signers = devnet.approval_signers(registered[1].tx).await.unwrap();
    assert_eq!(signers.len(), devnet.deployment().validators_threshold);

    devnet.reward(vault, 1, 0).await.unwrap();
    devnet.reward(vault, 1, 0).await.unwrap();
    assert_eq!(refusal(&devnet, &second).await, "NotHarvested");
    let in_a_multicall = EthVault::multicallCall {
        data: vec![second.data],
    };
    let in_a_multicall = call(second.from, vault, &in_a_multicall);
    let refused = refusal(&devnet, &in_a_multicall).await;
    assert_eq!(refused, "NotHarvested", "the error comes through the multicall");
}

#[tokio::test]
async fn several_validators_of_a_vault_of_version_1_go_together_by_a_multiproof() {
    let devnet = Devnet::start(quiet()).await.unwrap();
    let (vault, validators) = v1_vault(&devnet, 4).await;
    let good = approval(&devnet, vault, validators.all()).await;

    let swapped: Bytes = [validators.records[2..].concat(), validators.records[..2].concat()]
        .concat()
        .into();
    let swapped = approval(&devnet, vault, swapped).await;
    let refused = async |params| refusal(&devnet, &register_own(&devnet, vault, params)).await;
    assert_eq!(refused(swapped).await, "InvalidProof");
    let through_the_registry = register_all(&devnet, vault, good.clone());
    assert_eq!(refusal(&devnet, &through_the_registry).await, "InvalidVault");
    let old_root = ApprovalParams {
        validatorsRegistryRoot: B256::repeat_byte(1),
        ..good.clone()
    };
    assert_eq!(refused(old_root).await, "InvalidValidatorsRegistryRoot");
    let unapproved = ApprovalParams {
        exitSignaturesIpfsHash: "other".to_owned(),
        ..good.clone()
    };
    assert_eq!(refused(unapproved).await, "InvalidOracle");
    let of_two = register_one(&devnet, vault, good.clone(), Vec::new());
    assert_eq!(refusal(&devnet, &of_two).await, "InvalidValidator");

    devnet
        .chain()
        .transact(&register_own(&devnet, vault, good.clone()))
        .await
        .unwrap();
    assert_eq!(next_index(&devnet, vault).await, U256::from(4));
    let registered = devnet.registered(vault).await.unwrap().into_iter();
    let keys = validators.keys.iter().map(|key| key.public_key().to_string());
    assert!(
        registered.map(|each| each.public_key).eq(keys),
        "in the order of the tree"
    );
    let again = ApprovalParams {
        validatorsRegistryRoot: deposit_root(&devnet).await,
        ..good
    };
    assert_eq!(refused(signed(&devnet, vault, again).await).await, "InsufficientAssets");
}

#[tokio::test]
async fn only_the_keys_manager_sets_the_root_and_a_new_root_begins_anew() {
    let devnet = Devnet::start(quiet()).await.unwrap();
    let (vault, validators) = v1_vault(&devnet, 2).await;
    let first = approval(&devnet, vault, validators.records[0].clone().into()).await;
    let first = register_one(&devnet, vault, first, vec![validators.leaves[1]]);
    devnet.chain().transact(&first).await.unwrap();

    let keys_manager = devnet.chain().accounts().stranger;
    let root = EthVaultV1::setValidatorsRootCall {
        _validatorsRoot: B256::repeat_byte(7),
    };
    let by_stranger = call(keys_manager, vault, &root);
    assert_eq!(refusal(&devnet, &by_stranger).await, "AccessDenied");
    devnet.chain().set_keys_manager(vault, keys_manager).await.unwrap();
    let by_admin = call(devnet.admin(), vault, &root);
    assert_eq!(refusal(&devnet, &by_admin).await, "AccessDenied");
    devnet.set_deposit_data_root(vault, B256::repeat_byte(7)).await.unwrap();
    assert_eq!(next_index(&devnet, vault).await, U256::ZERO);
    let read = devnet.chain().read(vault, &EthVaultV1::validatorsRootCall {});
    assert_eq!(read.await.unwrap(), B256::repeat_byte(7));
}

#[tokio::test]
async fn an_upgrade_hands_root_and_index_to_the_registry_and_keeps_the_assets() {
    let devnet = Devnet::start(quiet()).await.unwrap();
    let (vault, validators) = v1_vault(&devnet, 2).await;
    let first = approval(&devnet, vault, validators.records[0].clone().into()).await;
    let first = register_one(&devnet, vault, first, vec![validators.leaves[1]]);
    devnet.chain().transact(&first).await.unwrap();
    let stranger = devnet.chain().accounts().stranger;
    let elsewhere = EthVaultV1::upgradeToAndCallCall {
        newImplementation: devnet.vault(),
        data: Bytes::new(),
    };
    let by_stranger = call(stranger, vault, &elsewhere);
    assert_eq!(refusal(&devnet, &by_stranger).await, "AccessDenied");
    let from_1_to_5 = call(devnet.admin(), vault, &elsewhere);
    assert_eq!(refusal(&devnet, &from_1_to_5).await, "UpgradeFailed");

    devnet.upgrade_v1_vault(vault).await.unwrap();
    let registry = devnet.deployment().deposit_data_registry;
    let chain = devnet.chain();
    assert_eq!(chain.read(vault, &EthVault::versionCall {}).await.unwrap(), 2);
    let root = DepositDataRegistry::depositDataRootsCall { vault };
    assert_eq!(chain.read(registry, &root).await.unwrap(), validators.root());
    let index = DepositDataRegistry::depositDataIndexesCall { vault };
    assert_eq!(chain.read(registry, &index).await.unwrap(), U256::from(1));
    let manager = DepositDataRegistry::getDepositDataManagerCall { vault };
    assert_eq!(chain.read(registry, &manager).await.unwrap(), devnet.admin());
    let total = chain.read(vault, &EthVault::totalAssetsCall {}).await.unwrap();
    assert_eq!(total, U256::from(64) * U256::from(10).pow(U256::from(18)));

    let second = approval(&devnet, vault, validators.records[1].clone().into()).await;
    let register = DepositDataRegistry::registerValidatorCall {
        vault,
        keeperParams: second,
        proof: vec![validators.leaves[0]],
    };
    chain.transact(&call(stranger, registry, &register)).await.unwrap();
    assert_eq!(devnet.registered(vault).await.unwrap().len(), 2);
}
