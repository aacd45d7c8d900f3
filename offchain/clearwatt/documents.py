"""Documents people write, read strictly: what is wrong is told in one sentence that names the place."""

import difflib
import json
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from clearwatt.errors import UserError

STANDARD_STREAM = "-"
"""The file name that stands for standard input or standard output."""

MAX_DIGITS = 100
"""No number of a file has more; Python would spend minutes on the conversion of a few million."""

Json = Any


class FileError(UserError):
    """A file that is not what it should be."""


@contextmanager
def problems_of(path: str, stream: str = "input") -> Iterator[None]:
    """Every problem of the file becomes a `FileError` that begins with its name ("-": the standard stream's)."""
    name = f"standard {stream}" if path == STANDARD_STREAM else path
    try:
        yield
    except FileError as error:
        raise FileError(f"{name}: {error}") from None
    except BrokenPipeError:
        raise  # the reader of our output has seen enough
    except OSError as error:
        raise FileError(f"{name}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise FileError(f"{name}: it is not a text file, byte {error.start} is not UTF-8") from None
    except RecursionError:
        raise FileError(f"{name}: it is nested too deeply") from None


def read_text(path: str) -> str:
    """The file's text ("-": standard input)."""
    if path == STANDARD_STREAM and sys.stdin is None:
        raise FileError("it is closed")
    content = sys.stdin.buffer.read() if path == STANDARD_STREAM else Path(path).read_bytes()
    return content.decode("utf-8-sig")


def write_text(path: str, text: str) -> None:
    """Write the file, whole or not at all ("-": standard output)."""
    if path == STANDARD_STREAM and sys.stdout is None:
        raise FileError("it is closed")
    if path == STANDARD_STREAM:
        sys.stdout.write(text)
        sys.stdout.flush()
        return
    target = Path(path).resolve()  # a link stays a link, its target is replaced
    if target.exists() and not target.is_file():
        target.write_text(text)  # a device or pipe cannot be renamed over; a directory says so itself
        return
    beside = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        beside.write_text(text)
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)


def load_json(text: str) -> Json:
    """The JSON value in the text; Python's reader, but each key once and no monstrous number."""
    if not text.strip():
        raise FileError("it is empty")
    try:
        return json.loads(text, object_pairs_hook=_keys_once, parse_int=_short_integer)
    except json.JSONDecodeError as error:
        raise FileError(f"it is not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from None


def _keys_once(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    value: dict[str, Json] = {}
    for key, entry in pairs:
        if key in value:
            raise FileError(f"the key {shown(key)} appears twice in one object")
        value[key] = entry
    return value


def _short_integer(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise FileError(f"a number of {len(digits)} digits, {digits[:10]}..., fits nothing here")
    return int(digits)


def object_at(
    value: Json, place: str, required: Iterable[str], optional: Iterable[str] = ()
) -> dict[str, Json]:
    if not isinstance(value, dict):
        raise FileError(f"{place}: {shown(value)} is not an object with the keys {', '.join(required)}")
    known = [*required, *optional]
    for key in value:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.7)
            hint = f"did you mean {shown(near[0])}?" if near else f"known are {', '.join(known)}"
            raise FileError(f"{place}: unknown key {shown(key)}; {hint}")
    for key in required:
        if key not in value:
            raise FileError(f"{place}: the key {shown(key)} is missing")
    return value


def array_at(value: Json, place: str, expected: str, length: int | None = None) -> list[Json]:
    if not isinstance(value, list) or (length is not None and len(value) != length):
        raise FileError(f"{place}: {shown(value)} is not {expected}")
    return value


def integer_at(value: Json, place: str, least: int | None = None, most: int | None = None) -> int:
    """`place` ends in the number's name. A bool, though Python counts it among the integers, is none here."""
    if type(value) is not int:
        raise FileError(f"{place} {shown(value)} is not an integer")
    if least is not None and most is not None and not least <= value <= most:
        _refuse_range(value, place, least, most)
    return value


def _refuse_range(value: int, place: str, least: int, most: int) -> NoReturn:
    allowed = f"{least}" if least == most else f"between {least} and {most}"
    raise FileError(f"{place} {value} is not {allowed}")


def shown(value: Json) -> str:
    """The value as JSON, cut short where it is long."""
    text = json.dumps(value, default=str)  # YAML has dates
    return text if len(text) <= 60 else f"{text[:57]}..."
