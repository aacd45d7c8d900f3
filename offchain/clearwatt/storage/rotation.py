"""Which keys the sealed values of a database need, and sealing them anew with the newest."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, Table, func, select, text, update

from clearwatt.errors import UserError
from clearwatt.storage.database import Database
from clearwatt.storage.sealing import KEYS_VARIABLE, Keyring, SealError
from clearwatt.storage.tables import message_context, messages, series, series_context

BATCH = 500
"""Rows per transaction: meters wait for no more than that."""


@dataclass(frozen=True)
class SealedTable:
    """A table with the columns `key_id` and `sealed`. context: what a row's value is bound to."""

    table: Table
    context: Callable[[Row[Any]], bytes]


SEALED_TABLES = (
    SealedTable(messages, lambda row: message_context(row.digest)),
    SealedTable(series, lambda row: series_context(row.settlement, row.auction, row.point)),
)


def keys_in_use(database: Database) -> Counter[bytes]:
    """How many values each key has sealed, by key id; an empty one: in the clear. Raises StoreError."""
    found: Counter[bytes] = Counter()
    with database.reading() as connection:
        for sealed in SEALED_TABLES:
            key_id = sealed.table.c.key_id
            for row in connection.execute(select(key_id, func.count()).group_by(key_id)):
                found[bytes(row[0])] += row[1]
    return found


def require_keys(database: Database, keyring: Keyring) -> None:
    """Raises UserError, saying what helps, if the database has values this keyring cannot open; and StoreError."""
    for key_id, count in keys_in_use(database).items():
        if keyring.can_open(key_id):
            continue
        if not key_id:
            raise UserError(
                f"{count} values in the database {database.shown} are not encrypted yet: "
                "run `clearwatt database rotate`"
            )
        raise UserError(
            f"{count} values in the database {database.shown} were sealed with the key {key_id.hex()}, "
            f"which is not in {KEYS_VARIABLE}"
        )


def rotate(database: Database, keyring: Keyring) -> Iterator[int]:
    """Seal what older keys sealed, or none did, with the newest; yields how many rows each batch had.

    Can be broken off and begun again at any time, and run while the database is in use. Raises StoreError.
    """
    for sealed in SEALED_TABLES:
        while count := _rotate_batch(database, keyring, sealed):
            yield count
    if database.dialect == "sqlite":
        with database.reading() as connection:
            # the log still holds the old values
            connection.commit()
            connection.execution_options(isolation_level="AUTOCOMMIT")
            connection.execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))


def _rotate_batch(database: Database, keyring: Keyring, sealed: SealedTable) -> int:
    query = select(sealed.table).where(sealed.table.c.key_id != keyring.key_id).limit(BATCH)
    if database.dialect == "postgresql":
        query = query.with_for_update()
    with database.transaction() as connection:
        rows = connection.execute(query).all()
        for row in rows:
            _rotate_row(connection, keyring, sealed, row)
    return len(rows)


def _rotate_row(connection: Connection, keyring: Keyring, sealed: SealedTable, row: Row[Any]) -> None:
    context = sealed.context(row)
    keys = {column.name: row._mapping[column.name] for column in sealed.table.primary_key}
    try:
        plain = keyring.open(row.sealed, context)
    except SealError as error:
        raise SealError(f"{sealed.table.name}, row {', '.join(map(str, keys.values()))}: {error}") from None
    change = update(sealed.table).values(key_id=keyring.key_id, sealed=keyring.seal(plain, context))
    for name, value in keys.items():
        change = change.where(sealed.table.c[name] == value)
    connection.execute(change)
