// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Line} from "../libraries/Lines.sol";
import {Schedule} from "../libraries/Schedule.sol";

/// @notice What keeps an auction within what one transaction can clear.
/// @param minQuantity Least a step may offer or ask for, Wh; at least 1
/// @param maxSteps Most steps in one bundle
/// @param maxMembers Most members with a bid in one auction, and most members admitted at a time
struct Limits {
    uint32 minQuantity;
    uint16 maxSteps;
    uint16 maxMembers;
}

/// @notice What a market is, fixed at deployment.
/// @param schedule The calendar
/// @param limits Against spam and dust
/// @param minPrice Lowest limit and price, ticks (0.01 currency/MWh)
/// @param maxPrice Highest limit and price, ticks
/// @param imbalanceMargin Collateral per Wh bid on top of the worst contract payment, ticks
/// @param ringSize Records a member has: a bid takes the one of the bid `ringSize` auctions before. They last as long as
/// the horizon at least
/// @param sealDeposit What stands behind a sealed bid until it is opened, money units; the same for every bid
/// @param disputeBond What stands behind a dispute of a report, money units
/// @param ownerDelay From announcing to carrying out what the owner may change, seconds
/// @param balancingParty The counterparty of every imbalance; usually the retailer
/// @param networkAccount Earns fees and congestion rent
struct Parameters {
    Schedule schedule;
    Limits limits;
    int24 minPrice;
    int24 maxPrice;
    uint24 imbalanceMargin;
    uint16 ringSize;
    uint64 sealDeposit;
    uint64 disputeBond;
    uint32 ownerDelay;
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

/// @notice A change of a member's particulars that is announced.
/// @param adoptableFrom When it can be adopted, Unix seconds; 0 = none is announced
struct Change {
    address meter;
    uint16 zone;
    uint8 source;
    uint40 adoptableFrom;
}

/// @title Members, meters, the grid and the market's parameters
interface IRegistry {
    /// @notice `member` takes part from now on, or with changed particulars.
    event MemberAdmitted(address indexed member, uint16 indexed zone, uint8 source, address indexed meter);

    /// @notice `member` may place no more bids.
    event MemberSuspended(address indexed member);

    /// @notice `member` may place bids again.
    event MemberReinstated(address indexed member);

    /// @notice From `from` on anyone can give `member` these particulars.
    event ChangeAnnounced(address indexed member, uint16 zone, uint8 source, address meter, uint256 from);

    /// @notice Zone `zone` exists; logged once for each at deployment.
    event ZoneAdded(
        uint256 indexed zone, uint256 indexed parent, uint64 exportLimit, uint64 importLimit, uint24 fee
    );

    /// @notice The terms of these members, 20 bytes each, can be read from the roster, until any member's terms change.
    event RosterWritten(address indexed roster, bytes members);

    event Connected(address indexed vault);

    error NotConnectedCaller(address caller);
    error AlreadyConnected();
    error GridEmpty();
    error GridTooLarge(uint256 zones);
    /// @notice A parent's number must be below its child's.
    error ParentNotBelow(uint256 zone, uint256 parent);
    error PricesImpossible(int24 minPrice, int24 maxPrice);
    error LimitsImpossible();
    /// @notice The ring must span the horizon: two auctions that share a record must not take bids at the same time, or
    /// what the record knows of one's signatures would be forgotten for the other.
    error RingTooSmall();
    /// @notice A change must not overtake a bid placed before it was announced: the delay is at least an auction's life.
    error DelayTooShort(uint256 delay, uint256 least);
    error AccountMissing();
    error UnknownZone(uint256 zone);
    error UnknownSource(uint8 source);
    error UnknownMember(address member);
    error AlreadyAMember(address member);
    error MeterMissing(address member);
    error CommunityFull(uint256 members);
    error NothingAnnounced(address member);
    error TooEarly(uint256 from);
    /// @notice A roster has 1 to 599 members.
    error RosterImpossible(uint256 length);

    /// @notice The owner lets a new `member` in.
    function admit(address member, uint16 zone, uint8 source, address meter) external;

    /// @notice The owner stops `member` from placing bids; what is placed is settled as ever.
    function suspend(address member) external;

    /// @notice The owner lets a suspended `member` place bids again.
    function reinstate(address member) external;

    /// @notice The owner announces other particulars of `member`, which `adopt` brings into force after the delay.
    /// @dev The delay is longer than any bid's life, so what was placed before is settled on the key it was placed under.
    function announce(address member, uint16 zone, uint8 source, address meter) external;

    /// @notice Brings an announced change into force once its time has come; anyone may call.
    /// @dev A live bid keeps the zone it was placed in.
    function adopt(address member) external;

    function memberOf(address member) external view returns (Member memory);

    /// @notice What settling asks of members: whose word their readings stand on, and what they inject.
    /// @param members 20 bytes each
    /// @return terms `source | meter address 160` of each
    function termsOf(bytes calldata members) external view returns (uint256[] memory terms);

    /// @notice Writes down members' terms where settling reads them for a few gas each; anyone may call, as often as they
    /// like. A roster is a copy, and never needed: who settles says which one is to be read, if any.
    /// @param members 20 bytes each; a place in the roster is counted from 0 in this order
    function writeRoster(bytes calldata members) external returns (address roster);

    /// @notice Whether what the roster says of its members is what `termsOf` says: it was written here, and nobody's
    /// terms have changed since.
    function isCurrent(address roster) external view returns (bool);

    function changeOf(address member) external view returns (Change memory);

    function parameters() external view returns (Parameters memory);

    /// @notice Lines by zone; the first stands for zone 0 and carries nothing.
    function grid() external view returns (Line[] memory);

    function zones() external view returns (uint256);

    /// @notice Members that may place bids.
    function activeMembers() external view returns (uint256);

    /// @notice Who admits members, pauses bidding and decides disputes.
    function owner() external view returns (address);
}
