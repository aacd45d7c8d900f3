"""The model a second time, as a textbook would write it and with none of the package's solvers or its normal form.

One variable for everything that can be decided, in kW and kWh as in the assets, one equation or inequality for
everything that must hold, solved by scipy's `milp`. Linear costs only.
"""

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_matrix

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
from clearwatt.dispatch.scenario import Scenario

Terms = dict[int, float]
"""A linear expression: variable -> coefficient."""


class PlainModel:
    """`welfare()` is the greatest there is, or None if nothing is feasible."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario, self.h, self.T = scenario, scenario.slot_hours, scenario.slots
        self.low: list[float] = []
        self.high: list[float] = []
        self.cost: list[float] = []
        self.whole: list[int] = []
        self.rows: list[tuple[Terms, float, float]] = []
        self.constant = 0.0
        zones, homes = scenario.zones, len(scenario.connections)
        self.zone_power: list[list[Terms]] = [[{} for _ in range(self.T)] for _ in range(zones)]
        self.zone_fixed = np.zeros((zones, self.T))
        self.home_power: list[list[Terms]] = [[{} for _ in range(self.T)] for _ in range(homes)]
        self.home_fixed = np.zeros((homes, self.T))
        for asset in scenario.assets:
            self.add_asset(asset)
        self.add_homes()
        self.add_grid()

    def welfare(self) -> float | None:
        entries = [
            (row, column, value)
            for row, (terms, _, _) in enumerate(self.rows)
            for column, value in terms.items()
        ]
        row, column, value = np.array(entries).T
        shape = (len(self.rows), len(self.cost))
        matrix = coo_matrix((value, (row.astype(int), column.astype(int))), shape=shape).tocsc()
        lows, highs = np.array([(low, high) for _, low, high in self.rows]).T
        found = milp(
            self.cost,
            integrality=self.whole,
            bounds=Bounds(self.low, self.high),
            constraints=LinearConstraint(matrix, lows, highs),
            options={"mip_rel_gap": 0},
        )
        return None if found.x is None else -(found.fun + self.constant)

    def variable(self, low: float, high: float, cost: float = 0.0, whole: bool = False) -> int:
        self.low.append(low)
        self.high.append(high)
        self.cost.append(cost)
        self.whole.append(int(whole))
        return len(self.cost) - 1

    def require(self, terms: Terms, low: float, high: float) -> None:
        self.rows.append((terms, low, high))

    def at(self, series: np.ndarray, slot: int) -> float:
        return float(series[slot] if series.ndim else series)

    def inject(self, asset: Asset, slot: int, terms: Terms, fixed: float = 0.0) -> None:
        """kW from the asset."""
        places = [
            (
                self.zone_power[self.scenario.zone_of(asset)][slot],
                self.zone_fixed[self.scenario.zone_of(asset)],
            )
        ]
        if asset.connection is not None:
            home = [one.name for one in self.scenario.connections].index(asset.connection)
            places.append((self.home_power[home][slot], self.home_fixed[home]))
        for power, constant in places:
            for variable, factor in terms.items():
                power[variable] = power.get(variable, 0.0) + factor
            constant[slot] += fixed

    def add_asset(self, asset: Asset) -> None:
        match asset:
            case LoadRun():
                self.add_run(asset)
            case Battery() | ElectricVehicle():
                self.add_battery(asset)
            case ShiftableLoad():
                self.add_shiftable(asset)
            case ThermalLoad():
                self.add_thermal(asset)
            case Generator():
                self.add_generator(asset)
            case StepBid():
                for slot, price, quantity in asset.steps:
                    power = self.variable(
                        min(quantity, 0) / self.h, max(quantity, 0) / self.h, price * self.h
                    )
                    self.inject(asset, slot, {power: 1})
            case _:
                for slot in range(self.T):
                    self.add_simple(asset, slot)

    def add_simple(self, asset: Asset, slot: int) -> None:
        """What is decided slot by slot."""
        h = self.h
        match asset:
            case Load():
                self.inject(asset, slot, {}, -self.at(asset.demand_kw, slot))
            case Solar() | Wind():
                most = self.at(asset.available_kw, slot)
                power = self.variable(0.0 if asset.curtailable else most, most, asset.cost * h)
                self.inject(asset, slot, {power: 1})
            case CurtailableLoad():
                demand = self.at(asset.demand_kw, slot)
                least = demand * (1 - self.at(asset.share, slot))
                served = self.variable(least, demand, -self.at(asset.value, slot) * h)
                self.inject(asset, slot, {served: -1})
            case Retailer():
                bought = self.variable(
                    0, self.at(asset.import_kw, slot), self.at(asset.import_price, slot) * h
                )
                sold = self.variable(
                    0, self.at(asset.export_kw, slot), -self.at(asset.export_price, slot) * h
                )
                self.inject(asset, slot, {bought: 1, sold: -1})

    def add_generator(self, asset: Generator) -> None:
        before: int | None = None
        for slot in range(self.T):
            least = 0.0 if asset.on_off else asset.min_kw
            power = self.variable(least, asset.max_kw, asset.cost * self.h)
            self.inject(asset, slot, {power: 1})
            if asset.on_off:
                on = self.variable(0, 1, whole=True)
                self.require({power: 1, on: -asset.max_kw}, -np.inf, 0)
                self.require({power: 1, on: -asset.min_kw}, 0, np.inf)
            if asset.ramp_kw_per_hour is not None:
                step = asset.ramp_kw_per_hour * self.h
                if before is not None:
                    self.require({power: 1, before: -1}, -step, step)
                elif asset.initial_kw is not None:
                    self.require({power: 1}, asset.initial_kw - step, asset.initial_kw + step)
            before = power

    def add_battery(self, asset: Battery | ElectricVehicle) -> None:
        car = isinstance(asset, ElectricVehicle)
        if car:
            first, after, start = asset.arrival_slot, asset.departure_slot, asset.arrival_kwh
            gain, kept, discharge = asset.efficiency, 1.0, asset.discharge_kw
            capacity, end, worth = asset.capacity_kwh, start + asset.needed_kwh, 0.0
        else:
            first, after, start = 0, self.T, asset.start_kwh
            gain, kept = asset.charge_efficiency, (1 - asset.self_discharge_per_hour) ** self.h
            discharge = asset.power_kw if asset.discharge_kw is None else asset.discharge_kw
            capacity, end, worth = asset.capacity_kwh, asset.end_kwh or 0.0, asset.end_value
        before: int | None = None
        for slot in range(first, after):
            last = slot == after - 1
            charge, give = (
                self.variable(0, asset.power_kw),
                self.variable(0, discharge, asset.wear_cost * self.h),
            )
            energy = self.variable(end if last else 0.0, capacity, -worth if last else 0.0)
            self.inject(asset, slot, {give: 1, charge: -1})
            change = {energy: 1.0, charge: -gain * self.h, give: self.h / asset.discharge_efficiency}
            if before is None:
                self.require(change, kept * start, kept * start)
            else:
                self.require(change | {before: -kept}, 0, 0)
            if not car and asset.exclusive:
                charging = self.variable(0, 1, whole=True)
                self.require({charge: 1, charging: -asset.power_kw}, -np.inf, 0)
                self.require({give: 1, charging: discharge}, -np.inf, discharge)
            before = energy

    def add_shiftable(self, asset: ShiftableLoad) -> None:
        powers = {self.variable(0, asset.max_kw): self.h for _ in range(asset.earliest, asset.latest + 1)}
        self.require(powers, asset.energy_kwh, asset.energy_kwh)
        for slot, power in enumerate(powers, start=asset.earliest):
            self.inject(asset, slot, {power: -1})

    def add_thermal(self, asset: ThermalLoad) -> None:
        heat = asset.cop * (1 if asset.mode == "heating" else -1)
        kept = np.exp(-self.h / (asset.resistance * asset.capacitance))
        before: int | None = None
        for slot in range(self.T):
            power = self.variable(0, asset.max_kw)
            inside = self.variable(self.at(asset.lowest, slot), self.at(asset.highest, slot))
            self.inject(asset, slot, {power: -1})
            outside = (1 - kept) * self.at(asset.ambient, slot)
            change = {inside: 1.0, power: -(1 - kept) * asset.resistance * heat}
            if before is None:
                self.require(change, kept * asset.start + outside, kept * asset.start + outside)
            else:
                self.require(change | {before: -kept}, outside, outside)
            before = inside

    def add_run(self, asset: LoadRun) -> None:
        starts = {slot: self.variable(0, 1, whole=True) for slot in range(asset.earliest, asset.latest + 1)}
        self.require(dict.fromkeys(starts.values(), 1.0), 1, 1)
        for start, chosen in starts.items():
            for offset, power in enumerate(asset.profile_kw):
                self.inject(asset, start + offset, {chosen: -float(power)})

    def add_homes(self) -> None:
        for home, connection in enumerate(self.scenario.connections):
            for slot in range(self.T):
                drawn = np.inf if connection.import_kw is None else self.at(connection.import_kw, slot)
                given = np.inf if connection.export_kw is None else self.at(connection.export_kw, slot)
                fixed = self.home_fixed[home, slot]
                self.require(self.home_power[home][slot], -drawn - fixed, given - fixed)

    def add_grid(self) -> None:
        """What enters a line at either end, less what is lost, leaves it at the other."""
        for zone, spec in list(enumerate(self.scenario.grid.zones))[1:]:
            for slot in range(self.T):
                limits = (
                    np.inf if limit is None else self.at(limit, slot)
                    for limit in (spec.export_kw, spec.import_kw)
                )
                up, down = (self.variable(0, limit, self.at(spec.fee, slot) * self.h) for limit in limits)
                self.zone_power[zone][slot].update({up: -1, down: 1 - spec.loss})
                self.zone_power[spec.parent][slot].update({up: 1 - spec.loss, down: -1})
        for zone in range(self.scenario.zones):
            for slot in range(self.T):
                fixed = -self.zone_fixed[zone, slot]
                self.require(self.zone_power[zone][slot], fixed, fixed)
