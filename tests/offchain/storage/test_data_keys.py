"""Changing the keys of a database, and what its commands say."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import insert, select

from clearwatt.cli import main
from clearwatt.errors import UserError
from clearwatt.storage.database import Database
from clearwatt.storage.messages import MessageStore
from clearwatt.storage.rotation import keys_in_use, require_keys, rotate
from clearwatt.storage.sealing import KEYS_VARIABLE, Keyring, SealError, key_id_of
from clearwatt.storage.tables import series, series_context
from tests.offchain.metering.signed import PRODUCER, SETTLEMENT, sqlite_url, store_at
from tests.offchain.storage.test_message_store import damage, numbered

OLD, NEW = bytes([1]) * 32, bytes([2]) * 32
MESSAGES = 1100
SERIES = b'{"values":[250]}'


def fill(url: str, keyring: Keyring) -> list[tuple[int, object]]:
    """Messages for more than one batch, and a series."""
    store = store_at(url, keyring)
    store.add([numbered(number) for number in range(MESSAGES)])
    row = {"settlement": SETTLEMENT, "auction": 3, "point": PRODUCER, "key_id": keyring.key_id, "recorded": 0}
    row["sealed"] = keyring.seal(SERIES, series_context(SETTLEMENT, 3, PRODUCER))
    with Database(url).transaction() as connection:
        connection.execute(insert(series), [row])
    return store.after(0, limit=MESSAGES)


def content(url: str, keyring: Keyring) -> tuple[list[tuple[int, object]], bytes]:
    database = Database(url)
    with database.reading() as connection:
        sealed = connection.execute(select(series.c.sealed)).scalar_one()
    opened = keyring.open(sealed, series_context(SETTLEMENT, 3, PRODUCER))
    return MessageStore(database, keyring).after(0, limit=MESSAGES), opened


@pytest.mark.parametrize("before", [Keyring([OLD]), Keyring.plain()], ids=["old-key", "no-key"])
def test_rotate__to_a_new_key__same_content_by_the_new_key_alone(url, before):
    log = fill(url, before)
    keyring = Keyring([NEW, OLD], takes_clear=True)
    assert sum(rotate(Database(url), keyring)) == MESSAGES + 1
    assert keys_in_use(Database(url)) == {key_id_of(NEW): MESSAGES + 1}
    assert content(url, Keyring([NEW])) == (log, SERIES)
    assert list(rotate(Database(url), keyring)) == []


def test_rotate__broken_off__goes_on_where_it_was(url):
    log = fill(url, Keyring([OLD]))
    keyring = Keyring([NEW, OLD])
    first = next(rotate(Database(url), keyring))
    assert content(url, keyring) == (log, SERIES)
    assert sum(rotate(Database(url), keyring)) == MESSAGES + 1 - first
    assert content(url, Keyring([NEW])) == (log, SERIES)


def test_rotate__changed_row__stops_and_names_it(url):
    fill(url, Keyring([OLD]))
    other = "(select m.sealed from messages m where m.sequence = 1)"
    damage(url, f"update messages set sealed = {other} where sequence = 2")
    with pytest.raises(SealError, match="messages, row 2: it has been changed"):
        list(rotate(Database(url), Keyring([NEW, OLD])))


def test_rotate__from_no_key_in_a_file__nothing_readable_stays_behind(tmp_path):
    url = sqlite_url(tmp_path)
    fill(url, Keyring.plain())
    database = Database(url)
    sum(rotate(database, Keyring([NEW], takes_clear=True)))
    files = b"".join(path.read_bytes() for path in tmp_path.glob("clearwatt.db*"))
    assert SERIES not in files
    assert bytes(65) + b"1099" not in files


def test_require_keys__missing_key_or_not_encrypted_yet__says_what_helps(url):
    fill(url, Keyring([OLD]))
    require_keys(Database(url), Keyring([NEW, OLD]))
    with pytest.raises(UserError, match=f"key {key_id_of(OLD).hex()}, which is not in"):
        require_keys(Database(url), Keyring([NEW]))


def test_require_keys__in_the_clear__rotation_is_asked_for(url):
    fill(url, Keyring.plain())
    require_keys(Database(url), Keyring.plain())
    with pytest.raises(UserError, match="database rotate"):
        require_keys(Database(url), Keyring([NEW]))


# ------------------------------------------------------------ the commands


def run(*arguments: str | Path, keys: str | None = None) -> Result:
    environment = {KEYS_VARIABLE: keys, "CLEARWATT_DATABASE": None}
    return CliRunner().invoke(main, ["database", *map(str, arguments)], env=environment)


def test_upgrade__empty_then_current__made_then_left(url):
    assert run("upgrade", url).output == "version none -> 0001\n"
    assert run("upgrade", url).output == "version 0001\n"


def test_status__sealed_by_several_keys__counted(url):
    fill(url, Keyring([OLD]))
    store_at(url, Keyring([NEW])).add([numbered(MESSAGES)])
    done = run("status", url, keys=f"{NEW.hex()},{OLD.hex()}")
    assert done.exit_code == 0
    assert f"{MESSAGES + 1} with the key {key_id_of(OLD).hex()}" in done.output
    assert f"1 with the key {key_id_of(NEW).hex()}" in done.output


def test_status__key_missing_or_no_tables__exits_with_1(tmp_path):
    url = sqlite_url(tmp_path)
    Database(url).migrate()
    assert run("status", url).exit_code == 0
    store_at(url, Keyring([OLD])).add([numbered(0)])
    done = run("status", url)
    assert (done.exit_code, "is not in" in done.output) == (1, True)
    (tmp_path / "empty.db").touch()
    assert run("status", f"sqlite:///{tmp_path}/empty.db").exit_code == 1


def test_rotate_command__with_a_made_key__all_sealed_by_it(tmp_path):
    url = sqlite_url(tmp_path)
    fill(url, Keyring.plain())
    key = run("new-key").output.strip()
    assert run("rotate", url, keys=key).exit_code == 0
    assert run("status", url, keys=key).exit_code == 0
    assert "no key to seal with" in run("rotate", url).output


@pytest.mark.parametrize("command", ["status", "rotate", "restored"])
def test_commands__no_such_file__said_and_none_made(tmp_path, command):
    done = run(command, sqlite_url(tmp_path), keys=OLD.hex())
    assert (done.exit_code, "there is no file" in done.output) == (2, True)
    assert list(tmp_path.iterdir()) == []


def test_backup__while_in_use__restored_as_a_log_of_its_own(tmp_path):
    url = sqlite_url(tmp_path)
    store = store_at(url, Keyring([OLD]))
    store.add([numbered(0), numbered(1)])
    assert run("backup", url, tmp_path / "copy").exit_code == 0
    store.add([numbered(2)])
    assert (tmp_path / "copy").stat().st_mode & 0o777 == 0o600
    back = f"sqlite:///{tmp_path / 'back.db'}"
    assert run("restore", back, tmp_path / "copy").exit_code == 0
    restored = store_at(back, Keyring([OLD]))
    assert restored.after(0) == store.after(0)[:2]
    assert restored.store_id != store.store_id
    assert not list(tmp_path.glob(".*"))


def test_backup_and_restore__target_there_or_source_unusable__refused_and_nothing_left(tmp_path):
    url = sqlite_url(tmp_path)
    store_at(url)
    (tmp_path / "junk").write_text("no database at all, but a text of some length")
    assert "is there already" in run("backup", url, tmp_path / "junk").output
    assert "is there already" in run("restore", url, tmp_path / "junk").output
    new = f"sqlite:///{tmp_path / 'new.db'}"
    assert "cannot be copied" in run("restore", new, tmp_path / "junk").output
    assert "there is no file" in run("restore", new, tmp_path / "none").output
    assert "cannot be written" in run("backup", url, tmp_path / "nowhere" / "copy").output
    assert {path.name.removesuffix("-wal").removesuffix("-shm") for path in tmp_path.iterdir()} == {
        "clearwatt.db",
        "junk",
    }


def test_backup_and_restore__postgresql__the_command_is_named_without_the_password(tmp_path):
    url = "postgresql://oracle:secret@db/clearwatt"
    for command, tool in (("backup", "pg_dump"), ("restore", "pg_restore")):
        done = run(command, url, tmp_path / "copy")
        assert done.exit_code == 2
        assert tool in done.output
        assert "postgresql://oracle@db/clearwatt" in done.output


def test_restored__postgresql__peers_read_it_anew(postgres_url):
    before = store_at(postgres_url).store_id
    assert run("restored", postgres_url).exit_code == 0
    assert store_at(postgres_url).store_id != before
