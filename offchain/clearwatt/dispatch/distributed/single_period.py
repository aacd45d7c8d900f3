"""One slot, one zone: the price at which everybody's supplies add up to a demand, exactly and at once.

Every member's supply is a piecewise linear function of the price, with two bends; their sum bends where one of
them does. Sorting the bends and adding up the slopes between them finds the piece with the price on it [1]_, in
N log N.

    price, injection = clear(low, high, cost, curvature)

.. [1] P. Brucker, "An O(n) algorithm for quadratic knapsack problems", Operations Research Letters 3 (1984);
   sorted here.
"""

from dataclasses import dataclass

import numpy as np

from clearwatt.dispatch.errors import Infeasible


@dataclass(frozen=True)
class Cleared:
    """price: currency per kWh. injection: [N] kWh, adding up to the demand."""

    price: float
    injection: np.ndarray


def clear(
    low: np.ndarray, high: np.ndarray, cost: np.ndarray, curvature: np.ndarray, demand: float = 0.0
) -> Cleared:
    """Least total cost of offers, each within [low, high], that inject `demand` kWh together.

    low, high, cost, curvature: [N], curvature >= 0 and 0 for a constant cost. Where a range of prices fits, its
    middle; offers of exactly the price and without curvature share what is left in proportion to their range.
    Raises Infeasible.
    """
    least, most = float(low.sum()), float(high.sum())
    slack = 1e-12 * (np.abs(low).sum() + np.abs(high).sum() + abs(demand))
    if not least - slack <= demand <= most + slack:
        lacks = least - demand if demand < least else demand - most
        raise Infeasible(f"the offers cannot add up to {demand:g} kWh: {lacks:g} kWh are in the way")
    price = _price(low, high, cost, curvature, demand)
    return Cleared(price, _injection(low, high, cost, curvature, demand, price))


def _price(
    low: np.ndarray, high: np.ndarray, cost: np.ndarray, curvature: np.ndarray, demand: float
) -> float:
    bends = np.concatenate([cost + curvature * low, cost + curvature * high])
    order = np.argsort(bends)
    at = bends[order]
    # Before the bend `low` an offer gives low, after `high` it gives high: a jump if the two are one price.
    flat = curvature == 0
    slope = np.where(flat, 0.0, 1 / np.where(flat, 1.0, curvature))
    slopes = np.cumsum(np.concatenate([slope, -slope])[order])
    jumps = np.cumsum(np.concatenate([np.where(flat, high - low, 0.0), np.zeros_like(low)])[order])
    rises = np.concatenate([[0.0], np.cumsum(slopes[:-1] * np.diff(at))])
    below = low.sum() + rises + np.concatenate([[0.0], jumps[:-1]])  # supply just below each bend, and above
    above = low.sum() + rises + jumps
    rounding = 1e-13 * (1 + np.abs(above).max())
    first = int(np.searchsorted(above, demand - rounding))
    if first >= len(at):
        return float(at[-1])
    last = int(np.searchsorted(below, demand + rounding, side="right")) - 1
    if last > first and above[first] <= demand + rounding:
        return float(at[first] + at[last]) / 2
    return _within(low, high, cost, curvature, demand, at, first)


def _within(
    low: np.ndarray,
    high: np.ndarray,
    cost: np.ndarray,
    curvature: np.ndarray,
    demand: float,
    at: np.ndarray,
    first: int,
) -> float:
    """The price between bends first - 1 and first, from the offers that bend there only: nothing accumulated."""
    start, end = float(at[max(first - 1, 0)]), float(at[first])
    middle = (start + end) / 2
    below, above = cost + curvature * low, cost + curvature * high
    moving = (curvature > 0) & (below < middle) & (above > middle)
    if not moving.any():
        return end
    still = np.where(above <= middle, high, low)[~moving].sum()
    q, c = curvature[moving], cost[moving]
    price = (demand - still + (c / q).sum()) / (1 / q).sum()
    return float(np.clip(price, start, end))


def _injection(
    low: np.ndarray, high: np.ndarray, cost: np.ndarray, curvature: np.ndarray, demand: float, price: float
) -> np.ndarray:
    flat = curvature == 0
    bent = np.clip((price - cost) / np.where(flat, 1.0, curvature), low, high)
    injection = np.where(flat, np.where(price > cost, high, low), bent)
    marginal = flat & (np.abs(cost - price) <= 1e-12 * (1 + abs(price)))
    room = float((high - low)[marginal].sum())
    if room > 0:
        rest = demand - injection[~marginal].sum() - low[marginal].sum()
        injection[marginal] = low[marginal] + np.clip(rest / room, 0, 1) * (high - low)[marginal]
    return injection
