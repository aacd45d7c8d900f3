"""The oracle as a child process: what is told of one that dies by itself."""

import time
from pathlib import Path

import pytest

from clearwatt.errors import UserError
from clearwatt.oracle.process import TAIL_LINES, OracleProcess


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "oracle.log"


@pytest.fixture
def oracle(log):
    return OracleProcess("http://127.0.0.1:9", log.parent / "none.json", "sqlite://", "no key at all", log)


def wait_for_its_end(oracle):
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        oracle.check()
        time.sleep(0.05)


def test_check__died_by_itself__exit_code_and_end_of_its_log(oracle, log):
    log.write_text("earlier line\n" * 100)
    oracle.start()
    with pytest.raises(UserError) as caught:
        wait_for_its_end(oracle)
    first, *lines = str(caught.value).splitlines()
    assert first == "the oracle stopped (exit code 2):"
    assert lines[-1].startswith("Error: CLEARWATT_ORACLE_KEY holds no private key")
    assert lines[:-1] == ["earlier line"] * (TAIL_LINES - 1)
    assert oracle.stop() == 2


def test_check__not_started_or_stopped_on_purpose__nothing_to_tell(oracle):
    oracle.check()
    assert oracle.stop() == 0
    oracle.start()
    oracle.kill()
    oracle.check()
