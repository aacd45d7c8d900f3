// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

/// @title Why a clearing was refused
/// @notice Each error carries the number of the rule it enforces; docs/protocol.md states the rules and proves
/// that they suffice. `S4` is the sharing rule for marginal steps.
interface IEquilibriumErrors {
    /// @notice [E1] A sell step sits exactly at its zone's price, but no marginal volume was named for it.
    error E1_SellStepNotNamed(address trader, uint256 step);

    /// @notice [E1] More was said to be sold at the margin than is offered there.
    error E1_SoldBeyondOffer(uint256 zone, uint256 slot, uint256 quantity, uint256 filled);

    /// @notice [E2] A buy step sits exactly at its zone's price, but no marginal volume was named for it.
    error E2_BuyStepNotNamed(address trader, uint256 step);

    /// @notice [E2] More was said to be bought at the margin than is asked for there.
    error E2_BoughtBeyondOffer(uint256 zone, uint256 slot, uint256 quantity, uint256 filled);

    /// @notice [E3] The line from `zone` to its parent would carry more than its limit; positive = export.
    error E3_FlowBeyondLimit(uint256 zone, uint256 slot, int256 flow);

    /// @notice [E3] The price difference over the line does not fit its flow.
    error E3_PriceDifference(uint256 zone, uint256 slot, int256 difference, int256 lowest, int256 highest);

    /// @notice [E4] The tree as a whole injects `surplus` Wh instead of 0.
    error E4_OutOfBalance(uint256 slot, int256 surplus);

    /// @notice [E5] Traders must come strictly ascending, so that nobody comes twice.
    error E5_TradersNotAscending(address trader);

    /// @notice [E5] This is not the bundle that the trader placed in this auction.
    error E5_BidNotRecorded(address trader);

    /// @notice [E5] Somebody's live bid was left out.
    error E5_BidsLeftOut(uint256 live, uint256 found);

    /// @notice [E6] An equilibrium price perhaps, but not the canonical one.
    error E6_PriceNotCanonical(uint256 zone, uint256 slot, int256 price, int256 canonical);

    /// @notice [E7] Both sides are left partly unfilled at the same price: a trade is withheld.
    error E7_TradeWithheld(uint256 zone, uint256 slot, uint256 unsold, uint256 unbought);

    /// @notice [S4] Marginal volumes must come ascending in (zone, slot, side: sell before buy), none empty.
    error S4_MarginalsNotAscending(uint256 index);

    /// @notice [S4] The marginal steps found do not add up to the quantity named.
    error S4_MarginalQuantity(uint256 zone, uint256 slot, bool buy, uint256 named, uint256 found);

    /// @notice The prices are not 3 bytes for every zone and slot.
    error MalformedPrices(uint256 length, uint256 expected);

    /// @notice The marginal volumes are not 16 bytes each.
    error MalformedMarginals(uint256 length);

    /// @notice The bids end in the middle of one.
    error MalformedBids(uint256 length);
}
