"""A database by URL: its schema, its transactions, and what is said when it cannot be had."""

import pytest
from sqlalchemy import inspect, text

from clearwatt.errors import UserError
from clearwatt.storage.cursors import START, Cursor, Cursors
from clearwatt.storage.database import Database, StoreError, newest_version
from clearwatt.storage.tables import metadata
from tests import servers


def set_version(database: Database, version: str) -> None:
    with database.transaction() as connection:
        connection.execute(text("update alembic_version set version_num = :version"), {"version": version})


def test_require_current__empty__made_as_the_tables_say(url):
    database = Database(url)
    assert database.schema_version() is None
    database.require_current()
    assert database.schema_version() == newest_version()
    with database.reading() as connection:
        inspector = inspect(connection)
        for table in metadata.tables.values():
            made = {column["name"]: column["nullable"] for column in inspector.get_columns(table.name)}
            assert made == {column.name: column.nullable for column in table.columns}
            assert {index["name"] for index in inspector.get_indexes(table.name)} >= {
                index.name for index in table.indexes
            }


def test_migrate__again__changes_nothing(url):
    database = Database(url)
    database.migrate()
    with database.reading() as connection:
        facts = connection.execute(text("select * from facts")).all()
    database.migrate()
    with database.reading() as connection:
        assert connection.execute(text("select * from facts")).all() == facts


def test_require_current__made_by_a_newer_program__refused(url):
    database = Database(url)
    database.migrate()
    set_version(database, "9999")
    with pytest.raises(UserError, match="a newer one has upgraded it"):
        database.require_current()


def delete_and_fail(database: Database) -> None:
    with database.transaction() as connection:
        connection.execute(text("delete from facts"))
        connection.execute(text("select * from nowhere"))


def test_transaction__broken_off__nothing_of_it_stays(url):
    database = Database(url)
    database.migrate()
    with pytest.raises(StoreError):
        delete_and_fail(database)
    with database.reading() as connection:
        assert connection.execute(text("select count(*) from facts")).scalar() == 1


def test_reading__nonsense__store_error_in_words(url):
    with pytest.raises(StoreError, match="nowhere"), Database(url).reading() as connection:
        connection.execute(text("select * from nowhere"))


@pytest.mark.parametrize(
    "url", ["readings.db", "mysql://h/d", "sqlite://", "sqlite:///:memory:", "postgresql+nosuch://h/d"]
)
def test_database__no_url_of_one__refused(url):
    with pytest.raises(UserError):
        Database(url)


def test_database__password__never_shown():
    database = Database("postgresql://oracle:secret@127.0.0.1:1/clearwatt")
    with pytest.raises(StoreError) as caught:
        database.schema_version()
    assert "secret" not in f"{caught.value} {database.shown}"


def test_postgresql__killed_and_started_again__used_on():
    with servers.postgres() as server:
        database = Database(server.url)
        database.require_current()
        server.kill()
        with pytest.raises(StoreError):
            database.schema_version()
        server.start()
        assert database.schema_version() == newest_version()


def test_cursors__set_and_set_again__the_last_by_purpose_and_peer(url):
    database = Database(url)
    database.require_current()
    cursors = Cursors(database)
    assert cursors.get("pull", "http://a") == START
    cursors.set("pull", "http://a", Cursor("x", 5))
    cursors.set("pull", "http://a", Cursor("y", 2))
    cursors.set("push", "http://a", Cursor("x", 9))
    assert cursors.get("pull", "http://a") == Cursor("y", 2)
    assert cursors.get("push", "http://a") == Cursor("x", 9)
    assert cursors.get("pull", "http://b") == START
