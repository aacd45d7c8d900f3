"""A primal-dual interior-point method that knows what a dispatch problem looks like.

Every variable has its own bounds, so what a Newton step needs is 1/w per variable (`blocks`), and elimination
runs the way the problem hangs together: controls into states, states along time, offers and stores into their
home's net injection, homes into their zone's balance, zones along the tree (`newton`, `zones`). What is left at
the end is one dense [T, T] system per zone; a step's time and memory are linear in the number of members.

The method is Mehrotra's predictor and corrector [1]_ with Gondzio's corrections towards the centre [2]_. Iterates
are strictly within their bounds; only the equations' residuals have to be brought to 0.

.. [1] S. Mehrotra, "On the implementation of a primal-dual interior point method", SIAM J. Optim. 2 (1992).
.. [2] J. Gondzio, "Multiple centrality corrections in a primal-dual method", Comput. Optim. Appl. 6 (1996).
"""

import logging
import time
from dataclasses import dataclass, replace

import numpy as np

from clearwatt import __version__
from clearwatt.dispatch.blas import one_blas_thread
from clearwatt.dispatch.errors import NotConverged
from clearwatt.dispatch.layout import Layout, lay_out
from clearwatt.dispatch.newton import Equations, Newton, Point
from clearwatt.dispatch.program import Program, Solution, objective
from clearwatt.dispatch.start import Start, cold_start, warm_start

log = logging.getLogger(__name__)

TOLERANCE = 1e-8
MAX_ITERATIONS = 200
SOLVER = f"clearwatt structured interior point {__version__}"

TO_THE_BOUND = 0.9
"""Share of the way to the first bound that a step goes."""

CORRECTIONS = 2
REACH = 0.3
"""How much longer a step each correction tries to make possible."""
SPREAD = 0.3
"""Products of distance and multiplier below this share of the mean, or as far above, are corrected."""
ENOUGH = 0.1
"""No step aims at a gap below this share of the tolerance: the closer to the bounds, the less accurate a step."""
WORTH = 0.01
"""Share of the reach that a correction must gain for another one to follow."""


@dataclass(frozen=True)
class Progress:
    """Where an iteration stands: all relative, 0 at the optimum.

    lacking: of the equations, largest. gap: at most this between primal and dual cost. tilted: of the gradient,
    largest.
    """

    lacking: float
    gap: float
    tilted: float

    @property
    def worst(self) -> float:
        """The largest of the three; not a number if one isn't."""
        return float(np.max((self.lacking, self.gap, self.tilted)))

    def __str__(self) -> str:
        return f"residuals {self.lacking:.1e} primal, {self.tilted:.1e} dual; gap {self.gap:.1e}"


def solve(
    program: Program,
    *,
    start: Start | None = None,
    tolerance: float = TOLERANCE,
    max_iterations: int = MAX_ITERATIONS,
) -> Solution:
    """The optimum of a program without integers.

    start: a solution of a program of the same shape that is not far from this one.
    Raises NotConverged with how far it came: there may be no feasible schedule (`infeasible`).
    """
    return _run(program, None, start, tolerance, max_iterations)


def respond(
    program: Program,
    zone_price: np.ndarray,
    *,
    start: Start | None = None,
    tolerance: float = TOLERANCE,
    max_iterations: int = MAX_ITERATIONS,
) -> Solution:
    """What everybody does best at given prices, whether or not the zones then balance.

    zone_price: [Z, T] currency per kWh.
    """
    return _run(program, zone_price, start, tolerance, max_iterations)


def _run(
    program: Program,
    zone_price: np.ndarray | None,
    start: Start | None,
    tolerance: float,
    max_iterations: int,
) -> Solution:
    if program.has_integers:
        raise NotConverged("the structured method takes no integers; solve_highs does")
    began = time.perf_counter()
    with one_blas_thread(), np.errstate(all="ignore"):  # what is not a number ends the loop
        method = InteriorPoint(lay_out(program), zone_price, start, tolerance)
        for iteration in range(max_iterations + 1):
            progress = method.progress()
            log.debug("iteration %d: %s", iteration, progress)
            if progress.worst <= tolerance:
                return method.solution(iteration, time.perf_counter() - began)
            if not np.isfinite(progress.worst) or iteration == max_iterations or not method.advance():
                raise NotConverged(f"{SOLVER} stopped after {iteration} iterations with {progress}")
    raise AssertionError("the loop ends by itself")


@dataclass(frozen=True)
class _Direction:
    """A step of everything, and how far it can be gone before the first bound: of x and of the multipliers."""

    step: Point
    below: np.ndarray
    above: np.ndarray
    primal: float
    dual: float

    @property
    def reach(self) -> float:
        return self.primal + self.dual


class InteriorPoint:
    """The iterates: a point, and the multipliers of the bounds below and above each variable."""

    def __init__(
        self,
        layout: Layout,
        zone_price: np.ndarray | None = None,
        start: Start | None = None,
        tolerance: float = TOLERANCE,
    ) -> None:
        self.layout, self.equations = layout, Equations(layout)
        self._given = None if zone_price is None else zone_price.T
        self._still = None if zone_price is None else np.zeros_like(zone_price.T)
        self._count = max(2 * int(layout.live.sum()), 1)
        self._tolerance = tolerance
        begin = (
            cold_start(self.equations, self._given) if start is None else warm_start(self.equations, start)
        )
        self.point, self.below, self.above = begin
        self._measure()

    def _measure(self) -> None:
        """Distances to the bounds, residuals and gradient at the present point."""
        x = self.point.x
        self.room_below = x - self.layout.low
        self.room_above = self.layout.high - x
        self.lacking = self.equations.residuals(x)
        self.gradient = self.equations.gradient(self.point)
        self.pull = np.where(self.layout.live, self.gradient, self.layout.stiffness * (x - self.layout.start))

    def progress(self) -> Progress:
        """How far from the optimum the present point is."""
        layout = self.layout
        tilted = self.gradient - self.below
        tilted += self.above
        tilted *= layout.live
        tilted = np.abs(tilted, out=tilted)
        zones = slice(0 if self._given is None else self._given.shape[1], None)
        states, homes, balances = self.lacking[0], self.lacking[1], self.lacking[2][:, zones]
        lacking = float(np.max([_largest(rows) for rows in (states, homes, balances)]))
        gap = self._complementarity() * self._count
        gap += float(np.vdot(tilted, np.minimum(self.room_below, self.room_above)))
        prices = self.point.value, self.point.home_price, self.point.zone_price[:, zones]
        for rows, price in zip((states, homes, balances), prices, strict=True):
            gap += float(np.abs(rows * price).sum())
        return Progress(
            lacking / layout.energy_scale,
            gap / self._value_scale,
            float(tilted.max(initial=0)) / (1 + layout.cost_scale),
        )

    @property
    def _value_scale(self) -> float:
        """1, or what the present point costs."""
        layout, x = self.layout, self.point.x
        cost = layout.curvature * x
        cost *= 0.5
        cost += layout.cost
        cost *= layout.live
        return 1 + abs(float(np.vdot(cost, x)))

    def _complementarity(self) -> float:
        """Mean product of distance and multiplier."""
        below = np.vdot(self.room_below, self.below)
        return float(below + np.vdot(self.room_above, self.above)) / self._count

    def advance(self) -> bool:
        """A step nearer to the optimum; False if rounding leaves none."""
        try:
            self._advance()
        except np.linalg.LinAlgError as error:
            log.debug("no step: %s", error)
            return False
        return True

    def _advance(self) -> None:
        """One predictor, one corrector, and corrections towards the centre while they pay."""
        pull_below, pull_above = self.below / self.room_below, self.above / self.room_above
        stiffness = self.layout.stiffness + pull_below
        stiffness += pull_above
        newton = Newton(self.equations, stiffness)
        pulls = pull_below, pull_above
        predictor = self._direction(newton, pulls, (0.0, 0.0))
        mean = self._complementarity()
        least = ENOUGH * self._tolerance * self._value_scale / self._count
        aim = max(mean * (self._complementarity_after(predictor) / mean) ** 3, least)
        aims = aim - predictor.step.x * predictor.below, aim + predictor.step.x * predictor.above
        best = self._direction(newton, pulls, aims)
        for _ in range(CORRECTIONS):
            self._correct(aims, best, aim)
            trial = self._direction(newton, pulls, aims)
            gain = trial.reach - best.reach
            best = trial if gain > 0 else best
            if gain < WORTH * REACH:
                break
        self._move(best)

    def _direction(self, newton: Newton, pulls: tuple, aims: tuple) -> _Direction:
        """The Newton step towards products of distance and multiplier equal to the aims."""
        below, above = aims[0] / self.room_below, aims[1] / self.room_above
        push = below - above
        push -= self.pull
        step = newton.step(push, self.lacking, self._still)
        below -= np.multiply(pulls[0], step.x, out=push)
        below -= self.below
        above += np.multiply(pulls[1], step.x, out=push)
        above -= self.above
        primal = _longest(push, (step.x, self.room_below, -1), (step.x, self.room_above, 1))
        dual = _longest(push, (below, self.below, -1), (above, self.above, -1))
        return _Direction(step, below, above, primal, dual)

    def _complementarity_after(self, direction: _Direction) -> float:
        """What is left of it at the end of a step."""
        moved = direction.primal * direction.step.x
        below = np.vdot(self.room_below + moved, self.below + direction.dual * direction.below)
        above = np.vdot(self.room_above - moved, self.above + direction.dual * direction.above)
        return float(below + above) / self._count

    def _correct(self, aims: tuple[np.ndarray, np.ndarray], direction: _Direction, aim: float) -> None:
        """Aim differently at the products that would get in the way of a longer step."""
        primal, dual = min(1.0, direction.primal + REACH), min(1.0, direction.dual + REACH)
        least, most = SPREAD * aim, aim / SPREAD
        sides = (
            (aims[0], self.room_below, primal, self.below, direction.below),
            (aims[1], self.room_above, -primal, self.above, direction.above),
        )
        for goal, room, along, multiplier, change in sides:
            product = along * direction.step.x
            product += room
            wanted = dual * change
            wanted += multiplier
            product *= wanted
            np.clip(product, least, most, out=wanted)
            wanted -= product
            goal += np.maximum(wanted, -most, out=wanted)

    def _move(self, direction: _Direction) -> None:
        primal, dual = TO_THE_BOUND * direction.primal, TO_THE_BOUND * direction.dual
        point, step = self.point, direction.step
        self.point = Point(
            point.x + primal * step.x,
            point.zone_price + dual * step.zone_price,
            point.home_price + dual * step.home_price,
            point.value + dual * step.value,
        )
        self.below = self.below + dual * direction.below
        self.above = self.above + dual * direction.above
        self._measure()

    def solution(self, iterations: int, seconds: float) -> Solution:
        """The present point in the program's own order."""
        return _solution(self.layout, self.point, iterations, seconds)


def _largest(values: np.ndarray) -> float:
    return float(np.maximum(values.max(initial=0), -values.min(initial=0)))


def _longest(speed: np.ndarray, *changes: tuple[np.ndarray, np.ndarray, int]) -> float:
    """The longest step, at most 1, that uses up no room.

    speed: scratch. changes: each with the room it has and the sign of the direction that uses it.
    """
    fastest = 1.0
    for change, room, sign in changes:
        np.divide(change, room, out=speed)
        fastest = max(fastest, float(speed.max(initial=0) if sign > 0 else -speed.min(initial=0)))
    return 1 / fastest


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
    np.add.at(
        net, program.stores.connection, np.where(program.stores.state_injects[:, None], state, down - up)
    )
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
