//! The contracts do what the live ones do, and refuse what they refuse.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod support;

use alloy::{
    primitives::{
        Address, B256, Bytes, U256,
        aliases::{I160, U160},
    },
    signers::{SignerSync, local::PrivateKeySigner},
    sol_types::{SolCall, SolStruct},
};
use serde_json::Value;
use support::{Validators, approval, deposit_root, now, quiet, refusal, register_all, signatures, signed};
use sw_devnet::{
    Devnet, VaultKind,
    bls::ForeignKey,
    chain::{ChainError, call},
    contracts::interface::{
        ApprovalParams, DepositContract, DepositDataRegistry, EthVault, HarvestParams, Keeper, VaultValidators,
    },
    oracle::OracleKey,
    rpc::Call,
    ssz,
};

#[tokio::test]
async fn the_deposit_root_is_that_of_an_independent_tree_after_each_deposit() {
    let devnet = Devnet::start(quiet()).await.unwrap();
    let mut leaves = Vec::new();
    assert_eq!(deposit_root(&devnet).await, independent_root(&leaves));
    for amount in [
        1_000_000_000,
        32_000_000_000,
        32_000_000_001,
        2_048_000_000_000,
        5_000_000_000,
    ] {
        let key = ForeignKey::random().unwrap();
        let (public_key, credentials) = (key.public_key(), B256::repeat_byte(amount as u8));
        let signature = key.sign(B256::ZERO);
        devnet
            .chain()
            .deposit(&public_key, credentials, &signature, amount)
            .await
            .unwrap();
        leaves.push(ssz::deposit_data_root(&public_key, credentials, amount, &signature));
        assert_eq!(
            deposit_root(&devnet).await,
            independent_root(&leaves),
            "{} deposits",
            leaves.len()
        );
    }
    let contract = devnet.deployment().deposit_contract;
    let count = devnet
        .chain()
        .read(contract, &DepositContract::get_deposit_countCall {})
        .await
        .unwrap();
    assert_eq!(count.as_ref(), 5u64.to_le_bytes());
}

#[tokio::test]
async fn the_deposit_contract_refuses_a_wrong_root_and_odd_amounts() {
    let devnet = Devnet::start(quiet()).await.unwrap();
    let key = ForeignKey::random().unwrap();
    let (public_key, signature) = (key.public_key(), key.sign(B256::ZERO));
    let root = ssz::deposit_data_root(&public_key, B256::ZERO, 32_000_000_000, &signature);
    let deposit = |root: B256, wei: U256| {
        let deposit = DepositContract::depositCall {
            pubkey: Bytes::copy_from_slice(public_key.as_slice()),
            withdrawal_credentials: B256::ZERO.into(),
            signature: Bytes::copy_from_slice(signature.as_slice()),
            deposit_data_root: root,
        };
        let call = call(
            devnet.chain().accounts().stranger,
            devnet.deployment().deposit_contract,
            &deposit,
        );
        Call { value: wei, ..call }
    };
    let eth = |eth: u64| U256::from(eth) * U256::from(1_000_000_000_000_000_000u64);
    let wrong = refusal(&devnet, &deposit(B256::ZERO, eth(32))).await;
    assert!(wrong.contains("does not match supplied deposit_data_root"), "{wrong}");
    let low = refusal(&devnet, &deposit(root, U256::from(999_999_999_999_999_999u64))).await;
    assert!(low.contains("deposit value too low"), "{low}");
    let odd = refusal(&devnet, &deposit(root, eth(32) + U256::from(1))).await;
    assert!(odd.contains("not multiple of gwei"), "{odd}");
    devnet.chain().transact(&deposit(root, eth(32))).await.unwrap();
}

#[tokio::test]
async fn validators_with_an_approval_are_registered_and_only_once() {
    let devnet = Devnet::start(quiet()).await.unwrap();
    let vault = devnet.vault();
    let validators = Validators::new(&devnet, vault, 4);
    devnet.set_deposit_data_root(vault, validators.root()).await.unwrap();
    devnet.stake(vault, 4 * 32).await.unwrap();

    let approved = approval(&devnet, vault, validators.all()).await;
    let registration = register_all(&devnet, vault, approved.clone());
    let receipt = devnet.chain().transact(&registration).await.unwrap();

    let registered = devnet.registered(vault).await.unwrap();
    let keys: Vec<_> = validators.keys.iter().map(|key| key.public_key().to_string()).collect();
    assert_eq!(
        registered
            .iter()
            .map(|each| each.public_key.clone())
            .collect::<Vec<_>>(),
        keys
    );
    assert_eq!(registered[3].block, receipt.block_number.to::<u64>());
    let mut oracles: Vec<Address> = devnet.oracles().iter().map(|oracle| oracle.address()).collect();
    oracles.sort();
    oracles.truncate(devnet.deployment().validators_threshold);
    assert_eq!(devnet.approval_signers(registered[0].tx).await.unwrap(), oracles);
    let registry = devnet.deployment().deposit_data_registry;
    let index = devnet
        .chain()
        .read(registry, &DepositDataRegistry::depositDataIndexesCall { vault })
        .await
        .unwrap();
    assert_eq!(index, U256::from(4));
    let deposits = devnet
        .chain()
        .events::<DepositContract::DepositEvent>(devnet.deployment().deposit_contract);
    let (deposit, _) = deposits.await.unwrap().swap_remove(0);
    assert_eq!(deposit.withdrawal_credentials[0], 1);
    assert_eq!(deposit.withdrawal_credentials[12..], vault[..]);
    assert_eq!(deposit.amount.as_ref(), 32_000_000_000u64.to_le_bytes());
    let left = devnet
        .chain()
        .read(vault, &EthVault::withdrawableAssetsCall {})
        .await
        .unwrap();
    assert_eq!(left, U256::ZERO);

    let again = signed(
        &devnet,
        vault,
        ApprovalParams {
            validatorsRegistryRoot: deposit_root(&devnet).await,
            ..approved
        },
    );
    assert_eq!(
        refusal(&devnet, &register_all(&devnet, vault, again.await)).await,
        "InvalidProof"
    );
}

#[tokio::test]
async fn each_fault_of_a_registration_is_refused_by_name() {
    let devnet = Devnet::start(quiet()).await.unwrap();
    let vault = devnet.vault();
    let validators = Validators::new(&devnet, vault, 2);
    devnet.set_deposit_data_root(vault, validators.root()).await.unwrap();
    devnet.stake(vault, 64).await.unwrap();
    let good = approval(&devnet, vault, validators.all()).await;
    let refused = async |params: ApprovalParams| refusal(&devnet, &register_all(&devnet, vault, params)).await;

    let swapped: Bytes = [validators.records[1].clone(), validators.records[0].clone()]
        .concat()
        .into();
    assert_eq!(refused(approval(&devnet, vault, swapped).await).await, "InvalidProof");

    let few = Bytes::copy_from_slice(&good.signatures[..65 * 3]);
    assert_eq!(
        refused(ApprovalParams {
            signatures: few,
            ..good.clone()
        })
        .await,
        "NotEnoughSignatures"
    );

    let digest = devnet.chain().approval(vault, &good).await.unwrap();
    let mut unsorted = signatures(&devnet, digest);
    unsorted.swap(0, 1);
    assert_eq!(
        refused(ApprovalParams {
            signatures: unsorted.concat().into(),
            ..good.clone()
        })
        .await,
        "InvalidOracle"
    );
    let mut doubled = signatures(&devnet, digest);
    doubled[1] = doubled[0].clone();
    assert_eq!(
        refused(ApprovalParams {
            signatures: doubled.concat().into(),
            ..good.clone()
        })
        .await,
        "InvalidOracle"
    );
    let mut outsider = signatures(&devnet, digest);
    let stranger = PrivateKeySigner::from_bytes(&OracleKey::of_devnet(99).expose_bytes()).unwrap();
    outsider[3] = stranger.sign_hash_sync(&digest).unwrap().as_bytes().to_vec();
    assert_eq!(
        refused(ApprovalParams {
            signatures: outsider.concat().into(),
            ..good.clone()
        })
        .await,
        "InvalidOracle"
    );

    let other_hash = ApprovalParams {
        exitSignaturesIpfsHash: "other".to_owned(),
        ..good.clone()
    };
    assert_eq!(refused(other_hash).await, "InvalidOracle");

    let late = ApprovalParams {
        deadline: U256::from(now(&devnet).await - 5),
        ..good.clone()
    };
    assert_eq!(refused(signed(&devnet, vault, late).await).await, "DeadlineExpired");

    devnet.foreign_deposit().await.unwrap();
    assert_eq!(refused(good.clone()).await, "InvalidValidatorsRegistryRoot");
    let fresh = ApprovalParams {
        validatorsRegistryRoot: deposit_root(&devnet).await,
        ..good
    };
    devnet
        .chain()
        .transact(&register_all(&devnet, vault, signed(&devnet, vault, fresh).await))
        .await
        .unwrap();
}

#[tokio::test]
async fn twenty_three_records_are_refused_because_two_formats_share_their_length() {
    let devnet = Devnet::start(quiet()).await.unwrap();
    let vault = devnet.vault();
    let validators = Validators::new(&devnet, vault, 23);
    devnet.set_deposit_data_root(vault, validators.root()).await.unwrap();
    devnet.stake(vault, 23 * 32).await.unwrap();
    let approved = approval(&devnet, vault, validators.all()).await;
    assert_eq!(
        refusal(&devnet, &register_all(&devnet, vault, approved)).await,
        "InvalidValidators"
    );
}

#[tokio::test]
async fn only_the_vaults_manager_and_the_deposit_data_manager_may_act() {
    let devnet = Devnet::start(quiet()).await.unwrap();
    let nobodys = devnet.create_vault(VaultKind::Unmanaged).await.unwrap();
    let validators = Validators::new(&devnet, nobodys, 2);
    devnet.set_deposit_data_root(nobodys, validators.root()).await.unwrap();
    devnet.stake(nobodys, 64).await.unwrap();
    let approved = approval(&devnet, nobodys, validators.all()).await;
    assert_eq!(
        refusal(&devnet, &register_all(&devnet, nobodys, approved)).await,
        "AccessDenied"
    );

    let (stranger, registry) = (
        devnet.chain().accounts().stranger,
        devnet.deployment().deposit_data_registry,
    );
    let set = |vault, root| DepositDataRegistry::setDepositDataRootCall {
        vault,
        depositDataRoot: root,
    };
    let by_stranger = call(stranger, registry, &set(nobodys, B256::ZERO));
    assert_eq!(refusal(&devnet, &by_stranger).await, "AccessDenied");
    let unchanged = call(devnet.admin(), registry, &set(nobodys, validators.root()));
    assert_eq!(refusal(&devnet, &unchanged).await, "ValueNotChanged");
    let no_vault = call(devnet.admin(), registry, &set(stranger, B256::repeat_byte(1)));
    assert_eq!(refusal(&devnet, &no_vault).await, "InvalidVault");
}

#[tokio::test]
async fn a_managers_signature_registers_for_anybody_and_counts_up_the_nonce() {
    let manager = PrivateKeySigner::from_bytes(&OracleKey::of_devnet(77).expose_bytes()).unwrap();
    let devnet = Devnet::start(quiet()).await.unwrap();
    let vault = devnet
        .create_vault(VaultKind::Managed(manager.address()))
        .await
        .unwrap();
    let validators = Validators::new(&devnet, vault, 2);
    devnet.stake(vault, 64).await.unwrap();
    let approved = approval(&devnet, vault, validators.all()).await;
    let domain = alloy::sol_types::eip712_domain! {
        name: "VaultValidators",
        version: "1",
        chain_id: devnet.deployment().chain_id,
        verifying_contract: vault,
    };
    let consent = VaultValidators {
        validatorsRegistryRoot: approved.validatorsRegistryRoot,
        validators: approved.validators.clone(),
    };
    let digest = consent.eip712_signing_hash(&domain);
    let registration = |signer: &PrivateKeySigner| {
        let register = EthVault::registerValidatorsCall {
            keeperParams: approved.clone(),
            validatorsManagerSignature: signer.sign_hash_sync(&digest).unwrap().as_bytes().into(),
        };
        call(devnet.chain().accounts().stranger, vault, &register)
    };
    let other = PrivateKeySigner::from_bytes(&OracleKey::of_devnet(78).expose_bytes()).unwrap();
    assert_eq!(refusal(&devnet, &registration(&other)).await, "AccessDenied");
    devnet.chain().transact(&registration(&manager)).await.unwrap();
    assert_eq!(devnet.registered(vault).await.unwrap().len(), 2);
    let nonce = devnet
        .chain()
        .read(vault, &EthVault::validatorsManagerNonceCall {})
        .await
        .unwrap();
    assert_eq!(nonce, U256::from(1));
}

#[tokio::test]
async fn after_two_rewards_a_registration_needs_the_harvest_that_pays_it() {
    let devnet = Devnet::start(quiet()).await.unwrap();
    let (vault, keeper) = (devnet.vault(), devnet.deployment().keeper);
    let other = devnet.create_vault(VaultKind::DepositData).await.unwrap();
    let validators = Validators::new(&devnet, vault, 1);
    devnet.set_deposit_data_root(vault, validators.root()).await.unwrap();
    devnet.stake(vault, 32).await.unwrap();
    let register = async |harvest: Option<HarvestParams>, validators: &Validators| {
        let register = DepositDataRegistry::registerValidatorCall {
            vault,
            keeperParams: approval(&devnet, vault, validators.all()).await,
            proof: Vec::new(),
        };
        let update = |harvest| DepositDataRegistry::updateVaultStateCall {
            vault,
            harvestParams: harvest,
        };
        let update = harvest.map(|harvest| update(harvest).abi_encode().into());
        let data = update.into_iter().chain([register.abi_encode().into()]).collect();
        let multicall = DepositDataRegistry::multicallCall { data };
        call(
            devnet.chain().accounts().stranger,
            devnet.deployment().deposit_data_registry,
            &multicall,
        )
    };
    devnet
        .chain()
        .transact(&register(None, &validators).await)
        .await
        .unwrap();
    assert!(
        devnet
            .chain()
            .read(keeper, &Keeper::isCollateralizedCall { vault })
            .await
            .unwrap()
    );

    devnet.reward(other, 5, 0).await.unwrap();
    devnet.reward(vault, -7, 0).await.unwrap();
    devnet
        .reward(vault, 9_000_000_000_000_000_000, 32_000_000_000_000_000_000)
        .await
        .unwrap();
    assert!(
        devnet
            .chain()
            .read(keeper, &Keeper::isHarvestRequiredCall { vault })
            .await
            .unwrap()
    );
    let more = Validators::new(&devnet, vault, 1);
    devnet.set_deposit_data_root(vault, more.root()).await.unwrap();
    assert_eq!(refusal(&devnet, &register(None, &more).await).await, "NotHarvested");

    let (published, _) = devnet
        .chain()
        .events::<Keeper::RewardsUpdated>(keeper)
        .await
        .unwrap()
        .pop()
        .unwrap();
    let file = devnet.gateway().content(&published.rewardsIpfsHash).unwrap();
    let file: Value = serde_json::from_slice(&file).unwrap();
    let listed = file["vaults"]
        .as_array()
        .unwrap()
        .iter()
        .find(|each| each["vault"] == vault.to_string())
        .unwrap();
    assert_eq!(listed["consensus_reward"], 8_999_999_999_999_999_993u64);
    let harvest = HarvestParams {
        rewardsRoot: published.rewardsRoot,
        reward: I160::try_from(40_999_999_999_999_999_993i128).unwrap(),
        unlockedMevReward: U160::from(32_000_000_000_000_000_000u128),
        proof: serde_json::from_value(listed["proof"].clone()).unwrap(),
    };
    let forged = HarvestParams {
        unlockedMevReward: U160::from(33_000_000_000_000_000_000u128),
        ..harvest.clone()
    };
    assert_eq!(
        refusal(&devnet, &register(Some(forged), &more).await).await,
        "InvalidProof"
    );
    devnet
        .chain()
        .transact(&register(Some(harvest), &more).await)
        .await
        .unwrap();
    assert_eq!(devnet.registered(vault).await.unwrap().len(), 2);
    let assets = devnet.chain().read(vault, &EthVault::totalAssetsCall {}).await.unwrap();
    assert_eq!(assets, U256::from(72_999_999_999_999_999_993u128));
    assert!(
        !devnet
            .chain()
            .read(keeper, &Keeper::canHarvestCall { vault })
            .await
            .unwrap()
    );
}

#[tokio::test]
async fn a_dead_network_is_an_error_and_not_a_wait() {
    let devnet = Devnet::start(quiet()).await.unwrap();
    let chain = std::sync::Arc::clone(devnet.chain());
    devnet.stop().await;
    assert!(matches!(chain.foreign_deposit().await, Err(ChainError::Rpc(_))));
}

/// `hash_tree_root(List[DepositData, 2**32])`, level by level.
fn independent_root(leaves: &[B256]) -> B256 {
    let mut level = leaves.to_vec();
    let mut empty = B256::ZERO;
    for _ in 0..32 {
        if level.len() % 2 == 1 {
            level.push(empty);
        }
        level = level.chunks(2).map(|pair| ssz::hash_pair(pair[0], pair[1])).collect();
        empty = ssz::hash_pair(empty, empty);
    }
    ssz::hash_pair(
        level.first().copied().unwrap_or(empty),
        ssz::uint64(leaves.len() as u64),
    )
}
