"""How long dispatch takes beside PyPSA, on networks of one bus and of five in a tree, with storage.

    .venv/bin/python -m benchmarks.dispatch_networks

Both start from the same tables of numbers and end with schedule and prices; PyPSA runs in `.venv-peers`. Times are
the fastest of several runs. The costs are generic, so that optimum and prices are unique and can be compared.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from clearwatt.dispatch.assets import Battery, Generator, Load, Solar
from clearwatt.dispatch.result import Dispatch
from clearwatt.dispatch.scenario import GridSpec, Scenario, ZoneSpec
from clearwatt.dispatch.solve import solve

PEERS = Path(__file__).resolve().parent / "peers"
PEER_PYTHON = PEERS.parents[1] / ".venv-peers" / "bin" / "python"
RUNS = 5
"""Of both."""
SEEDS = range(2)
Case = dict[str, Any]

TREES = {"1 bus": [-1], "5 buses, radial": [-1, 0, 0, 1, 1]}
SNAPSHOTS = 24, 96


def networks() -> dict[str, Case]:
    """A day on each tree, by the hour and by the quarter of an hour."""
    return {
        f"{name}, {snapshots} snapshots, day {seed}": network(parent, snapshots, seed)
        for name, parent in TREES.items()
        for snapshots in SNAPSHOTS
        for seed in SEEDS
    }


def network(parent: list[int], snapshots: int, seed: int) -> Case:
    """Every bus has a load, PV, two generators and a battery; costs are generic, so that prices are unique."""
    rng = np.random.default_rng([seed, snapshots, len(parent)])
    hour = (np.arange(snapshots) + 0.5) * 24 / snapshots
    zones = range(len(parent))
    evening = 3 * np.exp(-((hour - 19) ** 2) / 8)
    sun = np.maximum(0, np.sin((hour - 6) / 12 * np.pi))
    return {
        "hours": 24 / snapshots,
        "parent": parent,
        "line_kw": rng.uniform(15, 40, len(parent)).tolist(),
        "load": [((20 + 10 * evening) * rng.uniform(0.8, 1.2, snapshots)).tolist() for _ in zones],
        "generators": [generator(rng, zone, kw) for zone in zones for kw in (40, 60)],
        "pv": [pv(rng, zone, sun) for zone in zones],
        "batteries": [battery(rng, zone) for zone in zones],
    }


def generator(rng: np.random.Generator, zone: int, kw: float) -> Case:
    return {"zone": zone, "kw": kw, "cost": float(rng.uniform(0.05, 0.35))}


def pv(rng: np.random.Generator, zone: int, sun: np.ndarray) -> Case:
    available = 45 * sun * rng.uniform(0.6, 1, len(sun))
    return {"zone": zone, "available_kw": available.tolist(), "cost": float(rng.uniform(0.001, 0.01))}


def battery(rng: np.random.Generator, zone: int) -> Case:
    return {
        "zone": zone,
        "power_kw": float(rng.uniform(8, 15)),
        "capacity_kwh": 40.0,
        "charge_efficiency": float(rng.uniform(0.92, 0.97)),
        "discharge_efficiency": float(rng.uniform(0.92, 0.97)),
        "wear_cost": float(rng.uniform(0.005, 0.02)),
        "start_kwh": 15.0,
        "end_kwh": 20.0,
    }


def scenario(case: Case) -> Scenario:
    """The case in this package's terms."""
    zones = [ZoneSpec(parent=None)]
    for parent, limit in zip(case["parent"][1:], case["line_kw"][1:], strict=True):
        zones.append(ZoneSpec(parent=parent, export_kw=limit, import_kw=limit))
    assets = [Load(name=f"load {zone}", zone=zone, demand_kw=load) for zone, load in enumerate(case["load"])]
    for index, unit in enumerate(case["generators"]):
        assets.append(
            Generator(name=f"generator {index}", zone=unit["zone"], max_kw=unit["kw"], cost=unit["cost"])
        )
    assets += [Solar(name=f"pv {index}", **unit) for index, unit in enumerate(case["pv"])]
    assets += [Battery(name=f"battery {index}", **unit) for index, unit in enumerate(case["batteries"])]
    return Scenario(len(case["load"][0]), case["hours"], GridSpec(zones=tuple(zones)), assets=tuple(assets))


def fastest(case: Case) -> tuple[float, Dispatch]:
    """Seconds from the tables to the result, and the result."""
    times = []
    for _ in range(RUNS):
        started = time.perf_counter()
        result = solve(scenario(case))
        times.append(time.perf_counter() - started)
    return min(times), result


def peer_optima(cases: list[Case]) -> list[dict[str, Any]]:
    """What `peers/networks.py` says of the cases."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "cases.json", Path(folder) / "optima.json"
        source.write_text(json.dumps(cases))
        subprocess.run([PEER_PYTHON, PEERS / "networks.py", source, target], check=True, cwd=folder)
        return json.loads(target.read_text())


def main() -> int:
    if not PEER_PYTHON.exists():
        print(
            "The peers' environment .venv-peers is missing: `make bench-dispatch` makes it.", file=sys.stderr
        )
        return 1
    table = Table(title="Beside PyPSA", title_justify="left")
    table.add_column("network")
    headings = (
        "seconds",
        "PyPSA",
        "ours = 1",
        "of it optimize",
        "cost differs",
        "prices",
        "by structured",
        "gap",
    )
    for heading in headings:
        table.add_column(heading, justify="right")
    cases = networks()
    optima = peer_optima(list(cases.values()))
    solvers = {optimum["version"] for optimum in optima}
    for (name, case), optimum in zip(cases.items(), optima, strict=True):
        seconds, result = fastest(case)
        inner = solve(scenario(case), "structured")
        solvers |= {result.solution.solver, inner.solution.solver}
        table.add_row(name, *cells(seconds, result, inner, optimum))
    console = Console(width=130)
    console.print(table)
    console.print("cost differs: relative. prices: the worst difference at a bus and snapshot, currency/kWh;")
    console.print("by structured: the same of the interior point's, which shows that the prices are unique.")
    for solver in sorted(solvers):
        console.print(solver)
    return 0


def cells(seconds: float, result: Dispatch, inner: Dispatch, optimum: dict[str, Any]) -> list[str]:
    times = f"{seconds:.4f}", f"{optimum['seconds']:.3f}"
    ratios = (f"{part / seconds:.1f}" for part in (optimum["seconds"], optimum["optimize"]))
    cost = abs(result.cost - optimum["objective"]) / max(1, abs(optimum["objective"]))
    prices = (np.abs(found.zone_price - np.array(optimum["price"])).max() for found in (result, inner))
    return [
        *times,
        *ratios,
        f"{cost:.0e}",
        *(f"{price:.0e}" for price in prices),
        f"{result.certificate.gap:.0e}",
    ]


if __name__ == "__main__":
    sys.exit(main())
