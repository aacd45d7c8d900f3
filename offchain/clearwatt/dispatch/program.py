"""The normal form of a dispatch problem: what every solver of this package takes and gives.

Whatever the assets are called, there are only two kinds of them here. An *offer* injects or withdraws in each
slot by itself. A *store* has a state that carries over from slot to slot: a battery, a car, a warm house, and
also a generator with ramp limits (its state is its output). Both sit behind a *connection*, whose net
injection may be capped, and connections sit in the zones of a tree.

    minimise    sum of  cost * x + curvature / 2 * x^2   over every variable
    subject to  state[t] = retention * state[t-1] + up_gain * up[t] - down_gain * down[t] + drift[t]
                net[m,t] = fixed[m,t] + offers + stores behind connection m         (multiplier: member price)
                net of the zone + what its lines bring - what they take = 0           (multiplier: zone price)
                every variable within its bounds.

Units: energy in kWh per slot, positive = injection; costs in currency per kWh, curvatures in currency per
kWh^2. A store's state has its own unit (kWh, or K of a house). Arrays are float64 and never changed in place.
"""

from dataclasses import dataclass, fields

import numpy as np

UNBOUNDED = np.inf


@dataclass(frozen=True)
class Lines:
    """The tree: line z joins zone z to ``parent[z] < z``; ``parent[0]`` is -1 and line 0 carries nothing.

    parent: int[Z].
    export_limit, import_limit: [Z, T] kWh per slot into the line at its lower / upper end, finite.
    fee: [Z, T] currency per kWh that enters the line, in either direction.
    loss: [Z] share of what enters that does not arrive, 0 <= loss < 1.
    """

    parent: np.ndarray
    export_limit: np.ndarray
    import_limit: np.ndarray
    fee: np.ndarray
    loss: np.ndarray


@dataclass(frozen=True)
class Connections:
    """Where members meet the grid.

    zone: int[M].
    low, high: [M, T] bounds of the net injection; both infinite in every slot where the connection is free.
    fixed: [M, T] injection nobody decides on (negative: inelastic load).
    cost, curvature: [M, T] on the net injection; 0 but where an agent is asked at a price (`distributed`).
        A connection without bounds has none.
    """

    zone: np.ndarray
    low: np.ndarray
    high: np.ndarray
    fixed: np.ndarray
    cost: np.ndarray
    curvature: np.ndarray

    @property
    def capped(self) -> np.ndarray:
        """bool[M]: connections whose net injection is a variable of its own."""
        return np.isfinite(self.low).any(axis=1) | np.isfinite(self.high).any(axis=1)


@dataclass(frozen=True)
class Offers:
    """What is decided slot by slot: PV, wind, curtailable load, bids' steps, the retailer, plain generators.

    connection: int[U]. low, high: [U, T] finite bounds of the injection. cost, curvature: [U, T], curvature >= 0.
    on_off: bool[U]; where true the injection is 0 or within its bounds (a generator with a least power).
    """

    connection: np.ndarray
    low: np.ndarray
    high: np.ndarray
    cost: np.ndarray
    curvature: np.ndarray
    on_off: np.ndarray


@dataclass(frozen=True)
class Stores:
    """What couples the slots by a state.

    connection: int[B]. state_injects: bool[B]: the injection is the state itself (a ramped generator), else
        ``down - up`` (a battery).
    up_high, down_high: [B, T] finite upper bounds of the controls; the lower ones are 0.
    up_cost, down_cost, up_curvature, down_curvature: [B, T].
    up_gain, down_gain: [B] >= 0: what one unit of control does to the state.
    retention: [B]; drift: [B, T]; initial: [B], the state before slot 0.
    low, high: [B, T] bounds of the state, may be infinite or equal; cost, curvature: [B, T] on the state.
    exclusive: bool[B]; where true a slot has only one control above 0 (needs integers; often holds by itself).
    """

    connection: np.ndarray
    state_injects: np.ndarray
    up_high: np.ndarray
    down_high: np.ndarray
    up_cost: np.ndarray
    down_cost: np.ndarray
    up_curvature: np.ndarray
    down_curvature: np.ndarray
    up_gain: np.ndarray
    down_gain: np.ndarray
    retention: np.ndarray
    drift: np.ndarray
    initial: np.ndarray
    low: np.ndarray
    high: np.ndarray
    cost: np.ndarray
    curvature: np.ndarray
    exclusive: np.ndarray


@dataclass(frozen=True)
class Run:
    """A load that, once started, runs its course (needs integers): a washing machine.

    profile: [L] kWh withdrawn in each slot of the run. first, last: the slots it may start in.
    """

    connection: int
    profile: np.ndarray
    first: int
    last: int


@dataclass(frozen=True)
class Program:
    """A dispatch problem over T slots."""

    lines: Lines
    connections: Connections
    offers: Offers
    stores: Stores
    runs: tuple[Run, ...] = ()

    @property
    def slots(self) -> int:
        """T."""
        return self.connections.fixed.shape[1]

    @property
    def zones(self) -> int:
        """Z."""
        return len(self.lines.parent)

    @property
    def has_integers(self) -> bool:
        """Whether only a MILP solver can take it."""
        return bool(self.runs) or bool(self.offers.on_off.any()) or bool(self.stores.exclusive.any())

    @property
    def is_linear(self) -> bool:
        """Whether no variable has a curvature."""
        o, s, c = self.offers, self.stores, self.connections
        parts = (o.curvature, s.up_curvature, s.down_curvature, s.curvature, c.curvature)
        return not any(part.any() for part in parts)


@dataclass(frozen=True)
class Solution:
    """What a solver found, in the shapes of the program.

    injection: [U, T] of the offers. up, down, state: [B, T] of the stores. net: [M, T].
    exports, imports: [Z, T] what enters each line at its lower / upper end.
    zone_price: [Z, T] currency per kWh: what one kWh more of load in that zone and slot would cost everybody.
    member_price: [M, T] the same behind the connection; the zone's, unless the connection is at its cap.
    state_value: [B, T] what one unit more of state at the end of the slot would save, before its own cost.
    starts: one slot per run. objective: currency.
    solver: name, version and algorithm that really ran. iterations: the solver's own count. seconds: wall clock.
    """

    injection: np.ndarray
    up: np.ndarray
    down: np.ndarray
    state: np.ndarray
    net: np.ndarray
    exports: np.ndarray
    imports: np.ndarray
    zone_price: np.ndarray
    member_price: np.ndarray
    state_value: np.ndarray
    starts: tuple[int, ...]
    objective: float
    solver: str
    iterations: int
    seconds: float


def no_offers(slots: int) -> Offers:
    """Offers with U = 0."""
    none = np.zeros((0, slots))
    return Offers(np.zeros(0, int), none, none, none, none, np.zeros(0, bool))


def no_stores(slots: int) -> Stores:
    """Stores with B = 0."""
    shapes = {"state_injects": bool, "exclusive": bool, "connection": int}
    flat = {"up_gain", "down_gain", "retention", "initial", *shapes}
    return Stores(
        **{
            field.name: np.zeros(0 if field.name in flat else (0, slots), shapes.get(field.name, float))
            for field in fields(Stores)
        }
    )


def one_zone(slots: int) -> Lines:
    """The tree with zone 0 alone."""
    nothing = np.zeros((1, slots))
    return Lines(np.array([-1]), nothing, nothing, nothing, np.zeros(1))


def objective(program: Program, solution: Solution) -> float:
    """Total cost of a solution, currency; recomputed, not the solver's own figure."""
    s, lines = program.stores, program.lines
    total = _cost(program.offers.cost, program.offers.curvature, solution.injection)
    total += _cost(s.up_cost, s.up_curvature, solution.up) + _cost(
        s.down_cost, s.down_curvature, solution.down
    )
    total += _cost(s.cost, s.curvature, solution.state)
    total += _cost(program.connections.cost, program.connections.curvature, solution.net)
    return total + float((lines.fee * (solution.exports + solution.imports)).sum())


def _cost(cost: np.ndarray, curvature: np.ndarray, x: np.ndarray) -> float:
    return float((cost * x + curvature / 2 * x * x).sum())
