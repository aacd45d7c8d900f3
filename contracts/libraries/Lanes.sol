// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @notice Eight int32 side by side in one word, handled at once: energy in eight slots.
/// @dev No lane ever carries into the next: a magnitude is at most 2^31, and sums have lanes of 64 bits.
library Lanes {
    uint256 private constant ONES = 0x0000000100000001000000010000000100000001000000010000000100000001;
    uint256 private constant TOPS = ONES << 31;
    uint256 private constant LANE = 0xffffffff;
    uint256 private constant EVEN = 0x00000000ffffffff00000000ffffffff00000000ffffffff00000000ffffffff;
    uint256 private constant WIDE_ONES = 0x0000000000000001000000000000000100000000000000010000000000000001;

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
