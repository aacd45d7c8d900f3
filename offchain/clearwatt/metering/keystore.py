"""Keys of meters and oracles at rest: a folder of encrypted key files in the format of Ethereum wallets (version 3).

Each key has a name, a metering point's say, and is kept in `<name>.json`, readable by its owner only and never
overwritten. The password comes from CLEARWATT_KEY_PASSWORD, or from the file that CLEARWATT_KEY_PASSWORD_FILE names.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_utils import is_address, to_checksum_address

from clearwatt.errors import UserError
from clearwatt.metering.readings import is_point_id

PASSWORD_VARIABLE = "CLEARWATT_KEY_PASSWORD"
PASSWORD_FILE_VARIABLE = f"{PASSWORD_VARIABLE}_FILE"
SUFFIX = ".json"
OWNER_ONLY = 0o600
SCRYPT_ROUNDS = 2**18
"""What a wallet takes: a guess at the password costs about a second and 256 MB."""
LIGHT_ROUNDS = 2**12
"""For thousands of keys behind one long random password, which nobody guesses anyway."""
KEY_DIGITS = 64


def password(environment: Mapping[str, str] = os.environ) -> str:
    """The password of the environment. Raises UserError if there is none."""
    text, path = environment.get(PASSWORD_VARIABLE), environment.get(PASSWORD_FILE_VARIABLE)
    if text and path:
        raise UserError(f"set {PASSWORD_VARIABLE} or {PASSWORD_FILE_VARIABLE}, not both")
    if path:
        text = _first_line(Path(path))
    if not text:
        raise UserError(f"the keys need a password: set {PASSWORD_VARIABLE} or {PASSWORD_FILE_VARIABLE}")
    return text


def _first_line(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").partition("\n")[0].rstrip("\r")
    except OSError as error:
        raise UserError(f"{PASSWORD_FILE_VARIABLE}: {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UserError(f"{PASSWORD_FILE_VARIABLE}: {path} holds no text") from None


def private_key(text: str) -> LocalAccount:
    """The account of a private key in hex. Raises UserError without repeating what it was given."""
    digits = text.strip().removeprefix("0x")
    try:
        if len(digits) != KEY_DIGITS:  # eth-account fills up a key that was cut off
            raise ValueError
        return Account.from_key(digits)
    except Exception:  # eth-keys raises several kinds, some of them with the key in their text
        raise UserError(f"that is no private key of 0x and {KEY_DIGITS} hex digits") from None


class Keystore:
    """A folder of encrypted keys.

    secret: the password that all of its keys have in common.
    """

    def __init__(self, folder: Path, secret: str) -> None:
        self.folder = folder
        self._secret = secret

    def new(self, name: str, light: bool = False) -> str:
        """Make a key and keep it. Returns its address. Raises UserError if the name is taken."""
        return self.add(name, Account.create(), light)

    def add(self, name: str, key: LocalAccount, light: bool = False) -> str:
        """Keep a key. Returns its address. Raises UserError if the name is taken or is no name."""
        path = _path(self.folder, name)
        if path.exists():
            raise UserError(f"{path} is there already; keys are never overwritten")
        rounds = LIGHT_ROUNDS if light else SCRYPT_ROUNDS
        content = Account.encrypt(key.key, self._secret, kdf="scrypt", iterations=rounds)
        _write_once(path, json.dumps(content) + "\n")
        return str(key.address)

    def open(self, name: str) -> LocalAccount:
        """The key of this name. Raises UserError if it is not there or the password is not its."""
        path = _path(self.folder, name)
        content = _content(path)
        try:
            key = Account.from_key(Account.decrypt(content, self._secret))
        except Exception:  # eth-keyfile raises many kinds for a wrong password and for a file that is broken
            raise UserError(f"{path}: the password does not open this key") from None
        if key.address != _address(content, path):
            raise UserError(
                f"{path}: it says it is {_address(content, path)}, but holds the key of {key.address}"
            )
        return key

    def names_by_address(self) -> dict[str, str]:
        """Address -> name of every key, opening none."""
        return {address: name for name, address in list_keys(self.folder).items()}


def list_keys(folder: Path) -> dict[str, str]:
    """Name -> address of every key in the folder, by name; no password needed. Raises UserError."""
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix == SUFFIX and path.is_file())
    except OSError as error:
        raise UserError(f"{folder}: {error.strerror}") from None
    return {path.stem: _address(_content(path), path) for path in paths}


def address_of(folder: Path, name: str) -> str:
    """A key's address; no password needed. Raises UserError."""
    path = _path(folder, name)
    return _address(_content(path), path)


def _path(folder: Path, name: str) -> Path:
    if not is_point_id(name):
        raise UserError(
            f"{name!r} is no name for a key: letters, digits, dots, colons, dashes and underscores"
        )
    return folder / f"{name}{SUFFIX}"


def _content(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such key") from None
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    except ValueError:
        raise UserError(f"{path} is not a key file") from None
    if not isinstance(content, dict) or content.get("version") != 3:
        raise UserError(f"{path} is not a key file of version 3")
    return content


def _address(content: dict[str, Any], path: Path) -> str:
    digits = str(content.get("address", "")).lower().removeprefix("0x")
    if not is_address(f"0x{digits}"):
        raise UserError(f"{path} does not say its key's address")
    return to_checksum_address(f"0x{digits}")


def _write_once(path: Path, text: str) -> None:
    """Write a file that only its owner can read: whole or not at all, and never over another."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY), "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.link(beside, path)  # unlike a rename, it fails if somebody was faster
    except FileExistsError:
        raise UserError(f"{path} is there already; keys are never overwritten") from None
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    finally:
        beside.unlink(missing_ok=True)
