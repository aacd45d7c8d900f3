"""Checks of values against each other: registers against intervals, a slot against its like, a day against change."""

from collections.abc import Iterable

import numpy as np

from clearwatt.metering.estimation import LikeDays, middle
from clearwatt.metering.intervals import Slots
from clearwatt.metering.lattice import MILLIJOULES_PER_WH, DecisionLog, Lattice, Span, VeeRules
from clearwatt.metering.points import PointConfig
from clearwatt.metering.series import Quality, Reason

MAD_PER_MILLE = 1483
"""1000 times 1.4826: the median absolute deviation of a normal distribution is its standard deviation by so much."""


def check_sums(
    spans: Iterable[Span], slots: Slots, lattice: Lattice, log: DecisionLog, rules: VeeRules
) -> None:
    """Where intervals fill a stretch whose energy is known otherwise, both must agree; else the intervals are suspect.

    Allowed: the share that the rules say, a Wh per slot, and the resolution at either end.
    """
    known = np.concatenate(([0], np.cumsum(slots.quality != Quality.MISSING)))
    if not known[-1]:
        return
    for span in spans:
        first, last = lattice.index(span.start), lattice.index(span.end)
        is_aligned = lattice.time(first) == span.start and lattice.time(last) == span.end
        if not is_aligned or first < 0 or last > lattice.slots or known[last] - known[first] < last - first:
            continue
        total = sum(slots.energy[first:last].tolist())
        allowed = int(abs(span.energy) * rules.sum_share)
        allowed += 2 * span.tolerance + MILLIJOULES_PER_WH * (last - first)
        if abs(total - span.energy) > allowed:
            _suspect(slots, first, last)
            log.note(span.start, "keep", total, span.energy, Reason.SUM_CHECK)


def _suspect(slots: Slots, first: int, last: int) -> None:
    part = slots.quality[first:last]
    part[part < Quality.SUSPECT] = Quality.SUSPECT


def drop_outliers(slots: Slots, like: LikeDays, point: PointConfig, log: DecisionLog) -> None:
    """Take back values of the log's period too far from those of like slots, where the point asks for it."""
    if point.spike_spreads is None:
        return
    lattice = like.lattice
    first, last = lattice.index(log.first), lattice.index(log.last)
    outliers = [slot for slot in range(first, last) if _is_outlier(slot, slots, like, point.spike_spreads)]
    for slot in outliers:
        log.note(lattice.time(slot), "reject", int(slots.energy[slot]), None, Reason.OUTLIER)
        slots.put(slot, 0, Quality.MISSING)


def _is_outlier(slot: int, slots: Slots, like: LikeDays, spreads: float) -> bool:
    """Further from the median than so many spreads. The spread is 1.483 times the median absolute deviation, at least
    a tenth of the median and 1 Wh."""
    values = sorted(like.values(slot).tolist())
    if slots.quality[slot] > Quality.SUSPECT or len(values) < like.rules.least_like_days:
        return False
    median = middle(values)
    deviation = middle(sorted(abs(value - median) for value in values))
    spread = max(deviation * MAD_PER_MILLE // 1000, abs(median) // 10, MILLIJOULES_PER_WH)
    return abs(int(slots.energy[slot]) - median) > spreads * spread


def mark_frozen(slots: Slots, lattice: Lattice, log: DecisionLog, rules: VeeRules) -> None:
    """Values other than 0 that stay the same for too long are suspect: the meter may hang."""
    least = max(rules.frozen_seconds // lattice.interval, 2)
    begin = max(lattice.index(log.first) - least, 0)
    energy, measured = slots.energy[begin:], slots.quality[begin:] <= Quality.SUSPECT
    same = measured[1:] & measured[:-1] & (energy[1:] == energy[:-1]) & (energy[1:] != 0)
    if np.count_nonzero(same) < least - 1:
        return
    edges = np.flatnonzero(np.diff(same, prepend=False, append=False)).reshape(-1, 2)
    for first, last in edges.tolist():
        if last - first + 1 >= least:
            _suspect(slots, begin + first, begin + last + 1)
            value = int(energy[first])
            log.note(max(lattice.time(begin + first), log.first), "keep", value, value, Reason.FROZEN)
