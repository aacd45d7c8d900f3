"""From a solver's floats to whole Wh and money, so that nothing is left over.

Exact, in every slot: what every zone injects, what its lines bring, take and lose, add up to 0; every connection's and
line's flow is the sum of what is behind it; and all payments, the lines' income included, add up to 0.

To the Wh:

- Limits in whole Wh are kept; one that is not is taken to the next whole Wh beyond it. Only the far end of a
  line with losses may take 1 Wh more than that, since its loss is rounded too.
- What nobody decides on is rounded to one of its two neighbours.
- A store follows the planned state, not the planned power: what rounding cost it in one slot it makes up in the next,
  so that its state, worked out again from the whole Wh, stays within what 1 Wh at its terminals changes. Only
  where nothing else in reach can move does it give way, and returns later.
- What then is missing or too much in a slot is taken by those whose plan lies between two whole Wh, then by offers that
  are between their limits (the marginal ones, which do not mind), then by stores, then by whatever has room.
"""

from dataclasses import dataclass

import numpy as np

from clearwatt.dispatch.build import Built
from clearwatt.dispatch.errors import DispatchError
from clearwatt.dispatch.prices import to_ticks
from clearwatt.dispatch.program import Program, Solution
from clearwatt.dispatch.result import Dispatch, owner_state

WH = 1000
"""Wh per kWh."""
NOISE = 1e-4
"""Wh; a solver's number closer than this to a whole one is that one."""
STATE_NOISE = 1e-6
"""kWh or K; how far a state may pass a bound in a solver's answer."""
FAR_KWH = 1e12
"""What stands for no limit."""
TIERS = 4
"""Who makes up for what is missing, in this order; the module says who."""


@dataclass(frozen=True, eq=False)
class WholeDispatch:
    """A dispatch in whole Wh per slot.

    energy: by asset name, int64[T], positive = injection.
    state: of the assets that have one, float[T], worked out from `energy`; units as in `AssetSchedule`.
    zone_energy: int64[Z, T], what each zone's assets inject. sent, received: int64[Z, T], what each zone sends into its
        line and what the parent receives from it; both negative when it flows the other way. ``sent - received`` is
        lost, never negative.
    """

    energy: dict[str, np.ndarray]
    state: dict[str, np.ndarray]
    zone_energy: np.ndarray
    sent: np.ndarray
    received: np.ndarray


@dataclass(frozen=True, eq=False)
class Payments:
    """What everybody is paid at zone prices; money units, int64, exactly.

    assets: by name, summed over slots; negative = pays. lines: [Z, T], the network's income from each line: what it
        sells at one end less what it buys at the other. fees: [Z, T] the part of it that is the line's fee, the rest is
        congestion rent and the worth of what is lost (which makes it a cost). All of assets and lines add up to 0.
    """

    assets: dict[str, int]
    lines: np.ndarray
    fees: np.ndarray


def round_dispatch(dispatch: Dispatch) -> WholeDispatch:
    """The dispatch in whole Wh, as the module says.

    Raises DispatchError naming slot and zone if nothing can take what is left over, which a schedule that
    keeps its balances to the Wh does not come to.
    """
    built, solution = dispatch.built, dispatch.solution
    tree = _Tree.of(built)
    least, most = _bounds(built.program, tree)
    leaves, stores = _Leaves.of(built, solution), _Stores(built.program, solution)
    value = np.empty((len(tree.parent), built.program.slots), dtype=np.int64)
    for slot in range(built.program.slots):
        value[:, slot], missing = _place(tree, leaves.at(slot, tree, stores), least[:, slot], most[:, slot])
        if missing.any():
            raise DispatchError(_left_over(built, tree, missing, slot))
        stores.move(slot, value[tree.stores, slot])
    return _whole(built, tree, stores, value)


def payments(dispatch: Dispatch, whole: WholeDispatch, price: np.ndarray) -> Payments:
    """Money for energy at zone prices.

    price: int64[Z, T] ticks (`prices.to_ticks`).
    """
    scenario, lines = dispatch.scenario, dispatch.built.program.lines
    parent = np.maximum(lines.parent, 0)
    income = whole.received * price[parent] - whole.sent * price
    entering = np.maximum(whole.sent, 0) + np.maximum(-whole.received, 0)
    income[0] = 0
    assets = {
        asset.name: int(whole.energy[asset.name] @ price[scenario.zone_of(asset)])
        for asset in scenario.assets
    }
    return Payments(assets, income, entering * to_ticks(lines.fee))


# ---------------------------------------------------------------------------------------------------
# The tree of sums
# ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Tree:
    """Everything that has an energy in a slot, in one numbering: leaves, then connections, then zones.

    Leaves are offers, stores, runs, fixed assets and the losses of lines; a node's energy is its children's sum.
    parent: int[size], -1 for zone 0. levels: the children of all nodes of a depth, from the root down.
    leaves, stores, losses, zones: where they are.
    """

    parent: np.ndarray
    levels: tuple[np.ndarray, ...]
    leaves: slice
    stores: slice
    losses: slice
    zones: slice

    @classmethod
    def of(cls, built: Built) -> "_Tree":
        program = built.program
        behind = built.connection[_owners(built)]
        leaves = len(behind) + program.zones - 1
        first_zone = leaves + len(program.connections.zone)
        above = program.lines.parent[1:] + first_zone
        parent = np.concatenate([behind + leaves, above, program.connections.zone + first_zone, [-1], above])
        offers, stores = len(built.offer_asset), len(built.store_asset)
        return cls(
            parent,
            _levels(parent),
            leaves=slice(0, leaves),
            stores=slice(offers, offers + stores),
            losses=slice(len(behind), leaves),
            zones=slice(first_zone, len(parent)),
        )


def _owners(built: Built) -> np.ndarray:
    """The asset of every leaf but the losses."""
    return np.concatenate([built.offer_asset, built.store_asset, built.run_asset, built.fixed_asset])


def _levels(parent: np.ndarray) -> tuple[np.ndarray, ...]:
    depth = np.zeros(len(parent), dtype=int)
    above = parent
    while (above >= 0).any():
        depth += above >= 0
        above = np.where(above >= 0, parent[above], -1)
    order = np.argsort(depth, kind="stable")
    return tuple(np.split(order, np.flatnonzero(np.diff(depth[order])) + 1)[1:])


def _floor(kwh: np.ndarray) -> np.ndarray:
    """The whole Wh at or below; far away for minus infinity."""
    return np.floor(np.maximum(kwh, -FAR_KWH) * WH + NOISE).astype(np.int64)


def _ceil(kwh: np.ndarray) -> np.ndarray:
    """The whole Wh at or above; far away for infinity."""
    return np.ceil(np.minimum(kwh, FAR_KWH) * WH - NOISE).astype(np.int64)


def _bounds(program: Program, tree: _Tree) -> tuple[np.ndarray, np.ndarray]:
    """[size, T] least and most Wh of every connection and zone; none for leaves, 0 for zone 0."""
    connections, lines = program.connections, program.lines
    arriving = lines.import_limit * (1 - lines.loss[:, None])
    low, high = (
        np.concatenate([connections.low, -arriving]),
        np.concatenate([connections.high, lines.export_limit]),
    )
    leaves = ((tree.leaves.stop, 0), (0, 0))
    return (
        np.pad(_floor(low), leaves, constant_values=_floor(np.array(-np.inf))),
        np.pad(_ceil(high), leaves, constant_values=_ceil(np.array(np.inf))),
    )


# ---------------------------------------------------------------------------------------------------
# Leaves: what each would like, and how far it can move
# ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Leaves:
    """All leaves, [n] in one slot or [n, T] in all of them.

    planned: Wh, float. low, high: whole Wh.
    """

    planned: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @classmethod
    def of(cls, built: Built, solution: Solution) -> "_Leaves":
        """Those of stores are left open."""
        offers, lines = built.program.offers, built.program.lines
        off = offers.on_off[:, None] & (solution.injection < offers.low / 2)
        open_ = np.zeros_like(solution.up)
        fixed = np.concatenate([_run_energy(built, solution), built.fixed])
        lost = -lines.loss[1:, None] * (solution.exports + solution.imports)[1:]
        planned = [np.where(off, 0, solution.injection), open_, fixed, lost]
        low = [np.where(off, 0, offers.low), open_, fixed, lost]
        high = [np.where(off, 0, offers.high), open_, fixed, lost]
        return cls(np.concatenate(planned) * WH, _floor(np.concatenate(low)), _ceil(np.concatenate(high)))

    def at(self, slot: int, tree: _Tree, stores: "_Stores") -> "_Leaves":
        """Those of one slot, with what the stores would like in it."""
        planned, low, high = self.planned[:, slot].copy(), self.low[:, slot].copy(), self.high[:, slot].copy()
        planned[tree.stores], low[tree.stores], high[tree.stores] = stores.wish(slot)
        return _Leaves(planned, low, high)

    def nearest(self) -> np.ndarray:
        return np.clip(np.rint(self.planned).astype(np.int64), self.low, self.high)

    def room(self, value: np.ndarray, tree: _Tree) -> tuple[np.ndarray, np.ndarray]:
        """[TIERS, n] how far each could move up and down from its value by the end of each tier."""
        marginal = (self.planned > self.low + 1) & (self.planned < self.high - 1)
        marginal[tree.stores] = False
        return (
            _tiers(self.planned - value, self.high - value, marginal, tree.stores),
            _tiers(value - self.planned, value - self.low, marginal, tree.stores),
        )


def _tiers(towards: np.ndarray, room: np.ndarray, marginal: np.ndarray, stores: slice) -> np.ndarray:
    """towards: how much further the plan was in this direction, Wh."""
    between = np.where((towards > NOISE) & (room > 0), 1, 0)
    offers = np.where(marginal, room, between)
    with_stores = offers.copy()
    with_stores[stores] = np.minimum(room[stores], 1)
    return np.stack([between, offers, with_stores, room])


def _run_energy(built: Built, solution: Solution) -> np.ndarray:
    """[R, T] kWh that the runs inject."""
    energy = np.zeros((len(built.run_asset), built.program.slots))
    for row, run, start in zip(energy, built.program.runs, solution.starts, strict=True):
        row[start : start + len(run.profile)] = -run.profile
    return energy


class _Stores:
    """The stores as they go along in whole Wh, each after the state that was planned for it.

    state: [B, T] as it came out; wasted: int64[B, T], what is charged and discharged at once, as planned.
    """

    def __init__(self, program: Program, solution: Solution) -> None:
        self.stores, self.planned = program.stores, solution.state
        self.state = np.empty_like(solution.state)
        self.last = program.stores.initial
        lossy = self.stores.up_gain != self.stores.down_gain  # of the others, none is wasted
        self.wasted = np.rint(np.minimum(solution.up, solution.down) * lossy[:, None] * WH).astype(np.int64)

    def wish(self, slot: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What each would inject to come closest to its plan, whole Wh within its bounds, and these."""
        s, injects = self.stores, self.stores.state_injects
        wasted = self.wasted[:, slot] / WH
        low = np.where(injects, self.last - s.down_high[:, slot], wasted - s.up_high[:, slot])
        high = np.where(injects, self.last + s.up_high[:, slot], s.down_high[:, slot] - wasted)
        low = np.where(injects, np.maximum(low, s.low[:, slot]), low)
        high = np.where(injects, np.minimum(high, s.high[:, slot]), high)
        least, most = _floor(low), _ceil(high)
        missing = self.planned[:, slot] - self._after(slot, np.zeros(len(least), dtype=np.int64))
        gain = np.where(missing > 0, s.up_gain, s.down_gain)
        energy = np.where(injects, self.planned[:, slot], -missing / np.where(gain > 0, gain, np.inf))
        wish = np.clip(np.rint(energy * WH).astype(np.int64), least, most)
        return self._inside(slot, wish, least, most), least, most

    def move(self, slot: int, energy: np.ndarray) -> None:
        """Go on to the next slot, having injected whole Wh."""
        self.last = self.state[:, slot] = self._after(slot, energy)

    def _after(self, slot: int, energy: np.ndarray) -> np.ndarray:
        """The state at the end of the slot."""
        s = self.stores
        up = (self.wasted[:, slot] + np.maximum(-energy, 0)) / WH
        down = (self.wasted[:, slot] + np.maximum(energy, 0)) / WH
        moved = s.retention * self.last + s.up_gain * up - s.down_gain * down + s.drift[:, slot]
        return np.where(s.state_injects, energy / WH, moved)

    def _inside(self, slot: int, energy: np.ndarray, least: np.ndarray, most: np.ndarray) -> np.ndarray:
        """The energy, 1 Wh more or less where the state would else pass a bound."""
        low, high = self.stores.low[:, slot] - STATE_NOISE, self.stores.high[:, slot] + STATE_NOISE
        state = self._after(slot, energy)
        other = np.clip(energy + (state > high) - (state < low), least, most)
        after = self._after(slot, other)
        return np.where((after >= low) & (after <= high), other, energy)


# ---------------------------------------------------------------------------------------------------
# One slot
# ---------------------------------------------------------------------------------------------------


def _place(
    tree: _Tree, leaves: _Leaves, least: np.ndarray, most: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Whole Wh for everything, and what is left over at each node, which should be nothing.

    First from the leaves up: what everybody wants, within the limits, and how far it can move. Then from the
    root down: what the children want together is not quite what their parent got; the tiers make up for it.
    """
    size = len(tree.parent)
    total = np.zeros(size, dtype=np.int64)
    total[tree.leaves] = leaves.nearest()
    up, down = np.zeros((2, TIERS, size), dtype=np.int64)
    up[:, tree.leaves], down[:, tree.leaves] = leaves.room(total[tree.leaves], tree)
    value = total.copy()
    for level in reversed(tree.levels):
        value[level] = np.clip(total[level], least[level], most[level])
        up[:, level] = np.maximum(np.minimum(total[level] + up[:, level], most[level]) - value[level], 0)
        down[:, level] = np.maximum(value[level] - np.maximum(total[level] - down[:, level], least[level]), 0)
        np.add.at(total, tree.parent[level], value[level])
        for room in (*up, *down):
            np.add.at(room, tree.parent[level], room[level])
    value[tree.zones.start] = 0
    missing = value - total
    remainder = np.zeros(size)
    remainder[tree.leaves] = np.abs(leaves.planned - total[tree.leaves])
    for level in tree.levels:
        _share(level, tree.parent[level], missing, value, up, down, remainder)
        missing[level] = value[level] - total[level]
        missing[tree.leaves] = 0
    return value, missing


def _share(
    level: np.ndarray,
    parent: np.ndarray,
    missing: np.ndarray,
    value: np.ndarray,
    up: np.ndarray,
    down: np.ndarray,
    remainder: np.ndarray,
) -> None:
    """Give the children of a level what their parents miss: tier by tier, the largest remainder first."""
    concerned = missing[parent] != 0
    level, parent = level[concerned], parent[concerned]
    room = np.where(missing[parent] > 0, up[:, level], down[:, level])
    able = np.diff(room, axis=0, prepend=0).ravel()
    child, above = np.tile(level, TIERS), np.tile(parent, TIERS)
    tier = np.repeat(np.arange(TIERS), len(level))
    order = np.lexsort((-remainder[child], tier, above))
    child, above, able = child[order], above[order], able[order]
    before = np.cumsum(able) - able
    starts = np.flatnonzero(np.diff(above, prepend=-1))
    before -= np.repeat(before[starts], np.diff(starts, append=len(above)))
    taken = np.clip(np.abs(missing[above]) - before, 0, able) * np.sign(missing[above])
    np.add.at(value, child, taken)
    np.subtract.at(missing, above, taken)


# ---------------------------------------------------------------------------------------------------
# The result
# ---------------------------------------------------------------------------------------------------


def _left_over(built: Built, tree: _Tree, missing: np.ndarray, slot: int) -> str:
    node = int(np.flatnonzero(missing)[0])
    names = [*built.names.connections, *built.names.zones]
    name = names[node - tree.leaves.stop]
    return f"{name}, slot {slot}: the schedule is out of balance by {abs(missing[node])} Wh that nothing can take"


def _whole(built: Built, tree: _Tree, stores: _Stores, value: np.ndarray) -> WholeDispatch:
    assets = built.scenario.assets
    energy = np.zeros((len(assets), value.shape[1]), dtype=np.int64)
    np.add.at(energy, _owners(built), value[: tree.losses.start])
    zone_energy = np.zeros((built.program.zones, value.shape[1]), dtype=np.int64)
    np.add.at(zone_energy, built.program.connections.zone, value[tree.leaves.stop : tree.zones.start])
    sent = value[tree.zones]
    received = sent.copy()
    received[1:] += value[tree.losses]
    states = {
        assets[index].name: state
        for index, row in zip(built.store_asset, stores.state, strict=True)
        if (state := owner_state(assets[index], row)) is not None
    }
    return WholeDispatch(
        {asset.name: row for asset, row in zip(assets, energy, strict=True)},
        states,
        zone_energy,
        sent,
        received,
    )
