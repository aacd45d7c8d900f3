"""A program taken apart: what each member knows, and what is public."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import TypeVar

import numpy as np

from clearwatt.dispatch.errors import DispatchError
from clearwatt.dispatch.program import Connections, Lines, Offers, Program, Stores, one_zone

Part = TypeVar("Part", Connections, Offers, Stores)


@dataclass(frozen=True)
class MemberProgram:
    """What one member knows: its zone's number and its own program, of one zone. rows: its connections in the whole."""

    name: str
    zone: int
    program: Program
    rows: np.ndarray


@dataclass(frozen=True)
class Community:
    """lines: the grid, which everybody knows. public: connections that everybody knows (the retailer's tariff).
    fixed: [Z, T] what is injected behind those by nobody's decision. offers: behind them; `connection` is the zone.
    """

    lines: Lines
    members: tuple[MemberProgram, ...]
    public: np.ndarray
    fixed: np.ndarray
    offers: Offers

    @property
    def zones(self) -> int:
        return len(self.lines.parent)

    @property
    def slots(self) -> int:
        return self.fixed.shape[1]


def split(program: Program, *, public: Sequence[int] = (), each: int = 1) -> Community:
    """A member for every `each` connections of a zone, except those that are public.

    public: connections without caps and stores whose offers everybody knows: a retailer's.
    """
    if program.has_integers:
        raise DispatchError("members can't agree on what is on or off by prices alone; solve it with HiGHS")
    known, zone = np.array(sorted(public), int), program.connections.zone
    if program.connections.capped[known].any() or np.isin(program.stores.connection, known).any():
        raise DispatchError("a public connection has neither a cap nor a store")
    members: list[MemberProgram] = []
    for number in range(program.zones):
        rows = np.setdiff1d(np.flatnonzero(zone == number), known)
        for first in range(0, len(rows), each):
            own = rows[first : first + each]
            members.append(MemberProgram(f"member {own[0]}", number, restrict(program, own), own))
    fixed = np.zeros((program.zones, program.slots))
    np.add.at(fixed, zone[known], program.connections.fixed[known])
    offers = _rows(program.offers, np.isin(program.offers.connection, known))
    return Community(
        program.lines, tuple(members), known, fixed, replace(offers, connection=zone[offers.connection])
    )


def restrict(program: Program, rows: np.ndarray) -> Program:
    """The program of these connections (ascending) alone, all in one zone."""
    connections = _rows(program.connections, rows)
    parts = []
    for part in (program.offers, program.stores):
        own = _rows(part, np.isin(part.connection, rows))
        parts.append(replace(own, connection=np.searchsorted(rows, own.connection)))
    return Program(one_zone(program.slots), replace(connections, zone=np.zeros(len(rows), int)), *parts)


def _rows(part: Part, rows: np.ndarray) -> Part:
    return type(part)(**{name.name: getattr(part, name.name)[rows] for name in fields(part)})
