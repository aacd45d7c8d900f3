"""Where the interior-point method begins: from nothing, or from the solution of a problem like it."""

from dataclasses import dataclass, replace

import numpy as np

from clearwatt.dispatch.errors import DispatchError
from clearwatt.dispatch.layout import Layout
from clearwatt.dispatch.newton import Equations, Newton, Point
from clearwatt.dispatch.program import Solution

INSIDE = 0.5
"""How far from the middle towards its bounds a cold start goes at most."""

WARMTH = 1e-3
"""Barrier of a warm start for each kWh that its equations lack, in shares of the cost scale: the less the problem has
changed, the nearer to its bounds the solution may stay."""

LUKEWARM = 1e-3
"""The least and (1) the most that is counted as lacking, kWh."""

EVEN = 0.01
"""Gradients below this share of the cost scale don't say at which bound a variable is."""

NOTHING = 1e-300
"""Multiplier of a bound that isn't there: nothing, but one can divide by it."""

Begin = tuple[Point, np.ndarray, np.ndarray]
"""A point, and the multipliers of the bounds below and above: [T, V] each."""

OVER_TIME = ("injection", "up", "down", "state", "net", "exports", "imports")
PRICES = ("zone_price", "member_price", "state_value")


@dataclass(frozen=True)
class Start:
    """A solution to begin from: of a program with the same assets and the same number of slots."""

    solution: Solution

    def shifted(self, slots: int) -> "Start":
        """The same seen from `slots` later. What comes new at the end is taken to be like what has passed: right
        for a horizon of whole days."""
        moved = {name: np.roll(getattr(self.solution, name), -slots, axis=1) for name in OVER_TIME + PRICES}
        return Start(replace(self.solution, **moved))


def cold_start(equations: Equations, given: np.ndarray | None) -> Begin:
    """One Newton step from the middle of all bounds, cut short.

    given: [T, n] prices of the program's own zones, or None.
    """
    layout = equations.layout
    half = np.where(layout.live, (layout.high - layout.low) / 2, 1)
    middle = np.where(layout.live, layout.low + half, layout.start)
    point = _flat(equations, middle, given)
    gradient = np.where(layout.live, equations.gradient(point), 0)
    barrier = layout.cost_scale * float(np.median(half[layout.live])) if layout.live.any() else 1.0
    stiffness = layout.stiffness + np.where(layout.live, 2 * barrier / half**2, 0)
    still = None if given is None else np.zeros_like(given)
    step = Newton(equations, stiffness).step(-gradient, equations.residuals(point.x), still)
    x = middle + np.where(layout.live, np.clip(step.x, -INSIDE * half, INSIDE * half), 0)
    point = Point(
        settle(equations, x),
        point.zone_price + step.zone_price,
        point.home_price + step.home_price,
        point.value + step.value,
    )
    return point, *_multipliers(equations, point)


def warm_start(equations: Equations, start: Start) -> Begin:
    """The solution, moved a little way inside the bounds where it is at one."""
    layout = equations.layout
    if start.solution.state.shape != layout.program.stores.low.shape or (
        start.solution.injection.shape != layout.program.offers.low.shape
    ):
        raise DispatchError("A warm start needs the solution of a program with the same assets and slots.")
    point = _point_of(layout, start.solution)
    lacking = np.max(
        [np.abs(rows).max(initial=0) for rows in equations.residuals(settle(equations, point.x))]
    )
    barrier = WARMTH * layout.cost_scale * float(np.clip(lacking, LUKEWARM, 1))
    gradient = np.where(layout.live, equations.gradient(point), 0)
    half = np.where(layout.live, (layout.high - layout.low) / 2, 1)
    inside = np.minimum(barrier / (np.abs(gradient) + EVEN * layout.cost_scale), half)
    x = np.clip(point.x, layout.low + inside, layout.high - inside)
    point.x = settle(equations, np.where(layout.live, x, layout.start))
    free = barrier / np.where(gradient > 0, layout.high - point.x, point.x - layout.low)
    below, above = np.maximum(gradient, 0) + free, np.maximum(-gradient, 0) + free
    return point, np.where(layout.live, below, NOTHING), np.where(layout.live, above, NOTHING)


def _point_of(layout: Layout, solution: Solution) -> Point:
    """A solution in the layout's order. A connection's own home, or zone, has the price behind its cap."""
    program = layout.program
    zones = layout.zone_of_connection
    zone_price = np.zeros((program.slots, len(layout.parent)))
    home_price = np.zeros((program.slots, len(layout.home_zone)))
    net = np.zeros_like(home_price)
    zone_price[:, zones] = solution.member_price.T
    zone_price[:, : program.zones] = solution.zone_price.T
    home_price[:, layout.home_of] = solution.member_price.T
    home_price = np.where(layout.capped, home_price, zone_price[:, layout.home_zone])
    net[:, layout.home_of] = solution.net.T
    own_zone = np.flatnonzero(zones >= program.zones)
    parts = (
        solution.injection[layout.offer_order].T,
        *(part[layout.store_order].T for part in (solution.up, solution.down, solution.state)),
        net,
        solution.exports[1:].T,
        solution.imports[1:].T,
        solution.net[own_zone].T,
    )
    value = np.ascontiguousarray(solution.state_value[layout.store_order].T)
    return Point(np.concatenate(parts, axis=1), zone_price, home_price, value)


def _flat(equations: Equations, x: np.ndarray, given: np.ndarray | None) -> Point:
    """A point with the same price everywhere, that of the middling offer; or with the prices that are given."""
    layout = equations.layout
    zone_price = np.empty((len(x), len(layout.parent)))
    if given is None:
        offers = layout.columns["offers"]
        costs = layout.cost[:, offers][layout.live[:, offers]]
        zone_price[...] = float(np.median(costs)) if costs.size else 0.0
    else:
        zone_price[:, : given.shape[1]] = given
        added = range(given.shape[1], len(layout.parent))
        zone_price[:, added] = given[:, layout.parent[added]]
    home_price = zone_price[:, layout.home_zone]
    value = home_price[:, equations.store_home] * equations.gains.charging
    return Point(settle(equations, x), zone_price, home_price, value)


def settle(equations: Equations, x: np.ndarray) -> np.ndarray:
    """Net injections where they are no variables: what offers and stores make them. Changes and returns x."""
    layout = equations.layout
    net = equations.parts(x)["net"]
    net[...] = np.where(layout.capped, net, layout.fixed + equations.injections(x))
    return x


def _multipliers(equations: Equations, point: Point) -> tuple[np.ndarray, np.ndarray]:
    """Multipliers that make the gradient 0; the product of the two is the cost scale squared."""
    layout, gradient = equations.layout, equations.gradient(point)
    below = (gradient + np.sqrt(gradient**2 + 4 * layout.cost_scale**2)) / 2
    return np.where(layout.live, below, NOTHING), np.where(layout.live, below - gradient, NOTHING)
