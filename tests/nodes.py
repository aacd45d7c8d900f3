"""Real chains for the tests: anvil and Ganache on a free loopback port, gone again when the block ends."""

import json
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import IO

HOST = "127.0.0.1"
# The accounts Ape signs with by default; anvil's own default as well.
MNEMONIC = "test test test test test test test test test test test junk"
START_TIMEOUT = 60.0
STOP_TIMEOUT = 10.0


class NodeError(Exception):
    """The chain did not start; the message holds what it said."""


@contextmanager
def anvil(port: int | None = None, fork: str | None = None, args: Sequence[str] = ()) -> Iterator[str]:
    """Run an anvil, with `fork` a private copy of the chain at that URL; gives its URL."""
    forked = ("--fork-url", fork) if fork else ()
    options = ("--block-base-fee-per-gas", "0", "--gas-price", "0", *forked, *args)
    with _running("anvil", ("--host", HOST, "--port"), port, options) as url:
        yield url


@contextmanager
def ganache(port: int | None = None, args: Sequence[str] = ()) -> Iterator[str]:
    """Run a Ganache with the accounts and balances that anvil has; gives its URL."""
    options = ("--wallet.mnemonic", MNEMONIC, "--wallet.defaultBalance", "10000", *args)
    with _running("ganache", ("--server.host", HOST, "--server.port"), port, options) as url:
        yield url


@contextmanager
def _running(command: str, address: Sequence[str], port: int | None, options: Sequence[str]) -> Iterator[str]:
    port = port or free_port()
    url = f"http://{HOST}:{port}"
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            [command, *address, str(port), *options], stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
        try:
            _wait_for(url, process, log)
            yield url
        finally:
            _stop(process)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _wait_for(url: str, process: subprocess.Popen[bytes], log: IO[str]) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    # Alive AND answering: on a port that is taken, it is somebody else's chain that answers.
    while process.poll() is None and time.monotonic() < deadline:
        if _answers(url) and process.poll() is None:
            return
        time.sleep(0.05)
    log.seek(0)
    raise NodeError(f"{process.args[0]} did not start at {url}: {log.read().strip()[-500:]}")


def _answers(url: str) -> bool:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with suppress(OSError, ValueError), urllib.request.urlopen(request, timeout=5) as answer:
        return "result" in json.load(answer)
    return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
