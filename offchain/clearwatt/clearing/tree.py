"""Exact clearing of a tree of zones: integers only, no LP, no tolerance.

The lowest equilibrium prices are found like a number's digits, the high ones first. They never fall
when limits rise, and rise by r when all limits (and the lowest price) rise by r. So with every limit
rounded down to a multiple of 2^g they come out too low by 0 to 2^g - 1, in every zone: each round
leaves a window of 2^g prices per zone and slot, and the steps outside it are decided. While there are
many steps for each zone and slot they are counted into rounded prices without any sorting; the few
that remain in the last round are sorted and merged exactly (curves.py).
"""

from typing import NamedTuple

import numpy as np

from clearwatt.clearing.auction import Auction, Result
from clearwatt.clearing.cells import UNBOUNDED, Cells
from clearwatt.clearing.curves import Balance, Window, balance
from clearwatt.clearing.shares import pro_rata
from clearwatt.grid import Grid
from clearwatt.units import INT32_MAX

STEPS_PER_BIN = 4
"""Average number of steps for each rounded price of a round."""

FEWEST_BINS = 4
"""Rounded prices per zone and slot below which sorting the steps is cheaper than another round."""


class ClearingError(ValueError):
    """Steps that are no part of this auction."""


class ClearedSteps(NamedTuple):
    """A cleared auction as columns, all int64.

    prices: [Z, T] ticks. flows: [Z, T] Wh towards the parent; row 0 is zero.
    fills: [N] Wh, signed like the quantities. welfare: money units.
    """

    prices: np.ndarray
    flows: np.ndarray
    fills: np.ndarray
    welfare: int


class _Steps(NamedTuple):
    """Steps as columns: cell, price above the auction's lowest in ticks, volume in Wh > 0."""

    cell: np.ndarray
    price: np.ndarray
    volume: np.ndarray


def clear(auction: Auction) -> Result:
    """The welfare optimum of an auction at its canonical prices.

    Raises `ClearingError` if a step lies outside the auction's zones, slots or price bounds.
    """
    steps = auction.steps
    cleared = clear_steps(
        auction.grid,
        auction.slots,
        auction.min_price,
        auction.max_price,
        steps.zone,
        steps.slot,
        steps.price,
        steps.quantity,
    )
    fills: list[list[int]] = [[] for _ in auction.bids]
    for bid, fill in zip(steps.bid.tolist(), cleared.fills.tolist(), strict=True):
        fills[bid].append(fill)
    return Result(
        prices=tuple(map(tuple, cleared.prices.tolist())),
        flows=tuple(map(tuple, cleared.flows.tolist())),
        fills=tuple(map(tuple, fills)),
        welfare=cleared.welfare,
    )


def clear_steps(
    grid: Grid,
    slots: int,
    min_price: int,
    max_price: int,
    zone: np.ndarray,
    slot: np.ndarray,
    price: np.ndarray,
    quantity: np.ndarray,
) -> ClearedSteps:
    """`clear` for steps as integer columns [N] in canonical order; price in ticks, quantity in Wh."""
    zone, slot, price, quantity = (np.asarray(column, np.int64) for column in (zone, slot, price, quantity))
    _check("zone", zone, 0, grid.zones - 1)
    _check("slot", slot, 0, slots - 1)
    _check("price", price, min_price, max_price)
    _check("quantity", quantity, -INT32_MAX, INT32_MAX)
    cells = Cells.of(grid, slots)
    steps = _Steps(cells.index(zone, slot), price - min_price, np.abs(quantity))
    optimum, lowest = _lowest_equilibrium(cells, max_price - min_price, steps, quantity)
    highest = _highest_prices(cells, max_price - min_price, steps, optimum, lowest)
    canonical = (lowest + highest) >> 1
    fills = _fills(steps, quantity, canonical, optimum.own)
    flows = cells.by_zone(optimum.flow)
    welfare = _welfare(grid, price, fills, flows)
    return ClearedSteps(cells.by_zone(canonical) + min_price, flows, fills, welfare)


def _check(name: str, column: np.ndarray, least: int, most: int) -> None:
    if len(column) and not least <= column.min() <= column.max() <= most:
        index = int(np.flatnonzero((column < least) | (column > most))[0])
        raise ClearingError(f"step {index}: {name} {column[index]} is not between {least} and {most}")


def _lowest_equilibrium(
    cells: Cells, highest: int, steps: _Steps, quantity: np.ndarray
) -> tuple[Balance, np.ndarray]:
    """An optimum and, per cell, the lowest of the prices that go with it."""
    start = np.zeros(len(cells), dtype=np.int64)
    np.add.at(start, steps.cell, np.minimum(quantity, 0))
    window = Window(np.zeros(len(cells), dtype=np.int64), highest.bit_length())
    while True:
        grain = _grain(window, len(steps.cell))
        optimum = balance(cells, window, start, *_rounded(window, steps, grain))
        lowest = cells.lowest(optimum.floor, *cells.line_bounds(optimum.flow))
        if grain == 0:
            return optimum, lowest
        window = Window(lowest, grain)
        steps = _undecided(window, steps, start)


def _grain(window: Window, steps: int) -> int:
    """How many low bits of the limits the next round leaves out; 0 when it is the last."""
    bins = steps // (STEPS_PER_BIN * len(window.low))
    return max(0, window.bits - bins.bit_length()) if bins >= FEWEST_BINS else 0


def _rounded(window: Window, steps: _Steps, grain: int) -> tuple[np.ndarray, np.ndarray]:
    """Keys and volumes of the steps with limits rounded down to 2^grain, but not out of the window."""
    bins = (1 << window.bits - grain) + 1
    if bins * len(window.low) > len(steps.cell):
        floored = np.maximum(steps.price >> grain << grain, window.low[steps.cell])
        return window.key(steps.cell, floored), steps.volume
    lowest = window.low >> grain
    counted = np.zeros(bins * len(window.low), dtype=np.int64)
    first = np.arange(len(window.low)) * bins - lowest
    np.add.at(counted, first[steps.cell] + (steps.price >> grain), steps.volume)
    used = np.flatnonzero(counted)
    cell, place = np.divmod(used, bins)
    floored = np.maximum(lowest[cell] + place << grain, window.low[cell])
    return window.key(cell, floored), counted[used]


def _undecided(window: Window, steps: _Steps, start: np.ndarray) -> _Steps:
    """The steps with limits in the window; adds to `start` the volume of those below it."""
    place = steps.price - window.low[steps.cell]
    np.add.at(start, steps.cell, steps.volume * (place < 0))
    within = np.flatnonzero(place.view(np.uint64) < 1 << window.bits)  # a negative place reads as a huge one
    return _Steps(*(column[within] for column in steps))


def _highest_prices(
    cells: Cells, highest: int, steps: _Steps, optimum: Balance, lowest: np.ndarray
) -> np.ndarray:
    """Per cell, the highest of the prices that go with the optimum."""
    ceiling = np.minimum(optimum.ceiling, highest)
    unknown = optimum.ceiling == UNBOUNDED
    if unknown.any():
        # All that lies in the window is taken there, so the next limit above bounds the price.
        above = np.flatnonzero(unknown[steps.cell] & (steps.price > lowest[steps.cell]))
        np.minimum.at(ceiling, steps.cell[above], steps.price[above])
    return cells.highest(ceiling, *cells.line_bounds(optimum.flow))


def _fills(steps: _Steps, quantity: np.ndarray, prices: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Strictly better steps whole, strictly worse ones not at all, those at the price share the rest."""
    gain = prices[steps.cell] - steps.price
    fills = np.where((gain != 0) & ((gain > 0) == (quantity > 0)), quantity, 0)
    rest = own.copy()
    np.subtract.at(rest, steps.cell, fills)
    marginal = np.flatnonzero(gain == 0)
    buys = quantity[marginal] < 0
    side, volume = steps.cell[marginal] * 2 + buys, steps.volume[marginal]
    share = pro_rata(side, volume, _marginal_fills(side, volume, rest))
    fills[marginal] = np.where(buys, -share, share)
    return fills


def _marginal_fills(side: np.ndarray, volume: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """What the marginal sells and buys of each cell get, [2C] alternating, to inject `rest` together.

    As much of both as there can be, so that one side is filled whole [E7].
    """
    offered = np.zeros((len(rest), 2), dtype=np.int64)
    np.add.at(offered.reshape(-1), side, volume)
    bought = np.minimum(offered[:, 1], offered[:, 0] - rest)
    return np.stack((rest + bought, bought), axis=1).reshape(-1)


def _welfare(grid: Grid, price: np.ndarray, fills: np.ndarray, flows: np.ndarray) -> int:
    """Buyers' value - sellers' cost - network fees.

    The energies are multiplied in two halves, because price x energy x steps outgrows 64 bits.
    """
    cost = (int(np.dot(price, fills >> 16)) << 16) + int(np.dot(price, fills & 0xFFFF))
    carried = np.abs(flows).sum(axis=1).tolist()
    return -cost - sum(line.fee * energy for line, energy in zip(grid.lines, carried, strict=True))
