"""What an auction left everybody with, and what deviating from it costs: derived from the chain and the readings."""

from collections.abc import Mapping, Sequence

import numpy as np

from clearwatt.chain import codec
from clearwatt.chain.market import AuctionView, MarketRules
from clearwatt.clearing.equilibrium import check_claim
from clearwatt.clearing.positions import Position, positions
from clearwatt.oracle.balancing import imbalance_prices


def positions_of(auction: AuctionView, rules: MarketRules) -> dict[str, Position]:
    """What the accepted clearing left each member with, derived from the chain alone."""
    problem = auction.problem(rules)
    return positions(problem, check_claim(problem, auction.claim(rules)))


def balancing_limits(
    auction: AuctionView, rules: MarketRules, prices: Sequence[int]
) -> tuple[list[int], list[int]]:
    """What the balancing party asks and offers per slot, ticks, by its own bid; `prices` where it says nothing."""
    bid = auction.bids.get(rules.balancing_party)
    asks, offers = [int(price) for price in prices], [int(price) for price in prices]
    for step in bid.steps if bid else ():
        if step.quantity > 0:
            asks[step.slot] = max(step.price, asks[step.slot])
        else:
            offers[step.slot] = min(step.price, offers[step.slot])
    return asks, offers


def imbalance_of(auction: AuctionView, rules: MarketRules, readings: Mapping[str, Sequence[int]]) -> bytes:
    """Imbalance prices of a cleared auction, packed as `codec.pack_imbalance`.

    By what the community's imbalance costs at the balancing party's own limits. readings: net Wh per slot, by
    member; whose are missing counts as having kept to its position.
    """
    contracted = positions_of(auction, rules)
    # in one order, whatever the readings came in
    members = [member for member in contracted if member in readings and member != rules.balancing_party]
    shape = (len(members), rules.schedule.slots)
    measured = np.array([readings[member] for member in members], np.int64).reshape(shape)
    fills = np.array([contracted[member].fills for member in members], np.int64).reshape(shape)
    prices = np.array(auction.claim(rules).prices, np.int64)
    asks, offers = balancing_limits(auction, rules, prices[0])
    zones = [contracted[member].zone for member in members]
    surplus, shortage = imbalance_prices(prices, measured - fills, zones, asks, offers)
    # the contract takes no price beyond the market's own
    low, high = np.maximum(surplus, rules.min_price), np.minimum(shortage, rules.max_price)
    return codec.pack_imbalance(low.tolist(), high.tolist())
