// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {ApprovalParams, Errors, HarvestParams, IDepositContract, IKeeper, IVaultsRegistry} from "./Interfaces.sol";
import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";

struct RewardsUpdateParams {
    bytes32 rewardsRoot;
    uint256 avgRewardPerSecond;
    uint64 updateTimestamp;
    string rewardsIpfsHash;
    bytes signatures;
}

/// Counts the oracles' signatures: for new validators, new rewards and rotated exit signatures.
contract Keeper is IKeeper, Ownable2Step, EIP712 {
    struct Reward {
        int192 assets;
        uint64 nonce;
    }

    struct UnlockedMevReward {
        uint192 assets;
        uint64 nonce;
    }

    event ConfigUpdated(string configIpfsHash);
    event ExitSignaturesUpdated(
        address indexed caller, address indexed vault, uint256 nonce, string exitSignaturesIpfsHash
    );
    event Harvested(
        address indexed vault, bytes32 indexed rewardsRoot, int256 totalAssetsDelta, uint256 unlockedMevDelta
    );
    event OracleAdded(address indexed oracle);
    event OracleRemoved(address indexed oracle);
    event RewardsMinOraclesUpdated(uint256 oracles);
    event RewardsUpdated(
        address indexed caller,
        bytes32 indexed rewardsRoot,
        uint256 avgRewardPerSecond,
        uint64 updateTimestamp,
        uint64 nonce,
        string rewardsIpfsHash
    );
    event ValidatorsApproval(address indexed vault, string exitSignaturesIpfsHash);
    event ValidatorsMinOraclesUpdated(uint256 oracles);

    bytes32 private constant REGISTRATION_TYPE = keccak256(
        "KeeperValidators(bytes32 validatorsRegistryRoot,address vault,bytes validators,string exitSignaturesIpfsHash,uint256 deadline)"
    );
    bytes32 private constant ROTATION_TYPE =
        keccak256("KeeperValidators(address vault,string exitSignaturesIpfsHash,uint256 nonce,uint256 deadline)");
    bytes32 private constant REWARDS_TYPE = keccak256(
        "KeeperRewards(bytes32 rewardsRoot,string rewardsIpfsHash,uint256 avgRewardPerSecond,uint64 updateTimestamp,uint64 nonce)"
    );
    uint256 private constant SIGNATURE_LENGTH = 65;
    uint256 private constant MAX_ORACLES = 30;

    IVaultsRegistry private immutable vaultsRegistry;
    IDepositContract private immutable depositContract;
    uint256 private immutable maxAvgRewardPerSecond;
    uint256 public immutable rewardsDelay;

    mapping(address => bool) public isOracle;
    uint256 public totalOracles;
    uint256 public validatorsMinOracles;
    uint256 public rewardsMinOracles;

    mapping(address => uint256) public exitSignaturesNonces;

    bytes32 public rewardsRoot;
    bytes32 public prevRewardsRoot;
    uint64 public rewardsNonce;
    uint64 public lastRewardsTimestamp;
    mapping(address => Reward) public rewards;
    mapping(address => UnlockedMevReward) public unlockedMevRewards;

    constructor(
        IVaultsRegistry vaultsRegistry_,
        IDepositContract depositContract_,
        uint256 rewardsDelay_,
        uint256 maxAvgRewardPerSecond_
    ) Ownable(msg.sender) EIP712("KeeperOracles", "1") {
        vaultsRegistry = vaultsRegistry_;
        depositContract = depositContract_;
        rewardsDelay = rewardsDelay_;
        maxAvgRewardPerSecond = maxAvgRewardPerSecond_;
    }

    function initialize(address _owner) external {
        if (rewardsNonce != 0) revert Errors.AccessDenied();
        if (_owner == address(0)) revert Errors.ZeroAddress();
        rewardsNonce = 1;
        lastRewardsTimestamp = uint64(block.timestamp);
        _transferOwnership(_owner);
    }

    function addOracle(address oracle) external onlyOwner {
        if (isOracle[oracle]) revert Errors.AlreadyAdded();
        if (totalOracles == MAX_ORACLES) revert Errors.MaxOraclesExceeded();
        isOracle[oracle] = true;
        totalOracles += 1;
        emit OracleAdded(oracle);
    }

    function removeOracle(address oracle) external onlyOwner {
        if (!isOracle[oracle]) revert Errors.AlreadyRemoved();
        isOracle[oracle] = false;
        totalOracles -= 1;
        if (totalOracles < validatorsMinOracles || totalOracles < rewardsMinOracles) revert Errors.InvalidOracles();
        emit OracleRemoved(oracle);
    }

    function setValidatorsMinOracles(uint256 _validatorsMinOracles) external onlyOwner {
        if (_validatorsMinOracles == 0 || _validatorsMinOracles > totalOracles) revert Errors.InvalidOracles();
        validatorsMinOracles = _validatorsMinOracles;
        emit ValidatorsMinOraclesUpdated(_validatorsMinOracles);
    }

    function setRewardsMinOracles(uint256 _rewardsMinOracles) external onlyOwner {
        if (_rewardsMinOracles == 0 || _rewardsMinOracles > totalOracles) revert Errors.InvalidOracles();
        rewardsMinOracles = _rewardsMinOracles;
        emit RewardsMinOraclesUpdated(_rewardsMinOracles);
    }

    function updateConfig(string calldata configIpfsHash) external onlyOwner {
        emit ConfigUpdated(configIpfsHash);
    }

    function approveValidators(ApprovalParams calldata params) external {
        if (params.deadline < block.timestamp) revert Errors.DeadlineExpired();
        if (params.validatorsRegistryRoot != depositContract.get_deposit_root()) {
            revert Errors.InvalidValidatorsRegistryRoot();
        }
        if (!vaultsRegistry.vaults(msg.sender)) revert Errors.AccessDenied();

        checkSignatures(
            validatorsMinOracles,
            keccak256(
                abi.encode(
                    REGISTRATION_TYPE,
                    params.validatorsRegistryRoot,
                    msg.sender,
                    keccak256(params.validators),
                    keccak256(bytes(params.exitSignaturesIpfsHash)),
                    params.deadline
                )
            ),
            params.signatures
        );
        if (rewards[msg.sender].nonce == 0) rewards[msg.sender] = Reward(0, rewardsNonce);
        emit ValidatorsApproval(msg.sender, params.exitSignaturesIpfsHash);
    }

    function updateExitSignatures(
        address vault,
        uint256 deadline,
        string calldata exitSignaturesIpfsHash,
        bytes calldata oraclesSignatures
    ) external {
        if (!vaultsRegistry.vaults(vault) || !isCollateralized(vault)) revert Errors.InvalidVault();
        if (deadline < block.timestamp) revert Errors.DeadlineExpired();

        uint256 nonce = exitSignaturesNonces[vault];
        checkSignatures(
            validatorsMinOracles,
            keccak256(abi.encode(ROTATION_TYPE, vault, keccak256(bytes(exitSignaturesIpfsHash)), nonce, deadline)),
            oraclesSignatures
        );
        exitSignaturesNonces[vault] = nonce + 1;
        emit ExitSignaturesUpdated(msg.sender, vault, nonce, exitSignaturesIpfsHash);
    }

    function updateRewards(RewardsUpdateParams calldata params) external {
        if (!canUpdateRewards()) revert Errors.TooEarlyUpdate();
        if (params.avgRewardPerSecond > maxAvgRewardPerSecond) revert Errors.InvalidAvgRewardPerSecond();
        if (params.rewardsRoot == rewardsRoot || params.rewardsRoot == prevRewardsRoot) {
            revert Errors.InvalidRewardsRoot();
        }

        uint64 nonce = rewardsNonce;
        checkSignatures(
            rewardsMinOracles,
            keccak256(
                abi.encode(
                    REWARDS_TYPE,
                    params.rewardsRoot,
                    keccak256(bytes(params.rewardsIpfsHash)),
                    params.avgRewardPerSecond,
                    params.updateTimestamp,
                    nonce
                )
            ),
            params.signatures
        );
        prevRewardsRoot = rewardsRoot;
        rewardsRoot = params.rewardsRoot;
        rewardsNonce = nonce + 1;
        lastRewardsTimestamp = uint64(block.timestamp);
        emit RewardsUpdated(
            msg.sender,
            params.rewardsRoot,
            params.avgRewardPerSecond,
            params.updateTimestamp,
            nonce,
            params.rewardsIpfsHash
        );
    }

    function harvest(HarvestParams calldata params)
        external
        returns (int256 totalAssetsDelta, uint256 unlockedMevDelta, bool harvested)
    {
        if (!vaultsRegistry.vaults(msg.sender)) revert Errors.AccessDenied();
        uint64 nonce = rewardsNonce;
        if (params.rewardsRoot != rewardsRoot) {
            if (params.rewardsRoot == bytes32(0) || params.rewardsRoot != prevRewardsRoot) {
                revert Errors.InvalidRewardsRoot();
            }
            nonce -= 1;
        }
        bytes32 leaf = keccak256(
            bytes.concat(keccak256(abi.encode(msg.sender, params.reward, params.unlockedMevReward)))
        );
        if (!MerkleProof.verifyCalldata(params.proof, params.rewardsRoot, leaf)) revert Errors.InvalidProof();

        Reward memory last = rewards[msg.sender];
        if (last.nonce >= nonce) return (0, 0, false);
        totalAssetsDelta = int256(params.reward) - last.assets;
        rewards[msg.sender] = Reward(params.reward, nonce);

        uint192 lastUnlocked = unlockedMevRewards[msg.sender].assets;
        if (params.unlockedMevReward > lastUnlocked) {
            unlockedMevDelta = params.unlockedMevReward - lastUnlocked;
            unlockedMevRewards[msg.sender] = UnlockedMevReward(params.unlockedMevReward, nonce);
        }
        harvested = true;
        emit Harvested(msg.sender, params.rewardsRoot, totalAssetsDelta, unlockedMevDelta);
    }

    function canUpdateRewards() public view returns (bool) {
        return lastRewardsTimestamp + rewardsDelay < block.timestamp;
    }

    function canHarvest(address vault) external view returns (bool) {
        uint64 nonce = rewards[vault].nonce;
        return nonce != 0 && nonce < rewardsNonce;
    }

    function isHarvestRequired(address vault) external view returns (bool) {
        uint64 nonce = rewards[vault].nonce;
        return nonce != 0 && nonce + 1 < rewardsNonce;
    }

    function isCollateralized(address vault) public view returns (bool) {
        return rewards[vault].nonce != 0;
    }

    /// Looks at exactly the first `required` signatures; their signers ascend, so that none counts twice.
    function checkSignatures(uint256 required, bytes32 structHash, bytes calldata signatures) private view {
        if (required == 0) revert Errors.InvalidOracles();
        if (signatures.length < required * SIGNATURE_LENGTH) revert Errors.NotEnoughSignatures();
        bytes32 digest = _hashTypedDataV4(structHash);
        address last = address(0);
        for (uint256 i = 0; i < required; i++) {
            bytes calldata signature = signatures[i * SIGNATURE_LENGTH:(i + 1) * SIGNATURE_LENGTH];
            address signer = ECDSA.recover(digest, signature);
            if (signer <= last || !isOracle[signer]) revert Errors.InvalidOracle();
            last = signer;
        }
    }
}
