"""Whole days without a chain: what batteries and cars plan, what the market settles, and what it is worth."""

from dataclasses import replace

import numpy as np
import pytest

from clearwatt.community.devices import Known, devices_of
from clearwatt.community.fleet import Outlook, make_fleet
from clearwatt.community.indicators import costs, recheck, retail_cost
from clearwatt.community.rehearsal import Rehearsal, rehearse
from clearwatt.community.scenario import Community, load_community, parse_day
from clearwatt.community.tariff import Tariff
from tests.offchain.community.conftest import simulated_day

MIDSUMMER = parse_day("2016-06-21")
WINTER = parse_day("2016-01-20")


def foreseen(community: Community, day: int) -> Outlook:
    net = community.net_without_cars(day)
    return Outlook(net, net)


def without_cars(community: Community) -> Community:
    members = tuple(replace(member, car_w=0) for member in community.members)
    load = community.load_power - community.car_power
    return replace(community, members=members, load_power=load, car_power=np.zeros_like(load))


def paid(played: Rehearsal) -> int:
    return -int(played.money.sum())


def unplanned(played: Rehearsal) -> float:
    """Share of the planned energy that was not contracted as planned."""
    planned, contracted = (
        np.stack([getattr(device, name) for device in played.devices]) for name in ("planned", "contracted")
    )
    return float(np.abs(planned - contracted).sum() / np.abs(planned).sum())


# ------------------------------------------------------------ the schedule is what the market settles


def test_day__perfect_forecast__schedule_is_settled_and_metered_to_the_wh(community):
    played = rehearse(community, MIDSUMMER, Tariff.parse(), 4, expected=foreseen(community, MIDSUMMER))
    assert sum(int(np.abs(device.planned).sum()) for device in played.devices) > 200_000
    for device in played.devices:
        assert (device.contracted == device.planned).all()
        assert (device.delivered == device.contracted).all()


def test_day__perfect_forecast__community_pays_what_the_plan_of_the_whole_day_costs(community):
    """One dispatch of the day at midnight is the benchmark: 24 auctions may lose whole Wh to it, and nothing else."""
    parked = without_cars(community)
    expected = foreseen(parked, MIDSUMMER)
    played = rehearse(parked, MIDSUMMER, Tariff.parse(), 4, expected=expected)
    desk = make_fleet(parked, MIDSUMMER, Tariff.parse(), expected, (-(2**23), 2**23 - 1)).planner
    plans = desk.plan(Known(0, -2))
    best = parked.net(MIDSUMMER).sum(axis=0) + sum(np.array(plan.energy) for plan in plans.values())
    cost = int(retail_cost(Tariff.parse(), best))
    assert paid(played) == pytest.approx(cost, rel=1e-3)
    assert desk.gap < 1e-6


def test_day__weeks_forecast__what_is_planned_is_contracted_all_the_same(community):
    """The plan foresees the others' bids, whatever their meters will read.

    What a battery charges and discharges within one auction can't be promised, as only one of them might be filled.
    """
    assert unplanned(rehearse(community, MIDSUMMER, Tariff.parse(), 4)) == 0
    assert unplanned(rehearse(community, parse_day("2016-04-10"), Tariff.parse(), 4)) < 1e-4


# ------------------------------------------------------------ what it is worth


def test_day__midsummer__batteries_and_cars_save_more_than_sharing_could(flexible_midsummer):
    cost = costs(flexible_midsummer)
    assert cost.flexible + cost.wear < cost.pooled <= cost.unmanaged < cost.retail
    assert (cost.retail - cost.pooled) / cost.retail == pytest.approx(0.4015, abs=1e-4)
    assert (cost.retail - cost.flexible) / cost.retail > 0.5


def test_day__winter_at_one_price_all_day__batteries_rest(community):
    played = rehearse(community, WINTER, Tariff.parse(), 4)
    assert sum(int(np.maximum(device.delivered, 0).sum()) for device in played.devices) == 0


def test_day__winter_with_times_of_use__batteries_charge_by_night(community):
    tariff = Tariff.parse("00:00-06:00=0.18,06:00-24:00=0.34")
    played, rest = rehearse(community, WINTER, tariff, 4), rehearse(community, WINTER, tariff, flexible=False)
    stored = sum(device.delivered for device in played.devices if device.kind == "battery")
    assert stored[:24].sum() < 0 < stored[24:].sum()
    assert paid(played) < paid(rest)


# ------------------------------------------------------------ what must hold on any day


@pytest.mark.parametrize("day", ["2016-06-21", "2016-04-10", "2016-11-06"])
def test_recheck__day_with_batteries_and_cars__everything_holds(community, day):
    outcome = simulated_day(community, parse_day(day), Tariff.parse(), 4, flexible=True)
    assert [check for check in recheck(outcome) if not check.ok] == []


@pytest.mark.parametrize("slots", [1, 12, 48, 96])
def test_recheck__auctions_of_any_length__everything_holds(slots):
    part = load_community(8, seed=132)
    outcome = simulated_day(part, MIDSUMMER, Tariff.parse(), slots, flexible=True)
    assert [check.name for check in recheck(outcome) if not check.ok] == []


def test_recheck__weak_grid_with_fees__everything_holds(community):
    weak = load_community(line_limit_percent=8, line_fee=500)
    outcome = simulated_day(weak, MIDSUMMER, Tariff.parse(), 4, flexible=True)
    assert [check for check in recheck(outcome) if not check.ok] == []
    assert costs(outcome).flexible < costs(outcome).unmanaged


def test_rehearse__no_batteries_and_no_cars__same_day_as_with_nothing_flexible():
    part = load_community(8, seed=3)
    members = tuple(replace(member, battery=None) for member in part.members)
    bare = without_cars(replace(part, members=members))
    assert devices_of(bare, MIDSUMMER) == ()
    flexible, rest = (rehearse(bare, MIDSUMMER, Tariff.parse(), 4, flexible=way) for way in (True, False))
    assert (flexible.money == rest.money).all()
    assert flexible.devices == ()


def test_rehearse__nothing_flexible__meters_read_what_was_measured(community):
    assert (rehearse(community, 100, Tariff.parse(), flexible=False).readings == community.net(100)).all()
