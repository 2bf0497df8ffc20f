// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Errors, ISharedMevEscrow, IVault, IVaultsRegistry} from "./Interfaces.sol";

/// Holds the MEV of many vaults; a vault takes out what a rewards root says is its own.
contract SharedMevEscrow is ISharedMevEscrow {
    event Harvested(address indexed caller, uint256 assets);
    event MevReceived(uint256 assets);

    IVaultsRegistry private immutable vaultsRegistry;

    constructor(IVaultsRegistry vaultsRegistry_) {
        vaultsRegistry = vaultsRegistry_;
    }

    function harvest(uint256 assets) external {
        if (!vaultsRegistry.vaults(msg.sender)) revert Errors.HarvestFailed();
        emit Harvested(msg.sender, assets);
        IVault(msg.sender).receiveFromMevEscrow{value: assets}();
    }

    receive() external payable {
        emit MevReceived(msg.value);
    }
}
