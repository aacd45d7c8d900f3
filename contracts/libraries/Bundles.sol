// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IBundleErrors as Errors} from "../interfaces/IBundleErrors.sol";
import {Step, StepsLib} from "./Steps.sol";

/// @notice What a market asks of every step.
/// @param slots Delivery slots of an auction (T)
/// @param minPrice Lowest limit, ticks
/// @param maxPrice Highest limit, ticks
/// @param minQuantity Least quantity, Wh; at least 1 and below 2^31
/// @param margin Collateral per Wh on top of the worst payment, ticks
struct Terms {
    uint256 slots;
    int256 minPrice;
    int256 maxPrice;
    uint256 minQuantity;
    uint256 margin;
}

/// @title What a bundle of steps can cost, and whether it is one
/// @notice `measure` is what every bid runs through, `requireSound` says what is wrong where something is. They agree on
/// every bundle; a fuzz test holds them to it.
library Bundles {
    uint256 private constant MOST_QUANTITY = 0x7fffffff;

    /// @dev 1 in every lane of 64 bits; the top bit of every lane.
    uint256 private constant ONES = 0x0000000000000001_0000000000000001_0000000000000001_0000000000000001;
    uint256 private constant TOPS = 0x8000000000000000_8000000000000000_8000000000000000_8000000000000000;
    uint256 private constant SLOTS = 0x00ff000000000000_00ff000000000000_00ff000000000000_00ff000000000000;
    uint256 private constant PRICES = 0x00ffffff00000000_00ffffff00000000_00ffffff00000000_00ffffff00000000;
    uint256 private constant BIASES = 0x0080000000000000_0080000000000000_0080000000000000_0080000000000000;
    uint256 private constant QUANTITIES = 0x00000000ffffffff_00000000ffffffff_00000000ffffffff_00000000ffffffff;
    uint256 private constant LIMITS = 0x0000000000ffffff_0000000000ffffff_0000000000ffffff_0000000000ffffff;
    /// @dev The bit above a lane's price, and the one above a quantity's magnitude: differences of numbers below them
    /// leave the bits where they are not below 0, and borrow from nothing else.
    uint256 private constant GUARDS = 0x0100000080000000_0100000080000000_0100000080000000_0100000080000000;
    uint256 private constant LANE_1 = 0xffffffffffffffff_0000000000000000;

    /// @notice One pass over a bundle, four steps at once: a word has a lane of 64 bits for each.
    /// @dev The worst a step can cost is its limit times its quantity: a buyer never pays more than its limit, a
    /// seller at a negative limit never pays more than that; and the margin for imbalance.
    /// @param cursor Where the packed steps start in calldata
    /// @param count Number of steps, below 2^16, so that no sum here overflows
    /// @return money What has to stand behind the bundle, money units
    /// @return sound Whether every step keeps the terms; if not, `money` says nothing
    function measure(Terms memory terms, uint256 cursor, uint256 count)
        internal
        pure
        returns (uint256 money, bool sound)
    {
        if (count == 0) return (0, true);
        (uint256 low, uint256 high) = _bounds(terms);
        uint256 totals;
        assembly ("memory-safe") {
            let margins := mul(mload(add(terms, 0x80)), ONES)
            let inBounds := not(0)
            let ascending := not(0)
            let previous := 0
            let end := add(cursor, shl(3, count))
            for {} lt(cursor, end) { cursor := add(cursor, 32) } {
                let absent := shr(shl(3, sub(end, cursor)), not(0))
                let steps := and(calldataload(cursor), not(absent))

                let slots := and(shr(8, steps), SLOTS)
                ascending := and(ascending, or(sub(or(slots, TOPS), or(shr(64, slots), previous)), absent))
                previous := shl(192, slots)

                // |x| is, below 0, x with its bits turned over and 1 added
                let bought := and(shr(31, steps), ONES)
                let sizes := add(xor(and(steps, QUANTITIES), sub(shl(32, bought), bought)), bought)
                totals := add(totals, sizes)

                let numbers := or(and(xor(steps, BIASES), PRICES), sizes)
                inBounds := and(inBounds, or(and(sub(or(numbers, GUARDS), low), sub(high, numbers)), absent))

                // who buys at a price above 0, or sells at one below, pays
                let below := and(shr(55, steps), ONES)
                let payers := xor(bought, below)
                let costs := add(xor(and(shr(32, steps), LIMITS), sub(shl(24, below), below)), below)
                costs := add(and(costs, sub(shl(24, payers), payers)), margins)
                // as digits of two numbers, the second turned round, all four products meet in the top lane
                let turned := or(shl(64, and(costs, LANE_1)), and(shr(64, costs), LANE_1))
                costs := or(or(shl(192, costs), shr(192, costs)), turned)
                money := add(money, shr(192, mul(sizes, costs)))
            }
            // slots ascend, so the last one is the highest
            let last := byte(0, calldataload(sub(end, 8)))
            sound := and(eq(and(ascending, TOPS), TOPS), eq(and(inBounds, GUARDS), GUARDS))
            sound := and(sound, lt(last, mload(terms)))
            sound := and(sound, iszero(gt(shr(192, mul(totals, ONES)), MOST_QUANTITY)))
        }
    }

    /// @dev The least that prices and quantities may be, and the most, as `measure` compares them.
    function _bounds(Terms memory terms) private pure returns (uint256 low, uint256 high) {
        unchecked {
            uint256 lowest = uint256(terms.minPrice + int256(StepsLib.BIAS));
            uint256 highest = uint256(terms.maxPrice + int256(StepsLib.BIAS));
            low = (lowest << 32 | terms.minQuantity) * ONES;
            high = (highest << 32 | MOST_QUANTITY) * ONES | GUARDS;
        }
    }

    /// @notice Reverts with what is wrong, step by step, in plain words.
    function requireSound(Terms memory terms, uint256 cursor, uint256 count) internal pure {
        uint256 slot;
        uint256 total;
        for (uint256 i; i < count; ++i) {
            Step step = StepsLib.at(cursor + i * StepsLib.SIZE);
            if (step.slot() < slot) revert Errors.StepsNotAscending(i);
            if (step.slot() >= terms.slots) revert Errors.StepSlotUnknown(i, step.slot());
            slot = step.slot();
            int256 price = step.price();
            if (price < terms.minPrice || price > terms.maxPrice) revert Errors.StepPriceOutOfBounds(i, price);
            int256 quantity = step.quantity();
            uint256 size = uint256(quantity < 0 ? -quantity : quantity);
            if (size < terms.minQuantity) revert Errors.StepTooSmall(i, size, terms.minQuantity);
            total += size;
        }
        if (total > MOST_QUANTITY) revert Errors.BundleTooLarge(total);
    }
}
