"""Optimises networks with PyPSA, with the Python of the peers' own environment.

    networks.py CASES.json OUT.json

CASES is a list of cases as `benchmarks/dispatch_networks.py` makes them. OUT gets, for each, the `seconds` of the
fastest of several runs (building the network and optimising it, as its user would), of those the part of
`optimize`, the `objective`, the `price` per bus and snapshot in currency/kWh, and the `version`.
"""

import json
import logging
import sys
import time
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pypsa

RUNS = 5
HIGHS = {"output_flag": False, "primal_feasibility_tolerance": 1e-9, "dual_feasibility_tolerance": 1e-9}


def network(case: dict[str, Any]) -> pypsa.Network:
    """kW for MW throughout. Lines are links both ways without loss, which a radial network's flows come to."""
    snapshots = pd.RangeIndex(len(case["load"][0]))
    net = pypsa.Network(snapshots=snapshots)
    net.snapshot_weightings = net.snapshot_weightings.astype(float) * case["hours"]
    buses = [f"bus {zone}" for zone in range(len(case["parent"]))]
    net.add("Bus", buses)
    load = pd.DataFrame(np.array(case["load"]).T, index=snapshots, columns=[f"load {bus}" for bus in buses])
    net.add("Load", load.columns, bus=buses, p_set=load)
    for zone, (parent, limit) in enumerate(zip(case["parent"], case["line_kw"], strict=True)):
        if zone:
            net.add("Link", f"line {zone}", bus0=buses[zone], bus1=buses[parent], p_nom=limit, p_min_pu=-1)
    for index, unit in enumerate(case["generators"]):
        net.add(
            "Generator",
            f"generator {index}",
            bus=buses[unit["zone"]],
            p_nom=unit["kw"],
            marginal_cost=unit["cost"],
        )
    for index, unit in enumerate(case["pv"]):
        peak = max(unit["available_kw"])
        share = pd.Series(np.array(unit["available_kw"]) / peak, index=snapshots)
        net.add(
            "Generator",
            f"pv {index}",
            bus=buses[unit["zone"]],
            p_nom=peak,
            p_max_pu=share,
            marginal_cost=unit["cost"],
        )
    for index, unit in enumerate(case["batteries"]):
        add_battery(net, f"battery {index}", buses[unit["zone"]], unit)
    return net


def add_battery(net: pypsa.Network, name: str, bus: str, unit: dict[str, float]) -> None:
    """Its energy at the end is given; before that it is anywhere between none and full."""
    energy = pd.Series(np.nan, index=net.snapshots)
    energy.iloc[-1] = unit["end_kwh"]
    net.add(
        "StorageUnit",
        name,
        bus=bus,
        p_nom=unit["power_kw"],
        p_min_pu=-1,
        max_hours=unit["capacity_kwh"] / unit["power_kw"],
        efficiency_store=unit["charge_efficiency"],
        efficiency_dispatch=unit["discharge_efficiency"],
        marginal_cost=unit["wear_cost"],
        state_of_charge_initial=unit["start_kwh"],
        state_of_charge_set=energy,
    )


def optimum(case: dict[str, Any]) -> dict[str, Any]:
    """The fastest of several runs from nothing."""
    best: dict[str, Any] = {"seconds": float("inf")}
    for _ in range(RUNS):
        begun = time.perf_counter()
        net = network(case)
        built = time.perf_counter()
        status, condition = net.optimize(
            solver_name="highs", progress=False, include_objective_constant=False, **HIGHS
        )
        ended = time.perf_counter()
        if status != "ok":
            raise RuntimeError(f"PyPSA ends with {status}, {condition}")
        if ended - begun < best["seconds"]:
            best = {"seconds": ended - begun, "optimize": ended - built}
    price = net.buses_t.marginal_price.to_numpy().T.tolist()
    release = f"PyPSA {version('pypsa')}, linopy {version('linopy')}, HiGHS {version('highspy')}"
    return best | {"objective": float(net.objective), "price": price, "version": release}


def main() -> None:
    source, target = (Path(name) for name in sys.argv[1:])
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore", FutureWarning)
    cases = json.loads(source.read_text())
    target.write_text(json.dumps([optimum(case) for case in cases]))


if __name__ == "__main__":
    main()
