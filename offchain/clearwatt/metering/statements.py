"""Signed meter statements on their way to settlement, in a database.

A statement is a meter's word for one member and auction. Several may be kept for the same one, since
anybody might have sent a false one first: whoever uses them checks the signature.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Column, Integer, LargeBinary, MetaData, String, Table, create_engine, event, select
from sqlalchemy.engine import Engine
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from clearwatt.errors import UserError

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


class StoreError(Exception):
    """The database did not do what was asked; nothing was half-written."""


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
            self._engine = _engine(url)
            _metadata.create_all(self._engine)
        except (ArgumentError, NoSuchModuleError, ImportError) as error:
            raise UserError(f"{url!r} does not name a database: {error}") from None
        except SQLAlchemyError as error:
            raise UserError(f"the database {url!r} cannot be opened: {error.__cause__ or error}") from None

    def add(self, statements: Iterable[Statement]) -> None:
        """Keep the statements; those already kept are left as they are. Raises StoreError."""
        rows = [{"settlement": self._settlement, **vars(statement)} for statement in statements]
        try:
            with self._engine.begin() as connection:
                for row in rows:
                    if not self._known(connection, row):
                        connection.execute(_statements.insert().values(row))
        except SQLAlchemyError as error:
            raise StoreError(str(error.__cause__ or error)) from error

    def _known(self, connection, row) -> bool:  # type: ignore[no-untyped-def]
        keys = list(_statements.primary_key.columns)
        query = select(_statements.c.auction).where(*(column == row[column.name] for column in keys))
        return connection.execute(query).first() is not None

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
            raise StoreError(str(error.__cause__ or error)) from error
        return found

    def close(self) -> None:
        self._engine.dispose()


def _engine(url: str) -> Engine:
    engine = create_engine(url)
    if engine.dialect.name == "sqlite":
        # meters write while the oracle reads: a write-ahead log lets both, and a wait beats an error
        event.listen(engine, "connect", _prepare_sqlite)
    return engine


def _prepare_sqlite(connection, _record) -> None:  # type: ignore[no-untyped-def]
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA busy_timeout=10000")
