"""Encryption at rest: AES-256-GCM under keys that can be changed while old values stay readable.

A sealed value is a format byte, then: in the clear (format 0) the value itself; encrypted (format 1) 4 bytes of key id,
12 of nonce, and the ciphertext with its tag. Each value is bound to its place in the database by a context.
"""

import base64
import binascii
import hashlib
import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from clearwatt.errors import UserError
from clearwatt.storage.database import StoreError

KEYS_VARIABLE, KEYS_FILE_VARIABLE = "CLEARWATT_DATA_KEYS", "CLEARWATT_DATA_KEYS_FILE"

KEY_BYTES, KEY_ID_BYTES, NONCE_BYTES, TAG_BYTES = 32, 4, 12, 16
CLEAR, ENCRYPTED = b"\0", b"\1"
HEAD_BYTES = 1 + KEY_ID_BYTES + NONCE_BYTES


class SealError(StoreError):
    """A stored value cannot be opened: its key is not here, or it is not what was stored."""


class Keyring:
    """Keys of 32 bytes, newest first: the newest seals, all open.

    Without keys values are stored in the clear. With keys, values in the clear are refused, since whoever can write to
    the database could have put them there; takes_clear: accept them, as a change from no keys to keys has to.
    """

    def __init__(self, keys: Sequence[bytes], takes_clear: bool = False) -> None:
        self._ciphers = {key_id_of(key): AESGCM(key) for key in reversed(keys)}
        self.key_id = key_id_of(keys[0]) if keys else b""
        self._takes_clear = takes_clear or not keys

    @classmethod
    def plain(cls) -> "Keyring":
        """No keys: nothing is encrypted."""
        return cls(())

    @classmethod
    def from_environment(
        cls, environment: Mapping[str, str] = os.environ, takes_clear: bool = False
    ) -> "Keyring":
        """The keys of CLEARWATT_DATA_KEYS or of the file CLEARWATT_DATA_KEYS_FILE; without either, none.

        Raises UserError, which does not show them, if one cannot be used.
        """
        return cls(_keys_of(environment), takes_clear)

    @property
    def encrypts(self) -> bool:
        return bool(self.key_id)

    def can_open(self, key_id: bytes) -> bool:
        """Whether values sealed by this key can be opened; no id stands for values in the clear."""
        return key_id in self._ciphers if key_id else self._takes_clear

    def seal(self, plain: bytes, context: bytes) -> bytes:
        """The value as it is stored. context: its place; not stored, but needed to open it."""
        if not self.encrypts:
            return CLEAR + plain
        nonce = secrets.token_bytes(NONCE_BYTES)
        return ENCRYPTED + self.key_id + nonce + self._ciphers[self.key_id].encrypt(nonce, plain, context)

    def open(self, sealed: bytes, context: bytes) -> bytes:
        """The inverse of `seal`. Raises SealError."""
        if sealed[:1] == CLEAR and self._takes_clear:
            return sealed[1:]
        if sealed[:1] == CLEAR:
            raise SealError("it is in the clear, though there are keys: run `clearwatt database rotate`")
        if sealed[:1] != ENCRYPTED or len(sealed) < HEAD_BYTES + TAG_BYTES:
            raise SealError("it is no sealed value")
        return self._decrypt(sealed, context)

    def _decrypt(self, sealed: bytes, context: bytes) -> bytes:
        key_id, nonce = sealed[1 : 1 + KEY_ID_BYTES], sealed[1 + KEY_ID_BYTES : HEAD_BYTES]
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            raise SealError(f"it was sealed with the key {key_id.hex()}, which is not in {KEYS_VARIABLE}")
        try:
            return cipher.decrypt(nonce, sealed[HEAD_BYTES:], context)
        except InvalidTag:
            raise SealError("it has been changed since it was stored, or belongs to another place") from None


def key_id_of(key: bytes) -> bytes:
    """What a sealed value calls its key; says nothing of the key."""
    return hashlib.sha256(key).digest()[:KEY_ID_BYTES]


def new_key() -> str:
    """A fresh key, as base64."""
    return base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()


def _keys_of(environment: Mapping[str, str]) -> list[bytes]:
    listed, path = environment.get(KEYS_VARIABLE), environment.get(KEYS_FILE_VARIABLE)
    if listed and path:
        raise UserError(f"only one of {KEYS_VARIABLE} and {KEYS_FILE_VARIABLE} can be set")
    if path:
        return _parsed(_lines_of(path), path)
    return _parsed(listed.split(","), KEYS_VARIABLE) if listed else []


def _lines_of(path: str) -> list[str]:
    try:
        lines = [line.strip() for line in Path(path).read_text("ascii").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise UserError(f"{KEYS_FILE_VARIABLE}: {path} cannot be read: {reason}") from None
    # a file that is there but empty is a mistake: nobody means "do not encrypt" by it
    return [line for line in lines if line and not line.startswith("#")] or [""]


def _parsed(texts: Sequence[str], place: str) -> list[bytes]:
    return [_key(text.strip(), f"{place}: key {index}") for index, text in enumerate(texts, 1)]


def _key(text: str, place: str) -> bytes:
    try:
        is_hex = len(text.removeprefix("0x")) == 2 * KEY_BYTES
        key = bytes.fromhex(text.removeprefix("0x")) if is_hex else base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        key = b""
    if len(key) != KEY_BYTES:
        raise UserError(
            f"{place} is not {KEY_BYTES} bytes as base64 or hex; `clearwatt database new-key` makes one"
        )
    return key
