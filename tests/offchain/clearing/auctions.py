"""Random small auctions for the clearing tests: dense in the cases where rules meet.

Prices come from a narrow range, so that ties are the rule and not the exception; lines are often
closed, often unlimited, often free; a side of the market may be missing, or have nothing to trade.
"""

import numpy as np

from clearwatt.bids import Bid, Step
from clearwatt.clearing.auction import Auction
from clearwatt.grid import NO_LIMIT, Grid, Line
from clearwatt.units import INT32_MAX

MIXES = ("both", "both", "both", "both", "both", "both", "sells", "buys", "no trade")


def random_grid(rng: np.random.Generator, max_zones: int = 8) -> Grid:
    """A tree of 1..max_zones zones: a chain, a star or anything between."""
    zones = int(rng.integers(1, max_zones + 1))
    shape = rng.choice(["chain", "star", "tree", "tree"])
    parents = (-1, *(_random_parent(rng, shape, zone) for zone in range(1, zones)))
    fees = bool(rng.random() < 0.7)
    return Grid(parents, (Line(), *(random_line(rng, fees) for _ in range(1, zones))))


def _random_parent(rng: np.random.Generator, shape: str, zone: int) -> int:
    return {"chain": zone - 1, "star": 0}.get(shape, int(rng.integers(zone)))


def random_line(rng: np.random.Generator, fees: bool = True) -> Line:
    """A line that may be closed, tight or unlimited in each direction, free or not."""
    limits = [int(rng.choice([0, rng.integers(1, 40), rng.integers(1, 40), NO_LIMIT])) for _ in range(2)]
    return Line(*limits, fee=int(rng.choice([0, 1, 2, 5])) if fees else 0)


def random_auction(
    rng: np.random.Generator, *, max_zones: int = 8, max_slots: int = 4, max_steps: int = 60
) -> Auction:
    """An auction of at most `max_zones` zones, `max_slots` slots and `max_steps` steps."""
    grid = random_grid(rng, max_zones)
    slots = int(rng.integers(1, max_slots + 1))
    low = int(rng.choice([-500, -10, -3, 0]))
    high = low + int(rng.choice([0, 3, 8, 25, 1000]))
    quantity = int(rng.choice([1, 5, 30, 30, INT32_MAX]))
    mix = str(rng.choice(MIXES))
    bids: list[Bid] = []
    left = int(rng.integers(0, max_steps + 1))
    while left > 0:
        count = min(left, int(rng.integers(1, 9)))
        steps = sorted((_random_step(rng, slots, low, high, quantity, mix) for _ in range(count)), key=_slot)
        member = f"0x{len(bids) + 1:04x}{rng.bytes(18).hex()}"
        bids.append(Bid(member, int(rng.integers(grid.zones)), tuple(steps)))
        left -= count
    order = rng.permutation(len(bids))
    return Auction(slots, low, high, grid, tuple(bids[index] for index in order))


def _slot(step: Step) -> int:
    return step.slot


def _random_step(rng: np.random.Generator, slots: int, low: int, high: int, most: int, mix: str) -> Step:
    sell = mix == "sells" or (mix != "buys" and bool(rng.random() < 0.5))
    middle = (low + high) // 2
    if mix == "no trade":
        low, high = (min(middle + 1, high), high) if sell else (low, middle)
    quantity = int(rng.integers(1, most + 1))
    return Step(int(rng.integers(slots)), int(rng.integers(low, high + 1)), quantity if sell else -quantity)
