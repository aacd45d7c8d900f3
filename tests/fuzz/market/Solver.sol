// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @notice A line from a zone to its parent, plainly.
struct Cable {
    uint256 parent;
    int256 fee;
    int256 exportLimit;
    int256 importLimit;
}

/// @notice One step of a bid with what is filled of it. `buy`, `size` and `filled` instead of signs.
struct Offer {
    uint256 bundle;
    uint256 zone;
    uint256 slot;
    bool buy;
    int256 price;
    int256 size;
    int256 filled;
}

/// @notice A small auction and what becomes of it: per zone the flow on its line, and its price.
struct Pool {
    Cable[] cables;
    Offer[] offers;
    int256 minPrice;
    int256 maxPrice;
    int256[] flow;
    int256[] price;
}

/// @title Solver
/// @notice Clears one slot of a small auction by cancelling negative cycles: as long as some unit can be had somewhere for
/// less than it is worth somewhere else, the way between them paid for, it is brought there. Slow and plain, and apart
/// from the chain's check and from both solvers in Python.
library Solver {
    int256 private constant NEVER = 1 << 100;

    /// @dev Moving one more unit from zone `source` to zone `sink`.
    struct Move {
        int256 gain;
        int256 room;
        uint256 from;
        uint256 to;
        uint256 source;
        uint256 sink;
    }

    // ---------------------------------------------------------------- allocation

    /// @notice Fills the offers of `slot` for the greatest welfare and finds the canonical prices.
    function solve(Pool memory pool, uint256 slot) internal pure {
        uint256 zones = pool.cables.length;
        pool.flow = new int256[](zones);
        while (true) {
            Move memory best = _bestMove(pool, slot);
            if (best.gain <= 0) break;
            _carry(pool, best);
        }
        _price(pool, slot);
        _deal(pool, slot);
    }

    function _bestMove(Pool memory pool, uint256 slot) private pure returns (Move memory best) {
        uint256 zones = pool.cables.length;
        uint256[] memory sources = new uint256[](zones);
        uint256[] memory sinks = new uint256[](zones);
        for (uint256 zone; zone < zones; ++zone) (sources[zone], sinks[zone]) = _ends(pool, slot, zone);
        for (uint256 from; from < zones; ++from) {
            for (uint256 to; to < zones; ++to) {
                if (sources[from] == 0 || sinks[to] == 0) continue;
                Move memory move = Move(0, NEVER, from, to, sources[from] - 1, sinks[to] - 1);
                _weigh(pool, move);
                if (move.room > 0 && move.gain > best.gain) best = move;
            }
        }
    }

    /// @dev The cheapest offer that can still give a unit and the dearest that can still take one, plus one; 0 = none.
    function _ends(Pool memory pool, uint256 slot, uint256 zone) private pure returns (uint256 source, uint256 sink) {
        for (uint256 i; i < pool.offers.length; ++i) {
            Offer memory o = pool.offers[i];
            if (o.zone != zone || o.slot != slot) continue;
            bool gives = o.buy ? o.filled > 0 : o.filled < o.size;
            bool takes = o.buy ? o.filled < o.size : o.filled > 0;
            if (gives && (source == 0 || o.price < pool.offers[source - 1].price)) source = i + 1;
            if (takes && (sink == 0 || o.price > pool.offers[sink - 1].price)) sink = i + 1;
        }
    }

    function _weigh(Pool memory pool, Move memory move) private pure {
        Offer memory source = pool.offers[move.source];
        Offer memory sink = pool.offers[move.sink];
        move.gain = sink.price - source.price;
        move.room = _least(
            source.buy ? source.filled : source.size - source.filled, sink.buy ? sink.size - sink.filled : sink.filled
        );
        (uint256 up, uint256 down) = (move.from, move.to);
        while (up != down) {
            bool climbs = up > down;
            (int256 cost, int256 room) = _oneMore(pool, climbs ? up : down, climbs);
            move.gain -= cost;
            move.room = _least(move.room, room);
            if (climbs) up = pool.cables[up].parent;
            else down = pool.cables[down].parent;
        }
    }

    /// @dev What one more unit over the line costs, and how many can go at this cost.
    function _oneMore(Pool memory pool, uint256 zone, bool exported) private pure returns (int256 cost, int256 room) {
        Cable memory cable = pool.cables[zone];
        int256 along = exported ? pool.flow[zone] : -pool.flow[zone];
        if (along < 0) return (-cable.fee, -along);
        return (cable.fee, (exported ? cable.exportLimit : cable.importLimit) - along);
    }

    function _carry(Pool memory pool, Move memory move) private pure {
        Offer memory source = pool.offers[move.source];
        Offer memory sink = pool.offers[move.sink];
        source.filled += source.buy ? -move.room : move.room;
        sink.filled += sink.buy ? move.room : -move.room;
        (uint256 up, uint256 down) = (move.from, move.to);
        while (up != down) {
            if (up > down) {
                pool.flow[up] += move.room;
                up = pool.cables[up].parent;
            } else {
                pool.flow[down] -= move.room;
                down = pool.cables[down].parent;
            }
        }
    }

    // ---------------------------------------------------------------- prices

    function _price(Pool memory pool, uint256 slot) private pure {
        uint256 zones = pool.cables.length;
        int256[] memory lowest = new int256[](zones);
        int256[] memory highest = new int256[](zones);
        for (uint256 zone; zone < zones; ++zone) (lowest[zone], highest[zone]) = _ownBounds(pool, slot, zone);
        for (uint256 zone = zones - 1; zone != 0; --zone) {
            (int256 least, int256 most) = _difference(pool, zone);
            uint256 parent = pool.cables[zone].parent;
            lowest[parent] = _most(lowest[parent], lowest[zone] + least);
            highest[parent] = _least(highest[parent], highest[zone] + most);
        }
        for (uint256 zone = 1; zone < zones; ++zone) {
            (int256 least, int256 most) = _difference(pool, zone);
            uint256 parent = pool.cables[zone].parent;
            lowest[zone] = _most(lowest[zone], lowest[parent] - most);
            highest[zone] = _least(highest[zone], highest[parent] - least);
        }
        pool.price = lowest;
        for (uint256 zone; zone < zones; ++zone) pool.price[zone] = (lowest[zone] + highest[zone]) >> 1;
    }

    function _ownBounds(Pool memory pool, uint256 slot, uint256 zone)
        private
        pure
        returns (int256 lowest, int256 highest)
    {
        (lowest, highest) = (pool.minPrice, pool.maxPrice);
        for (uint256 i; i < pool.offers.length; ++i) {
            Offer memory o = pool.offers[i];
            if (o.zone != zone || o.slot != slot) continue;
            bool raises = o.buy ? o.filled < o.size : o.filled > 0;
            bool lowers = o.buy ? o.filled > 0 : o.filled < o.size;
            if (raises) lowest = _most(lowest, o.price);
            if (lowers) highest = _least(highest, o.price);
        }
    }

    /// @dev Between what the parent's price less the zone's has to lie.
    function _difference(Pool memory pool, uint256 zone) private pure returns (int256 least, int256 most) {
        Cable memory cable = pool.cables[zone];
        int256 flow = pool.flow[zone];
        (least, most) = (-NEVER, NEVER);
        if (flow < cable.exportLimit) most = cable.fee;
        if (flow > -cable.importLimit) least = -cable.fee;
        if (flow > 0) least = cable.fee;
        if (flow < 0) most = -cable.fee;
    }

    // ---------------------------------------------------------------- shares

    /// @dev [S4, E7] Deals what each marginal side is filled, as much as both sides of a zone can have, pro rata.
    function _deal(Pool memory pool, uint256 slot) private pure {
        for (uint256 zone; zone < pool.cables.length; ++zone) {
            (int256 offered, int256 sold) = margin(pool, slot, zone, false);
            (int256 asked, int256 bought) = margin(pool, slot, zone, true);
            int256 more = _least(offered - sold, asked - bought);
            _share(pool, slot, zone, false, offered, sold + more);
            _share(pool, slot, zone, true, asked, bought + more);
        }
    }

    /// @notice What the steps of one side exactly at the price offer together, and what of it is filled.
    function margin(Pool memory pool, uint256 slot, uint256 zone, bool buy)
        internal
        pure
        returns (int256 size, int256 filled)
    {
        for (uint256 i; i < pool.offers.length; ++i) {
            Offer memory o = pool.offers[i];
            if (!_atMargin(pool, o, slot, zone, buy)) continue;
            size += o.size;
            filled += o.filled;
        }
    }

    function _share(Pool memory pool, uint256 slot, uint256 zone, bool buy, int256 size, int256 filled) private pure {
        int256 seen;
        for (uint256 i; i < pool.offers.length; ++i) {
            Offer memory o = pool.offers[i];
            if (!_atMargin(pool, o, slot, zone, buy)) continue;
            int256 before = seen * filled / size;
            seen += o.size;
            o.filled = seen * filled / size - before;
        }
    }

    function _atMargin(Pool memory pool, Offer memory o, uint256 slot, uint256 zone, bool buy)
        private
        pure
        returns (bool)
    {
        return o.slot == slot && o.zone == zone && o.buy == buy && o.price == pool.price[zone];
    }

    function _least(int256 x, int256 y) private pure returns (int256) {
        return x < y ? x : y;
    }

    function _most(int256 x, int256 y) private pure returns (int256) {
        return x > y ? x : y;
    }
}
