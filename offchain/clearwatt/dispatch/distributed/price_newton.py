"""Price-Newton: members answer prices, their sums make the next prices; a dispatch to 1e-6 in some twenty rounds.

    community = split(program, public=[0])
    with run(community, processes=2) as coordinator:
        result = solve(community, coordinator)

A round is one message to each member (prices of its zone, and the smoothing mu) and its answer (`barrier`),
added under masks by zone. Together that is an iteration of the structured interior-point method: the members
hold their variables, the coordinator the lines (`network`), and the only thing that joins them, the prices, has
its Newton system in the sums.
"""

import contextlib
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from clearwatt.dispatch.blas import one_blas_thread
from clearwatt.dispatch.distributed.agent import Agent
from clearwatt.dispatch.distributed.barrier import Answer, answer_size
from clearwatt.dispatch.distributed.community import Community
from clearwatt.dispatch.distributed.coordinator import Coordinator, Fault, Rules
from clearwatt.dispatch.distributed.network import Network, Totals
from clearwatt.dispatch.distributed.transport import InProcess, Processes
from clearwatt.dispatch.errors import NotConverged

log = logging.getLogger(__name__)

TOLERANCE = 1e-6
MAX_ROUNDS = 60
FALL, STEEPEST, FLATTEST = 0.7, 0.05, 0.8
"""mu falls to (1 - mean step length) ** FALL of what it really is, within these limits."""
REST = 0.3
"""Part of the tolerance that the smoothing may use up at the end."""


@dataclass(frozen=True)
class Result:
    """What the coordinator knows at the end; schedules are the members' own.

    zone_price, balance, exports, imports: [Z, T]; balance is what is too much. injection: [U, T] of the public
    offers. cost: currency, of all. gap, residual: relative. rounds: of messages. seconds: wall clock.
    """

    zone_price: np.ndarray
    balance: np.ndarray
    exports: np.ndarray
    imports: np.ndarray
    injection: np.ndarray
    cost: float
    gap: float
    residual: float
    rounds: int
    seconds: float
    faults: tuple[Fault, ...] = ()
    history: tuple[tuple[float, float], ...] = field(default=(), repr=False)


@contextlib.contextmanager
def run(community: Community, *, processes: int = 0, rules: Rules | None = None) -> Iterator[Coordinator]:
    """A coordinator and the community's members, in this process or spread over others; ended at the end."""
    if processes:
        hosts = [{own.name: own for own in community.members[first::processes]} for first in range(processes)]
        transport = Processes(Agent, hosts)
    else:
        transport = InProcess({own.name: Agent(own) for own in community.members})
    with contextlib.closing(transport):
        yield Coordinator(transport, {own.name: own.zone for own in community.members}, rules)


def solve(
    community: Community,
    coordinator: Coordinator,
    *,
    tolerance: float = TOLERANCE,
    max_rounds: int = MAX_ROUNDS,
    price: float | None = None,
) -> Result:
    """Optimal prices, flows and public injections; the members hold the schedules that go with them.

    price: to begin with, currency per kWh; the mean of the public offers' costs if None.
    Raises NotConverged.
    """
    began = time.perf_counter()
    state = _State(community, coordinator, _first_price(community, price))
    with one_blas_thread():
        for _ in range(max_rounds):
            state.ask()
            log.debug("mu %.1e gap %.1e residual %.1e", state.mu, state.gap, state.residual)
            if max(state.gap, state.residual) <= tolerance:
                return state.result(coordinator, time.perf_counter() - began)
            state.advance(tolerance)
    raise NotConverged(
        f"price-Newton: gap {state.gap:.1e}, residual {state.residual:.1e} after {max_rounds} rounds"
    )


def _first_price(community: Community, price: float | None) -> float:
    if price is not None:
        return price
    return float(community.offers.cost.mean()) if community.offers.cost.size else 0.0


class _State:
    """Prices, mu and what the last round said."""

    def __init__(self, community: Community, coordinator: Coordinator, price: float) -> None:
        self._community, self._coordinator = community, coordinator
        self._price = np.full((community.zones, community.slots), price)
        self.mu = 0.1 * max(abs(price), 0.1)
        self._network = Network(community, self.mu)
        self.gap = self.residual = np.inf
        self._history: list[tuple[float, float]] = []

    def ask(self) -> None:
        """One round."""
        slots = self._community.slots
        rows = self._price[:, None]
        sums = self._coordinator.sums("newton", rows, answer_size(slots), mu=self.mu)
        answers = [Answer.of(zone, slots) for zone in sums]
        self._totals = Totals(
            *(
                np.stack([getattr(one, name) for one in answers])
                for name in ("net", "aimed", "slope", "drift")
            )
        )
        total = Answer.of(sums.sum(axis=0), slots)
        self._cost = total.cost + self._network.cost
        self._products = total.products + self._network.products
        self._bounds = max(total.bounds + self._network.bounds, 1)
        members = sum(len(self._coordinator.members(zone)) for zone in range(len(sums)))
        self._length = total.length / members if members else 1.0
        self._balance = self._network.balance(self._totals.net)
        size = np.abs(self._totals.net).max(initial=0) + np.abs(self._community.fixed).max(initial=0)
        self.gap = self._products / (1 + abs(self._cost))
        self.residual = max(
            np.abs(self._balance).max(initial=0) / (1 + size), total.lacking / max(members, 1)
        )
        self._history.append((self.gap, self.residual))

    def advance(self, tolerance: float) -> None:
        """The next mu and prices."""
        least = REST * tolerance * (1 + abs(self._cost)) / self._bounds
        fall = float(np.clip((1 - self._length) ** FALL, STEEPEST, FLATTEST))
        mu = max(least, fall * self._products / self._bounds)
        with np.errstate(all="ignore"):
            price = self._network.plan(self._totals, self._price, self.mu, mu)
        if not (np.isfinite(price).all() and np.isfinite(mu)):
            raise NotConverged(
                f"price-Newton lost its way after {len(self._history)} rounds; a schedule may not exist"
            )
        self._price, self.mu = price, mu

    def result(self, coordinator: Coordinator, seconds: float) -> Result:
        exports, imports = self._network.flows
        return Result(
            zone_price=self._price,
            balance=self._balance,
            exports=exports,
            imports=imports,
            injection=self._network.injection,
            cost=self._cost,
            gap=self.gap,
            residual=self.residual,
            rounds=len(self._history),
            seconds=seconds,
            faults=tuple(coordinator.faults),
            history=tuple(self._history),
        )
