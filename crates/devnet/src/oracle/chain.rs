//! What an oracle reads from the chain before it believes a request, all of it at one block.

use std::collections::HashSet;

use alloy::{
    primitives::{Address, B256, Bytes, FixedBytes, U256},
    sol,
    sol_types::{SolCall, SolEvent},
};
use serde_json::json;
use tokio::sync::Mutex;

use crate::{
    Deployment, bls,
    rpc::{Rpc, RpcError},
    ssz,
};

sol! {
    function vaults(address vault) view returns (bool);
    function get_deposit_root() view returns (bytes32);
    function depositDataRoots(address vault) view returns (bytes32);
    function depositDataIndexes(address vault) view returns (uint256);
    function version() view returns (uint8);
    function validatorsRoot() view returns (bytes32);
    function validatorIndex() view returns (uint256);
    event DepositEvent(bytes pubkey, bytes withdrawal_credentials, bytes amount, bytes signature, bytes index);
}

/// The chain could not be read; a request is neither right nor wrong then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(super) enum ChainError {
    #[error(transparent)]
    Rpc(#[from] RpcError),
    #[error("the node has no newest block")]
    NoHead,
    #[error("the answer to `{call}` cannot be decoded")]
    Decode {
        call: &'static str,
        #[source]
        source: alloy::sol_types::Error,
    },
    #[error("the check of deposit signatures was cut off")]
    Interrupted(#[from] tokio::task::JoinError),
}

/// The state one request is judged by.
#[derive(Debug)]
pub(super) struct Facts {
    /// The newest block's Unix time.
    pub(super) now: u64,
    pub(super) vault_registered: bool,
    pub(super) deposit_root: B256,
    pub(super) deposit_data_root: B256,
    pub(super) deposit_data_index: u64,
    /// The number of distinct keys with a valid deposit: what the next new validator is going to be.
    pub(super) next_validator_index: u64,
    /// For each key that was asked about, whether it has a valid deposit.
    pub(super) deposited: Vec<bool>,
}

/// One oracle's own view of the chain.
#[derive(Debug)]
pub(super) struct ChainReader {
    rpc: Rpc,
    deployment: Deployment,
    scan: Mutex<Scan>,
}

/// How far the deposits were read, and which keys were found.
#[derive(Debug, Default)]
struct Scan {
    last: Option<(u64, B256)>,
    keys: HashSet<FixedBytes<48>>,
}

impl ChainReader {
    pub(super) fn new(rpc: Rpc, deployment: Deployment) -> Self {
        Self {
            rpc,
            deployment,
            scan: Mutex::default(),
        }
    }

    pub(super) async fn facts(&self, vault: Address, keys: &[FixedBytes<48>]) -> Result<Facts, ChainError> {
        let head = self.rpc.block(None).await?.ok_or(ChainError::NoHead)?;
        let (at, contracts) = (head.hash, &self.deployment);
        let vault_registered = self.read(contracts.vaults_registry, at, vaultsCall { vault }).await?;
        let deposit_root = self
            .read(contracts.deposit_contract, at, get_deposit_rootCall {})
            .await?;
        let (deposit_data_root, deposit_data_index) = match vault_registered {
            true => self.deposit_data(vault, at).await?,
            false => (B256::ZERO, U256::ZERO),
        };
        let mut scan = self.scan.lock().await;
        self.advance(&mut scan, head.number.to(), at).await?;
        Ok(Facts {
            now: head.timestamp.to(),
            vault_registered,
            deposit_root,
            deposit_data_root,
            deposit_data_index: deposit_data_index.saturating_to(),
            next_validator_index: scan.keys.len() as u64,
            deposited: keys.iter().map(|key| scan.keys.contains(key)).collect(),
        })
    }

    /// The root of a vault's deposit data and the index of the next validator. A vault of version 1 keeps them itself.
    async fn deposit_data(&self, vault: Address, at: B256) -> Result<(B256, U256), ChainError> {
        if self.read(vault, at, versionCall {}).await? == 1 {
            let root = self.read(vault, at, validatorsRootCall {}).await?;
            return Ok((root, self.read(vault, at, validatorIndexCall {}).await?));
        }
        let registry = self.deployment.deposit_data_registry;
        let root = self.read(registry, at, depositDataRootsCall { vault }).await?;
        let index = self.read(registry, at, depositDataIndexesCall { vault }).await?;
        Ok((root, index))
    }

    async fn read<C: SolCall>(&self, contract: Address, block: B256, call: C) -> Result<C::Return, ChainError> {
        let transaction = json!({"to": contract, "data": Bytes::from(call.abi_encode())});
        let answer: Bytes = self
            .rpc
            .request("eth_call", json!([transaction, {"blockHash": block}]))
            .await?;
        C::abi_decode_returns(&answer).map_err(|source| ChainError::Decode {
            call: C::SIGNATURE,
            source,
        })
    }

    /// Reads on from where the last scan ended, or all over when that block is no longer part of the chain.
    async fn advance(&self, scan: &mut Scan, head: u64, head_hash: B256) -> Result<(), ChainError> {
        if let Some((number, hash)) = scan.last {
            let now_there = self.rpc.block(Some(number)).await?.map(|block| block.hash);
            if number > head || now_there != Some(hash) {
                *scan = Scan::default();
            }
        }
        let from = scan.last.map_or(self.deployment.deploy_block, |(number, _)| number + 1);
        if from <= head {
            let logs = self
                .rpc
                .logs(
                    self.deployment.deposit_contract,
                    &[DepositEvent::SIGNATURE_HASH],
                    from,
                    head,
                )
                .await?;
            let deposits = logs
                .iter()
                .map(|log| {
                    DepositEvent::abi_decode_data(&log.data).map_err(|source| ChainError::Decode {
                        call: DepositEvent::SIGNATURE,
                        source,
                    })
                })
                .collect::<Result<Vec<_>, _>>()?;
            let fork_version = self.deployment.genesis_fork_version;
            let keys = tokio::task::spawn_blocking(move || valid_keys(&deposits, fork_version)).await?;
            scan.keys.extend(keys);
        }
        scan.last = Some((head, head_hash));
        Ok(())
    }
}

type Deposit = (Bytes, Bytes, Bytes, Bytes, Bytes);

/// The keys of the deposits that make a validator: the signature covers key, credentials and amount.
fn valid_keys(deposits: &[Deposit], fork_version: FixedBytes<4>) -> Vec<FixedBytes<48>> {
    deposits
        .iter()
        .filter_map(|deposit| valid_key(deposit, fork_version))
        .collect()
}

fn valid_key(
    (key, credentials, amount, signature, _): &Deposit,
    fork_version: FixedBytes<4>,
) -> Option<FixedBytes<48>> {
    let key = FixedBytes::try_from(key.as_ref()).ok()?;
    let credentials = B256::try_from(credentials.as_ref()).ok()?;
    let amount = u64::from_le_bytes(amount.as_ref().try_into().ok()?);
    let signature = FixedBytes::try_from(signature.as_ref()).ok()?;
    let root = ssz::deposit_signing_root(&key, credentials, amount, fork_version);
    bls::verify(&key, root, &signature).then_some(key)
}
