"""Messages with genuine signatures, and a market they are for; for the tests of intake and storage."""

from pathlib import Path
from typing import Any

from eth_account import Account

from clearwatt.metering.intake import Directory, Intake
from clearwatt.metering.messages import Message, sign_readings, sign_statement
from clearwatt.metering.readings import readings_payload
from clearwatt.storage.database import Database
from clearwatt.storage.messages import MessageStore
from clearwatt.storage.sealing import Keyring

CHAIN_ID = 31337
SETTLEMENT = "0x5FbDB2315678afecb367f032d93F642f64180aa3"
SLOTS = 4
_ACCOUNTS = [Account.from_key(number.to_bytes(32, "big")) for number in range(1, 6)]
PRODUCER, CONSUMER = (account.address for account in _ACCOUNTS[:2])
METER, OTHER_METER, STRANGER = _ACCOUNTS[2:]
METERS = {PRODUCER: METER.address, CONSUMER: OTHER_METER.address}
MIDNIGHT = 1_750_032_000
"""2025-06-16 00:00 UTC."""

QUARTER = 900


def statement(auction: int = 0, member: str = PRODUCER, key: Any = METER, **changes: Any) -> Message:
    """A statement of the producer's meter."""
    values = {"chain_id": CHAIN_ID, "settlement": SETTLEMENT, "readings": [250, -3, 0, 7], **changes}
    return sign_statement(key, auction=auction, member=member, **values)


def readings(value: int = 250, point: str = PRODUCER, key: Any = METER, **changes: Any) -> Message:
    """One interval's reading of the producer's meter."""
    start = changes.pop("start", MIDNIGHT)
    plain = {"chain_id": CHAIN_ID, "settlement": SETTLEMENT, "unit": "Wh", "interval": QUARTER}
    plain |= {"sent": start + QUARTER + 5, "readings": [(start, value)]}
    return sign_readings(key, readings_payload(point=point, **(plain | changes)))


def directory() -> Directory:
    """What the chain says of the producer's and the consumer's meters."""
    known = Directory()
    known.update(chain_id=CHAIN_ID, settlement=SETTLEMENT, slots=SLOTS, meters=METERS)
    return known


def store_at(url: str, keyring: Keyring | None = None) -> MessageStore:
    """A store in the database, whose tables are made if need be."""
    database = Database(url)
    database.require_current()
    return MessageStore(database, keyring or Keyring.plain())


def sqlite_url(folder: Path) -> str:
    return f"sqlite:///{folder / 'clearwatt.db'}"


def intake_at(url: str, **options: Any) -> tuple[Intake, MessageStore]:
    """The market's intake into a store, and the store."""
    store = store_at(url)
    return Intake(store, directory(), **options), store
