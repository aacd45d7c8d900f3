// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {Ownable, Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {IRegistry, Member, Parameters} from "./interfaces/IRegistry.sol";
import {Line} from "./libraries/Lines.sol";
import {ScheduleLib} from "./libraries/Schedule.sol";
import {Sources} from "./libraries/Sources.sol";

/// @title Registry
/// @notice Who takes part, where, with which meter, and under which rules. The grid and the parameters are fixed
/// at deployment: nobody can change the rules under a bid. The owner decides only who is a member and which key
/// a meter signs with; it can neither touch money nor influence a price.
/// @custom:halt The owner can suspend every member, which stops new bids; running auctions end as ever.
contract Registry is IRegistry, Ownable2Step {
    /// @dev A zone's number travels as two bytes, and a larger tree would not fit a clearing transaction.
    uint256 private constant MAX_ZONES = 1024;

    Parameters private _parameters;
    Line[] private _lines;
    mapping(address => Member) private _members;

    /// @param owner_ Admits members
    /// @param parameters_ Fixed for good
    /// @param lines One per zone, parents before children; the first stands for zone 0
    constructor(address owner_, Parameters memory parameters_, Line[] memory lines) Ownable(owner_) {
        ScheduleLib.check(parameters_.schedule);
        if (parameters_.minPrice > parameters_.maxPrice) {
            revert PricesImpossible(parameters_.minPrice, parameters_.maxPrice);
        }
        if (parameters_.ringSize == 0) revert RingTooSmall();
        if (parameters_.balancingParty == address(0) || parameters_.networkAccount == address(0)) {
            revert AccountMissing();
        }
        _parameters = parameters_;
        _layGrid(lines);
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

    // ---------------------------------------------------------------- members

    /// @inheritdoc IRegistry
    function admit(address member, uint16 zone, uint8 source, address meter) external onlyOwner {
        if (member == address(0)) revert UnknownMember(member);
        if (zone >= _lines.length) revert UnknownZone(zone);
        if (source >= Sources.COUNT) revert UnknownSource(source);
        if (meter == address(0)) revert MeterMissing(member);
        _members[member] = Member({meter: meter, zone: zone, source: source, active: true});
        emit MemberAdmitted(member, zone, source, meter);
    }

    /// @inheritdoc IRegistry
    function suspend(address member) external onlyOwner {
        if (!_members[member].active) revert UnknownMember(member);
        _members[member].active = false;
        emit MemberSuspended(member);
    }

    /// @inheritdoc IRegistry
    function replaceMeter(address member, address meter) external onlyOwner {
        address previous = _members[member].meter;
        if (previous == address(0)) revert UnknownMember(member);
        if (meter == address(0)) revert MeterMissing(member);
        _members[member].meter = meter;
        emit MeterReplaced(member, previous, meter);
    }

    // ---------------------------------------------------------------- views

    /// @inheritdoc IRegistry
    function memberOf(address member) external view returns (Member memory) {
        return _members[member];
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
}
