"""The grid as a tree of zones.

Zone 0 is the connection to the upstream grid; every other zone hangs on its parent by one line.
Distribution feeders are radial, so the tree is the physics and not a simplification: the flow on
line z is the sum of the net injections below it.
"""

from dataclasses import dataclass

import numpy as np

from clearwatt.units import INT24_MAX

NO_LIMIT = 2**62
"""A line limit that no flow can reach; also what the contracts take for 'no limit'."""

MAX_ZONES = 1024
"""The zone number travels as 2 bytes on chain; a tree larger than this does not fit a transaction."""


class GridError(ValueError):
    """The grid is not a tree of zones in the order this project needs, or a limit is impossible."""


@dataclass(frozen=True)
class Line:
    """The line from a zone to its parent.

    export_limit: largest flow towards the parent, Wh per slot.
    import_limit: largest flow from the parent, Wh per slot.
    fee: ticks per Wh carried, in either direction.
    """

    export_limit: int = NO_LIMIT
    import_limit: int = NO_LIMIT
    fee: int = 0


@dataclass(frozen=True)
class Grid:
    """A tree of zones ``0..Z-1`` with ``parents[z] < z``.

    parents: one per zone; ``parents[0]`` is -1.
    lines: one per zone, to its parent; ``lines[0]`` exists for alignment only and carries nothing.
    """

    parents: tuple[int, ...]
    lines: tuple[Line, ...]

    def __post_init__(self) -> None:
        if not self.parents:
            raise GridError("a grid needs at least zone 0")
        if len(self.parents) > MAX_ZONES:
            raise GridError(f"{len(self.parents)} zones are more than the {MAX_ZONES} allowed")
        if len(self.lines) != len(self.parents):
            raise GridError(f"{len(self.parents)} zones but {len(self.lines)} lines")
        if self.parents[0] != -1:
            raise GridError("zone 0 is the upstream connection and has no parent")
        for zone, parent in enumerate(self.parents[1:], start=1):
            if not 0 <= parent < zone:
                raise GridError(
                    f"zone {zone} has parent {parent}; a parent's number must be below its child's"
                )
        for zone, line in enumerate(self.lines[1:], start=1):
            for name, limit in (("export_limit", line.export_limit), ("import_limit", line.import_limit)):
                if not 0 <= limit <= NO_LIMIT:
                    raise GridError(f"zone {zone}: {name} {limit} is not between 0 and {NO_LIMIT} Wh")
            if not 0 <= line.fee <= INT24_MAX:
                raise GridError(f"zone {zone}: fee {line.fee} is not between 0 and {INT24_MAX} ticks")

    @classmethod
    def single(cls) -> "Grid":
        """The grid with one zone: a market with one uniform price."""
        return cls((-1,), (Line(),))

    @property
    def zones(self) -> int:
        """Number of zones Z."""
        return len(self.parents)

    def flows(self, injections: np.ndarray) -> np.ndarray:
        """Flow on each zone's line towards its parent.

        injections: [Z, T] net injection per zone and slot, Wh. Returns [Z, T]; row 0 is what the
        whole tree injects, which a balanced market makes 0.
        """
        flows = injections.copy()
        for zone in range(self.zones - 1, 0, -1):
            flows[self.parents[zone]] += flows[zone]
        return flows
