"""Real servers for the tests: PostgreSQL and mosquitto on a free loopback port, gone again when the block ends.

Each can be stopped, killed and started again within the block, on the same port and with the same data.
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg

from tests.nodes import HOST, START_TIMEOUT, STOP_TIMEOUT, free_port
from tools.services import find

UNPRIVILEGED = "nobody"
"""Runs the servers where the tests run as root, which PostgreSQL refuses."""

ROLE = "clearwatt"
MOSQUITTO_CONFIG = """\
listener {port} {host}
allow_anonymous true
persistence true
persistence_location {folder}/
autosave_interval 1
autosave_on_changes true
max_queued_messages 0
"""
"""Saved after every message: what was acknowledged survives a kill, as a broker in earnest is set up."""


class ServerError(Exception):
    """The server is not installed or did not start; the message holds what it said."""


class Server:
    """A server process in a folder of its own.

    url: where clients find it. answers: whether it takes connections.
    """

    def __init__(
        self, url: str, command: Sequence[str], folder: Path, answers: Callable[[], bool], stop: int
    ) -> None:
        self.url = url
        self._command = command
        self._log = folder / "log"
        self._answers = answers
        self._stop_signal = stop
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers. Raises ServerError."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **_unprivileged()
            )
        deadline = time.monotonic() + START_TIMEOUT
        while self._process.poll() is None and time.monotonic() < deadline:
            if self._answers():
                return
            time.sleep(0.05)
        self.kill()
        raise ServerError(f"{self._command[0]} did not start: {self.log()[-500:]}")

    def stop(self) -> None:
        """End it in good order."""
        self._end(self._stop_signal)

    def kill(self) -> None:
        """End it at once, as a power cut would."""
        self._end(signal.SIGKILL)

    def log(self) -> str:
        """What it said so far."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def _end(self, number: int) -> None:
        if self._process is None:
            return
        self._process.send_signal(number)
        try:
            self._process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None


class PostgresServer(Server):
    """A PostgreSQL server. url: of its first database."""

    def kill(self) -> None:
        """End it without a checkpoint, so that it recovers at the next start, but with all of its processes."""
        self._end(signal.SIGQUIT)

    def new_database(self) -> str:
        """The URL of a fresh, empty database."""
        name = f"test_{uuid4().hex}"
        base, _, first = self.url.rpartition("/")
        with psycopg.connect(_libpq(f"{base}/{first}"), autocommit=True) as connection:
            connection.execute(f'create database "{name}"')
        return f"{base}/{name}"


@contextmanager
def postgres(settings: Mapping[str, str] | None = None) -> Iterator[PostgresServer]:
    """Run a PostgreSQL; settings: as in postgresql.conf. It does not wait for the disk unless told so (fsync)."""
    with _folder() as folder:
        data = folder / "data"
        options = ["-U", ROLE, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
        initdb = [_program("initdb"), "-D", str(data), *options]
        done = subprocess.run(initdb, capture_output=True, text=True, cwd=folder, **_unprivileged())
        if done.returncode:
            raise ServerError(f"initdb failed: {done.stderr.strip()[-500:]}")
        port = free_port()
        chosen = {"fsync": "off", "listen_addresses": HOST, "unix_socket_directories": "", **(settings or {})}
        command = [_program("postgres"), "-D", str(data), "-p", str(port)]
        command += [word for name, value in chosen.items() for word in ("-c", f"{name}={value}")]
        url = f"postgresql+psycopg://{ROLE}@{HOST}:{port}/postgres"
        # SIGINT: do not wait for clients that are still connected
        server = PostgresServer(url, command, folder, lambda: _takes_queries(url), signal.SIGINT)
        with _running(server):
            yield server


@contextmanager
def mosquitto() -> Iterator[Server]:
    """Run a mosquitto that keeps its sessions over a restart."""
    with _folder() as folder:
        port = free_port()
        config = folder / "mosquitto.conf"
        config.write_text(MOSQUITTO_CONFIG.format(port=port, host=HOST, folder=folder))
        command = [_program("mosquitto"), "-c", str(config)]
        server = Server(f"mqtt://{HOST}:{port}", command, folder, lambda: _listens(port), signal.SIGTERM)
        with _running(server):
            yield server


@contextmanager
def _running(server: Server) -> Iterator[None]:
    server.start()
    try:
        yield
    finally:
        server.kill()  # its data is thrown away: nothing has to be put in order first


@contextmanager
def _folder() -> Iterator[Path]:
    """A temporary folder that the server's user owns."""
    folder = Path(tempfile.mkdtemp(prefix="clearwatt-"))
    try:
        if user := _unprivileged():
            os.chown(folder, user["user"], user["group"])
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _unprivileged() -> dict[str, Any]:
    """Whom to start a server as."""
    if os.geteuid():
        return {}
    entry = pwd.getpwnam(UNPRIVILEGED)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def _program(name: str) -> str:
    found = find(name)
    if found is None:
        raise ServerError(f"{name} is not installed: run `python tools/services.py`")
    return str(found)


def _takes_queries(url: str) -> bool:
    try:
        psycopg.connect(_libpq(url), connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


def _libpq(url: str) -> str:
    return url.replace("+psycopg", "", 1)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(2)
        return probe.connect_ex((HOST, port)) == 0
