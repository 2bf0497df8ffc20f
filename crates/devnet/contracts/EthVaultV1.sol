// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {
    ApprovalParams,
    Errors,
    IDepositContract,
    IDepositDataRegistry,
    IKeeper,
    IManagedVault,
    IVault
} from "./Interfaces.sol";
import {VaultCore} from "./VaultCore.sol";
import {Proxy} from "@openzeppelin/contracts/proxy/Proxy.sol";
import {ERC1967Utils} from "@openzeppelin/contracts/proxy/ERC1967/ERC1967Utils.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";

/// Keeps one vault at one address from version to version.
contract VaultProxy is Proxy {
    constructor(address implementation) {
        ERC1967Utils.upgradeToAndCall(implementation, "");
    }

    function _implementation() internal view override returns (address) {
        return ERC1967Utils.getImplementation();
    }
}

/// What version 1 keeps, where later versions of the same vault still find it.
abstract contract OwnDepositData is VaultCore {
    address internal ownKeysManager;
    bytes32 internal ownRoot;
    uint256 internal ownIndex;
}

/// A vault of version 1, behind a proxy: it keeps the root of its deposit data itself, and takes the proofs.
contract EthVaultV1 is OwnDepositData {
    event KeysManagerUpdated(address indexed caller, address indexed keysManager);
    event ValidatorsRootUpdated(address indexed caller, bytes32 indexed validatorsRoot);

    constructor(IKeeper keeper_, IDepositContract depositContract_, address mevEscrow_, address admin_)
        VaultCore(keeper_, depositContract_, mevEscrow_, admin_)
    {}

    function version() public pure returns (uint8) {
        return 1;
    }

    function keysManager() public view returns (address) {
        return ownKeysManager == address(0) ? admin : ownKeysManager;
    }

    function validatorsRoot() external view returns (bytes32) {
        return ownRoot;
    }

    function validatorIndex() external view returns (uint256) {
        return ownIndex;
    }

    function setKeysManager(address keysManager_) external {
        checkAdmin();
        if (keysManager_ == address(0)) revert Errors.ZeroAddress();
        ownKeysManager = keysManager_;
        emit KeysManagerUpdated(msg.sender, keysManager_);
    }

    /// A new root begins at its first validator.
    function setValidatorsRoot(bytes32 _validatorsRoot) external {
        if (msg.sender != keysManager()) revert Errors.AccessDenied();
        ownRoot = _validatorsRoot;
        ownIndex = 0;
        emit ValidatorsRootUpdated(msg.sender, _validatorsRoot);
    }

    function registerValidator(ApprovalParams calldata keeperParams, bytes32[] calldata proof) external nonReentrant {
        checkApproved(keeperParams, 1);
        if (keeperParams.validators.length != V1_LENGTH) revert Errors.InvalidValidator();
        uint256 index = ownIndex;
        bytes32 leaf = leafOf(keeperParams.validators, index);
        if (!MerkleProof.verifyCalldata(proof, ownRoot, leaf)) revert Errors.InvalidProof();
        ownIndex = index + 1;
        depositForAll(keeperParams.validators);
    }

    function registerValidators(
        ApprovalParams calldata keeperParams,
        uint256[] calldata indexes,
        bool[] calldata proofFlags,
        bytes32[] calldata proof
    ) external nonReentrant {
        uint256 count = indexes.length;
        bytes calldata validators = keeperParams.validators;
        checkApproved(keeperParams, count);
        if (count == 0 || validators.length != count * V1_LENGTH) revert Errors.InvalidValidators();
        uint256 first = ownIndex;
        bytes32[] memory leaves = new bytes32[](count);
        for (uint256 i = 0; i < count; i++) {
            leaves[indexes[i]] = leafOf(validators[i * V1_LENGTH:(i + 1) * V1_LENGTH], first + i);
        }
        if (!MerkleProof.multiProofVerifyCalldata(proof, proofFlags, ownRoot, leaves)) {
            revert Errors.InvalidProof();
        }
        ownIndex = first + count;
        depositForAll(validators);
    }

    /// A vault goes up by one version at a time.
    function upgradeToAndCall(address newImplementation, bytes calldata data) external payable {
        checkAdmin();
        if (IVault(newImplementation).version() != version() + 1) revert Errors.UpgradeFailed();
        ERC1967Utils.upgradeToAndCall(newImplementation, data);
    }

    function checkApproved(ApprovalParams calldata keeperParams, uint256 count) private {
        checkHarvested();
        keeper.approveValidators(keeperParams);
        if (withdrawableAssets() < count * V1_DEPOSIT) revert Errors.InsufficientAssets();
    }

    function leafOf(bytes calldata validator, uint256 index) private pure returns (bytes32) {
        return keccak256(bytes.concat(keccak256(abi.encode(validator, index))));
    }
}

/// What a vault of version 1 becomes: the DepositDataRegistry has its deposit data, and registers its validators.
contract EthVaultV2 is OwnDepositData, IManagedVault {
    IDepositDataRegistry private immutable depositDataRegistry;

    address public validatorsManager;
    bool private isInitialized;

    constructor(
        IKeeper keeper_,
        IDepositContract depositContract_,
        address mevEscrow_,
        address admin_,
        IDepositDataRegistry depositDataRegistry_
    ) VaultCore(keeper_, depositContract_, mevEscrow_, admin_) {
        depositDataRegistry = depositDataRegistry_;
    }

    function version() external pure returns (uint8) {
        return 2;
    }

    /// The second half of an upgrade from version 1.
    function initialize(bytes calldata) external payable {
        if (isInitialized) revert Errors.InvalidInitialization();
        isInitialized = true;
        if (ownRoot != bytes32(0)) {
            depositDataRegistry.migrate(ownRoot, ownIndex, ownKeysManager);
        }
    }

    /// No manager means the DepositDataRegistry. The signatures of managers came with other accounts, which have no use here.
    function registerValidators(ApprovalParams calldata keeperParams, bytes calldata) external nonReentrant {
        keeper.approveValidators(keeperParams);
        checkHarvested();
        if (validatorsManager != address(0) || msg.sender != address(depositDataRegistry)) revert Errors.AccessDenied();
        bytes calldata validators = keeperParams.validators;
        if (validators.length == 0 || validators.length % V1_LENGTH != 0) revert Errors.InvalidValidators();
        if (withdrawableAssets() < validators.length / V1_LENGTH * V1_DEPOSIT) revert Errors.InsufficientAssets();
        depositForAll(validators);
    }
}
