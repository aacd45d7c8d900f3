"""From a scenario, in its owners' units, to the normal form that solvers take.

Each kind of asset becomes rows of offers, of stores, runs, or a part of what is fixed; whole kinds are turned at once.
Powers are multiplied by the slot's length; a cost that rises by c per kW rises by c / length per kWh in a slot.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from typing import TypeVar

import numpy as np

from clearwatt.dispatch.assets import (
    Asset,
    Battery,
    CurtailableLoad,
    ElectricVehicle,
    Generator,
    Load,
    LoadRun,
    Retailer,
    ShiftableLoad,
    Solar,
    StepBid,
    ThermalLoad,
    Wind,
)
from clearwatt.dispatch.infeasible import Names
from clearwatt.dispatch.program import (
    UNBOUNDED,
    Connections,
    Lines,
    Offers,
    Program,
    Run,
    Stores,
    no_offers,
    no_stores,
)
from clearwatt.dispatch.scenario import Scenario

OUT_OF_REACH = 1.1
"""A line without a limit gets one that all assets together cannot reach, times this."""

Part = TypeVar("Part", Offers, Stores)


@dataclass(frozen=True)
class Built:
    """A scenario's program, and where its assets are in it.

    connection: int[A], the program's connection of each of the scenario's assets.
    offer_asset: int[U], store_asset: int[B], run_asset: int[R], fixed_asset: int[F], indices into the scenario's
        assets.
    fixed: [F, T] kWh that the fixed ones inject.
    fixed_cost: currency; what the fixed ones cost, which is no part of the program.
    Connections of the program: first the scenario's, then one for each zone in which assets have none of their own.
    """

    scenario: Scenario
    program: Program
    connection: np.ndarray
    offer_asset: np.ndarray
    store_asset: np.ndarray
    run_asset: np.ndarray
    fixed_asset: np.ndarray
    fixed: np.ndarray
    fixed_cost: float
    names: Names


@dataclass(frozen=True)
class _Frame:
    """What the rows of all kinds have in common: T, the slot's length in hours, and each asset's connection."""

    slots: int
    hours: float
    connection: np.ndarray

    def series(self, values: Iterable[np.ndarray]) -> np.ndarray:
        """Series as one array [n, T]."""
        rows = list(values)
        out = np.empty((len(rows), self.slots))
        for row, value in zip(out, rows, strict=True):
            row[:] = value
        return out

    def constant(self, values: np.ndarray) -> np.ndarray:
        """[n] as [n, T]."""
        return np.repeat(np.asarray(values, float)[:, None], self.slots, axis=1)


def build(scenario: Scenario) -> Built:
    """The scenario's program. It may have no feasible schedule; that is for a solver to find."""
    connection, connections = _connections(scenario)
    frame = _Frame(scenario.slots, scenario.slot_hours, connection)
    groups = _groups(scenario.assets)
    offers, offer_asset = _gather(OFFERS, groups, scenario, frame, no_offers(scenario.slots))
    stores, store_asset = _gather(STORES, groups, scenario, frame, no_stores(scenario.slots))
    run_asset = np.array(groups.get(LoadRun, []), dtype=int)
    runs = tuple(_run(scenario.assets[index], connection[index], frame) for index in run_asset)
    fixed_asset, fixed, fixed_cost = _fixed(groups, scenario, frame)
    np.add.at(connections.fixed, connection[fixed_asset], fixed)
    lines = _lines(scenario, _reach(offers, stores, runs, connections))
    program = Program(lines, connections, offers, stores, runs)
    names = _names(scenario, connections, offer_asset, store_asset)
    return Built(
        scenario,
        program,
        connection,
        offer_asset,
        store_asset,
        run_asset,
        fixed_asset,
        fixed,
        fixed_cost,
        names,
    )


# ---------------------------------------------------------------------------------------------------
# Grid and connections
# ---------------------------------------------------------------------------------------------------


def _connections(scenario: Scenario) -> tuple[np.ndarray, Connections]:
    """The connection of each asset, and all of them, with nothing fixed yet."""
    named = len(scenario.connections)
    own = sorted({asset.zone for asset in scenario.assets if asset.connection is None})
    of_zone = {zone: named + index for index, zone in enumerate(own)}
    place = [
        of_zone[asset.zone] if asset.connection is None else scenario.connection_index[asset.connection]
        for asset in scenario.assets
    ]
    count, slots = named + len(own), scenario.slots
    low, high = np.full((count, slots), -UNBOUNDED), np.full((count, slots), UNBOUNDED)
    for index, connection in enumerate(scenario.connections):
        if connection.import_kw is not None:
            low[index] = -connection.import_kw * scenario.slot_hours
        if connection.export_kw is not None:
            high[index] = connection.export_kw * scenario.slot_hours
    zone = np.array([connection.zone for connection in scenario.connections] + own, dtype=int)
    fixed, cost, curvature = np.zeros((3, count, slots))
    return np.array(place, dtype=int), Connections(zone, low, high, fixed, cost, curvature)


def _lines(scenario: Scenario, reach: np.ndarray) -> Lines:
    zones, slots, hours = scenario.grid.zones, scenario.slots, scenario.slot_hours
    exports, imports, fee = np.zeros((3, len(zones), slots))
    for index, zone in enumerate(zones[1:], start=1):
        exports[index] = reach if zone.export_kw is None else zone.export_kw * hours
        imports[index] = reach if zone.import_kw is None else zone.import_kw * hours
        fee[index] = zone.fee
    parent = np.array([-1] + [zone.parent for zone in zones[1:]])
    return Lines(parent, exports, imports, fee, np.array([zone.loss for zone in zones]))


def _reach(offers: Offers, stores: Stores, runs: Sequence[Run], connections: Connections) -> np.ndarray:
    """[T] kWh that no flow can exceed: what all assets could inject or withdraw together, and a little more."""
    total = np.maximum(np.abs(offers.low), np.abs(offers.high)).sum(axis=0) + np.abs(connections.fixed).sum(
        axis=0
    )
    injects = stores.state_injects[:, None]
    store = np.where(
        injects, np.maximum(np.abs(stores.low), np.abs(stores.high)), stores.up_high + stores.down_high
    )
    peaks = sum(float(run.profile.max()) for run in runs)
    return (total + store.sum(axis=0) + peaks) * OUT_OF_REACH + 1


def _names(
    scenario: Scenario,
    connections: Connections,
    offer_asset: np.ndarray,
    store_asset: np.ndarray,
) -> Names:
    assets = [asset.name for asset in scenario.assets]
    free = connections.zone[len(scenario.connections) :]
    return Names(
        zones=tuple(scenario.grid.zone_name(zone) for zone in range(scenario.zones)),
        connections=tuple(
            [connection.name for connection in scenario.connections]
            + [scenario.grid.zone_name(zone) for zone in free]
        ),
        offers=tuple(assets[index] for index in offer_asset),
        stores=tuple(assets[index] for index in store_asset),
        units=tuple(
            "K" if isinstance(scenario.assets[index], ThermalLoad) else "kWh" for index in store_asset
        ),
    )


# ---------------------------------------------------------------------------------------------------
# From kinds of assets to rows
# ---------------------------------------------------------------------------------------------------


def _groups(assets: Sequence[Asset]) -> dict[type, list[int]]:
    """Indices of the assets by how they are modelled."""
    groups: dict[type, list[int]] = {}
    for index, asset in enumerate(assets):
        groups.setdefault(_model(asset), []).append(index)
    return groups


class _Fixed:
    """Nothing to decide."""


class _Ramped:
    """Generators with ramp limits."""


def _model(asset: Asset) -> type:
    match asset:
        case Load() | Solar(curtailable=False) | Wind(curtailable=False):
            return _Fixed
        case Generator() if asset.ramp_kw_per_hour is not None:
            return _Ramped
        case Solar() | Wind():
            return Solar
        case _:
            return type(asset)


def _gather(
    makers: dict[type, Callable[..., tuple[Part, np.ndarray]]],
    groups: dict[type, list[int]],
    scenario: Scenario,
    frame: _Frame,
    none: Part,
) -> tuple[Part, np.ndarray]:
    """The rows of all kinds, and the asset of each row."""
    parts, owners = [none], [np.zeros(0, dtype=int)]
    for model, make in makers.items():
        if model not in groups:
            continue
        index = np.array(groups[model])
        part, owner = make([scenario.assets[i] for i in index], frame, frame.connection[index])
        parts.append(part)
        owners.append(index[owner])
    columns = {
        field.name: np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(none)
    }
    return type(none)(**columns), np.concatenate(owners)


def _of(assets: Sequence[Asset], name: str) -> np.ndarray:
    return np.array([getattr(asset, name) for asset in assets])


# ---------------------------------------------------------------------------------------------------
# Offers
# ---------------------------------------------------------------------------------------------------


def _generators(
    assets: Sequence[Generator], frame: _Frame, connection: np.ndarray
) -> tuple[Offers, np.ndarray]:
    """Without ramp limits."""
    low, high, cost, curvature = (_of(assets, name) for name in ("min_kw", "max_kw", "cost", "curvature"))
    offers = Offers(
        connection,
        low=frame.constant(low * frame.hours),
        high=frame.constant(high * frame.hours),
        cost=frame.constant(cost),
        curvature=frame.constant(curvature / frame.hours),
        on_off=_of(assets, "on_off") & (low > 0),
    )
    return offers, np.arange(len(assets))


def _renewables(
    assets: Sequence[Solar | Wind], frame: _Frame, connection: np.ndarray
) -> tuple[Offers, np.ndarray]:
    available = frame.series(asset.available_kw for asset in assets) * frame.hours
    nothing = np.zeros_like(available)
    cost = frame.constant(_of(assets, "cost"))
    switch = np.zeros(len(assets), dtype=bool)
    return Offers(connection, nothing, available, cost, nothing, switch), np.arange(len(assets))


def _curtailable(
    assets: Sequence[CurtailableLoad], frame: _Frame, connection: np.ndarray
) -> tuple[Offers, np.ndarray]:
    """Withdrawing q is worth value * q - curvature / 2 q^2, so injecting x = -q costs value * x + curvature / 2 x^2."""
    demand = frame.series(asset.demand_kw for asset in assets) * frame.hours
    offers = Offers(
        connection,
        low=-demand,
        high=-demand * (1 - frame.series(asset.share for asset in assets)),
        cost=frame.series(asset.value for asset in assets),
        curvature=frame.constant(_of(assets, "curvature") / frame.hours),
        on_off=np.zeros(len(assets), dtype=bool),
    )
    return offers, np.arange(len(assets))


def _retailers(
    assets: Sequence[Retailer], frame: _Frame, connection: np.ndarray
) -> tuple[Offers, np.ndarray]:
    """Two rows each: what it delivers, and what it takes."""
    delivers = frame.series(asset.import_kw for asset in assets) * frame.hours
    takes = frame.series(asset.export_kw for asset in assets) * frame.hours
    nothing = np.zeros_like(delivers)
    prices = [
        frame.series(getattr(asset, name) for asset in assets) for name in ("import_price", "export_price")
    ]
    offers = Offers(
        np.tile(connection, 2),
        low=np.concatenate([nothing, -takes]),
        high=np.concatenate([delivers, nothing]),
        cost=np.concatenate(prices),
        curvature=np.concatenate([nothing, nothing]),
        on_off=np.zeros(2 * len(assets), dtype=bool),
    )
    return offers, np.tile(np.arange(len(assets)), 2)


def _step_bids(assets: Sequence[StepBid], frame: _Frame, connection: np.ndarray) -> tuple[Offers, np.ndarray]:
    """Row k of a bid holds the k-th of its steps in each slot."""
    owners: list[int] = []
    cells: list[tuple[int, int, float, float]] = []
    for index, bid in enumerate(assets):
        used = [0] * frame.slots
        first = len(owners)
        for step in bid.steps:
            row = first + used[step.slot]
            used[step.slot] += 1
            owners.extend([index] * (row + 1 - len(owners)))
            cells.append((row, *step))
    row, slot, price, quantity = np.array(cells, dtype=float).reshape(-1, 4).T
    where = row.astype(int), slot.astype(int)
    low, high, cost, curvature = np.zeros((4, len(owners), frame.slots))
    low[where], high[where], cost[where] = np.minimum(quantity, 0), np.maximum(quantity, 0), price
    owner = np.array(owners, dtype=int)
    return Offers(connection[owner], low, high, cost, curvature, np.zeros(len(owner), dtype=bool)), owner


OFFERS: dict[type, Callable[..., tuple[Offers, np.ndarray]]] = {
    Generator: _generators,
    Solar: _renewables,
    CurtailableLoad: _curtailable,
    Retailer: _retailers,
    StepBid: _step_bids,
}


# ---------------------------------------------------------------------------------------------------
# Stores
# ---------------------------------------------------------------------------------------------------


def _stores(frame: _Frame, connection: np.ndarray, **columns: np.ndarray) -> tuple[Stores, np.ndarray]:
    """Stores with these columns, [n] or [n, T]; the others lossless, free of charge and without bounds of the state."""
    count = len(connection)
    flat = {
        "state_injects": np.zeros(count, dtype=bool),
        "up_gain": np.ones(count),
        "down_gain": np.ones(count),
        "retention": np.ones(count),
        "initial": np.zeros(count),
        "exclusive": np.zeros(count, dtype=bool),
    }
    bounds = {"low": -UNBOUNDED, "high": UNBOUNDED}
    every = {"connection": connection}
    for field in fields(Stores):
        if field.name in flat:
            every.setdefault(field.name, columns.get(field.name, flat[field.name]))
        elif field.name != "connection":
            value = columns.get(field.name, np.full(count, bounds.get(field.name, 0.0)))
            every[field.name] = value if value.ndim == 2 else frame.constant(value)
    return Stores(**every), np.arange(count)


def _ramped(assets: Sequence[Generator], frame: _Frame, connection: np.ndarray) -> tuple[Stores, np.ndarray]:
    """The state is the output, in kWh per slot; the controls are its changes."""
    hours, highest = frame.hours, _of(assets, "max_kw")
    change = frame.constant(_of(assets, "ramp_kw_per_hour") * hours * hours)
    free = np.array([asset.initial_kw is None for asset in assets])
    change[free, 0] = highest[free] * hours
    return _stores(
        frame,
        connection,
        state_injects=np.ones(len(assets), dtype=bool),
        up_high=change,
        down_high=change,
        initial=np.array([asset.initial_kw or 0.0 for asset in assets]) * hours,
        low=_of(assets, "min_kw") * hours,
        high=highest * hours,
        cost=_of(assets, "cost"),
        curvature=_of(assets, "curvature") / hours,
    )


def _batteries(assets: Sequence[Battery], frame: _Frame, connection: np.ndarray) -> tuple[Stores, np.ndarray]:
    discharge = [asset.power_kw if asset.discharge_kw is None else asset.discharge_kw for asset in assets]
    low, cost = np.zeros((2, len(assets), frame.slots))
    low[:, -1] = [asset.end_kwh or 0.0 for asset in assets]
    cost[:, -1] = -_of(assets, "end_value")
    return _stores(
        frame,
        connection,
        up_high=_of(assets, "power_kw") * frame.hours,
        down_high=np.array(discharge) * frame.hours,
        down_cost=_of(assets, "wear_cost"),
        up_gain=_of(assets, "charge_efficiency"),
        down_gain=1 / _of(assets, "discharge_efficiency"),
        retention=(1 - _of(assets, "self_discharge_per_hour")) ** frame.hours,
        initial=_of(assets, "start_kwh"),
        low=low,
        high=_of(assets, "capacity_kwh"),
        cost=cost,
        exclusive=_of(assets, "exclusive"),
    )


def _vehicles(
    assets: Sequence[ElectricVehicle], frame: _Frame, connection: np.ndarray
) -> tuple[Stores, np.ndarray]:
    """The state is bounded while the car is plugged in; before and after, nothing can change it."""
    slot = np.arange(frame.slots)
    arrival, departure = _of(assets, "arrival_slot")[:, None], _of(assets, "departure_slot")[:, None]
    plugged = (slot >= arrival) & (slot < departure)
    leaving = _of(assets, "arrival_kwh") + _of(assets, "needed_kwh")
    room = np.array([asset.capacity_kwh for asset in assets], dtype=float)  # None becomes nan
    capacity = np.fmax(room, leaving)
    low = np.where(plugged, 0.0, -UNBOUNDED)
    low[slot == departure - 1] = leaving
    return _stores(
        frame,
        connection,
        up_high=plugged * (_of(assets, "power_kw") * frame.hours)[:, None],
        down_high=plugged * (_of(assets, "discharge_kw") * frame.hours)[:, None],
        down_cost=_of(assets, "wear_cost"),
        up_gain=_of(assets, "efficiency"),
        down_gain=1 / _of(assets, "discharge_efficiency"),
        initial=_of(assets, "arrival_kwh"),
        low=low,
        high=np.where(plugged, capacity[:, None], UNBOUNDED),
    )


def _shiftable(
    assets: Sequence[ShiftableLoad], frame: _Frame, connection: np.ndarray
) -> tuple[Stores, np.ndarray]:
    """The state is what it has had so far, and all of it at the end of the window."""
    slot = np.arange(frame.slots)
    earliest, latest = _of(assets, "earliest")[:, None], _of(assets, "latest")[:, None]
    within, ends = (slot >= earliest) & (slot <= latest), slot == latest
    energy = _of(assets, "energy_kwh")[:, None]
    return _stores(
        frame,
        connection,
        up_high=within * (_of(assets, "max_kw") * frame.hours)[:, None],
        low=np.where(ends, energy, -UNBOUNDED),
        high=np.where(ends, energy, UNBOUNDED),
    )


def _thermal(
    assets: Sequence[ThermalLoad], frame: _Frame, connection: np.ndarray
) -> tuple[Stores, np.ndarray]:
    """The state is the temperature; its negative where power cools, since `up` only ever raises a state."""
    resistance = _of(assets, "resistance")
    kept = np.exp(-frame.hours / (resistance * _of(assets, "capacitance")))
    sign = np.array([1.0 if asset.mode == "heating" else -1.0 for asset in assets])
    lowest, highest, ambient = (
        frame.series(getattr(asset, name) for asset in assets) * sign[:, None]
        for name in ("lowest", "highest", "ambient")
    )
    return _stores(
        frame,
        connection,
        up_high=_of(assets, "max_kw") * frame.hours,
        up_gain=(1 - kept) * resistance * _of(assets, "cop") / frame.hours,
        retention=kept,
        drift=(1 - kept)[:, None] * ambient,
        initial=sign * _of(assets, "start"),
        low=np.minimum(lowest, highest),
        high=np.maximum(lowest, highest),
    )


STORES: dict[type, Callable[..., tuple[Stores, np.ndarray]]] = {
    _Ramped: _ramped,
    Battery: _batteries,
    ElectricVehicle: _vehicles,
    ShiftableLoad: _shiftable,
    ThermalLoad: _thermal,
}


# ---------------------------------------------------------------------------------------------------
# Runs and what is fixed
# ---------------------------------------------------------------------------------------------------


def _run(asset: LoadRun, connection: int, frame: _Frame) -> Run:
    return Run(int(connection), asset.profile_kw * frame.hours, asset.earliest, asset.latest)


def _fixed(
    groups: dict[type, list[int]], scenario: Scenario, frame: _Frame
) -> tuple[np.ndarray, np.ndarray, float]:
    """Which assets leave nothing to decide, what they inject [F, T], and what that costs."""
    index = np.array(groups.get(_Fixed, []), dtype=int)
    assets = [scenario.assets[i] for i in index]
    power = frame.series(
        -asset.demand_kw if isinstance(asset, Load) else asset.available_kw for asset in assets
    )
    cost = np.array([0.0 if isinstance(asset, Load) else asset.cost for asset in assets])
    injection = power * frame.hours
    return index, injection, float(cost @ injection.sum(axis=1))
