"""Bids: one member's bundle of steps for one auction, and the 8 bytes a step takes on chain.

A step is ``slot uint8 | price int24 | quantity int32``, big-endian. Within a bundle the slots never
descend; the contract relies on it, so packing refuses anything else.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from clearwatt.units import INT24_MAX, INT24_MIN, INT32_MAX

STEP_BYTES = 8


class BidError(ValueError):
    """A bundle that no market would accept, with what is wrong in it."""


class Step(NamedTuple):
    """One step of a bid.

    slot: delivery slot within the auction, 0..255.
    price: limit, ticks; the lowest price to sell at, the highest to buy at.
    quantity: Wh; positive = sell, negative = buy, never 0.
    """

    slot: int
    price: int
    quantity: int


@dataclass(frozen=True)
class Bid:
    """One member's bundle for one auction.

    member: the account's address, 0x and 40 hex digits.
    zone: where the member is connected.
    steps: slots ascending (equal slots allowed).
    """

    member: str
    zone: int
    steps: tuple[Step, ...]


def check_steps(steps: Sequence[Step], slots: int = 256) -> None:
    """Raise `BidError` unless the steps fit their 8 bytes, their auction and the bundle's order."""
    previous = 0
    for index, (slot, price, quantity) in enumerate(steps):
        if not 0 <= slot < slots:
            raise BidError(f"step {index}: slot {slot} is not one of the auction's 0..{slots - 1}")
        if slot < previous:
            raise BidError(f"step {index}: slot {slot} comes after slot {previous}; slots must not descend")
        if not INT24_MIN <= price <= INT24_MAX:
            raise BidError(f"step {index}: price {price} does not fit 24 bits")
        if quantity == 0:
            raise BidError(f"step {index}: a quantity of 0 Wh is no offer")
        if not -INT32_MAX <= quantity <= INT32_MAX:
            raise BidError(f"step {index}: quantity {quantity} Wh does not fit 32 bits")
        previous = slot


def pack_steps(steps: Sequence[Step]) -> bytes:
    """The bundle as it travels on chain: 8 bytes per step."""
    check_steps(steps)
    return b"".join(
        slot.to_bytes(1, "big")
        + price.to_bytes(3, "big", signed=True)
        + quantity.to_bytes(4, "big", signed=True)
        for slot, price, quantity in steps
    )


def unpack_steps(bundle: bytes) -> tuple[Step, ...]:
    """The steps of a packed bundle; the inverse of `pack_steps`."""
    if len(bundle) % STEP_BYTES:
        raise BidError(f"a bundle of {len(bundle)} bytes is not a whole number of {STEP_BYTES}-byte steps")
    words = np.frombuffer(bundle, dtype=">u8").astype(np.uint64).view(np.int64)
    slots = (words >> 56) & 0xFF
    prices = (words << 8) >> 40  # arithmetic shifts: the middle 24 bits keep their sign
    quantities = (words << 32) >> 32
    return tuple(map(Step, slots.tolist(), prices.tolist(), quantities.tolist()))


def as_steps(rows: Iterable[Iterable[int]]) -> tuple[Step, ...]:
    """Rows of ``[slot, price, quantity]`` as steps."""
    return tuple(Step(*row) for row in rows)
