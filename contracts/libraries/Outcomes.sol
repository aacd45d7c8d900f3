// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Lanes} from "./Lanes.sol";
import {Packed} from "./Packed.sol";

/// @title What a delivery comes to
/// @notice Positions, readings and imbalance prices compared where they stand in calldata, slot by slot: a position's
/// fills as `int32[T]`, behind it the readings likewise, and elsewhere `surplus int24 | shortage int24` for each slot.
library Outcomes {
    using Lanes for uint256;

    uint256 private constant ENERGY_BYTES = 4;
    uint256 private constant PRICE_BYTES = 3;
    uint256 private constant IMBALANCE_BYTES = 6;

    /// @notice What each slot's deviation from the position is worth, paid at the surplus price or charged at the shortage
    /// price, which stands 24 bits behind it. Leaves the readings in `words`, a word each. Nothing overflows: a
    /// deviation has 33 bits, its money 57, and that of 96 slots 64. In assembly, four slots a turn, since it runs for
    /// every slot of every member. It writes nothing but `words` and what `Packed.allocate` reserved behind them: slots beyond the last
    /// read as 0 both in the position and in the readings, and are worth nothing.
    /// @param row Where the imbalance prices of the member's zone begin in calldata
    /// @param fills Where the position's fills begin; the readings follow the last
    function imbalance(uint256 row, uint256 fills, uint256[] memory words) internal pure returns (int256 money) {
        assembly ("memory-safe") {
            let ahead := shl(2, mload(words))
            let end := add(fills, ahead)
            for { let word := add(words, 32) } lt(fills, end) { word := add(word, 128) } {
                let kept := not(shr(shl(3, sub(end, fills)), not(0)))
                let contracted := and(calldataload(fills), kept)
                let readings := and(calldataload(add(fills, ahead)), kept)
                // four slots' pairs of prices fit one word too
                let prices := calldataload(row)
                let reading := sar(224, readings)
                mstore(word, reading)
                let deviation := sub(reading, sar(224, contracted))
                let price := sar(232, shl(mul(24, slt(deviation, 0)), prices))
                money := add(money, mul(deviation, price))

                reading := sar(224, shl(32, readings))
                mstore(add(word, 32), reading)
                deviation := sub(reading, sar(224, shl(32, contracted)))
                price := sar(232, shl(add(48, mul(24, slt(deviation, 0))), prices))
                money := add(money, mul(deviation, price))

                reading := sar(224, shl(64, readings))
                mstore(add(word, 64), reading)
                deviation := sub(reading, sar(224, shl(64, contracted)))
                price := sar(232, shl(add(96, mul(24, slt(deviation, 0))), prices))
                money := add(money, mul(deviation, price))

                reading := sar(224, shl(96, readings))
                mstore(add(word, 96), reading)
                deviation := sub(reading, sar(224, shl(96, contracted)))
                price := sar(232, shl(add(144, mul(24, slt(deviation, 0))), prices))
                money := add(money, mul(deviation, price))

                fills := add(fills, 16)
                row := add(row, 24)
            }
        }
    }

    /// @notice Wh that the position bought; eight slots a turn, as below.
    function bought(uint256 fills, uint256 slots) internal pure returns (uint256) {
        unchecked {
            uint256 sum;
            uint256 end = fills + ENERGY_BYTES * slots;
            for (; fills < end; fills += 32) {
                sum += Lanes.negative(uint256(Packed.word(fills)) & _kept(fills, end)).paired();
            }
            return sum.total();
        }
    }

    /// @notice Wh that were injected as sold, and beyond.
    function injected(uint256 fills, uint256 slots) internal pure returns (uint256 matched, uint256 unmatched) {
        unchecked {
            uint256 ahead = ENERGY_BYTES * slots;
            uint256 end = fills + ahead;
            for (; fills < end; fills += 32) {
                uint256 kept = _kept(fills, end);
                uint256 injection = Lanes.positive(uint256(Packed.word(fills + ahead)) & kept);
                if (injection == 0) continue;
                uint256 sold = Lanes.positive(uint256(Packed.word(fills)) & kept).least(injection);
                matched += sold.paired();
                unmatched += (injection - sold).paired();
            }
            return (matched.total(), unmatched.total());
        }
    }

    /// @dev What of the word at `fills` stands before `end`; a shift by 256 bits and more leaves nothing out.
    function _kept(uint256 fills, uint256 end) private pure returns (uint256) {
        unchecked {
            return ~(type(uint256).max >> 8 * (end - fills));
        }
    }

    /// @notice Money and Wh bought where the reading is deemed, per slot the position where that is below 0, else 0.
    function deemed(uint256 row, uint256 fills, uint256 slots)
        internal
        pure
        returns (int256 money, uint256 wh)
    {
        unchecked {
            uint256 end = fills + ENERGY_BYTES * slots;
            for (; fills < end; fills += ENERGY_BYTES) {
                int256 contracted = Packed.int32At(fills);
                if (contracted < 0) wh += uint256(-contracted);
                else money -= contracted * Packed.int24At(row + PRICE_BYTES);
                row += IMBALANCE_BYTES;
            }
        }
    }
}
