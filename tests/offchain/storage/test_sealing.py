"""Sealed values: opened by the right key at the right place only."""

import base64

import pytest

from clearwatt.errors import UserError
from clearwatt.storage.sealing import (
    KEYS_FILE_VARIABLE,
    KEYS_VARIABLE,
    Keyring,
    SealError,
    key_id_of,
    new_key,
)

OLD, NEW, OTHER = (bytes([number]) * 32 for number in (1, 2, 3))
PLAIN, PLACE = b"250 Wh at noon", b"messages|1"


def test_open__same_key_and_place__what_was_sealed():
    sealed = Keyring([OLD]).seal(PLAIN, PLACE)
    assert PLAIN not in sealed
    assert Keyring([OLD]).open(sealed, PLACE) == PLAIN


def test_seal__twice__differs():
    keyring = Keyring([OLD])
    assert keyring.seal(PLAIN, PLACE) != keyring.seal(PLAIN, PLACE)


def test_open__after_a_new_key__old_values_still_open_and_the_new_key_seals():
    both = Keyring([NEW, OLD])
    assert both.open(Keyring([OLD]).seal(PLAIN, PLACE), PLACE) == PLAIN
    assert Keyring([NEW]).open(both.seal(PLAIN, PLACE), PLACE) == PLAIN
    assert both.key_id == key_id_of(NEW)


def test_open__key_not_here__named_by_its_id():
    with pytest.raises(SealError, match=key_id_of(OLD).hex()):
        Keyring([OTHER]).open(Keyring([OLD]).seal(PLAIN, PLACE), PLACE)


def test_open__any_byte_changed__refused():
    keyring = Keyring([OLD])
    sealed = keyring.seal(PLAIN, PLACE)
    for index in range(len(sealed)):
        changed = sealed[:index] + bytes([sealed[index] ^ 1]) + sealed[index + 1 :]
        with pytest.raises(SealError):
            keyring.open(changed, PLACE)


def test_open__cut_short__refused():
    keyring = Keyring([OLD])
    sealed = keyring.seal(b"", PLACE)
    for length in range(len(sealed)):
        with pytest.raises(SealError):
            keyring.open(sealed[:length], PLACE)


def test_open__moved_to_another_place__refused():
    keyring = Keyring([OLD])
    with pytest.raises(SealError, match="another place"):
        keyring.open(keyring.seal(PLAIN, PLACE), b"messages|2")


def test_open__in_the_clear__only_without_keys_or_when_asked_to():
    clear = Keyring.plain().seal(PLAIN, PLACE)
    assert Keyring.plain().open(clear, PLACE) == PLAIN
    assert Keyring([OLD], takes_clear=True).open(clear, PLACE) == PLAIN
    with pytest.raises(SealError, match="rotate"):
        Keyring([OLD]).open(clear, PLACE)


def test_from_environment__nothing_set__plain():
    assert not Keyring.from_environment({}).encrypts


@pytest.mark.parametrize("text", [OLD.hex(), "0x" + OLD.hex(), base64.b64encode(OLD).decode()])
def test_from_environment__hex_or_base64__the_key(text):
    assert Keyring.from_environment({KEYS_VARIABLE: text}).key_id == key_id_of(OLD)


def test_from_environment__several__the_first_seals_and_all_open():
    keyring = Keyring.from_environment({KEYS_VARIABLE: f"{NEW.hex()}, {OLD.hex()}"})
    assert keyring.key_id == key_id_of(NEW)
    assert keyring.can_open(key_id_of(OLD))


def test_from_environment__file__a_key_per_line(tmp_path):
    path = tmp_path / "keys"
    path.write_text(f"# of May\n{new_key()}\n\n{OLD.hex()}\n")
    keyring = Keyring.from_environment({KEYS_FILE_VARIABLE: str(path)})
    assert keyring.can_open(key_id_of(OLD))
    assert keyring.key_id != key_id_of(OLD)


def test_from_environment__empty_file__refused(tmp_path):
    (tmp_path / "keys").touch()
    with pytest.raises(UserError, match="32 bytes"):
        Keyring.from_environment({KEYS_FILE_VARIABLE: str(tmp_path / "keys")})


@pytest.mark.parametrize("text", ["tooshort", OLD.hex()[:-2], "ü" * 44, f"{OLD.hex()},"])
def test_from_environment__no_key__refused_without_showing_it(text):
    with pytest.raises(UserError) as caught:
        Keyring.from_environment({KEYS_VARIABLE: text})
    assert text not in str(caught.value)


def test_from_environment__both_variables_or_no_file__refused(tmp_path):
    with pytest.raises(UserError, match="only one"):
        Keyring.from_environment({KEYS_VARIABLE: OLD.hex(), KEYS_FILE_VARIABLE: "keys"})
    with pytest.raises(UserError, match="cannot be read"):
        Keyring.from_environment({KEYS_FILE_VARIABLE: str(tmp_path / "missing")})
