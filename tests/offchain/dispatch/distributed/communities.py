"""Small communities for distributed runs: a retailer everybody knows, members that keep things to themselves."""

import numpy as np

from clearwatt.dispatch.distributed.community import Community, split
from clearwatt.dispatch.program import Program
from tests.offchain.dispatch.by_hand import battery, connection, line, offer, program

IMPORT, EXPORT = 0.30, 0.08


def shared_roof(members: int = 6, slots: int = 8, *, zones: int = 1, seed: int = 0) -> Program:
    """A retailer at connection 0; behind the others a load, PV, a flexible load, and a battery at every second one.

    The members are spread over the zones but the first, if there are more.
    """
    rng = np.random.default_rng(seed)
    hour = (np.arange(slots) + 0.5) * 24 / slots
    sun = np.maximum(0, np.sin((hour - 6) / 12 * np.pi))
    connections = [connection()]
    offers = [offer(0, 50.0, IMPORT), offer(-50.0, 0, EXPORT)]
    stores = []
    for member in range(1, members + 1):
        load = rng.uniform(0.3, 1.2, slots)
        zone = 0 if zones == 1 else 1 + (member - 1) % (zones - 1)
        connections.append(connection(zone, low=-6.0, high=4.0, load=load))
        offers.append(offer(0, rng.uniform(1, 3) * sun, 0.0, connection=member))
        first = rng.uniform(0.2, 0.5, slots)
        offers.append(offer(-0.8, 0, first, connection=member, curvature=(first - 0.05) / 0.8))
        if member % 2:
            costs = {"down_cost": rng.uniform(0.01, 0.04), "up_gain": 0.95, "down_gain": 1 / 0.95}
            least = np.zeros(slots)
            least[-1] = 2.0
            stores.append(battery(1.5, 5.0, connection=member, initial=2.0, **costs, **{"low": least}))
    lines = [line((zone - 1) // 2, 30.0, fee=0.01) for zone in range(1, zones)]
    return program(slots, connections=connections, offers=offers, stores=stores, lines=lines)


def community(members: int = 6, slots: int = 8, *, zones: int = 1, seed: int = 0) -> Community:
    """The same, taken apart."""
    return split(shared_roof(members, slots, zones=zones, seed=seed), public=[0])


def one_slot(members: int = 30, *, seed: int = 0) -> Program:
    """One slot without stores: a retailer, loads, PV, flexible loads and generators of rising cost, all capped."""
    rng = np.random.default_rng(seed)
    connections = [connection()]
    offers = [offer(0, 100.0, IMPORT), offer(-100.0, 0, EXPORT)]
    for member in range(1, members + 1):
        connections.append(connection(low=-4.0, high=3.0, load=rng.uniform(0.1, 0.5)))
        offers.append(offer(0, rng.uniform(0, 1), rng.uniform(0, 0.1), connection=member, curvature=0.1))
        first = rng.uniform(0.2, 0.6)
        offers.append(offer(-0.5, 0, first, connection=member, curvature=first - 0.05))
    return program(1, connections=connections, offers=offers)
