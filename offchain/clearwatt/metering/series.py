"""A metering point's cleaned readings: energy per slot, how good each value is, and every decision taken."""

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import NamedTuple

import numpy as np


class Quality(IntEnum):
    """How good a value is; the lower the better."""

    MEASURED = 0
    """As the meter said at first."""
    CORRECTED = 1
    """As the meter said in a later message, or out of several that contradict each other."""
    ADJUSTED = 2
    """Measured, but moved to its slot, put together from parts or read between two register readings."""
    SUSPECT = 3
    """Measured and kept, though something about it is odd; see the decisions."""
    ESTIMATED = 4
    """A substitute by a named rule, or the meter's own estimate."""
    MISSING = 5
    """Nothing is known; the value is 0."""


class Reason(StrEnum):
    """Why a decision was taken."""

    DUPLICATE = "duplicate"
    CONFLICT = "conflict"
    CORRECTION = "correction"
    LATE = "late"
    CLOCK_DRIFT = "clock-drift"
    OFF_GRID = "off-grid"
    FUTURE = "future"
    INVALID = "marked-invalid"
    METER_ESTIMATE = "meter-estimate"
    TOO_LARGE = "too-large"
    PARTS = "parts"
    NEGATIVE = "negative"
    SPIKE = "spike"
    OUTLIER = "outlier"
    FROZEN = "frozen"
    ROLL_OVER = "roll-over"
    REGISTER_GLITCH = "register-glitch"
    REGISTER_RESET = "register-reset"
    SUM_CHECK = "sum-check"
    GAP = "gap"
    COARSE = "coarse"


class Decision(NamedTuple):
    """One thing that was done to, or noticed about, a reading.

    start: the slot, interval or moment meant, Unix seconds. rule: what was done, by name (docs/metering.md).
    before, after: Wh as decimal text, None where there was or is no value. reason: a `Reason`.
    """

    point: str
    start: int
    rule: str
    before: str | None
    after: str | None
    reason: str


@dataclass(frozen=True, eq=False)
class Series:
    """A metering point's energy over a period, without holes.

    start: Unix seconds of the first slot. interval: a slot's length, seconds.
    values: int64[n] Wh, in the register's own direction (an import register counts withdrawals, positive).
    quality: uint8[n], a `Quality` each. decisions: in the order of their starts.
    """

    point: str
    start: int
    interval: int
    values: np.ndarray
    quality: np.ndarray
    decisions: tuple[Decision, ...]

    @property
    def complete(self) -> bool:
        """Whether every slot has a value, measured or estimated by a rule that had something to go by."""
        return bool((self.quality < Quality.MISSING).all())

    @property
    def measured(self) -> np.ndarray:
        """bool[n]: the slots whose value is the meter's."""
        return self.quality <= Quality.SUSPECT

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Series)
            and (self.point, self.start, self.interval) == (other.point, other.start, other.interval)
            and np.array_equal(self.values, other.values)
            and np.array_equal(self.quality, other.quality)
            and self.decisions == other.decisions
        )
