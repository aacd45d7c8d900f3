"""Readings from files: CSV and Parquet, one value a row, their columns named by a map (docs/metering.md).

A file is read as a stream. What is wrong with it is told in one sentence that names the file and the line.
"""

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from datetime import datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from clearwatt.documents import FileError, load_json, object_at, problems_of, read_text, shown
from clearwatt.metering.points import PointConfig, sentence_of
from clearwatt.metering.readings import Flag, Unit
from clearwatt.metering.walltime import NoSuchTime, WallClock
from clearwatt.yaml_text import YAML_SUFFIXES, load_yaml

PARQUET_SUFFIX = ".parquet"
MOST_DECIMALS = 12
"""A binary float of a file has digits beyond what any meter shows."""


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid", use_attribute_docstrings=True))
class ColumnMap:
    """Which column of a file says what, and how it is written."""

    time: str | tuple[str, ...]
    """The interval's time; several columns (date and hour) are joined by a space."""
    value: str
    """The reading."""
    point: str | None = None
    """The metering point; without it all rows are of `only_point`."""
    only_point: str | None = None
    """The one point of a file that does not name it."""
    unit: str | None = None
    """The unit of the row; without it the point's, see points.yaml."""
    quality: str | None = None
    """What is said of the value."""
    position: str | None = None
    """The interval's number from 1 on within the period that begins at `time`, as in EBIX messages."""
    stamps: Literal["start", "end"] = "start"
    """Whether `time` is the start or the end of the interval."""
    interval: Annotated[int, Field(ge=1, le=86_400)] | None = None
    """Seconds; without it the point's."""
    zone: str | None = None
    """Time zone of times without an offset; without it the point's."""
    format: str | None = None
    """How times are written, as Python's strptime has it; without it ISO 8601."""
    units: dict[str, Unit] = Field(default_factory=dict)
    """What the file calls each unit."""
    qualities: dict[str, Flag] = Field(default_factory=dict)
    """What the file calls measured, estimated and invalid values."""
    separator: Annotated[str, Field(min_length=1, max_length=1)] = ","
    """Between the cells of a CSV file."""
    decimal_comma: bool = False
    """Whether 1.234,5 is a thousand and some."""
    encoding: str = "utf-8-sig"
    """Of a CSV file."""
    skip_lines: Annotated[int, Field(ge=0)] = 0
    """Lines before the one with the columns' names."""

    def columns(self) -> list[str]:
        """All that have to be there."""
        time = [self.time] if isinstance(self.time, str) else list(self.time)
        others = (self.point, self.value, self.unit, self.quality, self.position)
        return time + [name for name in others if name is not None]


COLUMN_MAP = TypeAdapter(ColumnMap)
MAP_KEYS = tuple(field.name for field in fields(ColumnMap))


class FileReading(NamedTuple):
    """One row. start: Unix seconds. value: decimal text in the unit."""

    point: str
    start: int
    value: str
    unit: Unit
    interval: int
    quality: Flag


def read_map(path: str) -> ColumnMap:
    """The column map in a YAML or JSON file. Raises UserError with what is wrong, and where."""
    with problems_of(path):
        text = read_text(path)
        content = load_yaml(text) if path.lower().endswith(YAML_SUFFIXES) else load_json(text)
        content = object_at(content, "the map", ("time", "value"), MAP_KEYS)
        try:
            columns = COLUMN_MAP.validate_python(content)
        except ValidationError as error:
            raise FileError(sentence_of(error)) from None
        if (columns.point is None) == (columns.only_point is None):
            raise FileError("it names either the column `point` or the `only_point` of the file")
        return columns


def read_file(path: str, columns: ColumnMap, points: Mapping[str, PointConfig]) -> Iterator[FileReading]:
    """The readings of a file, row by row; rows without a value are left out. Raises UserError."""
    rows = _parquet_rows if path.lower().endswith(PARQUET_SUFFIX) else _csv_rows
    reader = _RowReader(columns, points)
    with problems_of(path):
        for place, row in rows(path, columns):
            try:
                reading = reader.read(row)
            except FileError as error:
                raise FileError(f"{place}: {error}") from None
            if reading is not None:
                yield reading


def _csv_rows(path: str, columns: ColumnMap) -> Iterator[tuple[str, dict[str, Any]]]:
    with Path(path).open(newline="", encoding=_encoding(columns.encoding)) as file:
        for _ in range(columns.skip_lines):
            file.readline()
        rows = csv.reader(file, delimiter=columns.separator, strict=True)
        try:
            head = [name.strip() for name in next(rows, [])]
            _check_columns(head, columns)
            for row in rows:
                place = f"line {rows.line_num + columns.skip_lines}"
                if len(row) == len(head):
                    yield place, dict(zip(head, row, strict=True))
                elif row:
                    raise FileError(f"{place}: it has {len(row)} cells and not {len(head)}")
        except csv.Error as error:
            raise FileError(f"line {rows.line_num + columns.skip_lines}: {error}") from None


def _encoding(name: str) -> str:
    try:
        "".encode(name)
    except LookupError:
        raise FileError(f"the map's encoding {shown(name)} is none") from None
    return name


def _parquet_rows(path: str, columns: ColumnMap) -> Iterator[tuple[str, dict[str, Any]]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            _check_columns(file.schema_arrow.names, columns)
            number = 0
            for batch in file.iter_batches(columns=columns.columns()):
                for row in pa.RecordBatch.from_arrays(
                    [_coarser(column) for column in batch.columns], names=batch.schema.names
                ).to_pylist():
                    number += 1
                    yield f"row {number}", row
    except pa.ArrowException as error:
        raise FileError(f"it is not a Parquet file that can be read: {str(error).splitlines()[0]}") from None


def _coarser(column: Any) -> Any:
    """Times in microseconds: Python has no finer ones."""
    import pyarrow as pa

    if pa.types.is_timestamp(column.type) and column.type.unit == "ns":
        return column.cast(pa.timestamp("us", column.type.tz), safe=False)
    return column


def _check_columns(head: Iterable[str], columns: ColumnMap) -> None:
    there = list(head)
    for name in columns.columns():
        if name not in there:
            raise FileError(f"there is no column {shown(name)}; there are {', '.join(map(shown, there))}")


class _RowReader:
    def __init__(self, columns: ColumnMap, points: Mapping[str, PointConfig]) -> None:
        self._columns = columns
        self._points = points
        self._clock = WallClock(columns.format)

    def read(self, row: Mapping[str, Any]) -> FileReading | None:
        """The reading in a row; None if it has no value."""
        columns = self._columns
        point = self._point(row)
        value = self._value(row[columns.value])
        interval = columns.interval or point.interval
        unit = self._unit(row, point)
        try:
            start = self._clock.seconds(point.point, self._time(row), columns.zone or point.zone)
        except NoSuchTime as error:
            if value is None or not Decimal(value):
                return None  # exports with 96 rows a day, every day, fill the hour that does not happen
            raise FileError(str(error)) from None
        if columns.stamps == "end" and not unit.is_register:
            start -= interval
        if columns.position is not None:
            start += (self._position(row) - 1) * interval
        quality = self._quality(row)
        return None if value is None else FileReading(point.point, start, value, unit, interval, quality)

    def _point(self, row: Mapping[str, Any]) -> PointConfig:
        name = self._columns.only_point
        if self._columns.point is not None:
            name = str(row[self._columns.point]).strip()
        if name not in self._points:
            raise FileError(f"the metering point {shown(name)} is not in the points file")
        return self._points[name]

    def _time(self, row: Mapping[str, Any]) -> str | datetime | int:
        if isinstance(self._columns.time, str):
            time = row[self._columns.time]
            if isinstance(time, datetime) or type(time) is int:
                return time
            return str(time).strip()
        return " ".join(str(row[name]).strip() for name in self._columns.time)

    def _value(self, cell: Any) -> str | None:
        text = "" if cell is None else str(cell).strip()
        if text == "":
            return None
        plain = text.replace(".", "").replace(",", ".") if self._columns.decimal_comma else text
        try:
            number = Decimal(plain)
        except InvalidOperation:
            number = Decimal("NaN")
        if not number.is_finite() or abs(number) >= 10**15 or "_" in plain:
            raise FileError(f"the value {shown(text)} is not a number")
        return _decimal_text(number)

    def _unit(self, row: Mapping[str, Any], point: PointConfig) -> Unit:
        if self._columns.unit is None:
            return point.unit
        return _translated(row[self._columns.unit], self._columns.units, Unit, "unit")

    def _quality(self, row: Mapping[str, Any]) -> Flag:
        if self._columns.quality is None:
            return Flag.MEASURED
        return _translated(row[self._columns.quality], self._columns.qualities, Flag, "quality")

    def _position(self, row: Mapping[str, Any]) -> int:
        text = str(row[self._columns.position or ""]).strip()
        if not text.isdecimal() or not 1 <= int(text) <= 10_000:
            raise FileError(f"the position {shown(text)} is not a whole number from 1 on")
        return int(text)


def _decimal_text(number: Decimal) -> str:
    exponent = number.as_tuple().exponent
    if isinstance(exponent, int) and exponent < -MOST_DECIMALS:
        number = round(number, MOST_DECIMALS)
    return f"{number:f}" if number else "0"


def _translated(cell: Any, names: Mapping[str, Any], kind: Any, what: str) -> Any:
    text = "" if cell is None else str(cell).strip()
    if text in names:
        return names[text]
    try:
        return kind(text)
    except ValueError:
        known = [*names, *kind]
        raise FileError(
            f"the {what} {shown(text)} is none of {', '.join(known)}; the map's {what} names can say it"
        ) from None
