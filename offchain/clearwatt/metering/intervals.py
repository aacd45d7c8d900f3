"""From messages to slots: which of all the values said of an interval holds, and to which slot it belongs.

Everything here depends on the set of messages only: they are put in the order (sent, digest) first, repeats left out.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from clearwatt.metering.lattice import (
    LARGEST_ENERGY,
    DecisionLog,
    Lattice,
    Span,
    VeeRules,
    factor_of,
    to_millijoules,
)
from clearwatt.metering.points import PointConfig
from clearwatt.metering.readings import Flag, ReadingsMessage
from clearwatt.metering.series import Quality, Reason

FLAG_CODES = {Flag.ESTIMATED: 0, Flag.MEASURED: 1, Flag.INVALID: 2}
ESTIMATED, MEASURED, INVALID = 0, 1, 2


@dataclass
class Rows:
    """Readings of one kind as columns, int64[n] each.

    start: Unix seconds. energy: mJ (registers: since the meter's first day). flag: `FLAG_CODES`.
    order: the rank of its message by (sent, digest). sent: Unix seconds. moved: whether its time was put right.
    """

    start: np.ndarray
    energy: np.ndarray
    flag: np.ndarray
    order: np.ndarray
    sent: np.ndarray
    moved: np.ndarray

    def __len__(self) -> int:
        return len(self.start)

    def where(self, keep: np.ndarray) -> "Rows":
        """The rows of a mask or of indices."""
        return Rows(*(column[keep] for column in vars(self).values()))


@dataclass
class Slots:
    """What is known so far of a lattice's slots: energy int64[n] mJ, quality uint8[n]."""

    energy: np.ndarray
    quality: np.ndarray

    @classmethod
    def unknown(cls, lattice: Lattice) -> "Slots":
        missing = np.full(lattice.slots, Quality.MISSING, np.uint8)
        return cls(np.zeros(lattice.slots, np.int64), missing)

    def put(self, index: np.ndarray | int, energy: np.ndarray | int, quality: np.ndarray | int) -> None:
        self.energy[index] = energy
        self.quality[index] = quality


def in_order(messages: Iterable[ReadingsMessage]) -> list[ReadingsMessage]:
    """Each message once, by (sent, digest)."""
    once = {message.digest: message for message in messages}
    return sorted(once.values(), key=lambda message: (message.sent, message.digest))


def note_late(messages: Sequence[ReadingsMessage], log: DecisionLog, rules: VeeRules) -> None:
    """One decision per message that came later than it should; its values count all the same."""
    for message in messages:
        concerned = message.first < log.last and message.last > log.first
        if concerned and message.sent > message.last + rules.late_seconds:
            log.note(max(message.first, log.first), "keep", None, None, Reason.LATE)


def rows_of(
    messages: Sequence[ReadingsMessage], point: PointConfig, lattice: Lattice, log: DecisionLog
) -> Rows:
    """The readings of messages of one unit and interval, as far as they can touch the lattice and have a size that
    energy can have."""
    margin = max(lattice.interval, 86_400)
    earliest, latest = lattice.start - margin, lattice.end + margin
    columns: tuple[list[int], ...] = ([], [], [], [], [])
    for order, message in enumerate(messages):
        if message.last < earliest or message.first > latest:
            continue
        for start, energy, flag in _energies(message, point, log):
            if earliest <= start <= latest:
                for column, entry in zip(columns, (start, energy, flag, order, message.sent), strict=True):
                    column.append(entry)
    arrays = [np.array(column, np.int64) for column in columns]
    return Rows(*arrays, moved=np.zeros(len(arrays[0]), np.int64))


def _energies(
    message: ReadingsMessage, point: PointConfig, log: DecisionLog
) -> Iterator[tuple[int, int, int]]:
    factor = factor_of(message.unit, message.interval, point.multiplier)
    for start, value, quality in message.readings:
        energy = to_millijoules(value, factor)
        if abs(energy) < LARGEST_ENERGY:
            yield start, energy, FLAG_CODES[quality]
        else:
            log.note(start, "reject", energy, None, Reason.TOO_LARGE)


# ---------------------------------------------------------------------------------------------------
# Checks of single readings
# ---------------------------------------------------------------------------------------------------


def refuse(rows: Rows, bad: np.ndarray, log: DecisionLog, reason: Reason) -> Rows:
    """The rows without the bad ones, each of which is recorded."""
    if not bad.any():
        return rows
    for start, energy in zip(rows.start[bad], rows.energy[bad], strict=True):
        log.note(start, "reject", energy, None, reason)
    return rows.where(~bad)


def refuse_future(rows: Rows, length: int, log: DecisionLog, rules: VeeRules) -> Rows:
    """A meter cannot say what it has not seen: the interval ends after the message was sent."""
    return refuse(rows, rows.start + length > rows.sent + rules.snap_seconds, log, Reason.FUTURE)


def snap(rows: Rows, base: int, origin: int, log: DecisionLog, rules: VeeRules) -> np.ndarray:
    """Move times within the tolerance of a boundary to it, and record it; returns the mask of those beyond it."""
    tolerance = min(rules.snap_seconds, base // 4)
    drift = (rows.start - origin + tolerance) % base - tolerance
    moved = (drift != 0) & (drift <= tolerance)
    if moved.any():
        rows.start = rows.start - np.where(moved, drift, 0)
        rows.moved = moved.astype(np.int64)
        for start, energy in zip(rows.start[moved], rows.energy[moved], strict=True):
            log.note(start, "snap", energy, energy, Reason.CLOCK_DRIFT)
    return drift > tolerance


def choose(rows: Rows, log: DecisionLog) -> tuple[Rows, np.ndarray]:
    """One reading for each start, and its quality.

    The meter's measured values go before its estimates, then the latest sent holds. A value marked invalid takes back
    what was said before. What does not hold is recorded. Starts ascend.
    """
    rows = rows.where(np.lexsort((rows.energy, rows.order, rows.flag > ESTIMATED, rows.start)))
    last = np.append(rows.start[1:] != rows.start[:-1], True) if len(rows) else np.zeros(0, bool)
    quality = np.where(rows.moved > 0, Quality.ADJUSTED, Quality.MEASURED).astype(np.uint8)
    quality[rows.flag == ESTIMATED] = Quality.ESTIMATED
    if not last.all():
        _settle_conflicts(rows, quality, np.flatnonzero(last), log)
    chosen, quality = rows.where(last), quality[last]
    for start, energy in zip(
        chosen.start[chosen.flag == ESTIMATED], chosen.energy[chosen.flag == ESTIMATED], strict=True
    ):
        log.note(start, "keep", energy, energy, Reason.METER_ESTIMATE)
    valid = chosen.flag != INVALID
    return refuse(chosen, ~valid, log, Reason.INVALID), quality[valid]


def _settle_conflicts(rows: Rows, quality: np.ndarray, winners: np.ndarray, log: DecisionLog) -> None:
    winner_of = winners[np.searchsorted(winners, np.arange(len(rows)))]
    for loser in np.flatnonzero(winner_of != np.arange(len(rows))):
        winner = winner_of[loser]
        before, after = rows.energy[loser], rows.energy[winner]
        if before == after and rows.flag[loser] == rows.flag[winner]:
            log.note(rows.start[loser], "drop", before, after, Reason.DUPLICATE)
            continue
        same_time = rows.sent[loser] == rows.sent[winner]
        log.note(
            rows.start[loser], "replace", before, after, Reason.CONFLICT if same_time else Reason.CORRECTION
        )
        if rows.flag[winner] == MEASURED:
            quality[winner] = max(quality[winner], Quality.CORRECTED)


# ---------------------------------------------------------------------------------------------------
# Intervals
# ---------------------------------------------------------------------------------------------------


def read_intervals(
    messages: Sequence[ReadingsMessage],
    point: PointConfig,
    lattice: Lattice,
    log: DecisionLog,
    rules: VeeRules,
) -> tuple[Slots, list[Span]]:
    """Slots known from interval values, and the stretches known from intervals longer than a slot.

    Where several lengths speak of one slot, its own length holds, then the finest.
    """
    slots, spans = Slots.unknown(lattice), []
    by_length: dict[int, list[ReadingsMessage]] = {}
    for message in messages:
        by_length.setdefault(message.interval, []).append(message)
    for length in sorted(by_length, key=lambda length: (length != lattice.interval, length)):
        rows, quality = _read_length(by_length[length], length, point, lattice, log, rules)
        if length == lattice.interval:
            inside = (rows.start >= lattice.start) & (rows.start < lattice.end)
            index = (rows.start[inside] - lattice.start) // length
            slots.put(index, rows.energy[inside], quality[inside])
        elif length < lattice.interval:
            _add_parts(slots, rows, quality, length, lattice, log)
        else:
            spans += _long_spans(rows, quality, length, log)
    return slots, spans


def _read_length(
    messages: Sequence[ReadingsMessage],
    length: int,
    point: PointConfig,
    lattice: Lattice,
    log: DecisionLog,
    rules: VeeRules,
) -> tuple[Rows, np.ndarray]:
    """The values of intervals of one length that hold, and their qualities."""
    rows = refuse_future(rows_of(messages, point, lattice, log), length, log, rules)
    is_part = lattice.interval % length == 0
    beyond = snap(rows, length if is_part else lattice.interval, lattice.start, log, rules)
    fits = is_part or length > lattice.interval
    rows = refuse(rows, beyond if fits else np.ones(len(rows), bool), log, Reason.OFF_GRID)
    if not point.can_be_negative:
        rows = refuse(rows, (rows.energy < 0) & (rows.flag != INVALID), log, Reason.NEGATIVE)
    beyond = np.abs(rows.energy) > 1000 * point.max_power_w * length
    return choose(refuse(rows, beyond & (rows.flag != INVALID), log, Reason.SPIKE), log)


def _add_parts(
    slots: Slots, rows: Rows, quality: np.ndarray, length: int, lattice: Lattice, log: DecisionLog
) -> None:
    """Sum the parts of each slot that is not known yet; from half of them on, the rest is taken to be like them."""
    inside = (rows.start >= lattice.start) & (rows.start < lattice.end)
    index = (rows.start[inside] - lattice.start) // lattice.interval
    energy, worst, count = (np.zeros(lattice.slots, kind) for kind in (np.int64, np.uint8, np.int64))
    np.add.at(energy, index, rows.energy[inside])
    np.add.at(count, index, 1)
    np.maximum.at(worst, index, quality[inside])
    needed = lattice.interval // length
    unknown = slots.quality == Quality.MISSING
    whole = unknown & (count == needed)
    slots.put(whole, energy[whole], worst[whole])
    for slot in np.flatnonzero(unknown & (count < needed) & (2 * count >= needed)):
        scaled = int(energy[slot]) * needed // int(count[slot])
        log.note(lattice.time(slot), "scale", int(energy[slot]), scaled, Reason.PARTS)
        slots.put(slot, scaled, Quality.ESTIMATED)


def _long_spans(rows: Rows, quality: np.ndarray, length: int, log: DecisionLog) -> list[Span]:
    """Intervals longer than a slot, none overlapping the one before."""
    spans: list[Span] = []
    for start, energy, code in zip(rows.start.tolist(), rows.energy.tolist(), quality.tolist(), strict=True):
        if spans and start < spans[-1].end:
            log.note(start, "reject", energy, None, Reason.CONFLICT)
            continue
        spans.append(Span(start, start + length, energy, Quality(code), 0))
    return spans
