"""A database by URL: SQLite in a file, or a PostgreSQL server. Every failure is told in words."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from clearwatt.errors import UserError

BUSY_SECONDS = 10
"""How long another process' write is waited for."""

ANSWER_SECONDS = 30
"""How long a PostgreSQL server may take over one statement, and how long silence of the network is borne."""

CONNECT_SECONDS = 5

DIALECTS = ("sqlite", "postgresql")
MIGRATIONS = Path(__file__).with_name("migrations")
VERSION_TABLE = "alembic_version"

APPEND_LOCK, MIGRATION_LOCK = 0x636C770001, 0x636C770002
"""PostgreSQL's advisory locks are numbers, the same for all of a database's clients."""


class StoreError(Exception):
    """The database did not do what was asked; nothing was half-written. It may well do it later."""


class Database:
    """A database, which is not opened before it is used.

    url: as SQLAlchemy names it: ``sqlite:///readings.db``, ``postgresql://user:password@host/name``. shown: the same
    without its password. Raises UserError if that is no URL of a database this can be.
    """

    def __init__(self, url: str) -> None:
        self._url = _parsed(url)
        self.shown = self._url.render_as_string(hide_password=True)
        try:
            self._engine = _engine(self._url)
        except (ArgumentError, NoSuchModuleError, ImportError, TypeError) as error:
            raise UserError(f"{self.shown} does not name a database: {_in_words(error)}") from None

    @property
    def dialect(self) -> str:
        """'sqlite' or 'postgresql'."""
        return self._url.get_backend_name()

    @property
    def path(self) -> Path | None:
        """The file of an SQLite database."""
        return Path(self._url.database or "") if self.dialect == "sqlite" else None

    @contextmanager
    def transaction(self, lock: int | None = None) -> Iterator[Connection]:
        """A connection whose changes are all made or none. Raises StoreError.

        lock: transactions with the same one follow each other: the next begins when this one is done. On SQLite all do.
        """
        with self._told(), self._engine.connect() as connection:
            connection = connection.execution_options(clearwatt_writes=True)
            with connection.begin():
                if lock is not None and self.dialect == "postgresql":
                    connection.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": lock})
                yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection to read from; waits for no writer. Raises StoreError."""
        with self._told(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            raise StoreError(f"the database {self.shown}: {_in_words(error)}") from error

    # ------------------------------------------------------------ the schema

    def schema_version(self) -> str | None:
        """The migration that the database is at; None if it is empty. Raises StoreError."""
        with self.reading() as connection:
            return _version(connection)

    def migrate(self) -> None:
        """Bring the schema up to date, whole or not at all. Raises StoreError; UserError if a newer program made it."""
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
        with self.transaction(MIGRATION_LOCK) as connection:
            self._refuse_newer(_version(connection))  # what another process has done meanwhile counts
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    def require_current(self) -> None:
        """Make the schema of an empty database; refuse one that is not up to date.

        Raises UserError, naming the command that helps; StoreError if the database cannot be had now.
        """
        version = self.schema_version()
        if version is None:
            self.migrate()
        elif version != newest_version():
            self._refuse_newer(version)
            raise UserError(
                f"the database {self.shown} is at version {version}, this program needs {newest_version()}: "
                f"back it up, then run `clearwatt database upgrade {self.shown}`"
            )

    def _refuse_newer(self, version: str | None) -> None:
        if version is not None and version not in versions():
            raise UserError(
                f"the database {self.shown} is at version {version}, which this program does not know: "
                "a newer one has upgraded it"
            )

    def close(self) -> None:
        self._engine.dispose()


def versions() -> list[str]:
    """The names of all migrations, in their order; each begins its file's name."""
    return sorted(path.name.partition("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*_*.py"))


def newest_version() -> str:
    """The version this program works with."""
    return versions()[-1]


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.execute(text(f"select version_num from {VERSION_TABLE}")).scalar()


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise UserError("the database is not named as in sqlite:///clearwatt.db") from None
    shown = parsed.render_as_string(hide_password=True)
    if parsed.get_backend_name() not in DIALECTS:
        raise UserError(f"{shown} does not name a database: known are {' and '.join(DIALECTS)}")
    if parsed.drivername == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.get_backend_name() == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise UserError(
            f"{shown} is in memory, where nothing is kept: name a file, as in sqlite:///clearwatt.db"
        )
    return parsed


def _engine(url: URL) -> Engine:
    if url.get_backend_name() == "postgresql":
        return create_engine(url, pool_pre_ping=True, connect_args=_patience(url))
    engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _patience(url: URL) -> dict[str, Any]:
    """A server that hangs becomes an error. What the URL says itself takes precedence."""
    limits = {
        "connect_timeout": CONNECT_SECONDS,
        "tcp_user_timeout": ANSWER_SECONDS * 1000,
        "keepalives_idle": ANSWER_SECONDS,
        "options": f"-c statement_timeout={ANSWER_SECONDS}s",
    }
    return {name: value for name, value in limits.items() if name not in url.query}


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver would begin transactions too late; `_begin_sqlite` does it
    # meters write while the oracle reads: a write-ahead log lets both
    connection.execute("PRAGMA journal_mode=WAL")
    # what was acknowledged survives a power cut
    connection.execute("PRAGMA synchronous=FULL")
    # what is sealed anew shall not stay behind as it was
    connection.execute("PRAGMA secure_delete=ON")


def _begin_sqlite(connection: Connection) -> None:
    # a transaction that begins by reading cannot always go on to write
    writes = connection.get_execution_options().get("clearwatt_writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _in_words(error: Exception) -> str:
    return " ".join(str(error.__cause__ or error).split())
