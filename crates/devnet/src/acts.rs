//! What people do on the devnet: the owner of the protocol, the admin of the vaults, stakers, and strangers.

use alloy::{
    primitives::{Address, B256, Bytes, FixedBytes, I256, Signature, U256},
    sol_types::{Eip712Domain, SolCall, SolConstructor, SolStruct},
};
use serde_json::json;

use crate::{
    bls::ForeignKey,
    chain::{Chain, ChainError, call},
    contracts::interface::{
        ApprovalParams, DepositContract, DepositDataRegistry, EthVault, EthVaultV1, EthVaultV2, Keeper,
        KeeperValidators, LegacyPool, OwnEscrowVault, PastVault, VaultsRegistry,
    },
    rpc::{Call, Log, Transaction},
    ssz,
};

/// A validator that a vault has registered, as its event says.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Registered {
    /// The public key, with 0x.
    pub public_key: String,
    /// The transaction.
    pub tx: B256,
    /// The block.
    pub block: u64,
}

/// A harvest of a vault, as the Keeper's event says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Harvested {
    /// What the reward has grown by, in wei.
    pub assets_delta: I256,
    /// What was unlocked in the shared escrow, in wei.
    pub unlocked_mev_delta: U256,
    /// The transaction.
    pub tx: B256,
    /// The block.
    pub block: u64,
}

/// Whose words a registration is told in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Past {
    /// A vault's, of a validator with 32 ETH and no compounding.
    V1,
    /// A vault's of version 5, of a compounding validator.
    V2,
    /// Those of the pool of StakeWise V2.
    LegacyPool,
}

impl Chain {
    /// Makes oracles of `oracles`, and asks for that many of their signatures on validators and on rewards.
    ///
    /// # Errors
    ///
    /// The Keeper refuses, or the node fails.
    pub async fn add_oracles(&self, oracles: &[Address], validators: usize, rewards: usize) -> Result<(), ChainError> {
        let (owner, keeper) = (self.accounts().owner, self.addresses().keeper);
        let [validators, rewards] = [validators, rewards].map(U256::from);
        let mut calls: Vec<Call> = oracles
            .iter()
            .map(|oracle| call(owner, keeper, &Keeper::addOracleCall { oracle: *oracle }))
            .collect();
        calls.push(call(
            owner,
            keeper,
            &Keeper::setValidatorsMinOraclesCall {
                _validatorsMinOracles: validators,
            },
        ));
        calls.push(call(
            owner,
            keeper,
            &Keeper::setRewardsMinOraclesCall {
                _rewardsMinOracles: rewards,
            },
        ));
        self.transact_all(&calls).await.map(drop)
    }

    /// Announces a config.
    ///
    /// # Errors
    ///
    /// The node fails.
    pub async fn update_config(&self, cid: &str) -> Result<(), ChainError> {
        let update = Keeper::updateConfigCall {
            configIpfsHash: cid.to_owned(),
        };
        self.transact(&call(self.accounts().owner, self.addresses().keeper, &update))
            .await
            .map(drop)
    }

    /// Makes an oracle of `new`, and none of `old` any more, and announces the config that says so.
    ///
    /// # Errors
    ///
    /// The Keeper refuses, or the node fails.
    pub async fn replace_oracle(&self, old: Address, new: Address, cid: &str) -> Result<(), ChainError> {
        let (owner, keeper) = (self.accounts().owner, self.addresses().keeper);
        let update = Keeper::updateConfigCall {
            configIpfsHash: cid.to_owned(),
        };
        let calls = [
            call(owner, keeper, &Keeper::addOracleCall { oracle: new }),
            call(owner, keeper, &Keeper::removeOracleCall { oracle: old }),
            call(owner, keeper, &update),
        ];
        self.transact_all(&calls).await.map(drop)
    }

    /// Creates a vault of version 5 that is in the registry, managed by `manager` unless that is zero.
    ///
    /// # Errors
    ///
    /// The node fails.
    pub async fn create_vault(&self, manager: Address) -> Result<Address, ChainError> {
        self.create_vault_of("EthVault", manager).await
    }

    /// Creates a vault that can be made to remember registrations, with [`Chain::remember`].
    ///
    /// # Errors
    ///
    /// The node fails.
    pub async fn create_past_vault(&self) -> Result<Address, ChainError> {
        self.create_vault_of("PastVault", self.addresses().deposit_data_registry)
            .await
    }

    /// Creates the pool of StakeWise V2.
    ///
    /// # Errors
    ///
    /// The node fails.
    pub async fn create_legacy_pool(&self) -> Result<Address, ChainError> {
        self.create("LegacyPool", &[], |_| Vec::new()).await
    }

    /// Has a contract say that validators were registered, in its own words; nothing is deposited.
    ///
    /// # Errors
    ///
    /// It is no contract with a past, or the node fails.
    pub async fn remember(&self, contract: Address, past: Past, keys: &[FixedBytes<48>]) -> Result<(), ChainError> {
        let from = self.accounts().owner;
        let calls: Vec<Call> = keys
            .iter()
            .map(|key| Bytes::copy_from_slice(key.as_slice()))
            .map(|key| match past {
                Past::V1 => call(from, contract, &PastVault::rememberCall { publicKey: key }),
                Past::V2 => {
                    let amount = U256::from(VALIDATOR_GWEI) * U256::from(WEI_PER_GWEI);
                    call(from, contract, &PastVault::rememberV2Call { publicKey: key, amount })
                }
                Past::LegacyPool => call(from, contract, &LegacyPool::rememberCall { publicKey: key }),
            })
            .collect();
        self.transact_all(&calls).await.map(drop)
    }

    /// Creates a vault of version 1 that is in the registry: its admin is its keys manager.
    ///
    /// # Errors
    ///
    /// The node fails.
    pub async fn create_v1_vault(&self) -> Result<Address, ChainError> {
        let (accounts, addresses) = (*self.accounts(), *self.addresses());
        let creation = EthVaultV1::constructorCall {
            keeper_: addresses.keeper,
            depositContract_: addresses.deposit_contract,
            mevEscrow_: addresses.shared_mev_escrow,
            admin_: accounts.vault_admin,
        };
        let add = |vault| {
            vec![call(
                accounts.owner,
                addresses.vaults_registry,
                &VaultsRegistry::addVaultCall { vault },
            )]
        };
        self.create_behind_proxy("EthVaultV1", &creation.abi_encode(), add)
            .await
    }

    /// Has somebody else set the root of a vault of version 1 from now on.
    ///
    /// # Errors
    ///
    /// It is no vault of version 1, or the node fails.
    pub async fn set_keys_manager(&self, vault: Address, manager: Address) -> Result<(), ChainError> {
        let set = EthVaultV1::setKeysManagerCall { keysManager_: manager };
        self.transact(&call(self.accounts().vault_admin, vault, &set))
            .await
            .map(drop)
    }

    /// Upgrades a vault of version 1 to version 2, as its admin: the DepositDataRegistry takes over its root and index.
    ///
    /// # Errors
    ///
    /// It is no vault of version 1, or the node fails.
    pub async fn upgrade_v1_vault(&self, vault: Address) -> Result<(), ChainError> {
        let (accounts, addresses) = (*self.accounts(), *self.addresses());
        let creation = EthVaultV2::constructorCall {
            keeper_: addresses.keeper,
            depositContract_: addresses.deposit_contract,
            mevEscrow_: addresses.shared_mev_escrow,
            admin_: accounts.vault_admin,
            depositDataRegistry_: addresses.deposit_data_registry,
        };
        let implementation = self
            .create("EthVaultV2", &creation.abi_encode(), |_| Vec::new())
            .await?;
        let initialize = EthVaultV2::initializeCall { params: Bytes::new() };
        let upgrade = EthVaultV1::upgradeToAndCallCall {
            newImplementation: implementation,
            data: initialize.abi_encode().into(),
        };
        self.transact(&call(accounts.vault_admin, vault, &upgrade))
            .await
            .map(drop)
    }

    /// Creates a vault of version 5 with a MEV escrow of its own, managed by the DepositDataRegistry.
    ///
    /// # Errors
    ///
    /// The node fails.
    pub async fn create_own_escrow_vault(&self) -> Result<Address, ChainError> {
        let (accounts, addresses) = (self.accounts(), self.addresses());
        let creation = OwnEscrowVault::constructorCall {
            keeper_: addresses.keeper,
            depositContract_: addresses.deposit_contract,
            admin_: accounts.vault_admin,
        };
        self.create_managed(
            "OwnEscrowVault",
            &creation.abi_encode(),
            addresses.deposit_data_registry,
        )
        .await
    }

    async fn create_vault_of(&self, kind: &'static str, manager: Address) -> Result<Address, ChainError> {
        let (accounts, addresses) = (self.accounts(), self.addresses());
        let creation = EthVault::constructorCall {
            keeper_: addresses.keeper,
            depositContract_: addresses.deposit_contract,
            mevEscrow_: addresses.shared_mev_escrow,
            admin_: accounts.vault_admin,
        };
        self.create_managed(kind, &creation.abi_encode(), manager).await
    }

    async fn create_managed(
        &self,
        kind: &'static str,
        creation: &[u8],
        manager: Address,
    ) -> Result<Address, ChainError> {
        let (accounts, addresses) = (*self.accounts(), *self.addresses());
        let then = |vault| {
            let mut calls = vec![call(
                accounts.owner,
                addresses.vaults_registry,
                &VaultsRegistry::addVaultCall { vault },
            )];
            if !manager.is_zero() {
                let set = EthVault::setValidatorsManagerCall {
                    _validatorsManager: manager,
                };
                calls.push(call(accounts.vault_admin, vault, &set));
            }
            calls
        };
        self.create(kind, creation, then).await
    }

    /// Stakes in a vault.
    ///
    /// # Errors
    ///
    /// The vault refuses, or the node fails.
    pub async fn stake(&self, vault: Address, wei: U256) -> Result<(), ChainError> {
        let staker = self.accounts().staker;
        let deposit = call(
            staker,
            vault,
            &EthVault::depositCall {
                receiver: staker,
                referrer: Address::ZERO,
            },
        );
        self.transact(&Call { value: wei, ..deposit }).await.map(drop)
    }

    /// What a vault counts as its own: what was staked, and what was harvested.
    ///
    /// # Errors
    ///
    /// The node fails.
    pub async fn total_assets(&self, vault: Address) -> Result<U256, ChainError> {
        self.read(vault, &EthVault::totalAssetsCall {}).await
    }

    /// The harvests of a vault that changed anything, in order, as the Keeper's events say.
    ///
    /// # Errors
    ///
    /// The node fails.
    pub async fn harvests(&self, vault: Address) -> Result<Vec<Harvested>, ChainError> {
        let all = self.events::<Keeper::Harvested>(self.addresses().keeper).await?;
        let of_vault = all.into_iter().filter(|(event, _)| event.vault == vault);
        Ok(of_vault
            .map(|(event, log)| Harvested {
                assets_delta: event.totalAssetsDelta,
                unlocked_mev_delta: event.unlockedMevDelta,
                tx: log.transaction_hash,
                block: log.block_number.to(),
            })
            .collect())
    }

    /// Gives Ether away.
    ///
    /// # Errors
    ///
    /// The node fails.
    pub async fn send_wei(&self, to: Address, wei: U256) -> Result<(), ChainError> {
        let gift = Call {
            from: self.accounts().staker,
            to: Some(to),
            value: wei,
            ..Call::default()
        };
        self.transact(&gift).await.map(drop)
    }

    /// Uploads a deposit data root, as whoever may: to the vault itself when it is of version 1, else to the
    /// DepositDataRegistry.
    ///
    /// # Errors
    ///
    /// The node does not sign for that account, the root cannot be set, or the node fails.
    pub async fn set_deposit_data_root(&self, vault: Address, root: B256) -> Result<(), ChainError> {
        if self.read(vault, &EthVault::versionCall {}).await? == 1 {
            let manager = self.read(vault, &EthVaultV1::keysManagerCall {}).await?;
            let set = EthVaultV1::setValidatorsRootCall { _validatorsRoot: root };
            return self.transact(&call(manager, vault, &set)).await.map(drop);
        }
        let registry = self.addresses().deposit_data_registry;
        let manager = DepositDataRegistry::getDepositDataManagerCall { vault };
        let manager = self.read(registry, &manager).await?;
        let set = DepositDataRegistry::setDepositDataRootCall {
            vault,
            depositDataRoot: root,
        };
        self.transact(&call(manager, registry, &set)).await.map(drop)
    }

    /// Somebody else deposits 32 ETH for a validator of their own: the deposit root and the next index move.
    ///
    /// # Errors
    ///
    /// The node fails.
    pub async fn foreign_deposit(&self) -> Result<FixedBytes<48>, ChainError> {
        let key = ForeignKey::random()?;
        let (public_key, credentials) = (key.public_key(), self.stranger_credentials());
        let root = ssz::deposit_signing_root(&public_key, credentials, VALIDATOR_GWEI, self.genesis_fork_version());
        self.deposit(&public_key, credentials, &key.sign(root), VALIDATOR_GWEI)
            .await?;
        Ok(public_key)
    }

    /// Somebody else deposits with a signature that is none: the deposit root moves, the next index does not.
    ///
    /// # Errors
    ///
    /// The node fails.
    pub async fn invalid_deposit(&self) -> Result<FixedBytes<48>, ChainError> {
        let key = ForeignKey::random()?;
        let (public_key, credentials) = (key.public_key(), self.stranger_credentials());
        self.deposit(&public_key, credentials, &key.sign(B256::ZERO), VALIDATOR_GWEI)
            .await?;
        Ok(public_key)
    }

    /// Deposits as the stranger, whatever the signature.
    ///
    /// # Errors
    ///
    /// The deposit contract refuses, or the node fails.
    pub async fn deposit(
        &self,
        public_key: &FixedBytes<48>,
        credentials: B256,
        signature: &FixedBytes<96>,
        gwei: u64,
    ) -> Result<(), ChainError> {
        let deposit = DepositContract::depositCall {
            pubkey: Bytes::copy_from_slice(public_key.as_slice()),
            withdrawal_credentials: credentials.into(),
            signature: Bytes::copy_from_slice(signature.as_slice()),
            deposit_data_root: ssz::deposit_data_root(public_key, credentials, gwei, signature),
        };
        let deposit = call(self.accounts().stranger, self.addresses().deposit_contract, &deposit);
        let value = U256::from(gwei) * U256::from(WEI_PER_GWEI);
        self.transact(&Call { value, ..deposit }).await.map(drop)
    }

    /// The validators a vault has registered, in order.
    ///
    /// # Errors
    ///
    /// The node fails.
    pub async fn registered(&self, vault: Address) -> Result<Vec<Registered>, ChainError> {
        let v1 = self.events::<EthVault::ValidatorRegistered>(vault).await?;
        let v2 = self.events::<EthVault::V2ValidatorRegistered>(vault).await?;
        let v1 = v1.into_iter().map(|(event, log)| (event.publicKey, log));
        let mut all: Vec<_> = v1
            .chain(v2.into_iter().map(|(event, log)| (event.publicKey, log)))
            .collect();
        all.sort_by_key(|(_, log)| (log.block_number, log.log_index));
        let registered = |(public_key, log): (Bytes, Log)| Registered {
            public_key: public_key.to_string(),
            tx: log.transaction_hash,
            block: log.block_number.to(),
        };
        Ok(all.into_iter().map(registered).collect())
    }

    /// Who signed the approval in a registration's calldata, in the order of the signatures.
    ///
    /// # Errors
    ///
    /// The transaction is no registration, or the node fails.
    pub async fn approval_signers(&self, tx: B256) -> Result<Vec<Address>, ChainError> {
        let transaction: Option<Transaction> = self.rpc().request("eth_getTransactionByHash", json!([tx])).await?;
        let transaction = transaction.ok_or(ChainError::NoRegistration { tx })?;
        let to = transaction.to.unwrap_or_default();
        let (vault, approval) = approval_in(to, &transaction.input).ok_or(ChainError::NoRegistration { tx })?;
        let digest = self.approval(vault, &approval).await?;
        let signer = |signature: &[u8]| {
            Signature::from_raw(signature)
                .ok()?
                .recover_address_from_prehash(&digest)
                .ok()
        };
        Ok(approval.signatures.chunks(65).filter_map(signer).collect())
    }

    /// What the oracles sign to approve a registration (EIP-712).
    ///
    /// # Errors
    ///
    /// The node fails.
    pub async fn approval(&self, vault: Address, approval: &ApprovalParams) -> Result<B256, ChainError> {
        let message = KeeperValidators {
            validatorsRegistryRoot: approval.validatorsRegistryRoot,
            vault,
            validators: approval.validators.clone(),
            exitSignaturesIpfsHash: approval.exitSignaturesIpfsHash.clone(),
            deadline: approval.deadline,
        };
        Ok(message.eip712_signing_hash(&self.keeper_domain().await?))
    }

    /// The domain of everything that oracles sign.
    ///
    /// # Errors
    ///
    /// The node fails.
    pub async fn keeper_domain(&self) -> Result<Eip712Domain, ChainError> {
        let chain_id: U256 = self.rpc().request("eth_chainId", json!([])).await?;
        Ok(Eip712Domain {
            name: Some("KeeperOracles".into()),
            version: Some("1".into()),
            chain_id: Some(chain_id),
            verifying_contract: Some(self.addresses().keeper),
            salt: None,
        })
    }

    fn stranger_credentials(&self) -> B256 {
        let mut credentials = self.accounts().stranger.into_word();
        if let Some(kind) = credentials.first_mut() {
            *kind = 1;
        }
        credentials
    }
}

/// The approval in a registration, directly or inside a `multicall`, and the vault it is for.
fn approval_in(to: Address, data: &[u8]) -> Option<(Address, ApprovalParams)> {
    if let Ok(call) = DepositDataRegistry::registerValidatorCall::abi_decode(data) {
        return Some((call.vault, call.keeperParams));
    }
    if let Ok(call) = DepositDataRegistry::registerValidatorsCall::abi_decode(data) {
        return Some((call.vault, call.keeperParams));
    }
    if let Ok(call) = EthVault::registerValidatorsCall::abi_decode(data) {
        return Some((to, call.keeperParams));
    }
    if let Ok(call) = EthVaultV1::registerValidatorCall::abi_decode(data) {
        return Some((to, call.keeperParams));
    }
    if let Ok(call) = EthVaultV1::registerValidatorsCall::abi_decode(data) {
        return Some((to, call.keeperParams));
    }
    let calls = EthVault::multicallCall::abi_decode(data).ok()?;
    calls.data.iter().find_map(|data| approval_in(to, data))
}

const VALIDATOR_GWEI: u64 = 32_000_000_000;
const WEI_PER_GWEI: u64 = 1_000_000_000;
