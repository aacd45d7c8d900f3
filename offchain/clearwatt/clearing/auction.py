"""What is cleared and what comes out: the types that solver, check and chain share.

Canonical order: members by address, ascending, and each bundle's steps as they stand. Marginal
shares (protocol, section 4) are dealt out in this order, so it is part of the result's meaning.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np

from clearwatt.bids import Bid
from clearwatt.grid import Grid

Side = Literal["sell", "buy"]


@dataclass(frozen=True)
class Auction:
    """One auction's whole input.

    slots: T, number of delivery slots cleared together (1..96).
    min_price, max_price: bounds of every price and limit, ticks.
    grid: the tree of zones.
    bids: at most one per member, in any order.
    """

    slots: int
    min_price: int
    max_price: int
    grid: Grid
    bids: tuple[Bid, ...]

    @cached_property
    def steps(self) -> "StepTable":
        """All steps as columns, in canonical order."""
        return StepTable.from_bids(self.bids)


@dataclass(frozen=True)
class StepTable:
    """Steps as columns, in canonical order; each array has one entry per step.

    zone, slot: int64. price: ticks, int64. quantity: Wh, int64, positive = sell.
    bid: index into the auction's ``bids`` of the bundle the step comes from, int64.
    """

    zone: np.ndarray
    slot: np.ndarray
    price: np.ndarray
    quantity: np.ndarray
    bid: np.ndarray

    @classmethod
    def from_bids(cls, bids: tuple[Bid, ...]) -> "StepTable":
        """Columns of all steps of all bids, members ascending by address."""
        order = sorted(range(len(bids)), key=lambda index: int(bids[index].member, 16))
        rows = [(bids[index].zone, *step, index) for index in order for step in bids[index].steps]
        columns = np.array(rows, dtype=np.int64).reshape(-1, 5)
        return cls(*np.ascontiguousarray(columns.T))

    def __len__(self) -> int:
        return len(self.price)


@dataclass(frozen=True)
class Result:
    """A cleared auction.

    prices: [Z][T] ticks.
    flows: [Z][T] Wh on each zone's line, positive towards the parent; row 0 is zero.
    fills: per bid (in the order of ``Auction.bids``) and step, Wh, signed like the step's quantity.
    welfare: buyers' value - sellers' cost - network fees, money units.
    """

    prices: tuple[tuple[int, ...], ...]
    flows: tuple[tuple[int, ...], ...]
    fills: tuple[tuple[int, ...], ...]
    welfare: int


class Marginal(NamedTuple):
    """The steps of one side that sit exactly at their zone's price in one slot.

    quantity: what they offer together, Wh > 0. filled: what of it is filled, 0..quantity.
    """

    zone: int
    slot: int
    side: Side
    quantity: int
    filled: int


@dataclass(frozen=True)
class Claim:
    """What a solver sends to the chain: prices, and the marginal volumes. The rest is derived.

    prices: [Z][T] ticks.
    marginals: every (zone, slot, side) that has steps at the price, ascending in
        (zone, slot, side) with sell before buy.
    """

    prices: tuple[tuple[int, ...], ...]
    marginals: tuple[Marginal, ...]
