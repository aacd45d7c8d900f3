"""Why a program has no schedule: which asset, cap or balance stands in the way, and by how much.

First what no solver is needed for: a store that cannot get to where it must be, a connection that is beyond its cap
whatever is behind it does. If each of them could keep its limits alone, it is what they share that does not
suffice: an elastic program then buys what is missing at a price per kWh, as little of it as will do.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
from scipy.sparse import csc_matrix, hstack, identity

from clearwatt.dispatch import highs, integers, reach
from clearwatt.dispatch.errors import NotConverged
from clearwatt.dispatch.program import Program
from clearwatt.dispatch.sparse import SparseProgram, assemble

NEGLIGIBLE = 1e-6
"""kWh; what is missing by less is rounding."""

ZONE_COST, CAP_COST = 1.0, 2.0
"""Per kWh bought: a cap is only blamed where energy in the zones would not help."""

UPSTREAM_DISCOUNT = 1e-3
"""What is missing everywhere alike is named in zone 0."""

TIME_LIMIT = 60.0
"""Seconds for the elastic program."""


@dataclass(frozen=True)
class Names:
    """What the user calls the program's rows.

    offers: [U]. stores: [B]. connections: [M]. zones: [Z]. units: [B] of the stores' states.
    """

    offers: Sequence[str]
    stores: Sequence[str]
    connections: Sequence[str]
    zones: Sequence[str]
    units: Sequence[str]

    @classmethod
    def numbers(cls, program: Program) -> "Names":
        """Names for a program that nobody has named."""

        def numbered(kind: str, count: int) -> list[str]:
            return [f"{kind} {number}" for number in range(count)]

        stores = len(program.stores.connection)
        return cls(
            offers=numbered("offer", len(program.offers.connection)),
            stores=numbered("store", stores),
            connections=numbered("connection", len(program.connections.zone)),
            zones=numbered("zone", program.zones),
            units=["kWh"] * stores,
        )


@dataclass(frozen=True)
class Obstacle:
    """One limit that cannot be kept.

    kind: "offer", "store", "connection" or "zone". index: its row in the program. name: the user's.
    slot: where. amount: by how much, above 0, in `unit`. wrong: what is wrong, as a part of a sentence that ends before
        the amount: "lacks", "is above its limit by".
    """

    kind: str
    index: int
    name: str
    slot: int
    amount: float
    unit: str
    wrong: str


@dataclass(frozen=True)
class Explanation:
    """Why there is no schedule. obstacles: none if there is one after all."""

    obstacles: tuple[Obstacle, ...]

    def __str__(self) -> str:
        """One sentence: the limit that is missed by most, and how many others there are."""
        if not self.obstacles:
            return (
                "No schedule keeps all limits at once; which of them stand in the way could not be found out."
            )
        groups = sorted(_by_limit(self.obstacles), key=_total, reverse=True)
        others = f" ({len(groups) - 1} more limits cannot be kept)" if len(groups) > 1 else ""
        return f"No schedule keeps all limits: {_phrase(groups[0])}{others}."


def explain(program: Program, names: Names | None = None) -> Explanation:
    """Why a program has no schedule."""
    names = names or Names.numbers(program)
    for found in (_offers(program, names), _stores(program, names), _connections(program, names)):
        obstacles = tuple(found)
        if obstacles:
            return Explanation(obstacles)
    return Explanation(tuple(_shared(program, names)))


# ---------------------------------------------------------------- each alone


def _offers(program: Program, names: Names) -> Iterator[Obstacle]:
    missing = program.offers.low - program.offers.high
    for offer, slot in _first_slots(missing):
        wrong = "must inject more than it can: the least is above the most by"
        yield Obstacle("offer", offer, names.offers[offer], slot, missing[offer, slot], "kWh", wrong)


def _stores(program: Program, names: Names) -> Iterator[Obstacle]:
    """The first slot in which each store misses a bound; what follows from it is not counted again."""
    least, most = reach.states(program)
    low, high = program.stores.low, program.stores.high
    kinds = (
        (low - high, "must end with more than it may: the least is above the most by"),
        (low - most, "cannot get to the state it must have: by the end it lacks"),
        (least - high, "cannot get down to the state it must have: at the end it is above it by"),
    )
    for missing, wrong in kinds:
        for store, slot in _first_slots(missing):
            name, unit = names.stores[store], names.units[store]
            yield Obstacle("store", store, name, slot, missing[store, slot], unit, wrong)


def _connections(program: Program, names: Names) -> Iterator[Obstacle]:
    least, most = reach.nets(program)
    connections = program.connections
    kinds = (
        (connections.low - connections.high, "must inject more than it may: the least is above the most by"),
        (connections.low - most, "must draw more than its cap allows, by"),
        (least - connections.high, "must inject more than its cap allows, by"),
    )
    for missing, wrong in kinds:
        for member, slot in np.argwhere(missing > NEGLIGIBLE):
            name = names.connections[member]
            yield Obstacle("connection", member, name, slot, missing[member, slot], "kWh", wrong)


def _first_slots(missing: np.ndarray) -> Iterator[tuple[int, int]]:
    """Row and first slot of what misses more than rounding."""
    beyond = missing > NEGLIGIBLE
    for row in np.flatnonzero(beyond.any(axis=1)):
        yield int(row), int(beyond[row].argmax())


# ---------------------------------------------------------------- what they share


def _shared(program: Program, names: Names) -> Iterator[Obstacle]:
    sparse = assemble(program)
    model = integers.mixed(sparse).model if program.has_integers else highs.linear(sparse)
    try:
        best = highs.minimise(_elastic(sparse, model), time_limit=TIME_LIMIT)
    except NotConverged:
        return
    if best is None:
        return
    lacking, surplus, drawn, injected = _bought(sparse, best.x[len(model.cost) :])
    capped = np.flatnonzero(program.connections.capped)
    yield from _above(lacking, "zone", range(program.zones), names.zones, "lacks")
    yield from _above(surplus, "zone", range(program.zones), names.zones, "has no use for")
    wrong = "must {} more than its cap allows, for what is behind it in other slots, by"
    yield from _above(drawn, "connection", capped, names.connections, wrong.format("draw"))
    yield from _above(injected, "connection", capped, names.connections, wrong.format("inject"))


def _elastic(sparse: SparseProgram, model: highs.Model) -> highs.Model:
    """The program with nothing to minimise but what is bought: energy in zones, room in caps."""
    zones = csc_matrix(identity(model.matrix.shape[0], format="csc")[:, sparse.rows["zone"].ravel()])
    caps = model.matrix[:, sparse.columns["net"].ravel()]
    by_zone = np.full(sparse.rows["zone"].shape, ZONE_COST)
    by_zone[0] -= UPSTREAM_DISCOUNT
    zone_cost, cap_cost = by_zone.ravel(), np.full(caps.shape[1], CAP_COST)
    cost = np.concatenate([0 * model.cost, zone_cost, zone_cost, cap_cost, cap_cost])
    bought = np.zeros(len(cost) - len(model.cost))
    return replace(
        model,
        cost=cost,
        low=np.concatenate([model.low, bought]),
        high=np.concatenate([model.high, bought + np.inf]),
        whole=np.concatenate([model.whole, bought > 0]),
        matrix=csc_matrix(hstack([model.matrix, zones, -zones, -caps, caps])),
    )


def _bought(sparse: SparseProgram, x: np.ndarray) -> list[np.ndarray]:
    """Energy in zones that is lacking and left over [Z, T], room for drawing and injecting in caps [K, T]."""
    zones, caps = sparse.rows["zone"], sparse.columns["net"]
    parts = np.split(x, np.cumsum([zones.size, zones.size, caps.size]))
    return [part.reshape(like.shape) for part, like in zip(parts, (zones, zones, caps, caps), strict=True)]


def _above(
    amounts: np.ndarray, kind: str, rows: Sequence[int] | np.ndarray, names: Sequence[str], wrong: str
) -> Iterator[Obstacle]:
    for place, slot in np.argwhere(amounts > NEGLIGIBLE):
        row = int(rows[place])
        yield Obstacle(kind, row, names[row], int(slot), float(amounts[place, slot]), "kWh", wrong)


# ---------------------------------------------------------------- in words


def _by_limit(obstacles: Iterable[Obstacle]) -> list[list[Obstacle]]:
    def limit(obstacle: Obstacle) -> tuple[str, int, str]:
        return obstacle.kind, obstacle.index, obstacle.wrong

    return [list(group) for _, group in groupby(sorted(obstacles, key=limit), limit)]


def _total(group: list[Obstacle]) -> float:
    return sum(obstacle.amount for obstacle in group)


def _phrase(group: list[Obstacle]) -> str:
    worst = max(group, key=lambda obstacle: obstacle.amount)
    phrase = f"{worst.name} {worst.wrong} {worst.amount:.6g} {worst.unit} in slot {worst.slot}"
    if len(group) == 1:
        return phrase
    return f"{phrase}, and {_total(group):.6g} {worst.unit} over {len(group)} slots"
