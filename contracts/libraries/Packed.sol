// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @notice Reading numbers that stand back to back in calldata, big-endian. Nothing here checks bounds: callers
/// compare the length first.
library Packed {
    /// @notice The `index`-th int24.
    function int24At(bytes calldata data, uint256 index) internal pure returns (int256 value) {
        assembly ("memory-safe") {
            value := sar(232, calldataload(add(data.offset, mul(index, 3))))
        }
    }

    /// @notice The int32 that starts at byte `head` plus 4 times `index`.
    function int32At(bytes calldata data, uint256 head, uint256 index) internal pure returns (int256 value) {
        assembly ("memory-safe") {
            value := sar(224, calldataload(add(add(data.offset, head), shl(2, index))))
        }
    }
}
