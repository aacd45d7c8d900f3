"""The store of meter statements: what is kept, what is told when the database is not to be had."""

import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from clearwatt.errors import UserError
from clearwatt.metering.statements import Statement, StatementStore, StoreError

SETTLEMENT, OTHER_SETTLEMENT = (f"0x{number:040x}" for number in (10, 11))
PRODUCER, CONSUMER = (f"0x{number:040x}" for number in (1, 2))


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'statements.db'}"


@pytest.fixture
def store(url):
    return StatementStore(url, SETTLEMENT)


def statement(
    member: str = PRODUCER, auction: int = 0, readings: bytes = b"\0\0\0\1", signed: int = 1
) -> Statement:
    return Statement(auction, member, readings, bytes([signed]) * 65)


def test_of__nothing_kept__empty(store):
    assert store.of(0) == {}


def test_of__several_members_and_auctions__those_of_the_auction(store):
    store.add([statement(), statement(CONSUMER), statement(auction=1)])
    assert store.of(0) == {PRODUCER: [statement()], CONSUMER: [statement(CONSUMER)]}
    assert store.of(1) == {PRODUCER: [statement(auction=1)]}


def test_add__twice__kept_once(store):
    store.add([statement()])
    store.add([statement(), statement()])
    assert store.of(0) == {PRODUCER: [statement()]}


def test_add__known_and_new_together__the_new_one_is_kept_too(store):
    store.add([statement()])
    store.add([statement(), statement(CONSUMER)])
    assert store.of(0).keys() == {PRODUCER, CONSUMER}


def test_add__nothing__nothing(store):
    store.add([])
    assert store.of(0) == {}


def test_add__same_signature_under_other_readings__does_not_replace_the_first(store):
    store.add([statement(readings=b"\0\0\0\1")])
    store.add([statement(readings=b"\0\0\0\2")])
    assert store.of(0) == {PRODUCER: [statement(readings=b"\0\0\0\1")]}


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_add__forged_and_genuine__both_kept_whichever_comes_first(store, order):
    for signed in order:
        store.add([statement(signed=signed)])
    assert {kept.signature[0] for kept in store.of(0)[PRODUCER]} == {1, 2}


def test_store__another_settlement_contract__sees_nothing_of_it(store, url):
    store.add([statement()])
    assert StatementStore(url, OTHER_SETTLEMENT).of(0) == {}


def test_store__opened_again__still_there(store, url):
    store.add([statement()])
    store.close()
    assert StatementStore(url, SETTLEMENT).of(0) == {PRODUCER: [statement()]}


WRITER = """
import sys
from clearwatt.metering.statements import Statement, StatementStore

store = StatementStore(sys.argv[1], sys.argv[2])
for number in range(100):
    store.add([Statement(number, sys.argv[3], b"", bytes(65)), Statement(number, "both", b"", bytes(65))])
"""


def test_add__two_processes_at_once__nothing_lost_and_no_error(url):
    command = [sys.executable, "-c", WRITER, url, SETTLEMENT]
    writers = [
        subprocess.Popen([*command, member], stderr=subprocess.PIPE, text=True)
        for member in (PRODUCER, CONSUMER)
    ]
    reader = StatementStore(url, SETTLEMENT)
    while any(writer.poll() is None for writer in writers):
        reader.of(99)
    for writer in writers:
        assert writer.communicate()[1] == ""
    assert all(reader.of(number).keys() == {PRODUCER, CONSUMER, "both"} for number in range(100))


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("", "--statements does not name a database"),
        ("statements.db", "--statements does not name a database"),
        ("postgresql://u:p@h:port/d", "--statements does not name a database"),
        ("nosuch:///x", "does not name a database"),
        ("postgresql+nosuch://h/d", "does not name a database"),
        ("mysql+pymysql://h/d", "does not name a database"),
        ("sqlite:////nowhere/at/all.db", "cannot be opened: unable to open database file"),
    ],
)
def test_store__no_such_database__one_sentence(url, sentence):
    with pytest.raises(UserError) as caught:
        StatementStore(url, SETTLEMENT)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_store__file_that_is_no_database__left_as_it_is(tmp_path, url):
    (tmp_path / "statements.db").write_text(
        "a letter to the network operator, long enough to be no header" * 3
    )
    with pytest.raises(UserError, match="cannot be opened: file is not a database"):
        StatementStore(url, SETTLEMENT)
    assert (tmp_path / "statements.db").read_text().startswith("a letter")


def test_store__password_in_the_url__not_repeated():
    with pytest.raises(UserError) as caught:
        StatementStore("postgresql+nosuch://oracle:secret@h/d", SETTLEMENT)
    assert "secret" not in str(caught.value)


def test_store__table_gone__told_as_its_error(store, url):
    with create_engine(url).begin() as connection:
        connection.execute(text("drop table statements"))
    with pytest.raises(StoreError, match="cannot be read: no such table"):
        store.of(0)
    with pytest.raises(StoreError, match="not stored: no such table"):
        store.add([statement()])


def test_add__database_locked_by_another__its_error_and_nothing_half_written(store, url, monkeypatch):
    monkeypatch.setattr("clearwatt.metering.statements.BUSY_MILLISECONDS", 50)
    hasty = StatementStore(url, SETTLEMENT)
    with create_engine(url).connect() as other:
        other.exec_driver_sql("begin immediate")
        with pytest.raises(StoreError, match="locked"):
            hasty.add([statement(), statement(CONSUMER)])
        other.rollback()
    assert store.of(0) == {}
