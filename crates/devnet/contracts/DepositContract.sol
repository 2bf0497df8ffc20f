// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IDepositContract} from "./Interfaces.sol";
import {IERC165} from "@openzeppelin/contracts/utils/introspection/IERC165.sol";

/// The beacon chain's deposit contract as the consensus specs describe it: an append-only Merkle tree of deposit data.
contract DepositContract is IDepositContract, IERC165 {
    event DepositEvent(bytes pubkey, bytes withdrawal_credentials, bytes amount, bytes signature, bytes index);

    uint256 private constant DEPTH = 32;

    // The order of storage is that of the consensus specs' contract: programs read its tree from there.
    /// For each height, the last complete left subtree.
    bytes32[DEPTH] private branch;
    uint256 private depositCount;
    bytes32[DEPTH] private zeroHashes;

    constructor() {
        for (uint256 height = 0; height + 1 < DEPTH; height++) {
            zeroHashes[height + 1] = hashPair(zeroHashes[height], zeroHashes[height]);
        }
    }

    function deposit(
        bytes calldata pubkey,
        bytes calldata withdrawal_credentials,
        bytes calldata signature,
        bytes32 deposit_data_root
    ) external payable {
        require(pubkey.length == 48, "DepositContract: invalid pubkey length");
        require(withdrawal_credentials.length == 32, "DepositContract: invalid withdrawal_credentials length");
        require(signature.length == 96, "DepositContract: invalid signature length");
        require(msg.value >= 1 ether, "DepositContract: deposit value too low");
        require(msg.value % 1 gwei == 0, "DepositContract: deposit value not multiple of gwei");
        uint256 amount = msg.value / 1 gwei;
        require(amount <= type(uint64).max, "DepositContract: deposit value too high");

        bytes memory littleAmount = littleEndian(uint64(amount));
        emit DepositEvent(
            pubkey, withdrawal_credentials, littleAmount, signature, littleEndian(uint64(depositCount))
        );

        bytes32 keyRoot = sha256(abi.encodePacked(pubkey, bytes16(0)));
        bytes32 signatureRoot = hashPair(
            sha256(signature[:64]), sha256(abi.encodePacked(signature[64:], bytes32(0)))
        );
        bytes32 node = hashPair(
            hashPair(keyRoot, bytes32(withdrawal_credentials)),
            sha256(abi.encodePacked(littleAmount, bytes24(0), signatureRoot))
        );
        require(
            node == deposit_data_root,
            "DepositContract: reconstructed DepositData does not match supplied deposit_data_root"
        );
        require(depositCount < 2 ** DEPTH - 1, "DepositContract: merkle tree full");

        depositCount += 1;
        uint256 size = depositCount;
        uint256 level = 0;
        while (size & 1 == 0) {
            node = hashPair(branch[level], node);
            size >>= 1;
            level += 1;
        }
        branch[level] = node;
    }

    function get_deposit_root() external view returns (bytes32) {
        bytes32 node;
        uint256 size = depositCount;
        for (uint256 height = 0; height < DEPTH; height++) {
            node = size & 1 == 1 ? hashPair(branch[height], node) : hashPair(node, zeroHashes[height]);
            size >>= 1;
        }
        return sha256(abi.encodePacked(node, littleEndian(uint64(depositCount)), bytes24(0)));
    }

    function get_deposit_count() external view returns (bytes memory) {
        return littleEndian(uint64(depositCount));
    }

    function supportsInterface(bytes4 interfaceId) external pure returns (bool) {
        return interfaceId == type(IERC165).interfaceId
            || interfaceId == (this.deposit.selector ^ this.get_deposit_root.selector ^ this.get_deposit_count.selector);
    }

    function hashPair(bytes32 left, bytes32 right) private pure returns (bytes32) {
        return sha256(abi.encodePacked(left, right));
    }

    function littleEndian(uint64 value) private pure returns (bytes memory reversed) {
        reversed = new bytes(8);
        for (uint256 i = 0; i < 8; i++) {
            reversed[i] = bytes1(uint8(value >> (8 * i)));
        }
    }
}
