// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @notice Reading numbers that stand back to back in calldata, big-endian. Offsets count from calldata's first byte, so
/// that a loop moves one number from item to item. Nothing here checks bounds: callers compare the length first.
library Packed {
    /// @notice Where the bytes start in calldata.
    function start(bytes calldata data) internal pure returns (uint256 offset) {
        assembly ("memory-safe") {
            offset := data.offset
        }
    }

    /// @notice A piece of calldata.
    function slice(uint256 offset, uint256 length) internal pure returns (bytes calldata data) {
        assembly ("memory-safe") {
            data.offset := offset
            data.length := length
        }
    }

    function word(uint256 offset) internal pure returns (bytes32 value) {
        assembly ("memory-safe") {
            value := calldataload(offset)
        }
    }

    function byteAt(uint256 offset) internal pure returns (uint8 value) {
        assembly ("memory-safe") {
            value := byte(0, calldataload(offset))
        }
    }

    function int24At(uint256 offset) internal pure returns (int256 value) {
        assembly ("memory-safe") {
            value := sar(232, calldataload(offset))
        }
    }

    function int32At(uint256 offset) internal pure returns (int256 value) {
        assembly ("memory-safe") {
            value := sar(224, calldataload(offset))
        }
    }

    /// @notice Room for so many words, and for 3 more behind them that nobody counts.
    function allocate(uint256 words) internal pure returns (uint256[] memory buffer) {
        buffer = new uint256[](words + 3);
        assembly ("memory-safe") {
            mstore(buffer, words)
        }
    }

    /// @notice keccak256 of a piece of calldata, through `buffer`, whose words must have room for it.
    function hashOf(uint256 offset, uint256 length, uint256[] memory buffer) internal pure returns (bytes32 value) {
        assembly ("memory-safe") {
            calldatacopy(add(buffer, 32), offset, length)
            value := keccak256(add(buffer, 32), length)
        }
    }

    /// @notice keccak256 of the words, without their number: what EIP-712 makes of an array.
    function hash(uint256[] memory words) internal pure returns (bytes32 value) {
        assembly ("memory-safe") {
            value := keccak256(add(words, 32), shl(5, mload(words)))
        }
    }
}
