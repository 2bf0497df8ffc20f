//! Validators and approvals made by hand, for tests that talk to the contracts directly.

use std::collections::VecDeque;

use alloy::{
    primitives::{Address, B256, Bytes, U256, keccak256},
    signers::{SignerSync, local::PrivateKeySigner},
    sol_types::SolValue,
};
use sw_devnet::{
    Devnet, DevnetConfig,
    bls::ForeignKey,
    chain::call,
    contracts::interface::{ApprovalParams, DepositContract, DepositDataRegistry},
    oracle::OracleKey,
    rpc::Call,
    ssz,
};

/// A network whose oracles are not needed: the tests sign in their place.
pub fn quiet() -> DevnetConfig {
    DevnetConfig {
        node_oracle: false,
        ..DevnetConfig::default()
    }
}

/// Validators of a vault, and the tree of all of them.
pub struct Validators {
    pub keys: Vec<ForeignKey>,
    pub records: Vec<Vec<u8>>,
    pub leaves: Vec<B256>,
}

impl Validators {
    pub fn new(devnet: &Devnet, vault: Address, count: usize) -> Self {
        let keys: Vec<_> = (0..count).map(|_| ForeignKey::random().unwrap()).collect();
        let records: Vec<_> = keys.iter().map(|key| record(devnet, vault, key)).collect();
        let leaves = records
            .iter()
            .zip(0u64..)
            .map(|(record, index)| leaf(record, index))
            .collect();
        Self { keys, records, leaves }
    }

    /// The root that a multiproof of all leaves leads to, in the order the contract hashes them.
    pub fn root(&self) -> B256 {
        let mut queue: VecDeque<B256> = self.leaves.iter().copied().collect();
        while queue.len() > 1 {
            let (left, right) = (queue.pop_front().unwrap(), queue.pop_front().unwrap());
            queue.push_back(keccak256([left.min(right).0, left.max(right).0].concat()));
        }
        queue[0]
    }

    pub fn all(&self) -> Bytes {
        self.records.concat().into()
    }
}

/// 48 bytes of public key, 96 of signature, 32 of deposit data root.
fn record(devnet: &Devnet, vault: Address, key: &ForeignKey) -> Vec<u8> {
    let mut credentials = vault.into_word();
    credentials[0] = 1;
    let public_key = key.public_key();
    let fork = devnet.deployment().genesis_fork_version;
    let signature = key.sign(ssz::deposit_signing_root(&public_key, credentials, GWEI, fork));
    let root = ssz::deposit_data_root(&public_key, credentials, GWEI, &signature);
    [public_key.as_slice(), signature.as_slice(), root.as_slice()].concat()
}

fn leaf(record: &[u8], index: u64) -> B256 {
    keccak256(keccak256(
        (Bytes::copy_from_slice(record), U256::from(index)).abi_encode_params(),
    ))
}

pub async fn deposit_root(devnet: &Devnet) -> B256 {
    let contract = devnet.deployment().deposit_contract;
    devnet
        .chain()
        .read(contract, &DepositContract::get_deposit_rootCall {})
        .await
        .unwrap()
}

pub async fn now(devnet: &Devnet) -> u64 {
    devnet.chain().rpc().block(None).await.unwrap().unwrap().timestamp.to()
}

/// An approval that the contracts take, signed by as many oracles as the Keeper asks for.
pub async fn approval(devnet: &Devnet, vault: Address, validators: Bytes) -> ApprovalParams {
    let params = ApprovalParams {
        validatorsRegistryRoot: deposit_root(devnet).await,
        deadline: U256::from(now(devnet).await + 60),
        validators,
        signatures: Bytes::new(),
        exitSignaturesIpfsHash: "bafkreibwnvl4z2hwnrnh3oeuxe4pbnv5yqyjdmdiyxk3zmn2j5hxjxnqfi".to_owned(),
    };
    signed(devnet, vault, params).await
}

/// Signs an approval anew, after a member was changed.
pub async fn signed(devnet: &Devnet, vault: Address, params: ApprovalParams) -> ApprovalParams {
    let digest = devnet.chain().approval(vault, &params).await.unwrap();
    let signatures = signatures(devnet, digest);
    ApprovalParams {
        signatures: signatures.concat().into(),
        ..params
    }
}

/// The oracles' signatures of a digest, by ascending address.
pub fn signatures(devnet: &Devnet, digest: B256) -> Vec<Vec<u8>> {
    let mut keys: Vec<_> = (0..devnet.oracles().len()).map(OracleKey::of_devnet).collect();
    keys.sort_by_key(OracleKey::address);
    let keys = keys.iter().take(devnet.deployment().validators_threshold);
    keys.map(|key| {
        let signer = PrivateKeySigner::from_bytes(&key.expose_bytes()).unwrap();
        signer.sign_hash_sync(&digest).unwrap().as_bytes().to_vec()
    })
    .collect()
}

pub fn register_all(devnet: &Devnet, vault: Address, approval: ApprovalParams) -> Call {
    let count = approval.validators.len() / 176;
    let register = DepositDataRegistry::registerValidatorsCall {
        vault,
        keeperParams: approval,
        indexes: (0..count).map(U256::from).collect(),
        proofFlags: vec![true; count - 1],
        proof: Vec::new(),
    };
    call(
        devnet.chain().accounts().stranger,
        devnet.deployment().deposit_data_registry,
        &register,
    )
}

/// The name of the error that a transaction is refused with.
pub async fn refusal(devnet: &Devnet, call: &Call) -> String {
    match devnet.chain().transact(call).await {
        Err(sw_devnet::chain::ChainError::Reverted { reason, .. }) => reason,
        other => panic!("not refused by a contract: {other:?}"),
    }
}

const GWEI: u64 = 32_000_000_000;
