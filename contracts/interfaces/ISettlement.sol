// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @notice On whose word a reading stands. `Meter`: the meter's own signature. `Substitute`: the oracle quorum's,
/// once the meter is late. `Deemed`: nobody's, once both are: a seller delivered nothing, a buyer consumed all.
enum Evidence {
    Meter,
    Substitute,
    Deemed
}

/// @notice What a settled member may draw in energy tokens.
/// @param source What it injects
/// @param unmatched Wh it injected beyond what it had sold
/// @param bought Wh its position bought
struct Entitlement {
    address member;
    uint8 source;
    uint64 unmatched;
    uint64 bought;
}

/// @notice An auction's energy so far, growing with every settled member.
/// @param settled Members settled
/// @param bought Wh bought by their positions
/// @param solar Wh of solar injection that was sold and delivered; likewise `wind` and `otherRenewable`
struct EnergyTotals {
    uint16 settled;
    uint56 bought;
    uint56 solar;
    uint56 wind;
    uint56 otherRenewable;
}

/// @title Deliveries, imbalance and pay-out
interface ISettlement {
    /// @notice The quorum's imbalance prices (`byQuorum`), final unless they fall in a dispute, or the fallback ones.
    event ImbalancePricesPosted(uint256 indexed auction, bool byQuorum, bytes imbalancePrices);

    /// @notice The quorum's reading for a silent meter; final unless it falls in a dispute.
    event SubstitutePosted(uint256 indexed auction, address indexed member, bytes readings);

    /// @notice Members' auctions are settled. Back to back: `member address | evidence uint8 | source uint8 | cash int64 |
    /// imbalance int64 | unmatched uint40 | bought uint40`, then, unless deemed, `readings int32[T]`. Cash is for contracts,
    /// both in money units, positive = received; energy in Wh as in `Entitlement`.
    event MembersSettled(uint256 indexed auction, bytes settlements);

    /// @notice A member's energy tokens of the auction were minted.
    event TokensDrawn(uint256 indexed auction, address indexed member, uint256 unmatched, uint256 matched);

    error NotDelivered(uint256 auction, uint256 deliveryEnd);
    error NotCleared(uint256 auction);
    error FallbackPosted(uint256 auction);
    /// @notice The quorum's imbalance prices stand, or may yet.
    error ReportStands(uint256 auction);
    /// @notice These are not the imbalance prices in force, or they are not final yet.
    error ImbalanceNotFinal(uint256 auction);
    error PricesMismatch(uint256 auction);
    /// @notice Imbalance prices must keep `lowest <= surplus <= price <= shortage <= highest` of the market.
    error ImbalanceOutOfOrder(uint256 zone, uint256 slot, int256 surplus, int256 price, int256 shortage);
    error MalformedImbalance(uint256 length, uint256 expected);
    error MalformedReadings(address member, uint256 length);
    /// @notice The deliveries end in the middle of one.
    error MalformedDeliveries(uint256 length);
    error UnknownEvidence(address member, uint256 evidence);
    /// @notice Since the roster was written, some member's terms have changed; or the registry never wrote it.
    error RosterOutdated(address roster);
    /// @notice Places must ascend, and be in the roster.
    error NotListed(address roster, uint256 place);
    /// @notice The readings are not signed by the member's meter.
    error WrongMeter(address member, address signer);
    /// @notice These are not the readings the quorum reported, or they are not final yet.
    error SubstituteNotFinal(uint256 auction, address member);
    error TooEarlyFor(Evidence evidence, uint256 from);
    /// @notice The quorum's time to report is over.
    error TooLateToReport(uint256 deadline);
    error NotAllSettled(uint256 auction, uint256 settled, uint256 live);

    /// @notice Takes the auction's imbalance prices as signed by the oracle quorum; anyone may post them, from the end
    /// of delivery until the substitute deadline.
    /// @param prices The prices as they were cleared
    /// @param imbalancePrices Per zone and slot, zone-major: `surplus int24 | shortage int24`
    function postImbalance(
        uint256 auction,
        bytes calldata prices,
        bytes calldata imbalancePrices,
        bytes calldata signatures
    ) external;

    /// @notice Takes a reading that the oracle quorum signed in place of a silent meter; anyone may post it, from the
    /// metering deadline until the substitute deadline.
    /// @param readings T packed int32, net Wh
    function postSubstitute(uint256 auction, address member, bytes calldata readings, bytes calldata signatures)
        external;

    /// @notice After the substitute deadline, unless a report of the quorum stands, settles imbalance at the market's own
    /// prices; anyone may call.
    function postFallback(uint256 auction, bytes calldata prices) external;

    /// @notice Settles any number of members; anyone may call.
    /// @param imbalancePrices Those in force
    /// @param deliveries Back to back: `member address | evidence uint8 | zone uint16 | cash int64 | fills int32[T]`, the
    /// position as clearing left it, then, unless deemed, `readings int32[T]`, and on the meter's word its 65 bytes of
    /// signature over `MeterStatement(uint256 auction,address member,int32[] readings)`
    function settle(uint256 auction, bytes calldata imbalancePrices, bytes calldata deliveries) external;

    /// @notice The same, for less gas, where members' terms are read from a roster of the registry (`writeRoster`).
    /// @param roster Current
    /// @param deliveries As above, each with its member's place in the roster, `uint16`, instead of the address; places
    /// ascending
    function settleListed(
        uint256 auction,
        bytes calldata imbalancePrices,
        address roster,
        bytes calldata deliveries
    ) external;

    /// @notice Mints the energy tokens of any number of members once the whole auction is settled; anyone may call.
    /// @dev A claim not drawn before the member's record is used again lapses.
    function drawTokens(uint256 auction, Entitlement[] calldata entitlements) external;

    /// @notice keccak256 of the fallback imbalance prices, 0 unless they apply.
    function fallbackHashOf(uint256 auction) external view returns (bytes32);

    function totalsOf(uint256 auction) external view returns (EnergyTotals memory);
}
