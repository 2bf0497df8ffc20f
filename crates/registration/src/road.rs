//! Which way leads to a registration for this vault: decided by reading the vault, never by asking the user.
//!
//! Source: the StakeWise contracts, `VaultValidators` and `DepositDataRegistry`.

use sw_chain_client::VaultState;
use sw_spec::{Address, NetworkSpec};

/// A way to register validators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Road {
    /// Through the DepositDataRegistry, with a Merkle proof of the deposit data. Anybody may send.
    DepositDataRegistry,
}

/// Why no road leads to a registration. Each can be mended by the vault's admin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoRoad {
    /// A vault of version 1 keeps its own root.
    #[error(
        "the vault is of version 1, which registers through the vault itself; this version of the operator serves \
         vaults from version 2 on"
    )]
    VersionOne,
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
    if vault.version < 2 {
        return Err(NoRoad::VersionOne);
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
