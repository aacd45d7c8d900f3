"""Where the interior-point method begins: from nothing, or from the solution of a problem like it."""

from dataclasses import dataclass, fields, replace

import numpy as np

from clearwatt.dispatch.newton import Equations, Newton, Point
from clearwatt.dispatch.program import Solution

INSIDE = 0.5
"""How far from the middle towards its bounds a cold start goes at most."""

WARMTH = 1e-3
"""Barrier of a warm start, relative to cost times the range of a typical variable."""

NOTHING = 1e-300
"""Multiplier of a bound that isn't there: nothing, but one can divide by it."""

Begin = tuple[Point, np.ndarray, np.ndarray]
"""A point, and the multipliers of the bounds below and above: [T, V] each."""


@dataclass(frozen=True)
class Start:
    """A solution to begin from, of a program with the same assets and number of slots."""

    solution: Solution

    def shifted(self, slots: int) -> "Start":
        """The same seen from `slots` later: what comes new at the end is taken to be like a day... """
        raise NotImplementedError


def cold_start(equations: Equations, zone_price: np.ndarray | None) -> Begin:
    """One Newton step from the middle of all bounds, cut short."""
    layout = equations.layout
    half = np.where(layout.live, (layout.high - layout.low) / 2, 1)
    middle = np.where(layout.live, layout.low + half, layout.start)
    point = _flat(equations, middle, zone_price)
    gradient = equations.gradient(point)
    barrier = layout.cost_scale * float(np.median(half[layout.live])) if layout.live.any() else 1.0
    stiffness = layout.stiffness + np.where(layout.live, 2 * barrier / half**2, 0)
    given = None if zone_price is None else np.zeros_like(zone_price)
    step = Newton(equations, stiffness).step(-gradient, equations.residuals(point.x), given)
    x = middle + np.where(layout.live, np.clip(step.x, -INSIDE * half, INSIDE * half), 0)
    point = Point(
        settle(equations, x),
        point.zone_price + step.zone_price,
        point.home_price + step.home_price,
        point.value + step.value,
    )
    return point, *_multipliers(equations, point)


def _flat(equations: Equations, x: np.ndarray, zone_price: np.ndarray | None) -> Point:
    """A point with the same price everywhere, that of the middling offer; or with the prices that are given."""
    layout = equations.layout
    offers = layout.columns["offers"]
    costs = layout.cost[:, offers][layout.live[:, offers]]
    if zone_price is None:
        zone_price = np.full((len(x), len(layout.parent)), float(np.median(costs)) if costs.size else 0.0)
    home_price = zone_price[:, layout.home_zone]
    value = home_price[:, equations.store_home] * equations.gains.charging
    return Point(settle(equations, x), zone_price.copy(), home_price, value)


def settle(equations: Equations, x: np.ndarray) -> np.ndarray:
    """Net injections where they are no variables: what offers and stores make them. Changes and returns x."""
    layout = equations.layout
    net = equations.parts(x)["net"]
    net[...] = np.where(layout.capped, net, layout.fixed + equations.injections(x))
    return x


def _multipliers(equations: Equations, point: Point) -> tuple[np.ndarray, np.ndarray]:
    """Multipliers that make the gradient 0, no product of the two smaller than the cost scale squared."""
    layout, gradient = equations.layout, equations.gradient(point)
    below = (gradient + np.sqrt(gradient**2 + 4 * layout.cost_scale**2)) / 2
    return np.where(layout.live, below, NOTHING), np.where(layout.live, below - gradient, NOTHING)


def warm_start(equations: Equations, start: Start) -> Begin:
    raise NotImplementedError
