"""Ways to falsify a claim, each at a random place. Most break a rule; some leave the claim as good as it was."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from clearwatt.clearing.auction import Auction, Claim, Marginal
from clearwatt.clearing.equilibrium import claim_of
from clearwatt.clearing.tree import clear
from clearwatt.grid import NO_LIMIT, Grid, Line
from clearwatt.units import INT24_MAX, INT24_MIN

Tampering = Callable[[np.random.Generator, Auction, Claim], Claim]


def tampered_claims(rng: np.random.Generator, auction: Auction, claim: Claim, count: int) -> list[Claim]:
    """So many falsified claims; fewer where a way has nothing to falsify."""
    ways = [WAYS[int(rng.integers(len(WAYS)))] for _ in range(count)]
    claims = [way(rng, auction, claim) for way in ways]
    return [falsified for falsified in claims if falsified != claim]


def _pick(rng: np.random.Generator, items: Sequence[Marginal]) -> int:
    return int(rng.integers(len(items)))


def _with_prices(claim: Claim, prices: Sequence[Sequence[int]]) -> Claim:
    bounded = tuple(tuple(min(max(price, INT24_MIN), INT24_MAX) for price in row) for row in prices)
    return replace(claim, prices=bounded)


def _with_fills_at(auction: Auction, rng: np.random.Generator, claim: Claim) -> Claim:
    """The claim's prices with marginal volumes that fit them, filled at random."""
    quantities: dict[tuple[int, int, bool], int] = {}
    for bid in auction.bids:
        for step in bid.steps:
            if step.price == claim.prices[bid.zone][step.slot]:
                place = (bid.zone, step.slot, step.quantity < 0)
                quantities[place] = quantities.get(place, 0) + abs(step.quantity)
    marginals = [
        Marginal(
            zone,
            slot,
            "buy" if buy else "sell",
            quantity,
            int(rng.choice([0, quantity, rng.integers(quantity + 1)])),
        )
        for (zone, slot, buy), quantity in sorted(quantities.items())
    ]
    return replace(claim, marginals=tuple(marginals))


def one_price(rng: np.random.Generator, auction: Auction, claim: Claim) -> Claim:
    """One price moved; marginal volumes left as they were."""
    prices = [list(row) for row in claim.prices]
    prices[rng.integers(auction.grid.zones)][rng.integers(auction.slots)] += int(
        rng.choice([-7, -1, 1, 1, 7])
    )
    return _with_prices(claim, prices)


def one_price_refilled(rng: np.random.Generator, auction: Auction, claim: Claim) -> Claim:
    """One price moved, and whoever is at the price then filled at random."""
    return _with_fills_at(auction, rng, one_price(rng, auction, claim))


def all_prices(rng: np.random.Generator, auction: Auction, claim: Claim) -> Claim:
    """All prices of one slot moved by the same, marginal volumes refilled: differences still fit the flows."""
    slot, shift = int(rng.integers(auction.slots)), int(rng.choice([-1, 1]))
    moved = [[price + shift * (t == slot) for t, price in enumerate(row)] for row in claim.prices]
    return _with_fills_at(auction, rng, _with_prices(claim, moved))


def refilled(rng: np.random.Generator, auction: Auction, claim: Claim) -> Claim:
    """Every marginal volume filled at random."""
    return _with_fills_at(auction, rng, claim)


def one_fill(rng: np.random.Generator, auction: Auction, claim: Claim) -> Claim:
    """One marginal volume filled a little more or less, perhaps beyond its quantity."""
    if not claim.marginals:
        return claim
    chosen = _pick(rng, claim.marginals)
    marginals = list(claim.marginals)
    filled = max(0, marginals[chosen].filled + int(rng.choice([-3, -1, 1, 3])))
    marginals[chosen] = marginals[chosen]._replace(filled=filled)
    return replace(claim, marginals=tuple(marginals))


def moved_fill(rng: np.random.Generator, auction: Auction, claim: Claim) -> Claim:
    """Volume moved from one marginal side to another of the same slot and side: the balance stays."""
    if len(claim.marginals) < 2:
        return claim
    marginals = list(claim.marginals)
    first, second = rng.choice(len(marginals), size=2, replace=False)
    giver, taker = marginals[first], marginals[second]
    if (giver.slot, giver.side) != (taker.slot, taker.side):
        return claim
    volume = min(giver.filled, taker.quantity - taker.filled)
    marginals[first] = giver._replace(filled=giver.filled - volume)
    marginals[second] = taker._replace(filled=taker.filled + volume)
    return replace(claim, marginals=tuple(marginals))


def withheld_trade(rng: np.random.Generator, auction: Auction, claim: Claim) -> Claim:
    """A zone's marginal sells and buys in one slot both filled less: the balance stays."""
    pairs = [
        index
        for index, (sell, buy) in enumerate(zip(claim.marginals, claim.marginals[1:], strict=False))
        if sell[:2] == buy[:2] and sell.filled and buy.filled
    ]
    if not pairs:
        return claim
    index = int(rng.choice(pairs))
    marginals = list(claim.marginals)
    less = int(rng.integers(1, min(marginals[index].filled, marginals[index + 1].filled) + 1))
    for place in (index, index + 1):
        marginals[place] = marginals[place]._replace(filled=marginals[place].filled - less)
    return replace(claim, marginals=tuple(marginals))


def one_quantity(rng: np.random.Generator, auction: Auction, claim: Claim) -> Claim:
    """One marginal quantity named wrong."""
    if not claim.marginals:
        return claim
    chosen = _pick(rng, claim.marginals)
    marginals = list(claim.marginals)
    quantity = max(0, marginals[chosen].quantity + int(rng.choice([-1, 1, 1000])))
    marginals[chosen] = marginals[chosen]._replace(quantity=quantity)
    return replace(claim, marginals=tuple(marginals))


def rearranged(rng: np.random.Generator, auction: Auction, claim: Claim) -> Claim:
    """A marginal volume left out, named twice, or in another place of the list."""
    if not claim.marginals:
        return claim
    marginals = list(claim.marginals)
    taken = marginals.pop(_pick(rng, marginals))
    for _ in range(int(rng.integers(3))):
        marginals.insert(int(rng.integers(len(marginals) + 1)), taken)
    return replace(claim, marginals=tuple(marginals))


def made_up(rng: np.random.Generator, auction: Auction, claim: Claim) -> Claim:
    """A marginal volume named at a random place, in its order."""
    side = "buy" if rng.random() < 0.5 else "sell"
    place = (int(rng.integers(auction.grid.zones)), int(rng.integers(auction.slots)))
    marginals = (*claim.marginals, Marginal(*place, side, int(rng.integers(1, 9)), 0))
    return replace(claim, marginals=tuple(sorted(marginals, key=lambda m: (m.zone, m.slot, m.side == "buy"))))


def other_line(rng: np.random.Generator, auction: Auction, claim: Claim) -> Claim:
    """An honest claim, but for a grid in which one line is another."""
    if auction.grid.zones == 1:
        return claim
    lines = list(auction.grid.lines)
    limits = (int(rng.choice([0, 3, NO_LIMIT])), int(rng.choice([0, 3, NO_LIMIT])))
    lines[int(rng.integers(1, len(lines)))] = Line(*limits, fee=int(rng.integers(4)))
    other = replace(auction, grid=Grid(auction.grid.parents, tuple(lines)))
    return claim_of(other, clear(other))


def fewer_bids(rng: np.random.Generator, auction: Auction, claim: Claim) -> Claim:
    """An honest claim, but for an auction in which one bid is missing; the volumes at its prices named in full."""
    if not auction.bids:
        return claim
    gone = int(rng.integers(len(auction.bids)))
    other = replace(auction, bids=auction.bids[:gone] + auction.bids[gone + 1 :])
    return _with_fills_at(auction, rng, claim_of(other, clear(other)))


WAYS: tuple[Tampering, ...] = (
    one_price,
    one_price_refilled,
    all_prices,
    refilled,
    one_fill,
    moved_fill,
    withheld_trade,
    one_quantity,
    rearranged,
    made_up,
    other_line,
    fewer_bids,
)
