// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Schedule} from "./libraries/Schedule.sol";

/// @title Calendar
/// @notice The points in time that follow from a market's `Schedule`, for the contracts that act on them. They depend
/// on the auction's number alone and never change. All are Unix seconds.
/// @custom:halt Nothing to halt: arithmetic on constants.
abstract contract Calendar {
    uint256 private immutable _genesis;
    uint256 private immutable _auctionSeconds;
    uint256 private immutable _horizon;
    uint256 private immutable _gateLead;
    uint256 private immutable _revealWindow;
    uint256 private immutable _clearingWindow;
    uint256 private immutable _meteringWindow;
    uint256 private immutable _substituteWindow;
    uint256 private immutable _reportWindow;

    /// @dev Delivery slots per auction (T).
    uint256 internal immutable _slots;

    constructor(Schedule memory schedule) {
        _genesis = schedule.genesis;
        _auctionSeconds = uint256(schedule.slots) * schedule.slotSeconds;
        _horizon = schedule.horizon;
        _gateLead = schedule.gateLead;
        _revealWindow = schedule.revealWindow;
        _clearingWindow = schedule.clearingWindow;
        _meteringWindow = schedule.meteringWindow;
        _substituteWindow = schedule.substituteWindow;
        _reportWindow = uint256(schedule.disputeWindow) + schedule.decisionWindow;
        _slots = schedule.slots;
    }

    /// @notice Start of the auction's first delivery slot.
    function deliveryStart(uint256 auction) public view returns (uint256) {
        return _genesis + auction * _auctionSeconds;
    }

    /// @notice End of the auction's last delivery slot.
    function deliveryEnd(uint256 auction) public view returns (uint256) {
        return deliveryStart(auction) + _auctionSeconds;
    }

    /// @notice Bids are taken from here until before gate closure.
    function opening(uint256 auction) public view returns (uint256) {
        return gateClosure(auction) - _horizon;
    }

    /// @notice From here on no bid can be placed, replaced or cancelled.
    function gateClosure(uint256 auction) public view returns (uint256) {
        return deliveryStart(auction) - _gateLead;
    }

    /// @notice From here on the auction can be cleared and no sealed bid can be opened any more.
    function clearingStart(uint256 auction) public view returns (uint256) {
        return gateClosure(auction) + _revealWindow;
    }

    /// @notice An auction not cleared before this time is void.
    function clearingDeadline(uint256 auction) public view returns (uint256) {
        return clearingStart(auction) + _clearingWindow;
    }

    /// @notice From here on a quorum-signed substitute reading is accepted in place of a meter's statement.
    function meteringDeadline(uint256 auction) public view returns (uint256) {
        return deliveryEnd(auction) + _meteringWindow;
    }

    /// @notice From here on the quorum reports nothing more, and its silence delays nothing: fallback prices apply.
    function substituteDeadline(uint256 auction) public view returns (uint256) {
        return meteringDeadline(auction) + _substituteWindow;
    }

    /// @notice From here on, when the last report there can be is final, deemed readings apply.
    function deemedFrom(uint256 auction) public view returns (uint256) {
        return substituteDeadline(auction) + _reportWindow;
    }

    /// @dev Whether bids stay sealed until the gate has closed.
    function _sealed() internal view returns (bool) {
        return _revealWindow != 0;
    }
}
