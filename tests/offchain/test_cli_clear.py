"""`clearwatt clear` and `clearwatt verify` as a person meets them: output, exit codes, streams."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from clearwatt import __version__
from clearwatt.cli import LazyGroup, main

PRODUCER, CONSUMER, RETAILER = (f"0x{number:040x}" for number in (1, 2, 3))
AUCTION = {
    "slots": 1,
    "price_bounds": [0, 100],
    "zones": [{"parent": None}, {"parent": 0, "export_limit": 10, "fee": 2}],
    "bids": [
        {"member": RETAILER, "zone": 0, "steps": [[0, 10, -100], [0, 30, 100]]},
        {"member": PRODUCER, "zone": 1, "steps": [[0, 5, 6]]},
        {"member": CONSUMER, "zone": 1, "steps": [[0, 20, -4]]},
    ],
}
# 2 Wh are left for the retailer, who pays 10; carrying them costs 2.
OPTIMUM = {"prices": [[10], [8]], "flows": [[0], [2]], "fills": [[-2, 0], [6], [-4]], "welfare": 66}


@pytest.fixture
def auction(tmp_path: Path) -> str:
    path = tmp_path / "auction.json"
    path.write_text(json.dumps(AUCTION))
    return str(path)


def run(*arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(main, arguments, input=stdin)


def verify_changed(auction: str, **changes: Any) -> Result:
    return run("verify", auction, "-", stdin=json.dumps(OPTIMUM | changes))


def test_clear__no_output_named__the_optimum_on_standard_output(auction: str) -> None:
    outcome = run("clear", auction)
    assert (json.loads(outcome.output), outcome.exit_code) == (OPTIMUM, 0)


def test_clear__standard_input__the_same(auction: str) -> None:
    assert json.loads(run("clear", "-", stdin=json.dumps(AUCTION)).output) == OPTIMUM


def test_clear_then_verify__files__optimal_and_canonical(auction: str, tmp_path: Path) -> None:
    result = str(tmp_path / "result.json")
    cleared = run("clear", auction, "-o", result)
    assert (cleared.output, cleared.exit_code) == ("", 0)
    verified = run("verify", auction, result)
    assert (verified.output, verified.exit_code) == ("optimal, canonical\n", 0)


def test_clear__no_bids__clears_at_the_midpoint_of_the_bounds() -> None:
    outcome = run("clear", "-", stdin=json.dumps(AUCTION | {"bids": []}))
    assert json.loads(outcome.output)["prices"] == [[50], [50]]


def test_clear__steps_of_a_bid_in_any_slot_order__verifies(tmp_path: Path) -> None:
    steps = {PRODUCER: [[1, 5, 6], [0, 5, 3], [1, 5, 2], [0, 5, 4]], CONSUMER: [[1, 20, -4], [0, 20, -5]]}
    bids = [{"member": member, "zone": 1, "steps": rows} for member, rows in steps.items()]
    path = tmp_path / "auction.json"
    path.write_text(json.dumps(AUCTION | {"slots": 2, "bids": bids}))
    result = run("clear", str(path)).output
    assert json.loads(result)["fills"] == [[3, 2, 1, 3], [-4, -5]]
    assert run("verify", str(path), "-", stdin=result).exit_code == 0


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({"fills": [[-3, 0], [6], [-4]]}, "E4: slot 0 is out of balance by -1 Wh"),
        (
            {"fills": [[-2, 0], [5], [-4]]},
            f"E1: sell step 0 of member {PRODUCER} (zone 1, slot 0) has a limit of 5 at a price of 8 ticks "
            "and must be filled 6 Wh, not 5 Wh",
        ),
        ({"fills": [[-2, 0], [6]]}, f"E5: the bid of member {CONSUMER} has no fills"),
        ({"welfare": 67}, "welfare: the result states 67, but its fills are worth 66"),
        ({"flows": [[0], [10**30]]}, f"E3: the flow of zone 1, slot 0 is stated as {10**30} Wh, but is 2 Wh"),
    ],
)
def test_verify__result_tampered_with__first_rule_broken_and_exit_1(
    auction: str, changes: dict[str, Any], verdict: str
) -> None:
    outcome = verify_changed(auction, **changes)
    assert (outcome.output, outcome.exit_code) == (f"{verdict}\n", 1)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"prices": [[10]]}, "standard input: prices: 1 rows, but the auction has 2 zones"),
        ({"welfare": 66.0}, "standard input: welfare 66.0 is not an integer"),
    ],
)
def test_verify__malformed_result__one_sentence_and_exit_2(
    auction: str, changes: dict[str, Any], sentence: str
) -> None:
    outcome = verify_changed(auction, **changes)
    assert (outcome.output, outcome.exit_code) == (f"Error: {sentence}\n", 2)


def test_verify__missing_auction__one_sentence_and_exit_2(tmp_path: Path) -> None:
    outcome = run("verify", str(tmp_path / "none.json"), "-")
    assert (outcome.output, outcome.exit_code) == (
        f"Error: {tmp_path / 'none.json'}: No such file or directory\n",
        2,
    )


def test_verify__both_from_standard_input__refused() -> None:
    outcome = run("verify", "-", "-", stdin="{}")
    assert (outcome.output, outcome.exit_code) == (
        "Error: only one of the two files can be standard input\n",
        2,
    )


def test_version__printed() -> None:
    assert run("--version").output == f"clearwatt, version {__version__}\n"


def test_lazy_group__command_in_another_module__listed_and_found() -> None:
    group = LazyGroup(
        "group", lazy={"later": "clearwatt.cli:verify", "never": "clearwatt.no_such_module:verify"}
    )
    shown = CliRunner().invoke(group, ["--help"]).output
    assert "later" in shown
    assert "never" not in shown
    assert "AUCTION.json RESULT.json" in CliRunner().invoke(group, ["later", "--help"]).output
    assert CliRunner().invoke(group, ["never"]).exit_code == 2


def test_help__in_a_process_of_its_own__loads_neither_numpy_nor_web3() -> None:
    code = "import sys; from clearwatt.cli import main; main(['clear', '--help'], standalone_mode=False); "
    code += "sys.exit(bool({'numpy', 'web3'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL).returncode == 0


def test_clear__malformed_in_a_process_of_its_own__sentence_on_stderr_only_and_exit_2(tmp_path: Path) -> None:
    path = tmp_path / "auction.json"
    path.write_text(json.dumps(AUCTION | {"slots": "1"}))
    command = [sys.executable, "-m", "clearwatt.cli", "clear", str(path)]
    process = subprocess.run(command, capture_output=True, text=True)
    assert (process.returncode, process.stdout) == (2, "")
    assert process.stderr == f'Error: {path}: slots "1" is not an integer\n'


@pytest.mark.parametrize(("source", "closed", "name"), [("-", "<&-", "input"), (None, ">&-", "output")])
def test_clear__standard_stream_closed__one_sentence_and_exit_2(
    auction: str, source: str | None, closed: str, name: str
) -> None:
    command = f"'{sys.executable}' -m clearwatt.cli clear '{source or auction}' {closed}"
    process = subprocess.run(["sh", "-c", command], stderr=subprocess.PIPE, text=True)
    assert (process.returncode, process.stderr) == (2, f"Error: standard {name}: it is closed\n")


def test_clear__reader_of_the_output_gone__no_traceback(auction: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "clearwatt.cli", "clear", auction]
    process = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    assert process.stderr == ""
