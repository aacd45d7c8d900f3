// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {Calendar} from "./Calendar.sol";
import {IEnergyToken} from "./interfaces/IEnergyToken.sol";
import {AuctionState, IMarket} from "./interfaces/IMarket.sol";
import {IOracleQuorum, Standing} from "./interfaces/IOracleQuorum.sol";
import {IRegistry, Member, Parameters} from "./interfaces/IRegistry.sol";
import {EnergyTotals, Entitlement, Evidence, ISettlement} from "./interfaces/ISettlement.sol";
import {IVault} from "./interfaces/IVault.sol";
import {Lanes} from "./libraries/Lanes.sol";
import {Packed} from "./libraries/Packed.sol";
import {Sources} from "./libraries/Sources.sol";

/// @title Settlement
/// @notice Turns signed readings into money and energy tokens, one member at a time. It guarantees that a member is
/// settled exactly once for each position, on its own meter's word as long as the meter speaks in time, that being out
/// of balance never pays better than having traded, and that nobody's silence, the oracle's included, can hold up
/// anybody's money: after the deadlines anyone can settle with deemed readings at the market's own prices.
/// @custom:halt Nobody can: there is no owner and no pause. A dispute delays what it is about until it is decided, or until
/// the owner's time to decide is over.
contract Settlement is ISettlement, Calendar, EIP712 {
    using Lanes for uint256;
    using Packed for bytes;
    using Packed for uint256[];

    bytes32 private constant STATEMENT_TYPEHASH =
        keccak256("MeterStatement(uint256 auction,address member,int32[] readings)");
    uint256 private constant PRICE_BYTES = 3;
    uint256 private constant IMBALANCE_BYTES = 2 * PRICE_BYTES;
    uint256 private constant ENERGY_BYTES = 4;
    uint256 private constant SIGNATURE_BYTES = 65;

    /// @dev Where things stand in a delivery: `member | evidence | zone | cash | fills`. A position begins at the zone.
    uint256 private constant EVIDENCE_AT = 20;
    uint256 private constant ZONE_AT = 21;
    uint256 private constant CASH_AT = 23;
    uint256 private constant FILLS_AT = 39;

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

    /// @dev What is left to do for a member once all deliveries of a call are weighed.
    struct Payment {
        address member;
        bytes32 position;
        bytes32 claim;
        int256 cash;
        int256 imbalance;
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
        for (uint256 i; i < both.length; ++i) {
            both[i] = prices[i / IMBALANCE_BYTES * PRICE_BYTES + i % PRICE_BYTES];
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

    /// @inheritdoc ISettlement
    /// @dev All deliveries are weighed before the first is paid, so that nothing of this contract changes after a call.
    function settle(uint256 auction, bytes calldata imbalancePrices, bytes calldata deliveries) external {
        _requireDelivered(auction);
        bytes32 content = keccak256(imbalancePrices);
        if (!quorum.isFinal(auction, address(0), content) && content != fallbackHashOf[auction]) {
            revert ImbalanceNotFinal(auction);
        }
        Payment[] memory payments = new Payment[](_count(deliveries));
        _weighAll(auction, imbalancePrices.start(), deliveries.start(), payments);
        for (uint256 i; i < payments.length; ++i) {
            Payment memory payment = payments[i];
            uint256 lock = market.spend(auction, payment.member, payment.position, payment.claim);
            vault.settleCash(payment.member, lock, payment.cash, payment.imbalance);
        }
    }

    /// @dev How many deliveries these are; after this, none reaches beyond their end.
    function _count(bytes calldata deliveries) private view returns (uint256 count) {
        uint256 cursor = deliveries.start();
        uint256 end = cursor + deliveries.length;
        unchecked {
            for (; cursor < end; ++count) {
                if (cursor + FILLS_AT > end) revert MalformedDeliveries(deliveries.length);
                cursor += _size(cursor);
            }
        }
        if (cursor != end) revert MalformedDeliveries(deliveries.length);
    }

    /// @dev Bytes of the delivery at `cursor`.
    function _size(uint256 cursor) private view returns (uint256) {
        uint256 evidence = uint8(Packed.word(cursor + EVIDENCE_AT)[0]);
        unchecked {
            uint256 energy = ENERGY_BYTES * _slots;
            if (evidence == uint256(Evidence.Meter)) return FILLS_AT + 2 * energy + SIGNATURE_BYTES;
            if (evidence == uint256(Evidence.Substitute)) return FILLS_AT + 2 * energy;
            if (evidence == uint256(Evidence.Deemed)) return FILLS_AT + energy;
        }
        revert UnknownEvidence(address(bytes20(Packed.word(cursor))), evidence);
    }

    /// @dev Fills in the payments; notes and logs what was delivered.
    function _weighAll(uint256 auction, uint256 prices, uint256 cursor, Payment[] memory payments) private {
        EnergyTotals memory totals = _totals[auction];
        // one buffer for every member, which overwrites all that it hashes: first its position, then its readings
        uint256[] memory buffer = Packed.allocate(_slots);
        for (uint256 i; i < payments.length; ++i) {
            _weigh(auction, prices, cursor, buffer, payments[i], totals);
            cursor += _size(cursor);
        }
        _totals[auction] = totals;
    }

    function _weigh(
        uint256 auction,
        uint256 prices,
        uint256 cursor,
        uint256[] memory buffer,
        Payment memory payment,
        EnergyTotals memory totals
    ) private {
        address account = address(bytes20(Packed.word(cursor)));
        Evidence evidence = Evidence(uint8(Packed.word(cursor + EVIDENCE_AT)[0]));
        Member memory member = registry.memberOf(account);
        payment.member = account;
        payment.cash = int128(uint128(bytes16(Packed.word(cursor + CASH_AT))));
        payment.position = Packed.hashOf(cursor + ZONE_AT, FILLS_AT - ZONE_AT + ENERGY_BYTES * _slots, buffer);
        uint256 row = prices + uint16(bytes2(Packed.word(cursor + ZONE_AT))) * _slots * IMBALANCE_BYTES;
        bool deemed = evidence == Evidence.Deemed;
        Outcome memory outcome =
            deemed ? _deemedOutcome(row, cursor + FILLS_AT) : _outcome(row, cursor + FILLS_AT, buffer);
        bytes calldata readings =
            Packed.slice(cursor + FILLS_AT + ENERGY_BYTES * _slots, deemed ? 0 : ENERGY_BYTES * _slots);
        _requireEvidence(auction, account, evidence, member.meter, readings, buffer);
        if (member.source == Sources.NONE) outcome.unmatched = 0;
        payment.imbalance = outcome.imbalance;
        payment.claim = _claimHash(account, member.source, outcome.unmatched, outcome.bought);
        _addTotals(totals, member.source, outcome);
        emit MemberSettled(
            auction,
            account,
            evidence,
            payment.cash,
            outcome.imbalance,
            readings,
            member.source,
            uint64(outcome.unmatched),
            uint64(outcome.bought)
        );
    }

    /// @dev What each slot's deviation from the position is worth, paid at the surplus price or charged at the shortage
    /// price, which stands 24 bits behind it. Leaves the readings in `words`, a word each. Nothing overflows: a deviation
    /// has 33 bits, its money 57, and that of 96 slots 64. In assembly, four slots a turn, since it runs for every slot of
    /// every member. It writes nothing but `words` and what `Packed.allocate` reserved behind them: slots beyond the last read
    /// as 0 both in the position and in the readings, and are worth nothing.
    /// @param row Where the imbalance prices of the member's zone begin in calldata
    /// @param fills Where the position's fills begin; the readings follow the last
    function _imbalance(uint256 row, uint256 fills, uint256[] memory words) private pure returns (int256 money) {
        assembly ("memory-safe") {
            let ahead := shl(2, mload(words))
            let end := add(fills, ahead)
            for { let word := add(words, 32) } lt(fills, end) { word := add(word, 128) } {
                let contracted := calldataload(fills)
                let readings := calldataload(add(fills, ahead))
                // four slots' pairs of prices fit one word too
                let prices := calldataload(row)
                let beyond := sub(add(fills, 16), end)
                if sgt(beyond, 0) {
                    let kept := not(sub(shl(add(128, shl(3, beyond)), 1), 1))
                    contracted := and(contracted, kept)
                    readings := and(readings, kept)
                }
                let reading := sar(224, readings)
                mstore(word, reading)
                let deviation := sub(reading, sar(224, contracted))
                let price := sar(232, shl(mul(24, slt(deviation, 0)), prices))
                money := add(money, mul(deviation, price))

                reading := sar(224, shl(32, readings))
                mstore(add(word, 32), reading)
                deviation := sub(reading, sar(224, shl(32, contracted)))
                price := sar(232, shl(add(48, mul(24, slt(deviation, 0))), prices))
                money := add(money, mul(deviation, price))

                reading := sar(224, shl(64, readings))
                mstore(add(word, 64), reading)
                deviation := sub(reading, sar(224, shl(64, contracted)))
                price := sar(232, shl(add(96, mul(24, slt(deviation, 0))), prices))
                money := add(money, mul(deviation, price))

                reading := sar(224, shl(96, readings))
                mstore(add(word, 96), reading)
                deviation := sub(reading, sar(224, shl(96, contracted)))
                price := sar(232, shl(add(144, mul(24, slt(deviation, 0))), prices))
                money := add(money, mul(deviation, price))

                fills := add(fills, 16)
                row := add(row, 24)
            }
        }
    }

    /// @dev Wh that the position bought, that were injected as sold, and beyond; eight slots a turn.
    function _energy(uint256 fills) private view returns (uint256 bought, uint256 matched, uint256 unmatched) {
        unchecked {
            uint256 ahead = ENERGY_BYTES * _slots;
            uint256 end = fills + ahead;
            for (; fills < end; fills += 32) {
                uint256 kept = type(uint256).max;
                if (fills + 32 > end) kept <<= 8 * (fills + 32 - end);
                uint256 contracted = uint256(Packed.word(fills)) & kept;
                uint256 injected = Lanes.positive(uint256(Packed.word(fills + ahead)) & kept);
                bought += Lanes.negative(contracted).paired();
                if (injected != 0) {
                    uint256 sold = Lanes.positive(contracted).least(injected);
                    matched += sold.paired();
                    unmatched += (injected - sold).paired();
                }
            }
            return (bought.total(), matched.total(), unmatched.total());
        }
    }

    function _outcome(uint256 row, uint256 fills, uint256[] memory words) private view returns (Outcome memory outcome) {
        outcome.imbalance = _imbalance(row, fills, words);
        (outcome.bought, outcome.matched, outcome.unmatched) = _energy(fills);
    }

    /// @dev The outcome of a deemed reading: per slot the position where that is below 0, else 0.
    function _deemedOutcome(uint256 row, uint256 fills) private view returns (Outcome memory outcome) {
        unchecked {
            uint256 end = fills + ENERGY_BYTES * _slots;
            for (; fills < end; fills += ENERGY_BYTES) {
                int256 contracted = Packed.int32At(fills);
                if (contracted < 0) outcome.bought += uint256(-contracted);
                else outcome.imbalance -= contracted * Packed.int24At(row + PRICE_BYTES);
                row += IMBALANCE_BYTES;
            }
        }
    }

    /// @dev The reading counts only on the word its time allows.
    function _requireEvidence(
        uint256 auction,
        address member,
        Evidence evidence,
        address meter,
        bytes calldata readings,
        uint256[] memory words
    ) private view {
        if (evidence == Evidence.Deemed) {
            _requireTime(Evidence.Deemed, deemedFrom(auction));
        } else if (evidence == Evidence.Substitute) {
            if (!quorum.isFinal(auction, member, keccak256(readings))) revert SubstituteNotFinal(auction, member);
        } else {
            bytes32 digest = _hashTypedDataV4(
                keccak256(abi.encode(STATEMENT_TYPEHASH, auction, member, words.hash()))
            );
            uint256 at = readings.start() + readings.length;
            address signer =
                ECDSA.recover(digest, uint8(Packed.word(at + 64)[0]), Packed.word(at), Packed.word(at + 32));
            if (signer != meter) revert WrongMeter(member, signer);
        }
    }

    // ---------------------------------------------------------------- energy

    /// @dev Nothing here overflows: 2^16 members of 96 slots of an int32 stay below 2^54.
    function _addTotals(EnergyTotals memory totals, uint8 source, Outcome memory outcome) private pure {
        unchecked {
            totals.settled += 1;
            totals.bought += uint56(outcome.bought);
            uint56 matched = uint56(outcome.matched);
            if (source == Sources.SOLAR) totals.solar += matched;
            else if (source == Sources.WIND) totals.wind += matched;
            else if (source == Sources.OTHER_RENEWABLE) totals.otherRenewable += matched;
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
        market.draw(auction, e.member, _claimHash(e.member, e.source, e.unmatched, e.bought));
        for (uint8 source = Sources.SOLAR; source < Sources.COUNT; ++source) {
            if (shares[source] != 0) token.mint(e.member, token.idOf(auction, source), shares[source]);
        }
    }

    /// @dev A buyer's part of what was sold and delivered from one source.
    function _shareDown(EnergyTotals memory totals, uint8 source, uint256 bought) private pure returns (uint256) {
        uint256 matched = source == Sources.SOLAR
            ? totals.solar
            : source == Sources.WIND ? totals.wind : totals.otherRenewable;
        return bought == 0 ? 0 : matched * bought / totals.bought;
    }

    /// @dev What the record keeps of a settled member until its tokens are drawn.
    function _claimHash(address member, uint8 source, uint256 unmatched, uint256 bought)
        private
        pure
        returns (bytes32)
    {
        return keccak256(abi.encode(member, source, unmatched, bought));
    }

    /// @inheritdoc ISettlement
    function totalsOf(uint256 auction) external view returns (EnergyTotals memory) {
        return _totals[auction];
    }
}
