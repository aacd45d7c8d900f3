// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @notice One step of a bid in its 8 bytes: `slot uint8 | price int24 | quantity int32`, big-endian.
/// @dev The upper 192 bits are zero. Positive quantity = injection (sell), negative = withdrawal (buy).
type Step is uint256;

using StepsLib for Step global;

/// @notice Reading packed steps.
library StepsLib {
    /// @notice Bytes a step takes.
    uint256 internal constant SIZE = 8;

    /// @notice The offset that makes an int24 price an unsigned number of the same order.
    uint256 internal constant BIAS = 1 << 23;

    /// @notice The step at `offset` bytes into calldata.
    function at(uint256 offset) internal pure returns (Step step) {
        assembly ("memory-safe") {
            step := shr(192, calldataload(offset))
        }
    }

    /// @notice Where a bundle's bytes start in calldata.
    function start(bytes calldata bundle) internal pure returns (uint256 offset) {
        assembly ("memory-safe") {
            offset := bundle.offset
        }
    }

    /// @notice Delivery slot within the auction.
    function slot(Step step) internal pure returns (uint256) {
        return Step.unwrap(step) >> 56;
    }

    /// @notice Limit price in ticks.
    function price(Step step) internal pure returns (int256) {
        return int24(uint24(Step.unwrap(step) >> 32));
    }

    /// @notice Quantity in Wh.
    function quantity(Step step) internal pure returns (int256) {
        return int32(uint32(Step.unwrap(step)));
    }
}
