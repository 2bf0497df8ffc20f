//! What an oracle reads from the chain before it believes a request, all of it at one block.

use std::sync::Arc;

use alloy::{
    primitives::{Address, B256, Bytes, FixedBytes, U256},
    sol,
    sol_types::{SolCall, SolEvent},
};
use serde_json::json;
use tokio::sync::Mutex;

use super::ledger::{DepositEvent, KEEPER_EVENTS, Ledger, decode, valid_deposits};
use crate::{
    Deployment,
    rpc::{Rpc, RpcError},
};

sol! {
    function vaults(address vault) view returns (bool);
    function get_deposit_root() view returns (bytes32);
    function depositDataRoots(address vault) view returns (bytes32);
    function depositDataIndexes(address vault) view returns (uint256);
    function version() view returns (uint8);
    function validatorsRoot() view returns (bytes32);
    function validatorIndex() view returns (uint256);
    function isCollateralized(address vault) view returns (bool);
    function exitSignaturesNonces(address vault) view returns (uint256);
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

/// The chain at one block.
#[derive(Debug, Clone)]
pub(super) struct Snapshot {
    pub(super) block: B256,
    /// The block's Unix time.
    pub(super) now: u64,
    pub(super) ledger: Arc<Ledger>,
}

/// The state one registration is judged by.
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

/// What the Keeper knows of a vault whose exit signatures are to be replaced.
#[derive(Debug)]
pub(super) struct RotationFacts {
    pub(super) vault_registered: bool,
    pub(super) collateralized: bool,
    pub(super) nonce: U256,
}

/// One oracle's own view of the chain.
#[derive(Debug)]
pub(super) struct ChainReader {
    rpc: Rpc,
    deployment: Deployment,
    scan: Mutex<Scan>,
}

/// How far the events were read, and what they said.
#[derive(Debug, Default)]
struct Scan {
    last: Option<(u64, B256)>,
    ledger: Arc<Ledger>,
}

impl ChainReader {
    pub(super) fn new(rpc: Rpc, deployment: Deployment) -> Self {
        Self {
            rpc,
            deployment,
            scan: Mutex::default(),
        }
    }

    /// The newest block, and all events up to it.
    pub(super) async fn snapshot(&self) -> Result<Snapshot, ChainError> {
        // One after another: the head that is asked for second is not before the first.
        let mut scan = self.scan.lock().await;
        let head = self.rpc.block(None).await?.ok_or(ChainError::NoHead)?;
        self.advance(&mut scan, head.number.to(), head.hash).await?;
        Ok(Snapshot {
            block: head.hash,
            now: head.timestamp.to(),
            ledger: Arc::clone(&scan.ledger),
        })
    }

    /// The Unix time of a block that is behind `snapshot`.
    pub(super) async fn time_of(&self, number: u64) -> Result<u64, ChainError> {
        let block = self.rpc.block(Some(number)).await?.ok_or(ChainError::NoHead)?;
        Ok(block.timestamp.to())
    }

    pub(super) async fn facts(
        &self,
        snapshot: &Snapshot,
        vault: Address,
        keys: &[FixedBytes<48>],
    ) -> Result<Facts, ChainError> {
        let (at, ledger) = (snapshot.block, &snapshot.ledger);
        let vault_registered = self.vault_registered(snapshot, vault).await?;
        let deposit_root = self
            .read(self.deployment.deposit_contract, at, get_deposit_rootCall {})
            .await?;
        let (deposit_data_root, deposit_data_index) = match vault_registered {
            true => self.deposit_data(vault, at).await?,
            false => (B256::ZERO, U256::ZERO),
        };
        Ok(Facts {
            now: snapshot.now,
            vault_registered,
            deposit_root,
            deposit_data_root,
            deposit_data_index: deposit_data_index.saturating_to(),
            next_validator_index: ledger.next_index(),
            deposited: keys.iter().map(|key| ledger.index(key).is_some()).collect(),
        })
    }

    pub(super) async fn vault_registered(&self, snapshot: &Snapshot, vault: Address) -> Result<bool, ChainError> {
        let registry = self.deployment.vaults_registry;
        self.read(registry, snapshot.block, vaultsCall { vault }).await
    }

    pub(super) async fn rotation_facts(
        &self,
        snapshot: &Snapshot,
        vault: Address,
    ) -> Result<RotationFacts, ChainError> {
        let (keeper, at) = (self.deployment.keeper, snapshot.block);
        Ok(RotationFacts {
            vault_registered: self.vault_registered(snapshot, vault).await?,
            collateralized: self.read(keeper, at, isCollateralizedCall { vault }).await?,
            nonce: self.read(keeper, at, exitSignaturesNoncesCall { vault }).await?,
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
            self.read_events(scan, from, head).await?;
        }
        scan.last = Some((head, head_hash));
        Ok(())
    }

    async fn read_events(&self, scan: &mut Scan, from: u64, to: u64) -> Result<(), ChainError> {
        let contracts = &self.deployment;
        let deposit = [DepositEvent::SIGNATURE_HASH];
        let deposits = self.rpc.logs(contracts.deposit_contract, &deposit, from, to).await?;
        let keeper = self.rpc.logs(contracts.keeper, &KEEPER_EVENTS, from, to).await?;
        let deposits: Vec<DepositEvent> = deposits.iter().map(decode).collect::<Result<_, _>>()?;
        let fork_version = contracts.genesis_fork_version;
        let found = tokio::task::spawn_blocking(move || valid_deposits(&deposits, fork_version)).await?;
        // Nothing of it is kept unless all of it was read.
        let mut ledger = Arc::clone(&scan.ledger);
        let next = Arc::make_mut(&mut ledger);
        next.add_validators(found);
        for log in &keeper {
            next.add_keeper_event(log)?;
        }
        scan.ledger = ledger;
        Ok(())
    }
}
