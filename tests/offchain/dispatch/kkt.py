"""The conditions of an optimum, checked variable by variable in plain Python: slow, and written apart from the package.

Nothing but the program's own docstring went into it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import isinf

import numpy as np

from clearwatt.dispatch.program import Program, Solution


@dataclass(frozen=True)
class Violations:
    """The worst of each kind.

    equation: kWh by which a state, a connection or a zone does not add up. bound: kWh beyond one.
    tilt: currency/kWh of reduced cost where there is no bound. regret: currency; reduced cost times the distance
        to the bound it points to, of one variable.
    """

    equation: float
    bound: float
    tilt: float
    regret: float


Variable = tuple[float, float, float, float]
"""Its value, its reduced cost, its bounds."""


def violations(program: Program, found: Solution) -> Violations:
    """How far a solution of a program without integers is from the conditions of Karush, Kuhn and Tucker."""
    variables = [
        *_offers(program, found),
        *_stores(program, found),
        *_nets(program, found),
        *_lines(program, found),
    ]
    tilts, regrets, beyond = [0.0], [0.0], [0.0]
    for value, slope, low, high in variables:
        beyond += [low - value, value - high]
        target = low if slope > 0 else high
        if isinf(target):
            tilts.append(abs(slope))
        else:
            regrets.append(abs(slope * (target - value)))
    equations = [*_states_off(program, found), *_nets_off(program, found), *_zones_off(program, found)]
    # numpy's max, for Python's would overlook what is not a number.
    worst = [float(np.max(kind)) for kind in (np.abs(equations), beyond, tilts, regrets)]
    return Violations(*worst)


def _price(program: Program, found: Solution, member: int, slot: int) -> float:
    """What a kWh injected behind a connection is worth."""
    if program.connections.capped[member]:
        return found.member_price[member, slot]
    return found.zone_price[program.connections.zone[member], slot]


def _offers(program: Program, found: Solution) -> Iterator[Variable]:
    offers = program.offers
    for u, member in enumerate(offers.connection):
        for t in range(program.slots):
            x = found.injection[u, t]
            slope = offers.cost[u, t] + offers.curvature[u, t] * x - _price(program, found, member, t)
            yield x, slope, offers.low[u, t], offers.high[u, t]


def _stores(program: Program, found: Solution) -> Iterator[Variable]:
    s = program.stores
    for b, member in enumerate(s.connection):
        for t in range(program.slots):
            price, value = _price(program, found, member, t), found.state_value[b, t]
            next_value = found.state_value[b, t + 1] if t + 1 < program.slots else 0.0
            up, down, state = found.up[b, t], found.down[b, t], found.state[b, t]
            of_controls, of_state = (0.0, price) if s.state_injects[b] else (price, 0.0)
            yield (
                up,
                s.up_cost[b, t] + s.up_curvature[b, t] * up + of_controls - s.up_gain[b] * value,
                0.0,
                s.up_high[b, t],
            )
            yield (
                down,
                s.down_cost[b, t] + s.down_curvature[b, t] * down - of_controls + s.down_gain[b] * value,
                0.0,
                s.down_high[b, t],
            )
            holding = s.cost[b, t] + s.curvature[b, t] * state - of_state
            yield state, holding + value - s.retention[b] * next_value, s.low[b, t], s.high[b, t]


def _nets(program: Program, found: Solution) -> Iterator[Variable]:
    c = program.connections
    for m, zone in enumerate(c.zone):
        for t in range(program.slots):
            net = found.net[m, t]
            slope = (
                c.cost[m, t] + c.curvature[m, t] * net + found.member_price[m, t] - found.zone_price[zone, t]
            )
            yield net, slope, c.low[m, t], c.high[m, t]


def _lines(program: Program, found: Solution) -> Iterator[Variable]:
    lines = program.lines
    for zone in range(1, program.zones):
        arriving = 1 - lines.loss[zone]
        for t in range(program.slots):
            here, there = found.zone_price[zone, t], found.zone_price[lines.parent[zone], t]
            fee = lines.fee[zone, t]
            yield found.exports[zone, t], fee + here - arriving * there, 0.0, lines.export_limit[zone, t]
            yield found.imports[zone, t], fee + there - arriving * here, 0.0, lines.import_limit[zone, t]


def _states_off(program: Program, found: Solution) -> Iterator[float]:
    s = program.stores
    for b in range(len(s.connection)):
        before = s.initial[b]
        for t in range(program.slots):
            moved = s.up_gain[b] * found.up[b, t] - s.down_gain[b] * found.down[b, t]
            yield found.state[b, t] - (s.retention[b] * before + moved + s.drift[b, t])
            before = found.state[b, t]


def _nets_off(program: Program, found: Solution) -> Iterator[float]:
    s = program.stores
    for m in range(len(program.connections.zone)):
        for t in range(program.slots):
            net = program.connections.fixed[m, t]
            net += sum(found.injection[u, t] for u, at in enumerate(program.offers.connection) if at == m)
            for b, at in enumerate(s.connection):
                if at == m:
                    net += found.state[b, t] if s.state_injects[b] else found.down[b, t] - found.up[b, t]
            yield found.net[m, t] - net


def _zones_off(program: Program, found: Solution) -> Iterator[float]:
    lines = program.lines
    for zone in range(program.zones):
        children = [z for z in range(1, program.zones) if lines.parent[z] == zone]
        for t in range(program.slots):
            balance = sum(found.net[m, t] for m, at in enumerate(program.connections.zone) if at == zone)
            if zone > 0:
                balance += (1 - lines.loss[zone]) * found.imports[zone, t] - found.exports[zone, t]
            for z in children:
                balance += (1 - lines.loss[z]) * found.exports[z, t] - found.imports[z, t]
            yield balance
