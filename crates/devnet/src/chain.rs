//! The contracts on the chain, and how they are called.

use std::{collections::BTreeMap, sync::Arc};

use alloy::sol_types::{SolCall, SolConstructor, SolEvent};
use alloy_primitives::{Address, B256, FixedBytes, U64, U256};
use serde_json::json;
use tokio::sync::Mutex;

use crate::{
    contracts::{
        Artifacts,
        interface::{DepositDataRegistry, Keeper, SharedMevEscrow, VaultProxy, VaultsRegistry},
    },
    rpc::{Call, Log, Receipt, Rpc, RpcError},
};

/// Something that could not be done on the devnet's chain.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChainError {
    /// A contract refused.
    #[error("the contract at {contract} reverted with {reason}")]
    Reverted {
        /// The contract.
        contract: Address,
        /// The custom error's name, or what else the node says.
        reason: String,
    },
    /// The execution node failed.
    #[error("the devnet's chain cannot be used")]
    Rpc(#[from] RpcError),
    /// A contract answered with something else than its interface says.
    #[error("a contract answered with something unexpected")]
    Answer(#[from] alloy::sol_types::Error),
    /// A transaction is not what it was taken for.
    #[error("transaction {tx} registers no validators")]
    NoRegistration {
        /// The transaction.
        tx: B256,
    },
    /// The operating system gave no randomness for a key.
    #[error("cannot draw a validator key")]
    Randomness(#[from] getrandom::Error),
    /// The compiler's output lacks a contract.
    #[error("the contract `{name}` was not compiled")]
    NotCompiled {
        /// The contract.
        name: &'static str,
    },
    /// The node has no unlocked accounts, or no blocks.
    #[error("the execution node is not a fresh anvil")]
    NotFresh,
}

/// Who acts on the devnet: accounts whose keys the execution node holds.
#[derive(Debug, Clone, Copy)]
pub struct Accounts {
    /// Owns the Keeper and the registries.
    pub owner: Address,
    /// Administers every vault, and so manages its deposit data.
    pub vault_admin: Address,
    /// Stakes in vaults.
    pub staker: Address,
    /// Somebody else on the network.
    pub stranger: Address,
}

/// Where the contracts are.
#[derive(Debug, Clone, Copy)]
pub struct Addresses {
    /// The Keeper.
    pub keeper: Address,
    /// The deposit contract.
    pub deposit_contract: Address,
    /// The DepositDataRegistry.
    pub deposit_data_registry: Address,
    /// The VaultsRegistry.
    pub vaults_registry: Address,
    /// The shared MEV escrow.
    pub shared_mev_escrow: Address,
    /// Multicall3.
    pub multicall: Address,
}

/// The devnet's chain with its contracts.
#[derive(Debug)]
pub struct Chain {
    rpc: Rpc,
    artifacts: Arc<Artifacts>,
    accounts: Accounts,
    addresses: Addresses,
    deploy_block: u64,
    genesis_time: u64,
    genesis_fork_version: FixedBytes<4>,
    /// Held from reading a nonce to sending with it.
    sending: Mutex<()>,
}

impl Chain {
    /// Deploys all contracts but the vaults, in one block.
    ///
    /// # Errors
    ///
    /// The node is not a fresh anvil, or a deployment fails.
    pub async fn deploy(
        rpc: Rpc,
        artifacts: Artifacts,
        genesis_fork_version: FixedBytes<4>,
    ) -> Result<Self, ChainError> {
        let accounts: Vec<Address> = rpc.request("eth_accounts", json!([])).await?;
        let [owner, vault_admin, staker, stranger, ..] = *accounts else {
            return Err(ChainError::NotFresh);
        };
        let genesis = rpc.block(Some(0)).await?.ok_or(ChainError::NotFresh)?;
        let first = rpc.nonce(owner).await?;
        let address = |position: u64| owner.create(first + position);
        let addresses = Addresses {
            vaults_registry: address(0),
            deposit_contract: address(1),
            keeper: address(2),
            shared_mev_escrow: address(3),
            deposit_data_registry: address(4),
            multicall: address(5),
        };
        let mut chain = Self {
            rpc,
            artifacts: Arc::new(artifacts),
            accounts: Accounts {
                owner,
                vault_admin,
                staker,
                stranger,
            },
            addresses,
            deploy_block: 0,
            genesis_time: genesis.timestamp.to(),
            genesis_fork_version,
            sending: Mutex::new(()),
        };
        let vaults_registry = addresses.vaults_registry;
        let keeper = Keeper::constructorCall {
            vaultsRegistry_: vaults_registry,
            depositContract_: addresses.deposit_contract,
            rewardsDelay_: U256::ZERO,
            maxAvgRewardPerSecond_: U256::from(MAX_AVG_REWARD_PER_SECOND),
        };
        let registry = VaultsRegistry::constructorCall { owner_: owner };
        let escrow = SharedMevEscrow::constructorCall {
            vaultsRegistry_: vaults_registry,
        };
        let deposit_data = DepositDataRegistry::constructorCall {
            vaultsRegistry_: vaults_registry,
        };
        let calls = [
            chain.creation("VaultsRegistry", &registry.abi_encode())?,
            chain.creation("DepositContract", &[])?,
            chain.creation("Keeper", &keeper.abi_encode())?,
            chain.creation("SharedMevEscrow", &escrow.abi_encode())?,
            chain.creation("DepositDataRegistry", &deposit_data.abi_encode())?,
            chain.creation("Multicall3", &[])?,
            call(owner, addresses.keeper, &Keeper::initializeCall { _owner: owner }),
        ];
        let receipts = chain.transact_all(&calls).await?;
        chain.deploy_block = receipts
            .iter()
            .map(|receipt| receipt.block_number.to())
            .min()
            .unwrap_or_default();
        Ok(chain)
    }

    /// The node.
    pub fn rpc(&self) -> &Rpc {
        &self.rpc
    }

    /// Who acts.
    pub fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    /// Where the contracts are.
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// The first block with contracts.
    pub fn deploy_block(&self) -> u64 {
        self.deploy_block
    }

    /// The Unix time of block 0.
    pub fn genesis_time(&self) -> u64 {
        self.genesis_time
    }

    /// The fork version deposits are signed under.
    pub fn genesis_fork_version(&self) -> FixedBytes<4> {
        self.genesis_fork_version
    }

    /// Sends a transaction and waits until it is mined.
    ///
    /// # Errors
    ///
    /// It reverts, or the node fails.
    pub async fn transact(&self, call: &Call) -> Result<Receipt, ChainError> {
        let guard = self.sending.lock().await;
        let hash = self
            .rpc
            .send(call, None)
            .await
            .map_err(|error| self.reverted(call, error))?;
        drop(guard);
        self.wait(call, hash).await
    }

    /// Sends transactions at once, in this order, and waits until all are mined.
    ///
    /// # Errors
    ///
    /// One of them reverts, or the node fails.
    pub async fn transact_all(&self, calls: &[Call]) -> Result<Vec<Receipt>, ChainError> {
        let guard = self.sending.lock().await;
        let sent = self.send_all(calls).await?;
        drop(guard);
        self.wait_all(calls, &sent).await
    }

    /// Asks a contract.
    ///
    /// # Errors
    ///
    /// It reverts, or the node fails.
    pub async fn read<C: SolCall>(&self, contract: Address, question: &C) -> Result<C::Return, ChainError> {
        let call = call(Address::ZERO, contract, question);
        let answer = self
            .rpc
            .call(&call)
            .await
            .map_err(|error| self.reverted(&call, error))?;
        Ok(C::abi_decode_returns(&answer)?)
    }

    /// All events of one kind that a contract has emitted.
    ///
    /// # Errors
    ///
    /// The node fails.
    pub async fn events<E: SolEvent>(&self, contract: Address) -> Result<Vec<(E, Log)>, ChainError> {
        let Some(head) = self.rpc.block(None).await? else {
            return Ok(Vec::new());
        };
        let logs = self
            .rpc
            .logs(contract, &[E::SIGNATURE_HASH], self.deploy_block, head.number.to())
            .await?;
        let decode = |log: Log| Ok((E::decode_raw_log(log.topics.iter().copied(), &log.data)?, log));
        logs.into_iter().map(decode).collect()
    }

    /// Puts a contract and what depends on its address into one block: `then` is told the address.
    ///
    /// # Errors
    ///
    /// A transaction reverts, or the node fails.
    pub async fn create(
        &self,
        name: &'static str,
        arguments: &[u8],
        then: impl FnOnce(Address) -> Vec<Call>,
    ) -> Result<Address, ChainError> {
        let guard = self.sending.lock().await;
        let address = self.accounts.owner.create(self.rpc.nonce(self.accounts.owner).await?);
        let mut calls = vec![self.creation(name, arguments)?];
        calls.extend(then(address));
        let sent = self.send_all(&calls).await?;
        drop(guard);
        self.wait_all(&calls, &sent).await?;
        Ok(address)
    }

    /// Puts an implementation, a proxy in front of it and what depends on the proxy's address into one block: `then` is
    /// told that address.
    ///
    /// # Errors
    ///
    /// A transaction reverts, or the node fails.
    pub async fn create_behind_proxy(
        &self,
        name: &'static str,
        arguments: &[u8],
        then: impl FnOnce(Address) -> Vec<Call>,
    ) -> Result<Address, ChainError> {
        let guard = self.sending.lock().await;
        let first = self.rpc.nonce(self.accounts.owner).await?;
        let [implementation, proxy] = [first, first + 1].map(|nonce| self.accounts.owner.create(nonce));
        let proxied = VaultProxy::constructorCall { implementation };
        let mut calls = vec![
            self.creation(name, arguments)?,
            self.creation("VaultProxy", &proxied.abi_encode())?,
        ];
        calls.extend(then(proxy));
        let sent = self.send_all(&calls).await?;
        drop(guard);
        self.wait_all(&calls, &sent).await?;
        Ok(proxy)
    }

    fn creation(&self, name: &'static str, arguments: &[u8]) -> Result<Call, ChainError> {
        let artifact = self.artifacts.contract(name).ok_or(ChainError::NotCompiled { name })?;
        let data = [&artifact.bytecode, arguments].concat().into();
        Ok(Call {
            from: self.accounts.owner,
            to: None,
            data,
            value: U256::ZERO,
        })
    }

    async fn send_all(&self, calls: &[Call]) -> Result<Vec<B256>, ChainError> {
        let mut nonces: BTreeMap<Address, u64> = BTreeMap::new();
        let mut sent = Vec::with_capacity(calls.len());
        for call in calls {
            let nonce = match nonces.get(&call.from) {
                Some(last) => last + 1,
                None => self.rpc.nonce(call.from).await?,
            };
            nonces.insert(call.from, nonce);
            sent.push(
                self.rpc
                    .send(call, Some(nonce))
                    .await
                    .map_err(|error| self.reverted(call, error))?,
            );
        }
        Ok(sent)
    }

    async fn wait_all(&self, calls: &[Call], sent: &[B256]) -> Result<Vec<Receipt>, ChainError> {
        let mut receipts = Vec::with_capacity(sent.len());
        for (call, hash) in calls.iter().zip(sent) {
            receipts.push(self.wait(call, *hash).await?);
        }
        Ok(receipts)
    }

    async fn wait(&self, call: &Call, hash: B256) -> Result<Receipt, ChainError> {
        let receipt = self.rpc.receipt(hash).await?;
        if receipt.status == U64::from(1) {
            return Ok(receipt);
        }
        // The node does not keep why; the same call now is likely to fail for the same reason.
        match self.rpc.call(call).await {
            Err(error) => Err(self.reverted(call, error)),
            Ok(_) => Err(ChainError::Reverted {
                contract: call.to.unwrap_or_default(),
                reason: "an error that the same call no longer shows".to_owned(),
            }),
        }
    }

    fn reverted(&self, call: &Call, error: RpcError) -> ChainError {
        match error {
            RpcError::Refused {
                message,
                revert: Some(revert),
                ..
            } => ChainError::Reverted {
                contract: call.to.unwrap_or_default(),
                reason: self.artifacts.error_name(&revert).map_or(message, str::to_owned),
            },
            error => ChainError::Rpc(error),
        }
    }
}

/// A call of a contract's function, without Ether.
pub fn call(from: Address, to: Address, function: &impl SolCall) -> Call {
    Call {
        from,
        to: Some(to),
        data: function.abi_encode().into(),
        value: U256::ZERO,
    }
}

/// A fifth of what is staked in a year, in units of 1e-18 a second.
const MAX_AVG_REWARD_PER_SECOND: u64 = 6_341_958_396;
