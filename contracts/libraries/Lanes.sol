// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @notice Eight int32 side by side in one word, handled at once: energy in eight slots.
/// @dev No lane ever carries into the next: a magnitude is at most 2^31, and sums have lanes of 64 bits.
// The constants are divided without a remainder.
// slither-disable-next-line divide-before-multiply
library Lanes {
    uint256 private constant LANE = type(uint32).max;
    uint256 private constant WIDE_LANE = type(uint64).max;
    /// @dev 1 in every lane, and 1 in every lane of 64 bits.
    uint256 private constant ONES = type(uint256).max / LANE;
    uint256 private constant WIDE_ONES = type(uint256).max / WIDE_LANE;
    uint256 private constant TOPS = ONES << 31;
    uint256 private constant EVEN = WIDE_ONES * LANE;

    /// @notice max(x, 0) of each lane.
    function positive(uint256 x) internal pure returns (uint256) {
        unchecked {
            return x & ~(((x >> 31) & ONES) * LANE);
        }
    }

    /// @notice max(-x, 0) of each lane.
    function negative(uint256 x) internal pure returns (uint256) {
        unchecked {
            uint256 sign = (x >> 31) & ONES;
            uint256 mask = sign * LANE;
            return (~x & mask) + sign;
        }
    }

    /// @notice The smaller of each pair of lanes, none of them negative.
    function least(uint256 x, uint256 y) internal pure returns (uint256) {
        unchecked {
            // a lane's top bit stays where x >= y
            uint256 mask = ((((x | TOPS) - y) >> 31) & ONES) * LANE;
            return (y & mask) | (x & ~mask);
        }
    }

    /// @notice Neighbours added up, in four lanes of 64 bits, which can be added to one another 2^31 times.
    function paired(uint256 x) internal pure returns (uint256) {
        unchecked {
            return (x & EVEN) + ((x >> 32) & EVEN);
        }
    }

    /// @notice The sum of four lanes of 64 bits.
    function total(uint256 wide) internal pure returns (uint256) {
        unchecked {
            return (wide * WIDE_ONES) >> 192;
        }
    }
}
