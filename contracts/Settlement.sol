// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {Calendar} from "./Calendar.sol";
import {IEnergyToken} from "./interfaces/IEnergyToken.sol";
import {AuctionState, IMarket} from "./interfaces/IMarket.sol";
import {IOracleQuorum} from "./interfaces/IOracleQuorum.sol";
import {IRegistry, Member, Parameters} from "./interfaces/IRegistry.sol";
import {Delivery, EnergyTotals, Entitlement, Evidence, ISettlement} from "./interfaces/ISettlement.sol";
import {IVault} from "./interfaces/IVault.sol";
import {Packed} from "./libraries/Packed.sol";
import {Sources} from "./libraries/Sources.sol";

/// @title Settlement
/// @notice Turns signed readings into money and energy tokens, one member at a time. It guarantees that a member is
/// settled exactly once for each position, on its own meter's word as long as the meter speaks in time, that being out
/// of balance never pays better than having traded, and that nobody's silence, the oracle's included, can hold up
/// anybody's money: after the deadlines anyone can settle with deemed readings at the market's own prices.
/// @custom:halt Nobody can: there is no owner and no pause.
contract Settlement is ISettlement, Calendar, EIP712 {
    using Packed for bytes;

    bytes32 private constant STATEMENT_TYPEHASH =
        keccak256("MeterStatement(uint256 auction,address member,int32[] readings)");
    uint256 private constant POSITION_HEAD = 18;
    uint256 private constant IMBALANCE_BYTES = 6;

    IRegistry public immutable registry;
    IVault public immutable vault;
    IMarket public immutable market;
    IOracleQuorum public immutable quorum;
    IEnergyToken public immutable token;
    uint256 private immutable _zones;
    int256 private immutable _minPrice;
    int256 private immutable _maxPrice;

    mapping(uint256 auction => bytes32) public imbalanceHashOf;
    mapping(uint256 auction => EnergyTotals) private _totals;

    /// @dev One member's settlement as it is worked out.
    struct Outcome {
        int256 cash;
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

    // ---------------------------------------------------------------- imbalance prices

    /// @inheritdoc ISettlement
    function postImbalance(
        uint256 auction,
        bytes calldata prices,
        bytes calldata imbalancePrices,
        bytes calldata signatures
    ) external {
        _requireUnposted(auction, prices);
        uint256 count = _zones * _slots;
        if (imbalancePrices.length != count * IMBALANCE_BYTES) {
            revert MalformedImbalance(imbalancePrices.length, count * IMBALANCE_BYTES);
        }
        for (uint256 i; i < count; ++i) {
            int256 price = prices.int24At(i);
            (int256 surplus, int256 shortage) = (imbalancePrices.int24At(2 * i), imbalancePrices.int24At(2 * i + 1));
            if (surplus < _minPrice || surplus > price || shortage < price || shortage > _maxPrice) {
                revert ImbalanceOutOfOrder(i / _slots, i % _slots, surplus, price, shortage);
            }
        }
        quorum.requireImbalance(auction, imbalancePrices, signatures);
        imbalanceHashOf[auction] = keccak256(imbalancePrices);
        emit ImbalancePricesPosted(auction, true, imbalancePrices);
    }

    /// @inheritdoc ISettlement
    function postFallback(uint256 auction, bytes calldata prices) external {
        _requireUnposted(auction, prices);
        _requireTime(Evidence.Deemed, substituteDeadline(auction));
        uint256 count = _zones * _slots;
        bytes memory imbalancePrices = new bytes(count * IMBALANCE_BYTES);
        for (uint256 i; i < count * IMBALANCE_BYTES; ++i) {
            imbalancePrices[i] = prices[i / IMBALANCE_BYTES * 3 + i % 3];
        }
        imbalanceHashOf[auction] = keccak256(imbalancePrices);
        emit ImbalancePricesPosted(auction, false, imbalancePrices);
    }

    function _requireUnposted(uint256 auction, bytes calldata prices) private view {
        if (imbalanceHashOf[auction] != 0) revert ImbalanceAlreadyPosted(auction);
        AuctionState memory state = market.auctionOf(auction);
        if (!state.cleared) revert NotCleared(auction);
        if (bytes29(keccak256(prices)) != state.prices) revert PricesMismatch(auction);
    }

    // ---------------------------------------------------------------- deliveries

    /// @inheritdoc ISettlement
    function settle(uint256 auction, bytes calldata imbalancePrices, Delivery[] calldata deliveries) external {
        if (block.timestamp < deliveryEnd(auction)) revert NotDelivered(auction, deliveryEnd(auction));
        bytes32 posted = imbalanceHashOf[auction];
        if (posted == 0) revert ImbalanceNotPosted(auction);
        if (posted != keccak256(imbalancePrices)) revert ImbalanceMismatch(auction);
        EnergyTotals memory totals = _totals[auction];
        for (uint256 i; i < deliveries.length; ++i) {
            _settleMember(auction, imbalancePrices, deliveries[i], totals);
        }
        _totals[auction] = totals;
    }

    function _settleMember(
        uint256 auction,
        bytes calldata imbalancePrices,
        Delivery calldata delivery,
        EnergyTotals memory totals
    ) private {
        if (delivery.position.length != POSITION_HEAD + 4 * _slots) {
            revert MalformedPosition(delivery.member, delivery.position.length);
        }
        Member memory member = registry.memberOf(delivery.member);
        _requireEvidence(auction, delivery, member.meter);
        Outcome memory outcome = _outcome(imbalancePrices, delivery);
        if (member.source == Sources.NONE) outcome.unmatched = 0;
        Entitlement memory entitlement = Entitlement({
            member: delivery.member,
            source: member.source,
            unmatched: uint64(outcome.unmatched),
            bought: uint64(outcome.bought)
        });
        _addTotals(totals, member.source, outcome);
        uint256 lock =
            market.spend(auction, delivery.member, keccak256(delivery.position), _claimHash(entitlement));
        vault.settle(delivery.member, lock, outcome.cash, outcome.imbalance);
        _log(auction, delivery, outcome, entitlement);
    }

    function _log(
        uint256 auction,
        Delivery calldata delivery,
        Outcome memory outcome,
        Entitlement memory entitlement
    ) private {
        emit MemberSettled(
            auction,
            delivery.member,
            delivery.evidence,
            outcome.cash,
            outcome.imbalance,
            delivery.readings,
            entitlement.source,
            entitlement.unmatched,
            entitlement.bought
        );
    }

    /// @dev The reading counts only on the word its time allows.
    function _requireEvidence(uint256 auction, Delivery calldata delivery, address meter) private view {
        if (delivery.evidence == Evidence.Deemed) {
            _requireTime(Evidence.Deemed, substituteDeadline(auction));
            if (delivery.readings.length != 0) revert MalformedReadings(delivery.member, delivery.readings.length);
            return;
        }
        if (delivery.readings.length != 4 * _slots) {
            revert MalformedReadings(delivery.member, delivery.readings.length);
        }
        if (delivery.evidence == Evidence.Substitute) {
            _requireTime(Evidence.Substitute, meteringDeadline(auction));
            quorum.requireSubstitute(auction, delivery.member, delivery.readings, delivery.signatures);
        } else {
            bytes32 digest = _statementDigest(auction, delivery.member, delivery.readings);
            address signer = ECDSA.recover(digest, delivery.signatures);
            if (signer != meter) revert WrongMeter(delivery.member, signer);
        }
    }

    function _requireTime(Evidence evidence, uint256 from) private view {
        if (block.timestamp < from) revert TooEarlyFor(evidence, from);
    }

    function _statementDigest(uint256 auction, address member, bytes calldata readings)
        private
        view
        returns (bytes32)
    {
        int256[] memory words = new int256[](_slots);
        for (uint256 slot; slot < words.length; ++slot) words[slot] = readings.int32At(0, slot);
        return _hashTypedDataV4(
            keccak256(abi.encode(STATEMENT_TYPEHASH, auction, member, keccak256(abi.encodePacked(words))))
        );
    }

    /// @dev Contract cash comes with the position; each slot's deviation from it is paid at the surplus price or
    /// charged at the shortage price of the member's zone.
    function _outcome(bytes calldata imbalancePrices, Delivery calldata delivery)
        private
        view
        returns (Outcome memory outcome)
    {
        bytes calldata position = delivery.position;
        uint256 row = uint16(bytes2(position[:2])) * _slots;
        outcome.cash = int128(uint128(bytes16(position[2:POSITION_HEAD])));
        bool deemed = delivery.evidence == Evidence.Deemed;
        unchecked {
            for (uint256 slot; slot < _slots; ++slot) {
                int256 contracted = position.int32At(POSITION_HEAD, slot);
                int256 reading = deemed ? _min(contracted, 0) : delivery.readings.int32At(0, slot);
                int256 deviation = reading - contracted;
                if (deviation != 0) {
                    uint256 column = 2 * (row + slot) + (deviation < 0 ? 1 : 0);
                    outcome.imbalance += deviation * imbalancePrices.int24At(column);
                }
                if (contracted < 0) outcome.bought += uint256(-contracted);
                if (reading > 0) {
                    uint256 matched = uint256(_max(_min(reading, contracted), 0));
                    outcome.matched += matched;
                    outcome.unmatched += uint256(reading) - matched;
                }
            }
        }
    }

    // ---------------------------------------------------------------- energy

    /// @dev Nothing here overflows: 2^16 members of 96 slots of an int32 stay below 2^54.
    function _addTotals(EnergyTotals memory totals, uint8 source, Outcome memory outcome) private pure {
        totals.settled += 1;
        totals.bought += uint56(outcome.bought);
        uint56 matched = uint56(outcome.matched);
        if (source == Sources.SOLAR) totals.solar += matched;
        else if (source == Sources.WIND) totals.wind += matched;
        else if (source == Sources.OTHER_RENEWABLE) totals.otherRenewable += matched;
    }

    /// @inheritdoc ISettlement
    function drawTokens(uint256 auction, Entitlement[] calldata entitlements) external {
        EnergyTotals memory totals = _totals[auction];
        uint256 live = market.auctionOf(auction).liveBids;
        if (totals.settled != live) revert NotAllSettled(auction, totals.settled, live);
        for (uint256 i; i < entitlements.length; ++i) {
            Entitlement memory e = entitlements[i];
            market.draw(auction, e.member, _claimHash(e));
            uint256 matched;
            for (uint8 source = Sources.SOLAR; source < Sources.COUNT; ++source) {
                uint256 share = _shareDown(totals, source, e.bought);
                matched += share;
                if (source == e.source) share += e.unmatched;
                if (share != 0) token.mint(e.member, token.idOf(auction, source), share);
            }
            emit TokensDrawn(auction, e.member, e.unmatched, matched);
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
    function _claimHash(Entitlement memory e) private pure returns (bytes32) {
        return keccak256(abi.encode(e));
    }

    /// @inheritdoc ISettlement
    function totalsOf(uint256 auction) external view returns (EnergyTotals memory) {
        return _totals[auction];
    }

    function _min(int256 a, int256 b) private pure returns (int256) {
        return a < b ? a : b;
    }

    function _max(int256 a, int256 b) private pure returns (int256) {
        return a > b ? a : b;
    }
}
