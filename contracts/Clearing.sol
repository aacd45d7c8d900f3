// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IClearing} from "./interfaces/IClearing.sol";
import {IMarket} from "./interfaces/IMarket.sol";
import {IRegistry, Parameters} from "./interfaces/IRegistry.sol";
import {IVault} from "./interfaces/IVault.sol";
import {Book, Equilibrium} from "./libraries/Equilibrium.sol";
import {StepsLib} from "./libraries/Steps.sol";

/// @title Clearing
/// @notice Accepts an auction's result only if it is the welfare optimum at the canonical price, whoever sends it: the
/// price is a function of the bids alone, and nobody, this market's operator included, can move it by a tick.
/// @custom:halt Nobody can: there is no owner and no pause. An auction nobody clears in time is void.
contract Clearing is IClearing {
    uint256 internal constant TRADER_BYTES = 20;
    uint256 private constant HEAD_BYTES = 4;
    uint256 internal constant ENTRY_BYTES = 52;

    IRegistry public immutable registry;
    IVault public immutable vault;
    IMarket public immutable market;
    uint256 internal immutable _zones;
    uint256 internal immutable _slots;
    int256 internal immutable _minPrice;
    int256 internal immutable _maxPrice;

    constructor(IRegistry registry_, IVault vault_, IMarket market_) {
        registry = registry_;
        vault = vault_;
        market = market_;
        Parameters memory p = registry_.parameters();
        _zones = registry_.zones();
        _slots = p.schedule.slots;
        _minPrice = p.minPrice;
        _maxPrice = p.maxPrice;
    }

    /// @inheritdoc IClearing
    /// @dev The market says first whether these are its bids; it is the community's own and calls nobody.
    function clear(uint256 auction, bytes calldata prices, bytes calldata marginals, bytes calldata bids) external {
        Book memory book = Equilibrium.open(prices, marginals, _zones, _slots, _minPrice, _maxPrice);
        bytes memory entries = _listBids(bids);
        market.accept(auction, keccak256(prices), entries);
        _fillAll(book, bids, entries);
        uint256 income = Equilibrium.close(book, registry.grid());
        // slither-disable-next-line reentrancy-events
        emit Cleared(auction, msg.sender, income, prices, marginals);
        market.enterPositions(auction, entries);
        vault.payNetwork(income);
    }

    /// @return entries `trader address | bid hash bytes32` each, for the market to say that they are the auction's
    function _listBids(bytes calldata bids) private pure returns (bytes memory entries) {
        entries = new bytes(_count(bids) * ENTRY_BYTES);
        uint256 entry = _dataOf(entries);
        uint256 cursor = StepsLib.start(bids);
        uint256 end = cursor + bids.length;
        while (cursor < end) {
            (address trader,, uint256 size) = _head(cursor);
            bytes32 hash = _hashOf(cursor + TRADER_BYTES, size - TRADER_BYTES);
            assembly ("memory-safe") {
                mstore(entry, shl(96, trader))
                mstore(add(entry, 20), hash)
            }
            entry += ENTRY_BYTES;
            cursor += size;
        }
    }

    function _count(bytes calldata bids) private pure returns (uint256 count) {
        uint256 cursor = StepsLib.start(bids);
        uint256 end = cursor + bids.length;
        while (cursor < end) {
            (,, uint256 size) = _head(cursor);
            cursor += size;
            ++count;
        }
        if (cursor != end) revert MalformedBids(bids.length);
    }

    /// @dev Fills every bundle and puts its position's hash in place of the bid's. The market has said that the bundles
    /// are recorded, so their zones and slots exist.
    function _fillAll(Book memory book, bytes calldata bids, bytes memory entries) private view {
        uint256 fills = _allocatePosition();
        uint256 entry = _dataOf(entries);
        uint256 cursor = StepsLib.start(bids);
        uint256 end = cursor + bids.length;
        while (cursor < end) {
            (address trader, uint256 zone, uint256 size) = _head(cursor);
            bytes32 hash = _position(book, fills, trader, zone, cursor, size);
            assembly ("memory-safe") {
                mstore(add(entry, 20), hash)
            }
            entry += ENTRY_BYTES;
            cursor += size;
        }
    }

    /// @dev Where a bid in calldata begins: its trader, zone and whole size in bytes.
    function _head(uint256 cursor) internal pure returns (address trader, uint256 zone, uint256 size) {
        uint256 word;
        assembly ("memory-safe") {
            word := calldataload(cursor)
        }
        trader = address(uint160(word >> 96));
        zone = uint16(word >> 80);
        size = TRADER_BYTES + HEAD_BYTES + uint16(word >> 64) * StepsLib.SIZE;
    }

    /// @dev Fills one bundle and hashes the position that comes of it: `zone uint16 | cash int128 | fills int32[T]`.
    /// @param fills Where the packed fills lie in memory, 32 bytes before them being free for the rest
    function _position(Book memory book, uint256 fills, address trader, uint256 zone, uint256 cursor, uint256 size)
        internal
        view
        returns (bytes32 hash)
    {
        uint256 fillBytes = 4 * _slots;
        assembly ("memory-safe") {
            calldatacopy(fills, calldatasize(), fillBytes)
        }
        uint256 head = TRADER_BYTES + HEAD_BYTES;
        int256 cash = Equilibrium.fill(book, trader, zone, cursor + head, (size - head) / StepsLib.SIZE, fills);
        assembly ("memory-safe") {
            mstore(sub(fills, 32), or(shl(128, zone), and(cash, sub(shl(128, 1), 1))))
            hash := keccak256(sub(fills, 18), add(fillBytes, 18))
        }
    }

    /// @dev Room for the packed fills, a word before them for the rest of a position and a word after them, which a
    /// write to their last 4 bytes reaches into.
    function _allocatePosition() internal view returns (uint256 fills) {
        return _dataOf(new bytes(4 * _slots + 64)) + 32;
    }

    function _dataOf(bytes memory data) internal pure returns (uint256 at) {
        assembly ("memory-safe") {
            at := add(data, 32)
        }
    }

    /// @dev keccak256 of a piece of calldata, through memory that stays free.
    function _hashOf(uint256 offset, uint256 length) internal pure returns (bytes32 hash) {
        assembly ("memory-safe") {
            let free := mload(0x40)
            calldatacopy(free, offset, length)
            hash := keccak256(free, length)
        }
    }
}
