"""The log of messages on SQLite and PostgreSQL: nothing lost, nothing twice, nothing changed unnoticed."""

import subprocess
import sys
import threading
import time

import pytest
from sqlalchemy import text

from clearwatt.metering.intake import verify
from clearwatt.metering.messages import Entry, Message, statement_of
from clearwatt.storage.database import Database
from clearwatt.storage.messages import MessageStore
from clearwatt.storage.sealing import Keyring, SealError
from tests.offchain.metering.signed import (
    CONSUMER,
    MIDNIGHT,
    OTHER_METER,
    PRODUCER,
    QUARTER,
    SETTLEMENT,
    directory,
    readings,
    statement,
    store_at,
)

KEY, OTHER_KEY = bytes([1]) * 32, bytes([2]) * 32


def entry(message: Message) -> Entry:
    return verify(message, directory().known(), {}, time.time())


def numbered(number: int) -> Entry:
    """Entries that need no signature: the store does not look at it."""
    message = Message("readings", b"%d" % number, bytes(65))
    return Entry(message, PRODUCER, SETTLEMENT, point=PRODUCER, first=number, last=number + 1)


def damage(url: str, change: str) -> None:
    with Database(url).transaction() as connection:
        connection.execute(text(change))


def test_after__added__in_their_order_from_the_cursor_on(url):
    store = store_at(url)
    entries = [numbered(number) for number in range(5)]
    assert store.add(entries[:2]) == [True, True]
    assert store.add(entries[1:]) == [False, True, True, True]
    log = store.after(0)
    assert [message for _, message in log] == [each.message for each in entries]
    assert store.after(log[1][0], limit=2) == log[2:4]
    assert store.after(log[-1][0]) == []


def test_add__nothing_or_twice_the_same__kept_once(url):
    store = store_at(url)
    assert store.add([]) == []
    assert store.add([numbered(1), numbered(1)]) == [True, False]
    assert len(store.after(0)) == 1


def test_add__more_than_one_query_names__all_kept(url):
    store = store_at(url)
    entries = [numbered(number) for number in range(1200)]
    assert all(store.add(entries))
    assert not any(store.add(entries))
    assert len(store.after(0, limit=2000)) == 1200


def test_statements__several__by_member_and_ascending_digest(url):
    store = store_at(url)
    first, second = statement(), statement(readings=[1, 2, 3, 4])
    other = statement(member=CONSUMER, key=OTHER_METER)
    store.add([entry(message) for message in (first, second, other, statement(auction=1))])
    ascending = sorted([first, second], key=lambda message: message.digest)
    assert store.statements(SETTLEMENT, 0) == {
        PRODUCER: [statement_of(message) for message in ascending],
        CONSUMER: [statement_of(other)],
    }
    assert store.statements(CONSUMER, 0) == {}


def test_readings__by_point_and_time__those_that_touch_it(url):
    store = store_at(url)
    messages = [readings(number, start=MIDNIGHT + number * QUARTER) for number in range(4)]
    consumer = readings(9, CONSUMER, OTHER_METER)
    store.add([entry(message) for message in [*messages, consumer]])
    inside = MIDNIGHT + QUARTER + 1, MIDNIGHT + 2 * QUARTER + 1
    assert store.readings([PRODUCER], *inside) == messages[1:3]
    assert store.readings([PRODUCER, CONSUMER], MIDNIGHT, MIDNIGHT + 1) == [messages[0], consumer]
    assert store.readings([PRODUCER], *inside, settlement=CONSUMER) == []
    assert store.readings([], *inside) == []


def test_store_id__of_each_database__its_own_and_lasting(url, tmp_path):
    assert store_at(url).store_id == store_at(url).store_id
    assert store_at(url).store_id != store_at(f"sqlite:///{tmp_path / 'other.db'}").store_id


def test_after__encrypted__needs_the_key(url):
    store = store_at(url, Keyring([KEY]))
    store.add([entry(statement())])
    assert store.after(0) == [(1, statement())]
    with pytest.raises(SealError, match=r"message 1 .* was sealed with the key"):
        store_at(url, Keyring([OTHER_KEY])).after(0)
    with pytest.raises(SealError):
        store_at(url).after(0)


def test_add__encrypted_file__holds_neither_text_nor_signature(tmp_path):
    message = statement()
    for keyring, shows in ((Keyring([KEY]), False), (Keyring.plain(), True)):
        path = tmp_path / f"{shows}.db"
        store_at(f"sqlite:///{path}", keyring).add([entry(message)])
        content = b"".join(part.read_bytes() for part in tmp_path.glob(f"{path.name}*"))
        assert (message.payload in content) is shows
        assert (message.signature in content) is shows


def test_after__rows_swapped__refused(url):
    store = store_at(url, Keyring([KEY]))
    store.add([numbered(0), numbered(1)])
    swap = "update messages set sealed = (select m.sealed from messages m where m.sequence = 2)"
    damage(url, f"{swap} where sequence = 1")
    with pytest.raises(SealError, match="message 1 "):
        store.after(0)
    assert store.after(1) == [(2, numbered(1).message)]


def test_after__text_changed_in_a_database_without_encryption__refused(tmp_path):
    url = f"sqlite:///{tmp_path / 'plain.db'}"
    store = store_at(url)
    store.add([numbered(7)])
    damage(url, "update messages set sealed = cast(replace(sealed, '7', '8') as blob)")
    with pytest.raises(SealError, match="not what was stored"):
        store.after(0)


def test_after__two_writers_at_once__a_reader_that_follows_misses_nothing(url):
    count = 150
    store_at(url)

    def write(first: int) -> None:
        writer = store_at(url)
        for number in range(first, first + count):
            writer.add([numbered(number)])

    writers = [threading.Thread(target=write, args=(first,)) for first in (0, count)]
    for writer in writers:
        writer.start()
    reader, cursor, seen = store_at(url), 0, []
    while len(seen) < 2 * count:
        writing = any(writer.is_alive() for writer in writers)
        page = reader.after(cursor, limit=7)
        if not page and not writing:
            break
        seen += [message.payload for _, message in page]
        cursor = page[-1][0] if page else cursor
    for writer in writers:
        writer.join()
    assert sorted(map(int, seen)) == list(range(2 * count))


def test_add__two_bring_the_same_at_once__each_message_is_new_to_one_of_them(url):
    store_at(url)
    entries = [numbered(number) for number in range(60)]
    results: list[list[bool]] = []

    def write() -> None:
        writer = store_at(url)
        results.append([new for each in entries for new in writer.add([each])])

    writers = [threading.Thread(target=write) for _ in range(2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [sum(pair) for pair in zip(*results, strict=True)] == [1] * 60


APPENDER = """
import sys
from tests.offchain.storage.test_message_store import numbered
from tests.offchain.metering.signed import store_at
store = store_at(sys.argv[1])
for number in range(int(sys.argv[2]), 100_000):
    store.add([numbered(number)])
    print(number, flush=True)
"""


def test_add__killed_while_appending__what_was_acknowledged_is_there(url):
    store = store_at(url)
    next_number = 0
    for _ in range(2):
        command = [sys.executable, "-c", APPENDER, url, str(next_number)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as appender:
            acknowledged = [int(appender.stdout.readline()) for _ in range(20)]
            appender.kill()
            acknowledged += map(int, appender.stdout.read().split())
        kept = [int(message.payload) for _, message in store.after(0, limit=100_000)]
        assert kept == list(range(len(kept)))  # whole, each once, in order
        assert len(kept) - 1 >= acknowledged[-1] >= next_number + 19
        next_number = len(kept)


def test_store__used_from_several_threads__as_from_one(url):
    store = store_at(url)
    threads = [
        threading.Thread(target=lambda first=first: store.add([numbered(first + i) for i in range(20)]))
        for first in range(0, 160, 20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(MessageStore.after(store, 0)) == 160
