"""Metering points: what is measured where, for whom and how; read from `points.yaml` or a CSV file of the same keys.

A member has one or more points and one meter key, which the chain knows; every point's readings are signed with it.
The member's net energy is the sum over its points: export and net registers count +, import registers -.
"""

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import fields
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from eth_utils import is_address, to_checksum_address
from pydantic import BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from clearwatt.documents import FileError, Json, array_at, load_json, object_at, problems_of, read_text, shown
from clearwatt.metering.readings import Unit, is_point_id
from clearwatt.yaml_text import YAML_SUFFIXES, load_yaml

CSV_SUFFIX = ".csv"
MAX_POWER_W = 100_000_000
MAX_MULTIPLIER = 1_000_000
ADDRESS_VALUES = 2**160


def _address(value: Any) -> str:
    if type(value) is int and 0 <= value < ADDRESS_VALUES:  # YAML reads an unquoted 0x.. as a number
        value = f"0x{value:040x}"
    if not isinstance(value, str) or not value.startswith("0x") or not is_address(value):
        raise ValueError("is not an address of 0x and 40 hex digits")
    return to_checksum_address(value)


def _point(value: Any) -> str:
    if not isinstance(value, str) or not is_point_id(value):
        raise ValueError("is not a name of letters, digits, dots, colons, dashes and underscores")
    return value


def _multiplier(value: Any) -> Decimal:
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        number = Decimal("NaN")
    if isinstance(value, bool) or not number.is_finite() or not 0 < number <= MAX_MULTIPLIER:
        raise ValueError(f"is not a number above 0 and at most {MAX_MULTIPLIER}")
    return number


def _zone(value: Any) -> str:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, TypeError, OSError):
        raise ValueError("is not a time zone's name like Europe/Berlin") from None
    return str(value)


Address = Annotated[str, BeforeValidator(_address)]


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid", use_attribute_docstrings=True))
class PointConfig:
    """A metering point. Raises pydantic's ValidationError where a value is impossible."""

    point: Annotated[str, BeforeValidator(_point)]
    """Its identifier, the operator's own."""
    member: Address
    """Whose energy it counts."""
    meter: Address
    """The key that signs its readings; the same for all of a member's points."""
    register: Literal["import", "export", "net"] = "net"
    """Which way it counts: withdrawals, injections, or injections less withdrawals."""
    unit: Unit = Unit.WH
    """Of files that do not say theirs."""
    interval: Annotated[int, Field(ge=1, le=86_400)] = 900
    """Of files that do not say theirs, seconds."""
    zone: Annotated[str, BeforeValidator(_zone)] = "UTC"
    """Where it is, as the IANA time zone: wall-clock times in files, and which days are alike."""
    multiplier: Annotated[Decimal, BeforeValidator(_multiplier)] = Decimal(1)
    """What its numbers are multiplied with: the ratio of its current and voltage transformers."""
    register_digits: Annotated[int, Field(ge=1, le=15)] | None = None
    """Digits before the decimal point after which its register starts again at 0; None = it never does."""
    max_power_w: Annotated[int, Field(ge=1, le=MAX_POWER_W)] = MAX_POWER_W
    """What its connection can carry; no more can be true. After the multiplier."""
    spike_spreads: Annotated[float, Field(ge=1)] | None = None
    """Values further than this many robust spreads from those of like slots are replaced; None = they are not."""

    @property
    def sign(self) -> int:
        """+1 where counting up is an injection, -1 where it is a withdrawal."""
        return -1 if self.register == "import" else 1

    @property
    def can_be_negative(self) -> bool:
        return self.register == "net"

    @classmethod
    def of_member(cls, member: str, meter: str) -> "PointConfig":
        """The one net point, called by its member's address (EIP-55), of a member that no points file describes."""
        return cls(point=to_checksum_address(member), member=member, meter=meter)


KEYS = tuple(field.name for field in fields(PointConfig))
POINT = TypeAdapter(PointConfig)


def read_points(path: str) -> dict[str, PointConfig]:
    """The points of a YAML, JSON or CSV file, by identifier. Raises UserError with what is wrong, and where."""
    with problems_of(path):
        text = read_text(path)
        if path.lower().endswith(CSV_SUFFIX):
            return check_points(_from_csv(text))
        document = load_yaml(text) if path.lower().endswith(YAML_SUFFIXES) else load_json(text)
        content = object_at(document, "the file", ("points",), ("defaults",))
        defaults = object_at(content.get("defaults", {}), "defaults", (), KEYS)
        rows = array_at(content["points"], "points", "a list of metering points")
        return check_points(
            _point_at({**defaults, **object_at(row, f"points[{index}]", (), KEYS)}, f"points[{index}]")
            for index, row in enumerate(rows)
        )


def check_points(points: Iterable[PointConfig]) -> dict[str, PointConfig]:
    """The points by identifier. Raises FileError if two have the same, or a member has two meters."""
    found: dict[str, PointConfig] = {}
    meters: dict[str, str] = {}
    for config in points:
        if config.point in found:
            raise FileError(f"two metering points are called {config.point}")
        if meters.setdefault(config.member, config.meter) != config.meter:
            raise FileError(
                f"point {config.point}: its meter is {config.meter}, but another point of member {config.member} "
                f"has {meters[config.member]}; the chain knows one meter per member"
            )
        found[config.point] = config
    return found


def points_of(points: Mapping[str, PointConfig], member: str) -> list[PointConfig]:
    """A member's points, by identifier ascending."""
    address = to_checksum_address(member)
    return [points[name] for name in sorted(points) if points[name].member == address]


def _point_at(row: Mapping[str, Json], place: str) -> PointConfig:
    try:
        return POINT.validate_python(dict(row))
    except ValidationError as error:
        name = row.get("point")
        where = f"point {name}" if isinstance(name, str) else place
        raise FileError(f"{where}: {sentence_of(error)}") from None


def sentence_of(problem: ValidationError) -> str:
    """The first thing pydantic found wrong, in words."""
    error = problem.errors(include_url=False)[0]
    key = error["loc"][0] if error["loc"] else ""
    match error["type"]:
        case "missing":
            return f"the key {shown(key)} is missing"
        case "value_error":
            return f"{key} {shown(error['input'])} {error['ctx']['error']}"
        case "literal_error" | "enum":
            return f"{key} {shown(error['input'])} is not {error['ctx']['expected']}"
        case _:
            return f"{key} {shown(error['input'])}: {error['msg'][:1].lower()}{error['msg'][1:]}"


def _from_csv(text: str) -> Iterable[PointConfig]:
    rows = csv.DictReader(io.StringIO(text), strict=True)
    for key in rows.fieldnames or ():
        if key not in KEYS:
            raise FileError(f"line 1: there is no key {shown(key)}; known are {', '.join(KEYS)}")
    try:
        for row in rows:
            if None in row or None in row.values():
                raise FileError(f"line {rows.line_num}: it has not as many cells as line 1")
            yield _point_at({key: cell for key, cell in row.items() if cell != ""}, f"line {rows.line_num}")
    except csv.Error as error:
        raise FileError(f"line {rows.line_num}: {error}") from None
