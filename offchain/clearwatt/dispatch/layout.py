"""A program's variables side by side, as the structured interior-point method wants them.

Everything lies in arrays [T, columns], so that one pass over the slots touches neighbours in memory. The columns
are the offers, the stores' ups, downs and states, the homes' net injections and the links' flows.

A *home* is what offers and stores hang on. Each zone has one free home, whose price is the zone's: all
connections that can never reach their cap share it. A connection that can is a home of its own, if it has at
most one store; with more it becomes a zone of its own at the end of a line, since only a zone couples stores.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from clearwatt.dispatch.program import Connections, Program

MARGIN = 1.0
"""How far beyond what can be reached a missing bound is put, relative to the range and in kWh."""


FAR = 1e200
"""Bounds of what has none."""

LEAST = 1e-9
"""Least stiffness of what is not: a step stays bounded where a linear cost leaves it a choice."""

STILL = 1e8
"""Stiffness of what is fixed; each step brings it back to where it belongs."""


@dataclass(frozen=True)
class Groups:
    """Sums over columns that belong together: ``of`` is int[n], ascending, below ``count``."""

    of: np.ndarray
    count: int

    @cached_property
    def _starts(self) -> tuple[np.ndarray, np.ndarray]:
        return np.unique(self.of, return_index=True)

    def sum(self, columns: np.ndarray) -> np.ndarray:
        """[T, n] -> [T, count]."""
        present, starts = self._starts
        if len(present) == self.count == columns.shape[1]:
            return columns
        total = np.zeros((len(columns), self.count))
        if len(present):
            total[:, present] = np.add.reduceat(columns, starts, axis=1)
        return total

    def bounds(self, group: int) -> slice:
        """Where a group's columns are."""
        return slice(*np.searchsorted(self.of, (group, group + 1)))


@dataclass(frozen=True)
class Links:
    """What joins two zones; a flow f adds ``near * f`` to the lower zone's balance and ``far * f`` to the upper one's.

    lower, upper: int[K], upper < lower. near, far: [K].
    """

    lower: np.ndarray
    upper: np.ndarray
    near: np.ndarray
    far: np.ndarray


@dataclass(frozen=True)
class Layout:
    """The columns of a program.

    parent: int[Z] of the tree with the connections that became zones; the program's own zones come first.
    home_zone: int[H] ascending. home_of, zone_of_connection: int[M]. capped: bool[T, H] where the net
        injection is a variable; elsewhere it is what the offers and stores make it.
    offer_order, store_order: the program's rows by home. homes_of_offers, homes_of_stores: sums over them.
    low, high, cost, curvature: [T, V]. live: bool[T, V] variables that are neither fixed nor absent. The bounds of
        the others lie so far away that nothing comes near them, and `start` is where they stay.
    """

    program: Program
    parent: np.ndarray
    home_zone: np.ndarray
    home_of: np.ndarray
    zone_of_connection: np.ndarray
    capped: np.ndarray
    fixed: np.ndarray
    offer_order: np.ndarray
    store_order: np.ndarray
    homes_of_offers: Groups
    homes_of_stores: Groups
    zones_of_homes: Groups
    links: Links
    low: np.ndarray
    high: np.ndarray
    cost: np.ndarray
    curvature: np.ndarray
    live: np.ndarray
    start: np.ndarray

    @cached_property
    def stiffness(self) -> np.ndarray:
        """[T, V] second derivative of each variable's cost; of what is fixed, so much that it stays."""
        return np.where(self.live, self.curvature + LEAST, STILL)

    @cached_property
    def cost_scale(self) -> float:
        """Mean of the costs' sizes, currency per kWh; 1 where nothing costs anything."""
        costs = np.abs(self.cost[self.live])
        return float(costs.mean()) if costs.any() else 1.0

    @cached_property
    def energy_scale(self) -> float:
        """1 kWh, or the largest fixed injection."""
        return 1 + float(np.abs(self.fixed).max(initial=0))

    @cached_property
    def columns(self) -> dict[str, slice]:
        """Where each kind of variable is: offers, up, down, state, net, flow."""
        stores, homes = len(self.store_order), len(self.home_zone)
        sizes = (len(self.offer_order), stores, stores, stores, homes, len(self.links.lower))
        ends = np.cumsum((0, *sizes))
        names = ("offers", "up", "down", "state", "net", "flow")
        return {name: slice(ends[i], ends[i + 1]) for i, name in enumerate(names)}


def lay_out(program: Program) -> Layout:
    """The columns of a program without integers."""
    reach_low, reach_high = _reach(program)
    connections = program.connections
    binding = (connections.low > reach_low) | (connections.high < reach_high)
    tight = binding.any(axis=1) | (connections.cost.any(axis=1) | connections.curvature.any(axis=1))
    stores_behind = np.bincount(program.stores.connection, minlength=len(connections.zone))
    becomes_zone = tight & (stores_behind > 1)
    own_home = tight & ~becomes_zone
    return _assemble(program, becomes_zone, own_home, reach_low, reach_high)


def _reach(program: Program) -> tuple[np.ndarray, np.ndarray]:
    """Least and largest net injection that what is behind each connection could make: [M, T] each."""
    offers, stores = program.offers, program.stores
    low, high = program.connections.fixed.copy(), program.connections.fixed.copy()
    np.add.at(low, offers.connection, offers.low)
    np.add.at(high, offers.connection, offers.high)
    state_low, state_high = _state_bounds(program)
    by_state = stores.state_injects[:, None]
    np.add.at(low, stores.connection, np.where(by_state, state_low, -stores.up_high))
    np.add.at(high, stores.connection, np.where(by_state, state_high, stores.down_high))
    return low, high


def _state_bounds(program: Program) -> tuple[np.ndarray, np.ndarray]:
    """Bounds of the states [B, T], those that are missing put where no state gets to."""
    stores = program.stores
    if np.isfinite(stores.low).all() and np.isfinite(stores.high).all():
        return stores.low, stores.high
    least, most = np.empty_like(stores.low), np.empty_like(stores.high)
    down, up = stores.initial, stores.initial
    for slot in range(program.slots):
        down = stores.retention * down - stores.down_gain * stores.down_high[:, slot] + stores.drift[:, slot]
        up = stores.retention * up + stores.up_gain * stores.up_high[:, slot] + stores.drift[:, slot]
        least[:, slot], most[:, slot] = down, up
    room = MARGIN * (1 + most - least)
    low = np.where(np.isfinite(stores.low), stores.low, np.minimum(least, stores.high) - room)
    high = np.where(np.isfinite(stores.high), stores.high, np.maximum(most, stores.low) + room)
    return low, high


def _assemble(
    program: Program,
    becomes_zone: np.ndarray,
    own_home: np.ndarray,
    reach_low: np.ndarray,
    reach_high: np.ndarray,
) -> Layout:
    connections = program.connections
    added, own = np.flatnonzero(becomes_zone), np.flatnonzero(own_home)
    parent = np.concatenate([program.lines.parent, connections.zone[added]])
    zone_of = connections.zone.copy()
    zone_of[added] = program.zones + np.arange(len(added))
    home_zone, home_of = _homes(zone_of, own, len(parent))

    fixed = np.zeros((len(home_zone), program.slots))
    np.add.at(fixed, home_of, connections.fixed)
    caps, capped = _caps(connections, own, home_of, len(home_zone), reach_low, reach_high)
    offer_order = np.argsort(home_of[program.offers.connection], kind="stable")
    store_order = np.argsort(home_of[program.stores.connection], kind="stable")
    links, flows = _links(program, added, reach_low, reach_high)
    boxes = [_offers(program, offer_order), *_stores(program, store_order), caps, *flows]
    low, high, cost, curvature = (_columns([box[part] for box in boxes]) for part in range(4))
    live = high > low
    return Layout(
        program=program,
        parent=parent,
        home_zone=home_zone,
        home_of=home_of,
        zone_of_connection=zone_of,
        capped=_columns([capped]),
        fixed=_columns([fixed]),
        offer_order=offer_order,
        store_order=store_order,
        homes_of_offers=Groups(home_of[program.offers.connection][offer_order], len(home_zone)),
        homes_of_stores=Groups(home_of[program.stores.connection][store_order], len(home_zone)),
        zones_of_homes=Groups(home_zone, len(parent)),
        links=links,
        low=np.where(live, low, -FAR),
        high=np.where(live, high, FAR),
        cost=cost,
        curvature=curvature,
        live=live,
        start=np.where(live, 0, low),
    )


Box = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""Low, high, cost and curvature of some variables: [n, T] each."""


def _columns(rows: list[np.ndarray]) -> np.ndarray:
    return np.ascontiguousarray(np.concatenate(rows).T)


def _homes(zone_of: np.ndarray, own: np.ndarray, zones: int) -> tuple[np.ndarray, np.ndarray]:
    """Zone of each home, ascending, each zone's free one first; and the home of each connection."""
    zone_of_home = np.concatenate([np.arange(zones), zone_of[own]])
    order = np.argsort(zone_of_home, kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    home_of = rank[zone_of]
    home_of[own] = rank[zones:]
    return zone_of_home[order], home_of


def _caps(
    connections: Connections,
    own: np.ndarray,
    home_of: np.ndarray,
    homes: int,
    reach_low: np.ndarray,
    reach_high: np.ndarray,
) -> tuple[Box, np.ndarray]:
    """The homes' net injections: their box, 0 where free, and where they are capped: bool[H, T]."""
    shape = (homes, connections.fixed.shape[1])
    low, high, cost, curvature = (np.zeros(shape) for _ in range(4))
    rows = home_of[own]
    cost[rows], curvature[rows] = connections.cost[own], connections.curvature[own]
    low[rows], high[rows] = _within_reach(connections, own, reach_low, reach_high)
    capped = np.zeros(shape, bool)
    capped[rows] = (connections.low[own] > reach_low[own]) | (connections.high[own] < reach_high[own])
    capped |= (cost != 0) | (curvature != 0)
    for array in (low, high, cost, curvature):
        array[~capped] = 0
    return (low, high, cost, curvature), capped


def _within_reach(
    connections: Connections, rows: np.ndarray, reach_low: np.ndarray, reach_high: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """A connection's caps, those that can't bind put a little beyond what can be reached."""
    least, most = reach_low[rows], reach_high[rows]
    room = MARGIN * (1 + most - least)
    low, high = connections.low[rows], connections.high[rows]
    return (
        np.where(low > least, low, np.minimum(least, high) - room),
        np.where(high < most, high, np.maximum(most, low) + room),
    )


def _offers(program: Program, order: np.ndarray) -> Box:
    offers = program.offers
    return offers.low[order], offers.high[order], offers.cost[order], offers.curvature[order]


def _stores(program: Program, order: np.ndarray) -> tuple[Box, Box, Box]:
    """Boxes of the ups, the downs and the states."""
    stores = program.stores
    low, high = _state_bounds(program)
    zero = np.zeros_like(low)
    up = (zero, stores.up_high, stores.up_cost, stores.up_curvature)
    down = (zero, stores.down_high, stores.down_cost, stores.down_curvature)
    state = (low, high, stores.cost, stores.curvature)
    return tuple(tuple(part[order] for part in box) for box in (up, down, state))


def _links(
    program: Program, added: np.ndarray, reach_low: np.ndarray, reach_high: np.ndarray
) -> tuple[Links, list[Box]]:
    """The lines' exports, their imports, and the net injections of the connections that became zones."""
    lines, connections = program.lines, program.connections
    zone = np.arange(1, program.zones)
    above, kept = lines.parent[1:], 1 - lines.loss[1:]
    one, ones = np.ones(len(zone)), np.ones(len(added))
    links = Links(
        lower=np.concatenate([zone, zone, program.zones + np.arange(len(added))]),
        upper=np.concatenate([above, above, connections.zone[added]]),
        near=np.concatenate([-one, kept, -ones]),
        far=np.concatenate([kept, -one, ones]),
    )
    zero = np.zeros_like(lines.fee[1:])
    caps = _within_reach(connections, added, reach_low, reach_high)
    return links, [
        (zero, lines.export_limit[1:], lines.fee[1:], zero),
        (zero, lines.import_limit[1:], lines.fee[1:], zero),
        (*caps, connections.cost[added], connections.curvature[added]),
    ]
