"""Signed meter statements on their way to settlement, in a database.

A statement is a meter's word for one member and auction. Several may be kept for the same one, since
anybody might have sent a false one first: whoever uses them checks the signature.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import (
    Column,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    create_engine,
    event,
    make_url,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Engine
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.schema import CreateTable

from clearwatt.errors import UserError
from clearwatt.storage.database import StoreError

BUSY_MILLISECONDS = 10_000
"""How long another process' write is waited for."""

_metadata = MetaData()
_statements = Table(
    "statements",
    _metadata,
    Column("settlement", String(42), primary_key=True),
    Column("auction", Integer, primary_key=True),
    Column("member", String(42), primary_key=True),
    Column("signature", LargeBinary(65), primary_key=True),
    Column("readings", LargeBinary, nullable=False),
)
_INSERTS = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


@dataclass(frozen=True)
class Statement:
    """A meter's signed readings for one member and auction.

    readings: packed as `codec.pack_readings`, Wh per slot. signature: 65 bytes over
    `typed_data.meter_statement`.
    """

    auction: int
    member: str
    readings: bytes
    signature: bytes


class StatementStore:
    """Statements for one Settlement contract.

    url: a database as SQLAlchemy names it, for instance ``sqlite:///readings.db``.
    Raises UserError if there is no such database.
    """

    def __init__(self, url: str, settlement: str) -> None:
        self._settlement = settlement
        try:
            shown = make_url(url).render_as_string(hide_password=True)
        except (ArgumentError, ValueError):
            raise UserError("--statements does not name a database as sqlite:///statements.db does") from None
        try:
            self._engine = _engine(url)
            with self._engine.begin() as connection:
                connection.execute(CreateTable(_statements, if_not_exists=True))
        except (ArgumentError, NoSuchModuleError, ImportError) as error:
            raise UserError(f"{shown} does not name a database: {error}") from None
        except SQLAlchemyError as error:
            raise UserError(f"the database {shown} cannot be opened: {_in_words(error)}") from None

    def add(self, statements: Iterable[Statement]) -> None:
        """Keep the statements; those already kept are left as they are. Raises StoreError."""
        rows = [{"settlement": self._settlement, **vars(statement)} for statement in statements]
        if not rows:
            return
        # one statement of SQL, since another process may be adding the same
        insert = _INSERTS[self._engine.dialect.name](_statements).on_conflict_do_nothing()
        try:
            with self._engine.begin() as connection:
                connection.execute(insert, rows)
        except SQLAlchemyError as error:
            raise StoreError(f"the statements were not stored: {_in_words(error)}") from error

    def of(self, auction: int) -> dict[str, list[Statement]]:
        """All statements kept for an auction, by member. Raises StoreError."""
        query = select(_statements).where(
            _statements.c.settlement == self._settlement, _statements.c.auction == auction
        )
        found: dict[str, list[Statement]] = {}
        try:
            with self._engine.connect() as connection:
                for row in connection.execute(query):
                    statement = Statement(row.auction, row.member, row.readings, row.signature)
                    found.setdefault(row.member, []).append(statement)
        except SQLAlchemyError as error:
            raise StoreError(f"the statements cannot be read: {_in_words(error)}") from error
        return found

    def close(self) -> None:
        self._engine.dispose()


def _engine(url: str) -> Engine:
    engine = create_engine(url)
    if engine.dialect.name not in _INSERTS:
        raise ArgumentError(f"{engine.dialect.name} is none of {', '.join(_INSERTS)}")
    if engine.dialect.name == "sqlite":
        # meters write while the oracle reads: a write-ahead log lets both, and a wait beats an error
        event.listen(engine, "connect", _prepare_sqlite)
    return engine


def _prepare_sqlite(connection, _record) -> None:  # type: ignore[no-untyped-def]
    connection.execute(f"PRAGMA busy_timeout={BUSY_MILLISECONDS}")
    connection.execute("PRAGMA journal_mode=WAL")


def _in_words(error: SQLAlchemyError) -> str:
    return " ".join(str(error.__cause__ or error).split())
