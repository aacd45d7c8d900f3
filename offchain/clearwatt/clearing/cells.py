"""The grid repeated over the slots: what the solver's arrays are indexed by.

A cell is one zone in one slot. Cells are numbered by the zone's depth in the tree, so that all zones
of one depth, in all slots, are one slice, and the work goes layer by layer whatever the tree's shape.
"""

from dataclasses import dataclass

import numpy as np

from clearwatt.grid import Grid

UNBOUNDED = 2**40
"""A price difference that no two prices reach."""


@dataclass(frozen=True)
class Cells:
    """All cells of an auction; C = zones x slots.

    slots: T. row: [Z] place of each zone in the order of depth; its cells are ``row * T .. row * T + T - 1``.
    layers: the cells of each depth, the root's first.
    parent: [C] cell of the parent zone in the same slot (the root's is 0 and unused).
    import_limit, export_limit: [C] Wh. fee: [C] ticks per Wh.
    """

    slots: int
    row: np.ndarray
    layers: tuple[slice, ...]
    parent: np.ndarray
    import_limit: np.ndarray
    export_limit: np.ndarray
    fee: np.ndarray

    @classmethod
    def of(cls, grid: Grid, slots: int) -> "Cells":
        """The cells of a grid in `slots` delivery slots."""
        depth = _depths(grid)
        zones = np.argsort(depth, kind="stable")
        row = np.empty_like(zones)
        row[zones] = np.arange(grid.zones)
        ends = np.cumsum(np.bincount(depth)) * slots
        layers = tuple(slice(int(start), int(end)) for start, end in zip([0, *ends], ends, strict=False))
        parent_row = row[np.maximum(np.array(grid.parents), 0)[zones]]
        lines = [grid.lines[zone] for zone in zones]
        return cls(
            slots,
            row,
            layers,
            parent=(parent_row[:, None] * slots + np.arange(slots)).ravel(),
            import_limit=np.repeat(np.array([line.import_limit for line in lines]), slots),
            export_limit=np.repeat(np.array([line.export_limit for line in lines]), slots),
            fee=np.repeat(np.array([line.fee for line in lines]), slots),
        )

    def __len__(self) -> int:
        return len(self.parent)

    def index(self, zone: np.ndarray, slot: np.ndarray) -> np.ndarray:
        """The cell of each (zone, slot)."""
        return (self.row * self.slots)[zone] + slot

    def by_zone(self, values: np.ndarray) -> np.ndarray:
        """Values per cell [C] as [Z, T]."""
        return values.reshape(-1, self.slots)[self.row]

    def line_bounds(self, flow: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What the flows say of the prices: ``a <= price of parent - price <= b``, each [C] (rule E3)."""
        a = np.where(flow > -self.import_limit, -self.fee, -UNBOUNDED)
        b = np.where(flow < self.export_limit, self.fee, UNBOUNDED)
        return np.where(flow > 0, self.fee, a), np.where(flow < 0, -self.fee, b)

    def lowest(self, floor: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """The lowest prices [C], none below `floor`, that keep ``a <= price of parent - price <= b`` (E6)."""
        low = floor.copy()
        for cells in reversed(self.layers[1:]):
            np.maximum.at(low, self.parent[cells], low[cells] + a[cells])
        for cells in self.layers[1:]:
            low[cells] = np.maximum(low[cells], low[self.parent[cells]] - b[cells])
        return low

    def highest(self, ceiling: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """The highest prices [C] not above `ceiling`, in the same way: `lowest` with every sign turned."""
        return -self.lowest(-ceiling, -b, -a)


def _depths(grid: Grid) -> np.ndarray:
    depth = np.zeros(grid.zones, dtype=np.int64)
    for zone, parent in enumerate(grid.parents[1:], start=1):
        depth[zone] = depth[parent] + 1
    return depth
