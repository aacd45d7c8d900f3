// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Line} from "../libraries/Lines.sol";
import {Schedule} from "../libraries/Schedule.sol";

/// @notice What a market is, fixed at deployment.
/// @param schedule The calendar
/// @param minPrice Lowest limit and price, ticks (0.01 currency/MWh)
/// @param maxPrice Highest limit and price, ticks
/// @param imbalanceMargin Collateral per Wh bid on top of the worst contract payment, ticks
/// @param ringSize Records a member has: a bid takes the one of the bid `ringSize` auctions before
/// @param balancingParty The counterparty of every imbalance; usually the retailer
/// @param networkAccount Earns fees and congestion rent
struct Parameters {
    Schedule schedule;
    int24 minPrice;
    int24 maxPrice;
    uint24 imbalanceMargin;
    uint16 ringSize;
    address balancingParty;
    address networkAccount;
}

/// @notice A member of the community.
/// @param meter Address of the key its meter signs with
/// @param zone Where it is connected
/// @param source What it injects: see `Sources`
/// @param active Whether it may place bids
struct Member {
    address meter;
    uint16 zone;
    uint8 source;
    bool active;
}

/// @title Members, meters, the grid and the market's parameters
interface IRegistry {
    /// @notice `member` takes part from now on, or with changed particulars.
    event MemberAdmitted(address indexed member, uint16 indexed zone, uint8 source, address indexed meter);

    /// @notice `member` may place no more bids.
    event MemberSuspended(address indexed member);

    /// @notice `member` signs its readings with another key from now on.
    event MeterReplaced(address indexed member, address indexed previous, address indexed meter);

    /// @notice Zone `zone` exists; logged once for each at deployment.
    event ZoneAdded(
        uint256 indexed zone, uint256 indexed parent, uint64 exportLimit, uint64 importLimit, uint24 fee
    );

    error GridEmpty();
    error GridTooLarge(uint256 zones);
    /// @notice A parent's number must be below its child's.
    error ParentNotBelow(uint256 zone, uint256 parent);
    error PricesImpossible(int24 minPrice, int24 maxPrice);
    error RingTooSmall();
    error AccountMissing();
    error UnknownZone(uint256 zone);
    error UnknownSource(uint8 source);
    error UnknownMember(address member);
    error MeterMissing(address member);

    /// @notice The owner lets `member` in, or in again, or changes its particulars.
    /// @dev A live bid keeps the zone it was placed in.
    function admit(address member, uint16 zone, uint8 source, address meter) external;

    /// @notice The owner stops `member` from placing bids; what is placed is settled as ever.
    function suspend(address member) external;

    /// @notice The owner gives `member` another meter key.
    function replaceMeter(address member, address meter) external;

    function memberOf(address member) external view returns (Member memory);

    function parameters() external view returns (Parameters memory);

    /// @notice Lines by zone; the first stands for zone 0 and carries nothing.
    function grid() external view returns (Line[] memory);

    function zones() external view returns (uint256);
}
