// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {Calendar} from "./Calendar.sol";
import {IEnergyToken} from "./interfaces/IEnergyToken.sol";
import {AuctionState, IMarket} from "./interfaces/IMarket.sol";
import {IOracleQuorum, Standing} from "./interfaces/IOracleQuorum.sol";
import {IRegistry, Parameters} from "./interfaces/IRegistry.sol";
import {EnergyTotals, Entitlement, Evidence, ISettlement} from "./interfaces/ISettlement.sol";
import {IVault} from "./interfaces/IVault.sol";
import {Journals} from "./libraries/Journals.sol";
import {Messages} from "./libraries/Messages.sol";
import {Outcomes} from "./libraries/Outcomes.sol";
import {Packed} from "./libraries/Packed.sol";
import {Rosters} from "./libraries/Rosters.sol";
import {Signatures} from "./libraries/Signatures.sol";
import {Sources} from "./libraries/Sources.sol";
import {Statements} from "./libraries/Statements.sol";

/// @title Settlement
/// @notice Turns signed readings into money and energy tokens, one member at a time. It guarantees that a member is
/// settled exactly once for each position, on its own meter's word as long as the meter speaks in time, that being out
/// of balance never pays better than having traded, and that nobody's silence, the oracle's included, can hold up
/// anybody's money: after the deadlines anyone can settle with deemed readings at the market's own prices.
/// @custom:halt Nobody can: there is no owner and no pause. A dispute delays what it is about until it is decided, or
/// until the owner's time to decide is over.
/// @dev The calls in loops go to our own contracts alone, none of which hands control on; if one fails for a member, the
/// others can be settled without it.
contract Settlement is ISettlement, Calendar, EIP712 {
    using Packed for bytes;
    using Packed for uint256[];

    uint256 private constant PRICE_BYTES = 3;
    uint256 private constant IMBALANCE_BYTES = 2 * PRICE_BYTES;
    uint256 private constant ENERGY_BYTES = 4;
    uint256 private constant SIGNATURE_BYTES = 65;
    uint256 private constant MEMBER_BYTES = 20;
    uint256 private constant PLACE_BYTES = 2;
    uint256 private constant SPENDING_BYTES = 84;
    uint256 private constant PAYMENT_BYTES = 36;
    uint256 private constant SETTLED_BYTES = 48;

    /// @dev Where things stand in a delivery, from behind the member it names: `evidence | zone | cash | fills`. A position
    /// begins at the zone.
    uint256 private constant ZONE_AT = 1;
    uint256 private constant FILLS_AT = 11;

    IRegistry public immutable registry;
    IVault public immutable vault;
    IMarket public immutable market;
    IOracleQuorum public immutable quorum;
    IEnergyToken public immutable token;
    uint256 private immutable _zones;
    int256 private immutable _minPrice;
    int256 private immutable _maxPrice;

    /// @inheritdoc ISettlement
    mapping(uint256 auction => bytes32) public fallbackHashOf;
    mapping(uint256 auction => EnergyTotals) private _totals;

    /// @dev One call's working memory, where places are in memory unless said otherwise.
    /// @param prices Where the imbalance prices start in calldata
    /// @param buffer For one member's readings
    /// @param statement What meters sign, see `Statements`
    /// @param spendings What the market is told, `payments` what the vault is told; `spending` and `payment` where the
    /// next member's part goes
    /// @param journal Where the event's bytes start; `end` where they end by now
    struct Ledger {
        uint256 auction;
        uint256 prices;
        uint256[] buffer;
        uint256 statement;
        uint256 spendings;
        uint256 payments;
        uint256 spending;
        uint256 payment;
        uint256 journal;
        uint256 end;
        EnergyTotals totals;
        Outcome outcome;
    }

    /// @dev Whose delivery it is, and what the registry says of the member.
    struct Deliverer {
        uint256 member;
        uint256 source;
        address meter;
    }

    /// @dev What a member's readings come to.
    struct Outcome {
        int256 imbalance;
        uint256 matched;
        uint256 unmatched;
        uint256 bought;
    }

    constructor(IRegistry registry_, IVault vault_, IMarket market_, IOracleQuorum quorum_, IEnergyToken token_)
        Calendar(registry_.parameters().schedule)
        EIP712("Clearwatt Settlement", "1")
    {
        registry = registry_;
        vault = vault_;
        market = market_;
        quorum = quorum_;
        token = token_;
        Parameters memory p = registry_.parameters();
        _zones = registry_.zones();
        _minPrice = p.minPrice;
        _maxPrice = p.maxPrice;
    }

    // ---------------------------------------------------------------- reports of the quorum

    /// @inheritdoc ISettlement
    function postImbalance(
        uint256 auction,
        bytes calldata prices,
        bytes calldata imbalancePrices,
        bytes calldata signatures
    ) external {
        _requireDelivered(auction);
        _requireTimeToReport(auction);
        _requireCleared(auction, prices);
        _requireInOrder(prices, imbalancePrices);
        emit ImbalancePricesPosted(auction, true, imbalancePrices);
        quorum.postImbalance(auction, imbalancePrices, signatures);
    }

    /// @inheritdoc ISettlement
    function postSubstitute(uint256 auction, address member, bytes calldata readings, bytes calldata signatures)
        external
    {
        _requireTime(Evidence.Substitute, meteringDeadline(auction));
        _requireTimeToReport(auction);
        if (readings.length != ENERGY_BYTES * _slots) revert MalformedReadings(member, readings.length);
        // above all not the zero address, under which the quorum keeps imbalance prices
        if (registry.memberOf(member).meter == address(0)) revert IRegistry.UnknownMember(member);
        emit SubstitutePosted(auction, member, readings);
        quorum.postSubstitute(auction, member, readings, signatures);
    }

    /// @inheritdoc ISettlement
    function postFallback(uint256 auction, bytes calldata prices) external {
        _requireTime(Evidence.Deemed, substituteDeadline(auction));
        if (fallbackHashOf[auction] != 0) revert FallbackPosted(auction);
        _requireCleared(auction, prices);
        if (quorum.reportOf(auction, address(0)).standing != Standing.None) revert ReportStands(auction);
        bytes memory imbalancePrices = _twice(prices);
        fallbackHashOf[auction] = keccak256(imbalancePrices);
        emit ImbalancePricesPosted(auction, false, imbalancePrices);
    }

    function _requireCleared(uint256 auction, bytes calldata prices) private view {
        AuctionState memory state = market.auctionOf(auction);
        if (!state.cleared) revert NotCleared(auction);
        if (bytes29(keccak256(prices)) != state.prices) revert PricesMismatch(auction);
    }

    /// @dev Whatever the quorum signs, an imbalance never pays better than the market's own price.
    function _requireInOrder(bytes calldata prices, bytes calldata imbalancePrices) private view {
        uint256 count = _zones * _slots;
        if (imbalancePrices.length != count * IMBALANCE_BYTES) {
            revert MalformedImbalance(imbalancePrices.length, count * IMBALANCE_BYTES);
        }
        (uint256 priceAt, uint256 surplusAt) = (prices.start(), imbalancePrices.start());
        for (uint256 i; i < count; ++i) {
            int256 price = Packed.int24At(priceAt + i * PRICE_BYTES);
            int256 surplus = Packed.int24At(surplusAt + i * IMBALANCE_BYTES);
            int256 shortage = Packed.int24At(surplusAt + i * IMBALANCE_BYTES + PRICE_BYTES);
            if (surplus < _minPrice || surplus > price || shortage < price || shortage > _maxPrice) {
                revert ImbalanceOutOfOrder(i / _slots, i % _slots, surplus, price, shortage);
            }
        }
    }

    /// @dev Every price as both surplus and shortage price.
    function _twice(bytes calldata prices) private pure returns (bytes memory both) {
        both = new bytes(2 * prices.length);
        uint256 to;
        for (uint256 from; from < prices.length; from += PRICE_BYTES) {
            for (uint256 i; i < IMBALANCE_BYTES; ++i) both[to++] = prices[from + i % PRICE_BYTES];
        }
    }

    // ---------------------------------------------------------------- time

    function _requireDelivered(uint256 auction) private view {
        if (block.timestamp < deliveryEnd(auction)) revert NotDelivered(auction, deliveryEnd(auction));
    }

    function _requireTime(Evidence evidence, uint256 from) private view {
        if (block.timestamp < from) revert TooEarlyFor(evidence, from);
    }

    function _requireTimeToReport(uint256 auction) private view {
        uint256 deadline = substituteDeadline(auction);
        if (block.timestamp >= deadline) revert TooLateToReport(deadline);
    }

    // ---------------------------------------------------------------- deliveries

    // All deliveries are weighed before the first is paid, so that nothing of this contract changes after a call.

    /// @inheritdoc ISettlement
    function settle(uint256 auction, bytes calldata imbalancePrices, bytes calldata deliveries) external {
        _requireInForce(auction, imbalancePrices);
        (uint256 members, uint256 membersEnd) = _list(deliveries);
        uint256 terms = Messages.ask(address(registry), IRegistry.termsOf.selector, members, membersEnd);
        Ledger memory ledger = _open(auction, imbalancePrices.start(), (membersEnd - members) / MEMBER_BYTES);
        Deliverer memory who;
        uint256 cursor = deliveries.start();
        uint256 end = cursor + deliveries.length;
        unchecked {
            for (; cursor < end; terms += 32) {
                uint256 known = Packed.get(terms);
                (who.member, who.source, who.meter) =
                    (uint256(Packed.word(cursor)) >> 96, known >> 160, address(uint160(known)));
                cursor = _weigh(ledger, who, cursor + MEMBER_BYTES);
            }
        }
        _close(ledger);
    }

    /// @inheritdoc ISettlement
    function settleListed(
        uint256 auction,
        bytes calldata imbalancePrices,
        address roster,
        bytes calldata deliveries
    ) external {
        _requireInForce(auction, imbalancePrices);
        if (!registry.isCurrent(roster)) revert RosterOutdated(roster);
        (uint256 first, uint256 count) = Rosters.load(roster);
        Ledger memory ledger =
            _open(auction, imbalancePrices.start(), Math.min(count, _most(deliveries.length)));
        Deliverer memory who;
        uint256 cursor = deliveries.start();
        uint256 end = cursor + deliveries.length;
        uint256 next;
        unchecked {
            while (cursor < end) {
                uint256 place = uint256(Packed.word(cursor)) >> 240;
                // ascending, so that there are no more of them than there is room for
                if (place < next || place >= count) revert NotListed(roster, place);
                next = place + 1;
                (who.member, who.source, who.meter) = Rosters.get(first + place * Rosters.ENTRY_BYTES);
                cursor = _weigh(ledger, who, cursor + PLACE_BYTES);
            }
        }
        // what was read beyond their end comes to nothing
        if (cursor != end) revert MalformedDeliveries(deliveries.length);
        _close(ledger);
    }

    /// @dev After delivery, and at prices that nothing can change any more.
    function _requireInForce(uint256 auction, bytes calldata imbalancePrices) private view {
        _requireDelivered(auction);
        bytes32 content = keccak256(imbalancePrices);
        if (!quorum.isFinal(auction, address(0), content) && content != fallbackHashOf[auction]) {
            revert ImbalanceNotFinal(auction);
        }
    }

    /// @dev Whose deliveries these are, back to back; after this, none reaches beyond their end.
    /// @return members Where in memory they start, and where they `end`
    function _list(bytes calldata deliveries) private view returns (uint256 members, uint256 end) {
        members = Messages.open(_most(deliveries.length) * MEMBER_BYTES);
        end = members;
        uint256 cursor = deliveries.start();
        uint256 last = cursor + deliveries.length;
        unchecked {
            while (cursor < last) {
                uint256 head = uint256(Packed.word(cursor));
                Packed.put(end, head);
                end += MEMBER_BYTES;
                cursor += MEMBER_BYTES + FILLS_AT + _behindPosition(head >> 96, uint8(head >> 88));
            }
        }
        if (cursor != last) revert MalformedDeliveries(deliveries.length);
    }

    /// @dev Most deliveries there can be in so many bytes, the last one cut short.
    function _most(uint256 size) private view returns (uint256) {
        return size / (PLACE_BYTES + FILLS_AT + ENERGY_BYTES * _slots) + 1;
    }

    /// @dev Bytes of a delivery on this evidence from its fills on.
    function _behindPosition(uint256 member, uint256 evidence) private view returns (uint256) {
        unchecked {
            uint256 energy = ENERGY_BYTES * _slots;
            if (evidence == uint256(Evidence.Meter)) return 2 * energy + SIGNATURE_BYTES;
            if (evidence == uint256(Evidence.Substitute)) return 2 * energy;
            if (evidence == uint256(Evidence.Deemed)) return energy;
        }
        revert UnknownEvidence(address(uint160(member)), evidence);
    }

    /// @dev Room for what at most so many deliveries come to.
    function _open(uint256 auction, uint256 prices, uint256 most) private view returns (Ledger memory ledger) {
        ledger.auction = auction;
        ledger.prices = prices;
        ledger.buffer = Packed.allocate(_slots);
        ledger.statement = Statements.open(_domainSeparatorV4(), auction);
        ledger.journal = Journals.open(most * (SETTLED_BYTES + ENERGY_BYTES * _slots));
        ledger.end = ledger.journal;
        ledger.spendings = Messages.open(most * SPENDING_BYTES);
        ledger.payments = Messages.open(most * (PAYMENT_BYTES + 32) + 64);
        ledger.spending = ledger.spendings;
        ledger.payment = ledger.payments;
        ledger.totals = _totals[auction];
    }

    /// @dev Books, logs and pays what all deliveries come to.
    function _close(Ledger memory ledger) private {
        unchecked {
            ledger.totals.settled += uint16((ledger.payment - ledger.payments) / PAYMENT_BYTES);
        }
        _totals[ledger.auction] = ledger.totals;
        Journals.log(ledger.journal, ledger.end, MembersSettled.selector, ledger.auction);
        Messages.send(address(market), IMarket.spend.selector, ledger.auction, ledger.spendings, ledger.spending);
        Messages.forward(address(vault), IVault.settle.selector, ledger.payments, ledger.payment);
    }

    /// @dev Notes what was delivered and what it comes to.
    /// @param cursor Where in calldata the delivery goes on behind the member
    /// @return next Where the next delivery starts
    function _weigh(Ledger memory ledger, Deliverer memory who, uint256 cursor) private view returns (uint256 next) {
        unchecked {
            Outcome memory outcome = ledger.outcome;
            uint256 head = uint256(Packed.word(cursor));
            _weighEnergy(ledger, who.source, cursor + FILLS_AT, head);
            uint256 readings = cursor + FILLS_AT + ENERGY_BYTES * _slots;
            next = _requireEvidence(ledger, who, head >> 248, readings);
            if (who.source != Sources.NONE) _addMatched(ledger.totals, who.source, outcome.matched);
            ledger.totals.bought += uint56(outcome.bought);
            uint256 cash = uint64(head >> 168);
            _note(ledger, who, cursor, cash);
            _log(ledger, who, head >> 248, cash, readings);
        }
    }

    /// @dev `spendings` and `payments` as `IMarket.spend` and `IVault.settle` read them.
    function _note(Ledger memory ledger, Deliverer memory who, uint256 cursor, uint256 cash) private view {
        unchecked {
            Outcome memory outcome = ledger.outcome;
            uint256 at = ledger.spending;
            uint256 member = who.member << 96;
            Packed.put(at, member);
            // the words of the buffer, which has served by now, have room for the position
            uint256 size = FILLS_AT - ZONE_AT + ENERGY_BYTES * _slots;
            Packed.put(at + 20, uint256(Packed.hashOf(cursor + ZONE_AT, size, ledger.buffer)));
            Packed.put(at + 52, uint256(_claim(who.source, outcome.unmatched, outcome.bought)));
            ledger.spending = at + SPENDING_BYTES;
            at = ledger.payment;
            Packed.put(at, member | cash << 32);
            Packed.put(at + 28, uint256(outcome.imbalance) << 192);
            ledger.payment = at + PAYMENT_BYTES;
        }
    }

    /// @dev Adds one member to `MembersSettled`.
    /// @param readings Where in calldata they start, unless they are deemed
    function _log(Ledger memory ledger, Deliverer memory who, uint256 evidence, uint256 cash, uint256 readings)
        private
        view
    {
        unchecked {
            Outcome memory outcome = ledger.outcome;
            uint256 at = ledger.end;
            Packed.put(at, who.member << 96 | evidence << 88 | who.source << 80 | cash << 16);
            Packed.put(
                at + 30, uint256(outcome.imbalance) << 192 | outcome.unmatched << 152 | outcome.bought << 112
            );
            at += SETTLED_BYTES;
            if (evidence != uint256(Evidence.Deemed)) {
                uint256 energy = ENERGY_BYTES * _slots;
                Packed.copy(at, readings, energy);
                at += energy;
            }
            ledger.end = at;
        }
    }

    /// @dev What a member without a source injects is nobody's energy claim.
    /// @param head `evidence | zone`, and more below
    function _weighEnergy(Ledger memory ledger, uint256 source, uint256 fills, uint256 head) private view {
        unchecked {
            Outcome memory outcome = ledger.outcome;
            (outcome.matched, outcome.unmatched) = (0, 0);
            uint256 row = ledger.prices + uint16(head >> 232) * _slots * IMBALANCE_BYTES;
            if (head >> 248 == uint256(Evidence.Deemed)) {
                (outcome.imbalance, outcome.bought) = Outcomes.deemed(row, fills, _slots);
            } else {
                outcome.imbalance = Outcomes.imbalance(row, fills, ledger.buffer);
                outcome.bought = Outcomes.bought(fills, _slots);
                if (source != Sources.NONE) {
                    (outcome.matched, outcome.unmatched) = Outcomes.injected(fills, _slots);
                }
            }
        }
    }

    /// @dev The reading counts only on the word its time allows.
    /// @param readings Where in calldata they start, in words also in the buffer; a meter's signature follows them
    /// @return end Where the delivery ends
    function _requireEvidence(Ledger memory ledger, Deliverer memory who, uint256 evidence, uint256 readings)
        private
        view
        returns (uint256 end)
    {
        unchecked {
            end = readings + ENERGY_BYTES * _slots;
            if (evidence == uint256(Evidence.Meter)) {
                bytes32 digest = Statements.digest(ledger.statement, address(uint160(who.member)), ledger.buffer.hash());
                address signer = Signatures.signerOf(digest, end);
                if (signer != who.meter || signer == address(0)) _refuseStatement(who.member, digest, end);
                return end + SIGNATURE_BYTES;
            }
            address member = address(uint160(who.member));
            if (evidence == uint256(Evidence.Deemed)) {
                _requireTime(Evidence.Deemed, deemedFrom(ledger.auction));
                return readings;
            }
            if (evidence != uint256(Evidence.Substitute)) revert UnknownEvidence(member, evidence);
            bytes32 content = keccak256(Packed.slice(readings, end - readings));
            // slither-disable-next-line calls-loop
            if (!quorum.isFinal(ledger.auction, member, content)) revert SubstituteNotFinal(ledger.auction, member);
        }
    }

    /// @dev Says what is wrong with a signature: that it is none, or whose else it is.
    function _refuseStatement(uint256 member, bytes32 digest, uint256 signature) private pure {
        address signer = ECDSA.recover(
            digest, Packed.byteAt(signature + 64), Packed.word(signature), Packed.word(signature + 32)
        );
        revert WrongMeter(address(uint160(member)), signer);
    }

    // ---------------------------------------------------------------- energy

    /// @dev Nothing here overflows: 2^16 members of 96 slots of an int32 stay below 2^54.
    function _addMatched(EnergyTotals memory totals, uint256 source, uint256 matched) private pure {
        unchecked {
            if (source == Sources.SOLAR) totals.solar += uint56(matched);
            else if (source == Sources.WIND) totals.wind += uint56(matched);
            else if (source == Sources.OTHER_RENEWABLE) totals.otherRenewable += uint56(matched);
        }
    }

    /// @inheritdoc ISettlement
    function drawTokens(uint256 auction, Entitlement[] calldata entitlements) external {
        EnergyTotals memory totals = _totals[auction];
        uint256 live = market.auctionOf(auction).liveBids;
        if (totals.settled != live) revert NotAllSettled(auction, totals.settled, live);
        for (uint256 i; i < entitlements.length; ++i) {
            _draw(auction, totals, entitlements[i]);
        }
    }

    function _draw(uint256 auction, EnergyTotals memory totals, Entitlement memory e) private {
        uint256[] memory shares = new uint256[](Sources.COUNT);
        uint256 matched;
        for (uint8 source = Sources.SOLAR; source < Sources.COUNT; ++source) {
            shares[source] = _shareDown(totals, source, e.bought);
            matched += shares[source];
        }
        emit TokensDrawn(auction, e.member, e.unmatched, matched);
        if (e.source != Sources.NONE) shares[e.source] += e.unmatched;
        // slither-disable-next-line calls-loop
        market.draw(auction, e.member, _claim(e.source, e.unmatched, e.bought));
        for (uint8 source = Sources.SOLAR; source < Sources.COUNT; ++source) {
            // slither-disable-next-line calls-loop
            if (shares[source] != 0) token.mint(e.member, token.idOf(auction, source), shares[source]);
        }
    }

    /// @dev A buyer's part of what was sold and delivered from one source.
    function _shareDown(EnergyTotals memory totals, uint8 source, uint256 bought) private pure returns (uint256) {
        uint256 matched = source == Sources.SOLAR
            ? totals.solar
            : source == Sources.WIND ? totals.wind : totals.otherRenewable;
        return totals.bought == 0 ? 0 : matched * bought / totals.bought;
    }

    /// @dev What the record keeps of a settled member until its tokens are drawn: no more than fits its digest, so the claim
    /// itself and not a hash. The bit on top tells a claim of nothing from none.
    function _claim(uint256 source, uint256 unmatched, uint256 bought) private pure returns (bytes32) {
        unchecked {
            return bytes32(1 << 255 | source << 247 | unmatched << 183 | bought << 119);
        }
    }

    /// @inheritdoc ISettlement
    function totalsOf(uint256 auction) external view returns (EnergyTotals memory) {
        return _totals[auction];
    }
}
