"""A deployment file as gateways read it, and an oracle's metering intake behind a real HTTP server."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import astuple
from pathlib import Path

from clearwatt.chain.deployment import CONTRACTS, Schedule
from clearwatt.metering.http import metering_router
from clearwatt.metering.intake import Directory, Intake
from clearwatt.metering.points import PointConfig
from clearwatt.service.server import Server, make_app
from clearwatt.storage.database import Database
from clearwatt.storage.messages import MessageStore
from clearwatt.storage.sealing import Keyring
from tests.offchain.metering.meters import MONDAY, SETTLEMENT

CHAIN = 31337
SCHEDULE = Schedule(genesis=MONDAY, slots=4, metering_window=3600)


def deployment(folder: Path, schedule: Schedule = SCHEDULE) -> Path:
    """The file of a market with this schedule."""
    contracts = {
        name: {"address": SETTLEMENT, "arguments": [], "transaction": "0x", "block": 0, "abi": []}
        for name in CONTRACTS
    }
    contracts["Registry"]["arguments"] = [SETTLEMENT, [list(astuple(schedule))], []]
    content = {
        "network": "local",
        "chain_id": CHAIN,
        "compiler": {},
        "source_hash": "",
        "contracts": contracts,
    }
    path = folder / "deployment.json"
    path.write_text(json.dumps(content))
    return path


class OracleIntake:
    """What an oracle has of metering: a database and a server. url: where it takes messages."""

    def __init__(self, folder: Path, points: Mapping[str, PointConfig], port: int = 0) -> None:
        self.database = Database(f"sqlite:///{folder / 'oracle.db'}")
        self.database.require_current()
        self.store = MessageStore(self.database, Keyring.plain())
        directory = Directory()
        meters = {point.member: point.meter for point in points.values()}
        directory.update(chain_id=CHAIN, settlement=SETTLEMENT, slots=SCHEDULE.slots, meters=meters)
        self.server = Server(
            make_app([metering_router(Intake(self.store, directory, points))]), "127.0.0.1", port
        )
        self.server.start()
        self.url = self.server.url

    def close(self) -> None:
        self.server.stop()
        self.database.close()


@contextmanager
def oracle_intake(folder: Path, points: Mapping[str, PointConfig], port: int = 0) -> Iterator[OracleIntake]:
    intake = OracleIntake(folder, points, port)
    try:
        yield intake
    finally:
        intake.close()
