"""Messages as meters would send them, for the tests of cleaning."""

import hashlib
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from clearwatt.metering.points import PointConfig
from clearwatt.metering.readings import Reading, ReadingsMessage, Unit

SETTLEMENT = "0x5FbDB2315678afecb367f032d93F642f64180aa3"
HOUSEHOLD = "0x" + "a1" * 20
METER = "0x" + "b2" * 20
QUARTER = 900
DAY = 86_400
MONDAY = 1_749_427_200
"""2025-06-09 00:00 UTC."""


def point(**values: Any) -> PointConfig:
    """An import point of a house with a fuse of 20 kW, unless said otherwise."""
    plain = {"point": "DE1", "member": HOUSEHOLD, "meter": METER, "register": "import", "max_power_w": 20_000}
    return PointConfig(**(plain | values))


def message(
    rows: Iterable[tuple[Any, ...]], unit: str = "Wh", interval: int = QUARTER, sent: int | None = None
) -> ReadingsMessage:
    """A message of rows (time, value[, quality]), sent 5 s after the last interval's end unless said otherwise."""
    readings = tuple(Reading(row[0], Decimal(str(row[1])), *row[2:]) for row in rows)
    moment = max(reading.start for reading in readings) + interval + 5 if sent is None else sent
    digest = hashlib.sha256(repr((readings, unit, interval, moment)).encode()).digest()
    return ReadingsMessage(31337, SETTLEMENT, "DE1", moment, Unit(unit), interval, readings, digest)


def quarters(values: Iterable[Any], start: int = MONDAY, **options: Any) -> ReadingsMessage:
    """Quarter-hour values from `start` on; None = the meter says nothing of it."""
    rows = [(start + QUARTER * index, value) for index, value in enumerate(values) if value is not None]
    return message(rows, **options)


def register(
    counts: Iterable[Any], start: int = MONDAY, unit: str = "register_Wh", **options: Any
) -> ReadingsMessage:
    """What the register showed each quarter of an hour from `start` on; None = it was not read."""
    return quarters(counts, start, unit=unit, **options)
