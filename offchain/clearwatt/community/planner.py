"""How a community's batteries and cars bid: what to do with the rest of the day, and what each step of it is worth.

A battery is worth what it earns between the auctions, so its bid needs a plan. The planner serves all batteries and
cars together, as the aggregator who posts the members' bids can. It foresees the others' bids, for every member bids
by a published rule from its last seven days, and anyone can read those on the chain. With them as step bids, the rest
of the day is one dispatch problem whose optimum is what the coming auctions will clear at. Before each auction it is
solved anew from what is in the batteries by then and what the cars that have come still need.

Of the plan, the next auction's energy is offered. The limit is the worth of energy in store: where the plan
charges, what it loses by not charging there, and where it discharges, what it gains by keeping the energy. So a
planned trade takes place wherever the price is as good as planned; where it isn't, it waits for the next plan.

The solver behind it is whatever `clearwatt.dispatch` takes for linear programs of this size.
"""

import logging
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from clearwatt.bids import Bid, Step
from clearwatt.community.devices import Device, Known
from clearwatt.community.scenario import SLOT_SECONDS, SLOTS_PER_DAY
from clearwatt.dispatch.assets import OfferStep, StepBid
from clearwatt.dispatch.errors import Infeasible
from clearwatt.dispatch.result import Dispatch
from clearwatt.dispatch.scenario import GridSpec, Scenario, ZoneSpec
from clearwatt.dispatch.solve import solve
from clearwatt.grid import NO_LIMIT, Grid, Line
from clearwatt.units import TICKS_PER_CURRENCY_PER_KWH, Tick, per_kwh

log = logging.getLogger(__name__)

SLOT_HOURS = SLOT_SECONDS / 3600
WH_PER_KWH = 1000
NEARLY_WHOLE = 0.01
BETTER = 1
"""Ticks by which an offer is better than its worth: at the same limit it would have to share with others."""


@dataclass(frozen=True)
class DevicePlan:
    """A device's part of a plan, from the auction's first slot to midnight.

    energy: whole Wh, positive = injection. limit: ticks; the highest price to charge at, the lowest to discharge at.
    """

    energy: tuple[int, ...]
    limit: tuple[Tick, ...]


class Planner:
    """Plans for the devices of one day.

    others: everybody else's bids as foreseen, the retailer's too; their slots are those of the day.
    lowest, highest: the market's bounds of a limit, ticks.
    gap: the largest relative duality gap of the plans so far. solvers: which made them, in the order they came.
    """

    def __init__(
        self, grid: Grid, devices: Sequence[Device], others: Iterable[Bid], lowest: int, highest: int
    ) -> None:
        self.devices = tuple(sorted(devices, key=lambda device: device.zone))
        self._grid = _grid_spec(grid)
        self._others = _by_zone(others)
        self._bounds = lowest, highest
        self.gap: float | None = None
        self.solvers: dict[str, None] = {}

    def plan(self, known: Known) -> dict[str, DevicePlan]:
        """What every device with something to do does from the auction's first slot to midnight, by its name.

        Empty if there is no schedule that brings every battery back to where it began and charges every car, as on
        a grid too weak for them; then batteries rest, and cars charge when they must.
        """
        assets = [asset for device in self.devices if (asset := device.asset(known))]
        if not assets:
            return {}
        scenario = Scenario(
            SLOTS_PER_DAY - known.first, SLOT_HOURS, self._grid, assets=(*self._bids(known.first), *assets)
        )
        try:
            dispatch = solve(scenario)
        except Infeasible as reason:
            log.warning("no plan from slot %d on: %s", known.first, reason)
            return {}
        self.gap = max(self.gap or 0.0, dispatch.certificate.gap)
        self.solvers[dispatch.solution.solver] = None
        return self._read(dispatch, [asset.name for asset in assets])

    def _bids(self, first: int) -> list[StepBid]:
        return [
            StepBid(
                name=f"others in zone {zone}",
                zone=zone,
                steps=tuple(
                    OfferStep(slot - first, per_kwh(price), energy / WH_PER_KWH)
                    for slot, price, energy in steps
                    if slot >= first
                ),
            )
            for zone, steps in self._others.items()
        ]

    def _read(self, dispatch: Dispatch, names: Sequence[str]) -> dict[str, DevicePlan]:
        scenario, built = dispatch.scenario, dispatch.built
        row_of = {scenario.assets[asset].name: row for row, asset in enumerate(built.store_asset)}
        energy = whole(
            np.stack([dispatch.schedule[name].power_kw for name in names]) * SLOT_HOURS * WH_PER_KWH
        )
        plans = {}
        for name, own in zip(names, energy.tolist(), strict=True):
            row = row_of[name]
            zone = scenario.zone_of(scenario.assets[built.store_asset[row]])
            stores = built.program.stores
            kept = dispatch.solution.state_value[row]
            price = dispatch.zone_price[zone]
            limits = zip(
                own,
                np.maximum(kept * stores.up_gain[row], price).tolist(),
                np.minimum(kept * stores.down_gain[row] + stores.down_cost[row], price).tolist(),
                strict=True,
            )
            limit = tuple(self._limit(amount, buy, sell) for amount, buy, sell in limits)
            plans[name] = DevicePlan(tuple(own), limit)
        return plans

    def _limit(self, energy: int, buy: float, sell: float) -> Tick:
        """A tick better than the worth, which by the optimum's conditions is no worse than the planned price."""
        lowest, highest = self._bounds
        ticks = math.floor(_in_ticks(sell)) - BETTER if energy > 0 else math.ceil(_in_ticks(buy)) + BETTER
        return Tick(min(max(ticks, lowest), highest))


def offers(
    devices: Iterable[Device], plans: Mapping[str, DevicePlan], known: Known, slots: int
) -> dict[str, tuple[Step, ...]]:
    """The coming auction's part of the plans as bid steps, by device; no more than the device can promise."""
    steps = {}
    for device in devices:
        plan = plans.get(device.name)
        if plan:
            promised = device.promise(plan.energy[:slots], known)
            rows = enumerate(zip(plan.limit, promised, strict=False))
            steps[device.name] = tuple(Step(slot, limit, energy) for slot, (limit, energy) in rows if energy)
    return steps


def whole(energy: np.ndarray) -> np.ndarray:
    """Whole Wh of float[N, T] Wh, so that the first n of a slot together are off by half a Wh at most, for every n."""
    exact = np.round(energy, 3)  # a solver's 0 is not quite 0
    return np.diff(np.rint(np.cumsum(exact, axis=0)).astype(np.int64), axis=0, prepend=0)


def _in_ticks(price: float) -> float:
    """Currency/kWh in ticks, with what is less than a solver's accuracy off a whole tick put right."""
    ticks = price * TICKS_PER_CURRENCY_PER_KWH
    return round(ticks) if abs(ticks - round(ticks)) < NEARLY_WHOLE else ticks


def _by_zone(bids: Iterable[Bid]) -> dict[int, list[Step]]:
    """All steps of a zone; those at the same price are one."""
    totals: dict[tuple[int, int, int, bool], int] = defaultdict(int)
    for bid in bids:
        for slot, price, energy in bid.steps:
            totals[bid.zone, slot, price, energy > 0] += energy
    zones: dict[int, list[Step]] = {}
    for (zone, slot, price, _), energy in sorted(totals.items()):
        zones.setdefault(zone, []).append(Step(slot, price, energy))
    return zones


def _grid_spec(grid: Grid) -> GridSpec:
    zones = zip(grid.parents[1:], grid.lines[1:], strict=True)
    return GridSpec(zones=(ZoneSpec(parent=None), *(_zone_spec(parent, line) for parent, line in zones)))


def _zone_spec(parent: int, line: Line) -> ZoneSpec:
    return ZoneSpec(
        parent=parent,
        export_kw=_limit_kw(line.export_limit),
        import_kw=_limit_kw(line.import_limit),
        fee=per_kwh(line.fee),
    )


def _limit_kw(limit: int) -> float | None:
    return None if limit >= NO_LIMIT else limit / WH_PER_KWH / SLOT_HOURS
