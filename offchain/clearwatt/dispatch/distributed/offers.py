"""What slot-by-slot offers behind one connection answer, in closed form: exact, by sorting where their supply bends.

A single offer of cost c and curvature q supplies at price p what is nearest to (p - c) / q within its bounds;
the connection supplies the sum within its caps. Arrays are [n, T] for the offers and [T] for the connection;
all slots at once.
"""

import numpy as np

from clearwatt.dispatch.program import Offers


def best_response(offers: Offers, price: np.ndarray) -> np.ndarray:
    """Net injection [T] of the offers together that is worth most at a price; where it doesn't matter, the middle."""
    return (_supply(offers, price[None], True) + _supply(offers, price[None], False))[0] / 2


def nearest(offers: Offers, towards: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Net injection n [T] of least cost + weight / 2 * (n - towards)^2.

    With p = weight * (towards - n) that is supply(p) + p / weight = towards, where the left side rises strictly.
    """
    if not len(offers.connection):
        return np.zeros_like(towards)
    bends = np.sort(
        np.concatenate([offers.cost + offers.curvature * bound for bound in (offers.low, offers.high)]),
        axis=0,
    )
    below, above = _supply(offers, bends, False), _supply(offers, bends, True)
    start, end = below + bends / weight, above + bends / weight
    place = (end < towards).sum(axis=0)  # the first bend at or beyond what is looked for
    slots = np.arange(len(towards))
    last = len(bends) - 1
    after, before = np.minimum(place, last), np.maximum(place - 1, 0)
    at_bend = (place <= last) & (start[after, slots] <= towards)
    price = bends[after, slots]
    jump = np.clip(towards - price / weight, below[after, slots], above[after, slots])
    rise = start[after, slots] - end[before, slots]
    share = np.clip((towards - end[before, slots]) / np.where(rise > 0, rise, 1), 0, 1)
    between = above[before, slots] + share * (below[after, slots] - above[before, slots])
    between = np.where(place == 0, below[0], np.where(place > last, above[last], between))
    return np.where(at_bend, jump, between)


def _supply(offers: Offers, prices: np.ndarray, all_of_it: bool) -> np.ndarray:
    """[k, T] supply at prices [k, T]; an offer exactly at its constant cost gives all or nothing of it."""
    total = np.zeros(np.broadcast_shapes(prices.shape, (1, offers.low.shape[1])))
    for low, high, cost, curvature in zip(
        offers.low, offers.high, offers.cost, offers.curvature, strict=True
    ):
        flat = curvature == 0
        bent = np.clip((prices - cost) / np.where(flat, 1, curvature), low, high)
        full = prices >= cost if all_of_it else prices > cost
        total += np.where(flat, np.where(full, high, low), bent)
    return total
