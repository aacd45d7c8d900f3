// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IEquilibriumErrors as Errors} from "../interfaces/IEquilibriumErrors.sol";
import {Line} from "./Lines.sol";
import {Step, StepsLib} from "./Steps.sol";

/// @notice The steps of one side that sit exactly at the price of one zone and slot, taken together.
/// @param cell Where the zone and slot's cell lies in memory
/// @param quantity What they offer, as named by the solver, Wh
/// @param filled What of it is filled, as named by the solver, Wh
/// @param seen What the walk over the bids has come across so far, Wh
struct Marginal {
    uint256 zone;
    uint256 slot;
    bool buy;
    uint256 cell;
    uint256 quantity;
    uint256 filled;
    uint256 seen;
}

/// @notice Working memory of one check.
/// @param slots Delivery slots of the auction (T)
/// @param zones Zones of the grid (Z)
/// @param cells Address in memory of Z x T cells, zone-major, a word each
/// @param marginals Marginal volumes in the order they were named
/// @param unnamed The first step found at the price where none is named: `1 | trader 160 | index 31 | buy 1`; 0 = none
struct Book {
    uint256 slots;
    uint256 zones;
    uint256 cells;
    Marginal[] marginals;
    uint256 unnamed;
}

/// @notice A zone and its line as one slot after the other is checked.
/// @param parent The zone it hangs on
/// @param cell Address in memory of the next slot's cell
/// @param flow Net injection of everything below, towards the parent, Wh
/// @param price Ticks, as `lowest` and `highest`, the bounds it has to lie between
/// @param least Lowest and `most` highest price difference that the line's flow allows, ticks
struct Node {
    uint256 parent;
    int256 fee;
    int256 exportLimit;
    int256 importLimit;
    uint256 cell;
    int256 flow;
    int256 price;
    int256 lowest;
    int256 highest;
    int256 least;
    int256 most;
}

/// @title Is this the welfare optimum at the canonical price?
/// @notice The rules E1 to E7 of docs/protocol.md in three calls: `open` takes the solver's prices and marginal
/// volumes, `fill` walks each bundle once and derives its fills, `close` checks lines, balance, price and volume.
/// Between two bundles the book can be put away with `save` and taken up again with `load`. Whatever passes all is an
/// optimum of the auction's welfare, at prices that depend on the bids alone.
/// @dev A cell keeps all there is to know of a zone and slot in one word, so that a step costs one load and one
/// store: `lo 24 | hi 24 | net injection 128 | sell marginal 28 | buy marginal 28 | price 24`. The injection carries
/// 2^127 on top, so that it is never below 0. A marginal is named by its position plus one; 0 is none.
/// Every sum fits: a quantity has 32 bits, a price 24, and an auction, cleared in one transaction or in many, holds
/// at most 2^16 bundles of 2^16 steps.
library Equilibrium {
    uint256 private constant WORD = 32;
    uint256 private constant PRICE_BYTES = 3;
    uint256 private constant MARGINAL_BYTES = 16;

    uint256 private constant PRICE_MASK = 0xffffff;
    uint256 private constant BUY_SHIFT = 24;
    uint256 private constant SELL_SHIFT = 52;
    uint256 private constant INDEX_MASK = 0xfffffff;
    uint256 private constant NET_SHIFT = 80;
    uint256 private constant HI_SHIFT = 208;
    uint256 private constant LO_SHIFT = 232;

    uint256 private constant UNNAMED = 1 << 192;

    /// @dev A net injection of 0; as it is never below 0 there, adding to it touches nothing else.
    uint256 private constant NET_ZERO = 1 << 207;
    uint256 private constant NET_ABOVE = 48;

    /// @dev Room behind the last zone's cells for whatever slot a step names, 0 to 255.
    uint256 private constant STRAY_CELLS = 256;

    /// @dev Beyond every price difference there is: stands for "no bound".
    int256 private constant NO_BOUND = 1 << 64;

    // ---------------------------------------------------------------- open

    /// @notice Lays out the cells and reads the solver's claim.
    /// @param prices 3 bytes per zone and slot, zone-major, int24 big-endian
    /// @param marginals 16 bytes each: `zone uint16 | slot uint8 | buy uint8 | quantity uint48 | filled uint48`
    /// @param minPrice Lowest price of the market, ticks
    /// @param maxPrice Highest price of the market, ticks
    function open(
        bytes calldata prices,
        bytes calldata marginals,
        uint256 zones,
        uint256 slots,
        int256 minPrice,
        int256 maxPrice
    ) internal pure returns (Book memory book) {
        uint256 count = zones * slots;
        if (prices.length != count * PRICE_BYTES) {
            revert Errors.MalformedPrices(prices.length, count * PRICE_BYTES);
        }
        book.zones = zones;
        book.slots = slots;
        book.cells = _allocate(count + STRAY_CELLS);
        unchecked {
            uint256 empty = _put(_put(NET_ZERO, LO_SHIFT, minPrice), HI_SHIFT, maxPrice);
            uint256 cell = book.cells;
            uint256 source = StepsLib.start(prices);
            for (uint256 end = cell + count * WORD; cell != end; cell += WORD) {
                _store(cell, empty | _word24(source));
                source += PRICE_BYTES;
            }
        }
        _name(book, marginals);
    }

    /// @dev Reads the marginal volumes and links each from its cell.
    function _name(Book memory book, bytes calldata marginals) private pure {
        if (marginals.length % MARGINAL_BYTES != 0) revert Errors.MalformedMarginals(marginals.length);
        uint256 count = marginals.length / MARGINAL_BYTES;
        book.marginals = new Marginal[](count);
        uint256 previous;
        for (uint256 i; i < count; ++i) {
            uint256 word = uint128(bytes16(marginals[i * MARGINAL_BYTES:]));
            Marginal memory marginal = book.marginals[i];
            marginal.zone = word >> 112;
            marginal.slot = uint8(word >> 104);
            marginal.buy = uint8(word >> 96) != 0;
            marginal.quantity = uint48(word >> 48);
            marginal.filled = uint48(word);
            // zone, slot and side in one number; plus one, so that the first may be all zero
            uint256 place = (word >> 96) + 1;
            bool known = marginal.zone < book.zones && marginal.slot < book.slots && uint8(word >> 96) < 2;
            if (!known || place <= previous || marginal.quantity == 0) revert Errors.S4_MarginalsNotAscending(i);
            previous = place;
            if (marginal.filled > marginal.quantity) _refuseBeyondOffer(marginal);
            marginal.cell = book.cells + (marginal.zone * book.slots + marginal.slot) * WORD;
            _store(marginal.cell, _load(marginal.cell) | (i + 1) << (marginal.buy ? BUY_SHIFT : SELL_SHIFT));
        }
    }

    function _refuseBeyondOffer(Marginal memory marginal) private pure {
        if (marginal.buy) {
            revert Errors.E2_BoughtBeyondOffer(marginal.zone, marginal.slot, marginal.quantity, marginal.filled);
        }
        revert Errors.E1_SoldBeyondOffer(marginal.zone, marginal.slot, marginal.quantity, marginal.filled);
    }

    // ---------------------------------------------------------------- fill

    /// @notice Derives one bundle's fills, [E1] and [E2], and enters them in the book.
    /// @dev Whatever the side, a limit below the price raises `lo` and one above it lowers `hi`: a sell below the
    /// price is filled, so the price can't fall under it; a buy below is not, so the price can't either.
    /// @param zone Where the trader is connected; known to be in the grid
    /// @param cursor Where the packed steps start in calldata; a slot beyond T, which is in no auction's bid, reaches
    /// nothing but the book and what `positions` has room for
    /// @param end Where they end
    /// @param positions Address in memory of T packed int32, to which the fills are added
    /// @return cash What the trader is paid for its fills, money units; negative = pays
    function fill(Book memory book, address trader, uint256 zone, uint256 cursor, uint256 end, uint256 positions)
        internal
        pure
        returns (int256 cash)
    {
        unchecked {
            uint256 row = book.cells + zone * book.slots * WORD;
            uint256 first = cursor;
            while (true) {
                (cursor, cash) = _fillUntilMarginal(row, cursor, end, positions, cash);
                if (cursor == end) return cash;
                Step step = StepsLib.at(cursor);
                uint256 slot = step.slot();
                uint256 cell = _load(row + slot * WORD);
                int256 filled = _share(book, trader, (cursor - first) / StepsLib.SIZE, cell, step.quantity());
                cash += filled * _priceOf(cell);
                _store(row + slot * WORD, cell + (uint256(filled) << NET_SHIFT));
                _addPosition(positions + slot * 4, filled);
                cursor += StepsLib.SIZE;
            }
        }
    }

    /// @dev The steps before the next one that sits exactly at the price. In assembly, since it runs for every step of
    /// every bid; it writes to the zone's cells and to `positions` alone.
    /// @param row Where the zone's cells start
    /// @return at Where that step is in calldata, or `end`
    /// @return cash The bundle's by then
    function _fillUntilMarginal(uint256 row, uint256 cursor, uint256 end, uint256 positions, int256 before)
        private
        pure
        returns (uint256 at, int256 cash)
    {
        (at, cash) = (cursor, before);
        assembly ("memory-safe") {
            for {} lt(at, end) { at := add(at, 8) } {
                let step := calldataload(at)
                let slot := byte(0, step)
                let place := add(row, shl(5, slot))
                let cell := mload(place)
                let limit := sar(232, shl(8, step))
                let quantity := sar(224, shl(32, step))
                // most limits are beyond those that came nearest to the price so far, and need no look at it
                let below := slt(limit, sar(LO_SHIFT, cell))
                if iszero(below) {
                    if iszero(sgt(limit, signextend(2, shr(HI_SHIFT, cell)))) {
                        let price := signextend(2, cell)
                        if eq(limit, price) { break }
                        below := slt(limit, price)
                        let shift := HI_SHIFT
                        if below { shift := LO_SHIFT }
                        cell := xor(cell, shl(shift, and(xor(shr(shift, cell), limit), PRICE_MASK)))
                        mstore(place, cell)
                    }
                }
                // [E1] a sell below the price, [E2] a buy above it
                if xor(below, slt(quantity, 0)) {
                    cash := add(cash, mul(quantity, signextend(2, cell)))
                    mstore(place, add(cell, shl(NET_SHIFT, quantity)))
                    let position := add(positions, shl(2, slot))
                    mstore(position, add(mload(position), shl(224, quantity)))
                }
            }
        }
    }

    /// @dev [S4] What a marginal step gets: the running sum's share so far, less what it was before this step.
    function _share(Book memory book, address trader, uint256 index, uint256 cell, int256 quantity)
        private
        pure
        returns (int256)
    {
        unchecked {
            bool buy = quantity < 0;
            uint256 position = (cell >> (buy ? BUY_SHIFT : SELL_SHIFT)) & INDEX_MASK;
            if (position == 0) {
                if (book.unnamed == 0) book.unnamed = UNNAMED | uint256(uint160(trader)) << 32 | index << 1 | (buy ? 1 : 0);
                return 0;
            }
            Marginal memory marginal = book.marginals[position - 1];
            uint256 before = marginal.seen;
            uint256 seen = before + uint256(buy ? -quantity : quantity);
            marginal.seen = seen;
            int256 share = int256(
                seen * marginal.filled / marginal.quantity - before * marginal.filled / marginal.quantity
            );
            return buy ? -share : share;
        }
    }

    /// @notice Reverts with the first step that sits at the price where no marginal volume is named. Not part of `fill`, so
    /// that a caller can ask first whether the bids are the auction's at all.
    function requireNamed(Book memory book) internal pure {
        uint256 unnamed = book.unnamed;
        if (unnamed == 0) return;
        (address trader, uint256 index) = (address(uint160(unnamed >> 32)), uint32(unnamed) >> 1);
        if (unnamed & 1 == 1) revert Errors.E2_BuyStepNotNamed(trader, index);
        revert Errors.E1_SellStepNotNamed(trader, index);
    }

    // ---------------------------------------------------------------- close

    /// @notice Checks E1 and E2 where steps are at the margin, S4, then E4, E3 and E6 in every slot, then E7.
    /// @param lines One per zone; the first is not used
    /// @return income What the network earns, fees and congestion rent, money units; never negative
    function close(Book memory book, Line[] memory lines) internal pure returns (uint256 income) {
        requireNamed(book);
        _settleMargins(book);
        Node[] memory tree = _plant(book, lines);
        for (uint256 slot; slot < book.slots; ++slot) {
            _gather(tree, slot);
            income += _checkLines(tree, slot);
            _checkPrices(tree, slot);
        }
        _checkVolume(book);
    }

    /// @dev One node per zone, looking at the cell of the first slot.
    function _plant(Book memory book, Line[] memory lines) private pure returns (Node[] memory tree) {
        tree = new Node[](book.zones);
        for (uint256 zone; zone < tree.length; ++zone) {
            Line line = lines[zone];
            Node memory node = tree[zone];
            node.parent = line.parent();
            node.fee = line.fee();
            node.exportLimit = line.exportLimit();
            node.importLimit = line.importLimit();
            node.cell = book.cells + zone * book.slots * WORD;
        }
    }

    /// @dev [S4] All marginal quantity was found; and what being at the margin says of the price.
    function _settleMargins(Book memory book) private pure {
        uint256 count = book.marginals.length;
        for (uint256 i; i < count; ++i) {
            Marginal memory m = book.marginals[i];
            if (m.seen != m.quantity) {
                revert Errors.S4_MarginalQuantity(m.zone, m.slot, m.buy, m.quantity, m.seen);
            }
            uint256 cell = _load(m.cell);
            int256 price = _priceOf(cell);
            // traded: the price can't move to the worse for them; untraded remains: nor to the better
            if (m.filled != 0) cell = _put(cell, m.buy ? HI_SHIFT : LO_SHIFT, price);
            if (m.filled != m.quantity) cell = _put(cell, m.buy ? LO_SHIFT : HI_SHIFT, price);
            _store(m.cell, cell);
        }
    }

    /// @dev [E4] Reads every zone's cell and moves on to the next slot's. What all zones inject together must be 0.
    function _gather(Node[] memory tree, uint256 slot) private pure {
        int256 surplus;
        unchecked {
            uint256 zones = tree.length;
            for (uint256 zone; zone != zones; ++zone) {
                Node memory node = tree[zone];
                uint256 cell = _load(node.cell);
                node.cell += WORD;
                node.price = _priceOf(cell);
                node.lowest = _priceOf(cell >> LO_SHIFT);
                node.highest = _priceOf(cell >> HI_SHIFT);
                node.flow = int256((cell - NET_ZERO) << NET_ABOVE) >> NET_SHIFT + NET_ABOVE;
                surplus += node.flow;
            }
        }
        if (surplus != 0) revert Errors.E4_OutOfBalance(slot, surplus);
    }

    /// @dev [E3] And the first half of [E6]: the bounds of each zone's price, tightened from the leaves upwards.
    function _checkLines(Node[] memory tree, uint256 slot) private pure returns (uint256 income) {
        unchecked {
            for (uint256 zone = tree.length - 1; zone != 0; --zone) {
                Node memory node = tree[zone];
                Node memory parent = tree[node.parent];
                int256 flow = node.flow;
                parent.flow += flow;
                if (flow > node.exportLimit || flow < -node.importLimit) {
                    revert Errors.E3_FlowBeyondLimit(zone, slot, flow);
                }
                (int256 least, int256 most) = _differenceBounds(node);
                int256 difference = parent.price - node.price;
                if (difference < least || difference > most) {
                    revert Errors.E3_PriceDifference(zone, slot, difference, least, most);
                }
                income += uint256(flow * difference);
                node.least = least;
                node.most = most;
                if (node.lowest + least > parent.lowest) parent.lowest = node.lowest + least;
                if (node.highest + most < parent.highest) parent.highest = node.highest + most;
            }
        }
    }

    /// @dev [E6] The bounds tightened from the root downwards; the price must be their rounded midpoint.
    function _checkPrices(Node[] memory tree, uint256 slot) private pure {
        unchecked {
            uint256 zones = tree.length;
            for (uint256 zone; zone != zones; ++zone) {
                Node memory node = tree[zone];
                if (zone != 0) {
                    Node memory parent = tree[node.parent];
                    if (parent.lowest - node.most > node.lowest) node.lowest = parent.lowest - node.most;
                    if (parent.highest - node.least < node.highest) node.highest = parent.highest - node.least;
                }
                // the shift rounds down
                int256 canonical = (node.lowest + node.highest) >> 1;
                if (node.price != canonical) {
                    revert Errors.E6_PriceNotCanonical(zone, slot, node.price, canonical);
                }
            }
        }
    }

    /// @dev [E7] Where both sides are at the margin, they stand next to each other in the list.
    function _checkVolume(Book memory book) private pure {
        uint256 count = book.marginals.length;
        for (uint256 i = 1; i < count; ++i) {
            Marginal memory sell = book.marginals[i - 1];
            Marginal memory buy = book.marginals[i];
            if (sell.cell == buy.cell && sell.filled != sell.quantity && buy.filled != buy.quantity) {
                revert Errors.E7_TradeWithheld(
                    sell.zone, sell.slot, sell.quantity - sell.filled, buy.quantity - buy.filled
                );
            }
        }
    }

    /// @dev What [E3] allows `price of parent - price of zone` to be, given the flow towards the parent.
    function _differenceBounds(Node memory node) private pure returns (int256 least, int256 most) {
        unchecked {
            int256 flow = node.flow;
            least = flow > 0 ? node.fee : flow > -node.importLimit ? -node.fee : -NO_BOUND;
            most = flow < 0 ? -node.fee : flow < node.exportLimit ? node.fee : NO_BOUND;
        }
    }

    // ---------------------------------------------------------------- save, load

    /// @notice The book in words, for a walk over the bids that goes on in another transaction.
    /// @param head Words left free in front of it, for what the caller has to remember
    /// @return state `head | cells | marginals`; a marginal is its 16 bytes as named, below what was `seen` of it
    function save(Book memory book, uint256 head) internal pure returns (bytes memory state) {
        uint256 cells = book.zones * book.slots;
        uint256 count = book.marginals.length;
        state = new bytes((head + cells + count) * WORD);
        unchecked {
            uint256 target;
            assembly ("memory-safe") {
                target := add(add(state, 32), shl(5, head))
            }
            uint256 source = book.cells;
            for (uint256 end = source + cells * WORD; source != end; source += WORD) {
                _store(target, _load(source));
                target += WORD;
            }
            for (uint256 i; i != count; ++i) {
                Marginal memory m = book.marginals[i];
                uint256 place = m.zone << 16 | m.slot << 8 | (m.buy ? 1 : 0);
                _store(target, m.seen << 128 | place << 96 | m.quantity << 48 | m.filled);
                target += WORD;
            }
        }
    }

    /// @notice The book again. Nothing in it is checked: the caller knows the words for those that `save` returned.
    /// @param words As `save` returned them, without the head
    function load(bytes calldata words, uint256 zones, uint256 slots) internal pure returns (Book memory book) {
        uint256 count = zones * slots;
        book.zones = zones;
        book.slots = slots;
        uint256 cells = _allocate(count);
        book.cells = cells;
        uint256 source = StepsLib.start(words);
        assembly ("memory-safe") {
            calldatacopy(cells, source, shl(5, count))
        }
        source += count * WORD;
        count = words.length / WORD - count;
        book.marginals = new Marginal[](count);
        unchecked {
            for (uint256 i; i != count; ++i) {
                uint256 word;
                assembly ("memory-safe") {
                    word := calldataload(add(source, shl(5, i)))
                }
                Marginal memory m = book.marginals[i];
                m.zone = uint16(word >> 112);
                m.slot = uint8(word >> 104);
                m.buy = uint8(word >> 96) == 1;
                m.cell = cells + (m.zone * slots + m.slot) * WORD;
                m.quantity = uint48(word >> 48);
                m.filled = uint48(word);
                m.seen = word >> 128;
            }
        }
    }

    // ---------------------------------------------------------------- memory

    /// @dev Words of memory that nothing else uses, not cleared.
    function _allocate(uint256 words) private pure returns (uint256 at) {
        assembly ("memory-safe") {
            at := mload(0x40)
            mstore(0x40, add(at, shl(5, words)))
        }
    }

    function _load(uint256 at) private pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := mload(at)
        }
    }

    function _store(uint256 at, uint256 word) private pure {
        assembly ("memory-safe") {
            mstore(at, word)
        }
    }

    /// @dev Adds to the int32 in the top 4 bytes at `at`; it must not overflow. The bytes behind it keep their value.
    function _addPosition(uint256 at, int256 quantity) private pure {
        assembly ("memory-safe") {
            mstore(at, add(mload(at), shl(224, quantity)))
        }
    }

    /// @dev The 3 bytes at `offset` in calldata.
    function _word24(uint256 offset) private pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := shr(232, calldataload(offset))
        }
    }

    /// @dev The cell with another price at `shift`.
    function _put(uint256 cell, uint256 shift, int256 price) private pure returns (uint256) {
        return cell & ~(PRICE_MASK << shift) | (uint256(price) & PRICE_MASK) << shift;
    }

    /// @dev The price in the lowest bits.
    function _priceOf(uint256 cell) private pure returns (int256) {
        return int24(uint24(cell));
    }
}
