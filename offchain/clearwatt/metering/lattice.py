"""What the steps of cleaning share: the slots, exact energy, stretches of known energy, and the record of decisions.

Energy is exact in between: whole millijoules. 1 Wh is 3 600 000 of them, a power in W with three decimals times a
number of seconds is whole, and an int64 holds a register of nine digits of kWh.
"""

from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import NamedTuple

import numpy as np

from clearwatt.metering.readings import Unit
from clearwatt.metering.series import Decision, Quality

MILLIJOULES_PER_WH = 3_600_000
LARGEST_ENERGY = 2**62
_EXACT = Context(prec=80, rounding=ROUND_HALF_EVEN)


class VeeRules(NamedTuple):
    """The numbers in the rules; docs/metering.md explains each.

    snap_seconds: how far a meter's clock may be off. linear_seconds: longest gap between neighbours that is bridged by
    a line. history_days: how far back like days are looked for. like_days: how many of them count at most;
    least_like_days: how many there must be. late_seconds: later than this after the interval is late.
    frozen_seconds: so long the same value, other than 0, is odd. bracket_days: how long after the period a register
    reading or a longer interval may still end a gap. sum_share: by how much registers and intervals may differ.
    """

    snap_seconds: int = 120
    linear_seconds: int = 7_200
    history_days: int = 28
    like_days: int = 5
    least_like_days: int = 3
    late_seconds: int = 86_400
    frozen_seconds: int = 86_400
    bracket_days: int = 7
    sum_share: Decimal = Decimal("0.01")


RULES = VeeRules()


class Lattice(NamedTuple):
    """Consecutive slots: `slots` of `interval` seconds each from `start`, Unix seconds."""

    start: int
    interval: int
    slots: int

    @property
    def end(self) -> int:
        return self.start + self.slots * self.interval

    def index(self, time: int) -> int:
        """The slot that begins at or before `time`."""
        return (time - self.start) // self.interval

    def time(self, index: int) -> int:
        """When the slot begins."""
        return self.start + index * self.interval


class Span(NamedTuple):
    """A stretch of time, seconds, whose energy is known as a whole, mJ.

    tolerance: what the energy may be off by the resolution of the readings it comes from, mJ.
    """

    start: int
    end: int
    energy: int
    quality: Quality
    tolerance: int


@dataclass
class DecisionLog:
    """Decisions about readings of one point that concern the period [first, last), Unix seconds."""

    point: str
    first: int
    last: int
    decisions: list[Decision] = field(default_factory=list)

    def note(self, start: int, rule: str, before: int | None, after: int | None, reason: str) -> None:
        """Record what was done at `start`; energies in mJ, None where there is none."""
        if self.first <= start < self.last:
            self.decisions.append(
                Decision(self.point, int(start), rule, energy_text(before), energy_text(after), reason)
            )

    def in_order(self) -> tuple[Decision, ...]:
        """Each once, by start; of the same start in the order in which they were taken."""
        return tuple(sorted(dict.fromkeys(self.decisions), key=lambda decision: decision.start))


def energy_text(energy: int | None) -> str | None:
    """Millijoules as Wh, exact to 0.000001."""
    if energy is None:
        return None
    text = f"{Decimal(int(energy)) / MILLIJOULES_PER_WH:.6f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def factor_of(unit: Unit, interval: int, multiplier: Decimal) -> Decimal:
    """Millijoules per 1 of the unit, a mean power being over `interval` seconds."""
    match unit:
        case Unit.WH | Unit.REGISTER_WH:
            plain = MILLIJOULES_PER_WH
        case Unit.KWH | Unit.REGISTER_KWH:
            plain = 1000 * MILLIJOULES_PER_WH
        case Unit.W:
            plain = 1000 * interval
    return _EXACT.multiply(Decimal(plain), multiplier)


def to_millijoules(value: Decimal, factor: Decimal) -> int:
    """The value in millijoules, rounded half to even where there is a fraction of one."""
    return int(_EXACT.to_integral_value(_EXACT.multiply(value, factor)))


def apportion(energy: int, weights: list[int]) -> list[int]:
    """The energy in parts proportional to weights >= 0, not all 0; whole numbers whose sum is exactly the energy."""
    total, reached, given, parts = sum(weights), 0, 0, []
    for weight in weights:
        reached += weight
        upto = energy * reached // total
        parts.append(upto - given)
        given = upto
    return parts


def whole_wh(energies: np.ndarray) -> np.ndarray:
    """int64[n] Wh of int64[n] mJ; remainders are carried from slot to slot, so the sum is rounded but once."""
    reached = np.concatenate(([0], np.cumsum(energies)))
    return np.diff((reached + MILLIJOULES_PER_WH // 2) // MILLIJOULES_PER_WH)
