"""Random dispatch problems that are known to have a schedule: their limits are drawn around one.

Small, but with everything in them: trees with losses, fees and lines that are full; capped and free connections,
also with several stores behind one cap; equal costs, negative prices, bounds of no width; batteries, cars, houses,
ramped generators; leaking and lossless, bound at the end or not; bounds that are missing.
"""

import numpy as np

from clearwatt.dispatch.program import Connections, Lines, Program, Run, no_offers, no_stores
from tests.offchain.dispatch.by_hand import Row, stack


def random_program(
    seed: int,
    *,
    slots: int | None = None,
    zones: int | None = None,
    linear: bool | None = None,
    integers: bool = False,
    roomy: bool = False,
) -> Program:
    """A feasible program. What is not given is drawn: 1 to 24 slots, 1 to 6 zones, linear or quadratic.

    roomy: all limits can be kept with some distance to each; else, in most programs, some leave no choice.
    integers: some offers on-off, some stores exclusive, some loads that run their course.
    """
    rng = np.random.default_rng(seed)
    slots = slots or int(rng.integers(1, 25))
    zones = zones or int(rng.integers(1, 7))
    linear = bool(rng.integers(2)) if linear is None else linear
    return _Draft(rng, slots, zones, linear, integers, roomy).program()


class _Draft:
    """A program in the making, with one schedule that keeps its limits."""

    def __init__(
        self,
        rng: np.random.Generator,
        slots: int,
        zones: int,
        linear: bool,
        integers: bool,
        roomy: bool,
    ) -> None:
        self.rng, self.slots, self.zones = rng, slots, zones
        self.linear, self.integers, self.roomy = linear, integers, roomy
        # Half of the programs have few different costs and whole quantities, so that much is equal.
        self.coarse = bool(rng.integers(2))
        self.zone_of = np.concatenate([[0], rng.integers(0, zones, rng.integers(zones, 3 * zones + 1))])
        self.net = np.zeros((len(self.zone_of), slots))
        self.offers: list[Row] = []
        self.stores: list[Row] = []
        self.runs: list[Run] = []

    def program(self) -> Program:
        fixed = self.net + self._loads()
        self.net += fixed
        for connection in range(1, len(self.zone_of)):
            for _ in range(self.rng.integers(0, 4)):
                self._add_offer(connection)
            for _ in range(self.rng.choice([0, 0, 1, 1, 2, 3])):
                self._add_store(connection)
            if self.integers and self.chance(0.3):
                self._add_run(connection)
        lines, root = self._lines()
        self._add_retailer(root)
        return Program(
            lines,
            self._connections(fixed),
            stack(self.offers, no_offers(self.slots)),
            stack(self.stores, no_stores(self.slots)),
            tuple(self.runs),
        )

    # -------------------------------------------------------- draws

    def chance(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    def energy(self, most: float = 10.0) -> float:
        return float(self.rng.integers(0, most + 1)) if self.coarse else float(self.rng.random() * most)

    def price(self, low: float = -0.1, high: float = 0.5) -> float:
        price = self.rng.uniform(low, high)
        return round(price * 10) / 10 if self.coarse else price

    def profile(self, most: float) -> np.ndarray:
        return np.array([self.energy(most) for _ in range(self.slots)])

    def bend(self, most: float) -> float:
        return 0.0 if self.linear or self.chance(0.3) else float(self.rng.uniform(0.001, most))

    def margin(self, most: float) -> np.ndarray | float:
        """[T] or one number; often 0, so that the limit binds."""
        if self.roomy:
            return 0.5 + self.energy(most)
        if self.chance(0.4):
            return 0.0
        return self.profile(most) if self.chance(0.5) else self.energy(most)

    def somewhere(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """A value between the bounds in each slot, often at one of them."""
        share = self.rng.choice([0.2, 0.3, 0.8] if self.roomy else [0.0, 0.3, 1.0], self.slots)
        return low + share * (high - low)

    # -------------------------------------------------------- behind the connections

    def _loads(self) -> np.ndarray:
        loads = [-self.profile(5) if self.chance(0.7) else np.zeros(self.slots) for _ in self.zone_of]
        loads[0] = np.zeros(self.slots)
        return np.array(loads)

    def _add_offer(self, connection: int) -> None:
        kind = self.rng.choice(["sun", "generator", "elastic", "step", "none"])
        low, high = np.zeros(self.slots), np.zeros(self.slots)
        cost, curvature = self.price(), 0.0
        if kind == "sun":
            high, cost = self.profile(8), self.price(0, 0.05) if self.chance(0.3) else 0.0
        elif kind == "generator":
            high, curvature = high + self.energy(), self.bend(0.1)
            low = low + (high / 3 if self.chance(0.3) else 0)
        elif kind == "elastic":
            low, cost, curvature = -self.profile(6), self.price(0.1, 0.6), self.bend(0.1)
        elif kind == "step":
            low, high = (low, self.profile(4)) if self.chance(0.5) else (-self.profile(4), high)
        on_off = self.integers and kind == "generator" and self.chance(0.6)
        injection = self.somewhere(low, high)
        if on_off:
            injection *= self.rng.integers(0, 2, self.slots)
        self.net[connection] += injection
        row = {"low": low, "high": high, "cost": cost, "curvature": curvature, "on_off": on_off}
        self.offers.append({"connection": connection, **row})

    def _add_store(self, connection: int) -> None:
        kinds = {
            "battery": self._battery,
            "car": self._car,
            "house": self._house,
            "ramped": self._ramped_generator,
        }
        row = {
            "connection": connection,
            "state_injects": False,
            "down_high": 0.0,
            "up_cost": 0.0,
            "down_cost": 0.0,
            "up_curvature": self.bend(0.01),
            "down_curvature": self.bend(0.01),
            "up_gain": 1.0,
            "down_gain": 1.0,
            "retention": 1.0,
            "drift": 0.0,
            "cost": 0.0,
            "curvature": 0.0,
            "exclusive": False,
            **kinds[self.rng.choice(list(kinds))](),
        }
        up = self.somewhere(np.zeros(self.slots), np.broadcast_to(row["up_high"], self.slots))
        down = self.somewhere(np.zeros(self.slots), np.broadcast_to(row["down_high"], self.slots))
        up, down = np.where(self.chance(0.9) & (up > down), up, 0), np.where(up > down, 0, down)
        state = _course(row, up, down)
        self.net[connection] += state if row["state_injects"] else down - up
        self.stores.append({**row, **self._state_bounds(state, row)})

    def _state_bounds(self, state: np.ndarray, row: Row) -> Row:
        low = np.full(self.slots, state.min()) - self.margin(5)
        high = np.full(self.slots, state.max()) + self.margin(5)
        if row["state_injects"]:
            return {"low": low, "high": high}
        if self.chance(0.15):
            low[:] = -np.inf
        if self.chance(0.15):
            high[:] = np.inf
        if self.chance(0.3):
            low[-1] = state[-1] - (0.1 if self.roomy else 0)
        if self.chance(0.2):
            low[-1] = high[-1] = state[-1]
        return {"low": low, "high": high}

    def _battery(self) -> Row:
        efficiency = 1.0 if self.chance(0.3) else self.rng.uniform(0.8, 1)
        return {
            "up_high": self.energy(5),
            "down_high": self.energy(5),
            "up_gain": efficiency,
            "down_gain": 1 / efficiency,
            "retention": 1.0 if self.chance(0.5) else self.rng.uniform(0.95, 1),
            "down_cost": self.price(0, 0.1),
            "initial": self.energy(10),
            "exclusive": self.integers and self.chance(0.6),
        }

    def _car(self) -> Row:
        there = np.zeros(self.slots)
        arrival, departure = sorted(self.rng.integers(0, self.slots + 1, 2))
        there[arrival:departure] = 1
        discharges = self.chance(0.3)
        return {
            "up_high": self.energy(7) * there,
            "down_high": self.energy(7) * there * discharges,
            "up_gain": self.rng.uniform(0.85, 1),
            "initial": self.energy(10),
        }

    def _house(self) -> Row:
        retention = self.rng.uniform(0.8, 0.99)
        ambient = 10 + self.profile(5)
        comfort = self.bend(0.01)
        return {
            "up_high": self.energy(3),
            "up_gain": self.rng.uniform(0.5, 3),
            "down_gain": 0.0,
            "retention": retention,
            "drift": (1 - retention) * ambient,
            "initial": 18 + self.energy(4),
            "cost": -20 * comfort,
            "curvature": comfort,
        }

    def _ramped_generator(self) -> Row:
        ramp = self.energy(3)
        return {
            "state_injects": True,
            "up_high": ramp,
            "down_high": ramp if self.chance(0.5) else self.energy(4),
            "initial": self.energy(8),
            "cost": self.price(),
            "curvature": self.bend(0.05),
        }

    def _add_run(self, connection: int) -> None:
        profile = np.array([self.energy(2) for _ in range(self.rng.integers(1, min(self.slots, 4) + 1))])
        first, start, last = sorted(self.rng.integers(0, self.slots - len(profile) + 1, 3))
        self.net[connection, start : start + len(profile)] -= profile
        self.runs.append(Run(connection, profile, int(first), int(last)))

    # -------------------------------------------------------- between them

    def _connections(self, fixed: np.ndarray) -> Connections:
        low, high = np.full_like(fixed, -np.inf), np.full_like(fixed, np.inf)
        cost, curvature = np.zeros_like(fixed), np.zeros_like(fixed)
        for connection in range(1, len(fixed)):
            if self.chance(0.5):
                low[connection] = self.net[connection].min() - self.margin(5)
                high[connection] = self.net[connection].max() + self.margin(5)
                if self.chance(0.1):
                    cost[connection], curvature[connection] = self.price(), self.bend(0.01)
                elif self.chance(0.2):
                    (low if self.chance(0.5) else high)[connection] = np.nan
                elif self.chance(0.1):
                    low[connection, 0], high[connection, 0] = -np.inf, np.inf
        low, high = np.where(np.isfinite(low), low, -np.inf), np.where(np.isfinite(high), high, np.inf)
        return Connections(self.zone_of, low, high, fixed, cost, curvature)

    def _lines(self) -> tuple[Lines, np.ndarray]:
        """The tree, and what zone 0 would inject without a retailer."""
        parent = np.array([-1, *(self.rng.integers(0, zone) for zone in range(1, self.zones))])
        loss = np.where(self.rng.random(self.zones) < 0.5, 0, self.rng.uniform(0, 0.08, self.zones))
        fee = np.where(self.rng.random((self.zones, 1)) < 0.3, 0, self.rng.uniform(0, 0.05, (self.zones, 1)))
        exports, imports = np.zeros((2, self.zones, self.slots))
        inflow = np.zeros((self.zones, self.slots))
        np.add.at(inflow, self.zone_of, self.net)
        for zone in range(self.zones - 1, 0, -1):
            exports[zone] = np.maximum(inflow[zone], 0)
            imports[zone] = np.maximum(-inflow[zone], 0) / (1 - loss[zone])
            inflow[parent[zone]] += (1 - loss[zone]) * exports[zone] - imports[zone]
        for flows in (exports, imports):
            for zone in range(1, self.zones):
                flows[zone] += self.margin(10)
        return Lines(parent, exports, imports, np.broadcast_to(fee, exports.shape).copy(), loss), inflow[0]

    def _add_retailer(self, root: np.ndarray) -> None:
        """Buys and sells in zone 0, behind connection 0, enough for the schedule."""
        dear = self.price(0.2, 0.4)
        cheap = dear if self.chance(0.1) else self.price(-0.1, 0.15)
        least = 1 if self.roomy else 0
        bought = np.maximum(-root, 0).max() + (1000 if self.chance(0.5) else least + self.energy(10))
        sold = np.maximum(root, 0).max() + (1000 if self.chance(0.5) else least + self.energy(10))
        common = {"connection": 0, "curvature": 0.0, "on_off": False}
        self.offers.append({**common, "low": 0.0, "high": bought, "cost": dear})
        self.offers.append({**common, "low": -sold, "high": 0.0, "cost": cheap})


def _course(row: Row, up: np.ndarray, down: np.ndarray) -> np.ndarray:
    """[T] the state that the controls lead to."""
    drift = np.broadcast_to(row["drift"], up.shape)
    state, course = row["initial"], np.empty(len(up))
    for slot in range(len(up)):
        moved = row["up_gain"] * up[slot] - row["down_gain"] * down[slot]
        state = course[slot] = row["retention"] * state + moved + drift[slot]
    return course
