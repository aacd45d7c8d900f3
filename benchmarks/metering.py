"""A day of readings of 10 000 meters through the HTTP intake into a database, encrypted, and the same once more.

Every meter sends one signed message of 96 quarter hours. Client and server share this process and its cores; making
and signing the messages is not counted.
"""

import argparse
import logging
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
from eth_account import Account
from eth_account.signers.local import LocalAccount

from clearwatt.metering.http import metering_router
from clearwatt.metering.intake import Directory, Intake
from clearwatt.metering.messages import sign_readings
from clearwatt.metering.readings import readings_payload
from clearwatt.service.server import Server, make_app
from clearwatt.storage.database import Database
from clearwatt.storage.messages import MessageStore
from clearwatt.storage.sealing import Keyring
from tests import servers

CHAIN_ID = 31337
SETTLEMENT = "0x5FbDB2315678afecb367f032d93F642f64180aa3"
MIDNIGHT, QUARTER, QUARTERS = 1_750_032_000, 900, 96
BATCH = 500
DATA_KEY = bytes(32)

Body = dict[str, str]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--meters", type=int, default=10_000)
    count = parser.parse_args().meters
    logging.disable(logging.INFO)
    meters = [Account.from_key(number.to_bytes(32, "big")) for number in range(1, count + 1)]
    bodies = [day_of(meter, index) for index, meter in enumerate(meters)]
    print(f"{count} meters x {QUARTERS} readings in batches of {BATCH}, encrypted")
    print(f"{'database':12}{'first':>10}{'repeated':>10}{'readings/s':>12}")
    with tempfile.TemporaryDirectory() as folder, servers.postgres({"fsync": "on"}) as server:
        for name, url in (("SQLite", f"sqlite:///{Path(folder)}/bench.db"), ("PostgreSQL", server.url)):
            first, repeated = ingest(url, meters, bodies)
            print(f"{name:12}{first:>8.1f} s{repeated:>8.1f} s{count * QUARTERS / first:>12.0f}")


def day_of(meter: LocalAccount, index: int) -> Body:
    """A meter's day, as HTTP takes it; the meter stands for its member too."""
    rows = [(MIDNIGHT + QUARTER * quarter, (index * 7 + quarter * 13) % 900) for quarter in range(QUARTERS)]
    payload = readings_payload(
        chain_id=CHAIN_ID,
        settlement=SETTLEMENT,
        point=meter.address,
        sent=MIDNIGHT + QUARTER * QUARTERS,
        unit="Wh",
        interval=QUARTER,
        readings=rows,
    )
    signature = sign_readings(meter, payload).signature
    return {"payload": payload.decode(), "signature": f"0x{signature.hex()}"}


def ingest(url: str, meters: Sequence[LocalAccount], bodies: Sequence[Body]) -> tuple[float, float]:
    """Seconds to send all of it, and all of it again."""
    database = Database(url)
    database.require_current()
    directory = Directory()
    members = {meter.address: meter.address for meter in meters}
    directory.update(chain_id=CHAIN_ID, settlement=SETTLEMENT, slots=QUARTERS, meters=members)
    with serving(Intake(MessageStore(database, Keyring([DATA_KEY])), directory)) as client:
        return send(client, bodies, "stored"), send(client, bodies, "known")


@contextmanager
def serving(intake: Intake) -> Iterator[httpx.Client]:
    app = make_app([metering_router(intake)])
    with Server(app, "127.0.0.1", 0) as server, httpx.Client(base_url=server.url, timeout=60) as client:
        yield client


def send(client: httpx.Client, bodies: Sequence[Body], expected: str) -> float:
    """Seconds. Raises RuntimeError if a message has another outcome than expected."""
    begun = time.perf_counter()
    for index in range(0, len(bodies), BATCH):
        answer = client.post("/v1/readings/batch", json={"messages": bodies[index : index + BATCH]})
        outcomes = answer.raise_for_status().json()["outcomes"]
        if any(outcome["status"] != expected for outcome in outcomes):
            raise RuntimeError(f"not all messages were {expected}: {answer.text[:200]}")
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
