import json
from dataclasses import replace

import numpy as np
import pytest

from clearwatt.community.indicators import (
    bills,
    figures,
    gas_bill,
    gas_cost,
    imbalance,
    line_use,
    mean_prices,
    measured_flows,
    recheck,
    self_use,
    volumes,
)

RETAILER, PRODUCER, CONSUMER = (f"0x{number:040x}" for number in (1, 2, 3))


def test_bills__two_slots__by_hand(small_day):
    farm, flat = bills(small_day)
    assert (farm.with_market, farm.without_market, farm.saving) == (-660, -600, 60)
    assert (flat.with_market, flat.without_market, flat.saving) == (1640, 2700, 1060)


def test_self_use__two_slots__by_hand(small_day):
    own = self_use(small_day)
    assert (own.consumption, own.generation, own.alone, own.pooled) == (105, 90, 15, 70)


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
            {"Readings are generation minus consumption"},
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
