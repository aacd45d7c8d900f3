"""The faults: how each begins, how it ends, and whether the market has to go on while it lasts."""

import resource
import sqlite3
import subprocess
import threading
import time
from contextlib import closing, suppress
from dataclasses import dataclass

from sqlalchemy import make_url

from tests.faults.operators import Operator, clock_off_by
from tests.faults.proxy import Ill
from tests.faults.world import World

HOUR = 3_600
LOCKED_SECONDS = 3.0
ORACLES = 3
DISK_FULL = 4_096
"""Bytes that a file may have: less than any database or write-ahead log in use has."""


@dataclass
class Fault:
    """Something that goes wrong at the oracles of `victims`.

    lasts: seconds at most, real time. Where an oracle is spared, the market has to go on meanwhile, and gets
    the time for it.
    """

    name: str
    victims: list[Operator]
    lasts: float = 2.0

    @property
    def tolerated(self) -> bool:
        return len(self.victims) < ORACLES

    def begin(self, world: World) -> None:
        raise NotImplementedError

    def end(self, world: World) -> None:
        """Most pass by themselves."""


class Killed(Fault):
    def begin(self, world: World) -> None:
        for victim in self.victims:
            victim.kill()

    def end(self, world: World) -> None:
        for victim in self.victims:
            victim.start()


@dataclass
class Endpoint(Fault):
    ill: Ill = Ill.HANG

    def begin(self, world: World) -> None:
        for victim in self.victims:
            victim.endpoint.fall_ill(self.ill)

    def end(self, world: World) -> None:
        for victim in self.victims:
            victim.endpoint.recover()


@dataclass
class Reorganisation(Fault):
    """What has just been done is undone; nobody is spared, but it is over at once."""

    blocks: int = 1

    def begin(self, world: World) -> None:
        """First there has to be something to undo."""

    def end(self, world: World) -> None:
        world.chain.reorganise(self.blocks)


class ClockOff(Fault):
    def begin(self, world: World) -> None:
        for victim in self.victims:
            victim.restart(**clock_off_by(world.random.choice((-120, 120))))

    def end(self, world: World) -> None:
        for victim in self.victims:
            victim.restart()


class DatabaseLocked(Fault):
    """Another process holds the SQLite file for itself for a while."""

    def begin(self, world: World) -> None:
        self._locks = [threading.Thread(target=self._hold, args=(victim,)) for victim in self.victims]
        for lock in self._locks:
            lock.start()

    def _hold(self, victim: Operator) -> None:
        file = make_url(victim.database).database or ""
        with closing(sqlite3.connect(file, timeout=LOCKED_SECONDS, isolation_level=None)) as lock:
            lock.execute("BEGIN EXCLUSIVE")
            time.sleep(LOCKED_SECONDS)
            lock.execute("ROLLBACK")

    def end(self, world: World) -> None:
        for lock in self._locks:
            lock.join()


class DiskFull(Fault):
    def begin(self, world: World) -> None:
        for victim in self.victims:
            victim.limit_files(DISK_FULL)

    def end(self, world: World) -> None:
        for victim in self.victims:
            victim.limit_files(resource.RLIM_INFINITY)


class Twin(Fault):
    """The same oracle, started twice: two posters with one key and one nonce."""

    def begin(self, world: World) -> None:
        self._twins: list[subprocess.Popen[bytes]] = [one.spawn(one.log_file) for one in self.victims]

    def end(self, world: World) -> None:
        for twin in self._twins:
            with suppress(ProcessLookupError):
                twin.kill()
            twin.wait()


class ChainStops(Fault):
    """No block for an hour of the chain's time."""

    def begin(self, world: World) -> None:
        world.chain.stand_still()

    def end(self, world: World) -> None:
        time.sleep(0.3)  # a block may have been under way
        world.travel(world.chain.now() + HOUR)
        world.chain.go_on()


class FeesRise(Fault):
    def begin(self, world: World) -> None:
        world.chain.base_fee = 500 * 10**9

    def end(self, world: World) -> None:
        world.chain.base_fee = 10**9
