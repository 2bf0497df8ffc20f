//! The contracts, as Solidity declares them.
//!
//! Sources: v3-core v1.0.0 (vaults of version 1) and its main branch of 2026-01 (vaults up to version 5), the deposit
//! contract (consensus-specs `solidity_deposit_contract`), Multicall3 (mds1/multicall). `fixtures/contracts.json` pins
//! every selector, topic and error of this file.

use alloy::sol;

sol! {
    /// What the Keeper says a vault earned, with the proof that it is in the rewards tree.
    #[derive(Debug, PartialEq, Eq)]
    struct Harvest {
        bytes32 rewardsRoot;
        int160 reward;
        uint160 unlockedMevReward;
        bytes32[] proof;
    }

    /// What the oracles approved.
    #[derive(Debug, PartialEq, Eq)]
    struct Approval {
        bytes32 validatorsRegistryRoot;
        uint256 deadline;
        bytes validators;
        bytes signatures;
        string exitSignaturesIpfsHash;
    }

    /// What vaults of every version have.
    #[derive(Debug, PartialEq, Eq)]
    interface Vault {
        event ValidatorRegistered(bytes publicKey);

        function admin() external view returns (address);
        function mevEscrow() external view returns (address);
        function multicall(bytes[] data) external returns (bytes[] results);
        function totalAssets() external view returns (uint256);
        function updateState(Harvest harvestParams) external;
        function vaultId() external pure returns (bytes32);
        function version() external pure returns (uint8);
        function withdrawableAssets() external view returns (uint256);
    }

    /// What only vaults of version 1 have.
    #[derive(Debug, PartialEq, Eq)]
    interface VaultV1 {
        function keysManager() external view returns (address);
        function registerValidator(Approval keeperParams, bytes32[] proof) external;
        function registerValidators(Approval keeperParams, uint256[] indexes, bool[] proofFlags, bytes32[] proof) external;
        function validatorIndex() external view returns (uint256);
        function validatorsRoot() external view returns (bytes32);
    }

    /// What later versions brought; `validatorsManager` is there from version 2 on.
    #[derive(Debug, PartialEq, Eq)]
    interface VaultV5 {
        event V2ValidatorRegistered(bytes publicKey, uint256 amount);

        function consolidateValidators(bytes validators, bytes validatorsManagerSignature, bytes oracleSignatures) external payable;
        function fundValidators(bytes validators, bytes validatorsManagerSignature) external;
        function registerValidators(Approval keeperParams, bytes validatorsManagerSignature) external;
        function validatorsManager() external view returns (address);
        function validatorsManagerNonce() external view returns (uint256);
        function withdrawValidators(bytes validators, bytes validatorsManagerSignature) external payable;
    }

    /// The pool of StakeWise V2, whose validators the genesis vault took over.
    #[derive(Debug, PartialEq, Eq)]
    interface LegacyPool {
        event ValidatorRegistered(bytes publicKey, address operator);
    }

    #[derive(Debug, PartialEq, Eq)]
    interface Keeper {
        event ConfigUpdated(string configIpfsHash);
        event ExitSignaturesUpdated(address indexed caller, address indexed vault, uint256 nonce, string exitSignaturesIpfsHash);
        event RewardsUpdated(address indexed caller, bytes32 indexed rewardsRoot, uint256 avgRewardPerSecond, uint64 updateTimestamp, uint64 nonce, string rewardsIpfsHash);

        function canHarvest(address vault) external view returns (bool);
        function exitSignaturesNonces(address) external view returns (uint256);
        function isCollateralized(address vault) external view returns (bool);
        function isHarvestRequired(address vault) external view returns (bool);
        function isOracle(address) external view returns (bool);
        function rewardsMinOracles() external view returns (uint256);
        function rewardsRoot() external view returns (bytes32);
        function updateExitSignatures(address vault, uint256 deadline, string exitSignaturesIpfsHash, bytes oraclesSignatures) external;
        function validatorsMinOracles() external view returns (uint256);
    }

    #[derive(Debug, PartialEq, Eq)]
    interface DepositDataRegistry {
        function depositDataIndexes(address) external view returns (uint256);
        function depositDataRoots(address) external view returns (bytes32);
        function getDepositDataManager(address vault) external view returns (address);
        function multicall(bytes[] data) external returns (bytes[] results);
        function registerValidator(address vault, Approval keeperParams, bytes32[] proof) external;
        function registerValidators(address vault, Approval keeperParams, uint256[] indexes, bool[] proofFlags, bytes32[] proof) external;
        function setDepositDataRoot(address vault, bytes32 depositDataRoot) external;
        function updateVaultState(address vault, Harvest harvestParams) external;
    }

    #[derive(Debug, PartialEq, Eq)]
    interface VaultsRegistry {
        function vaults(address) external view returns (bool);
    }

    #[derive(Debug, PartialEq, Eq)]
    interface DepositContract {
        event DepositEvent(bytes pubkey, bytes withdrawal_credentials, bytes amount, bytes signature, bytes index);

        function get_deposit_count() external view returns (bytes);
        function get_deposit_root() external view returns (bytes32);
    }

    #[derive(Debug, PartialEq, Eq)]
    interface Multicall3 {
        struct Call3 {
            address target;
            bool allowFailure;
            bytes callData;
        }
        struct Result {
            bool success;
            bytes returnData;
        }

        function aggregate3(Call3[] calls) external payable returns (Result[] returnData);
        function getEthBalance(address addr) external view returns (uint256 balance);
    }

    /// Every custom error that a call of the operator can come back with.
    #[derive(Debug, PartialEq, Eq)]
    interface Contracts {
        error AccessDenied();
        error AddressEmptyCode(address target);
        error AddressInsufficientBalance(address account);
        error AlreadyAdded();
        error AlreadyRemoved();
        error CannotTopUpV1Validators();
        error CapacityExceeded();
        error ClaimTooEarly();
        error Collateralized();
        error DeadlineExpired();
        error ECDSAInvalidSignature();
        error ECDSAInvalidSignatureLength(uint256 length);
        error ECDSAInvalidSignatureS(bytes32 s);
        error ERC1967InvalidImplementation(address implementation);
        error ERC1967NonPayable();
        error EjectingVault();
        error EjectingVaultNotFound();
        error EmptySubVaults();
        error ExitRequestNotProcessed();
        error FailedCall();
        error FailedInnerCall();
        error FlashLoanFailed();
        error HarvestFailed();
        error InsufficientAssets();
        error InsufficientBalance(uint256 balance, uint256 needed);
        error InvalidAssets();
        error InvalidAvgRewardPerSecond();
        error InvalidCapacity();
        error InvalidCheckpointIndex();
        error InvalidCheckpointValue();
        error InvalidCurator();
        error InvalidDelay();
        error InvalidFeePercent();
        error InvalidFeeRecipient();
        error InvalidHealthFactor();
        error InvalidInitialization();
        error InvalidLiqBonusPercent();
        error InvalidLiqThresholdPercent();
        error InvalidLtv();
        error InvalidLtvPercent();
        error InvalidOracle();
        error InvalidOracles();
        error InvalidPosition();
        error InvalidProof();
        error InvalidReceivedAssets();
        error InvalidRedeemablePositions();
        error InvalidRewardsRoot();
        error InvalidSecurityDeposit();
        error InvalidShares();
        error InvalidShortString();
        error InvalidSignatures();
        error InvalidTokenMeta();
        error InvalidValidator();
        error InvalidValidators();
        error InvalidValidatorsRegistryRoot();
        error InvalidVault();
        error LiquidationDisabled();
        error LowLtv();
        error MathOverflowedMulDiv();
        error MaxOraclesExceeded();
        error MerkleProofInvalidMultiproof();
        error NotCollateralized();
        error NotEnoughSignatures();
        error NotHarvested();
        error NotInitializing();
        error OwnableInvalidOwner(address owner);
        error OwnableUnauthorizedAccount(address account);
        error PermitInvalidSigner();
        error RedemptionExceeded();
        error ReentrancyGuardReentrantCall();
        error RepeatedEjectingVault();
        error RewardsNonceIsHigher();
        error SafeCastOverflowedUintDowncast(uint8 bits, uint256 value);
        error StringTooLong(string str);
        error TooEarlyUpdate();
        error UUPSUnauthorizedCallContext();
        error UUPSUnsupportedProxiableUUID(bytes32 slot);
        error UnclaimedAssets();
        error UpgradeFailed();
        error ValueNotChanged();
        error ZeroAddress();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::Value;
    use sw_testkit::{fixture, text};

    use super::*;

    /// The members of one kind of some contracts in the fixture: Solidity's canonical signature to selector or topic.
    fn declared(contracts: &[&str], kind: &str) -> BTreeMap<String, String> {
        let all = fixture("contracts.json");
        let mut found = BTreeMap::new();
        for contract in contracts {
            let Some(members) = all[contract].get(kind).and_then(Value::as_object) else {
                continue;
            };
            for (declaration, id) in members {
                found.insert(canonical(declaration), text(id).to_owned());
            }
        }
        found
    }

    /// `f((bytes32 root, int160 reward) params, bytes[] proof) view returns (..)` becomes `f((bytes32,int160),bytes[])`.
    fn canonical(declaration: &str) -> String {
        let mut depth = 0;
        let mut end = declaration.len();
        for (position, character) in declaration.char_indices() {
            match character {
                '(' => depth += 1,
                ')' => {
                    depth -= 1;
                    if depth == 0 {
                        end = position + 1;
                        break;
                    }
                }
                _ => {}
            }
        }
        let mut shown = String::new();
        let mut in_name = false;
        for character in declaration[..end].replace(", ", ",").chars() {
            match character {
                ' ' => in_name = true,
                ',' | ')' => {
                    in_name = false;
                    shown.push(character);
                }
                _ if in_name => {}
                _ => shown.push(character),
            }
        }
        shown
    }

    fn check(declared: &BTreeMap<String, String>, signatures: &[&str], ids: impl IntoIterator<Item = String>) -> usize {
        let mut checked = 0;
        for (signature, id) in signatures.iter().zip(ids) {
            assert_eq!(declared.get(*signature), Some(&id), "{signature}");
            checked += 1;
        }
        assert_eq!(checked, signatures.len());
        checked
    }

    fn shown<const N: usize>(ids: &[[u8; N]]) -> Vec<String> {
        ids.iter().map(|id| format!("0x{}", hex::encode(id))).collect()
    }

    #[test]
    fn every_function_has_the_selector_that_the_contracts_have() {
        let mut checked = 0;
        macro_rules! functions {
            ($($contract:literal in $interface:ident :: $calls:ident),* $(,)?) => {$(
                let members = declared(&[$contract], "functions");
                checked += check(&members, $interface::$calls::SIGNATURES, shown($interface::$calls::SELECTORS));
            )*};
        }
        functions! {
            "vault_v1" in Vault::VaultCalls,
            "vault_v5" in Vault::VaultCalls,
            "vault_v1" in VaultV1::VaultV1Calls,
            "vault_v5" in VaultV5::VaultV5Calls,
            "keeper" in Keeper::KeeperCalls,
            "deposit_data_registry" in DepositDataRegistry::DepositDataRegistryCalls,
            "vaults_registry" in VaultsRegistry::VaultsRegistryCalls,
            "deposit_contract" in DepositContract::DepositContractCalls,
            "multicall3" in Multicall3::Multicall3Calls,
        }
        assert_eq!(checked, 8 + 8 + 5 + 6 + 9 + 8 + 1 + 2 + 2);
    }

    #[test]
    fn every_event_has_the_topic_that_the_contracts_have() {
        let mut checked = 0;
        macro_rules! events {
            ($($contract:literal in $interface:ident :: $events:ident),* $(,)?) => {$(
                let members = declared(&[$contract], "events");
                let signatures = $interface::$events::SIGNATURES;
                checked += check(&members, signatures, shown($interface::$events::SELECTORS));
            )*};
        }
        events! {
            "vault_v1" in Vault::VaultEvents,
            "vault_v5" in Vault::VaultEvents,
            "vault_v5" in VaultV5::VaultV5Events,
            "keeper" in Keeper::KeeperEvents,
            "deposit_contract" in DepositContract::DepositContractEvents,
        }
        assert_eq!(checked, 1 + 1 + 1 + 3 + 1);
    }

    /// What the original calls and listens to, by the names of its ABIs.
    #[test]
    fn what_the_original_knows_of_version_1_is_declared_alike() {
        let original = fixture("original-v1.json");
        let selectors = original["selectors"].as_object().expect("a table");
        let mut checked = 0;
        let mut compare = |kind: &str, signatures: &[&str], ids: Vec<String>| {
            for (signature, id) in signatures.iter().zip(ids) {
                let name = signature.split('(').next().unwrap_or_default();
                // The table has one entry for each name, and only those of its time.
                if let Some(expected) = selectors.get(&format!("{kind}{name}")) {
                    assert_eq!(text(expected), id, "{kind}{signature}");
                    checked += 1;
                }
            }
        };
        macro_rules! members {
            ($($kind:literal: $interface:ident :: $members:ident),* $(,)?) => {$(
                compare($kind, $interface::$members::SIGNATURES, shown($interface::$members::SELECTORS));
            )*};
        }
        members! {
            "IEthVault.": Vault::VaultCalls,
            "IEthVault.": VaultV1::VaultV1Calls,
            "IEthVault.event ": Vault::VaultEvents,
            "IKeeper.": Keeper::KeeperCalls,
            "IKeeper.event ": Keeper::KeeperEvents,
            "IValidatorsRegistry.": DepositContract::DepositContractCalls,
            "IValidatorsRegistry.event ": DepositContract::DepositContractEvents,
        }
        assert_eq!(checked, 8 + 5 + 1 + 9 + 3 + 1 + 1);
    }

    #[test]
    fn every_error_of_the_contracts_is_declared_and_no_other() {
        let contracts = [
            "vault_v1",
            "vault_v5",
            "keeper",
            "deposit_data_registry",
            "validators_checker",
            "vaults_registry",
            "deposit_contract",
            "multicall3",
            "errors_library",
        ];
        let declared = declared(&contracts, "errors");
        let ours = Contracts::ContractsErrors::SIGNATURES;
        assert_eq!(check(&declared, ours, shown(Contracts::ContractsErrors::SELECTORS)), 81);
        assert_eq!(declared.len(), 81);
    }
}
