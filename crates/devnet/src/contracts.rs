//! The devnet's contracts: compiled on demand from this crate's Solidity, never committed compiled.

use std::{collections::BTreeMap, fs};

use alloy_primitives::{Bytes, keccak256};
use serde::Deserialize;
use serde_json::Value;

use crate::toolchain::{Toolchain, ToolchainError, cache_error, hash, lock, replace};

/// The interfaces as the devnet itself calls them.
pub mod interface {
    alloy::sol! {
        #![sol(extra_derives(Debug))]

        struct ApprovalParams {
            bytes32 validatorsRegistryRoot;
            uint256 deadline;
            bytes validators;
            bytes signatures;
            string exitSignaturesIpfsHash;
        }

        struct HarvestParams {
            bytes32 rewardsRoot;
            int160 reward;
            uint160 unlockedMevReward;
            bytes32[] proof;
        }

        struct RewardsUpdateParams {
            bytes32 rewardsRoot;
            uint256 avgRewardPerSecond;
            uint64 updateTimestamp;
            string rewardsIpfsHash;
            bytes signatures;
        }

        interface DepositContract {
            event DepositEvent(bytes pubkey, bytes withdrawal_credentials, bytes amount, bytes signature, bytes index);
            function deposit(bytes pubkey, bytes withdrawal_credentials, bytes signature, bytes32 deposit_data_root) external payable;
            function get_deposit_root() external view returns (bytes32);
            function get_deposit_count() external view returns (bytes memory);
        }

        interface VaultsRegistry {
            constructor(address owner_);
            function vaults(address vault) external view returns (bool);
            function addVault(address vault) external;
        }

        interface SharedMevEscrow {
            constructor(address vaultsRegistry_);
        }

        interface Keeper {
            constructor(address vaultsRegistry_, address depositContract_, uint256 rewardsDelay_, uint256 maxAvgRewardPerSecond_);
            event ConfigUpdated(string configIpfsHash);
            event RewardsUpdated(address indexed caller, bytes32 indexed rewardsRoot, uint256 avgRewardPerSecond, uint64 updateTimestamp, uint64 nonce, string rewardsIpfsHash);
            function initialize(address _owner) external;
            function addOracle(address oracle) external;
            function removeOracle(address oracle) external;
            function isOracle(address oracle) external view returns (bool);
            function setValidatorsMinOracles(uint256 _validatorsMinOracles) external;
            function setRewardsMinOracles(uint256 _rewardsMinOracles) external;
            function validatorsMinOracles() external view returns (uint256);
            function rewardsMinOracles() external view returns (uint256);
            function updateConfig(string configIpfsHash) external;
            function updateRewards(RewardsUpdateParams params) external;
            function updateExitSignatures(address vault, uint256 deadline, string exitSignaturesIpfsHash, bytes oraclesSignatures) external;
            function exitSignaturesNonces(address vault) external view returns (uint256);
            function rewardsNonce() external view returns (uint64);
            function rewardsRoot() external view returns (bytes32);
            event Harvested(address indexed vault, bytes32 indexed rewardsRoot, int256 totalAssetsDelta, uint256 unlockedMevDelta);
            function canHarvest(address vault) external view returns (bool);
            function isHarvestRequired(address vault) external view returns (bool);
            function isCollateralized(address vault) external view returns (bool);
        }

        interface EthVault {
            constructor(address keeper_, address depositContract_, address mevEscrow_, address admin_);
            event ValidatorRegistered(bytes publicKey);
            event V2ValidatorRegistered(bytes publicKey, uint256 amount);
            function admin() external view returns (address);
            function version() external view returns (uint8);
            function deposit(address receiver, address referrer) external payable returns (uint256 shares);
            function multicall(bytes[] data) external returns (bytes[] memory results);
            function registerValidators(ApprovalParams keeperParams, bytes validatorsManagerSignature) external;
            function setValidatorsManager(address _validatorsManager) external;
            function validatorsManager() external view returns (address);
            function validatorsManagerNonce() external view returns (uint256);
            function updateState(HarvestParams harvestParams) external;
            function totalAssets() external view returns (uint256);
            function withdrawableAssets() external view returns (uint256);
            function mevEscrow() external view returns (address);
        }

        interface OwnEscrowVault {
            constructor(address keeper_, address depositContract_, address admin_);
        }

        interface EthVaultV1 {
            constructor(address keeper_, address depositContract_, address mevEscrow_, address admin_);
            function keysManager() external view returns (address);
            function validatorsRoot() external view returns (bytes32);
            function validatorIndex() external view returns (uint256);
            function setKeysManager(address keysManager_) external;
            function setValidatorsRoot(bytes32 _validatorsRoot) external;
            function registerValidator(ApprovalParams keeperParams, bytes32[] proof) external;
            function registerValidators(ApprovalParams keeperParams, uint256[] indexes, bool[] proofFlags, bytes32[] proof) external;
            function upgradeToAndCall(address newImplementation, bytes data) external payable;
        }

        interface EthVaultV2 {
            constructor(address keeper_, address depositContract_, address mevEscrow_, address admin_, address depositDataRegistry_);
            function initialize(bytes params) external payable;
        }

        interface VaultProxy {
            constructor(address implementation);
        }

        interface PastVault {
            function remember(bytes publicKey) external;
            function rememberV2(bytes publicKey, uint256 amount) external;
        }

        interface LegacyPool {
            event ValidatorRegistered(bytes publicKey, address operator);
            function remember(bytes publicKey) external;
        }

        interface DepositDataRegistry {
            constructor(address vaultsRegistry_);
            function depositDataIndexes(address vault) external view returns (uint256);
            function depositDataRoots(address vault) external view returns (bytes32);
            function getDepositDataManager(address vault) external view returns (address);
            function setDepositDataManager(address vault, address depositDataManager) external;
            function setDepositDataRoot(address vault, bytes32 depositDataRoot) external;
            function updateVaultState(address vault, HarvestParams harvestParams) external;
            function registerValidator(address vault, ApprovalParams keeperParams, bytes32[] proof) external;
            function registerValidators(address vault, ApprovalParams keeperParams, uint256[] indexes, bool[] proofFlags, bytes32[] proof) external;
            function multicall(bytes[] data) external returns (bytes[] memory results);
        }

        /// What the Keeper's oracles sign.
        struct KeeperValidators {
            bytes32 validatorsRegistryRoot;
            address vault;
            bytes validators;
            string exitSignaturesIpfsHash;
            uint256 deadline;
        }

        /// What the Keeper's oracles sign for rewards.
        struct KeeperRewards {
            bytes32 rewardsRoot;
            string rewardsIpfsHash;
            uint256 avgRewardPerSecond;
            uint64 updateTimestamp;
            uint64 nonce;
        }

        /// What a vault's validators manager signs.
        struct VaultValidators {
            bytes32 validatorsRegistryRoot;
            bytes validators;
        }
    }
}

/// A compiled contract.
#[derive(Debug, Clone, Deserialize)]
pub struct Artifact {
    /// Its interface, in the JSON form of the Solidity compiler.
    pub abi: Vec<Value>,
    /// The code that creates it, without the constructor's arguments.
    pub bytecode: Bytes,
}

/// All contracts of the devnet, compiled.
#[derive(Debug, Clone)]
pub struct Artifacts {
    contracts: BTreeMap<String, Artifact>,
    errors: BTreeMap<[u8; 4], String>,
}

impl Artifacts {
    /// Compiles the contracts, or takes them from the cache when the same sources were compiled before.
    ///
    /// # Errors
    ///
    /// The compiler fails, or the cache cannot be used.
    pub async fn compile(toolchain: &Toolchain) -> Result<Self, ToolchainError> {
        let digest = hash(
            SOURCES
                .iter()
                .flat_map(|(name, source)| [*name, *source])
                .chain([COMPILE_SCRIPT]),
        );
        let packages = toolchain.packages().file_name().unwrap_or_default().to_string_lossy();
        let path = toolchain.cache().join(format!("contracts-{digest}-{packages}.json"));
        if let Some(artifacts) = Self::load(&path) {
            return Ok(artifacts);
        }
        let _lock = lock(&path.with_extension("lock")).await?;
        if let Some(artifacts) = Self::load(&path) {
            return Ok(artifacts);
        }
        let sources: BTreeMap<_, _> = SOURCES.into_iter().collect();
        let input = serde_json::to_vec(&sources).unwrap_or_default();
        let output = toolchain.run_script("compile.mjs", COMPILE_SCRIPT, input).await?;
        replace(&path, &output)?;
        let not_ours = || std::io::Error::other("the compiler's output has another shape");
        Self::load(&path).ok_or_else(not_ours).map_err(cache_error(&path))
    }

    /// The contract called `name`.
    pub fn contract(&self, name: &str) -> Option<&Artifact> {
        self.contracts.get(name)
    }

    /// The custom error that `revert` begins with, by name.
    pub fn error_name(&self, revert: &[u8]) -> Option<&str> {
        let selector = revert.first_chunk::<4>()?;
        self.errors.get(selector).map(String::as_str)
    }

    fn load(path: &std::path::Path) -> Option<Self> {
        let contracts: BTreeMap<String, Artifact> = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
        let errors = contracts
            .values()
            .flat_map(|contract| &contract.abi)
            .filter(|entry| entry.get("type").and_then(Value::as_str) == Some("error"))
            .filter_map(error_selector)
            .collect();
        Some(Self { contracts, errors })
    }
}

fn error_selector(entry: &Value) -> Option<([u8; 4], String)> {
    let name = entry.get("name")?.as_str()?;
    let inputs = entry.get("inputs")?.as_array()?;
    let types: Option<Vec<_>> = inputs.iter().map(|input| input.get("type")?.as_str()).collect();
    let selector = keccak256(format!("{name}({})", types?.join(",")));
    Some((*selector.first_chunk()?, name.to_owned()))
}

const COMPILE_SCRIPT: &str = include_str!("../npm/compile.mjs");

const SOURCES: [(&str, &str); 12] = [
    ("DepositContract.sol", include_str!("../contracts/DepositContract.sol")),
    (
        "DepositDataRegistry.sol",
        include_str!("../contracts/DepositDataRegistry.sol"),
    ),
    ("EthVault.sol", include_str!("../contracts/EthVault.sol")),
    ("EthVaultV1.sol", include_str!("../contracts/EthVaultV1.sol")),
    ("Interfaces.sol", include_str!("../contracts/Interfaces.sol")),
    ("Keeper.sol", include_str!("../contracts/Keeper.sol")),
    ("Multicall3.sol", include_str!("../contracts/Multicall3.sol")),
    ("OwnEscrowVault.sol", include_str!("../contracts/OwnEscrowVault.sol")),
    ("PastVault.sol", include_str!("../contracts/PastVault.sol")),
    ("SharedMevEscrow.sol", include_str!("../contracts/SharedMevEscrow.sol")),
    ("VaultCore.sol", include_str!("../contracts/VaultCore.sol")),
    ("VaultsRegistry.sol", include_str!("../contracts/VaultsRegistry.sol")),
];
