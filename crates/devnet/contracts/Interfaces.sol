// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

/// What the oracles approve: these validators, on this deposit root, until this time.
struct ApprovalParams {
    bytes32 validatorsRegistryRoot;
    uint256 deadline;
    bytes validators;
    bytes signatures;
    string exitSignaturesIpfsHash;
}

/// A vault's leaf in a rewards tree. Both amounts are totals since the vault was made.
struct HarvestParams {
    bytes32 rewardsRoot;
    int160 reward;
    uint160 unlockedMevReward;
    bytes32[] proof;
}

library Errors {
    error AccessDenied();
    error AlreadyAdded();
    error AlreadyRemoved();
    error DeadlineExpired();
    error HarvestFailed();
    error InsufficientAssets();
    error InvalidAssets();
    error InvalidAvgRewardPerSecond();
    error InvalidInitialization();
    error InvalidOracle();
    error InvalidOracles();
    error InvalidProof();
    error InvalidRewardsRoot();
    error InvalidValidator();
    error InvalidValidators();
    error InvalidValidatorsRegistryRoot();
    error InvalidVault();
    error MaxOraclesExceeded();
    error NotEnoughSignatures();
    error NotHarvested();
    error TooEarlyUpdate();
    error UpgradeFailed();
    error ValueNotChanged();
    error ZeroAddress();
}

interface IDepositContract {
    function deposit(
        bytes calldata pubkey,
        bytes calldata withdrawal_credentials,
        bytes calldata signature,
        bytes32 deposit_data_root
    ) external payable;

    function get_deposit_root() external view returns (bytes32);
}

interface IVaultsRegistry {
    function vaults(address vault) external view returns (bool);
}

interface IKeeper {
    function approveValidators(ApprovalParams calldata params) external;

    function harvest(HarvestParams calldata params)
        external
        returns (int256 totalAssetsDelta, uint256 unlockedMevDelta, bool harvested);

    function isHarvestRequired(address vault) external view returns (bool);
}

interface ISharedMevEscrow {
    function harvest(uint256 assets) external;
}

interface IDepositDataRegistry {
    function migrate(bytes32 depositDataRoot, uint256 validatorIndex, address depositDataManager) external;
}

/// What vaults of every version have.
interface IVault {
    function admin() external view returns (address);

    function version() external view returns (uint8);

    function receiveFromMevEscrow() external payable;

    function updateState(HarvestParams calldata harvestParams) external;
}

/// What vaults have from version 2 on.
interface IManagedVault is IVault {
    function registerValidators(ApprovalParams calldata keeperParams, bytes calldata validatorsManagerSignature)
        external;
}
