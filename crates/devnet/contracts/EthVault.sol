// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {
    ApprovalParams,
    Errors,
    HarvestParams,
    IDepositContract,
    IKeeper,
    ISharedMevEscrow,
    IVault
} from "./Interfaces.sol";
import {Multicall} from "@openzeppelin/contracts/utils/Multicall.sol";
import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";

/// A vault of version 5, as far as registering validators goes: it has no exit queue, fees or token.
contract EthVault is IVault, Multicall, ReentrancyGuard {
    event V2ValidatorRegistered(bytes publicKey, uint256 amount);
    event ValidatorRegistered(bytes publicKey);
    event ValidatorsManagerUpdated(address indexed caller, address indexed validatorsManager);

    bytes32 private constant DOMAIN_TYPE =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
    bytes32 private constant MANAGER_TYPE =
        keccak256("VaultValidators(bytes32 validatorsRegistryRoot,bytes validators)");
    /// 48 bytes of public key, 96 of signature, 32 of deposit data root.
    uint256 private constant V1_LENGTH = 176;
    /// The same, and 8 bytes of Gwei.
    uint256 private constant V2_LENGTH = 184;

    IKeeper private immutable keeper;
    IDepositContract private immutable depositContract;
    address public immutable mevEscrow;
    address public immutable admin;

    address public validatorsManager;
    uint256 public validatorsManagerNonce;
    mapping(bytes32 publicKeyHash => bool isRegistered) public v2Validators;
    uint256 public totalAssets;
    uint256 private totalShares;
    mapping(address => uint256) private sharesOf;

    constructor(IKeeper keeper_, IDepositContract depositContract_, address mevEscrow_, address admin_) {
        keeper = keeper_;
        depositContract = depositContract_;
        mevEscrow = mevEscrow_;
        admin = admin_;
    }

    function vaultId() external pure returns (bytes32) {
        return keccak256("EthVault");
    }

    function version() external pure returns (uint8) {
        return 5;
    }

    function deposit(address receiver, address referrer) external payable returns (uint256 shares) {
        referrer;
        checkHarvested();
        if (receiver == address(0)) revert Errors.ZeroAddress();
        if (msg.value == 0) revert Errors.InvalidAssets();
        shares = totalShares == 0 ? msg.value : msg.value * totalShares / totalAssets;
        totalAssets += msg.value;
        totalShares += shares;
        sharesOf[receiver] += shares;
    }

    function receiveFromMevEscrow() external payable {
        if (msg.sender != mevEscrow) revert Errors.AccessDenied();
    }

    function setValidatorsManager(address _validatorsManager) external {
        if (msg.sender != admin) revert Errors.AccessDenied();
        if (_validatorsManager == validatorsManager) revert Errors.ValueNotChanged();
        validatorsManager = _validatorsManager;
        emit ValidatorsManagerUpdated(msg.sender, _validatorsManager);
    }

    function isStateUpdateRequired() external view returns (bool) {
        return keeper.isHarvestRequired(address(this));
    }

    function withdrawableAssets() public view returns (uint256) {
        return address(this).balance;
    }

    function updateState(HarvestParams calldata harvestParams) external {
        (int256 delta, uint256 unlockedMevDelta, bool harvested) = keeper.harvest(harvestParams);
        if (!harvested) return;
        if (unlockedMevDelta > 0) ISharedMevEscrow(mevEscrow).harvest(unlockedMevDelta);
        if (delta >= 0) {
            totalAssets += uint256(delta);
        } else {
            uint256 penalty = uint256(-delta);
            totalAssets -= penalty < totalAssets ? penalty : totalAssets;
        }
    }

    function registerValidators(ApprovalParams calldata keeperParams, bytes calldata validatorsManagerSignature)
        external
        nonReentrant
    {
        keeper.approveValidators(keeperParams);
        checkHarvested();
        checkManager(keeperParams.validatorsRegistryRoot, keeperParams.validators, validatorsManagerSignature);

        bytes calldata validators = keeperParams.validators;
        bool isV1 = validators.length % V1_LENGTH == 0;
        bool isV2 = validators.length % V2_LENGTH == 0;
        if (validators.length == 0 || isV1 == isV2) revert Errors.InvalidValidators();
        uint256 length = isV1 ? V1_LENGTH : V2_LENGTH;
        bytes memory credentials = abi.encodePacked(isV1 ? bytes1(0x01) : bytes1(0x02), bytes11(0), address(this));
        for (uint256 start = 0; start < validators.length; start += length) {
            registerOne(validators[start:start + length], isV1, credentials);
        }
    }

    function registerOne(bytes calldata validator, bool isV1, bytes memory credentials) private {
        bytes calldata publicKey = validator[:48];
        uint256 amount = 32 ether;
        if (!isV1) {
            amount = uint256(uint64(bytes8(validator[176:184]))) * 1 gwei;
            if (amount < 32 ether || amount > 2048 ether) revert Errors.InvalidAssets();
        }
        if (withdrawableAssets() < amount) revert Errors.InvalidAssets();
        if (isV1) {
            emit ValidatorRegistered(publicKey);
        } else {
            v2Validators[keccak256(publicKey)] = true;
            emit V2ValidatorRegistered(publicKey, amount);
        }
        depositContract.deposit{value: amount}(
            publicKey, credentials, validator[48:144], bytes32(validator[144:176])
        );
    }

    /// Without a signature the caller must be the manager; a zero manager is nobody.
    function checkManager(bytes32 registryRoot, bytes calldata validators, bytes calldata signature) private {
        address manager = validatorsManager;
        if (signature.length == 0) {
            if (msg.sender != manager) revert Errors.AccessDenied();
            return;
        }
        bytes32 domain = keccak256(
            abi.encode(DOMAIN_TYPE, keccak256("VaultValidators"), keccak256("1"), block.chainid, address(this))
        );
        bytes32 structHash = keccak256(abi.encode(MANAGER_TYPE, registryRoot, keccak256(validators)));
        bytes32 digest = MessageHashUtils.toTypedDataHash(domain, structHash);
        if (manager == address(0) || !SignatureChecker.isValidSignatureNow(manager, digest, signature)) {
            revert Errors.AccessDenied();
        }
        validatorsManagerNonce += 1;
    }

    function checkHarvested() private view {
        if (keeper.isHarvestRequired(address(this))) revert Errors.NotHarvested();
    }
}
