"""Units of everything that is counted, as distinct types, and the conversions people read.

All of them are integers. A float appears only where a number is shown to a person or comes from a
person (a tariff in currency per kWh, a load in kW), and the functions here are the only way across.
"""

from typing import NewType

Wh = NewType("Wh", int)
"""Energy in one delivery slot; positive = injection (sell), negative = withdrawal (buy)."""

Tick = NewType("Tick", int)
"""Price; 1 tick = 0.01 currency/MWh."""

Money = NewType("Money", int)
"""Money; 1 unit = 1e-8 currency = 1 Wh x 1 tick, exactly."""

SlotIndex = NewType("SlotIndex", int)
"""A delivery slot within an auction, counted from 0."""

ZoneId = NewType("ZoneId", int)
"""A zone of the grid; 0 is the connection to the upstream grid."""

AuctionId = NewType("AuctionId", int)
"""An auction, counted from the market's first delivery (its genesis)."""

TICKS_PER_CURRENCY_PER_KWH = 100_000
MONEY_PER_CURRENCY = 100_000_000

INT24_MIN, INT24_MAX = -(2**23), 2**23 - 1
INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1


def ticks_from_per_kwh(price: float) -> Tick:
    """A tariff in currency/kWh as ticks, rounded to the nearest."""
    return Tick(round(price * TICKS_PER_CURRENCY_PER_KWH))


def per_kwh(price: int) -> float:
    """A price in ticks as currency/kWh."""
    return price / TICKS_PER_CURRENCY_PER_KWH


def currency(amount: int) -> float:
    """An amount in money units as currency."""
    return amount / MONEY_PER_CURRENCY
