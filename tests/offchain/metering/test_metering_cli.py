"""`clearwatt metering` on the example files of docs/metering.md."""

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from clearwatt.cli import main
from clearwatt.metering.points import read_points
from tests.offchain.metering.markets import deployment, oracle_intake

EXAMPLES = Path("examples/metering")
POINTS, COLUMNS, EXPORT = (str(EXAMPLES / name) for name in ("points.yaml", "columns.yaml", "export.csv"))


@pytest.fixture
def desk(tmp_path):
    """Runs commands with the example's keys, a market and a database."""
    runner = CliRunner(
        env={
            "CLEARWATT_KEY_PASSWORD": "a password",
            "CLEARWATT_KEYS": str(tmp_path / "keys"),
            "CLEARWATT_POINTS": POINTS,
            "CLEARWATT_DEPLOYMENT": str(deployment(tmp_path)),
            "CLEARWATT_DATABASE": f"sqlite:///{tmp_path / 'gateway.db'}",
        }
    )

    def run(*arguments, text=None):
        return runner.invoke(main, list(arguments), input=text)

    for number, name in enumerate(("house", "shop"), start=1):
        assert run("keys", "import", name, "--light", text=f"{number:064x}").exit_code == 0
    return run


def test_export__is_what_the_script_makes():
    made = subprocess.run(
        [sys.executable, str(EXAMPLES / "make_export.py")], capture_output=True, text=True, check=True
    )
    assert made.stdout == Path(EXPORT).read_text()


def test_import__example_twice__stored_once(desk):
    assert desk("metering", "import", EXPORT, "--map", COLUMNS).output == "6 stored, 0 known, 0 rejected\n"
    assert desk("metering", "import", EXPORT, "--map", COLUMNS).output == "0 stored, 6 known, 0 rejected\n"


def test_series__day_of_25_hours__every_quarter_and_every_decision(desk):
    desk("metering", "import", EXPORT, "--map", COLUMNS)
    lines = desk("metering", "series", "DE-HOUSE-IN", "2025-10-26").output.splitlines()
    assert len([line for line in lines if " Wh  " in line]) == 100
    assert lines[8].startswith("2025-10-26T02:00+02:00")
    assert lines[12].startswith("2025-10-26T02:00+01:00")
    assert [line.split("  ")[1] for line in lines[-3:-1]] == ["reject: 88000 -> -", "linear: - -> 67.5"]
    assert lines[-1].endswith("7 decisions")  # 4 gaps, 1 spike, and 2 messages that are late


def test_series__register_that_rolls_over_with_a_gap__its_energy_to_the_last_wh(desk):
    desk("metering", "import", EXPORT, "--map", COLUMNS)
    lines = desk("metering", "series", "DE-SHOP", "2025-10-26").output.splitlines()
    assert lines[-1].startswith(f"{100 * 40 + 40 * 220} Wh")
    assert any("roll-over" in line for line in lines)


def test_send__to_an_oracle__it_has_them(desk, tmp_path):
    with oracle_intake(tmp_path, read_points(POINTS)) as oracle:
        sent = desk("metering", "send", EXPORT, "--map", COLUMNS, "--to", oracle.url)
        assert sent.output == "6 stored, 0 known, 0 rejected\n"
        assert len(oracle.store.after(0)) == 6


def test_gateway__once__statements_of_what_was_delivered_reach_the_oracle(desk, tmp_path):
    desk("metering", "import", EXPORT, "--map", COLUMNS)
    with oracle_intake(tmp_path, read_points(POINTS)) as oracle:
        done = desk("metering", "gateway", "--once", "--to", oracle.url)
        assert done.exit_code == 0, done.output
        assert len(oracle.store.after(0)) == 6  # the export's auctions are older than it looks back


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("series", "DE-NONE", "2025-10-26"), "has no metering point DE-NONE"),
        (("series", "DE-SHOP", "26.10.2025"), "26.10.2025 is not a day like"),
        (("import", "nothing.csv", "--map", COLUMNS), "nothing.csv: No such file"),
        (("import", EXPORT, "--map", POINTS), "points.yaml: the map: unknown key"),
        (("gateway", "--once", "--to", "localhost"), "localhost is not an oracle's address"),
        (("send", EXPORT, "--map", COLUMNS, "--to", "http://127.0.0.1:9"), "repeats are harmless"),
    ],
)
def test_commands__mistake__one_sentence_and_exit_code_2(desk, arguments, sentence):
    refused = desk("metering", *arguments)
    assert refused.exit_code == 2
    assert sentence in refused.output
    assert refused.output.startswith("Error: ")


def test_import__key_of_a_meter_missing__said_before_anything_is_stored(desk, tmp_path):
    (tmp_path / "keys" / "house.json").unlink()
    refused = desk("metering", "import", EXPORT, "--map", COLUMNS)
    assert refused.exit_code == 2
    assert (
        "holds no key of 0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf, the meter of point DE-HOUSE-IN"
        in refused.output
    )
