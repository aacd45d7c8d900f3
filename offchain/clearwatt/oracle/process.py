"""The oracle as the separate process it is, for whoever starts one: the simulation, a test."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from clearwatt.errors import UserError
from clearwatt.oracle.cli import KEY_VARIABLE

STOP_SECONDS = 20
TAIL_LINES = 15


def free_address() -> str:
    """HOST:PORT on this machine at which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return "{}:{}".format(*probe.getsockname())


class OracleProcess:
    """`clearwatt oracle run` with its output in a file.

    key: hex private key, handed over by environment, so that it shows in no process list.
    """

    def __init__(
        self, rpc: str, deployment: Path, database: str, key: str, log: Path, options: Sequence[str] = ()
    ) -> None:
        self._command = [sys.executable, "-m", "clearwatt.cli", "oracle", "run", "--rpc", rpc]
        # depth 0: chains that mine only what they are sent have no blocks to wait for
        self._command += ["--deployment", str(deployment), "--database", database, "--depth", "0", *options]
        self._environment = {**os.environ, KEY_VARIABLE: key}
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; its output is appended to the log."""
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                self._command, env=self._environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )

    def check(self) -> None:
        """Raise UserError with the end of its log if it has stopped by itself."""
        if self._process is not None and self._process.poll() is not None:
            raise UserError(f"the oracle stopped (exit code {self._process.returncode}):\n{self._tail()}")

    def kill(self) -> None:
        """End it at once, as a power cut would."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """Ask it to finish and wait. Returns its exit code."""
        return self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> int:
        if self._process is None:
            return 0
        self._process.send_signal(number)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        code = self._process.returncode
        self._process = None
        return code

    def _tail(self) -> str:
        lines = self._log.read_text(errors="replace").splitlines()
        return "\n".join(lines[-TAIL_LINES:])

    def __enter__(self) -> "OracleProcess":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
