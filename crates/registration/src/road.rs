//! Which way leads to a registration for this vault: decided by reading the vault, never by asking the user.
//!
//! Source: the StakeWise contracts, `VaultValidators` and `DepositDataRegistry`; for vaults of version 1 `VaultValidators` of
//! release 1.0.0.

use std::fmt;

use sw_chain_client::{Call, HarvestParams, KeeperParams, VaultState, calls};
use sw_deposit_data::Multiproof;
use sw_spec::{Address, B256, NetworkSpec};

/// A way to register validators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Road {
    /// Through the DepositDataRegistry, with a Merkle proof of the deposit data. Anybody may send.
    DepositDataRegistry,
    /// Through the vault itself, which keeps the root of its deposit data as vaults of version 1 do. Anybody may send.
    Vault,
}

impl Road {
    /// The road by which the deposit data of a vault of this version is proven, whoever may send now: the holder of its root.
    pub fn of_deposit_data(version: u8) -> Self {
        if version == 1 {
            Self::Vault
        } else {
            Self::DepositDataRegistry
        }
    }

    /// The call that registers `keys` validators: of the vault or of the DepositDataRegistry, with the harvest before it.
    pub(crate) fn call(
        self,
        vault: Address,
        network: &NetworkSpec,
        approval: &KeeperParams,
        proof: &Multiproof,
        harvest: Option<&HarvestParams>,
    ) -> Call {
        let (indexes, flags, hashes) = (&proof.indexes, &proof.flags, &proof.proof);
        let alone = indexes.len() == 1;
        let (to, data) = match self {
            Self::DepositDataRegistry => {
                let register = if alone {
                    calls::registry_register_validator(vault, approval, hashes)
                } else {
                    calls::registry_register_validators(vault, approval, indexes, flags, hashes)
                };
                let data = match harvest {
                    Some(harvest) => {
                        calls::registry_multicall(&[calls::registry_update_vault_state(vault, harvest), register])
                    }
                    None => register,
                };
                (network.contracts.deposit_data_registry, data)
            }
            Self::Vault => {
                let register = if alone {
                    calls::vault_v1_register_validator(approval, hashes)
                } else {
                    calls::vault_v1_register_validators(approval, indexes, flags, hashes)
                };
                let data = match harvest {
                    Some(harvest) => calls::vault_multicall(&[calls::vault_update_state(harvest), register]),
                    None => register,
                };
                (vault, data)
            }
        };
        Call::new(to, data)
    }

    /// What whoever may set the root calls to upload it, in words.
    pub fn upload(self, root: B256, vault: Address, network: &NetworkSpec) -> String {
        match self {
            Self::DepositDataRegistry => {
                let registry = network.contracts.deposit_data_registry;
                format!("setDepositDataRoot({vault}, {root}) on the DepositDataRegistry {registry}")
            }
            Self::Vault => format!("setValidatorsRoot({root}) on the vault"),
        }
    }
}

impl fmt::Display for Road {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DepositDataRegistry => "registers through the DepositDataRegistry",
            Self::Vault => "registers through the vault itself",
        })
    }
}

/// Why no road leads to a registration. Each can be mended by the vault's admin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoRoad {
    /// Nobody may register for the vault.
    #[error(
        "the vault has no validators manager, so every registration is refused; its admin {admin} must call \
         setValidatorsManager({registry}) on the vault to register from a deposit data file"
    )]
    NoManager {
        /// The vault's admin.
        admin: Address,
        /// The DepositDataRegistry.
        registry: Address,
    },
    /// Somebody else manages the vault's validators.
    #[error(
        "the vault's validators manager is {manager}, not the DepositDataRegistry {registry}; its admin {admin} must \
         call setValidatorsManager({registry}) on the vault to register from a deposit data file"
    )]
    OtherManager {
        /// The manager.
        manager: Address,
        /// The vault's admin.
        admin: Address,
        /// The DepositDataRegistry.
        registry: Address,
    },
}

/// Returns the road for a vault as it is now.
///
/// # Errors
///
/// What stands in the way. A zero manager means the DepositDataRegistry on vaults before the Pectra upgrade, and nobody
/// after it; which of the two a vault is was probed, because version numbers do not tell on Gnosis.
pub fn road(vault: &VaultState, network: &NetworkSpec) -> Result<Road, NoRoad> {
    let registry = network.contracts.deposit_data_registry;
    let admin = vault.admin;
    if Road::of_deposit_data(vault.version) == Road::Vault {
        return Ok(Road::Vault);
    }
    match vault.validators_manager.filter(|manager| !manager.is_zero()) {
        Some(manager) if manager == registry => Ok(Road::DepositDataRegistry),
        Some(manager) => Err(NoRoad::OtherManager {
            manager,
            admin,
            registry,
        }),
        None if vault.has_manager_nonce => Err(NoRoad::NoManager { admin, registry }),
        None => Ok(Road::DepositDataRegistry),
    }
}
