// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Errors, HarvestParams, IDepositContract, IKeeper, ISharedMevEscrow, IVault} from "./Interfaces.sol";
import {Multicall} from "@openzeppelin/contracts/utils/Multicall.sol";
import {ReentrancyGuard} from "@openzeppelin/contracts/utils/ReentrancyGuard.sol";

/// What vaults of all versions share: assets, rewards, and the deposit of one validator.
abstract contract VaultCore is IVault, Multicall, ReentrancyGuard {
    event ValidatorRegistered(bytes publicKey);

    /// 48 bytes of public key, 96 of signature, 32 of deposit data root.
    uint256 internal constant V1_LENGTH = 176;
    uint256 internal constant V1_DEPOSIT = 32 ether;

    IKeeper internal immutable keeper;
    IDepositContract internal immutable depositContract;
    address public immutable mevEscrow;
    address public immutable admin;

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

    function isStateUpdateRequired() external view returns (bool) {
        return keeper.isHarvestRequired(address(this));
    }

    function withdrawableAssets() public view returns (uint256) {
        return address(this).balance;
    }

    function updateState(HarvestParams calldata harvestParams) external {
        (int256 delta, uint256 unlockedMevDelta, bool harvested) = keeper.harvest(harvestParams);
        if (!harvested) return;
        delta += int256(takeMev(unlockedMevDelta));
        if (delta >= 0) {
            totalAssets += uint256(delta);
        } else {
            uint256 penalty = uint256(-delta);
            totalAssets -= penalty < totalAssets ? penalty : totalAssets;
        }
    }

    /// Takes what was unlocked out of the shared escrow, and returns what the reward does not count yet: nothing.
    function takeMev(uint256 unlocked) internal virtual returns (uint256 uncounted) {
        if (unlocked > 0) ISharedMevEscrow(mevEscrow).harvest(unlocked);
        return 0;
    }

    /// Deposits for a validator whose withdrawals are paid to this vault: `kind` is 1, or 2 when it compounds.
    function depositFor(bytes calldata validator, bytes1 kind, uint256 amount) internal {
        depositContract.deposit{value: amount}(
            validator[:48],
            abi.encodePacked(kind, bytes11(0), address(this)),
            validator[48:144],
            bytes32(validator[144:176])
        );
    }

    /// Deposits 32 Ether for each validator of `validators`.
    function depositForAll(bytes calldata validators) internal {
        for (uint256 start = 0; start < validators.length; start += V1_LENGTH) {
            bytes calldata validator = validators[start:start + V1_LENGTH];
            emit ValidatorRegistered(validator[:48]);
            depositFor(validator, 0x01, V1_DEPOSIT);
        }
    }

    function checkAdmin() internal view {
        if (msg.sender != admin) revert Errors.AccessDenied();
    }

    function checkHarvested() internal view {
        if (keeper.isHarvestRequired(address(this))) revert Errors.NotHarvested();
    }
}
