// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IDepositContract, IKeeper} from "./Interfaces.sol";
import {EthVault} from "./EthVault.sol";

/// A vault with a past: anybody has it say that validators were registered, in the words of any version.
contract PastVault is EthVault {
    constructor(IKeeper keeper_, IDepositContract depositContract_, address mevEscrow_, address admin_)
        EthVault(keeper_, depositContract_, mevEscrow_, admin_)
    {}

    function remember(bytes calldata publicKey) external {
        emit ValidatorRegistered(publicKey);
    }

    function rememberV2(bytes calldata publicKey, uint256 amount) external {
        emit V2ValidatorRegistered(publicKey, amount);
    }
}

/// The pool of StakeWise V2, of which only its word is left.
contract LegacyPool {
    event ValidatorRegistered(bytes publicKey, address operator);

    function remember(bytes calldata publicKey) external {
        emit ValidatorRegistered(publicKey, msg.sender);
    }
}
