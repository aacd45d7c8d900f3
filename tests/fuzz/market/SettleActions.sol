// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IEnergyToken} from "../../../contracts/interfaces/IEnergyToken.sol";
import {Entitlement, Evidence, ISettlement} from "../../../contracts/interfaces/ISettlement.sol";
import {Stage} from "../../../contracts/libraries/Records.sol";
import {QuorumActions} from "./QuorumActions.sol";

interface IERC1155Part {
    function balanceOf(address account, uint256 id) external view returns (uint256);
    function safeTransferFrom(address from, address to, uint256 id, uint256 value, bytes calldata data) external;
}

/// @notice Settling on meters', the quorum's and nobody's word; energy tokens.
abstract contract SettleActions is QuorumActions {
    bytes32 private constant STATEMENT_TYPEHASH =
        keccak256("MeterStatement(uint256 auction,address member,int32[] readings)");

    /// @notice How often a member owed more than it had.
    uint256 public debtsSeen;

    /// @dev One member's delivery as it is about to be settled.
    struct Delivery {
        address member;
        Evidence evidence;
        int256[4] readings;
        bytes packed;
        bool valid;
    }

    // ---------------------------------------------------------------- settling

    /// @notice Settles some members of an auction on whatever evidence fits each; one bad delivery makes the call fail.
    function settle(uint256 which, uint256 whom, uint256 seed) external now_ {
        uint256 auction = _pastAuction(which);
        bytes memory prices = _pricesInForce(auction);
        bool allowed = clock >= _deliveryEnd(auction) && prices.length != 0;
        if (prices.length == 0) prices = pasts[auction].prices;
        Delivery[] memory deliveries = _deliveries(auction, whom, seed);
        bytes memory packed;
        for (uint256 i; i < deliveries.length; ++i) {
            if (!deliveries[i].valid) allowed = false;
            packed = bytes.concat(packed, deliveries[i].packed);
        }
        bytes memory data = abi.encodeCall(ISettlement.settle, (auction, prices, packed));
        if (!_attempt(allowed, STRANGER, address(settlement), data)) return;
        for (uint256 i; i < deliveries.length; ++i) _book(auction, deliveries[i]);
    }

    function _deliveries(uint256 auction, uint256 whom, uint256 seed) private view returns (Delivery[] memory list) {
        list = new Delivery[](members.length);
        uint256 count;
        for (uint256 i; i < members.length; ++i) {
            seed = uint256(keccak256(abi.encode(seed)));
            if (!parts[auction][members[i]].taken || (whom % 2 == 0 && whom >> i & 2 == 0)) continue;
            // settled already, or not entered yet: once in a while somebody tries all the same
            if (!_isOpenPosition(auction, members[i]) && seed % 64 != 0) continue;
            list[count++] = _delivery(auction, members[i], seed / 8);
        }
        assembly ("memory-safe") {
            mstore(list, count)
        }
    }

    function _isOpenPosition(uint256 auction, address member) internal view returns (bool) {
        return _record(auction, member).at(Stage.Position, auction / RING);
    }

    function _delivery(uint256 auction, address member, uint256 seed) private view returns (Delivery memory d) {
        Part storage part = parts[auction][member];
        d.member = member;
        d.valid = _isOpenPosition(auction, member);
        bytes memory substitute = substitutes[auction][member];
        bool substituted = _isFinal(auction, member, substitute);
        if (clock >= _deemedFrom(auction) && seed % 4 == 0) {
            d.evidence = Evidence.Deemed;
        } else if (substitute.length != 0 && (substituted ? seed % 4 < 3 : seed % 32 == 1)) {
            d.evidence = Evidence.Substitute;
            d.valid = d.valid && substituted;
            d.readings = _unpack(substitute);
        } else {
            d.evidence = Evidence.Meter;
            for (uint256 slot; slot < SLOTS; ++slot) d.readings[slot] = _reading(part.fills[slot], seed >> (8 * slot + 8));
        }
        if (seed / 4 % 64 == 0) d.evidence = Evidence.Deemed;
        if (d.evidence == Evidence.Deemed && clock < _deemedFrom(auction)) d.valid = false;
        _pack(auction, part, d, seed / 4 % 64 == 1);
    }

    function _pack(uint256 auction, Part storage part, Delivery memory d, bool falsified) private view {
        int256 cash = falsified ? part.cash + 1 : part.cash;
        if (falsified) d.valid = false;
        d.packed = abi.encodePacked(d.member, uint8(d.evidence), _positionOf(part.zone, cash, part.fills));
        if (d.evidence == Evidence.Deemed) return;
        d.packed = bytes.concat(d.packed, _packReadings(d.readings));
        if (d.evidence == Evidence.Substitute) return;
        bytes32 words = keccak256(abi.encode(d.readings[0], d.readings[1], d.readings[2], d.readings[3]));
        bytes32 structHash = keccak256(abi.encode(STATEMENT_TYPEHASH, auction, d.member, words));
        address meter = registry.memberOf(d.member).meter;
        d.packed = bytes.concat(d.packed, _signed(meter, address(settlement), "Clearwatt Settlement", structHash));
    }

    function _positionOf(uint16 zone, int256 cash, int256[4] memory fills) private pure returns (bytes memory) {
        return abi.encodePacked(
            zone, int64(cash), int32(fills[0]), int32(fills[1]), int32(fills[2]), int32(fills[3])
        );
    }

    /// @dev As contracted, near it, or anything.
    function _reading(int256 contracted, uint256 seed) internal pure returns (int256) {
        if (seed % 4 == 0) return contracted;
        if (seed % 4 < 3) return contracted + int256(seed / 4 % 64) * 1000 - 32_000;
        return int256(seed / 4 % 64) * 60_000 - 1_920_000;
    }

    /// @dev What the readings mean for energy: an account of it beside the contract's.
    function _book(uint256 auction, Delivery memory d) internal {
        Part storage part = parts[auction][d.member];
        Past storage past = pasts[auction];
        require(!part.settled, "I8: settled twice");
        part.settled = true;
        part.source = registry.memberOf(d.member).source;
        ++past.settled;
        for (uint256 slot; slot < SLOTS; ++slot) {
            int256 fill = part.fills[slot];
            int256 reading = d.evidence == Evidence.Deemed ? (fill < 0 ? fill : int256(0)) : d.readings[slot];
            int256 sold = fill > 0 ? fill : int256(0);
            if (fill < 0) part.bought += uint64(uint256(-fill));
            if (reading <= 0 || part.source == 0) continue;
            past.injected[part.source] += uint256(reading);
            if (reading > sold) part.unmatched += uint64(uint256(reading - sold));
        }
        if (vault.accountOf(d.member).debt != 0) ++debtsSeen;
        _note(auction, d.member);
    }

    function _unpack(bytes memory readings) private pure returns (int256[4] memory list) {
        for (uint256 slot; slot < SLOTS && readings.length != 0; ++slot) {
            int256 word;
            assembly ("memory-safe") {
                word := sar(224, mload(add(add(readings, 32), mul(4, slot))))
            }
            list[slot] = word;
        }
    }

    function _packReadings(int256[4] memory r) internal pure returns (bytes memory) {
        return abi.encodePacked(int32(r[0]), int32(r[1]), int32(r[2]), int32(r[3]));
    }

    // ---------------------------------------------------------------- energy tokens

    /// @notice Draws the tokens of some members at once; one claim that is wrong or drawn already makes the call fail.
    function drawTokens(uint256 which, uint256 whom) external now_ {
        uint256 auction = _pastAuction(which);
        bool allowed = pasts[auction].settled == market.auctionOf(auction).liveBids;
        Entitlement[] memory list = new Entitlement[](members.length);
        uint256 count;
        for (uint256 i; i < members.length; ++i) {
            Part storage part = parts[auction][members[i]];
            bool held = part.taken && part.settled && !part.drawn
                && _record(auction, members[i]).at(Stage.Spent, auction / RING);
            bool wrong = (whom >> (8 * i)) % 32 == 1;
            if ((whom >> (8 * i)) % 4 == 0 || (!held && !wrong)) continue;
            if (!held || wrong) allowed = false;
            list[count++] = Entitlement(members[i], part.source, part.unmatched + (wrong ? 1 : 0), part.bought);
        }
        assembly ("memory-safe") {
            mstore(list, count)
        }
        bytes memory data = abi.encodeCall(ISettlement.drawTokens, (auction, list));
        if (!_attempt(allowed, STRANGER, address(settlement), data)) return;
        for (uint256 i; i < count; ++i) {
            parts[auction][list[i].member].drawn = true;
            _note(auction, list[i].member);
        }
    }

    function moveTokens(uint256 which, uint256 who, uint256 share) external now_ {
        uint256 id = token.idOf(_pastAuction(which), uint8(share % 3 + 1));
        address from = _member(who);
        uint256 amount = IERC1155Part(address(token)).balanceOf(from, id) * (share % 120) / 100;
        bool allowed = amount <= IERC1155Part(address(token)).balanceOf(from, id);
        if (who / 8 % 2 == 0) {
            bytes memory data =
                abi.encodeCall(IERC1155Part.safeTransferFrom, (from, _member(share / 8), id, amount, ""));
            _attempt(allowed, from, address(token), data);
        } else {
            bytes memory data = abi.encodeCall(IEnergyToken.retire, (id, amount, from, "use"));
            _attempt(allowed && amount != 0, from, address(token), data);
        }
    }

    /// @notice Nobody but Settlement mints.
    function forgeTokens(uint256 who, uint256 id) external now_ {
        _attempt(false, _member(who), address(token), abi.encodeCall(IEnergyToken.mint, (_member(who), id, 1)));
    }
}
