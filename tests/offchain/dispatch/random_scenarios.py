"""Random scenarios with every kind of asset, in their owners' units. Each has a schedule: what is not wanted can be
bought from the retailer, what cannot be used can be curtailed, and stores can keep still."""

import numpy as np

from clearwatt.dispatch.assets import (
    Asset,
    Battery,
    Connection,
    CurtailableLoad,
    ElectricVehicle,
    Generator,
    Load,
    LoadRun,
    OfferStep,
    Retailer,
    ShiftableLoad,
    Solar,
    StepBid,
    ThermalLoad,
    Wind,
)
from clearwatt.dispatch.scenario import GridSpec, Scenario, ZoneSpec

SLOT_HOURS = (0.25, 0.5, 1.0, 2.0)


def random_scenario(seed: int, *, linear: bool = False, integers: bool = False, copies: int = 1) -> Scenario:
    """1 to 10 slots, 1 to 4 zones, `copies` of every kind of asset; prices may be negative.

    linear: no curvature. integers: an on-off generator, an exclusive battery and a run among them.
    """
    return _Draft(np.random.default_rng(seed), linear, integers).scenario(copies)


class _Draft:
    def __init__(self, rng: np.random.Generator, linear: bool, integers: bool) -> None:
        self.rng, self.linear, self.integers = rng, linear, integers
        self.slots = int(rng.integers(1, 11))
        self.hours = float(rng.choice(SLOT_HOURS))
        self.zones = int(rng.integers(1, 5))

    def scenario(self, copies: int) -> Scenario:
        connections = tuple(
            Connection(name=f"home {zone}", zone=zone, import_kw=40.0, export_kw=self.series(2, 9))
            for zone in range(self.zones)
        )
        assets = [self.retailer()] + [asset for copy in range(copies) for asset in self.assets(copy)]
        return Scenario(self.slots, self.hours, self.grid(), connections, tuple(assets))

    def number(self, low: float, high: float) -> float:
        return round(float(self.rng.uniform(low, high)), 3)

    def series(self, low: float, high: float) -> np.ndarray:
        return np.round(self.rng.uniform(low, high, self.slots), 3)

    def curvature(self) -> float:
        return 0.0 if self.linear else self.number(0, 0.1)

    def grid(self) -> GridSpec:
        """Lines carry what the loads need, but not all that the sun gives."""
        zones = [ZoneSpec(parent=None)]
        for zone in range(1, self.zones):
            loss = float(self.rng.choice([0, 0.03]))
            limits = {"export_kw": self.series(1, 6), "import_kw": 200.0, "fee": self.series(0, 0.02)}
            zones.append(ZoneSpec(parent=int(self.rng.integers(0, zone)), loss=loss, **limits))
        return GridSpec(zones=tuple(zones))

    def retailer(self) -> Retailer:
        export = self.series(-0.1, 0.1)
        return Retailer(
            name="retailer",
            import_price=export + self.series(0, 0.3),
            export_price=export,
            import_kw=500.0,
            export_kw=3.0,
        )

    def assets(self, copy: int) -> list[Asset]:
        made = [self.generator(), self.ramped(), self.solar(), self.wind(), self.battery(), self.vehicle()]
        made += [
            self.load(),
            self.curtailable(),
            self.shiftable(),
            self.heating(),
            self.cooling(),
            self.bid(),
        ]
        if self.integers:
            made.append(self.run())
        return [
            kind(name=f"{kind.__name__} {index} {copy}", **self.place(), **values)
            for index, (kind, values) in enumerate(made)
        ]

    def place(self) -> dict:
        zone = int(self.rng.integers(0, self.zones))
        return {"zone": zone, "connection": f"home {zone}" if self.rng.random() < 0.5 else None}

    def window(self) -> tuple[int, int]:
        """First slot, and the one after the last."""
        first = int(self.rng.integers(0, self.slots))
        return first, int(self.rng.integers(first + 1, self.slots + 1))

    def generator(self) -> tuple[type, dict]:
        least = self.number(0.5, 1) if self.integers else 0.0
        costs = {"cost": self.number(0, 0.3), "curvature": self.curvature()}
        return Generator, {"min_kw": least, "max_kw": 3.0, "on_off": self.integers, **costs}

    def ramped(self) -> tuple[type, dict]:
        start = self.number(0, 2) if self.rng.random() < 0.5 else None
        ramp = {"ramp_kw_per_hour": self.number(0.3, 3), "initial_kw": start}
        return Generator, {"max_kw": 3.0, "cost": self.number(0, 0.3), "curvature": self.curvature(), **ramp}

    def solar(self) -> tuple[type, dict]:
        return Solar, {"available_kw": self.series(0, 5), "cost": float(self.rng.choice([0, 0.01]))}

    def wind(self) -> tuple[type, dict]:
        """As much as the load beside the retailer can use."""
        return Wind, {
            "available_kw": self.series(0, 0.5),
            "curtailable": bool(self.rng.random() < 0.5),
            "cost": 0.002,
        }

    def battery(self) -> tuple[type, dict]:
        start, leak = self.number(0, 6), float(self.rng.choice([0, 0.01]))
        kept = (1 - leak) ** (self.hours * self.slots)
        power = {
            "power_kw": self.number(0, 3),
            "discharge_kw": self.number(0, 3) if self.rng.random() < 0.5 else None,
        }
        costs = {
            "wear_cost": self.number(0, 0.05),
            "end_value": self.number(0, 0.2),
            "exclusive": self.integers,
        }
        lossy = {"charge_efficiency": self.number(0.85, 1), "discharge_efficiency": self.number(0.85, 1)}
        ends = {"start_kwh": start, "end_kwh": start * kept * 0.9, "self_discharge_per_hour": leak}
        return Battery, {"capacity_kwh": 6.0, **power, **costs, **lossy, **ends}

    def vehicle(self) -> tuple[type, dict]:
        arrival, departure = self.window()
        most = (departure - arrival) * self.hours * 3 * 0.9
        two_way = self.rng.random() < 0.5
        return ElectricVehicle, {
            "arrival_slot": arrival,
            "departure_slot": departure,
            "needed_kwh": most * self.number(0, 0.9),
            "power_kw": 3.0,
            "efficiency": 0.9,
            "discharge_kw": 2.0 if two_way else 0.0,
            "discharge_efficiency": 0.95,
            "wear_cost": 0.03,
            "arrival_kwh": 1.5 if two_way else 0.0,
            "capacity_kwh": most + 2,
        }

    def load(self) -> tuple[type, dict]:
        return Load, {"demand_kw": self.series(0.6, 2)}

    def curtailable(self) -> tuple[type, dict]:
        values = {"value": self.series(-0.05, 0.5), "curvature": self.curvature(), "share": self.number(0, 1)}
        return CurtailableLoad, {"demand_kw": self.series(0, 2), **values}

    def shiftable(self) -> tuple[type, dict]:
        first, after = self.window()
        energy = (after - first) * self.hours * 2 * self.number(0, 0.9)
        return ShiftableLoad, {"energy_kwh": energy, "max_kw": 2.0, "earliest": first, "latest": after - 1}

    def heating(self) -> tuple[type, dict]:
        house = {"resistance": self.number(5, 9), "capacitance": self.number(2, 9), "cop": 3.0, "max_kw": 4.0}
        return ThermalLoad, {
            "start": 20.0,
            "lowest": 18.0,
            "highest": 23.0,
            "ambient": self.series(0, 12),
            **house,
        }

    def cooling(self) -> tuple[type, dict]:
        kind, house = self.heating()
        return kind, house | {
            "mode": "cooling",
            "lowest": 19.0,
            "highest": 24.0,
            "ambient": self.series(26, 34),
        }

    def bid(self) -> tuple[type, dict]:
        steps = tuple(
            OfferStep(int(self.rng.integers(self.slots)), self.number(-0.05, 0.4), self.number(-0.9, 0.9))
            for _ in range(int(self.rng.integers(0, 8)))
        )
        return StepBid, {"steps": steps}

    def run(self) -> tuple[type, dict]:
        first, after = self.window()
        length = int(self.rng.integers(1, after - first + 1))
        profile = np.round(self.rng.uniform(0.1, 2, length), 3)
        return LoadRun, {"profile_kw": profile, "earliest": first, "latest": after - length}
