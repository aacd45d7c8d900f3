import json
import re
from inspect import signature
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from plotly.offline import get_plotlyjs

from clearwatt.cli import main
from clearwatt.dispatch.files import read_scenario
from clearwatt.dispatch.plot import render
from clearwatt.dispatch.result import to_dict
from clearwatt.dispatch.solve import solve
from tests.offchain.dispatch.random_scenarios import random_scenario

EXAMPLES = Path(__file__).parents[3] / "examples" / "dispatch"
NAMES = sorted(path.name for path in EXAMPLES.glob("*.yaml"))
SMALL = """
{"slots": 2, "slot_hours": 0.5, "assets": [
  {"kind": "retailer", "name": "retailer", "import_price": 0.3, "export_price": 0.08, "import_kw": 9, "export_kw": 9},
  {"kind": "load", "name": "load", "demand_kw": [1, 2]}]}
"""


# Newer versions of click keep the streams apart by themselves.
RUNNER = CliRunner(**({"mix_stderr": False} if "mix_stderr" in signature(CliRunner).parameters else {}))


def dispatch(*arguments: str | Path, text: str | None = None) -> Result:
    return RUNNER.invoke(main, ["dispatch", *map(str, arguments)], input=text)


def test_dispatch__of_standard_input__is_written_to_standard_output() -> None:
    done = dispatch("-", text=SMALL)

    assert done.exit_code == 0
    result = json.loads(done.stdout)
    assert result["cost"] == pytest.approx(0.45)
    assert result["zone_price"] == [[0.3, 0.3]]
    assert result["schedule"]["load"] == {"kind": "load", "zone": 0, "power_kw": [-1, -2]}
    assert result["solver"].startswith("HiGHS")
    assert "HiGHS" in done.stderr


@pytest.mark.parametrize("name", NAMES)
def test_dispatch__of_every_example__balances_and_is_certified(name: str, tmp_path: Path) -> None:
    output, picture = tmp_path / "result.json", tmp_path / "picture.html"

    assert dispatch(EXAMPLES / name, "-o", output, "--plot", picture).exit_code == 0

    result = json.loads(output.read_text())
    assert result["certificate"]["gap"] <= 1e-6
    assert result["fallback"] == ""
    page = picture.read_text()
    assert "<h2>Zone prices</h2>" in page
    assert not re.search(r"""(src|href)=["']https?:""", page.replace(get_plotlyjs(), ""))  # it opens offline
    assert sorted(path.name for path in tmp_path.iterdir()) == ["picture.html", "result.json"]


def test_dispatch__by_another_method__says_which_one_ran() -> None:
    done = dispatch("-", "--method", "piqp", text=SMALL)

    assert json.loads(done.stdout)["solver"].startswith("PIQP")


def test_dispatch__that_cannot_be__exits_with_1_and_says_what_is_missing(tmp_path: Path) -> None:
    output = tmp_path / "result.json"
    done = dispatch("-", "-o", output, text=SMALL.replace('"import_kw": 9', '"import_kw": 1'))

    assert done.exit_code == 1
    assert "0.5 kWh" in done.stderr
    assert "Traceback" not in done.stderr
    assert not output.exists()


@pytest.mark.parametrize(
    ("arguments", "text", "complaint"),
    [
        (["-"], "{", "standard input: it is not JSON"),
        (
            ["-"],
            SMALL.replace("[1, 2]", "[1]"),
            'asset "load": demand_kw has 1 entries, but there are 2 slots',
        ),
        (["nowhere.yaml"], None, "nowhere.yaml: No such file"),
        ([], None, "which scenario?"),
        (["-", "--plot", "picture.png"], SMALL, "picture.png: the picture is a page"),
        (["-", "-o", "/nowhere/at/all.json"], SMALL, "/nowhere/at/all.json: No such file"),
        (["-", "--method", "guess"], SMALL, "'guess' is not one of"),
    ],
)
def test_dispatch__with_unusable_input__exits_with_2_and_one_sentence(
    arguments: list[str], text: str | None, complaint: str
) -> None:
    done = dispatch(*arguments, text=text)

    assert done.exit_code == 2
    assert complaint in done.stderr
    assert done.stdout == ""


def test_dispatch__schema__describes_the_example() -> None:
    schema = json.loads(dispatch("--schema").stdout)

    assert set(schema["required"]) == {"slots", "slot_hours", "assets"}


def test_result__as_json__has_everything_without_a_minus_before_a_zero() -> None:
    result = solve(random_scenario(5))
    document = to_dict(result)

    assert list(document["schedule"]) == [asset.name for asset in result.scenario.assets]
    assert document["zone_price"] == result.zone_price.round(9).tolist()
    assert "-0.0," not in json.dumps(document)
    assert set(document["certificate"]) >= {"primal_residual", "dual_residual", "gap", "solver"}


@pytest.mark.parametrize("copies", [1, 5])
def test_picture__of_few_or_many__shows_every_chart(copies: int) -> None:
    result = solve(random_scenario(7, copies=copies))

    page = render(result)

    for title in ("Schedule", "Energy stored", "Temperatures", "Zone prices"):
        assert f"<h2>{title}</h2>" in page
    for axis in ("power, kW", "energy, kWh", "temperature, ", "price, EUR", "hours from the start"):
        assert axis in page
    assert ("<h2>Flows</h2>" in page) == (result.scenario.zones > 1)


def test_picture__of_the_village__draws_each_line_against_its_limits() -> None:
    result = solve(read_scenario(str(EXAMPLES / "village.yaml")))

    assert np.abs(result.flow_kw[2]).max() == pytest.approx(20, abs=1e-4)  # the farm's line is full at noon
    assert "farm to homes" in render(result)
