// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IMarket} from "../../../contracts/interfaces/IMarket.sol";
import {Change, IRegistry, Member} from "../../../contracts/interfaces/IRegistry.sol";
import {BidActions} from "./BidActions.sol";

/// @notice What the owner can do to members and to bidding, and what only it can; and time passing.
abstract contract OfficeActions is BidActions {
    uint256 private _nextMeter = 300;

    /// @notice To the next point in time at which something begins or ends, or a part of the way.
    function travel(uint256 seed) external {
        uint256 next = _nextMilestone();
        clock = seed % 4 == 0 ? clock + 1 + seed / 4 % (next - clock) : next;
    }

    function _nextMilestone() private view returns (uint256 next) {
        next = type(uint256).max;
        uint256 current = _current();
        for (uint256 auction = current - 2; auction <= current + 2; ++auction) {
            uint256[9] memory points = [
                _gateClosure(auction) - HORIZON,
                _gateClosure(auction),
                _clearingStart(auction),
                _clearingDeadline(auction),
                _deliveryEnd(auction),
                _deliveryEnd(auction) + DISPUTE_WINDOW,
                _meteringDeadline(auction),
                _substituteDeadline(auction),
                _deemedFrom(auction)
            ];
            for (uint256 i; i < 9; ++i) if (points[i] > clock && points[i] < next) next = points[i];
        }
    }

    /// @dev Mostly bidding goes on.
    function pause(uint256 who, uint256 whether) external now_ {
        bool paused = whether % 16 == 0;
        address sender = who % 3 == 0 ? _anybody(who) : OWNER;
        bytes memory data = abi.encodeCall(IMarket.setPaused, (paused));
        if (_attempt(sender == OWNER, sender, address(market), data)) pausedNow = paused;
    }

    /// @notice Suspends an active member, now and then, and reinstates a suspended one.
    function suspend(uint256 who, uint256 whom) external now_ {
        address member = _anybody(whom);
        address sender = who % 4 == 0 ? _member(who) : OWNER;
        Member memory m = registry.memberOf(member);
        bytes memory off = abi.encodeCall(IRegistry.suspend, (member));
        bytes memory on = abi.encodeCall(IRegistry.reinstate, (member));
        if (who % 8 == 1) _attempt(sender == OWNER && m.active, sender, address(registry), off);
        else _attempt(sender == OWNER && !m.active && m.meter != address(0), sender, address(registry), on);
    }

    function announceChange(uint256 who, uint256 whom, uint256 what) external now_ {
        address member = _anybody(whom);
        address sender = who % 4 == 0 ? _member(who) : OWNER;
        if (registry.changeOf(member).adoptableFrom != 0 && who % 16 != 1) return; // else it would hardly ever come to pass
        uint16 zone = uint16(what % (ZONES + 1));
        bool allowed = sender == OWNER && member != STRANGER && zone < ZONES;
        address meter = _newKey(_nextMeter++);
        bytes memory data = abi.encodeCall(IRegistry.announce, (member, zone, uint8(what / 8 % 4), meter));
        _attempt(allowed, sender, address(registry), data);
    }

    function adoptChange(uint256 whom) external now_ {
        address member = _anybody(whom);
        Change memory change = registry.changeOf(member);
        bool allowed = change.adoptableFrom != 0 && clock >= change.adoptableFrom;
        if (!_attempt(allowed, STRANGER, address(registry), abi.encodeCall(IRegistry.adopt, (member)))) return;
        require(registry.memberOf(member).meter == change.meter, "adopted");
    }

    /// @notice Records are the connected contracts' affair.
    function meddleWithRecords(uint256 who, uint256 what, uint256 which) external now_ {
        uint256 auction = _closedAuction(which);
        bytes memory entry = abi.encodePacked(_member(what), bytes32(which));
        bytes memory spending = bytes.concat(entry, bytes32(0));
        bytes[5] memory calls = [
            abi.encodeCall(IMarket.accept, (auction, bytes32(which), spending)),
            abi.encodeCall(IMarket.acceptChunked, (auction, bytes32(which))),
            abi.encodeCall(IMarket.enterPositions, (auction, entry)),
            abi.encodeCall(IMarket.spend, (auction, spending)),
            abi.encodeCall(IMarket.draw, (auction, _member(what), bytes32(0)))
        ];
        _attempt(false, who % 3 == 0 ? OWNER : _anybody(who), address(market), calls[what / 8 % 5]);
    }
}
