//! The built-in networks.
//!
//! Values: the public tables of the StakeWise contracts and the networks' own configuration, as of mid 2026.

use std::{fmt, str::FromStr};

use alloy_primitives::{U256, address, b256};

use crate::{Contracts, Epoch, ForkVersion, NetworkName, NetworkSpec, ValidatorsDump};

/// A network that is built in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Network {
    /// Ethereum.
    Mainnet,
    /// The Ethereum test network Hoodi.
    Hoodi,
    /// Gnosis Chain.
    Gnosis,
}

/// Networks of older operators that no longer exist.
pub const RETIRED_NETWORKS: [&str; 3] = ["goerli", "holesky", "chiado"];

/// A text that names no network that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseNetworkError {
    /// A network that was shut down.
    #[error("network `{0}` is retired; use mainnet, hoodi or gnosis")]
    Retired(String),
    /// No network of that name is built in.
    #[error("no network is called `{0}`; use mainnet, hoodi or gnosis, or describe your own in a network file")]
    Unknown(String),
}

impl Network {
    /// All built-in networks.
    pub const ALL: [Self; 3] = [Self::Mainnet, Self::Hoodi, Self::Gnosis];

    /// The name, as in `--network`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mainnet => "mainnet",
            Self::Hoodi => "hoodi",
            Self::Gnosis => "gnosis",
        }
    }

    /// The network's values.
    pub fn spec(self) -> NetworkSpec {
        match self {
            Self::Mainnet => mainnet(),
            Self::Hoodi => hoodi(),
            Self::Gnosis => gnosis(),
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Case does not matter.
impl FromStr for Network {
    type Err = ParseNetworkError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let name = text.to_ascii_lowercase();
        if let Some(network) = Self::ALL.into_iter().find(|network| network.name() == name) {
            return Ok(network);
        }
        if RETIRED_NETWORKS.contains(&name.as_str()) {
            return Err(ParseNetworkError::Retired(name));
        }
        Err(ParseNetworkError::Unknown(text.to_owned()))
    }
}

/// 10^16 wei.
const HUNDREDTH: U256 = U256::from_limbs([10_000_000_000_000_000, 0, 0, 0]);
/// 10^18 wei.
const ONE: U256 = U256::from_limbs([1_000_000_000_000_000_000, 0, 0, 0]);

fn mainnet() -> NetworkSpec {
    NetworkSpec {
        name: NetworkName::built_in("mainnet"),
        chain_id: 1,
        wallet_symbol: "ETH".to_owned(),
        vault_symbol: "ETH".to_owned(),
        slots_per_epoch: 32,
        seconds_per_slot: 12,
        genesis_time: 1_606_824_023,
        genesis_validators_root: b256!("4b363db94e286120d76eb905340fdd4e54bfe9f06bf33ff6cf5ad27f511bfe95"),
        genesis_fork_version: ForkVersion([0, 0, 0, 0]),
        capella_fork_version: ForkVersion([3, 0, 0, 0]),
        capella_epoch: Epoch(194_048),
        validator_assets: ONE.saturating_mul(U256::from(32)),
        rewards_include_mev: true,
        wallet_min_balance: HUNDREDTH.saturating_mul(U256::from(3)),
        max_fee_per_gas_gwei: 10,
        min_priority_fee_gwei: 0,
        config_block: 25_093_055,
        contracts: Contracts {
            keeper: address!("6B5815467da09DaA7DC83Db21c9239d98Bb487b5"),
            keeper_block: 18_470_089,
            deposit_contract: address!("00000000219ab540356cBB839Cbe05303d7705Fa"),
            deposit_contract_block: 11_052_983,
            deposit_data_registry: address!("75AB6DdCe07556639333d3Df1eaa684F5735223e"),
            vaults_registry: address!("3a0008a588772446f6e656133C2D5029CC4FC20E"),
            validators_checker: Some(address!("508e82B5119CCfB923C387d62D2Ae7B56Df79906")),
            shared_mev_escrow: address!("48319f97E5Da1233c21c48b80097c0FB7a20Ff86"),
            multicall: MULTICALL3,
            genesis_vault: Some(address!("AC0F906E433d58FA868F936E8A43230473652885")),
            legacy_pool: Some(address!("C874b064f465bdD6411D45734b56fac750Cda29A")),
            legacy_pool_block: Some(11_726_297),
        },
        validators_dump: Some(ValidatorsDump {
            cid: "bafybeih7iqn3ke2cydzctd6bmg5j3xyjdhpg352lvzhxd2fld7h2erzpuu".to_owned(),
            last_block: 21_245_634,
            required: false,
        }),
    }
}

fn hoodi() -> NetworkSpec {
    NetworkSpec {
        name: NetworkName::built_in("hoodi"),
        chain_id: 560_048,
        wallet_symbol: "HoodiETH".to_owned(),
        vault_symbol: "HoodiETH".to_owned(),
        slots_per_epoch: 32,
        seconds_per_slot: 12,
        genesis_time: 1_742_213_400,
        genesis_validators_root: b256!("212f13fc4df078b6cb7db228f1c8307566dcecf900867401a92023d7ba99cb5f"),
        genesis_fork_version: ForkVersion([0x10, 0, 0x09, 0x10]),
        capella_fork_version: ForkVersion([0x40, 0, 0x09, 0x10]),
        capella_epoch: Epoch(0),
        validator_assets: ONE.saturating_mul(U256::from(32)),
        rewards_include_mev: true,
        wallet_min_balance: HUNDREDTH.saturating_mul(U256::from(3)),
        max_fee_per_gas_gwei: 10,
        min_priority_fee_gwei: 0,
        config_block: 1_279_009,
        contracts: Contracts {
            keeper: address!("A7D1Ac9D6F32B404C75626874BA56f7654c1dC0f"),
            keeper_block: 94_074,
            deposit_contract: address!("00000000219ab540356cBB839Cbe05303d7705Fa"),
            deposit_contract_block: 0,
            deposit_data_registry: address!("93a3f880E07B27dacA6Ef2d3C23E77DBd6294487"),
            vaults_registry: address!("f16fea93D3253A401C3f73B0De890C6586740B25"),
            validators_checker: Some(address!("F1b78B96212DCcbf8F34A83535e58864311Fb9eB")),
            shared_mev_escrow: address!("51FD45BAEfB12f54766B5C4d639b360Ea50063bd"),
            multicall: MULTICALL3,
            genesis_vault: Some(address!("ba447498DC4c169f2b4f427B2c4D532320457E89")),
            legacy_pool: None,
            legacy_pool_block: None,
        },
        validators_dump: Some(ValidatorsDump {
            cid: "bafybeihgdexvx4oca6proa5adhcumf66zo5ugy5oppunsh2wnlo4ejnxgm".to_owned(),
            last_block: 1_118_796,
            // [inf] Hoodi began with validators in its genesis state, which made no deposit.
            required: true,
        }),
    }
}

fn gnosis() -> NetworkSpec {
    NetworkSpec {
        name: NetworkName::built_in("gnosis"),
        chain_id: 100,
        wallet_symbol: "xDAI".to_owned(),
        vault_symbol: "GNO".to_owned(),
        slots_per_epoch: 16,
        seconds_per_slot: 5,
        genesis_time: 1_638_993_340,
        genesis_validators_root: b256!("f5dcb5564e829aab27264b9becd5dfaa017085611224cb3036f573368dbb9d47"),
        genesis_fork_version: ForkVersion([0, 0, 0, 0x64]),
        capella_fork_version: ForkVersion([3, 0, 0, 0x64]),
        capella_epoch: Epoch(648_704),
        validator_assets: ONE,
        rewards_include_mev: false,
        wallet_min_balance: HUNDREDTH,
        max_fee_per_gas_gwei: 2,
        min_priority_fee_gwei: 1,
        config_block: 42_392_284,
        contracts: Contracts {
            keeper: address!("cAC0e3E35d3BA271cd2aaBE688ac9DB1898C26aa"),
            keeper_block: 34_778_552,
            deposit_contract: address!("0B98057eA310F4d31F2a452B414647007d1645d9"),
            deposit_contract_block: 19_469_076,
            deposit_data_registry: address!("58e16621B5c0786D6667D2d54E28A20940269E16"),
            vaults_registry: address!("7d014B3C6ee446563d4e0cB6fBD8C3D0419867cB"),
            validators_checker: Some(address!("80353898B72417AC5701a9809A9eF63F691BdE86")),
            shared_mev_escrow: address!("30db0d10d3774e78f8cB214b9e8B72D4B402488a"),
            multicall: MULTICALL3,
            genesis_vault: Some(address!("4b4406Ed8659D03423490D8b62a1639206dA0A7a")),
            legacy_pool: Some(address!("2f99472b727e15EECf9B9eFF9F7481B85d3b4444")),
            legacy_pool_block: Some(21_275_812),
        },
        validators_dump: Some(ValidatorsDump {
            cid: "bafybeih5addmhcgkuwliowdu5in3y2o5jtcayazol4mgi2jmcgm3dkxqpu".to_owned(),
            last_block: 37_195_642,
            required: false,
        }),
    }
}

/// Multicall3 has the same address everywhere (mds1/multicall).
const MULTICALL3: alloy_primitives::Address = address!("cA11bde05977b3631167028862bE2a173976CA11");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Domain, NetworkFileError};

    #[test]
    fn every_network_survives_its_file() {
        for network in Network::ALL {
            let spec = network.spec();
            assert_eq!(
                NetworkSpec::from_toml(&spec.to_toml()).expect("reads back"),
                spec,
                "{network}"
            );
        }
    }

    #[test]
    fn names_are_read_in_any_case_and_retired_ones_say_so() {
        assert_eq!("MainNet".parse(), Ok(Network::Mainnet));
        for name in ["goerli", "Holesky", "chiado"] {
            assert_eq!(
                name.parse::<Network>(),
                Err(ParseNetworkError::Retired(name.to_ascii_lowercase()))
            );
        }
        assert_eq!(
            "sepolia".parse::<Network>(),
            Err(ParseNetworkError::Unknown("sepolia".to_owned()))
        );
    }

    #[test]
    fn a_file_cannot_pass_for_a_built_in_network() {
        let mut own = Network::Mainnet.spec();
        own.name = "mine".parse().expect("a name");
        let refused = |spec: &NetworkSpec| NetworkSpec::from_toml(&spec.to_toml()).expect_err("refused");
        assert!(matches!(
            refused(&own),
            NetworkFileError::Collides {
                member: "chain id",
                network: Network::Mainnet
            }
        ));
        own.chain_id = 31337;
        assert!(matches!(
            refused(&own),
            NetworkFileError::Collides {
                member: "genesis fork version",
                ..
            }
        ));
        own.genesis_fork_version = ForkVersion([0x10, 0, 0, 0x42]);
        assert_eq!(
            NetworkSpec::from_toml(&own.to_toml()).expect("a network of its own"),
            own
        );
        own.name = "holesky".parse().expect("a name");
        assert!(matches!(refused(&own), NetworkFileError::NameTaken { .. }));
        own.name = "gnosis".parse().expect("a name");
        assert!(matches!(refused(&own), NetworkFileError::NameTaken { .. }));
    }

    #[test]
    fn a_name_that_is_no_table_name_is_refused() {
        let text = Network::Hoodi
            .spec()
            .to_toml()
            .replace("\"hoodi\"", "\"x; drop table\"");
        assert!(matches!(
            NetworkSpec::from_toml(&text),
            Err(NetworkFileError::Malformed { .. })
        ));
    }

    #[test]
    fn mainnet_deposit_domain_is_the_well_known_one() {
        assert_eq!(
            Domain::deposit(Network::Mainnet.spec().genesis_fork_version).0,
            b256!("03000000f5a5fd42d16a20302798ef6ed309979b43003d2320d9f0e8ea9831a9")
        );
    }

    #[test]
    fn a_file_that_is_none_is_not_repeated() {
        let words = "walnut zebra trumpet squirrel";
        for (text, said) in [
            (words.to_owned(), "line 1: key with no value, expected `=`"),
            (format!("name = \"x\"\nchain_id = \"{words}\""), "line 2: expected u64"),
        ] {
            let error = NetworkSpec::from_toml(&text).expect_err("refused").to_string();
            assert!(error.ends_with(said) && !error.contains("walnut"), "{error}");
        }
    }
}
