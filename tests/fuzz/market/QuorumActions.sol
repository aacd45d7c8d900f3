// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {IOracleQuorum, Report, Standing} from "../../../contracts/interfaces/IOracleQuorum.sol";
import {ISettlement} from "../../../contracts/interfaces/ISettlement.sol";
import {World} from "./World.sol";

/// @notice The quorum's reports and the disputes about them; fallback prices.
abstract contract QuorumActions is World {
    bytes32 private constant IMBALANCE_TYPEHASH =
        keccak256("ImbalancePrices(uint256 auction,uint256 epoch,bytes32 configuration,bytes prices)");
    bytes32 private constant SUBSTITUTE_TYPEHASH = keccak256(
        "SubstituteReading(uint256 auction,address member,uint256 epoch,bytes32 configuration,bytes readings)"
    );

    uint256 internal announcedTerm;
    uint256 internal announcedFrom;
    uint256 internal term;

    /// @dev What fell in a dispute: it can't be posted again.
    mapping(uint256 auction => mapping(address subject => mapping(bytes32 content => bool))) internal fallen;

    // ---------------------------------------------------------------- reports

    function postImbalance(uint256 which, uint256 spread) external now_ {
        uint256 auction = _pastAuction(which);
        Past storage past = pasts[auction];
        bytes memory prices = past.prices;
        bytes memory posted = _spread(prices, spread % 4, spread / 4 % 4);
        bool honest = spread / 16 % 16 != 0;
        if (!honest && posted.length != 0) posted = _spread(prices, 0, 20); // shortage above the highest price
        bool allowed = honest && past.cleared && clock >= _deliveryEnd(auction) && clock < _substituteDeadline(auction)
            && _isVacant(auction, address(0), posted);
        bytes32 structHash =
            keccak256(abi.encode(IMBALANCE_TYPEHASH, auction, term, _configuration(), keccak256(posted)));
        (bytes memory signatures, bool enough) = _signatures(structHash, spread / 256);
        bytes memory data = abi.encodeCall(ISettlement.postImbalance, (auction, prices, posted, signatures));
        if (_attempt(allowed && enough, STRANGER, address(settlement), data)) past.imbalance = posted;
    }

    function postSubstitute(uint256 which, uint256 who, uint256 seed) external now_ {
        uint256 auction = _pastAuction(which);
        address member = _anybody(who);
        bytes memory readings;
        for (uint256 slot; slot < SLOTS; ++slot) {
            readings = abi.encodePacked(readings, int32(int256(seed >> (16 * slot + 16) & 63) * 50_000 - 1_600_000));
        }
        bool allowed = member != STRANGER && clock >= _meteringDeadline(auction)
            && clock < _substituteDeadline(auction) && _isVacant(auction, member, readings);
        bytes32 structHash = keccak256(
            abi.encode(SUBSTITUTE_TYPEHASH, auction, member, term, _configuration(), keccak256(readings))
        );
        (bytes memory signatures, bool enough) = _signatures(structHash, seed);
        bytes memory data = abi.encodeCall(ISettlement.postSubstitute, (auction, member, readings, signatures));
        if (_attempt(allowed && enough, STRANGER, address(settlement), data)) substitutes[auction][member] = readings;
    }

    function postFallback(uint256 which) external now_ {
        uint256 auction = _pastAuction(which);
        Past storage past = pasts[auction];
        bool allowed = past.cleared && clock >= _substituteDeadline(auction) && past.fallbackPrices.length == 0
            && quorum.reportOf(auction, address(0)).standing == Standing.None;
        bytes memory data = abi.encodeCall(ISettlement.postFallback, (auction, past.prices));
        if (!_attempt(allowed, STRANGER, address(settlement), data)) return;
        past.fallbackPrices = _spread(past.prices, 0, 0);
    }

    /// @dev Each price less and more so many hundred ticks, within what the market allows.
    function _spread(bytes memory prices, uint256 below, uint256 above) internal pure returns (bytes memory pairs) {
        for (uint256 at; at < prices.length; at += 3) {
            int256 price;
            assembly ("memory-safe") {
                price := sar(232, mload(add(add(prices, 32), at)))
            }
            int256 surplus = price - int256(below) * 300;
            int256 shortage = price + int256(above) * 700;
            if (surplus < MIN_PRICE) surplus = MIN_PRICE;
            if (shortage > MAX_PRICE && above < 20) shortage = MAX_PRICE;
            pairs = abi.encodePacked(pairs, int24(surplus), int24(shortage));
        }
    }

    function _isVacant(uint256 auction, address subject, bytes memory content) private view returns (bool) {
        return quorum.reportOf(auction, subject).standing == Standing.None
            && !fallen[auction][subject][keccak256(content)];
    }

    /// @dev Mostly two of the three that are in office; else too few, the same one twice, or those of another term.
    function _signatures(bytes32 structHash, uint256 seed) private view returns (bytes memory list, bool enough) {
        uint256 flaw = seed % 16;
        address[] memory signers = oracles(flaw == 3 ? term + 1 : term);
        uint256 first = seed / 16 % 2;
        uint256 second = flaw == 2 ? first : first + 1;
        list = _signed(signers[first], address(quorum), "Clearwatt OracleQuorum", structHash);
        if (flaw != 1) {
            bytes memory more = _signed(signers[second], address(quorum), "Clearwatt OracleQuorum", structHash);
            list = bytes.concat(list, more);
        }
        return (list, flaw == 0 || flaw > 3);
    }

    function _configuration() internal view returns (bytes32) {
        return keccak256(abi.encode(oracles(term), THRESHOLD));
    }

    /// @dev Whether these are the contents of a report that nothing can change any more.
    function _isFinal(uint256 auction, address subject, bytes memory content) internal view returns (bool) {
        Report memory report = quorum.reportOf(auction, subject);
        if (content.length == 0 || report.standing == Standing.None) return false;
        return report.standing == Standing.Upheld || clock >= report.finalFrom;
    }

    /// @dev Imbalance prices to settle with, empty while there are none.
    function _pricesInForce(uint256 auction) internal view returns (bytes memory prices) {
        if (_isFinal(auction, address(0), pasts[auction].imbalance)) return pasts[auction].imbalance;
        return pasts[auction].fallbackPrices;
    }

    // ---------------------------------------------------------------- disputes

    /// @dev Imbalance prices or a member's reading, one that is reported if there is any.
    function _subject(uint256 auction, uint256 seed) private view returns (address subject) {
        subject = seed % 2 == 0 ? address(0) : _member(seed / 2);
        for (uint256 i; i < members.length; ++i) {
            if (quorum.reportOf(auction, subject).standing == Standing.Posted) break;
            subject = members[(seed / 2 + i) % members.length];
        }
    }

    function dispute(uint256 which, uint256 what, uint256 who) external now_ {
        uint256 auction = _pastAuction(which);
        address subject = _subject(auction, what);
        address member = _anybody(who);
        Report memory report = quorum.reportOf(auction, subject);
        bool allowed = report.standing == Standing.Posted && clock < report.finalFrom
            && _affords(member, 0, DISPUTE_BOND);
        bytes memory data = abi.encodeCall(IOracleQuorum.dispute, (auction, subject));
        if (_attempt(allowed, member, address(quorum), data)) disputes.push(Dispute(auction, subject, member));
    }

    /// @notice The owner decides, but has nothing to say on every third auction until it is too late.
    function decide(uint256 which, uint256 verdict) external now_ {
        if (disputes.length == 0) return;
        Dispute memory d = disputes[which % disputes.length];
        bool inTime = clock < quorum.reportOf(d.auction, d.subject).finalFrom;
        if (inTime && d.auction % 3 == 0) return;
        bool stands = verdict % 2 == 0;
        bytes memory data = abi.encodeCall(IOracleQuorum.decide, (d.auction, d.subject, stands));
        _attempt(false, d.disputant, address(quorum), data);
        if (!_attempt(inTime, OWNER, address(quorum), data)) return;
        _close(which % disputes.length);
        if (stands) return;
        bytes storage content = d.subject == address(0) ? pasts[d.auction].imbalance : substitutes[d.auction][d.subject];
        fallen[d.auction][d.subject][keccak256(content)] = true;
        if (d.subject == address(0)) delete pasts[d.auction].imbalance;
        else delete substitutes[d.auction][d.subject];
    }

    function lapse(uint256 which) external now_ {
        if (disputes.length == 0) return;
        _lapse(which % disputes.length);
    }

    function _lapse(uint256 index) internal {
        Dispute memory d = disputes[index];
        bool late = clock >= quorum.reportOf(d.auction, d.subject).finalFrom;
        bytes memory data = abi.encodeCall(IOracleQuorum.lapse, (d.auction, d.subject));
        if (_attempt(late, STRANGER, address(quorum), data)) _close(index);
    }

    function _close(uint256 index) private {
        disputes[index] = disputes[disputes.length - 1];
        disputes.pop();
    }

    // ---------------------------------------------------------------- who signs

    function announceQuorum(uint256 who) external now_ {
        address sender = who % 4 == 0 ? _member(who) : OWNER;
        if (announcedTerm != 0 && who % 32 != 1) return; // else it would hardly ever come to pass
        bytes memory data = abi.encodeCall(IOracleQuorum.announceQuorum, (oracles(term + 1), THRESHOLD));
        if (!_attempt(sender == OWNER, sender, address(quorum), data)) return;
        announcedTerm = term + 1;
        announcedFrom = clock + OWNER_DELAY;
    }

    function adoptQuorum(uint256 which) external now_ {
        uint256 next = term + 1 + (which % 8 == 0 ? 1 : 0);
        bool allowed = announcedTerm != 0 && next == announcedTerm && clock >= announcedFrom;
        bytes memory data = abi.encodeCall(IOracleQuorum.adoptQuorum, (oracles(next), THRESHOLD));
        if (!_attempt(allowed, STRANGER, address(quorum), data)) return;
        term = next;
        announcedTerm = 0;
    }
}
