"""Prices of a dispatch: where multipliers become money.

A zone's price is what one more kWh of load in that zone and slot would cost everybody together: the multiplier of
the zone's balance. It is positive where energy is scarce and negative where there is too much, and it is what
a market settles at: who injects is paid it, who withdraws pays it. A program counts energy in kWh per slot and
cost in currency, so its multipliers are currency/kWh as they stand, whatever the slot's length.
"""

from typing import NewType

import numpy as np

from clearwatt.dispatch.program import Solution
from clearwatt.units import TICKS_PER_CURRENCY_PER_KWH, Tick, per_kwh, ticks_from_per_kwh

Price = NewType("Price", float)
"""Currency/kWh; what one more kWh of load costs."""


def zone_prices(solution: Solution) -> np.ndarray:
    """[Z, T] `Price` of every zone and slot."""
    return solution.zone_price


def to_tick(price: Price) -> Tick:
    """The price as the market counts it, rounded to the nearest tick."""
    return ticks_from_per_kwh(price)


def to_ticks(prices: np.ndarray) -> np.ndarray:
    """`to_tick` of an array of any shape; int64."""
    return np.rint(prices * TICKS_PER_CURRENCY_PER_KWH).astype(np.int64)


def from_tick(tick: Tick) -> Price:
    """A market's price as a dispatch counts it."""
    return Price(per_kwh(tick))
