// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Errors, IDepositContract, IKeeper, IVault} from "./Interfaces.sol";
import {EthVault} from "./EthVault.sol";

/// Holds the MEV of one vault, which takes out all there is.
contract OwnMevEscrow {
    event Harvested(uint256 assets);
    event MevReceived(uint256 assets);

    address public immutable vault = msg.sender;

    function harvest() external returns (uint256 assets) {
        if (msg.sender != vault) revert Errors.HarvestFailed();
        assets = address(this).balance;
        if (assets == 0) return 0;
        emit Harvested(assets);
        IVault(vault).receiveFromMevEscrow{value: assets}();
    }

    receive() external payable {
        emit MevReceived(msg.value);
    }
}

/// A vault of version 5 that shares no escrow: its leaf in the rewards tree is the consensus reward alone.
contract OwnEscrowVault is EthVault {
    constructor(IKeeper keeper_, IDepositContract depositContract_, address admin_)
        EthVault(keeper_, depositContract_, address(new OwnMevEscrow()), admin_)
    {}

    function takeMev(uint256) internal override returns (uint256 uncounted) {
        return OwnMevEscrow(payable(mevEscrow)).harvest();
    }
}
