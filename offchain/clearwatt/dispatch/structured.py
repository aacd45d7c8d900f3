"""A primal-dual interior-point method that knows what a dispatch problem looks like.

Every variable has its own bounds, so what a Newton step needs is 1/w per variable (`blocks`), and elimination
runs the way the problem hangs together: controls into states, states along time, offers and stores into their home's
net injection, homes into their zone's balance, zones along the tree (`newton`, `zones`). What is left at the end
is one dense [T, T] system per zone; time and memory are linear in the number of members.

The method is Mehrotra's predictor and corrector [1]_. Iterates are strictly within their bounds and dual feasible from the
start; only the equations' residuals have to be brought to 0.

.. [1] S. Mehrotra, "On the implementation of a primal-dual interior point method", SIAM J. Optim. 2 (1992).
"""

import logging
import time
from dataclasses import dataclass, replace

import numpy as np

from clearwatt import __version__
from clearwatt.dispatch.errors import NotConverged
from clearwatt.dispatch.layout import Layout, lay_out
from clearwatt.dispatch.newton import Equations, Newton, Point
from clearwatt.dispatch.program import Program, Solution, objective

log = logging.getLogger(__name__)

TOLERANCE = 1e-8
MAX_ITERATIONS = 100
SOLVER = f"clearwatt structured interior point {__version__}"
TO_THE_BOUND = 0.995
STILL = 1e12
"""Stiffness of what is fixed."""
NOTHING = 1e-300
"""Multiplier of a bound that isn't there: nothing, but one can divide by it."""


@dataclass(frozen=True)
class Progress:
    """Where an iteration stands: all relative, 0 at the optimum.

    lacking: of the equations, largest. gap: between primal and dual objective. tilted: of the gradient, largest.
    """

    lacking: float
    gap: float
    tilted: float

    @property
    def worst(self) -> float:
        return max(self.lacking, self.gap, self.tilted)


def solve(program: Program, *, tolerance: float = TOLERANCE, max_iterations: int = MAX_ITERATIONS) -> Solution:
    """The optimum of a program without integers.

    Raises NotConverged with how far it came.
    """
    began = time.perf_counter()
    method = InteriorPoint(lay_out(program))
    for iteration in range(max_iterations):
        progress = method.progress()
        log.debug("%3d lacking %.1e gap %.1e tilted %.1e", iteration, progress.lacking, progress.gap, progress.tilted)
        if progress.worst <= tolerance:
            return method.solution(iteration, time.perf_counter() - began)
        method.advance()
    raise NotConverged(f"{SOLVER}: after {max_iterations} iterations {method.progress()}")


class InteriorPoint:
    """The iterates."""

    def __init__(self, layout: Layout) -> None:
        self.layout, self.equations = layout, Equations(layout)
        self.live = layout.live
        self.count = 2 * int(self.live.sum())
        self.point = self._start()
        gradient = self.equations.gradient(self.point)
        scale = self._cost_scale()
        self.below = np.where(self.live, np.maximum(gradient, 0) + scale, NOTHING)
        self.above = np.where(self.live, np.maximum(-gradient, 0) + scale, NOTHING)
        self._measure()

    def _cost_scale(self) -> float:
        costs = np.abs(self.layout.cost[self.live])
        return float(costs.mean()) if costs.size and costs.any() else 1.0

    def _start(self) -> Point:
        layout = self.layout
        x = (layout.low + layout.high) / 2
        net = self.equations.parts(x)["net"]
        net[...] = np.where(layout.capped, net, layout.fixed + self.equations.injections(x))
        slots = len(x)
        return Point(
            x,
            np.zeros((slots, len(layout.parent))),
            np.zeros((slots, len(layout.home_zone))),
            np.zeros((slots, len(layout.store_order))),
        )

    def _measure(self) -> None:
        """Distances to the bounds, residuals and gradient at the present point."""
        layout, x = self.layout, self.point.x
        self.room_below = np.where(self.live, x - layout.low, 1)
        self.room_above = np.where(self.live, layout.high - x, 1)
        self.lacking = self.equations.residuals(x)
        self.gradient = np.where(self.live, self.equations.gradient(self.point), 0)

    def progress(self) -> Progress:
        x, layout = self.point.x, self.layout
        cost = float((layout.cost * x + layout.curvature / 2 * x * x)[self.live].sum())
        tilted = self.gradient - self.below + self.above
        complementarity = self._complementarity() * self.count
        lacking = max((float(np.abs(part).max(initial=0)) for part in self.lacking), default=0)
        return Progress(
            lacking / (1 + float(np.abs(layout.fixed).max(initial=0))),
            complementarity / (1 + abs(cost)),
            float(np.abs(tilted).max(initial=0)) / (1 + self._cost_scale()),
        )

    def _complementarity(self) -> float:
        total = (self.room_below * self.below).sum() + (self.room_above * self.above).sum()
        return float(total) / max(self.count, 1)

    def advance(self) -> None:
        """One predictor and corrector."""
        pull_below, pull_above = self.below / self.room_below, self.above / self.room_above
        stiffness = np.where(self.live, self.layout.curvature + pull_below + pull_above, STILL)
        newton = Newton(self.equations, stiffness, np.where(self.live, 1 / stiffness, 0))
        aim, step = 0.0, None
        correction_below = correction_above = 0.0
        for attempt in range(2):
            target_below = (aim - correction_below) / self.room_below
            target_above = (aim - correction_above) / self.room_above
            push = np.where(self.live, target_below - target_above - self.gradient, 0)
            step = newton.step(push, self.lacking)
            move = np.where(self.live, step.x, 0)
            below = np.where(self.live, target_below - pull_below * move - self.below, 0)
            above = np.where(self.live, target_above + pull_above * move - self.above, 0)
            primal = _longest((self.room_below, move), (self.room_above, -move))
            dual = _longest((self.below, below), (self.above, above))
            if attempt == 0:
                after = ((self.room_below + primal * move) * (self.below + dual * below)).sum() + (
                    (self.room_above - primal * move) * (self.above + dual * above)
                ).sum()
                now = self._complementarity()
                ratio = float(after) / max(self.count, 1) / now
                aim = now * ratio**3
                correction_below, correction_above = move * below, -move * above
        if not self.layout.program.is_linear:
            primal = dual = min(primal, dual)
        primal, dual = min(1, TO_THE_BOUND * primal), min(1, TO_THE_BOUND * dual)
        self._move(step, below, above, primal, dual)

    def _move(self, step: Point, below: np.ndarray, above: np.ndarray, primal: float, dual: float) -> None:
        point = self.point
        self.point = Point(
            point.x + primal * step.x,
            point.zone_price + dual * step.zone_price,
            point.home_price + dual * step.home_price,
            point.value + dual * step.value,
        )
        self.below = self.below + dual * below
        self.above = self.above + dual * above
        self._measure()

    def solution(self, iterations: int, seconds: float) -> Solution:
        """The present point in the program's own order."""
        return _solution(self.layout, self.point, iterations, seconds)


def _longest(*pairs: tuple[np.ndarray, np.ndarray]) -> float:
    """The longest step at which no room is left in one place; infinite where there is no such place."""
    fastest = max(float((-change / room).max(initial=0)) for room, change in pairs)
    return 1 / fastest if fastest > 0 else np.inf


def _solution(layout: Layout, point: Point, iterations: int, seconds: float) -> Solution:
    program, part = layout.program, {name: point.x[:, where] for name, where in layout.columns.items()}
    zones, lines = program.zones, program.zones - 1
    flows = np.zeros((2, zones, program.slots))
    flows[0, 1:], flows[1, 1:] = part["flow"][:, :lines].T, part["flow"][:, lines : 2 * lines].T
    offers, stores = np.argsort(layout.offer_order), np.argsort(layout.store_order)
    net = program.connections.fixed.copy()
    injection = part["offers"][:, offers].T
    up, down, state = (part[name][:, stores].T for name in ("up", "down", "state"))
    np.add.at(net, program.offers.connection, injection)
    np.add.at(net, program.stores.connection, np.where(program.stores.state_injects[:, None], state, down - up))
    found = Solution(
        injection=injection,
        up=up,
        down=down,
        state=state,
        net=net,
        exports=flows[0],
        imports=flows[1],
        zone_price=point.zone_price[:, :zones].T,
        member_price=point.home_price[:, layout.home_of].T,
        state_value=point.value[:, stores].T,
        starts=(),
        objective=0.0,
        solver=SOLVER,
        iterations=iterations,
        seconds=seconds,
    )
    return replace(found, objective=objective(program, found))
