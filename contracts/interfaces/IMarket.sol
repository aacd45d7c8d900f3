// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Record} from "../libraries/Records.sol";
import {IEquilibriumErrors} from "./IEquilibriumErrors.sol";
import {Parameters} from "./IRegistry.sol";

/// @notice What the market keeps of an auction.
/// @param liveBids Bids in it that are not cancelled; fixed from gate closure on
/// @param cleared Whether a clearing was accepted
/// @param prices Head of keccak256 of the accepted prices as they were sent
struct AuctionState {
    uint16 liveBids;
    bool cleared;
    bytes29 prices;
}

/// @title Bids and verified clearing
interface IMarket is IEquilibriumErrors {
    /// @notice A bundle was placed, or replaced the one before. `steps` as in `bid`.
    event BidPlaced(uint256 indexed auction, address indexed member, uint16 zone, uint256 lock, bytes steps);

    event BidCancelled(uint256 indexed auction, address indexed member);

    /// @notice The auction's optimum was accepted. With the bids these bytes say everything: fills follow.
    event Cleared(
        uint256 indexed auction, address indexed solver, uint256 networkIncome, bytes prices, bytes marginals
    );

    /// @notice The auction was void and the member's lock was released.
    event BidReleased(uint256 indexed auction, address indexed member);

    event Connected(address indexed settlement);

    error NotConnectedCaller(address caller);
    error AlreadyConnected();
    /// @notice Bids for `auction` are taken from `opening` until before `gateClosure`.
    error GateNotOpen(uint256 auction, uint256 opening, uint256 gateClosure);
    /// @notice `auction` is cleared from `gateClosure` until before `deadline`.
    error NotClearingTime(uint256 auction, uint256 gateClosure, uint256 deadline);
    error AlreadyCleared(uint256 auction);
    error NotCleared(uint256 auction);
    error NotVoid(uint256 auction);
    error AuctionFull(uint256 auction);
    /// @notice The ring has turned as often as a record can count.
    error MarketEnded();
    error NotAMember(address account);
    error NoBid(uint256 auction, address member);
    /// @notice The member's bid of an auction `ringSize` (or a multiple of it) before is not settled yet.
    error RecordInUse(uint256 earlierAuction, address member);
    error RecordMismatch(uint256 auction, address member);
    error MalformedSteps(uint256 length);
    error StepSlotUnknown(uint256 step, uint256 slot);
    error StepsNotAscending(uint256 step);
    error StepPriceOutOfBounds(uint256 step, int256 price);
    error StepEmpty(uint256 step);
    /// @notice A member's steps of one slot add up to more than an int32 holds.
    error SlotQuantityTooLarge(uint256 slot);

    /// @notice Places the sender's bundle for `auction`, or replaces the one it has there.
    /// @dev Locks what the bundle can cost at worst. A bundle of no steps is allowed: the member trades nothing and
    /// is settled by its meter alone.
    /// @param steps 8 bytes each, `slot uint8 | price int24 | quantity int32`, slots not descending
    function bid(uint256 auction, bytes calldata steps) external;

    /// @notice Takes the sender's bundle back and releases its lock.
    function cancel(uint256 auction) external;

    /// @notice Accepts the auction's result if it is the welfare optimum at the canonical price; anyone may send it.
    /// @param prices int24 per zone and slot, zone-major
    /// @param marginals 16 bytes each: `zone uint16 | slot uint8 | buy uint8 | quantity uint48 | filled uint48`,
    /// ascending; one for every zone, slot and side with steps exactly at the price
    /// @param bids Every live bid, traders ascending: `trader address | zone uint16 | count uint16 | steps`
    function clear(uint256 auction, bytes calldata prices, bytes calldata marginals, bytes calldata bids) external;

    /// @notice Releases a member's lock after the auction has become void; anyone may call.
    function release(uint256 auction, address member) external;

    /// @notice Settlement only: marks the member's position spent and notes its energy claim.
    /// @param positionHash keccak256 of the position as clearing left it, `zone uint16 | cash int128 | fills int32[T]`,
    /// where `cash` is what the member's contracts pay it, money units
    /// @param claimHash keccak256 of what the member may draw in energy tokens
    /// @return lock What stood behind the bid
    function spend(uint256 auction, address member, bytes32 positionHash, bytes32 claimHash)
        external
        returns (uint256 lock);

    /// @notice Settlement only: marks the member's energy claim as drawn.
    function draw(uint256 auction, address member, bytes32 claimHash) external;

    function auctionOf(uint256 auction) external view returns (AuctionState memory);

    /// @notice Whether `auction` was not cleared in time.
    function isVoid(uint256 auction) external view returns (bool);

    /// @notice The record the member's bid in `auction` uses, whatever it holds now.
    function recordOf(uint256 auction, address member) external view returns (Record);

    function parameters() external view returns (Parameters memory);
}
