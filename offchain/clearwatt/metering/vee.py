"""Validation, estimation, editing: from what a meter sent to one value per slot, with every decision recorded.

Pure: the result follows from the *set* of messages alone; in which order and how often they arrived is all the same.
docs/metering.md has the rules by name, with formulas and reason codes.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from clearwatt.metering.estimation import Filler
from clearwatt.metering.intervals import Slots, in_order, note_late, read_intervals
from clearwatt.metering.lattice import RULES, DecisionLog, Lattice, Span, VeeRules, whole_wh
from clearwatt.metering.points import PointConfig
from clearwatt.metering.readings import ReadingsMessage
from clearwatt.metering.registers import read_registers
from clearwatt.metering.series import Quality, Reason, Series
from clearwatt.metering.validation import check_sums, drop_outliers, mark_frozen

DAY_SECONDS = 86_400


@dataclass(frozen=True)
class MemberSeries:
    """A member's net energy: values int64[n] Wh, + injected; quality uint8[n], each slot's worst among the points.

    parts: the series of each of its points, by identifier.
    """

    start: int
    interval: int
    values: np.ndarray
    quality: np.ndarray
    parts: dict[str, Series]

    @property
    def complete(self) -> bool:
        """Whether no point lacks a slot."""
        return bool((self.quality < Quality.MISSING).all())

    @property
    def measured(self) -> np.ndarray:
        """bool[n]: the slots that all of its meters measured."""
        return self.quality <= Quality.SUSPECT


def history_start(first: int, rules: VeeRules = RULES) -> int:
    """From when on messages matter to a period that begins at `first`; Unix seconds."""
    return (
        first - (rules.history_days + 1) * DAY_SECONDS
    )  # a day more: 28 days ago it may have been an hour later


def history_end(last: int, rules: VeeRules = RULES) -> int:
    """Until when messages matter to a period that ends at `last`: later ones end no gap."""
    return last + rules.bracket_days * DAY_SECONDS


def clean(
    messages: Iterable[ReadingsMessage],
    point: PointConfig,
    first: int,
    last: int,
    interval: int,
    rules: VeeRules = RULES,
) -> Series:
    """The point's energy in each slot of [first, last), Unix seconds, `interval` seconds each.

    messages: of this point, verified; those between `history_start` and `history_end` matter.
    Raises ValueError if the period is not a whole number of slots.
    """
    if interval <= 0 or last <= first or (last - first) % interval:
        raise ValueError(f"{first} to {last} is no whole number of slots of {interval} s")
    lattice = _lattice(first, last, interval, rules)
    log = DecisionLog(point.point, first, last)
    slots = _slots(in_order(messages), point, lattice, log, rules)
    begin, end = lattice.index(first), lattice.index(last)
    values = whole_wh(slots.energy[begin:end])
    return Series(point.point, first, interval, values, slots.quality[begin:end].copy(), log.in_order())


def _lattice(first: int, last: int, interval: int, rules: VeeRules) -> Lattice:
    """The period's slots, with those before and after that may matter to it."""
    before = -(-(first - history_start(first, rules)) // interval)
    after = -(-(history_end(last, rules) - last) // interval)
    return Lattice(first - before * interval, interval, before + (last - first) // interval + after)


def _slots(
    messages: Sequence[ReadingsMessage],
    point: PointConfig,
    lattice: Lattice,
    log: DecisionLog,
    rules: VeeRules,
) -> Slots:
    note_late(messages, log, rules)
    intervals = [message for message in messages if not message.unit.is_register]
    slots, coarse = read_intervals(intervals, point, lattice, log, rules)
    registers = [message for message in messages if message.unit.is_register]
    spans = read_registers(registers, point, lattice, log, rules) if registers else []
    check_sums([*spans, *coarse], slots, lattice, log, rules)
    _take_whole(spans, slots, lattice)
    filler = Filler(point, lattice, slots, (lattice.index(log.first), lattice.index(log.last)), log, rules)
    drop_outliers(slots, filler.like, point, log)
    mark_frozen(slots, lattice, log, rules)
    filler.fill_spans(spans, Reason.GAP)
    for length in sorted({span.end - span.start for span in coarse}):
        filler.fill_spans([span for span in coarse if span.end - span.start == length], Reason.COARSE)
    filler.fill_gaps()
    return slots


def _take_whole(spans: Sequence[Span], slots: Slots, lattice: Lattice) -> None:
    """Stretches that are exactly a slot which no interval value fills."""
    exact = [
        span
        for span in spans
        if span.end - span.start == lattice.interval and (span.start - lattice.start) % lattice.interval == 0
    ]
    inside = [span for span in exact if lattice.start <= span.start < lattice.end]
    index = np.array([lattice.index(span.start) for span in inside], np.int64)
    energy = np.array([span.energy for span in inside], np.int64)
    quality = np.array([span.quality for span in inside], np.uint8)
    free = slots.quality[index] == Quality.MISSING
    slots.put(index[free], energy[free], quality[free])


def member_net(
    messages: Mapping[str, Iterable[ReadingsMessage]],
    points: Sequence[PointConfig],
    first: int,
    last: int,
    interval: int,
    rules: VeeRules = RULES,
) -> MemberSeries:
    """A member's net energy over all of its points; messages: by point. Raises ValueError as `clean` does."""
    if not points:
        raise ValueError("a member without metering points has no series")
    parts = {
        point.point: clean(messages.get(point.point, ()), point, first, last, interval, rules)
        for point in points
    }
    values = sum((point.sign * parts[point.point].values for point in points), np.zeros(1, np.int64))
    quality = np.maximum.reduce([part.quality for part in parts.values()])
    return MemberSeries(first, interval, values, quality, parts)
