// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @notice What meters sign, as EIP-712 has it: the parts that all statements of an auction share are written once.
library Statements {
    bytes32 private constant TYPEHASH =
        keccak256("MeterStatement(uint256 auction,address member,int32[] readings)");

    /// @param domain The settlement's domain separator
    /// @return at Memory for `digest`: the struct's four words, and behind them `0x1901 | domain | struct hash`
    function open(bytes32 domain, uint256 auction) internal pure returns (uint256 at) {
        bytes32 typeHash = TYPEHASH;
        assembly ("memory-safe") {
            at := mload(0x40)
            mstore(0x40, add(at, 0x100))
            mstore(at, typeHash)
            mstore(add(at, 0x20), auction)
            mstore(add(at, 0x80), shl(240, 0x1901))
            mstore(add(at, 0x82), domain)
        }
    }

    /// @param readings Hash of the readings, a word each
    function digest(uint256 at, address member, bytes32 readings) internal pure returns (bytes32 value) {
        assembly ("memory-safe") {
            mstore(add(at, 0x40), member)
            mstore(add(at, 0x60), readings)
            mstore(add(at, 0xa2), keccak256(at, 0x80))
            value := keccak256(add(at, 0x80), 0x42)
        }
    }
}
