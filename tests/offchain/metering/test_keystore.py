"""Encrypted keys: what goes in comes out, only with the password, and nothing is ever overwritten."""

import json
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner
from eth_account import Account

from clearwatt.errors import UserError
from clearwatt.metering.keys_cli import keys
from clearwatt.metering.keystore import (
    PASSWORD_FILE_VARIABLE,
    PASSWORD_VARIABLE,
    Keystore,
    address_of,
    list_keys,
    password,
)

KEY = "0x" + "11" * 32
ADDRESS = Account.from_key(KEY).address


@pytest.fixture
def store(tmp_path: Path) -> Keystore:
    return Keystore(tmp_path / "keys", "a password")


def test_keystore__key_added__opens_with_the_password_and_signs_the_same(store):
    assert store.add("DE1", Account.from_key(KEY), light=True) == ADDRESS
    assert store.open("DE1").key == Account.from_key(KEY).key
    assert list_keys(store.folder) == {"DE1": ADDRESS}
    assert address_of(store.folder, "DE1") == ADDRESS
    assert store.names_by_address() == {ADDRESS: "DE1"}


def test_keystore__file__for_its_owner_only_and_without_the_key(store):
    store.add("DE1", Account.from_key(KEY), light=True)
    (path,) = store.folder.iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert KEY[2:] not in path.read_text()


def test_keystore__other_password__one_sentence(store):
    store.add("DE1", Account.from_key(KEY), light=True)
    with pytest.raises(UserError, match="the password does not open this key"):
        Keystore(store.folder, "another").open("DE1")


def test_keystore__name_taken__kept_as_it_was(store):
    address = store.new("DE1", light=True)
    with pytest.raises(UserError, match="never overwritten"):
        store.add("DE1", Account.from_key(KEY), light=True)
    assert address_of(store.folder, "DE1") == address != ADDRESS
    assert len(list(store.folder.iterdir())) == 1


@pytest.mark.parametrize("name", ["../DE1", "", "a/b", ".hidden", "x" * 65])
def test_keystore__name_that_leaves_the_folder_or_is_none__refused(store, name):
    with pytest.raises(UserError, match="no name for a key"):
        store.new(name, light=True)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"version": 3}'])
def test_keystore__file_that_holds_no_key__named(store, content):
    store.folder.mkdir()
    (store.folder / "DE1.json").write_text(content)
    with pytest.raises(UserError, match=r"DE1\.json"):
        store.open("DE1")


def test_keystore__address_that_is_not_the_keys__refused(store):
    store.add("DE1", Account.from_key(KEY), light=True)
    path = store.folder / "DE1.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"address": "00" * 20}))
    with pytest.raises(UserError, match="but holds the key of"):
        store.open("DE1")


def test_password__from_the_environment_or_a_file(tmp_path):
    (tmp_path / "word").write_text("from a file\n")
    assert password({PASSWORD_VARIABLE: "plain"}) == "plain"
    assert password({PASSWORD_FILE_VARIABLE: str(tmp_path / "word")}) == "from a file"
    with pytest.raises(UserError, match="not both"):
        password({PASSWORD_VARIABLE: "plain", PASSWORD_FILE_VARIABLE: "x"})
    with pytest.raises(UserError, match="need a password"):
        password({})


def run(folder: Path, *arguments: str, text: str | None = None):
    return CliRunner(env={PASSWORD_VARIABLE: "a password"}).invoke(
        keys, [*arguments, "--keys", str(folder)], input=text
    )


def test_keys_command__new_list_address__the_same_address(tmp_path):
    made = run(tmp_path, "new", "DE1", "DE2", "--light").output.splitlines()
    assert [line.split()[1] for line in made] == ["DE1", "DE2"]
    assert run(tmp_path, "list").output.splitlines() == made
    assert run(tmp_path, "address", "DE2").output.strip() == made[1].split()[0]


def test_keys_command__import__from_standard_input_and_never_echoed(tmp_path):
    assert run(tmp_path, "import", "DE1", "--light", text=KEY).output == f"{ADDRESS}  DE1\n"
    refused = run(tmp_path, "import", "DE2", text=KEY[:-2])
    assert isinstance(refused.exception, UserError)
    assert KEY[2:20] not in str(refused.exception)
