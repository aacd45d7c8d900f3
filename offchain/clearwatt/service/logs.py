"""Logs of a service: one line per event, as text for people or as JSON for machines.

Every line says which auction it is about and which block was looked at; neither has to be repeated in the message.
"""

import json
import logging
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import IO, Any, Literal

from pythonjsonlogger.json import JsonFormatter

Format = Literal["text", "json"]
FORMATS: tuple[Format, ...] = ("text", "json")

TALKATIVE = ("alembic", "asyncio", "httpcore", "httpx", "paho", "sqlalchemy", "urllib3", "uvicorn", "web3")
"""Libraries of which only warnings are of interest."""

MASK = "***"
SHORTEST_SECRET = 6
"""Characters. Masking anything shorter would eat innocent text."""

_context: ContextVar[Mapping[str, Any]] = ContextVar("log_context", default={})  # noqa: B039 (never changed in place)
_process: dict[str, Any] = {"auction": None, "block": None}


@contextmanager
def log_context(**fields: Any) -> Iterator[None]:
    """Within the block, every line of this thread (or asynchronous task) carries these fields, say auction=3.

    Contexts nest; the inner one wins. A thread started within does not inherit them.
    """
    token = _context.set({**_context.get(), **fields})
    try:
        yield
    finally:
        _context.reset(token)


def note_block(number: int) -> None:
    """From now on lines of threads that look at no block of their own carry this one."""
    _process["block"] = number


def set_up_logging(
    form: Format = "text",
    level: int = logging.INFO,
    hidden: Iterable[str] = (),
    stream: IO[str] | None = None,
) -> None:
    """Send all logs of this process to `stream` (standard error), replacing what was set up before.

    hidden: texts that must not show, such as passwords and endpoints that carry a key; each is replaced by ***.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.addFilter(_add_context)
    secrets = tuple(text for text in hidden if len(text) >= SHORTEST_SECRET)
    handler.setFormatter(_Json(secrets) if form == "json" else _Text(secrets))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)


def _add_context(record: logging.LogRecord) -> bool:
    for field, value in {**_process, **_context.get()}.items():
        setattr(record, field, value)
    return True


def _moment(record: logging.LogRecord) -> str:
    return (
        datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    )


def _masked(text: str, secrets: Iterable[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, MASK)
    return text


class _Json(JsonFormatter):
    """One JSON object per line: time (UTC), level, logger, thread, auction, block, message, and what else is known."""

    def __init__(self, secrets: Iterable[str]) -> None:
        super().__init__(
            ["asctime", "levelname", "name", "threadName", "auction", "block", "message"],
            rename_fields={"asctime": "time", "levelname": "level", "name": "logger", "threadName": "thread"},
            json_ensure_ascii=False,
        )
        self._secrets = tuple(json.dumps(secret, ensure_ascii=False)[1:-1] for secret in secrets)

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        return _moment(record)

    def format(self, record: logging.LogRecord) -> str:
        return _masked(super().format(record), self._secrets)


class _Text(logging.Formatter):
    """`2030-01-01T12:00:00.000Z INFO [block 120, auction 3] message`."""

    def __init__(self, secrets: Iterable[str]) -> None:
        super().__init__("%(asctime)s %(levelname)s %(where)s%(message)s")
        self._secrets = tuple(secrets)

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        return _moment(record)

    def format(self, record: logging.LogRecord) -> str:
        named = [(name, getattr(record, name, None)) for name in ("block", "auction")]
        where = ", ".join(f"{name} {value}" for name, value in named if value is not None)
        record.where = f"[{where}] " if where else ""
        return _masked(super().format(record), self._secrets)
