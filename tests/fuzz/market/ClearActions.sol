// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IChunkedClearing} from "../../../contracts/interfaces/IChunkedClearing.sol";
import {IClearing} from "../../../contracts/interfaces/IClearing.sol";
import {Stage} from "../../../contracts/libraries/Records.sol";
import {vm} from "../Vm.sol";
import {Offer, Pool, Solver} from "./Solver.sol";
import {World} from "./World.sol";

/// @notice Clearing, honest and not, in one transaction and in chunks. `Solver` says what is honest.
abstract contract ClearActions is World {
    /// @dev A result in the form it travels, and what the positions come to.
    struct Solution {
        address[] traders;
        bytes[] bids;
        Pool pool;
        bytes prices;
        bytes marginals;
        int256[] cash;
        int256[4][] fills;
        int256 contractCash;
    }

    // ---------------------------------------------------------------- the honest result

    function _solve(uint256 auction) internal view returns (Solution memory s) {
        _collect(auction, s);
        s.pool.cables = cables();
        s.pool.minPrice = MIN_PRICE;
        s.pool.maxPrice = MAX_PRICE;
        s.cash = new int256[](s.traders.length);
        s.fills = new int256[4][](s.traders.length);
        int256[4][] memory prices = new int256[4][](ZONES);
        bytes[] memory rows = new bytes[](ZONES);
        for (uint256 slot; slot < SLOTS; ++slot) {
            Solver.solve(s.pool, slot);
            for (uint256 zone; zone < ZONES; ++zone) {
                prices[zone][slot] = s.pool.price[zone];
                rows[zone] = bytes.concat(rows[zone], _marginals(s.pool, slot, zone));
            }
            _book(s, slot);
        }
        for (uint256 zone; zone < ZONES; ++zone) {
            s.marginals = bytes.concat(s.marginals, rows[zone]);
            for (uint256 slot; slot < SLOTS; ++slot) {
                s.prices = abi.encodePacked(s.prices, int24(prices[zone][slot]));
            }
        }
    }

    /// @dev The auction's live bids as they travel, and their steps as the solver takes them.
    function _collect(uint256 auction, Solution memory s) private view {
        uint256 count;
        for (uint256 i; i < members.length; ++i) if (parts[auction][members[i]].taken) ++count;
        s.traders = new address[](count);
        s.bids = new bytes[](count);
        Offer[] memory offers = new Offer[](count * (MAX_STEPS + 1));
        uint256 found;
        count = 0;
        for (uint256 i; i < members.length; ++i) {
            Part memory part = parts[auction][members[i]];
            if (!part.taken) continue;
            s.traders[count] = members[i];
            s.bids[count] = abi.encodePacked(members[i], part.zone, uint16(part.steps.length / 8), part.steps);
            for (uint256 at; at < part.steps.length; at += 8) {
                offers[found++] = _offer(part.steps, at, count, part.zone);
            }
            ++count;
        }
        assembly ("memory-safe") {
            mstore(offers, found)
        }
        s.pool.offers = offers;
    }

    function _offer(bytes memory steps, uint256 at, uint256 bundle, uint256 zone)
        private
        pure
        returns (Offer memory o)
    {
        uint256 step;
        assembly ("memory-safe") {
            step := shr(192, mload(add(add(steps, 32), at)))
        }
        int256 quantity = int32(uint32(step));
        int256 size = quantity < 0 ? -quantity : quantity;
        return Offer(bundle, zone, step >> 56, quantity < 0, int24(uint24(step >> 32)), size, 0);
    }

    function _marginals(Pool memory pool, uint256 slot, uint256 zone) private pure returns (bytes memory named) {
        for (uint256 side; side < 2; ++side) {
            (int256 size, int256 filled) = Solver.margin(pool, slot, zone, side == 1);
            if (size == 0) continue;
            bytes memory place = abi.encodePacked(uint16(zone), uint8(slot), uint8(side));
            named = abi.encodePacked(named, place, uint48(uint256(size)), uint48(uint256(filled)));
        }
    }

    function _book(Solution memory s, uint256 slot) private pure {
        for (uint256 i; i < s.pool.offers.length; ++i) {
            Offer memory o = s.pool.offers[i];
            if (o.slot != slot) continue;
            int256 fill = o.buy ? -o.filled : o.filled;
            int256 cash = fill * s.pool.price[o.zone];
            s.fills[o.bundle][slot] += fill;
            s.cash[o.bundle] += cash;
            s.contractCash += cash;
        }
    }

    function _remember(uint256 auction, Solution memory s, uint256 incomeBefore) private {
        Past storage past = pasts[auction];
        past.cleared = true;
        past.live = s.traders.length;
        past.prices = s.prices;
        past.contractCash = s.contractCash;
        past.income = vault.accountOf(NETWORK).balance - incomeBefore;
        require(s.contractCash + int256(past.income) == 0, "I8: contracts and network do not add up to 0");
        for (uint256 i; i < s.traders.length; ++i) {
            Part storage part = parts[auction][s.traders[i]];
            part.cash = s.cash[i];
            part.fills = s.fills[i];
        }
    }

    function _noteAll(uint256 auction) internal {
        for (uint256 i; i < members.length; ++i) if (parts[auction][members[i]].taken) _note(auction, members[i]);
    }

    // ---------------------------------------------------------------- in one transaction

    function clear(uint256 which) external now_ {
        uint256 auction = _closedAuction(which);
        Solution memory s = _solve(auction);
        uint256 income = vault.accountOf(NETWORK).balance;
        bool allowed = _isClearingTime(auction) && !pasts[auction].cleared;
        bytes memory bids;
        for (uint256 i; i < s.bids.length; ++i) bids = bytes.concat(bids, s.bids[i]);
        bytes memory data = abi.encodeCall(IClearing.clear, (auction, s.prices, s.marginals, bids));
        if (!_attempt(allowed, STRANGER, address(clearing), data)) return;
        _remember(auction, s, income);
        _noteAll(auction);
    }

    /// @notice Whatever is changed about an honest result, it is refused: one bit of a price [I10], of a volume, of a bid;
    /// somebody left out, everybody twice.
    function clearFalsified(uint256 which, uint256 way, uint256 place) external now_ {
        uint256 auction = _closedAuction(which);
        Solution memory s = _solve(auction);
        bytes memory bids;
        for (uint256 i; i < s.bids.length; ++i) bids = bytes.concat(bids, s.bids[i]);
        way %= 5;
        if (way == 0) _flip(s.prices, place);
        else if (way == 1) _flip(s.marginals, place);
        else if (way == 2) _flip(bids, place);
        else if (way == 3) bids = _without(s.bids, place);
        else bids = bytes.concat(bids, bids);
        if ((way == 1 && s.marginals.length == 0) || (way > 1 && s.bids.length == 0)) return;
        bytes memory data = abi.encodeCall(IClearing.clear, (auction, s.prices, s.marginals, bids));
        _attempt(false, STRANGER, address(clearing), data);
    }

    /// @dev Flips one bit.
    function _flip(bytes memory data, uint256 place) private pure {
        if (data.length == 0) return;
        uint256 at = place / 8 % data.length;
        data[at] = bytes1(uint8(data[at]) ^ uint8(1 << place % 8));
    }

    function _without(bytes[] memory bids, uint256 place) private pure returns (bytes memory rest) {
        if (bids.length == 0) return rest;
        for (uint256 i; i < bids.length; ++i) if (i != place % bids.length) rest = bytes.concat(rest, bids[i]);
    }

    // ---------------------------------------------------------------- in chunks

    /// @notice `begin`, a `fill` for every one or two bundles, `close`; another's session in between disturbs nothing.
    function clearInChunks(uint256 which, uint256 size) external now_ {
        uint256 auction = _closedAuction(which);
        Solution memory s = _solve(auction);
        bytes memory data = abi.encodeCall(IChunkedClearing.begin, (auction, s.prices, s.marginals));
        bool allowed = _isClearingTime(auction) && !pasts[auction].cleared;
        if (!allowed) {
            _attempt(false, STRANGER, address(clearing), data);
            return;
        }
        bytes memory state = _session(STRANGER, data);
        _session(OWNER, data);
        delete pasts[auction].chunks;
        delete pasts[auction].entries;
        for (uint256 i; i < s.bids.length; i += size % 2 + 1) {
            bytes memory bids = s.bids[i];
            if (size % 2 == 1 && i + 1 < s.bids.length) bids = bytes.concat(bids, s.bids[i + 1]);
            _addChunk(auction, s, i, size % 2 + 1);
            state = _session(STRANGER, abi.encodeCall(IChunkedClearing.fill, (auction, state, bids)));
        }
        _closeChunks(auction, s, state, size / 2);
    }

    function _session(address solver, bytes memory data) private returns (bytes memory state) {
        vm.prank(solver);
        (bool done, bytes memory answer) = address(clearing).call(data);
        if (!done) revert Surprise(true, data, answer);
        ++passed[bytes4(data)];
        return abi.decode(answer, (bytes));
    }

    /// @dev The entries that the chunk of `count` bundles from `first` on comes to.
    function _addChunk(uint256 auction, Solution memory s, uint256 first, uint256 count) private {
        bytes memory entries;
        for (uint256 i = first; i < first + count && i < s.traders.length; ++i) {
            uint16 zone = parts[auction][s.traders[i]].zone;
            bytes32 position = keccak256(_position(zone, s.cash[i], s.fills[i]));
            entries = abi.encodePacked(entries, s.traders[i], position);
        }
        pasts[auction].chunks.push(keccak256(entries));
        pasts[auction].entries.push(entries);
    }

    /// @dev Every eighth solver does not finish; every eighth tries to finish without what it last added.
    function _closeChunks(uint256 auction, Solution memory s, bytes memory state, uint256 way) private {
        if (way % 8 == 0) {
            _forgetChunks(auction);
            return;
        }
        bytes32[] memory chunks = pasts[auction].chunks;
        if (way % 8 == 1) s.prices[0] ^= 0x01;
        uint256 income = vault.accountOf(NETWORK).balance;
        bytes memory data =
            abi.encodeCall(IChunkedClearing.close, (auction, state, s.prices, s.marginals, chunks));
        if (_attempt(way % 8 != 1, STRANGER, address(clearing), data)) _remember(auction, s, income);
        else _forgetChunks(auction);
    }

    function _forgetChunks(uint256 auction) private {
        delete pasts[auction].chunks;
        delete pasts[auction].entries;
    }

    function _position(uint16 zone, int256 cash, int256[4] memory fills) internal pure returns (bytes memory) {
        return abi.encodePacked(
            zone, int64(cash), int32(fills[0]), int32(fills[1]), int32(fills[2]), int32(fills[3])
        );
    }

    /// @notice Anyone enters a chunk's positions, in any order and again; entries of one's own making are refused.
    function enter(uint256 which, uint256 chunk) external now_ {
        uint256 auction = _pastAuction(which);
        Past storage past = pasts[auction];
        if (past.chunks.length == 0) return;
        chunk %= past.chunks.length;
        bytes memory entries = past.entries[chunk];
        bool honest = which / 8 % 4 != 0;
        if (!honest) entries[which % entries.length] ^= 0x01;
        bytes memory data = abi.encodeCall(IChunkedClearing.enter, (auction, past.chunks, chunk, entries));
        // its members' records may be at a later auction by now: then it changes nothing, which `seen` checks
        if (!_attempt(honest, STRANGER, address(clearing), data)) return;
        for (uint256 i; i < members.length; ++i) {
            if (_names(entries, members[i]) && _record(auction, members[i]).at(Stage.Position, auction / RING)) {
                _note(auction, members[i]);
            }
        }
    }

    function _names(bytes memory entries, address member) private pure returns (bool found) {
        for (uint256 at; at < entries.length; at += 52) {
            address trader;
            assembly ("memory-safe") {
                trader := shr(96, mload(add(add(entries, 32), at)))
            }
            if (trader == member) return true;
        }
    }

}
