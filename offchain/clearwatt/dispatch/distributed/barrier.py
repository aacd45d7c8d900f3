"""A member's half of price-Newton: its own schedule, and what it tells about it.

A member keeps a schedule strictly within its bounds, with a multiplier for each bound. Told a price and a
smoothing mu it takes one Newton step towards

    minimise    own cost - price @ net injection - mu * sum of log(distance to every bound)

as far as its own bounds let it, and answers how its net injection is going to change with the price and with
mu. Summed over all members that is one iteration of the primal-dual interior-point method of `structured`, so
the rounds needed are its iterations. The step is corrected for its curvature by the member itself, as in [1]_,
which costs no round.

.. [1] M. Colombo, J. Gondzio, "Further development of multiple centrality correctors for interior point methods",
   Comput. Optim. Appl. 41 (2008).
"""

from dataclasses import dataclass, replace

import numpy as np

from clearwatt.dispatch.layout import lay_out
from clearwatt.dispatch.newton import Equations, Newton, Point
from clearwatt.dispatch.program import Program

TO_THE_BOUND = 0.99
CORRECTIONS = 3
STARTING_STEPS = 30
WIDER = 1e-9
"""How much wider bounds are made, relative and in kWh, so that there is something between them."""


@dataclass(frozen=True)
class Answer:
    """What a member says about itself, or the sum of what several say.

    net: [T] kWh of the present schedule. aimed: [T] at the end of a full step at the same price and mu. slope:
    [T, T] d aimed / d price, symmetric. drift: [T] d aimed / d mu. cost: currency. products: of distances and
    multipliers, summed. bounds: how many. lacking: of its own equations and its gradient, relative. length: of
    the last step, 0 to 1.
    """

    net: np.ndarray
    aimed: np.ndarray
    slope: np.ndarray
    drift: np.ndarray
    cost: float
    products: float
    bounds: float
    lacking: float
    length: float

    def numbers(self) -> np.ndarray:
        """[answer_size(T)] all of it, of the slope the upper triangle."""
        rows, columns = np.triu_indices(len(self.net))
        scalars = (self.cost, self.products, self.bounds, self.lacking, self.length)
        return np.concatenate([self.net, self.aimed, self.drift, self.slope[rows, columns], scalars])

    @staticmethod
    def of(numbers: np.ndarray, slots: int) -> "Answer":
        """The reverse of `numbers`."""
        net, aimed, drift = numbers[: 3 * slots].reshape(3, slots)
        slope = np.zeros((slots, slots))
        slope[np.triu_indices(slots)] = numbers[3 * slots : -5]
        slope += np.triu(slope, 1).T
        return Answer(net, aimed, slope, drift, *(float(number) for number in numbers[-5:]))


def answer_size(slots: int) -> int:
    """How many numbers an answer is."""
    return 3 * slots + slots * (slots + 1) // 2 + 5


class Member:
    """A member's program, of one zone whose price it is told."""

    def __init__(self, program: Program) -> None:
        self._layout = lay_out(_widened(program))
        self._equations = Equations(self._layout)
        self._live = self._layout.live
        self._point: Point | None = None

    def answer(self, price: np.ndarray, mu: float) -> Answer:
        """One step, and what comes of it. price: [T] currency per kWh. mu: currency."""
        length = 1.0
        if self._point is None:
            self._begin(price, mu)
            for _ in range(STARTING_STEPS):
                length = self._advance(price, mu)
        else:
            length = self._advance(price, mu)
        return self._answer(price, mu, length)

    def schedule(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Injections [U, T] of the offers, ups, downs and states [B, T] of the stores, in the program's order."""
        part, layout = self._equations.parts(self._point.x), self._layout
        offers, stores = np.argsort(layout.offer_order), np.argsort(layout.store_order)
        return part["offers"][:, offers].T, *(part[name][:, stores].T for name in ("up", "down", "state"))

    def _begin(self, price: np.ndarray, mu: float) -> None:
        layout, slots = self._layout, len(price)
        x = np.where(self._live, (layout.low + layout.high) / 2, layout.start)
        net = self._equations.parts(x)["net"]
        net[...] = np.where(layout.capped, net, layout.fixed + self._equations.injections(x))
        zone_price = np.tile(price[:, None], (1, len(layout.parent)))
        home_price = zone_price[:, layout.home_zone]
        self._point = Point(x, zone_price, home_price, np.zeros((slots, len(layout.store_order))))
        self._measure()
        self._below = np.where(self._live, mu / self._room_below, 0)
        self._above = np.where(self._live, mu / self._room_above, 0)

    def _measure(self) -> None:
        layout, x = self._layout, self._point.x
        self._room_below = np.where(self._live, x - layout.low, 1)
        self._room_above = np.where(self._live, layout.high - x, 1)
        self._lacking = self._equations.residuals(x)
        self._gradient = np.where(self._live, self._equations.gradient(self._point), 0)

    def _newton(self) -> Newton:
        return Newton(
            self._equations,
            self._layout.stiffness + self._below / self._room_below + self._above / self._room_above,
        )

    def _advance(self, price: np.ndarray, mu: float) -> float:
        """The longest of the step and its corrections; returns its length."""
        newton, change = self._newton(), price - self._point.zone_price[:, 0]
        best = trial = self._direction(newton, change, mu, 0.0, 0.0)
        for _ in range(CORRECTIONS):
            if best.length == 1:
                break
            move = trial.length * self._moves(trial.step)
            trial = self._direction(newton, change, mu, move * trial.below, move * trial.above)
            best = max(best, trial, key=lambda direction: direction.length)
        self._move(best)
        return best.length

    def _direction(
        self,
        newton: Newton,
        change: np.ndarray,
        mu: float,
        second_below: np.ndarray | float,
        second_above: np.ndarray | float,
    ) -> "_Direction":
        """The Newton step to products of distance and multiplier of mu, at the price changed so."""
        target_below, target_above = (
            (mu - second_below) / self._room_below,
            (mu + second_above) / self._room_above,
        )
        push = np.where(self._live, target_below - target_above - self._gradient, 0)
        step = _step(newton, push, self._lacking, change)
        move = self._moves(step)
        pull = self._below / self._room_below, self._above / self._room_above
        below = np.where(self._live, target_below - pull[0] * move - self._below, 0)
        above = np.where(self._live, target_above + pull[1] * move - self._above, 0)
        fastest = max(
            _largest_fall(move, self._room_below),
            _largest_fall(-move, self._room_above),
            _largest_fall(below, np.where(self._live, self._below, 1)),
            _largest_fall(above, np.where(self._live, self._above, 1)),
        )
        return _Direction(step, below, above, min(1.0, TO_THE_BOUND / fastest) if fastest > 0 else 1.0)

    def _moves(self, step: Point) -> np.ndarray:
        return np.where(self._live, step.x, 0)

    def _move(self, direction: "_Direction") -> None:
        point, step, length = self._point, direction.step, direction.length
        x = point.x + length * np.where(self._live | self._net_is_made(), step.x, 0)
        self._point = Point(
            x,
            point.zone_price + length * step.zone_price,
            point.home_price + length * step.home_price,
            point.value + length * step.value,
        )
        self._below = self._below + length * direction.below
        self._above = self._above + length * direction.above
        self._measure()

    def _net_is_made(self) -> np.ndarray:
        """bool[T, V]: net injections that are no variables but follow from what is behind them."""
        made = np.zeros_like(self._live)
        self._equations.parts(made)["net"][...] = ~self._layout.capped
        return made

    def _answer(self, price: np.ndarray, mu: float, length: float) -> Answer:
        layout, live, x = self._layout, self._live, self._point.x
        newton, change = self._newton(), price - self._point.zone_price[:, 0]
        push = np.where(live, mu / self._room_below - mu / self._room_above - self._gradient, 0)
        drift = np.where(live, 1 / self._room_below - 1 / self._room_above, 0)
        nothing = tuple(np.zeros_like(lacking) for lacking in self._lacking)
        net = self._net(x)
        products = self._room_below * self._below + self._room_above * self._above
        return Answer(
            net=net,
            aimed=net + self._net(_step(newton, push, self._lacking, change).x),
            slope=_slope(newton),
            drift=self._net(_step(newton, drift, nothing, np.zeros(len(net))).x),
            cost=float((layout.cost * x + layout.curvature / 2 * x * x).sum()),
            products=float(products[live].sum()),
            bounds=2.0 * int(live.sum()),
            lacking=self._lack(change),
            length=length,
        )

    def _net(self, x: np.ndarray) -> np.ndarray:
        part = self._equations.parts(x)
        return self._equations.balances(part["net"], part["flow"])[:, 0]

    def _lack(self, change: np.ndarray) -> float:
        layout, inner = self._layout, self._lacking[2][:, 1:]
        equations = max(_largest(part) for part in (*self._lacking[:2], inner))
        tilted = np.where(self._live, self._gradient - self._below + self._above, 0)
        return equations / layout.energy_scale + max(_largest(tilted), _largest(change)) / (
            1 + layout.cost_scale
        )


@dataclass(frozen=True)
class _Direction:
    """A step, the multipliers' changes, and the part of it that stays within all bounds."""

    step: Point
    below: np.ndarray
    above: np.ndarray
    length: float


def _widened(program: Program) -> Program:
    """The program with wider bounds of what its equations tie together."""
    stores, connections = program.stores, program.connections
    none = np.zeros_like(stores.up_high)
    low, high = widened(stores.low, stores.high)
    net_low, net_high = widened(connections.low, connections.high)
    return replace(
        program,
        stores=replace(
            stores,
            low=low,
            high=high,
            up_high=widened(none, stores.up_high)[1],
            down_high=widened(none, stores.down_high)[1],
        ),
        connections=replace(connections, low=net_low, high=net_high),
    )


def widened(low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bounds a hair further apart, unless they are equal."""
    apart = low < high
    return (
        np.where(apart, low - WIDER * (1 + np.abs(low)), low),
        np.where(apart, high + WIDER * (1 + np.abs(high)), high),
    )


def _step(newton: Newton, push: np.ndarray, lacking: tuple[np.ndarray, ...], change: np.ndarray) -> Point:
    """The step at a given change [T] of the outer price."""
    return newton.step(push, lacking, change[:, None])


def _inner_zones(newton: Newton, blocks: np.ndarray) -> list[tuple[int, np.ndarray, np.ndarray]]:
    """The inner zones: number, response [T, T] with the line to the outer one, and the line's freedom [T]."""
    free = newton.free["flow"]
    return [
        (int(zone), blocks[zone] + np.diag(free[:, link]), free[:, link])
        for link, zone in enumerate(newton.layout.links.lower)
    ]


def _slope(newton: Newton) -> np.ndarray:
    """[T, T] d net injection / d outer price, the inner zones in balance."""
    blocks = newton.responses()
    slope = blocks[0].copy()
    for _, block, free in _inner_zones(newton, blocks):
        slope += np.diag(free) - free[:, None] * np.linalg.solve(block, np.diag(free))
    return (slope + slope.T) / 2


def _largest(values: np.ndarray) -> float:
    return float(np.abs(values).max(initial=0))


def _largest_fall(change: np.ndarray, room: np.ndarray) -> float:
    return float((-change / room).max(initial=0))
