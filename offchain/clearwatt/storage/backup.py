"""Copies of a database: taken while it is in use, and put in place of a lost one."""

import os
import shlex
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from sqlalchemy import make_url, update

from clearwatt.errors import UserError
from clearwatt.storage.database import BUSY_SECONDS, Database, StoreError
from clearwatt.storage.tables import facts

COMPANIONS = ("", "-wal", "-shm")
"""The files of an SQLite database."""


def back_up(database: Database, target: Path) -> None:
    """Copy an SQLite database as it is at one moment, whatever is written meanwhile. Raises UserError."""
    source = _file_of(database, f"pg_dump --format=custom --file={shlex.quote(str(target))} {{url}}")
    with _beside(target) as copy:
        _copy(source, copy)


def restore(database: Database, source: Path) -> None:
    """Put a copy where an SQLite database is to be; it becomes a log of its own. Raises UserError, StoreError."""
    target = _file_of(
        database,
        f"pg_restore --clean --if-exists --dbname={{url}} {shlex.quote(str(source))} && "
        "clearwatt database restored {url}",
        exists=False,
    )
    if not source.is_file():
        raise UserError(f"there is no file {source}")
    with _beside(target) as copy:
        _copy(source, copy)
        restored = Database(f"sqlite:///{copy}")
        try:
            become_new_log(restored)
        finally:
            restored.close()


def become_new_log(database: Database) -> None:
    """Give the log a new name. Raises UserError, StoreError.

    What peers have read beyond the copy's end is not in it, and their cursors would skip what takes its place: under a
    new name they begin anew, and what they have comes back from them.
    """
    if database.schema_version() is None:
        raise UserError(f"{database.shown} is no database of clearwatt")
    with database.transaction() as connection:
        connection.execute(update(facts).where(facts.c.name == "store_id").values(value=uuid4().hex))


def _file_of(database: Database, command: str, exists: bool = True) -> Path:
    """The database's file, which is there or is not. command: does for a PostgreSQL what this program does not."""
    if database.path is None:
        url = make_url(database.shown)._replace(drivername="postgresql", password=None)
        shown = shlex.quote(url.render_as_string(hide_password=False))
        raise UserError(f"a PostgreSQL server has its own tools for that: {command.format(url=shown)}")
    if exists and not database.path.is_file():
        raise UserError(f"there is no file {database.path}")
    if not exists:
        for path in (Path(f"{database.path}{ending}") for ending in COMPANIONS):
            _refuse_existing(path)
    return database.path


@contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """A file to fill, which becomes the target if all goes well; else nothing is left. Raises UserError."""
    _refuse_existing(target)
    copy = target.with_name(f".{target.name}.{uuid4().hex}")
    try:
        os.close(os.open(copy, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        yield copy
        _to_disk(copy)
        os.rename(copy, target)
        _to_disk(target.parent)
    except OSError as error:
        raise UserError(f"{target} cannot be written: {error.strerror or error}") from None
    finally:
        for ending in COMPANIONS:
            with suppress(OSError):
                os.unlink(f"{copy}{ending}")


def _refuse_existing(path: Path) -> None:
    if path.exists():
        raise UserError(f"{path} is there already: move it away first, with the oracle stopped if it uses it")


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _copy(source: Path, target: Path) -> None:
    try:
        with (
            closing(sqlite3.connect(source, timeout=BUSY_SECONDS)) as original,
            closing(sqlite3.connect(target)) as copy,
        ):
            original.backup(copy)
            (verdict,) = copy.execute("PRAGMA integrity_check").fetchone()
    except sqlite3.Error as error:
        raise StoreError(f"{source} cannot be copied: {error}") from None
    if verdict != "ok":
        raise StoreError(f"{source} is damaged: {verdict}")
