"""Proof that a schedule is the best, worked out from the program alone and not from what the solver says.

The zone prices, member prices and state values of a solution, whatever they are, price every variable of its own; each
then has its own cheapest value within its own bounds, in closed form. The sum of those costs is the Lagrangian
dual function, and no schedule whatsoever costs less (weak duality; Boyd and Vandenberghe, Convex Optimization,
section 5.1). What the schedule costs beyond it is the gap: it bounds how far from the optimum the schedule is.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from clearwatt.dispatch import integers, reach
from clearwatt.dispatch.program import Program, Solution, objective
from clearwatt.dispatch.sparse import behind_connections


@dataclass(frozen=True)
class Certificate:
    """How good a solution is.

    primal_residual: kWh (or a store's own unit); the worst violation of a bound or an equation.
    dual_residual: currency/kWh; the worst reduced cost with no bound to stand against it, or difference between a
        free connection's price and its zone's. A bound's multiplier is the reduced cost itself: what that costs in
        complementary slackness is in the gap.
    primal_objective, dual_objective: currency. gap: their difference relative to the larger one, at least 1.
    bound: currency; no schedule costs less. The dual objective itself, but where there are integers: the residuals
        and the gap are then of the program with the integers as they were decided, the bound is of all decisions.
    solver: name, version and algorithm.
    """

    primal_residual: float
    dual_residual: float
    primal_objective: float
    dual_objective: float
    gap: float
    bound: float
    solver: str


@dataclass(frozen=True)
class _Kind:
    """Variables of one kind, at x; each adds ``slope * x + curvature / 2 * x^2`` to the Lagrangian.

    low, high: their bounds. least, most: finite bounds that follow from the others' where these are infinite.
    """

    x: np.ndarray
    slope: np.ndarray
    curvature: np.ndarray
    low: np.ndarray
    high: np.ndarray
    least: np.ndarray
    most: np.ndarray

    def cheapest(self) -> np.ndarray:
        """The least that each could cost."""
        curved = self.curvature > 0
        vertex = np.divide(-self.slope, self.curvature, out=np.zeros_like(self.slope), where=curved)
        best = np.where(curved, vertex, np.where(self.slope > 0, self.least, self.most))
        best = np.clip(best, self.least, self.most)
        return self.slope * best + self.curvature / 2 * best * best

    def unexcused(self) -> float:
        """The worst reduced cost in a direction in which there is no bound."""
        reduced = self.slope + self.curvature * self.x
        upwards = np.where(np.isinf(self.high), np.minimum(reduced, 0), 0)
        downwards = np.where(np.isinf(self.low), np.maximum(reduced, 0), 0)
        return _worst(upwards, downwards)

    def outside(self) -> float:
        """The worst violation of a bound."""
        return _worst(np.minimum(self.x - self.low, 0), np.minimum(self.high - self.x, 0))


def certify(program: Program, solution: Solution) -> Certificate:
    """The certificate of a solution."""
    whole = program
    if program.has_integers:
        program = integers.fix(program, integers.decided(program, solution))
    kinds = list(_kinds(program, solution))
    primal = objective(program, solution)
    dual = _constant(program, solution) + sum(float(kind.cheapest().sum()) for kind in kinds)
    return Certificate(
        primal_residual=_worst(_imbalance(program, solution), *(kind.outside() for kind in kinds)),
        dual_residual=_worst(_price_split(program, solution), *(kind.unexcused() for kind in kinds)),
        primal_objective=primal,
        dual_objective=dual,
        gap=abs(primal - dual) / max(1.0, abs(primal), abs(dual)),
        bound=_bound(whole, solution) if whole.has_integers else dual,
        solver=solution.solver,
    )


def _kinds(program: Program, solution: Solution) -> Iterator[_Kind]:
    offers, behind = program.offers, _behind(program, solution)
    slope = offers.cost - behind[offers.connection]
    yield _plain(solution.injection, slope, offers.curvature, offers.low, offers.high)
    yield from _of_stores(program, solution, behind)
    yield _of_nets(program, solution, behind)
    yield from _of_lines(program, solution)


def _plain(
    x: np.ndarray, slope: np.ndarray, curvature: np.ndarray, low: np.ndarray, high: np.ndarray
) -> _Kind:
    return _Kind(x, slope, curvature, low, high, low, high)


def _of_stores(program: Program, solution: Solution, behind: np.ndarray) -> Iterator[_Kind]:
    stores, value = program.stores, solution.state_value
    price = behind[stores.connection]
    by_state = stores.state_injects[:, None]
    of_controls = np.where(by_state, 0.0, price)
    nothing = np.zeros_like(stores.up_high)
    up_slope = stores.up_cost + of_controls - stores.up_gain[:, None] * value
    yield _plain(solution.up, up_slope, stores.up_curvature, nothing, stores.up_high)
    down_slope = stores.down_cost - of_controls + stores.down_gain[:, None] * value
    yield _plain(solution.down, down_slope, stores.down_curvature, nothing, stores.down_high)
    kept = np.zeros_like(value)
    kept[:, :-1] = stores.retention[:, None] * value[:, 1:]
    state_slope = stores.cost - np.where(by_state, price, 0.0) + value - kept
    least, most = reach.within(program)
    yield _Kind(solution.state, state_slope, stores.curvature, stores.low, stores.high, least, most)


def _of_nets(program: Program, solution: Solution, behind: np.ndarray) -> _Kind:
    net, capped = program.connections, program.connections.capped
    slope = (net.cost + behind - solution.zone_price[net.zone])[capped]
    low, high = net.low[capped], net.high[capped]
    least, most = (bound[capped] for bound in reach.nets(program))
    least, most = np.maximum(low, least), np.minimum(high, most)
    return _Kind(solution.net[capped], slope, net.curvature[capped], low, high, least, most)


def _of_lines(program: Program, solution: Solution) -> Iterator[_Kind]:
    lines, price = program.lines, solution.zone_price
    arriving = 1 - lines.loss[1:, None]
    lower, upper, fee = price[1:], price[lines.parent[1:]], lines.fee[1:]
    nothing = np.zeros_like(fee)
    export_slope, import_slope = fee + lower - arriving * upper, fee + upper - arriving * lower
    yield _plain(solution.exports[1:], export_slope, nothing, nothing, lines.export_limit[1:])
    yield _plain(solution.imports[1:], import_slope, nothing, nothing, lines.import_limit[1:])


def _behind(program: Program, solution: Solution) -> np.ndarray:
    """[M, T] what a kWh is worth behind each connection: by definition the zone's price where it is free."""
    connections = program.connections
    zonal = solution.zone_price[connections.zone]
    return np.where(connections.capped[:, None], solution.member_price, zonal)


def _constant(program: Program, solution: Solution) -> float:
    """What the Lagrangian costs where every variable is 0."""
    stores, value = program.stores, solution.state_value
    loads = (_behind(program, solution) * program.connections.fixed).sum()
    drifts = (value * stores.drift).sum() + (value[:, 0] * stores.retention * stores.initial).sum()
    return -float(loads + drifts)


def _price_split(program: Program, solution: Solution) -> float:
    """The worst difference between a member's price and the one that its connection says it has."""
    return _worst(solution.member_price - _behind(program, solution))


def _imbalance(program: Program, solution: Solution) -> float:
    """The worst violation of an equation: states, connections, zones; and of line 0, which carries nothing."""
    stores, lines, connections = program.stores, program.lines, program.connections
    before = np.concatenate([stores.initial[:, None], solution.state[:, :-1]], axis=1)
    moved = stores.up_gain[:, None] * solution.up - stores.down_gain[:, None] * solution.down
    state = solution.state - stores.retention[:, None] * before - moved - stores.drift
    parts = {kind: getattr(solution, kind) for kind in ("injection", "up", "down", "state")}
    net = solution.net - connections.fixed - behind_connections(program, parts)
    balance = np.zeros_like(solution.zone_price)
    np.add.at(balance, connections.zone, solution.net)
    arriving = 1 - lines.loss[1:, None]
    balance[1:] += arriving * solution.imports[1:] - solution.exports[1:]
    np.add.at(balance, lines.parent[1:], arriving * solution.exports[1:] - solution.imports[1:])
    return _worst(state, net, balance, solution.exports[:1], solution.imports[:1])


def _bound(program: Program, solution: Solution) -> float:
    """The dual function of a program with integers: each chooses for itself, its decisions included."""
    offers, up, down, *others = _kinds(program, solution)
    behind = _behind(program, solution)
    switched = program.offers.on_off[:, None]
    total = np.where(switched, np.minimum(offers.cheapest(), 0), offers.cheapest()).sum()
    both, either = up.cheapest() + down.cheapest(), np.minimum(up.cheapest(), down.cheapest())
    total += np.where(program.stores.exclusive[:, None], either, both).sum()
    for run in program.runs:
        total += (reach.run_courses(run, program.slots) @ behind[run.connection]).min()
    return float(_constant(program, solution) + total + sum(kind.cheapest().sum() for kind in others))


def _worst(*values: np.ndarray | float) -> float:
    """The largest absolute value; not a number if one of them is not, which Python's max would overlook."""
    return float(np.max([np.abs(part).max(initial=0.0) for part in map(np.asarray, values)]))
