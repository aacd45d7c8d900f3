"""Cumulative registers: from what a counter showed at some moments to the energy in between."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import numpy as np

from clearwatt.metering.intervals import INVALID, Rows, choose, refuse, refuse_future, rows_of, snap
from clearwatt.metering.lattice import DecisionLog, Lattice, Span, VeeRules, factor_of
from clearwatt.metering.points import PointConfig
from clearwatt.metering.readings import ReadingsMessage, Unit
from clearwatt.metering.series import Quality, Reason


@dataclass
class _Register:
    """One point's register of one unit.

    modulus: where it starts again at 0, mJ; None = never. resolution: the worth of its last digit, mJ.
    """

    point: PointConfig
    modulus: int | None
    resolution: int
    moments: list[int] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)

    def between(self, first: int, second: int) -> int | None:
        """Energy from one reading to a later one; None if nothing that can be true lies between them."""
        energy = self.counts[second] - self.counts[first]
        most = 1000 * self.point.max_power_w * (self.moments[second] - self.moments[first]) + self.resolution
        if self.modulus is not None:
            energy = self._nearest(energy)
        least = -most if self.point.can_be_negative else 0
        return energy if least <= energy <= most else None

    def _nearest(self, energy: int) -> int:
        """The energy less than half the register's range away from 0: it passed its end at most once."""
        assert self.modulus is not None
        half = self.modulus // 2
        return (energy + half) % self.modulus - half

    def rolled_over(self, first: int, second: int, energy: int) -> bool:
        return self.counts[second] - self.counts[first] != energy


def read_registers(
    messages: Sequence[ReadingsMessage],
    point: PointConfig,
    lattice: Lattice,
    log: DecisionLog,
    rules: VeeRules,
) -> list[Span]:
    """The stretches between the register's readings, ascending, none overlapping another of the same unit."""
    spans: list[Span] = []
    for unit in (Unit.REGISTER_WH, Unit.REGISTER_KWH):
        chosen = [message for message in messages if message.unit == unit]
        if chosen:
            spans += _read_unit(chosen, unit, point, lattice, log, rules)
    return spans


def _read_unit(
    messages: Sequence[ReadingsMessage],
    unit: Unit,
    point: PointConfig,
    lattice: Lattice,
    log: DecisionLog,
    rules: VeeRules,
) -> list[Span]:
    register = _register(messages, unit, point)
    rows = refuse_future(rows_of(messages, point, lattice, log), 0, log, rules)
    snap(rows, lattice.interval, lattice.start, log, rules)
    if not point.can_be_negative:
        rows = refuse(rows, (rows.energy < 0) & (rows.flag != INVALID), log, Reason.NEGATIVE)
    if register.modulus is not None:
        rows = refuse(rows, rows.energy >= register.modulus, log, Reason.TOO_LARGE)
    rows, quality = choose(rows, log)
    register.moments, register.counts = rows.start.tolist(), rows.energy.tolist()
    if _counts_up(rows, register):
        return _plain_spans(rows, quality, register)
    return _spans(register, [Quality(code) for code in quality.tolist()], log)


def _register(messages: Sequence[ReadingsMessage], unit: Unit, point: PointConfig) -> _Register:
    factor = factor_of(unit, 0, point.multiplier)
    modulus = None if point.register_digits is None else int(factor * 10**point.register_digits)
    decimals = max(_decimals(reading.value) for message in messages for reading in message.readings)
    return _Register(point, modulus, int(factor.scaleb(-decimals)))


def _decimals(value: Decimal) -> int:
    """How many digits after the decimal point the register shows."""
    return len(f"{value:f}".partition(".")[2])


def _spans(register: _Register, quality: list[Quality], log: DecisionLog) -> list[Span]:
    """Stretches between consecutive readings. One reading that fits neither neighbour is left out; where the register
    begins anew (the meter was replaced), the stretch is unknown."""
    spans: list[Span] = []
    before = 0
    for reading in range(1, len(register.moments)):
        energy = register.between(before, reading)
        if energy is None and _is_glitch(register, before, reading):
            count = register.counts[reading]
            log.note(register.moments[reading], "reject", count, None, Reason.REGISTER_GLITCH)
            continue
        if energy is None:
            lost = register.counts[reading] - register.counts[before]
            log.note(register.moments[before], "restart", lost, None, Reason.REGISTER_RESET)
        else:
            spans.append(
                _span(register, before, reading, energy, max(quality[before], quality[reading]), log)
            )
        before = reading
    return spans


def _counts_up(rows: Rows, register: _Register) -> bool:
    """Whether all is as it should be: no step needs a second look."""
    energy, most = np.diff(rows.energy), 1000 * register.point.max_power_w * np.diff(rows.start)
    if register.modulus is not None:
        most = np.minimum(most, register.modulus // 2 - register.resolution - 1)
    return bool(((energy >= 0) & (energy <= most)).all())


def _plain_spans(rows: Rows, quality: np.ndarray, register: _Register) -> list[Span]:
    worst = np.maximum(quality[1:], quality[:-1])
    columns = rows.start[:-1], rows.start[1:], np.diff(rows.energy), worst
    lists = [column.tolist() for column in columns]
    return [
        Span(start, end, energy, Quality(code), register.resolution)
        for start, end, energy, code in zip(*lists, strict=True)
    ]


def _is_glitch(register: _Register, before: int, reading: int) -> bool:
    return reading + 1 < len(register.moments) and register.between(before, reading + 1) is not None


def _span(
    register: _Register, first: int, second: int, energy: int, quality: Quality, log: DecisionLog
) -> Span:
    start, end = register.moments[first], register.moments[second]
    if register.rolled_over(first, second, energy):
        log.note(
            start, "roll-over", register.counts[second] - register.counts[first], energy, Reason.ROLL_OVER
        )
    return Span(start, end, energy, quality, register.resolution)
