// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Errors, IVaultsRegistry} from "./Interfaces.sol";
import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";

/// The list of genuine vaults.
contract VaultsRegistry is IVaultsRegistry, Ownable {
    event VaultAdded(address indexed caller, address indexed vault);

    mapping(address => bool) public vaults;

    constructor(address owner_) Ownable(owner_) {}

    function addVault(address vault) external {
        if (msg.sender != owner()) revert Errors.AccessDenied();
        if (vault == address(0)) revert Errors.ZeroAddress();
        if (vaults[vault]) revert Errors.AlreadyAdded();
        vaults[vault] = true;
        emit VaultAdded(msg.sender, vault);
    }
}
