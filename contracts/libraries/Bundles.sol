// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IBundleErrors as Errors} from "../interfaces/IBundleErrors.sol";
import {Step, StepsLib} from "./Steps.sol";

/// @notice What a market asks of every step.
/// @param slots Delivery slots of an auction (T)
/// @param minPrice Lowest limit, ticks
/// @param maxPrice Highest limit, ticks
/// @param minQuantity Least quantity, Wh; at least 1
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

    /// @notice One pass over a bundle without a branch in it.
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
        assembly ("memory-safe") {
            let minPrice := mload(add(terms, 0x20))
            let priceRange := sub(mload(add(terms, 0x40)), minPrice)
            let minQuantity := mload(add(terms, 0x60))
            let slot := 0
            let total := 0
            let broken := 0
            for { let end := add(cursor, shl(3, count)) } lt(cursor, end) { cursor := add(cursor, 8) } {
                let step := shr(192, calldataload(cursor))
                let price := signextend(2, shr(32, step))
                let quantity := signextend(3, step)
                // a negative quantity is all ones above its 32 bits: flip and add one
                let sign := sar(255, quantity)
                let size := sub(xor(quantity, sign), sign)
                total := add(total, size)
                // below the lowest price, the difference wraps around and is above the range as well
                broken := or(broken, or(gt(sub(price, minPrice), priceRange), lt(size, minQuantity)))
                step := shr(56, step)
                broken := or(broken, lt(step, slot))
                slot := step
                let income := mul(quantity, price)
                money := sub(money, mul(income, slt(income, 0)))
            }
            money := add(money, mul(total, mload(add(terms, 0x80))))
            // slots don't descend, so the last one is the highest
            sound := iszero(or(or(broken, gt(total, MOST_QUANTITY)), iszero(lt(slot, mload(terms)))))
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
