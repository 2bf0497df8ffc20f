//! A network as a value: everything that differs between mainnet, its test networks and a network on one machine.

use std::{fmt, str::FromStr};

use alloy_primitives::{Address, B256, U256};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{
    Domain, Epoch, ForkVersion, Slot, VoluntaryExit,
    containers::signing_root,
    network_file::{checksummed, checksummed_option, decimal},
};

/// The name of a network: `[a-z0-9_]+`, because it becomes a SQL table name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NetworkName(String);

/// A text that cannot name a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a network name is made of a-z, 0-9 and _, got `{0}`")]
pub struct NetworkNameError(String);

impl NetworkName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn built_in(name: &'static str) -> Self {
        Self(name.to_owned())
    }
}

impl FromStr for NetworkName {
    type Err = NetworkNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let valid = (1..=32).contains(&text.len())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        valid
            .then(|| Self(text.to_owned()))
            .ok_or_else(|| NetworkNameError(text.to_owned()))
    }
}

impl fmt::Display for NetworkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for NetworkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for NetworkName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for NetworkName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// Everything the operator must know of a network before it talks to a node.
///
/// The built-in values come from [`crate::Network::spec`]; others are read from a file with
/// [`NetworkSpec::from_toml`]. Amounts of ETH-like assets are in wei, times in seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkSpec {
    /// The name, also of the database tables.
    pub name: NetworkName,
    /// The execution chain id (EIP-155).
    pub chain_id: u64,
    /// What gas is paid in.
    pub wallet_symbol: String,
    /// What vaults hold.
    pub vault_symbol: String,
    /// Slots of an epoch.
    pub slots_per_epoch: u64,
    /// Seconds of a slot.
    pub seconds_per_slot: u64,
    /// Unix time of slot 0.
    pub genesis_time: u64,
    /// `genesis_validators_root` of the beacon chain.
    pub genesis_validators_root: B256,
    /// The fork version deposits are signed under.
    pub genesis_fork_version: ForkVersion,
    /// The fork version exits are signed under, for ever (EIP-7044).
    pub capella_fork_version: ForkVersion,
    /// The epoch in the exits the oracles hold.
    pub capella_epoch: Epoch,
    /// Vault assets that pay for one validator, in wei (32 ETH; 1 GNO on Gnosis).
    #[serde(with = "decimal")]
    pub validator_assets: U256,
    /// Whether the reward of a harvest counts the vault's MEV as well (Ethereum) or the consensus reward alone (Gnosis).
    pub rewards_include_mev: bool,
    /// Below this the hot wallet may be unable to pay for a registration, in wei.
    #[serde(with = "decimal")]
    pub wallet_min_balance: U256,
    /// The default of `--max-fee-per-gas-gwei`.
    pub max_fee_per_gas_gwei: u64,
    /// The least priority fee that validators of this network accept.
    pub min_priority_fee_gwei: u64,
    /// From which block the Keeper's `ConfigUpdated` is searched; an event is known to lie at or after it.
    pub config_block: u64,
    /// The contracts.
    pub contracts: Contracts,
    /// A published list of the network's validators that saves scanning the whole chain.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub validators_dump: Option<ValidatorsDump>,
}

/// Contract addresses, and the blocks they were deployed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contracts {
    /// The Keeper: oracles, rewards, approvals.
    #[serde(with = "checksummed")]
    pub keeper: Address,
    /// The block of the Keeper's deployment.
    pub keeper_block: u64,
    /// The beacon deposit contract.
    #[serde(with = "checksummed")]
    pub deposit_contract: Address,
    /// The block of the deposit contract's deployment.
    pub deposit_contract_block: u64,
    /// The DepositDataRegistry, through which vaults of version 2 and later register from a deposit data file.
    #[serde(with = "checksummed")]
    pub deposit_data_registry: Address,
    /// The list of genuine vaults.
    #[serde(with = "checksummed")]
    pub vaults_registry: Address,
    /// The ValidatorsChecker helper.
    #[serde(with = "checksummed_option", skip_serializing_if = "Option::is_none", default)]
    pub validators_checker: Option<Address>,
    /// The MEV escrow that vaults may share.
    #[serde(with = "checksummed")]
    pub shared_mev_escrow: Address,
    /// Multicall3.
    #[serde(with = "checksummed")]
    pub multicall: Address,
    /// The vault that took over the legacy pool.
    #[serde(with = "checksummed_option", skip_serializing_if = "Option::is_none", default)]
    pub genesis_vault: Option<Address>,
    /// The legacy pool.
    #[serde(with = "checksummed_option", skip_serializing_if = "Option::is_none", default)]
    pub legacy_pool: Option<Address>,
    /// The block of the legacy pool's deployment.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub legacy_pool_block: Option<u64>,
}

/// A list of the validators with a valid deposit up to a block: records of a 4-byte big-endian block and a public key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValidatorsDump {
    /// Where it is, on IPFS.
    pub cid: String,
    /// The last block it covers.
    pub last_block: u64,
    /// Whether the chain alone cannot replace it: validators of genesis made no deposit that a scan would find.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub required: bool,
}

impl NetworkSpec {
    /// What a validator signs to exit: valid for ever, under Capella (EIP-7044).
    pub fn exit_signing_root(&self, validator_index: u64) -> B256 {
        let exit = VoluntaryExit {
            epoch: self.capella_epoch,
            validator_index,
        };
        signing_root(
            exit.root(),
            Domain::voluntary_exit(self.capella_fork_version, self.genesis_validators_root),
        )
    }

    /// The slot that the wall clock `unix_time` falls into, or `None` before genesis.
    pub fn slot_at(&self, unix_time: u64) -> Option<Slot> {
        unix_time
            .checked_sub(self.genesis_time)?
            .checked_div(self.seconds_per_slot)
            .map(Slot)
    }
}
