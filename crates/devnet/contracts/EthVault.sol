// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {ApprovalParams, Errors, IDepositContract, IKeeper, IManagedVault} from "./Interfaces.sol";
import {VaultCore} from "./VaultCore.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";

/// A vault of version 5, as far as registering validators goes: it has no exit queue, fees or token.
contract EthVault is VaultCore, IManagedVault {
    event V2ValidatorRegistered(bytes publicKey, uint256 amount);
    event ValidatorsManagerUpdated(address indexed caller, address indexed validatorsManager);

    bytes32 private constant DOMAIN_TYPE =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
    bytes32 private constant MANAGER_TYPE =
        keccak256("VaultValidators(bytes32 validatorsRegistryRoot,bytes validators)");
    /// Those of the first kind, and 8 bytes of Gwei.
    uint256 private constant V2_LENGTH = 184;

    address public validatorsManager;
    uint256 public validatorsManagerNonce;
    mapping(bytes32 publicKeyHash => bool isRegistered) public v2Validators;

    constructor(IKeeper keeper_, IDepositContract depositContract_, address mevEscrow_, address admin_)
        VaultCore(keeper_, depositContract_, mevEscrow_, admin_)
    {}

    function version() external pure returns (uint8) {
        return 5;
    }

    function setValidatorsManager(address _validatorsManager) external {
        checkAdmin();
        if (_validatorsManager == validatorsManager) revert Errors.ValueNotChanged();
        validatorsManager = _validatorsManager;
        emit ValidatorsManagerUpdated(msg.sender, _validatorsManager);
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
        for (uint256 start = 0; start < validators.length; start += length) {
            registerOne(validators[start:start + length], isV1);
        }
    }

    function registerOne(bytes calldata validator, bool isV1) private {
        bytes calldata publicKey = validator[:48];
        uint256 amount = V1_DEPOSIT;
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
        depositFor(validator, isV1 ? bytes1(0x01) : bytes1(0x02), amount);
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
}
