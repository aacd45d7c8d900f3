// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @notice When everything happens: the market's calendar as arithmetic on time.
/// @dev Nobody has to open an auction; the auction number alone says when its gate closes, by when it must
/// be cleared, when it is delivered and until when meters may report. All times are Unix seconds.
/// @param genesis Start of auction 0's first delivery slot; aligned to `slotSeconds` in UTC
/// @param slotSeconds Length of a delivery slot
/// @param slots Delivery slots per auction (T), 1 to 96
/// @param horizon Bids for an auction are taken from this long before its gate closes
/// @param gateLead The gate closes this long before delivery starts
/// @param revealWindow After gate closure, sealed bids are opened for this long; 0 = the market takes open bids
/// @param clearingWindow After that, the auction can be cleared for this long; then it is void
/// @param meteringWindow After delivery, the time in which a meter's own statement is waited for
/// @param substituteWindow After that, the time in which the quorum may stand in for a silent meter
/// @param disputeWindow After a report of the quorum, the time in which a member may dispute it
/// @param decisionWindow After that, the time the owner has to decide a dispute; then the report stands
struct Schedule {
    uint40 genesis;
    uint32 slotSeconds;
    uint8 slots;
    uint32 horizon;
    uint32 gateLead;
    uint32 revealWindow;
    uint32 clearingWindow;
    uint32 meteringWindow;
    uint32 substituteWindow;
    uint32 disputeWindow;
    uint32 decisionWindow;
}

/// @notice Whether a `Schedule` can be carried out.
library ScheduleLib {
    error ScheduleImpossible(string reason);

    uint256 internal constant MAX_SLOTS = 96;

    /// @notice From an auction's opening until nothing can delay its settlement any more, seconds.
    function life(Schedule memory schedule) internal pure returns (uint256) {
        return uint256(schedule.horizon) + schedule.gateLead + uint256(schedule.slots) * schedule.slotSeconds
            + schedule.meteringWindow + schedule.substituteWindow + schedule.disputeWindow + schedule.decisionWindow;
    }

    /// @notice Reverts unless the schedule can be carried out.
    function check(Schedule memory schedule) internal pure {
        if (schedule.slotSeconds == 0) revert ScheduleImpossible("a slot takes no time");
        if (schedule.slots == 0 || schedule.slots > MAX_SLOTS) revert ScheduleImpossible("slots not in 1..96");
        if (schedule.genesis % schedule.slotSeconds != 0) revert ScheduleImpossible("genesis off the slot grid");
        if (schedule.clearingWindow == 0) revert ScheduleImpossible("no time to clear");
        if (uint256(schedule.gateLead) + schedule.horizon > schedule.genesis) {
            revert ScheduleImpossible("bids would open before time began");
        }
    }
}
