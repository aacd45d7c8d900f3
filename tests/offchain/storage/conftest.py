"""Databases for the tests of storage: an SQLite file and a real PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from clearwatt.storage.database import Database
from tests import servers
from tests.offchain.metering.signed import sqlite_url


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[servers.PostgresServer]:
    with servers.postgres() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A fresh, empty database of either kind."""
    if request.param == "sqlite":
        return sqlite_url(tmp_path)
    return request.getfixturevalue("postgres_url")


@pytest.fixture
def postgres_url(postgres_server: servers.PostgresServer) -> str:
    """One database for all tests, emptied for each: making many takes the disk longer than all tests together."""
    with Database(postgres_server.url).transaction() as connection:
        connection.execute(text("drop schema public cascade"))
        connection.execute(text("create schema public"))
    return postgres_server.url
