"""Net supply curves on the tree: merged upwards, walked down.

The net supply of a zone is a step function of its price: it starts at minus all its buys, and every
step, sell or buy alike, adds its volume as the price passes its limit. Seen from the parent, a
child's curve ends at the line's limits, its importing part (below 0) lies lower by the fee and its
exporting part higher by it. The root's curve crosses 0 where the tree balances.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from clearwatt.clearing.cells import UNBOUNDED, Cells


class Window(NamedTuple):
    """Where the prices are looked for: cell c between ``low[c]`` and ``low[c] + 2**bits - 1``.

    Keys put points in order of cell and price at once: ``cell << bits | price - low[cell]``.
    """

    low: np.ndarray
    bits: int

    def key(self, cell: np.ndarray, price: np.ndarray) -> np.ndarray:
        """Keys of prices that lie within the window."""
        return cell << self.bits | price - self.low[cell]

    def price(self, cell: np.ndarray, key: np.ndarray) -> np.ndarray:
        """The prices in the keys."""
        return (key & (1 << self.bits) - 1) + self.low[cell]


class Points(NamedTuple):
    """Where curves rise: at the key's price, by `volume` Wh.

    source: the child's cell the volume comes from, or -1 where it is the zone's own.
    """

    key: np.ndarray
    volume: np.ndarray
    source: np.ndarray


class Balance(NamedTuple):
    """A welfare optimum, per cell [C].

    own: net injection of the zone itself, Wh. flow: net injection of its subtree, Wh.
    floor: the highest limit of its own points that is taken at least in part, or the window's low end.
    ceiling: the lowest limit that is not taken whole, or `UNBOUNDED` where the window holds none.
    """

    own: np.ndarray
    flow: np.ndarray
    floor: np.ndarray
    ceiling: np.ndarray


@dataclass(frozen=True)
class _Layer:
    """The merged curves of all cells of one depth, sorted; `before` is the net supply below each point."""

    cell: np.ndarray
    price: np.ndarray
    volume: np.ndarray
    source: np.ndarray
    before: np.ndarray


def balance(cells: Cells, window: Window, start: np.ndarray, key: np.ndarray, volume: np.ndarray) -> Balance:
    """The optimum for points that all lie in a window which holds an equilibrium.

    start: [C] net supply below the window, Wh. key, volume: the zones' own points, in any order.
    """
    order = sort_order(key)
    key, volume = key[order], volume[order]
    start, sent = start.copy(), np.zeros(len(cells), dtype=np.int64)
    arriving = Points(*np.empty((3, 0), dtype=np.int64))
    layers = []
    for level in reversed(cells.layers):
        own = slice(*np.searchsorted(key, [level.start << window.bits, level.stop << window.bits]))
        layer = _merge(window, level, start, key[own], volume[own], arriving)
        layers.append(layer)
        if level.start:
            arriving = _lift(cells, window, level, start, sent, layer)
    return _walk_down(cells, window, sent, layers[::-1])


def sort_order(key: np.ndarray) -> np.ndarray:
    """The stable order that sorts non-negative keys; with the place packed in the key, which sorts faster."""
    bits = len(key).bit_length()
    if len(key) and int(key.max()).bit_length() + bits < 64:
        return np.sort(key << bits | np.arange(len(key))) & (1 << bits) - 1
    return np.argsort(key, kind="stable")


def _join(some: Points, others: Points) -> Points:
    return Points(*(np.concatenate(columns) for columns in zip(some, others, strict=True)))


def _merge(
    window: Window, level: slice, start: np.ndarray, key: np.ndarray, volume: np.ndarray, arriving: Points
) -> _Layer:
    own = Points(key, volume, np.full(len(key), -1))
    merged = own
    if len(arriving.key):
        points = _join(own, arriving)
        order = sort_order(points.key)
        merged = Points(*(column[order] for column in points))
    cell = merged.key >> window.bits
    total = np.concatenate(([0], np.cumsum(merged.volume)))
    first = np.searchsorted(cell, np.arange(level.start, level.stop))
    before = total[:-1] + (start[level] - total[first])[cell - level.start]
    return _Layer(cell, window.price(cell, merged.key), merged.volume, merged.source, before)


def _lift(
    cells: Cells, window: Window, level: slice, start: np.ndarray, sent: np.ndarray, layer: _Layer
) -> Points:
    """The layer's curves as their parents see them; what flows at any price there is put in `sent` and
    added to the parents' `start`."""
    lowest, highest = -cells.import_limit, cells.export_limit
    sent[level] = np.clip(start[level], lowest[level], highest[level])
    low, high = lowest[layer.cell], highest[layer.cell]
    before, after = np.clip(layer.before, low, high), np.clip(layer.before + layer.volume, low, high)
    importing = np.minimum(after, 0) - np.minimum(before, 0)
    exporting = np.maximum(after, 0) - np.maximum(before, 0)
    fee = cells.fee[layer.cell]
    imports = _arrive(cells, window, sent, layer.cell, layer.price - fee, importing)
    exports = _arrive(cells, window, sent, layer.cell, layer.price + fee, exporting)
    np.add.at(start, cells.parent[level], sent[level])
    return _join(imports, exports)


def _arrive(
    cells: Cells, window: Window, sent: np.ndarray, cell: np.ndarray, price: np.ndarray, volume: np.ndarray
) -> Points:
    """Points at the parents' windows; below the window they flow at any price, above it at none."""
    place = price - window.low[cells.parent[cell]]
    below = place < 0
    np.add.at(sent, cell[below], volume[below])
    within = np.flatnonzero((volume > 0) & ~below & (place < 1 << window.bits))
    source = cell[within]
    return Points(window.key(cells.parent[source], price[within]), volume[within], source)


def _walk_down(cells: Cells, window: Window, sent: np.ndarray, layers: list[_Layer]) -> Balance:
    flow = sent.copy()  # the root's is 0: the whole tree balances
    floor, ceiling = window.low.copy(), np.full(len(cells), UNBOUNDED)
    for layer in layers:
        taken = np.clip(flow[layer.cell] - layer.before, 0, layer.volume)
        carried = layer.source >= 0
        np.add.at(flow, layer.source[carried], taken[carried])
        some, short = ~carried & (taken > 0), ~carried & (taken < layer.volume)
        np.maximum.at(floor, layer.cell[some], layer.price[some])
        np.minimum.at(ceiling, layer.cell[short], layer.price[short])
    own = flow.copy()
    below = slice(cells.slots, None)
    np.subtract.at(own, cells.parent[below], flow[below])
    return Balance(own, flow, floor, ceiling)
