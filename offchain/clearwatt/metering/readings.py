"""What a readings message says: the text a meter signs, read strictly.

The payload is canonical JSON (UTF-8, keys sorted, no spaces), so that one content has one text:

    {"audience": "eip155:<chain>:<settlement>", "interval": 900, "point": "DE001", "readings": [[1750000500, "0.125"]],
     "sent": 1750001400, "unit": "kWh"}

A reading is [time, value] or [time, value, quality]; the value is an integer or a decimal text, never a binary float.
Time is in Unix seconds: the start of an interval, or the moment a register was read.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from functools import cached_property
from typing import Any, NamedTuple

from eth_utils import is_checksum_address

MAX_READINGS = 10_000
MAX_INTERVAL = 31 * 86_400
MAX_TIME = 2**40
MAX_NAME = 64
KEYS = ("audience", "interval", "point", "readings", "sent", "unit")

_DECIMAL = re.compile(r"-?(0|[1-9][0-9]{0,14})(\.[0-9]{1,12})?", re.ASCII)
_AUDIENCE = re.compile(r"eip155:([1-9][0-9]{0,77}):(0x[0-9a-fA-F]{40})", re.ASCII)
_POINT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]*", re.ASCII)


class MalformedReadings(ValueError):
    """A payload that is no readings message, with what is wrong in it."""


class Unit(StrEnum):
    """What the numbers count. W is the mean power over the interval; registers count up from the meter's first day."""

    WH = "Wh"
    KWH = "kWh"
    W = "W"
    REGISTER_WH = "register_Wh"
    REGISTER_KWH = "register_kWh"

    @property
    def is_register(self) -> bool:
        return self in (Unit.REGISTER_WH, Unit.REGISTER_KWH)


class Flag(StrEnum):
    """What the meter itself says of a value."""

    MEASURED = "measured"
    ESTIMATED = "estimated"
    INVALID = "invalid"


FLAGS = {str(flag) for flag in Flag}


class Reading(NamedTuple):
    """One value of a message.

    start: of the interval, or when the register was read; Unix seconds. value: in the message's unit.
    """

    start: int
    value: Decimal
    quality: str = Flag.MEASURED


@dataclass(frozen=True)
class ReadingsMessage:
    """A meter's readings of one metering point.

    chain_id, settlement: the market it is for. sent: Unix seconds; of two values for an interval the later sent holds.
    interval: seconds each value covers (registers: how far apart they usually are). digest: the signed message's.
    """

    chain_id: int
    settlement: str
    point: str
    sent: int
    unit: Unit
    interval: int
    readings: tuple[Reading, ...]
    digest: bytes = b""

    @cached_property
    def first(self) -> int:
        """The earliest second the message says something of."""
        return min(reading.start for reading in self.readings)

    @cached_property
    def last(self) -> int:
        """The end of what the message says something of."""
        latest = max(reading.start for reading in self.readings)
        return latest if self.unit.is_register else latest + self.interval


def is_point_id(text: str) -> bool:
    """Whether a metering point can be called so: at most 64 letters, digits, dots, colons, dashes, underscores."""
    return len(text) <= MAX_NAME and _POINT.fullmatch(text) is not None


def readings_payload(
    *,
    chain_id: int,
    settlement: str,
    point: str,
    sent: int,
    unit: str,
    interval: int,
    readings: Iterable[tuple[int, int | str] | tuple[int, int | str, str]],
) -> bytes:
    """The exact bytes a meter signs. Raises MalformedReadings for what `parse_readings` would not take."""
    rows = [_shortest(row) for row in readings]
    audience = f"eip155:{chain_id}:{settlement}"
    content = {"audience": audience, "point": point, "sent": sent, "unit": str(unit)}
    payload = _canonical(content | {"interval": interval, "readings": rows})
    parse_readings(payload)
    return payload


def parse_readings(payload: bytes, digest: bytes = b"") -> ReadingsMessage:
    """The message in the payload. Raises MalformedReadings."""
    content = _load(payload)
    if not isinstance(content, dict) or sorted(content) != list(KEYS):
        raise MalformedReadings(f"it is not an object with the keys {', '.join(KEYS)}")
    try:
        if _canonical(content) != payload:
            raise MalformedReadings("it is not canonical JSON (UTF-8, keys sorted, no spaces)")
    except UnicodeEncodeError:
        raise MalformedReadings("it has characters that are none") from None
    rows = content["readings"]
    if not isinstance(rows, list) or not 1 <= len(rows) <= MAX_READINGS:
        raise MalformedReadings(f"readings is not a list of 1 to {MAX_READINGS}")
    unit = _unit(content["unit"])
    chain_id, settlement = _audience(content["audience"])
    return ReadingsMessage(
        chain_id=chain_id,
        settlement=settlement,
        point=_point(content["point"]),
        sent=_whole(content["sent"], "sent", MAX_TIME),
        unit=unit,
        interval=_interval(content["interval"], unit),
        readings=tuple([_reading(row, index) for index, row in enumerate(rows)]),
        digest=digest,
    )


def _canonical(content: dict[str, Any]) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _shortest(row: tuple[Any, ...]) -> list[Any]:
    return list(row[:2]) if len(row) == 3 and row[2] == Flag.MEASURED else list(row)


def _load(payload: bytes) -> Any:
    try:
        return json.loads(payload.decode())
    except UnicodeDecodeError:
        raise MalformedReadings("it is not UTF-8") from None
    except RecursionError:
        raise MalformedReadings("it is nested too deeply") from None
    except ValueError as error:  # JSONDecodeError, or a number of thousands of digits
        raise MalformedReadings(f"it is not JSON: {error}") from None


def _audience(value: Any) -> tuple[int, str]:
    match = _AUDIENCE.fullmatch(value) if isinstance(value, str) else None
    if match is None or not is_checksum_address(match[2]):
        raise MalformedReadings("audience is not eip155:<chain id>:<address of the Settlement contract>")
    return int(match[1]), match[2]


def _point(value: Any) -> str:
    if not isinstance(value, str) or not is_point_id(value):
        raise MalformedReadings(
            f"point is not a name of at most {MAX_NAME} letters, digits, dots, colons, dashes and underscores"
        )
    return value


def _whole(value: Any, name: str, most: int, least: int = 0) -> int:
    if type(value) is not int or not least <= value <= most:
        raise MalformedReadings(f"{name} is not a whole number from {least} to {most}")
    return value


def _unit(value: Any) -> Unit:
    try:
        return Unit(value)
    except ValueError:
        raise MalformedReadings(f"unit is none of {', '.join(Unit)}") from None


def _interval(value: Any, unit: Unit) -> int:
    return _whole(value, "interval", MAX_INTERVAL, least=0 if unit.is_register else 1)


def _reading(row: Any, index: int) -> Reading:
    if not isinstance(row, list) or not 2 <= len(row) <= 3:
        raise MalformedReadings(f"readings[{index}] is not [time, value] or [time, value, quality]")
    start, value = row[0], row[1]
    if type(start) is not int or not 0 <= start <= MAX_TIME:
        raise MalformedReadings(f"readings[{index}]: the time is not in whole Unix seconds")
    if type(value) is int:
        value = str(value) if abs(value) < 10**15 else ""
    if not isinstance(value, str) or not _DECIMAL.fullmatch(value):
        raise MalformedReadings(
            f'readings[{index}]: the value is not an integer or a decimal text like "0.125"'
        )
    if len(row) == 2:
        return Reading(start, Decimal(value))
    if not isinstance(row[2], str) or row[2] not in FLAGS:
        raise MalformedReadings(f"readings[{index}]: the quality is none of {', '.join(Flag)}")
    return Reading(start, Decimal(value), row[2])
