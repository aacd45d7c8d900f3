"""The oracles under test: real processes, each with its own key, database, endpoint and clock."""

import os
import resource
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from eth_account.signers.local import LocalAccount

from clearwatt.oracle.cli import KEY_VARIABLE
from tests.faults.proxy import FaultProxy

FAKETIME = "/usr/lib/*/faketime/libfaketimeMT.so.1"


@dataclass
class Operator:
    """Who runs one oracle, and starts it again when it is not there, as systemd does.

    database: URL. endpoint: its way to the chain. address: HOST:PORT where it listens. peers: where the others do.
    wanted: whether it should be up. exits: how often it ended by itself.
    """

    number: int
    key: LocalAccount
    database: str
    endpoint: FaultProxy
    deployment: Path
    folder: Path
    address: str
    peers: tuple[str, ...]
    wanted: bool = False
    environment: dict[str, str] = field(default_factory=dict)
    exits: int = 0
    _process: subprocess.Popen[bytes] | None = None

    @property
    def name(self) -> str:
        return f"oracle {self.number}"

    @property
    def log_file(self) -> Path:
        return self.folder / f"oracle-{self.number}.log"

    def log(self) -> str:
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    # ------------------------------------------------------------ the process

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process and self._process.poll() is None else None

    def start(self) -> None:
        self.wanted = True
        self._process = self.spawn(self.log_file)

    def spawn(self, log: Path) -> subprocess.Popen[bytes]:
        """A process with this oracle's key and database; who asks for a second one has two posters."""
        with log.open("ab") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "clearwatt.cli", *self._arguments()],
                env=os.environ | {KEY_VARIABLE: self.key.key.to_0x_hex()} | self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    def _arguments(self) -> list[str]:
        """What the oracle is told."""
        listed = [
            ("--rpc", self.endpoint.url),
            ("--deployment", str(self.deployment)),
            ("--database", self.database),
            ("--listen", self.address),
            *(("--peer", f"http://{peer}") for peer in self.peers),
            ("--depth", "2"),
            ("--poll", "0.2"),
            ("--turn", "2"),
            ("--cycle-timeout", "20"),
            ("--max-fee-gwei", "100"),
        ]
        return ["oracle", "run", *(word for pair in listed for word in pair)]

    def kill(self) -> None:
        """As a power cut would."""
        self.wanted = False
        self._end()

    def restart(self, **environment: str) -> None:
        """Killed and started again in another environment."""
        self.kill()
        self.environment = environment
        self.start()

    def look_after(self) -> None:
        """Start it again if it ended by itself."""
        if self.wanted and self.pid is None:
            self.exits += 1
            self.start()

    def _end(self) -> None:
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        self._process = None

    # ------------------------------------------------------------ what it may use

    def limit_files(self, size: int) -> None:
        """No file of this process can grow beyond `size` bytes: what a full disk feels like."""
        if self.pid:
            resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def clock_off_by(seconds: int) -> dict[str, str]:
    """The environment in which a process' wall clock is wrong. Raises RuntimeError without Debian's faketime."""
    found = sorted(str(path) for path in Path("/").glob(FAKETIME.lstrip("/")))
    if not found:
        raise RuntimeError("libfaketime is not installed: run `python tools/services.py`")
    return {"LD_PRELOAD": found[0], "FAKETIME": f"{seconds:+d}s", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
