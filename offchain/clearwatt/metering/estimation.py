"""Substitute values by named rules: what a slot is taken to hold where no reading says so.

even             known energy, spread evenly over the time
linear           on the line between the neighbours' values; scaled to the energy of the gap where that is known
like-day         median of the same slot of the last like days
register-scaled  known energy in the shape of the like days
zero             nothing is known
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

import numpy as np

from clearwatt.metering.intervals import Slots
from clearwatt.metering.lattice import DecisionLog, Lattice, Span, VeeRules, apportion
from clearwatt.metering.points import PointConfig
from clearwatt.metering.series import Quality, Reason

SATURDAY = 5


class _Calendar(NamedTuple):
    """Wall-clock places of a lattice's slots: day int64[n] (ordinal), and the slots alike to each, ascending."""

    day: np.ndarray
    key: list[tuple[int, bool]]
    alike: dict[tuple[int, bool], np.ndarray]


@lru_cache(maxsize=64)
def _calendar(zone: str, lattice: Lattice) -> _Calendar:
    place = ZoneInfo(zone)
    moments = [datetime.fromtimestamp(lattice.time(slot), place) for slot in range(lattice.slots)]
    day = np.array([moment.toordinal() for moment in moments], np.int64)
    key = [
        (moment.hour * 3600 + moment.minute * 60 + moment.second, moment.weekday() >= SATURDAY)
        for moment in moments
    ]
    alike: dict[tuple[int, bool], list[int]] = {}
    for slot, entry in enumerate(key):
        alike.setdefault(entry, []).append(slot)
    return _Calendar(day, key, {entry: np.array(slots) for entry, slots in alike.items()})


@dataclass
class LikeDays:
    """Values of the same wall-clock slot on earlier days of the same kind: working days, or weekends."""

    zone: str
    lattice: Lattice
    slots: Slots
    rules: VeeRules

    @property
    def good(self) -> np.ndarray:
        """bool[n]: the slots to learn from. Substitutes are no evidence for further substitutes."""
        return self.slots.quality <= Quality.SUSPECT

    @cached_property
    def _places(self) -> _Calendar:
        return _calendar(self.zone, self.lattice)

    def values(self, slot: int) -> np.ndarray:
        """Their energy as far as it is measured, mJ, from as many days back as the rules say; the last day's last."""
        places = self._places
        alike = places.alike[places.key[slot]]
        days = places.day[slot] - places.day[alike]
        alike = alike[(days > 0) & (days <= self.rules.history_days)]
        return self.slots.energy[alike[self.good[alike]]]

    def median(self, slot: int) -> int | None:
        """The median of the last of them, mJ; None if they are too few."""
        values = sorted(self.values(slot)[-self.rules.like_days :].tolist())
        if len(values) < self.rules.least_like_days:
            return None
        return middle(values)


def middle(ordered: Sequence[int]) -> int:
    """The median of ascending values; of two in the middle the mean, rounded down."""
    return (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) // 2


class Gap(NamedTuple):
    """Slots first..last-1 of a lattice that are not known, and all that is between two known ones."""

    first: int
    last: int

    def __len__(self) -> int:
        return self.last - self.first


def gaps(slots: Slots) -> Iterator[Gap]:
    """The gaps, ascending."""
    edges = np.flatnonzero(np.diff(slots.quality == Quality.MISSING, prepend=False, append=False))
    for first, last in edges.reshape(-1, 2).tolist():
        yield Gap(first, last)


# ---------------------------------------------------------------------------------------------------
# Gaps whose energy is known
# ---------------------------------------------------------------------------------------------------


@dataclass
class Filler:
    """Fills the slots of one point.

    wanted: the slots that have to be filled, first and last + 1; the others are there to learn from.
    """

    point: PointConfig
    lattice: Lattice
    slots: Slots
    wanted: tuple[int, int]
    log: DecisionLog
    rules: VeeRules

    def __post_init__(self) -> None:
        self.like = LikeDays(self.point.zone, self.lattice, self.slots, self.rules)

    def fill_spans(self, spans: Sequence[Span], reason: Reason) -> None:
        """Spread the energy of stretches, ascending and apart from each other, over the unknown slots in them."""
        found: dict[int, list[_Share]] = {}
        wanted = self.slots.quality[slice(*self.wanted)]
        for span in spans if (wanted == Quality.MISSING).any() else ():
            for share in self._spread(span):
                found.setdefault(share.slot, []).append(share)
        for slot, shares in found.items():
            if sum(share.seconds for share in shares) < self.lattice.interval:
                continue  # the stretches end within it
            energy, worst = (
                sum(share.energy for share in shares),
                max(shares, key=lambda share: share.quality),
            )
            self.slots.put(slot, energy, worst.quality)
            why = Reason.OFF_GRID if worst.rule == "interpolate" else reason
            self.log.note(self.lattice.time(slot), worst.rule, None, energy, why)

    def _spread(self, span: Span) -> "list[_Share]":
        overlaps = _overlaps(span, self.lattice)
        unknown = [over for over in overlaps if self.slots.quality[over.slot] == Quality.MISSING]
        first, last = self.wanted
        if not any(first <= over.slot < last for over in unknown):
            return []
        known = sum(
            int(self.slots.energy[over.slot]) * over.seconds // self.lattice.interval
            for over in overlaps
            if self.slots.quality[over.slot] != Quality.MISSING
        )
        rest = span.energy - known
        if rest < 0 and not self.point.can_be_negative:
            rest = 0  # the intervals already make more than the register; `check_sums` says so
        rule, likely = self._shape(span, unknown)
        quality = max(span.quality, Quality.ADJUSTED if rule == "interpolate" else Quality.ESTIMATED)
        parts = _shaped(rest, likely, [over.seconds for over in unknown])
        return [
            _Share(over.slot, over.seconds, energy, rule, quality)
            for over, energy in zip(unknown, parts, strict=True)
        ]

    def _shape(self, span: Span, unknown: "list[_Overlap]") -> tuple[str, list[int]]:
        """By which rule, and what whole slots would hold by it; the same for all where nothing is known of them."""
        interval = self.lattice.interval
        is_aligned = (span.start - self.lattice.start) % interval == 0 == (span.end - span.start) % interval
        if span.end - span.start <= 2 * interval and not is_aligned:
            return "interpolate", [1] * len(unknown)
        if len(unknown) * interval <= self.rules.linear_seconds:
            line = self._line(Gap(unknown[0].slot, unknown[-1].slot + 1))
            if line is not None:
                return "linear", [line[over.slot - unknown[0].slot] for over in unknown]
        else:
            likely = [self.like.median(over.slot) for over in unknown]
            usable = [value for value in likely if value is not None]
            if usable:
                mean = sum(usable) // len(usable)
                return "register-scaled", [mean if value is None else value for value in likely]
        return "even", [1] * len(unknown)

    # ------------------------------------------------------------------------------------------------
    # Gaps of which nothing is known
    # ------------------------------------------------------------------------------------------------

    def fill_gaps(self) -> None:
        """Fill what is still unknown: short gaps by a line, others by like days, the rest with 0."""
        first, last = self.wanted
        for gap in list(gaps(self.slots)):
            if gap.last <= first or gap.first >= last:
                continue
            line = self._line(gap) if len(gap) * self.lattice.interval <= self.rules.linear_seconds else None
            for slot in range(max(gap.first, first), min(gap.last, last)):
                likely = self.like.median(slot) if line is None else line[slot - gap.first]
                self._substitute(slot, "like-day" if line is None else "linear", likely)

    def _substitute(self, slot: int, rule: str, energy: int | None) -> None:
        if energy is None:
            self.log.note(self.lattice.time(slot), "zero", None, 0, Reason.GAP)
            return
        self.slots.put(slot, energy, Quality.ESTIMATED)
        self.log.note(self.lattice.time(slot), rule, None, energy, Reason.GAP)

    def _line(self, gap: Gap) -> list[int] | None:
        """Values on the line between the neighbours, mJ; None if one of them is not known."""
        before, after = gap.first - 1, gap.last
        if before < 0 or after >= self.lattice.slots or not self.like.good[[before, after]].all():
            return None
        left, right = int(self.slots.energy[before]), int(self.slots.energy[after])
        steps = len(gap) + 1
        return [left + (right - left) * step // steps for step in range(1, steps)]


def _shaped(energy: int, likely: list[int], seconds: list[int]) -> list[int]:
    """The energy in parts, mJ, whose sum it is exactly: in proportion to what is likely, or, where signs differ and
    nothing can be scaled, what is likely and the difference evenly."""
    weights = [value * share for value, share in zip(likely, seconds, strict=True)]
    if energy >= 0 and min(weights) >= 0 and any(weights):
        return apportion(energy, weights)
    shape = [weight // max(seconds) for weight in weights]
    extra = apportion(energy - sum(shape), seconds)
    return [value + part for value, part in zip(shape, extra, strict=True)]


class _Overlap(NamedTuple):
    """A slot and how many of its seconds a stretch covers."""

    slot: int
    seconds: int


class _Share(NamedTuple):
    """What a stretch gives a slot, mJ, for so many of its seconds."""

    slot: int
    seconds: int
    energy: int
    rule: str
    quality: Quality


def _overlaps(span: Span, lattice: Lattice) -> list[_Overlap]:
    """The slots a stretch touches; none if it leaves the lattice."""
    if span.start < lattice.start or span.end > lattice.end:
        return []
    slots = range(lattice.index(span.start), lattice.index(span.end - 1) + 1)
    return [
        _Overlap(slot, min(span.end, lattice.time(slot + 1)) - max(span.start, lattice.time(slot)))
        for slot in slots
    ]
