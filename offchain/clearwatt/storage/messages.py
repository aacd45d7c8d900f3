"""The log of signed messages: only appended to, read on from any place, so that oracles can exchange what they have.

What is in it came through `metering.intake` and was verified there.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, Select, insert, select

from clearwatt.metering.messages import READINGS, SIGNATURE_BYTES, STATEMENT, Entry, Message, statement_of
from clearwatt.metering.statements import Statement
from clearwatt.storage.database import APPEND_LOCK, Database, StoreError
from clearwatt.storage.sealing import Keyring, SealError
from clearwatt.storage.tables import facts, message_context, messages

__all__ = ["Entry", "Message", "MessageStore"]

BATCH = 500
"""Values named in one query; SQLite takes no more than some tens of thousands."""


class MessageStore:
    """The messages in a database, whose schema is current. Its methods can be called by several threads at once."""

    def __init__(self, database: Database, keyring: Keyring) -> None:
        self._database = database
        self._keyring = keyring

    @property
    def store_id(self) -> str:
        """Names this log; sequences of another one mean nothing here. Raises StoreError."""
        with self._database.reading() as connection:
            found = connection.execute(select(facts.c.value).where(facts.c.name == "store_id")).scalar()
        if found is None:
            raise StoreError(f"the database {self._database.shown} has lost its store_id")
        return str(found)

    def add(self, entries: Sequence[Entry]) -> list[bool]:
        """Append what is not there yet, all or nothing; returns which were new. Raises StoreError.

        On return the new ones are on disk. Sequences ascend in the order of commits, so that nobody who has read up to
        one can miss a smaller one.
        """
        if not entries:
            return []
        fresh = {entry.message.digest: entry for entry in entries}
        with self._database.transaction(APPEND_LOCK) as connection:
            for digest in _known(connection, list(fresh)):
                del fresh[digest]
            if fresh:
                now = int(time.time())
                connection.execute(insert(messages), [self._row(entry, now) for entry in fresh.values()])
        return [fresh.pop(entry.message.digest, None) is not None for entry in entries]

    def after(self, cursor: int, limit: int = 500) -> list[tuple[int, Message]]:
        """The first messages after a sequence, ascending. Raises StoreError."""
        query = _columns().where(messages.c.sequence > cursor).order_by(messages.c.sequence).limit(limit)
        with self._database.reading() as connection:
            rows = connection.execute(query).all()
        return [(row.sequence, self._message(row)) for row in rows]

    def statements(self, settlement: str, auction: int) -> dict[str, list[Statement]]:
        """All statements of an auction by member, each member's by ascending digest. Raises StoreError."""
        query = (
            _columns()
            .where(messages.c.kind == STATEMENT)
            .where(messages.c.settlement == settlement, messages.c.auction == auction)
            .order_by(messages.c.digest)
        )
        found: dict[str, list[Statement]] = {}
        with self._database.reading() as connection:
            rows = connection.execute(query).all()
        for row in rows:
            statement = statement_of(self._message(row))
            found.setdefault(statement.member, []).append(statement)
        return found

    def readings(
        self, points: Sequence[str], first: int, last: int, settlement: str | None = None
    ) -> list[Message]:
        """Readings messages of these points that say something of the time from first to last, both included.

        first, last: Unix seconds. settlement: only those for this market. Raises StoreError.
        """
        query = (
            _columns()
            .where(messages.c.kind == READINGS)
            .where(messages.c.last >= first, messages.c.first <= last)
            .order_by(messages.c.sequence)
        )
        if settlement is not None:
            query = query.where(messages.c.settlement == settlement)
        rows: list[Row[Any]] = []
        with self._database.reading() as connection:
            for some in _batches(points):
                rows += connection.execute(query.where(messages.c.point.in_(some))).all()
        return [self._message(row) for row in rows]

    def _row(self, entry: Entry, now: int) -> Mapping[str, Any]:
        message = entry.message
        # the signature too: beside the text it would confirm a guess at what was read
        plain = message.signature + message.payload
        columns = {name: value for name, value in vars(entry).items() if name != "message"}
        return columns | {
            "digest": message.digest,
            "kind": message.kind,
            "key_id": self._keyring.key_id,
            "sealed": self._keyring.seal(plain, message_context(message.digest)),
            "received": now,
        }

    def _message(self, row: Row[Any]) -> Message:
        place = f"message {row.sequence} of the database {self._database.shown}"
        try:
            plain = self._keyring.open(row.sealed, message_context(row.digest))
        except SealError as error:
            raise SealError(f"{place}: {error}") from None
        message = Message(row.kind, plain[SIGNATURE_BYTES:], plain[:SIGNATURE_BYTES])
        if message.digest != row.digest:
            raise SealError(f"{place}: it is not what was stored")
        return message


def _columns() -> Select[Any]:
    return select(messages.c.sequence, messages.c.digest, messages.c.kind, messages.c.sealed)


def _known(connection: Connection, digests: Sequence[bytes]) -> Iterator[bytes]:
    for some in _batches(digests):
        yield from connection.execute(select(messages.c.digest).where(messages.c.digest.in_(some))).scalars()


def _batches(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    return (values[index : index + BATCH] for index in range(0, len(values), BATCH))
