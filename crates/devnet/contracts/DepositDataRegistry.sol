// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {ApprovalParams, Errors, HarvestParams, IManagedVault, IVault, IVaultsRegistry} from "./Interfaces.sol";
import {Multicall} from "@openzeppelin/contracts/utils/Multicall.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";

/// Registers validators of a vault in the order of a Merkle tree that the vault's deposit data manager has set.
contract DepositDataRegistry is Multicall {
    event DepositDataManagerUpdated(address indexed vault, address depositDataManager);
    event DepositDataMigrated(
        address indexed vault, bytes32 depositDataRoot, uint256 validatorIndex, address depositDataManager
    );
    event DepositDataRootUpdated(address indexed vault, bytes32 depositDataRoot);

    IVaultsRegistry private immutable vaultsRegistry;

    mapping(address => uint256) public depositDataIndexes;
    mapping(address => bytes32) public depositDataRoots;
    mapping(address => address) private managers;

    constructor(IVaultsRegistry vaultsRegistry_) {
        vaultsRegistry = vaultsRegistry_;
    }

    modifier onlyValidVault(address vault) {
        if (!vaultsRegistry.vaults(vault) || IVault(vault).version() < 2) revert Errors.InvalidVault();
        _;
    }

    function getDepositDataManager(address vault) public view returns (address) {
        address manager = managers[vault];
        return manager == address(0) ? IVault(vault).admin() : manager;
    }

    function setDepositDataManager(address vault, address depositDataManager) external onlyValidVault(vault) {
        if (msg.sender != IVault(vault).admin()) revert Errors.AccessDenied();
        if (depositDataManager == getDepositDataManager(vault)) revert Errors.ValueNotChanged();
        managers[vault] = depositDataManager;
        emit DepositDataManagerUpdated(vault, depositDataManager);
    }

    function setDepositDataRoot(address vault, bytes32 depositDataRoot) external onlyValidVault(vault) {
        if (msg.sender != getDepositDataManager(vault)) revert Errors.AccessDenied();
        if (depositDataRoot == depositDataRoots[vault]) revert Errors.ValueNotChanged();
        depositDataRoots[vault] = depositDataRoot;
        depositDataIndexes[vault] = 0;
        emit DepositDataRootUpdated(vault, depositDataRoot);
    }

    /// A vault that leaves version 1 hands over what it kept itself.
    function migrate(bytes32 depositDataRoot, uint256 validatorIndex, address depositDataManager)
        external
        onlyValidVault(msg.sender)
    {
        depositDataRoots[msg.sender] = depositDataRoot;
        depositDataIndexes[msg.sender] = validatorIndex;
        managers[msg.sender] = depositDataManager;
        emit DepositDataMigrated(msg.sender, depositDataRoot, validatorIndex, depositDataManager);
    }

    function updateVaultState(address vault, HarvestParams calldata harvestParams) external {
        IVault(vault).updateState(harvestParams);
    }

    function registerValidator(address vault, ApprovalParams calldata keeperParams, bytes32[] calldata proof)
        external
        onlyValidVault(vault)
    {
        uint256 index = depositDataIndexes[vault];
        bytes32 leaf = leafOf(keeperParams.validators, index);
        if (!MerkleProof.verifyCalldata(proof, depositDataRoots[vault], leaf)) revert Errors.InvalidProof();
        depositDataIndexes[vault] = index + 1;
        IManagedVault(vault).registerValidators(keeperParams, "");
    }

    function registerValidators(
        address vault,
        ApprovalParams calldata keeperParams,
        uint256[] calldata indexes,
        bool[] calldata proofFlags,
        bytes32[] calldata proof
    ) external onlyValidVault(vault) {
        (bytes32 root, bytes32[] memory leaves) = takeLeaves(vault, keeperParams.validators, indexes);
        if (!MerkleProof.multiProofVerifyCalldata(proof, proofFlags, root, leaves)) {
            revert Errors.InvalidProof();
        }
        IManagedVault(vault).registerValidators(keeperParams, "");
    }

    /// The vault's root and the leaves of its next validators, each at the position where the multiproof consumes it.
    function takeLeaves(address vault, bytes calldata validators, uint256[] calldata indexes)
        private
        returns (bytes32 root, bytes32[] memory leaves)
    {
        root = depositDataRoots[vault];
        uint256 count = indexes.length;
        if (count == 0 || validators.length == 0 || validators.length % count != 0) revert Errors.InvalidValidators();
        uint256 length = validators.length / count;
        uint256 first = depositDataIndexes[vault];
        depositDataIndexes[vault] = first + count;
        leaves = new bytes32[](count);
        for (uint256 i = 0; i < count; i++) {
            leaves[indexes[i]] = leafOf(validators[i * length:(i + 1) * length], first + i);
        }
    }

    function leafOf(bytes calldata validator, uint256 index) private pure returns (bytes32) {
        return keccak256(bytes.concat(keccak256(abi.encode(validator, index))));
    }
}
