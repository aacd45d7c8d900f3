// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {DelayedOwnable} from "./DelayedOwnable.sol";
import {Change, IRegistry, Limits, Member, Parameters} from "./interfaces/IRegistry.sol";
import {IVault} from "./interfaces/IVault.sol";
import {Line} from "./libraries/Lines.sol";
import {Packed} from "./libraries/Packed.sol";
import {Rosters} from "./libraries/Rosters.sol";
import {ScheduleLib} from "./libraries/Schedule.sol";
import {Sources} from "./libraries/Sources.sol";

/// @title Registry
/// @notice Who takes part, where, with which meter, and under which rules. The grid and the parameters are fixed
/// at deployment: nobody can change the rules under a bid. The owner decides who is a member; a member's zone, source
/// and meter change only after a delay longer than any bid lives, so every bid placed before a change was announced is
/// settled on the terms it was placed under. The owner can neither touch money nor influence a price.
/// @custom:halt The owner can suspend every member, which stops new bids; running auctions end as ever.
contract Registry is IRegistry, DelayedOwnable {
    using Packed for bytes;

    /// @dev A zone's number travels as two bytes, and a larger tree would not fit a clearing transaction.
    uint256 private constant MAX_ZONES = 1024;

    uint256 private constant MEMBER_BYTES = 20;

    address private immutable _deployer;
    uint256 private immutable _delay;
    uint256 private immutable _maxMembers;

    IVault public vault;
    uint256 public activeMembers;

    Parameters private _parameters;
    Line[] private _lines;
    mapping(address => Member) private _members;
    mapping(address => Change) private _changes;

    /// @dev Changes of members' terms so far, counted from 1, and the count at which each roster was written.
    uint256 private _edition = 1;
    mapping(address roster => uint256) private _editionOf;

    /// @param owner_ Admits members
    /// @param parameters_ Fixed for good
    /// @param lines One per zone, parents before children; the first stands for zone 0
    constructor(address owner_, Parameters memory parameters_, Line[] memory lines)
        DelayedOwnable(owner_, parameters_.ownerDelay)
    {
        _check(parameters_);
        _deployer = msg.sender;
        _delay = parameters_.ownerDelay;
        _maxMembers = parameters_.limits.maxMembers;
        _parameters = parameters_;
        _layGrid(lines);
    }

    function _check(Parameters memory p) private pure {
        ScheduleLib.check(p.schedule);
        uint256 life = ScheduleLib.life(p.schedule);
        if (p.ownerDelay < life) revert DelayTooShort(p.ownerDelay, life);
        if (p.minPrice > p.maxPrice) revert PricesImpossible(p.minPrice, p.maxPrice);
        Limits memory limits = p.limits;
        if (limits.minQuantity == 0 || limits.maxSteps == 0 || limits.maxMembers == 0) revert LimitsImpossible();
        // a quantity has 31 bits and a sign
        if (limits.minQuantity > uint32(type(int32).max)) revert LimitsImpossible();
        // while an auction takes bids, no other one that uses the same records does
        uint256 ring = uint256(p.ringSize) * p.schedule.slots * p.schedule.slotSeconds;
        if (p.ringSize == 0 || ring < p.schedule.horizon) revert RingTooSmall();
        if (p.balancingParty == address(0) || p.networkAccount == address(0)) revert AccountMissing();
    }

    function _layGrid(Line[] memory lines) private {
        if (lines.length == 0) revert GridEmpty();
        if (lines.length > MAX_ZONES) revert GridTooLarge(lines.length);
        for (uint256 zone; zone < lines.length; ++zone) {
            Line line = lines[zone];
            if (zone != 0 && line.parent() >= zone) revert ParentNotBelow(zone, line.parent());
            _lines.push(line);
            emit ZoneAdded(
                zone,
                line.parent(),
                uint64(uint256(line.exportLimit())),
                uint64(uint256(line.importLimit())),
                uint24(uint256(line.fee()))
            );
        }
    }

    /// @notice The deployer names the vault that seats members, once and for good.
    function connect(IVault vault_) external {
        if (msg.sender != _deployer) revert NotConnectedCaller(msg.sender);
        if (address(vault) != address(0)) revert AlreadyConnected();
        if (address(vault_) == address(0)) revert NotConnectedCaller(address(0));
        vault = vault_;
        emit Connected(address(vault_));
    }

    // ---------------------------------------------------------------- members

    /// @inheritdoc IRegistry
    function admit(address member, uint16 zone, uint8 source, address meter) external onlyOwner {
        if (member == address(0)) revert UnknownMember(member);
        if (_members[member].meter != address(0)) revert AlreadyAMember(member);
        _requireParticulars(member, zone, source, meter);
        _count();
        _install(member, Member({meter: meter, zone: zone, source: source, active: true}));
    }

    /// @inheritdoc IRegistry
    function suspend(address member) external onlyOwner {
        Member memory m = _members[member];
        if (!m.active) revert UnknownMember(member);
        _members[member].active = false;
        activeMembers -= 1;
        emit MemberSuspended(member);
        vault.seat(member, m.zone, false);
    }

    /// @inheritdoc IRegistry
    function reinstate(address member) external onlyOwner {
        Member memory m = _members[member];
        if (m.meter == address(0)) revert UnknownMember(member);
        if (m.active) revert AlreadyAMember(member);
        _members[member].active = true;
        _count();
        emit MemberReinstated(member);
        vault.seat(member, m.zone, true);
    }

    /// @inheritdoc IRegistry
    function announce(address member, uint16 zone, uint8 source, address meter) external onlyOwner {
        if (_members[member].meter == address(0)) revert UnknownMember(member);
        _requireParticulars(member, zone, source, meter);
        uint256 from = block.timestamp + _delay;
        _changes[member] = Change({meter: meter, zone: zone, source: source, adoptableFrom: uint40(from)});
        emit ChangeAnnounced(member, zone, source, meter, from);
    }

    /// @inheritdoc IRegistry
    function adopt(address member) external {
        Change memory change = _changes[member];
        if (change.meter == address(0)) revert NothingAnnounced(member);
        if (block.timestamp < change.adoptableFrom) revert TooEarly(change.adoptableFrom);
        delete _changes[member];
        ++_edition;
        bool active = _members[member].active;
        _install(member, Member({meter: change.meter, zone: change.zone, source: change.source, active: active}));
    }

    function _install(address member, Member memory m) private {
        _members[member] = m;
        emit MemberAdmitted(member, m.zone, m.source, m.meter);
        vault.seat(member, m.zone, m.active);
    }

    function _count() private {
        if (activeMembers == _maxMembers) revert CommunityFull(activeMembers);
        activeMembers += 1;
    }

    function _requireParticulars(address member, uint16 zone, uint8 source, address meter) private view {
        if (zone >= _lines.length) revert UnknownZone(zone);
        if (source >= Sources.COUNT) revert UnknownSource(source);
        if (meter == address(0)) revert MeterMissing(member);
    }

    // ---------------------------------------------------------------- rosters

    /// @inheritdoc IRegistry
    function writeRoster(bytes calldata members) external returns (address roster) {
        uint256 count = members.length / MEMBER_BYTES;
        if (members.length % MEMBER_BYTES != 0 || count == 0 || count > Rosters.MOST_ENTRIES) {
            revert RosterImpossible(members.length);
        }
        uint256 start = Rosters.open(count);
        for (uint256 i; i < count; ++i) {
            address member = address(bytes20(members[i * MEMBER_BYTES:]));
            Member storage m = _members[member];
            if (m.meter == address(0)) revert UnknownMember(member);
            Rosters.put(start + i * Rosters.ENTRY_BYTES, member, m.source, m.meter);
        }
        roster = Rosters.create(start, start + count * Rosters.ENTRY_BYTES);
        if (roster == address(0)) revert RosterImpossible(members.length);
        _editionOf[roster] = _edition;
        emit RosterWritten(roster, members);
    }

    // ---------------------------------------------------------------- views

    /// @inheritdoc IRegistry
    function isCurrent(address roster) external view returns (bool) {
        return _editionOf[roster] == _edition;
    }

    /// @inheritdoc IRegistry
    function memberOf(address member) external view returns (Member memory) {
        return _members[member];
    }

    /// @inheritdoc IRegistry
    function termsOf(bytes calldata members) external view returns (uint256[] memory terms) {
        terms = new uint256[](members.length / MEMBER_BYTES);
        uint256 to = Packed.wordsOf(terms);
        uint256 from = members.start();
        unchecked {
            for (uint256 end = from + terms.length * MEMBER_BYTES; from < end; from += MEMBER_BYTES) {
                Member storage m = _members[address(bytes20(Packed.word(from)))];
                Packed.put(to, uint256(m.source) << 160 | uint160(m.meter));
                to += 32;
            }
        }
    }

    /// @inheritdoc IRegistry
    function changeOf(address member) external view returns (Change memory) {
        return _changes[member];
    }

    /// @inheritdoc IRegistry
    function parameters() external view returns (Parameters memory) {
        return _parameters;
    }

    /// @inheritdoc IRegistry
    function grid() external view returns (Line[] memory) {
        return _lines;
    }

    /// @inheritdoc IRegistry
    function zones() external view returns (uint256) {
        return _lines.length;
    }

    /// @inheritdoc IRegistry
    function owner() public view override(IRegistry, Ownable) returns (address) {
        return super.owner();
    }
}
