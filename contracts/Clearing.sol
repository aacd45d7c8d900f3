// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IClearing} from "./interfaces/IClearing.sol";
import {IMarket} from "./interfaces/IMarket.sol";
import {IRegistry, Parameters} from "./interfaces/IRegistry.sol";
import {IVault} from "./interfaces/IVault.sol";
import {Book, Equilibrium} from "./libraries/Equilibrium.sol";
import {Messages} from "./libraries/Messages.sol";
import {StepsLib} from "./libraries/Steps.sol";

/// @title Clearing
/// @notice Accepts an auction's result only if it is the welfare optimum at the canonical price, whoever sends it: the
/// price is a function of the bids alone, and nobody, this market's operator included, can move it by a tick.
/// @custom:halt Nobody can: there is no owner and no pause. An auction nobody clears in time is void.
contract Clearing is IClearing {
    uint256 internal constant TRADER_BYTES = 20;
    uint256 private constant HEAD_BYTES = 4;
    uint256 private constant ENTRY_BYTES = 84;

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
    /// @dev The bids are filled before the market has said that they are its own, in the one walk there is; what comes of
    /// others is thrown away when it refuses them. It is the community's own and calls nobody.
    function clear(uint256 auction, bytes calldata prices, bytes calldata marginals, bytes calldata bids) external {
        Book memory book = Equilibrium.open(prices, marginals, _zones, _slots, _minPrice, _maxPrice);
        (uint256 entries, uint256 end) = _fillAll(book, bids);
        Messages.send(address(market), IMarket.accept.selector, auction, keccak256(prices), entries, end);
        uint256 income = Equilibrium.close(book, registry.grid());
        // slither-disable-next-line reentrancy-events
        emit Cleared(auction, msg.sender, income, prices, marginals);
        vault.payNetwork(income);
    }

    /// @dev Fills every bundle. A zone beyond the grid is refused here and a slot beyond T has its room in the book, so
    /// that no bid that is not the market's own reaches any other memory. The entries grow at the end of memory,
    /// where nothing else is put before they are complete.
    /// @return entries Where in memory they start, `trader address | bid hash bytes32 | position hash bytes32` each
    /// @return entry Where they end
    function _fillAll(Book memory book, bytes calldata bids) private view returns (uint256 entries, uint256 entry) {
        uint256 fills = _allocatePosition();
        entries = Messages.open();
        entry = entries;
        uint256 cursor = StepsLib.start(bids);
        uint256 end = cursor + bids.length;
        while (cursor < end) {
            (address trader, uint256 zone, uint256 size) = _head(cursor);
            if (zone >= book.zones) revert E5_BidNotRecorded(trader);
            assembly ("memory-safe") {
                mstore(entry, shl(96, trader))
                // the bid's bytes lie for a moment where the next entries will
                calldatacopy(add(entry, 52), add(cursor, TRADER_BYTES), sub(size, TRADER_BYTES))
                mstore(add(entry, 20), keccak256(add(entry, 52), sub(size, TRADER_BYTES)))
            }
            bytes32 position = _position(book, fills, trader, zone, cursor, size);
            assembly ("memory-safe") {
                mstore(add(entry, 52), position)
                entry := add(entry, ENTRY_BYTES)
            }
            unchecked {
                cursor += size;
            }
        }
        if (cursor != end) revert MalformedBids(bids.length);
        Messages.close(entry);
    }

    /// @dev Where a bid in calldata begins: its trader, zone and whole size in bytes.
    function _head(uint256 cursor) internal pure returns (address trader, uint256 zone, uint256 size) {
        uint256 word;
        assembly ("memory-safe") {
            word := calldataload(cursor)
        }
        trader = address(uint160(word >> 96));
        zone = uint16(word >> 80);
        unchecked {
            size = TRADER_BYTES + HEAD_BYTES + uint16(word >> 64) * StepsLib.SIZE;
        }
    }

    /// @dev Fills one bundle and hashes the position that comes of it: `zone uint16 | cash int64 | fills int32[T]`.
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
        int256 cash;
        unchecked {
            cash = Equilibrium.fill(book, trader, zone, cursor + TRADER_BYTES + HEAD_BYTES, cursor + size, fills);
        }
        assembly ("memory-safe") {
            mstore(sub(fills, 32), or(shl(64, zone), and(cash, 0xffffffffffffffff)))
            hash := keccak256(sub(fills, 10), add(fillBytes, 10))
        }
    }

    /// @dev Room for the packed fills of as many slots as a step can name, a word before them for the rest of a position
    /// and a word after them, which a write to their last 4 bytes reaches into.
    function _allocatePosition() internal pure returns (uint256 fills) {
        bytes memory room = new bytes(4 * 256 + 64);
        assembly ("memory-safe") {
            fills := add(room, 64)
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
