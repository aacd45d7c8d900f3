"""How far each peer's messages have been read, and how far ours were brought to it."""

from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite

from clearwatt.storage.database import Database
from clearwatt.storage.tables import cursors

INSERTS = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


class Cursor(NamedTuple):
    """A place in a store's log.

    store_id: whose; positions of another store mean nothing. position: the sequence of the last message dealt with.
    """

    store_id: str
    position: int


START = Cursor("", 0)


class Cursors:
    """Cursors by purpose ("pull", "push") and peer (its URL)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, purpose: str, peer: str) -> Cursor:
        """The cursor last set; START if there is none. Raises StoreError."""
        query = select(cursors.c.store_id, cursors.c.position).where(
            cursors.c.purpose == purpose, cursors.c.peer == peer
        )
        with self._database.reading() as connection:
            row = connection.execute(query).first()
        return Cursor(*row) if row else START

    def set(self, purpose: str, peer: str, cursor: Cursor) -> None:
        """Keep the cursor. Raises StoreError."""
        insert = INSERTS[self._database.dialect](cursors).values(
            purpose=purpose, peer=peer, **cursor._asdict()
        )
        keys = [cursors.c.purpose, cursors.c.peer]
        with self._database.transaction() as connection:
            connection.execute(insert.on_conflict_do_update(index_elements=keys, set_=cursor._asdict()))
