"""Plans of one zone with a producer at noon and consumers in the evening, at 0.30 and 0.08 per kWh."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearwatt.bids import Bid, Step
from clearwatt.clearing.auction import Auction
from clearwatt.clearing.tree import clear
from clearwatt.community.devices import BatteryAtWork, CarAtWork, Device, Known
from clearwatt.community.fleet import bundle, contracted
from clearwatt.community.planner import DevicePlan, Planner, offers, whole
from clearwatt.community.scenario import Battery, Session
from clearwatt.grid import Grid, Line

DEAR, CHEAP = 30_000, 8_000
NOON, EVENING = range(44, 52), range(76, 84)
LOWEST, HIGHEST = -50_000, 400_000
RETAILER = Bid(
    "0x" + "0" * 39 + "1",
    0,
    tuple(step for slot in range(96) for step in (Step(slot, DEAR, 10**6), Step(slot, CHEAP, -(10**6)))),
)
PRODUCER = Bid("0x" + "0" * 39 + "2", 1, tuple(Step(slot, CHEAP, 1_000) for slot in NOON))
CONSUMER = Bid("0x" + "0" * 39 + "3", 1, tuple(Step(slot, DEAR, -900) for slot in EVENING))
OTHERS = (RETAILER, PRODUCER, CONSUMER)
CABLE = Grid((-1, 0), (Line(), Line(export_limit=50_000, import_limit=50_000)))
MORNING = Known(0, -2)


def storage(energy_wh: int = 20_000, power_w: int = 4_000) -> BatteryAtWork:
    return BatteryAtWork("battery", 0, 1, Battery(power_w, energy_wh))


def planner(*devices: Device, grid: Grid = CABLE) -> Planner:
    return Planner(grid, devices, OTHERS, LOWEST, HIGHEST)


def sums(plan: DevicePlan, slots: range, first: int = 0) -> int:
    return sum(plan.energy[slot - first] for slot in slots)


def test_plan__surplus_at_noon__stored_and_sold_in_the_evening():
    plan = planner(storage()).plan(MORNING)["battery"]
    charged = -sum(energy for energy in plan.energy if energy < 0)
    assert sums(plan, EVENING) == 7_200
    assert -sums(plan, NOON) == charged == pytest.approx(7_200 / 0.95**2, abs=25)
    assert sum(energy for energy in plan.energy if energy > 0) == 7_200


def test_plan__limits__better_than_the_planned_price_and_no_better_than_pays():
    plan = planner(storage()).plan(MORNING)["battery"]
    for energy, limit in zip(plan.energy, plan.limit, strict=True):
        if energy < 0:
            assert CHEAP < limit <= 0.95 * 0.95 * DEAR
        if energy > 0:
            assert CHEAP < limit < DEAR


def test_plan__price_never_pays__battery_rests():
    level = Planner(CABLE, [storage()], [RETAILER], LOWEST, HIGHEST).plan(MORNING)["battery"]
    assert sum(energy for energy in level.energy if energy > 0) == 0


def test_plan__car_plugged_in_before_noon__charges_what_it_needs_from_the_surplus():
    car = CarAtWork("car", 0, 1, 4_000, (Session(40, 72, 5_000),))
    car.deliver([0] * 44)
    plan = planner(car).plan(Known(first=44, now=42))["car"]
    assert sum(plan.energy) == sums(plan, NOON, first=44) == -5_000


def test_plan__car_must_leave_soon__buys_at_any_price_the_retailer_asks():
    car = CarAtWork("car", 0, 1, 4_000, (Session(80, 88, 4_000),))
    car.deliver([0] * 84)
    plan = planner(car).plan(Known(first=84, now=82))["car"]
    assert plan.energy[:4] == (-1_000,) * 4
    assert min(plan.limit[:4]) > DEAR


def test_plan__nothing_to_plan__nothing_planned():
    assert planner(CarAtWork("car", 0, 1, 4_000, ())).plan(MORNING) == {}


def test_plan__line_too_weak_for_the_car__no_plan_and_the_car_charges_at_the_end():
    car = CarAtWork("car", 0, 1, 4_000, (Session(0, 8, 8_000),))
    car.deliver([0] * 2)
    grid = Grid((-1, 0), (Line(), Line(export_limit=10, import_limit=10)))
    assert planner(car, grid=grid).plan(Known(2, 0)) == {}
    assert car.deliver([0] * 6) == [-1_000] * 6  # and 2 kWh too late


def test_planner__several_plans__remembers_the_worst_gap_and_who_solved():
    desk = planner(storage())
    desk.plan(MORNING)
    desk.plan(Known(4, 2))
    assert 0 <= desk.gap < 1e-6
    assert len(desk.solvers) >= 1


@pytest.mark.parametrize("slots", [4, 12, 96])
def test_offers__auctions_of_any_length__all_that_was_planned_is_settled(slots):
    """The optimum of the plan is the optimum of the auctions, so each offer is filled whole."""
    devices = [storage(), BatteryAtWork("small battery", 1, 1, Battery(1_500, 2_000))]
    desk, settled = planner(*devices), dict.fromkeys(("battery", "small battery"), 0)
    for first in range(0, 96, slots):
        known = Known(first, first - 2)
        steps = offers(devices, desk.plan(known), known, slots)
        bids = [_part(bid, first, slots) for bid in OTHERS]
        own = [bundle((), {name: own}) for name, own in steps.items()]
        bids += [Bid(f"0x{number + 9:040x}", 1, bid.steps) for number, bid in enumerate(own)]
        result = clear(Auction(slots, LOWEST, HIGHEST, CABLE, tuple(bids)))
        agreed: dict[str, np.ndarray] = {}
        for bid, fills in zip(own, result.fills[len(OTHERS) :], strict=True):
            assert list(fills) == [step.quantity for step in bid.steps]
            agreed |= contracted(bid, fills, slots)
        for device in devices:
            energy = agreed.get(device.name, np.zeros(slots, dtype=np.int64)).tolist()
            settled[device.name] += sum(max(part, 0) for part in device.deliver(energy))
    assert 3_000 < sum(settled.values()) <= 7_200
    assert all(device.levels[-1] >= device.levels[0] for device in devices)


def _part(bid: Bid, first: int, slots: int) -> Bid:
    steps = (
        step._replace(slot=step.slot - first) for step in bid.steps if first <= step.slot < first + slots
    )
    return Bid(bid.member, bid.zone, tuple(steps))


def test_bundle__household_and_devices__slots_ascending_and_fills_find_their_owner():
    bid = bundle(
        (Step(0, 5, 10), Step(2, 5, -20)),
        {"battery": (Step(1, 9, -30), Step(2, 9, 40)), "car": (Step(0, 9, -5),)},
    )
    assert [step.slot for step in bid.steps] == [0, 0, 1, 2, 2]
    found = contracted(bid, [10, -5, -25, -20, 40], 3)
    assert {name: energy.tolist() for name, energy in found.items()} == {
        "car": [-5, 0, 0],
        "battery": [0, -25, 40],
    }


@given(st.lists(st.lists(st.floats(-5_000, 5_000), min_size=3, max_size=3), min_size=1, max_size=20))
def test_whole__any_energy__every_running_sum_within_half_a_wh(rows):
    energy = np.array(rows)
    rounded = whole(energy)
    assert np.abs(np.cumsum(rounded, axis=0) - np.cumsum(energy, axis=0)).max() <= 0.5 + 0.001 * len(rows)
