"""The tables as they are now; `migrations` is how they came about."""

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    UniqueConstraint,
)

metadata = MetaData()

SEQUENCE = BigInteger().with_variant(Integer(), "sqlite")
"""SQLite counts by itself only what it calls INTEGER."""

messages = Table(
    "messages",
    metadata,
    Column("sequence", SEQUENCE, primary_key=True, autoincrement=True),
    Column("digest", LargeBinary, nullable=False),
    Column("kind", String, nullable=False),
    Column("signer", String, nullable=False),
    Column("settlement", String, nullable=False),
    Column("auction", BigInteger),
    Column("member", String),
    Column("point", String),
    Column("first", BigInteger),
    Column("last", BigInteger),
    Column("key_id", LargeBinary, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("received", BigInteger, nullable=False),
    UniqueConstraint("digest", name="messages_digest"),
    Index("messages_statement", "settlement", "auction"),
    Index("messages_point", "point", "last"),
    Index("messages_key", "key_id", "sequence"),
    sqlite_autoincrement=True,
)
"""The log of signed messages. auction, member: of a statement. point, first, last: of readings, the times they cover
(Unix seconds, last excluded). sealed: payload and signature; key_id: the key that sealed them, empty if none did.
"""

series = Table(
    "series",
    metadata,
    Column("settlement", String, primary_key=True),
    Column("auction", BigInteger, primary_key=True, autoincrement=False),
    Column("point", String, primary_key=True),
    Column("key_id", LargeBinary, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("recorded", BigInteger, nullable=False),
    Index("series_key", "key_id"),
)
"""The values, qualities and decisions that a statement or substitute was made from, sealed."""

cursors = Table(
    "cursors",
    metadata,
    Column("purpose", String, primary_key=True),
    Column("peer", String, primary_key=True),
    Column("store_id", String, nullable=False),
    Column("position", BigInteger, nullable=False),
)
"""How far a peer's messages were read, or ours were brought to it."""

facts = Table(
    "facts",
    metadata,
    Column("name", String, primary_key=True),
    Column("value", String, nullable=False),
)
"""What the database says of itself: its `store_id`."""


def message_context(digest: bytes) -> bytes:
    """What a message's sealed value is bound to."""
    return b"messages|" + digest


def series_context(settlement: str, auction: int, point: str) -> bytes:
    """What a series' sealed value is bound to."""
    return f"series|{settlement}|{auction}|{point}".encode()
