from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearwatt.community.devices import (
    MILLI,
    BatteryAtWork,
    CarAtWork,
    Known,
    charged,
    devices_of,
    discharged,
    level_after,
    per_slot,
)
from clearwatt.community.scenario import Battery, Session

SLOTS = 4
START = Known(first=40, now=38)


@dataclass(frozen=True)
class Offer:
    """What a plan says of a slot, and the share of it that the auction takes, in percent."""

    planned: int
    taken: int


auctions = st.lists(
    st.lists(
        st.builds(Offer, st.integers(-4_000, 4_000), st.integers(0, 100)), min_size=SLOTS, max_size=SLOTS
    ),
    min_size=1,
    max_size=12,
)


def battery(power_w: int = 6_500, energy_wh: int = 13_000) -> BatteryAtWork:
    return BatteryAtWork("battery", 0, 0, Battery(power_w, energy_wh))


def car(*sessions: Session, power_w: int = 4_000) -> CarAtWork:
    return CarAtWork("car", 0, 0, power_w, sessions)


# ------------------------------------------------------------ batteries


def test_level__charged_and_discharged__loses_five_percent_each_way():
    assert charged(0, 1_000) == 950 * MILLI
    assert discharged(1_000 * MILLI, 950) == 0
    assert level_after(1_000 * MILLI, -100) == 1_095 * MILLI


def test_level__energy_that_does_not_divide__rounded_against_the_owner():
    assert discharged(10 * MILLI, 1) == 8_947  # 1052.63 thousandths are 1053


@given(auctions, st.integers(500, 20_000), st.integers(50, 40_000))
def test_promise__whatever_part_of_it_is_taken__level_within_its_limits(plans, power_w, energy_wh):
    storage = battery(power_w, energy_wh)
    for number, plan in enumerate(plans):
        known = Known(number * SLOTS, number * SLOTS - 2)
        promised = storage.promise([offer.planned for offer in plan], known)
        assert all(abs(energy) <= per_slot(power_w) for energy in promised)
        assert all(abs(energy) <= abs(offer.planned) for energy, offer in zip(promised, plan, strict=True))
        taken = [int(energy * offer.taken / 100) for energy, offer in zip(promised, plan, strict=True)]
        assert storage.deliver(taken) == taken
    assert 0 <= min(storage.levels) <= max(storage.levels) <= storage.capacity
    assert len(storage.levels) == len(plans) * SLOTS + 1


def test_promise__charge_and_sell_within_an_auction__sale_does_not_count_on_the_charge():
    storage = battery(power_w=40_000, energy_wh=10_000)
    assert storage.promise([-6_000, 9_000], START) == [-5_263, 4_750]


def test_asset__late_and_empty__end_that_can_still_be_reached():
    storage = battery()
    storage.deliver(storage.promise([1_625] * 4, Known(0, -2)))
    last = storage.asset(Known(first=95, now=93))
    assert last.end_kwh < 6.5
    assert last.end_kwh - last.start_kwh == pytest.approx(1.625 * 0.95, abs=0.002)


def test_asset__start_of_the_day__half_full_and_to_end_so():
    plan = battery().asset(Known(0, -2))
    assert (plan.start_kwh, plan.end_kwh, plan.capacity_kwh) == (6.49, 6.5, 12.98)


# ------------------------------------------------------------ cars


VISIT = Session(arrival=10, departure=20, energy_wh=3_500)


def arrived(*sessions: Session, slots: int = 0) -> CarAtWork:
    visitor = car(*sessions)
    visitor.deliver([0] * slots)
    return visitor


def test_asset__car_not_there_yet__nobody_plans_for_it():
    visitor = arrived(VISIT, slots=12)
    assert visitor.asset(Known(first=12, now=9)) is None
    assert visitor.promise([-1_000] * 4, Known(first=12, now=9)) == [0, 0, 0, 0]


def test_asset__car_plugged_in__what_it_lacks_until_it_leaves():
    plan = arrived(VISIT, slots=12).asset(Known(first=12, now=10))
    assert (plan.arrival_slot, plan.departure_slot, plan.needed_kwh, plan.power_kw) == (0, 8, 3.5, 4.0)


def test_promise__plan_beyond_need_and_departure__cut_off():
    visitor = arrived(VISIT, slots=16)
    assert visitor.promise([-800, -1_500, -800, -800, -800], Known(16, 14)) == [-800, -1_000, -800, -800, 0]
    visitor = arrived(Session(10, 20, 1_500), slots=12)
    assert visitor.promise([-1_000, -1_000, 0, 0], Known(12, 10)) == [-1_000, -500, 0, 0]


def test_deliver__nothing_contracted__charges_at_the_last_moment():
    visitor = arrived(VISIT, slots=24)
    assert visitor.delivered[10:20] == [0] * 6 + [-500, -1_000, -1_000, -1_000]
    assert visitor.missing(VISIT) == 0


@given(
    st.integers(0, 30),
    st.integers(1, 30),
    st.integers(1, 40_000),
    st.lists(st.integers(0, 1_000), min_size=64, max_size=64),
)
def test_deliver__any_contracts__full_when_it_leaves_and_never_beyond_its_power(
    arrival, stay, energy, bought
):
    visit = Session(arrival, arrival + stay, min(energy, 1_000 * stay))
    visitor = car(visit)
    visitor.deliver([-amount for amount in bought])
    during = visitor.delivered[visit.arrival : visit.departure]
    assert -sum(during) == visit.energy_wh
    assert sum(visitor.delivered) == sum(during)
    assert all(-1_000 <= energy <= 0 for energy in during)


def test_deliver__two_visits__each_gets_its_own():
    visitor = arrived(VISIT, Session(20, 30, 700), slots=40)
    assert sum(visitor.delivered[10:20]) == -3_500
    assert sum(visitor.delivered[20:30]) == -700


# ------------------------------------------------------------ the grid's


def test_devices_of__whole_grid__ten_batteries_and_five_cars(community):
    devices = devices_of(community, 172)
    assert [device.kind for device in devices].count("battery") == 10
    assert [device.kind for device in devices].count("car") == 5
    assert len({device.name for device in devices}) == 15
    assert all(device.zone == community.members[device.row].zone for device in devices)
