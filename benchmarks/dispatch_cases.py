"""The communities that the dispatch benchmarks solve: made from a seed, straight into a program's arrays.

N prosumers, each behind a capped connection and with a load nobody decides on; of them 30% have a battery, 50% PV,
20% an elastic load and 1% a generator, drawn independently. A retailer sells to zone 0 at 0.30 and buys at 0.08
per kWh, within limits that bind at noon and in some evenings.
"""

import numpy as np

from clearwatt.dispatch.program import UNBOUNDED, Connections, Lines, Offers, Program, Stores, one_zone

SLOTS = 96
IMPORT_PRICE, EXPORT_PRICE = 0.30, 0.08
"""Currency per kWh, the retailer's."""

BATTERIES, PV, ELASTIC, GENERATORS = 0.30, 0.50, 0.20, 0.01
"""Shares of the prosumers that have one."""


def community(
    prosumers: int,
    *,
    slots: int = SLOTS,
    days: int = 1,
    zones: int = 1,
    quadratic: bool = True,
    loss: float = 0.0,
    seed: int = 0,
) -> Program:
    """A day, or several, in `slots` slots; connection 0 is the retailer's, the prosumers follow.

    quadratic: elastic loads have a falling value and generators a rising cost; otherwise both are constant in
        a slot, a bit different for each, and the program is an LP.
    loss: share of what enters a line that does not arrive, the same for all lines.
    """
    rng = np.random.default_rng([seed, prosumers, zones])
    hours = 24 * days / slots
    clock = (np.arange(slots) + 0.5) * hours % 24
    load = _load(rng, prosumers, clock) * hours
    connections = _connections(rng, load, zones, hours)
    offers = _stack(
        _retailer(load, hours),
        _pv(rng, prosumers, clock, hours),
        _elastic(rng, prosumers, slots, hours, quadratic),
        _generators(rng, prosumers, slots, hours, quadratic),
    )
    stores = _batteries(rng, prosumers, slots, hours)
    return Program(_lines(rng, connections, zones, loss), connections, offers, stores)


def variables(program: Program) -> int:
    """How many numbers a solver looks for, the capped connections' net injections included."""
    stores, capped = len(program.stores.connection), int(program.connections.capped.sum())
    return (len(program.offers.connection) + 3 * stores + capped + 2 * (program.zones - 1)) * program.slots


def _load(rng: np.random.Generator, prosumers: int, clock: np.ndarray) -> np.ndarray:
    """[N, T] kW: a base, a morning and an evening peak at each household's own hours, and noise."""
    morning, evening = rng.normal(7.5, 1, (prosumers, 1)), rng.normal(19, 1.2, (prosumers, 1))
    size = rng.lognormal(-0.1, 0.4, (prosumers, 1))
    shape = 0.2 + 0.5 * np.exp(-((clock - morning) ** 2) / 2) + 0.9 * np.exp(-((clock - evening) ** 2) / 5)
    return size * shape * rng.uniform(0.7, 1.3, (prosumers, len(clock)))


def _connections(rng: np.random.Generator, load: np.ndarray, zones: int, hours: float) -> Connections:
    prosumers, slots = load.shape
    most = rng.choice([5.0, 7.0, 11.0], prosumers) * hours
    import_cap = np.maximum(most, 1.1 * load.max(axis=1, initial=0))
    export_cap = 0.7 * most
    zone = np.zeros(prosumers + 1, int)
    zone[1:] = rng.integers(1, zones, prosumers) if zones > 1 else 0
    low, high, fixed = (np.zeros((prosumers + 1, slots)) for _ in range(3))
    low[0], high[0] = -UNBOUNDED, UNBOUNDED
    low[1:], high[1:], fixed[1:] = -import_cap[:, None], export_cap[:, None], -load
    return Connections(zone, low, high, fixed, np.zeros_like(fixed), np.zeros_like(fixed))


def _retailer(load: np.ndarray, hours: float) -> Offers:
    """It can always serve the load; 0.9 kW per prosumer is the most that it takes."""
    prosumers, slots = load.shape
    sells, buys = 1.15 * load.sum(axis=0).max(), 0.9 * prosumers * hours
    ends = np.array([[0.0, sells], [-buys, 0.0]])
    price = np.array([[IMPORT_PRICE], [EXPORT_PRICE]])
    return _offers(np.zeros(2, int), ends[:, :1], ends[:, 1:], price, np.zeros((2, 1)), slots)


def _pv(rng: np.random.Generator, prosumers: int, clock: np.ndarray, hours: float) -> Offers:
    owners = _owners(rng, prosumers, PV)
    peak = rng.uniform(2, 9, (len(owners), 1))
    sun = np.maximum(0, np.sin((clock - 6) / 12 * np.pi)) ** 1.3
    clouds = rng.uniform(0.75, 1, len(clock)) * rng.uniform(0.9, 1, (len(owners), len(clock)))
    none = np.zeros((len(owners), 1))
    return _offers(owners, none, peak * sun * clouds * hours, none, none, len(clock))


def _elastic(rng: np.random.Generator, prosumers: int, slots: int, hours: float, quadratic: bool) -> Offers:
    """The first kWh is worth 0.25 to 0.6, the last 0.05; all of them the mean of the two if not quadratic."""
    owners = _owners(rng, prosumers, ELASTIC)
    most = rng.uniform(0.5, 3, (len(owners), 1)) * hours
    first, last = rng.uniform(0.25, 0.6, (len(owners), slots)), 0.05
    if quadratic:
        return _offers(owners, -most, 0 * most, first, (first - last) / most, slots)
    return _offers(owners, -most, 0 * most, (first + last) / 2, 0 * most, slots)


def _generators(
    rng: np.random.Generator, prosumers: int, slots: int, hours: float, quadratic: bool
) -> Offers:
    """The first kWh costs 0.1 to 0.2; the last 0.15 more if quadratic."""
    owners = _owners(rng, prosumers, GENERATORS)
    most = rng.uniform(3, 7, (len(owners), 1)) * hours
    first = rng.uniform(0.1, 0.2, (len(owners), 1))
    return _offers(owners, 0 * most, most, first, 0.15 / most if quadratic else 0 * most, slots)


def _batteries(rng: np.random.Generator, prosumers: int, slots: int, hours: float) -> Stores:
    """Half full at the start and at least so at the end; wear of 0.02 to 0.05 per kWh discharged."""
    owners = _owners(rng, prosumers, BATTERIES)
    count = len(owners)
    capacity = rng.uniform(4, 14, count)
    power = np.tile((capacity * rng.uniform(0.3, 0.6, count) * hours)[:, None], slots)
    wear = np.tile(rng.uniform(0.02, 0.05, (count, 1)), slots)
    none = np.zeros((count, slots))
    low = none.copy()
    low[:, -1] = capacity / 2
    return Stores(
        connection=owners,
        state_injects=np.zeros(count, bool),
        up_high=power,
        down_high=power,
        up_cost=none,
        down_cost=wear,
        up_curvature=none,
        down_curvature=none,
        up_gain=rng.uniform(0.92, 0.98, count),
        down_gain=1 / rng.uniform(0.92, 0.98, count),
        retention=np.full(count, 1 - 0.0005 * hours),
        drift=none,
        initial=capacity / 2,
        low=low,
        high=np.tile(capacity[:, None], slots),
        cost=none,
        curvature=none,
        exclusive=np.zeros(count, bool),
    )


def _lines(rng: np.random.Generator, connections: Connections, zones: int, loss: float) -> Lines:
    """A random tree whose lines carry every load below them, and two thirds of that the other way."""
    slots = connections.fixed.shape[1]
    if zones == 1:
        return one_zone(slots)
    parent = np.array([-1, *(int(rng.integers(zone)) for zone in range(1, zones))])
    load = np.zeros((zones, slots))
    np.add.at(load, connections.zone, -connections.fixed)
    for zone in range(zones - 1, 0, -1):
        load[parent[zone]] += load[zone] / (1 - loss)
    most = np.tile(1.2 * load.max(axis=1, keepdims=True), slots)
    most[0] = 0
    fee = np.full((zones, slots), 0.01)
    fee[0] = 0
    losses = np.full(zones, loss)
    losses[0] = 0
    return Lines(parent, most / 1.5, most / (1 - loss), fee, losses)


def _owners(rng: np.random.Generator, prosumers: int, share: float) -> np.ndarray:
    """Connections of `share` of the prosumers, at least one, ascending."""
    count = max(1, round(share * prosumers))
    return np.sort(rng.permutation(prosumers)[:count]) + 1


def _offers(
    connection: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    cost: np.ndarray,
    curvature: np.ndarray,
    slots: int,
) -> Offers:
    """Offers from columns [U, 1] or [U, T]."""
    shape = len(connection), slots
    columns = (
        np.ascontiguousarray(np.broadcast_to(column, shape)) for column in (low, high, cost, curvature)
    )
    return Offers(connection, *columns, np.zeros(len(connection), bool))


def _stack(*parts: Offers) -> Offers:
    names = "connection", "low", "high", "cost", "curvature", "on_off"
    return Offers(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})
