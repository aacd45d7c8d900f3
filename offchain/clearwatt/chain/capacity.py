"""What one transaction can clear, whole auctions and chunks of them.

The gas is a bound from above, with room: `tests/contracts/test_capacity.py` fails if a clearing or a chunk exceeds it.
"""

from typing import NamedTuple

from clearwatt.bids import STEP_BYTES
from clearwatt.chain.codec import HEAD_BYTES, MARGINAL_BYTES

MAX_GAS = 2**24
"""What one transaction may use (EIP-7825)."""

MAX_CALLDATA = 128 * 1024 - 1024
"""Bytes; nodes pass on transactions of 128 KiB, of which some are its other fields."""

BASE_GAS = 80_000
GAS_PER_CELL = 7_500
GAS_PER_BID = 10_000
GAS_PER_STEP = 1_000
GAS_PER_WORD = 1_200
"""Of a chunk's working memory: as calldata, loaded, saved and hashed."""

PRICE_BYTES = 3


class Auctions(NamedTuple):
    """Auctions of a market with so many zones and slots."""

    zones: int
    slots: int

    @property
    def cells(self) -> int:
        return self.zones * self.slots

    def gas(self, bids: int, steps: int) -> int:
        """Gas that clearing takes at most."""
        return BASE_GAS + GAS_PER_CELL * self.cells + GAS_PER_BID * bids + GAS_PER_STEP * steps

    def calldata(self, bids: int, steps: int) -> int:
        """Bytes that clearing sends at most: with steps at the price on both sides everywhere."""
        return (PRICE_BYTES + 2 * MARGINAL_BYTES) * self.cells + HEAD_BYTES * bids + STEP_BYTES * steps

    def fit(self, bids: int, steps: int) -> bool:
        """Whether one transaction can clear so many bids of so many steps in all."""
        return self.gas(bids, steps) <= MAX_GAS and self.calldata(bids, steps) <= MAX_CALLDATA

    def most_members(self, max_steps: int) -> int:
        """How many members with bundles of so many steps one transaction can clear; at least 1."""
        gas = (MAX_GAS - self.gas(0, 0)) // (GAS_PER_BID + GAS_PER_STEP * max_steps)
        room = (MAX_CALLDATA - self.calldata(0, 0)) // (HEAD_BYTES + STEP_BYTES * max_steps)
        return max(min(gas, room, 2**16 - 1), 1)


def fill_gas(words: int, bids: int, steps: int) -> int:
    """Gas that a chunk of so many bids takes at most, its working memory being so many words."""
    return BASE_GAS + GAS_PER_WORD * words + GAS_PER_BID * bids + GAS_PER_STEP * steps
