"""What the coordinator decides itself, because everybody knows it: flows on the lines, and public offers.

The other half of price-Newton. The members' answers say how their sum moves with prices; with that as the only
thing it knows of them, the coordinator solves for the prices at which everything balances, its own part
smoothed by mu and exact to rounding, however many steps of its own that takes: they cost no messages.
"""

from dataclasses import dataclass

import numpy as np

from clearwatt.dispatch.distributed.barrier import widened
from clearwatt.dispatch.distributed.community import Community
from clearwatt.dispatch.layout import Links
from clearwatt.dispatch.zones import ZoneFactor

STEPS = 100
SETTLED = 1e-11
TO_THE_BOUND = 0.99
CLOSED = 1e-20
"""Freedom of a line that carries nothing: no more than rounding, but something to divide by."""


@dataclass(frozen=True)
class Totals:
    """The members' answers, added up by zone: net, aimed and drift [Z, T], slope [Z, T, T], see `barrier.Answer`."""

    net: np.ndarray
    aimed: np.ndarray
    slope: np.ndarray
    drift: np.ndarray


class Network:
    """Flows and public offers, strictly within their bounds, with a multiplier for each bound."""

    def __init__(self, community: Community, mu: float) -> None:
        lines, offers = community.lines, community.offers
        self._fixed, self._parent = community.fixed, lines.parent
        zero = np.zeros_like(lines.fee[1:])
        self._low = np.concatenate([zero, zero, offers.low])
        self._high = np.concatenate([lines.export_limit[1:], lines.import_limit[1:], offers.high])
        self._cost = np.concatenate([lines.fee[1:], lines.fee[1:], offers.cost])
        self._curvature = np.concatenate([zero, zero, offers.curvature])
        self._incidence = _incidence(community)
        self._links = _links(community)
        self._live = self._high > self._low
        self._low, self._high = widened(self._low, self._high)
        self._x = np.where(self._live, (self._low + self._high) / 2, self._low)
        self._below, self._above = (np.where(self._live, mu / room, 0) for room in self._rooms(self._x))

    @property
    def flows(self) -> tuple[np.ndarray, np.ndarray]:
        """Exports and imports, [Z, T] each."""
        count = len(self._parent) - 1
        nothing = np.zeros((1, self._x.shape[1]))
        return tuple(np.concatenate([nothing, self._x[i * count : (i + 1) * count]]) for i in range(2))

    @property
    def injection(self) -> np.ndarray:
        """[U, T] of the public offers."""
        return self._x[2 * (len(self._parent) - 1) :]

    @property
    def cost(self) -> float:
        """Currency, fees included."""
        return float((self._cost * self._x + self._curvature / 2 * self._x * self._x).sum())

    @property
    def bounds(self) -> int:
        return 2 * int(self._live.sum())

    @property
    def products(self) -> float:
        """Of distances and multipliers, summed."""
        below, above = self._rooms(self._x)
        return float((below * self._below + above * self._above).sum())

    def balance(self, members: np.ndarray) -> np.ndarray:
        """[Z, T] what is too much in each zone, given the members' net injections."""
        return members + self._fixed + self._incidence @ self._x

    def plan(self, totals: Totals, price: np.ndarray, mu: float, new_mu: float) -> np.ndarray:
        """Prices [Z, T] at which all balances, if the members move as they say; flows and offers go there too."""
        expected, planned = totals.aimed + totals.drift * (new_mu - mu), price
        for _ in range(STEPS):
            moved = expected + np.einsum("zts,zs->zt", totals.slope, planned - price)
            change, whole = self._advance(totals.slope, moved, planned, new_mu)
            planned = planned + change
            if whole and np.abs(change).max(initial=0) <= SETTLED * (1 + np.abs(planned).max(initial=0)):
                break
        return planned

    def _rooms(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.where(self._live, x - self._low, 1), np.where(self._live, self._high - x, 1)

    def _advance(
        self, slope: np.ndarray, members: np.ndarray, price: np.ndarray, mu: float
    ) -> tuple[np.ndarray, bool]:
        """One Newton step; returns the change of prices and whether it was a whole step."""
        below, above = self._rooms(self._x)
        stiffness = self._curvature + self._below / below + self._above / above
        freedom = np.where(self._live, 1 / np.where(self._live, stiffness, 1), 0)
        gradient = self._cost + self._curvature * self._x - self._incidence.T @ price
        push = mu / below - mu / above - gradient
        lacking = -(self.balance(members) + self._incidence @ (freedom * push))
        change = self._factor(slope, freedom).solve(lacking.T).T
        move = freedom * (push + self._incidence.T @ change)
        more_below = np.where(self._live, (mu - self._below * move) / below - self._below, 0)
        more_above = np.where(self._live, (mu + self._above * move) / above - self._above, 0)
        fastest = max(
            _fall(move, below),
            _fall(-move, above),
            _fall(more_below, np.where(self._live, self._below, 1)),
            _fall(more_above, np.where(self._live, self._above, 1)),
        )
        length = min(1.0, TO_THE_BOUND / fastest) if fastest > 0 else 1.0
        self._x = self._x + length * move
        self._below = self._below + length * more_below
        self._above = self._above + length * more_above
        return length * change, length == 1

    def _factor(self, slope: np.ndarray, freedom: np.ndarray) -> ZoneFactor:
        lines = len(self._links.lower)
        freedom = np.maximum(freedom, CLOSED)
        blocks = slope.copy()
        slots = np.arange(slope.shape[1])
        for zone, block in enumerate(blocks):
            block[slots, slots] += (self._incidence[zone, lines:] ** 2) @ freedom[lines:]
        return ZoneFactor(self._parent, blocks, self._links, np.ascontiguousarray(freedom[:lines].T))


def _links(community: Community) -> Links:
    zone, kept = np.arange(1, community.zones), 1 - community.lines.loss[1:]
    above, one = community.lines.parent[1:], np.ones(len(zone))
    return Links(
        lower=np.concatenate([zone, zone]),
        upper=np.concatenate([above, above]),
        near=np.concatenate([-one, kept]),
        far=np.concatenate([kept, -one]),
    )


def _incidence(community: Community) -> np.ndarray:
    """[Z, K] what a kWh of each variable brings to each zone."""
    links, offers = _links(community), community.offers
    count = len(links.lower)
    matrix = np.zeros((community.zones, count + len(offers.connection)))
    matrix[links.lower, np.arange(count)] = links.near
    matrix[links.upper, np.arange(count)] = links.far
    matrix[offers.connection, count + np.arange(len(offers.connection))] = 1
    return matrix


def _fall(change: np.ndarray, room: np.ndarray) -> float:
    return float((-change / room).max(initial=0))
