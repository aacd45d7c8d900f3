"""What docs/dispatch.md says is what the code does."""

import re
from dataclasses import fields
from pathlib import Path

import numpy as np

from clearwatt.dispatch.assets import Battery, Connection, CurtailableLoad, Retailer
from clearwatt.dispatch.files import KINDS, read_scenario
from clearwatt.dispatch.scenario import Scenario
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


def test_docs__the_distributed_example__finds_the_central_prices() -> None:
    block = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)[1].replace("processes=4", "processes=0")
    homes = tuple(Connection(name=f"home {number}", import_kw=9) for number in range(4))
    retailer = Retailer(
        name="retailer", import_price=[0.3, 0.2], export_price=0.08, import_kw=50, export_kw=50
    )
    batteries = [
        Battery(
            name=home.name, connection=home.name, power_kw=2, capacity_kwh=3, wear_cost=0.01, end_value=0.25
        )
        for home in homes
    ]
    loads = [
        CurtailableLoad(name=f"load {home.name}", connection=home.name, demand_kw=3, value=0.5, curvature=0.1)
        for home in homes
    ]
    scope: dict = {"scenario": Scenario(2, 1.0, connections=homes, assets=(retailer, *batteries, *loads))}
    exec(block, scope)

    assert np.abs(scope["result"].zone_price - solve(scope["scenario"]).zone_price).max() < 1e-4


def test_docs__every_kind_and_method__is_there() -> None:
    for name in (*KINDS, *METHODS):
        assert f"`{name}`" in TEXT
    assert all("kind" in {part.name for part in fields(kind)} for kind in KINDS.values())
