//! What a vault and the contracts around it say at one block.

use alloy::sol_types::SolCall;
use alloy_primitives::{Address, B256, U256};
use sw_spec::NetworkSpec;

use crate::{
    Call, ExecutionError, HarvestParams, Snapshot,
    abi::{DepositContract, DepositDataRegistry, Keeper, Multicall3, Vault, VaultV1, VaultV5, VaultsRegistry},
    calls::{vault_multicall, vault_update_state},
    multicall::{Answers, Reads, Slot, one_place_each},
};

/// What a vault is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VaultState {
    /// The version of its implementation.
    pub version: u8,
    /// Its administrator.
    pub admin: Address,
    /// Who may register validators; `None` for a vault of version 1, which has no such function.
    pub validators_manager: Option<Address>,
    /// Whether it answers `validatorsManagerNonce()`, as vaults from the Pectra upgrade on do. Version numbers do not tell
    /// on Gnosis; where it is true a zero manager means that nobody may register.
    pub has_manager_nonce: bool,
    /// Where its execution rewards go.
    pub mev_escrow: Address,
    /// Whether the VaultsRegistry lists it.
    pub in_registry: bool,
}

/// What a registration depends on, all at one block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistrationState {
    /// The root of the deposit contract, which every deposit changes.
    pub deposit_root: B256,
    /// How many deposits were ever made.
    pub deposit_count: u64,
    /// The root of the vault's deposit data: in the DepositDataRegistry, or in a vault of version 1 itself.
    pub deposit_data_root: B256,
    /// The position of the next validator in the deposit data.
    pub deposit_data_index: u64,
    /// Who may set the root: the deposit data manager, or the keys manager of a vault of version 1.
    pub deposit_data_manager: Address,
    /// Whether the vault's part of the latest rewards is not counted yet.
    pub can_harvest: bool,
    /// Whether the vault refuses to register before its state is updated.
    pub harvest_required: bool,
    /// Whether the vault has had a validator.
    pub collateralized: bool,
    /// How many oracles must approve a registration.
    pub validators_min_oracles: u64,
    /// How many oracles must agree on rewards.
    pub rewards_min_oracles: u64,
    /// The root of the latest rewards tree.
    pub rewards_root: B256,
    /// What the vault can spend on validators before its state is updated, in its asset's wei.
    pub withdrawable_assets: U256,
    /// What the vault holds in all, in its asset's wei.
    pub total_assets: U256,
    /// What the hot wallet holds, in wei.
    pub wallet_balance: U256,
}

/// What a rotation of a vault's exit signatures depends on, all at one block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RotationState {
    /// How many rotations of the vault there were: what the next one's approvals are bound to.
    pub nonce: U256,
    /// Whether the vault has had a validator; the Keeper rotates for no other.
    pub is_collateralized: bool,
    /// How many oracles must approve.
    pub validators_min_oracles: u64,
    /// How many oracles must agree on rewards.
    pub rewards_min_oracles: u64,
    /// What the hot wallet holds, in wei.
    pub wallet_balance: U256,
}

impl Snapshot {
    /// What a vault is: its version, and who may do what.
    ///
    /// # Errors
    /// [`ExecutionError::NotAVault`] when the address does not answer like a vault, and when the node fails.
    pub async fn vault(&self, vault: Address, network: &NetworkSpec) -> Result<VaultState, ExecutionError> {
        let contracts = &network.contracts;
        let mut reads = Reads::default();
        let version = reads.push("the vault", vault, Vault::versionCall {});
        let vault_id = reads.push("the vault", vault, Vault::vaultIdCall {});
        let admin = reads.push("the vault", vault, Vault::adminCall {});
        let mev_escrow = reads.push("the vault", vault, Vault::mevEscrowCall {});
        let manager = reads.push("the vault", vault, VaultV5::validatorsManagerCall {});
        let manager_nonce = reads.push("the vault", vault, VaultV5::validatorsManagerNonceCall {});
        let listed = reads.push(
            "the VaultsRegistry",
            contracts.vaults_registry,
            VaultsRegistry::vaultsCall(vault),
        );

        let answers = self.read(contracts.multicall, reads).await?;
        let not_a_vault = || ExecutionError::NotAVault { vault };
        answers.find(vault_id).ok_or_else(not_a_vault)?;
        let version = answers.find(version).ok_or_else(not_a_vault)?;
        Ok(VaultState {
            version,
            admin: answers.find(admin).ok_or_else(not_a_vault)?,
            validators_manager: validators_manager(&answers, manager, version)?,
            has_manager_nonce: answers.find(manager_nonce).is_some(),
            mev_escrow: answers.find(mev_escrow).ok_or_else(not_a_vault)?,
            in_registry: answers.get(listed)?,
        })
    }

    /// Everything a registration depends on, read in one call. A vault of this `version` is asked where it keeps its deposit
    /// data, and no other contract is.
    ///
    /// # Errors
    /// [`ExecutionError::ContractMismatch`] when a contract does not answer as it must, and when the node fails.
    pub async fn registration(
        &self,
        vault: Address,
        version: u8,
        network: &NetworkSpec,
        wallet: Address,
    ) -> Result<RegistrationState, ExecutionError> {
        let contracts = &network.contracts;
        let (keeper, deposits) = (contracts.keeper, contracts.deposit_contract);
        let mut reads = Reads::default();
        let deposit_data = DepositDataSlots::push(&mut reads, vault, version, contracts.deposit_data_registry);
        let withdrawable = reads.push("the vault", vault, Vault::withdrawableAssetsCall {});
        let total = reads.push("the vault", vault, Vault::totalAssetsCall {});
        let deposit_root = reads.push(
            "the deposit contract",
            deposits,
            DepositContract::get_deposit_rootCall {},
        );
        let deposit_count = reads.push(
            "the deposit contract",
            deposits,
            DepositContract::get_deposit_countCall {},
        );
        let can_harvest = reads.push("the Keeper", keeper, Keeper::canHarvestCall { vault });
        let harvest_required = reads.push("the Keeper", keeper, Keeper::isHarvestRequiredCall { vault });
        let collateralized = reads.push("the Keeper", keeper, Keeper::isCollateralizedCall { vault });
        let validators_min = reads.push("the Keeper", keeper, Keeper::validatorsMinOraclesCall {});
        let rewards_min = reads.push("the Keeper", keeper, Keeper::rewardsMinOraclesCall {});
        let rewards_root = reads.push("the Keeper", keeper, Keeper::rewardsRootCall {});
        let balance = Multicall3::getEthBalanceCall { addr: wallet };
        let balance = reads.push("Multicall3", contracts.multicall, balance);

        let answers = self.read(contracts.multicall, reads).await?;
        let (deposit_data_root, deposit_data_index, deposit_data_manager) = deposit_data.answers(&answers)?;
        // The deposit contract gives its count as eight bytes, the lowest first.
        let count_mismatch = deposit_count.mismatch();
        let deposit_count = answers
            .get(deposit_count)?
            .as_ref()
            .try_into()
            .map_err(|_| count_mismatch)?;
        Ok(RegistrationState {
            deposit_root: answers.get(deposit_root)?,
            deposit_count: u64::from_le_bytes(deposit_count),
            deposit_data_root,
            deposit_data_index,
            deposit_data_manager,
            can_harvest: answers.get(can_harvest)?,
            harvest_required: answers.get(harvest_required)?,
            collateralized: answers.get(collateralized)?,
            validators_min_oracles: answers.number(validators_min)?,
            rewards_min_oracles: answers.number(rewards_min)?,
            rewards_root: answers.get(rewards_root)?,
            withdrawable_assets: answers.get(withdrawable)?,
            total_assets: answers.get(total)?,
            wallet_balance: answers.get(balance)?,
        })
    }

    /// Everything a rotation of the vault's exit signatures depends on, read in one call.
    ///
    /// # Errors
    /// [`ExecutionError::ContractMismatch`] when a contract does not answer as it must, and when the node fails.
    pub async fn rotation(
        &self,
        vault: Address,
        network: &NetworkSpec,
        wallet: Address,
    ) -> Result<RotationState, ExecutionError> {
        let keeper = network.contracts.keeper;
        let mut reads = Reads::default();
        let nonce = reads.push("the Keeper", keeper, Keeper::exitSignaturesNoncesCall(vault));
        let collateralized = reads.push("the Keeper", keeper, Keeper::isCollateralizedCall { vault });
        let validators_min = reads.push("the Keeper", keeper, Keeper::validatorsMinOraclesCall {});
        let rewards_min = reads.push("the Keeper", keeper, Keeper::rewardsMinOraclesCall {});
        let balance = Multicall3::getEthBalanceCall { addr: wallet };
        let balance = reads.push("Multicall3", network.contracts.multicall, balance);

        let answers = self.read(network.contracts.multicall, reads).await?;
        Ok(RotationState {
            nonce: answers.get(nonce)?,
            is_collateralized: answers.get(collateralized)?,
            validators_min_oracles: answers.number(validators_min)?,
            rewards_min_oracles: answers.number(rewards_min)?,
            wallet_balance: answers.get(balance)?,
        })
    }

    /// What the vault can spend on validators once its state is updated, in its asset's wei.
    ///
    /// # Errors
    /// [`ExecutionError::Reverted`] when the Keeper does not accept the parameters, and when the node fails.
    pub async fn withdrawable_after_harvest(
        &self,
        vault: Address,
        harvest: &HarvestParams,
    ) -> Result<U256, ExecutionError> {
        let withdrawable = Vault::withdrawableAssetsCall {}.abi_encode().into();
        let data = vault_multicall(&[vault_update_state(harvest), withdrawable]);
        let returned = self.eth_call(None, &Call::new(vault, data)).await?;
        let results = Vault::multicallCall::abi_decode_returns_with_config(&returned, one_place_each()).ok();
        let assets = results.as_deref().and_then(|results| results.get(1));
        assets
            .and_then(|data| Vault::withdrawableAssetsCall::abi_decode_returns_validate(data).ok())
            .ok_or(ExecutionError::NotAVault { vault })
    }

    /// Which of these addresses the Keeper has as oracles, in their order.
    ///
    /// # Errors
    /// When the node fails, or is on another network.
    pub async fn are_oracles(&self, network: &NetworkSpec, addresses: &[Address]) -> Result<Vec<bool>, ExecutionError> {
        let mut reads = Reads::default();
        let keeper = network.contracts.keeper;
        let slots: Vec<_> = addresses
            .iter()
            .map(|address| reads.push("the Keeper", keeper, Keeper::isOracleCall(*address)))
            .collect();
        let answers = self.read(network.contracts.multicall, reads).await?;
        slots.into_iter().map(|slot| answers.get(slot)).collect()
    }

    async fn read(&self, multicall: Address, reads: Reads) -> Result<Answers, ExecutionError> {
        let returned = self.eth_call(None, &Call::new(multicall, reads.calldata())).await?;
        reads.answers(multicall, &returned)
    }
}

/// Where a vault's deposit data is read: root, next index, and who may set the root.
enum DepositDataSlots {
    /// A vault of version 1 keeps it itself.
    Vault(
        Slot<VaultV1::validatorsRootCall>,
        Slot<VaultV1::validatorIndexCall>,
        Slot<VaultV1::keysManagerCall>,
    ),
    /// The DepositDataRegistry keeps it for all others.
    Registry(
        Slot<DepositDataRegistry::depositDataRootsCall>,
        Slot<DepositDataRegistry::depositDataIndexesCall>,
        Slot<DepositDataRegistry::getDepositDataManagerCall>,
    ),
}

impl DepositDataSlots {
    fn push(reads: &mut Reads, vault: Address, version: u8, registry: Address) -> Self {
        if version == 1 {
            return Self::Vault(
                reads.push("the vault", vault, VaultV1::validatorsRootCall {}),
                reads.push("the vault", vault, VaultV1::validatorIndexCall {}),
                reads.push("the vault", vault, VaultV1::keysManagerCall {}),
            );
        }
        let (root, index) = (
            DepositDataRegistry::depositDataRootsCall(vault),
            DepositDataRegistry::depositDataIndexesCall(vault),
        );
        let manager = DepositDataRegistry::getDepositDataManagerCall { vault };
        Self::Registry(
            reads.push("the DepositDataRegistry", registry, root),
            reads.push("the DepositDataRegistry", registry, index),
            reads.push("the DepositDataRegistry", registry, manager),
        )
    }

    fn answers(self, answers: &Answers) -> Result<(B256, u64, Address), ExecutionError> {
        match self {
            Self::Vault(root, index, manager) => {
                Ok((answers.get(root)?, answers.number(index)?, answers.get(manager)?))
            }
            Self::Registry(root, index, manager) => {
                Ok((answers.get(root)?, answers.number(index)?, answers.get(manager)?))
            }
        }
    }
}

/// Vaults have a validators manager from version 2 on.
fn validators_manager(
    answers: &Answers,
    slot: Slot<VaultV5::validatorsManagerCall>,
    version: u8,
) -> Result<Option<Address>, ExecutionError> {
    if version == 1 {
        Ok(None)
    } else {
        answers.get(slot).map(Some)
    }
}
