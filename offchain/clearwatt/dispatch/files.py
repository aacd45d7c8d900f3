"""Scenario files, JSON or YAML (docs/dispatch.md; `clearwatt dispatch --schema`).

What is wrong with a file is told in one sentence that names the place.
"""

import csv
import difflib
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, get_args

from pydantic import Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass
from pydantic_core import ErrorDetails

from clearwatt.dispatch.assets import (
    CONFIG,
    Battery,
    Connection,
    CurtailableLoad,
    ElectricVehicle,
    Generator,
    Load,
    LoadRun,
    Name,
    Positive,
    Retailer,
    ShiftableLoad,
    Solar,
    StepBid,
    ThermalLoad,
    Whole,
    Wind,
)
from clearwatt.dispatch.scenario import MAX_SLOTS, GridSpec, Scenario, ScenarioError, ZoneSpec
from clearwatt.documents import FileError, Json, load_json, problems_of, read_text, shown
from clearwatt.yaml_text import YAML_SUFFIXES, load_yaml

Kinds = (
    Generator
    | Solar
    | Wind
    | Retailer
    | Battery
    | ElectricVehicle
    | Load
    | CurtailableLoad
    | ShiftableLoad
    | LoadRun
    | ThermalLoad
    | StepBid
)


@dataclass(config=CONFIG, kw_only=True)
class Document:
    """A dispatch scenario. Energy in kWh, power in kW, prices in currency/kWh, slots counted from 0."""

    slots: Annotated[Whole, Field(ge=1, le=MAX_SLOTS)]
    """Number of slots."""
    slot_hours: Annotated[Positive, Field(le=24)]
    """Length of a slot."""
    currency: Name = "EUR"
    """What money is called."""
    grid: GridSpec = Field(default_factory=GridSpec)
    """The tree of zones; without it there is one."""
    connections: tuple[Connection, ...] = ()
    """Where members meet the grid."""
    assets: tuple[Annotated[Kinds, Field(discriminator="kind")], ...]
    """What members own and need, and who they trade with."""


DOCUMENT = TypeAdapter(Document)
KINDS: dict[str, type] = {kind.__dataclass_fields__["kind"].default: kind for kind in get_args(Kinds)}
"""What a file calls each kind of asset."""


def read_scenario(path: str) -> Scenario:
    """The scenario in a JSON or YAML file ("-": JSON on standard input). Raises UserError with what is wrong, and
    where."""
    with problems_of(path):
        text = read_text(path)
        document = load_yaml(text) if path.lower().endswith(YAML_SUFFIXES) else load_json(text)
        try:
            return scenario_from_dict(document, Path(path).parent)
        except ScenarioError as error:
            raise FileError(str(error)) from None


def scenario_from_dict(document: Json, folder: Path | None = None) -> Scenario:
    """The scenario that a document describes.

    folder: where the CSV files it names are; the working directory unless given.
    Raises `ScenarioError` with the first thing that is wrong, and where.
    """
    try:
        read = DOCUMENT.validate_python(document, context=Columns(folder or Path()))
    except ValidationError as error:
        raise ScenarioError(_sentence(error.errors(include_url=False)[0], document)) from None
    return Scenario(**{part.name: getattr(read, part.name) for part in fields(Document)})


def json_schema() -> Json:
    """The JSON schema of scenario files, draft 2020-12."""
    schema = DOCUMENT.json_schema()
    for part in schema["$defs"].values():
        if "kind" in part.get("properties", {}):  # a class knows its kind, a file must say it
            part["properties"]["kind"].pop("default")
            part["required"].append("kind")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | schema


# ---------------------------------------------------------------------------------------------------
# CSV
# ---------------------------------------------------------------------------------------------------


class Columns:
    """Columns of CSV files beside a scenario file, each file read once.

    folder: what the files' names are relative to.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: dict[str, dict[str, tuple[str, ...]]] = {}

    def column(self, reference: dict[str, Json]) -> list[float]:
        """The numbers of one column. Raises ValueError with what is wrong, to follow the reference in a sentence."""
        file, name = reference.get("csv"), reference.get("column")
        if len(reference) != 2 or not isinstance(file, str) or not isinstance(name, str):
            raise ValueError('is neither numbers nor {"csv": file, "column": name}')
        if file not in self.files:
            self.files[file] = self._read(file)
        if name not in self.files[file]:
            raise ValueError(f"names no column of the file; it has {', '.join(self.files[file])}")
        return [_cell(text, row) for row, text in enumerate(self.files[file][name], start=2)]

    def _read(self, file: str) -> dict[str, tuple[str, ...]]:
        try:
            text = (self.folder / file).read_text(encoding="utf-8-sig")
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not a text file"
            raise ValueError(f"names a file that cannot be read: {reason}") from None
        rows = [row for row in csv.reader(text.splitlines()) if row]
        if not rows:
            raise ValueError("names an empty file")
        for number, row in enumerate(rows, start=1):
            if len(row) != len(rows[0]):
                raise ValueError(
                    f"names a file whose row {number} has {len(row)} cells and not {len(rows[0])}"
                )
        return {head.strip(): tuple(cells) for head, *cells in zip(*rows, strict=True)}


def _cell(text: str, row: int) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"names a column whose row {row}, {shown(text)}, is not a number") from None


# ---------------------------------------------------------------------------------------------------
# What is wrong, in a sentence
# ---------------------------------------------------------------------------------------------------

PHRASES = {
    "greater_than_equal": "is not at least {ge:g}",
    "greater_than": "is not above {gt:g}",
    "less_than_equal": "is not at most {le:g}",
    "less_than": "is not below {lt:g}",
    "literal_error": "is not {expected}",
    "string_type": "is not a text",
    "bool_type": "is neither true nor false",
    "bool_parsing": "is neither true nor false",
    "tuple_type": "is not a list",
    "dataclass_type": "is not an object",
    "model_attributes_type": "is not an object",
    "namedtuple_type": "is not [slot, price, quantity_kwh]",
    "named_tuple_type": "is not [slot, price, quantity_kwh]",
    "unexpected_positional_argument": "is one too many",
}
"""Type of pydantic's error: what follows the value in a sentence."""


def _sentence(error: ErrorDetails, document: Json) -> str:
    place, owner, name = _place(error["loc"], document)
    value = error["input"]
    match error["type"]:
        case "missing" if isinstance(name, str):
            what = f"the key {shown(name)} is missing"
        case "missing":
            what = f"{shown(value)} is too short"
        case "unexpected_keyword_argument" | "extra_forbidden":
            what = f"unknown key {shown(name)}; {_hint(str(name), owner)}"
        case "union_tag_not_found":
            what = f'the key "kind" is missing; it is one of {", ".join(KINDS)}'
        case "union_tag_invalid":
            what = f"kind {shown(error['ctx']['tag'])} is not one of {', '.join(KINDS)}"
        case "value_error" if name is None or str(error["ctx"]["error"]).startswith("has "):
            what = " ".join(filter(None, (name, str(error["ctx"]["error"]))))
        case "value_error":
            what = f"{name} {shown(value)} {error['ctx']['error']}"
        case kind:
            phrase = PHRASES[kind].format(**error.get("ctx", {})) if kind in PHRASES else error["msg"]
            what = f"{name or ''} {shown(value)} {phrase}".lstrip()
    return f"{place}: {what}" if place else what


def _place(path: tuple[int | str, ...], document: Json) -> tuple[str, type, str | None]:
    """Where it is: the object in words, what the object should be, and the key in it, if it is about one."""
    match path:
        case ("assets", int(index), str(kind), *rest):
            return _named("asset", document["assets"][index], index), KINDS[kind], _key(rest)
        case ("assets", int(index), *rest):
            return _named("asset", document["assets"][index], index), Document, _key(rest)
        case ("connections", int(index), *rest):
            return _named("connection", document["connections"][index], index), Connection, _key(rest)
        case ("grid", "zones", int(index), *rest):
            return f"zone {index}", ZoneSpec, _key(rest)
        case ("grid", *rest):
            return "grid", GridSpec, _key(rest)
        case _:
            return "" if path else "the scenario", Document, _key(list(path))


def _named(what: str, value: Json, index: int) -> str:
    name = value.get("name") if isinstance(value, dict) else None
    return f"{what} {shown(name)}" if isinstance(name, str) else f"{what}s[{index}]"


def _key(path: list[Any]) -> str | None:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".") or None


def _hint(name: str, owner: type) -> str:
    known = [part.name for part in fields(owner)]
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.7)
    return f"did you mean {shown(near[0])}?" if near else f"known are {', '.join(known)}"
