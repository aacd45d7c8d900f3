"""A scenario's dispatch, in its owners' units."""

import json
from dataclasses import asdict, dataclass

import numpy as np

from clearwatt.dispatch.assets import (
    Asset,
    Battery,
    CurtailableLoad,
    ElectricVehicle,
    ShiftableLoad,
    StepBid,
    ThermalLoad,
)
from clearwatt.dispatch.build import Built
from clearwatt.dispatch.certificate import Certificate, certify
from clearwatt.dispatch.prices import zone_prices
from clearwatt.dispatch.program import Solution, objective
from clearwatt.dispatch.scenario import Scenario
from clearwatt.documents import Json, problems_of, write_text

DIGITS = 9
"""Decimals of the numbers in a result file: 1 Wh is 0.001 kWh, and a solver's accuracy ends well above 1e-9."""


@dataclass(frozen=True, eq=False)
class AssetSchedule:
    """What one asset does.

    power_kw: [T] mean power over the slot; positive = injection.
    state: [T] at the end of each slot, or None for an asset without one: a battery's or car's energy, kWh; what a
        shiftable load has had, kWh; a house's temperature, degrees Celsius.
    """

    power_kw: np.ndarray
    state: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Dispatch:
    """What everybody does, what it costs, and how good it is.

    schedule: by asset name, in the scenario's order. zone_price: [Z, T] currency/kWh (`prices`).
    member_price: [M, T] the same behind each of the scenario's connections; another where its cap binds.
    flow_kw: [Z, T] into each zone's line, at the end where it enters; positive = towards the parent. Row 0 is 0.
    welfare: currency; value of what elastic demand is served and of energy left in store, less `cost`.
    cost: currency; of generation, wear, imports less exports, bids and the network's fees.
    fallback: why another method answered than the one that was tried first; empty if none was.
    """

    scenario: Scenario
    schedule: dict[str, AssetSchedule]
    zone_price: np.ndarray
    member_price: np.ndarray
    flow_kw: np.ndarray
    welfare: float
    cost: float
    certificate: Certificate
    solution: Solution
    built: Built
    fallback: str = ""


def dispatch_of(built: Built, solution: Solution, fallback: str = "") -> Dispatch:
    """The dispatch that a solution of the built program means, certified anew."""
    scenario = built.scenario
    welfare = -objective(built.program, solution) - built.fixed_cost
    return Dispatch(
        scenario=scenario,
        schedule=_schedule(built, solution),
        zone_price=zone_prices(solution),
        member_price=solution.member_price[: len(scenario.connections)],
        flow_kw=line_flows(built, solution) / scenario.slot_hours,
        welfare=welfare,
        cost=_value(built, solution) - welfare,
        certificate=certify(built.program, solution),
        solution=solution,
        built=built,
        fallback=fallback,
    )


def injections(built: Built, solution: Solution) -> np.ndarray:
    """[A, T] kWh that each of the scenario's assets injects."""
    stores = built.program.stores
    moved = np.where(stores.state_injects[:, None], solution.state, solution.down - solution.up)
    total = np.zeros((len(built.scenario.assets), built.program.slots))
    np.add.at(total, built.offer_asset, solution.injection)
    total[built.store_asset] = moved
    total[built.fixed_asset] = built.fixed
    for asset, run, start in zip(built.run_asset, built.program.runs, solution.starts, strict=True):
        total[asset, start : start + len(run.profile)] = -run.profile
    return total


def line_flows(built: Built, solution: Solution) -> np.ndarray:
    """[Z, T] kWh that enter each line; positive = towards the parent.

    What a solver sends both ways at once, to no effect, is left out. Where losses are worth having (negative prices)
    it has an effect, and the flow is the difference.
    """
    return solution.exports - solution.imports


def _schedule(built: Built, solution: Solution) -> dict[str, AssetSchedule]:
    scenario = built.scenario
    power = injections(built, solution) / scenario.slot_hours
    states: list[np.ndarray | None] = [None] * len(scenario.assets)
    for row, index in enumerate(built.store_asset):
        states[index] = owner_state(scenario.assets[index], solution.state[row])
    return {
        asset.name: AssetSchedule(power[index], states[index]) for index, asset in enumerate(scenario.assets)
    }


def owner_state(asset: Asset, state: np.ndarray) -> np.ndarray | None:
    """A store's state in its owner's terms, or None where that is no more than its power."""
    match asset:
        case ThermalLoad(mode="cooling"):
            return -state
        case Battery() | ElectricVehicle() | ShiftableLoad() | ThermalLoad():
            return state
        case _:
            return None


def _value(built: Built, solution: Solution) -> float:
    """Currency; what elastic demand is worth to those who have it, and energy left in batteries."""
    offers, stores, assets = built.program.offers, built.program.stores, built.scenario.assets
    elastic = np.array(
        [isinstance(assets[index], CurtailableLoad | StepBid) for index in built.offer_asset], bool
    )
    kept = np.array([isinstance(assets[index], Battery) for index in built.store_asset], bool)
    x = np.minimum(solution.injection[elastic], 0)
    worth = -(offers.cost[elastic] * x + offers.curvature[elastic] / 2 * x * x)
    return float(worth.sum() - (stores.cost[kept] * solution.state[kept]).sum())


# ---------------------------------------------------------------------------------------------------
# Files
# ---------------------------------------------------------------------------------------------------


def to_dict(dispatch: Dispatch) -> Json:
    """The dispatch as a JSON document (docs/dispatch.md)."""
    scenario = dispatch.scenario
    return {
        "currency": scenario.currency,
        "slot_hours": scenario.slot_hours,
        "welfare": round(dispatch.welfare, DIGITS),
        "cost": round(dispatch.cost, DIGITS),
        "solver": dispatch.solution.solver,
        "fallback": dispatch.fallback,
        "iterations": dispatch.solution.iterations,
        "seconds": round(dispatch.solution.seconds, 6),
        "certificate": asdict(dispatch.certificate),
        "zone_price": _rows(dispatch.zone_price),
        "flow_kw": _rows(dispatch.flow_kw),
        "connections": {
            connection.name: {"zone": connection.zone, "price": _row(price)}
            for connection, price in zip(scenario.connections, dispatch.member_price, strict=True)
        },
        "schedule": {
            asset.name: {"kind": asset.kind, "zone": scenario.zone_of(asset)}
            | _plan(dispatch.schedule[asset.name])
            for asset in scenario.assets
        },
    }


def write_dispatch(path: str, dispatch: Dispatch) -> None:
    """Write the dispatch as JSON, whole or not at all ("-": standard output). Raises UserError."""
    lines = [f" {json.dumps(key)}: {_value_text(value)}" for key, value in to_dict(dispatch).items()]
    with problems_of(path, "output"):
        write_text(path, "{\n" + ",\n".join(lines) + "\n}\n")


def _value_text(value: Json) -> str:
    """JSON with each entry of a table on a line of its own."""
    if isinstance(value, dict) and all(isinstance(entry, dict) for entry in value.values()) and value:
        rows = [f"  {json.dumps(key)}: {json.dumps(entry, allow_nan=False)}" for key, entry in value.items()]
        return "{\n" + ",\n".join(rows) + "\n }"
    return json.dumps(value, allow_nan=False)


def _plan(plan: AssetSchedule) -> Json:
    power = {"power_kw": _row(plan.power_kw)}
    return power if plan.state is None else power | {"state": _row(plan.state)}


def _rows(values: np.ndarray) -> list[list[float]]:
    return [_row(row) for row in values]


def _row(values: np.ndarray) -> list[float]:
    return (np.round(values, DIGITS) + 0.0).tolist()  # + 0.0: no minus before a zero
