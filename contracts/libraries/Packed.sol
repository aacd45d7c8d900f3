// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @notice Numbers that stand back to back, read from calldata or written to memory, big-endian. Offsets count from calldata's first byte,
/// so that a loop moves one number from item to item. Nothing here checks bounds: callers compare the length first.
library Packed {
    /// @notice Where the bytes start in calldata.
    function start(bytes calldata data) internal pure returns (uint256 offset) {
        assembly ("memory-safe") {
            offset := data.offset
        }
    }

    /// @notice A piece of calldata.
    // Where it begins and how long it is are two things, not one written twice.
    // slither-disable-next-line write-after-write
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

    /// @notice Two int64 side by side.
    function int64sAt(uint256 offset) internal pure returns (int256 first, int256 second) {
        assembly ("memory-safe") {
            let value := calldataload(offset)
            first := sar(192, value)
            second := sar(192, shl(64, value))
        }
    }

    /// @notice Room for so many words, and for 3 more behind them that nobody counts.
    function allocate(uint256 words) internal pure returns (uint256[] memory buffer) {
        buffer = new uint256[](words + 3);
        assembly ("memory-safe") {
            mstore(buffer, words)
        }
    }

    /// @notice keccak256 of a piece of calldata, through `buffer`, which must have room for it.
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

    /// @notice Where the words start in memory.
    function wordsOf(uint256[] memory words) internal pure returns (uint256 at) {
        assembly ("memory-safe") {
            at := add(words, 32)
        }
    }

    /// @notice The word at a place in memory.
    function get(uint256 at) internal pure returns (uint256 value) {
        assembly ("memory-safe") {
            value := mload(at)
        }
    }

    /// @notice Writes a word to memory that is the caller's, at any byte.
    function put(uint256 at, uint256 value) internal pure {
        assembly ("memory-safe") {
            mstore(at, value)
        }
    }

    /// @notice Copies calldata to memory that is the caller's.
    function copy(uint256 at, uint256 offset, uint256 length) internal pure {
        assembly ("memory-safe") {
            calldatacopy(at, offset, length)
        }
    }
}
