import json
from dataclasses import replace

import numpy as np
import pytest

from clearwatt.community.devices import DeviceDay
from clearwatt.community.indicators import (
    bills,
    car_charging,
    costs,
    figures,
    gas_bill,
    gas_cost,
    imbalance,
    line_use,
    mean_prices,
    measured_flows,
    recheck,
    retail_cost,
    self_use,
    storage,
    trading_income,
    volumes,
)

RETAILER, PRODUCER, CONSUMER = (f"0x{number:040x}" for number in (1, 2, 3))


def test_bills__two_slots__by_hand(small_day):
    farm, flat = bills(small_day)
    assert (farm.with_market, farm.without_market, farm.saving) == (-660, -600, 60)
    assert (flat.with_market, flat.without_market, flat.saving) == (1640, 2700, 1060)
    assert (farm.unmanaged, flat.unmanaged) == (-480, 1600)


def test_costs__two_slots__by_hand(small_day):
    found = costs(small_day)
    assert (found.retail, found.unmanaged, found.flexible, found.wear) == (2100, 1120, 980, 0)
    assert found.pooled == -20 * 8 + 35 * 30


def test_retail_cost__both_directions__each_at_its_own_price(small_day):
    net = np.array([[100, -10], [-100, 0]])
    assert retail_cost(small_day.tariff, net).tolist() == [-800 + 300, 3_000]


def test_self_use__two_slots__by_hand(small_day):
    own = self_use(small_day)
    assert (own.consumption, own.generation, own.alone, own.pooled) == (105, 90, 15, 70)
    assert own.imported == 35


def test_volumes__two_slots__community_first(small_day):
    traded = volumes(small_day)
    assert traded.local.tolist() == [50, 10]
    assert traded.imported.tolist() == [0, 20]
    assert traded.exported.tolist() == [10, 0]


def test_mean_prices__two_zones__weighted_by_volume(small_day):
    apart = replace(
        small_day,
        prices=np.array([[8, 30], [11, 30]]),
        members=(small_day.members[0]._replace(zone=0), small_day.members[1]),
        positions=small_day.positions | {CONSUMER: np.array([-60, -30])},
    )
    assert mean_prices(small_day) == (8, 30)
    assert mean_prices(apart) == (10, 30)


def test_mean_prices__nothing_contracted__none(small_day):
    idle = replace(small_day, positions=dict.fromkeys((PRODUCER, CONSUMER, RETAILER), np.array([0, 0])))
    assert mean_prices(idle) == (None, None)


def test_imbalance__two_slots__by_hand(small_day):
    found = imbalance(small_day)
    assert found.surplus.tolist() == [10, 0]
    assert found.shortage.tolist() == [0, 15]
    assert found.cost.tolist() == [10 * 3, 15 * 4]


def test_line_use__both_directions__each_against_its_own_limit(small_day):
    assert line_use(small_day, small_day.flows).tolist() == [[0, 0], [0.1, 0.4]]
    assert measured_flows(small_day).tolist() == [[0, 0], [20, -35]]
    assert line_use(small_day, measured_flows(small_day))[1].tolist() == [0.2, 0.7]


def test_gas__two_slots__all_in_counts_bids_clearing_and_settlement(small_day):
    gas = gas_bill(small_day)
    assert gas.by_kind["bid"] == (2, 4_000, 3_000)
    assert (gas.steps, gas.all_in, gas.total) == (8, 16_000, 16_500)
    assert gas_cost(small_day, 16_500) == pytest.approx(16_500 * 2e-9 * 2500)


def test_recheck__settled_by_hand__everything_holds(small_day):
    assert [check.name for check in recheck(small_day) if not check.ok] == []


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        (
            {"network_income": 1},
            {"No money is made or lost", "The network earns fees and congestion rent, nothing else"},
        ),
        ({"surplus": np.array([[9, 30], [5, 30]])}, {"Zone prices lie between surplus and shortage price"}),
        ({"flows": np.array([[0, 0], [10, -21]])}, {"Flows on the lines follow from the positions"}),
        (
            {"flows": np.array([[0, 0], [10, -51]])},
            {"Flows on the lines follow from the positions", "Contracted flows respect the lines' limits"},
        ),
        ({"tokens_issued": {"solar": 76}}, {"No token without a metered injection"}),
        ({"tokens_issued": {"wind": 1}}, {"No token without a metered injection"}),
        ({"tokens_retired": {"solar": 76}}, {"No token without a metered injection"}),
        (
            {"consumption": {PRODUCER: np.array([10, 5]), CONSUMER: np.array([50, 41])}},
            {"Readings are generation minus consumption plus what batteries inject"},
        ),
    ],
)
def test_recheck__one_thing_wrong__its_check_fails(small_day, change, broken):
    assert {check.name for check in recheck(replace(small_day, **change)) if not check.ok} == broken


def test_recheck__retailer_position_off__energy_does_not_balance(small_day):
    off = replace(small_day, positions=small_day.positions | {RETAILER: np.array([-10, 21])})
    assert [check.name for check in recheck(off) if not check.ok] == [
        "Contracted energy balances in every slot"
    ]


def test_recheck__real_day__everything_holds(midsummer):
    assert [check for check in recheck(midsummer) if not check.ok] == []


def test_savings__real_day__members_and_retailer_share_nothing_but_the_retail_margin(midsummer):
    """With imbalance at cost, what the members save is what pooling their readings saves at retail prices."""
    net = midsummer.stack(midsummer.readings).sum(axis=0)
    imports, exports = np.array(midsummer.tariff.import_price), np.array(midsummer.tariff.export_price)
    pooled = -int((net * np.where(net < 0, imports, exports)).sum())
    every = bills(midsummer)
    best = sum(bill.without_market for bill in every) - pooled
    saved = sum(bill.saving for bill in every)
    assert 0.9 * best < saved <= best


def test_recheck__day_with_line_fees__everything_holds_and_the_network_earns(day_with_fees):
    assert [check for check in recheck(day_with_fees) if not check.ok] == []
    assert day_with_fees.network_income > 0
    assert volumes(day_with_fees).imported.sum() > 0


def test_figures__real_day__plain_json_that_adds_up(midsummer):
    shown = figures(midsummer)
    assert json.loads(json.dumps(shown, allow_nan=False)) == shown
    totals = shown["bills"]
    assert totals["saving"] == totals["without_market"] - totals["with_market"]
    assert totals["with_market"] == sum(member["with_market"] for member in totals["members"])
    assert len(totals["members"]) == 104


# ------------------------------------------------------------ batteries and cars


def with_device(outcome, kind, **changes):
    """The outcome with the first busy device of a kind changed."""
    devices = list(outcome.devices)
    index = next(
        number for number, device in enumerate(devices) if device.kind == kind and device.delivered.any()
    )
    devices[index] = replace(
        devices[index], **{name: change(devices[index]) for name, change in changes.items()}
    )
    return replace(outcome, devices=tuple(devices))


def shifted(energy):
    """The same energy, a Wh of it a slot later than the first busy one."""
    moved, slot = energy.copy(), int(np.flatnonzero(energy)[0])
    moved[slot : slot + 2] += (1, -1)
    return moved


def test_recheck__day_with_batteries_and_cars__more_to_check_and_all_of_it_holds(
    flexible_midsummer, midsummer
):
    checks = recheck(flexible_midsummer)
    assert [check for check in checks if not check.ok] == []
    assert len(checks) == len(recheck(midsummer)) + 4


@pytest.mark.parametrize(
    ("kind", "changes", "broken"),
    [
        (
            "battery",
            {"contracted": lambda device: shifted(device.contracted)},
            "Batteries did what was settled",
        ),
        (
            "battery",
            {"levels": lambda device: np.append(device.levels[:-1], device.levels[-1] + 1)},
            "Batteries stayed within their power and their energy",
        ),
        (
            "battery",
            {"energy_wh": lambda device: device.energy_wh * 9 // 10},
            "Batteries stayed within their power and their energy",
        ),
        (
            "battery",
            {"power_w": lambda device: device.power_w // 10},
            "Batteries stayed within their power and their energy",
        ),
        (
            "car",
            {"sessions": lambda device: tuple(visit._replace(departure=66) for visit in device.sessions)},
            "Cars left with the energy they came for",
        ),
        (
            "car",
            {"delivered": lambda device: device.delivered * 2},
            "Cars left with the energy they came for",
        ),
        ("car", {"power_w": lambda device: 100}, "Cars left with the energy they came for"),
    ],
)
def test_recheck__a_device_did_otherwise__its_check_fails(flexible_midsummer, kind, changes, broken):
    failed = [
        check.name for check in recheck(with_device(flexible_midsummer, kind, **changes)) if not check.ok
    ]
    assert failed == [broken]


def test_recheck__battery_ends_emptier__told(flexible_midsummer):
    """Levels that follow from the energy, from a fuller start."""
    emptied = with_device(
        flexible_midsummer,
        "battery",
        delivered=lambda device: np.append(device.delivered[:-1], 100),
        contracted=lambda device: np.append(device.contracted[:-1], 100),
        levels=lambda device: np.append(device.levels[:-1], device.levels[-2] - 105_264),
    )
    assert "Batteries ended the day no emptier than they began it" in {
        check.name for check in recheck(emptied) if not check.ok
    }


def test_storage__midsummer__what_is_lost_is_a_tenth_of_what_went_in(flexible_midsummer):
    kept = storage(flexible_midsummer)
    assert kept.charged * 0.95 - kept.discharged / 0.95 == pytest.approx(kept.gained, abs=5)
    assert 0 <= kept.gained < 150
    assert kept.discharged > 100_000


def test_trading_income__midsummer__each_battery_sells_dearer_than_it_buys(flexible_midsummer):
    earned = {
        device.name: trading_income(flexible_midsummer, device) - flexible_wear(device)
        for device in flexible_midsummer.devices
        if device.kind == "battery"
    }
    assert len(earned) == 10
    assert min(earned.values()) > 0


def flexible_wear(device):
    return int(np.maximum(device.delivered, 0).sum()) * 2_000


def test_trading_income__one_sale_and_one_purchase__by_hand(small_day):
    none = np.zeros(0, dtype=np.int64)
    energy = np.array([-50, 40])
    battery = DeviceDay("b", "flat", 1, "battery", 100, 100, energy, energy, energy, none, ())
    assert trading_income(small_day, battery) == -50 * 8 + 40 * 30


def test_car_charging__midsummer__what_the_cars_needed(flexible_midsummer, community):
    assert -car_charging(flexible_midsummer).sum() == community.charging(172).sum() > 0


def test_figures__day_with_batteries_and_cars__plain_json_with_every_device(flexible_midsummer):
    shown = figures(flexible_midsummer)
    assert json.loads(json.dumps(shown, allow_nan=False)) == shown
    assert len(shown["devices"]) == 15
    assert shown["costs"]["flexible"] == shown["bills"]["with_market"]
