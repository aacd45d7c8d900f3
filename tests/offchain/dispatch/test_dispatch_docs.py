"""What docs/dispatch.md says is what the code does."""

import re
from dataclasses import fields
from pathlib import Path

import numpy as np

from clearwatt.dispatch.files import KINDS, read_scenario
from clearwatt.dispatch.solve import METHODS, solve

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs" / "dispatch.md").read_text()
ROOF = ROOT / "examples" / "dispatch" / "roof.yaml"
SHOWN = {"house": "house, kW", "roof": "roof, kW", "battery": "battery, kW", "retailer": "retailer, kW"}


def row(title: str) -> list[float]:
    found = re.search(rf"^\| {re.escape(title)} \|(.*)\|$", TEXT, re.MULTILINE)
    assert found, title
    return [float(cell) for cell in found[1].split("|")]


def test_docs__the_example__is_the_file() -> None:
    block = re.search(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    assert block
    assert ROOF.read_text().endswith(block[1])


def test_docs__the_examples_figures__are_those_of_a_run() -> None:
    result = solve(read_scenario(str(ROOF)))

    for asset, title in SHOWN.items():
        assert np.abs(result.schedule[asset].power_kw - row(title)).max() < 5e-5
    assert np.abs(result.schedule["battery"].state - row("battery, kWh at the end")).max() < 5e-5
    assert np.abs(result.zone_price[0] - row("price, EUR/kWh")).max() < 5e-5
    assert f"It costs {result.cost:.4f} EUR" in TEXT


def test_docs__the_python_example__costs_the_same() -> None:
    block = re.search(r"```python\n(.*?)```", TEXT, re.DOTALL)
    assert block
    scope: dict = {}
    exec(block[1], scope)

    assert f"{scope['result'].cost:.4f}" == f"{solve(read_scenario(str(ROOF))).cost:.4f}"


def test_docs__every_kind_and_method__is_there() -> None:
    for name in (*KINDS, *METHODS):
        assert f"`{name}`" in TEXT
    assert all("kind" in {part.name for part in fields(kind)} for kind in KINDS.values())
