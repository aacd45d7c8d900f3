// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IEquilibriumErrors as Errors} from "../interfaces/IEquilibriumErrors.sol";
import {Book, Equilibrium} from "../libraries/Equilibrium.sol";
import {Line} from "../libraries/Lines.sol";
import {StepsLib} from "../libraries/Steps.sol";

/// @title EquilibriumHarness
/// @notice The check of a clearing without a market around it: on any grid, for bids that nobody has to place first.
/// It lets a test put thousands of auctions to the library, right ones and wrong ones.
/// @custom:halt Not for production.
contract EquilibriumHarness {
    uint256 private constant HEAD_BYTES = 24;

    /// @notice Reverts as a clearing would, or gives the network's income and each bundle's position.
    /// @param bids As in `IMarket.clear`; not compared with any record
    /// @return income Money units
    /// @return cash What each bundle's trader is paid, money units
    /// @return fills T packed int32 for each bundle
    function check(
        Line[] calldata lines,
        uint256 slots,
        int256 minPrice,
        int256 maxPrice,
        bytes calldata prices,
        bytes calldata marginals,
        bytes calldata bids
    ) external pure returns (uint256 income, int256[] memory cash, bytes[] memory fills) {
        Book memory book = Equilibrium.open(prices, marginals, lines.length, slots, minPrice, maxPrice);
        uint256 count = _count(bids);
        cash = new int256[](count);
        fills = new bytes[](count);
        uint256 at;
        for (uint256 i; i < count; ++i) {
            fills[i] = _room(slots);
            cash[i] = _fill(book, bids[at:], fills[i]);
            at += _size(bids, at);
        }
        income = Equilibrium.close(book, lines);
    }

    function _fill(Book memory book, bytes calldata bid, bytes memory fills) private pure returns (int256) {
        uint256 positions;
        assembly ("memory-safe") {
            positions := add(fills, 32)
        }
        uint256 cursor = StepsLib.start(bid) + HEAD_BYTES;
        uint256 zone = uint16(bytes2(bid[20:22]));
        uint256 end = cursor + uint16(bytes2(bid[22:24])) * StepsLib.SIZE;
        return Equilibrium.fill(book, address(bytes20(bid[:20])), zone, cursor, end, positions);
    }

    /// @dev T packed int32, and behind them the word that a write to the last one reaches into.
    function _room(uint256 slots) private pure returns (bytes memory fills) {
        fills = new bytes(4 * slots + 32);
        assembly ("memory-safe") {
            mstore(fills, mul(4, slots))
        }
    }

    function _count(bytes calldata bids) private pure returns (uint256 count) {
        for (uint256 at; at < bids.length; at += _size(bids, at)) ++count;
    }

    function _size(bytes calldata bids, uint256 at) private pure returns (uint256 size) {
        size = HEAD_BYTES + uint16(bytes2(bids[at + 22:at + 24])) * StepsLib.SIZE;
        if (at + size > bids.length) revert Errors.MalformedBids(bids.length);
    }
}
