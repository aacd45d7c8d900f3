"""Cleaning of readings: units, order, conflicts, impossible values, clocks, registers, gaps."""

import random
from datetime import datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clearwatt.metering.series import Quality, Reason
from clearwatt.metering.vee import clean, member_net
from tests.offchain.metering.meters import (
    DAY,
    MONDAY,
    QUARTER,
    message,
    point,
    quarters,
    register,
)

FOUR = MONDAY + 4 * QUARTER


def cleaned(messages, config=None, first=MONDAY, slots=4):
    return clean(messages, config or point(), first, first + slots * QUARTER, QUARTER)


def reasons(series):
    return [decision.reason for decision in series.decisions]


def rules(series):
    return {decision.rule for decision in series.decisions}


# ---------------------------------------------------------------------------------------------------
# Units
# ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("unit", "values"),
    [("Wh", [100, 0, 250, 1]), ("kWh", ["0.1", "0", "0.25", "0.001"]), ("W", [400, 0, 1000, 4])],
)
def test_clean__whole_day_in_any_unit__the_same_wh(unit, values):
    series = cleaned([quarters(values, unit=unit)])
    assert series.values.tolist() == [100, 0, 250, 1]
    assert set(series.quality) == {Quality.MEASURED}
    assert series.decisions == ()


def test_clean__mean_power_with_remainders__carried_so_that_the_sum_is_right():
    series = cleaned([quarters([1, 1, 1, 1], unit="W")])  # 0.25 Wh each
    assert series.values.sum() == 1
    assert sorted(series.values) == [0, 0, 0, 1]


def test_clean__transformer_ratio__multiplies():
    series = cleaned([quarters([1, 2, 3, 4])], point(multiplier="40"))
    assert series.values.tolist() == [40, 80, 120, 160]


def test_clean__five_minute_values__summed():
    series = cleaned([message([(MONDAY + 300 * i, 10 + i) for i in range(12)], interval=300)])
    assert series.values.tolist() == [33, 42, 51, 60]
    assert set(series.quality) == {Quality.MEASURED}


def test_clean__a_part_of_a_slot_is_missing__the_rest_stands_for_it():
    series = cleaned([message([(MONDAY + 300 * i, 10) for i in range(12) if i != 1], interval=300)])
    assert series.values.tolist() == [30, 30, 30, 30]
    assert series.quality.tolist() == [Quality.ESTIMATED, 0, 0, 0]
    assert reasons(series) == [Reason.PARTS]


def test_clean__hourly_value__spread_over_its_quarters_with_its_energy():
    series = cleaned([message([(MONDAY, 401)], interval=3600)])
    assert series.values.sum() == 401
    assert set(series.quality) == {Quality.ESTIMATED}
    assert set(reasons(series)) == {Reason.COARSE}


def test_clean__interval_that_neither_divides_the_slot_nor_begins_with_one__rejected():
    series = cleaned([message([(MONDAY + 420, 10)], interval=420)])
    assert not series.complete
    assert Reason.OFF_GRID in reasons(series)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.decimals(0, 5, places=5), min_size=4, max_size=24), st.sampled_from(["Wh", "kWh", "W"]))
def test_clean__any_decimals__sum_is_the_true_sum_rounded_once(values, unit):
    series = cleaned([quarters(values, unit=unit)], slots=len(values))
    factor = {"Wh": Decimal(1), "kWh": Decimal(1000), "W": Decimal("0.25")}[unit]
    assert abs(series.values.sum() - sum(values) * factor) <= Decimal("0.5")


# ---------------------------------------------------------------------------------------------------
# One value for each slot, whatever the order
# ---------------------------------------------------------------------------------------------------


def test_clean__same_value_twice__kept_once_and_recorded():
    series = cleaned([quarters([5, 5, 5, 5]), quarters([5, 5, 5, 5], sent=FOUR + 60)])
    assert series.values.tolist() == [5, 5, 5, 5]
    assert reasons(series) == [Reason.DUPLICATE] * 4
    assert set(series.quality) == {Quality.MEASURED}


def test_clean__corrected_later__the_later_holds():
    series = cleaned([quarters([5, 5, 5, 5]), message([(MONDAY, 7)], sent=FOUR + 60)])
    assert series.values.tolist() == [7, 5, 5, 5]
    assert series.quality[0] == Quality.CORRECTED
    (decision,) = series.decisions
    assert (decision.rule, decision.before, decision.after, decision.reason) == (
        "replace",
        "5",
        "7",
        "correction",
    )


def test_clean__two_values_sent_at_once__one_holds_and_the_conflict_is_recorded():
    messages = [message([(MONDAY, value)], sent=FOUR) for value in (5, 9)]
    one, other = cleaned(messages), cleaned(messages[::-1])
    assert one == other
    assert one.values[0] in (5, 9)
    assert Reason.CONFLICT in reasons(one)


def test_clean__estimate_sent_after_the_measured_value__does_not_replace_it():
    series = cleaned([quarters([5] * 4), message([(MONDAY, 8, "estimated")], sent=FOUR + 60)])
    assert series.values[0] == 5


def test_clean__value_marked_invalid_later__taken_back_and_estimated():
    series = cleaned([quarters([5, 9, 5, 5]), message([(MONDAY + QUARTER, 9, "invalid")], sent=FOUR + 60)])
    assert series.values[1] == 5
    assert series.quality[1] == Quality.ESTIMATED
    assert Reason.INVALID in reasons(series)


def test_clean__nonsense_correction__does_not_cost_the_good_value():
    series = cleaned([quarters([5] * 4), message([(MONDAY, 99_999)], sent=FOUR + 60)])
    assert series.values.tolist() == [5, 5, 5, 5]
    assert reasons(series) == [Reason.SPIKE]


def test_clean__sent_two_days_late__used_and_recorded():
    series = cleaned([quarters([5] * 4, sent=FOUR + 2 * DAY)])
    assert series.values.tolist() == [5] * 4
    assert reasons(series) == [Reason.LATE]


def test_clean__yesterdays_readings_came_late__not_todays_business():
    yesterday = quarters(range(96), MONDAY - DAY, sent=FOUR + 2 * DAY)
    assert cleaned([yesterday, quarters([5] * 4)]).decisions == ()


readings = st.lists(
    st.tuples(
        st.integers(-2, 9).map(lambda slot: MONDAY + slot * QUARTER),
        st.integers(-300, 300).filter(lambda drift: abs(drift) < 250),
        st.integers(-50, 9000),
        st.sampled_from(["measured", "estimated", "invalid"]),
    ),
    min_size=1,
    max_size=8,
)
any_message = st.builds(
    lambda rows, unit, sent: message(
        [(start + drift, value, quality) for start, drift, value, quality in rows], unit=unit, sent=sent
    ),
    readings,
    st.sampled_from(["Wh", "kWh", "W", "register_Wh", "register_kWh"]),
    st.integers(FOUR, FOUR + 3),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(any_message, max_size=6), st.randoms(use_true_random=False))
def test_clean__any_order_and_repetition_of_any_messages__the_same_series(messages, chance: random.Random):
    again = messages + chance.choices(messages, k=3) if messages else []
    chance.shuffle(again)
    for config in (point(register_digits=5), point(register="net")):
        once = cleaned(messages, config, slots=8)
        assert cleaned(again, config, slots=8) == once
        assert len(once.values) == 8
        assert (once.values[once.quality == Quality.MISSING] == 0).all()
        if config.register == "import":
            assert (once.values >= 0).all()


# ---------------------------------------------------------------------------------------------------
# What cannot be, and clocks
# ---------------------------------------------------------------------------------------------------


def test_clean__more_than_the_connection_carries__replaced():
    series = cleaned([quarters([100, 5001, 100, 100])])  # 20 kW is 5000 Wh a quarter
    assert series.values.tolist() == [100, 100, 100, 100]
    assert [(d.rule, d.before, d.after, d.reason) for d in series.decisions] == [
        ("reject", "5001", None, "spike"),
        ("linear", None, "100", "gap"),
    ]


def test_clean__negative_consumption__replaced_but_net_points_may():
    assert Reason.NEGATIVE in reasons(cleaned([quarters([100, -1, 100, 100])]))
    net = cleaned([quarters([100, -1, 100, 100])], point(register="net"))
    assert net.values.tolist() == [100, -1, 100, 100]


def test_clean__value_of_an_interval_not_over_when_sent__rejected():
    series = cleaned([quarters([5] * 4, sent=MONDAY + 3 * QUARTER)])
    assert series.decisions[-1].reason == Reason.GAP
    assert Reason.FUTURE in reasons(series)


@pytest.mark.parametrize("drift", [-120, -1, 1, 120])
def test_clean__clock_off_by_up_to_two_minutes__moved_to_the_slot(drift):
    series = cleaned([message([(MONDAY + QUARTER * i + drift, 10 + i) for i in range(4)])])
    assert series.values.tolist() == [10, 11, 12, 13]
    assert set(series.quality) == {Quality.ADJUSTED}
    assert set(reasons(series)) == {Reason.CLOCK_DRIFT}


def test_clean__clock_off_by_more__the_interval_is_nobodys():
    series = cleaned([message([(MONDAY + QUARTER * i + 121, 10 + i) for i in range(4)])])
    assert not series.complete
    assert series.values.tolist() == [0, 0, 0, 0]


def test_clean__same_value_for_a_day__kept_but_suspect():
    series = cleaned([quarters([7] * 96)], slots=96)
    assert series.values.tolist() == [7] * 96
    assert set(series.quality) == {Quality.SUSPECT}
    assert reasons(series) == [Reason.FROZEN]


def test_clean__no_consumption_for_a_day__nothing_odd():
    assert cleaned([quarters([0] * 96)], slots=96).decisions == ()


# ---------------------------------------------------------------------------------------------------
# Registers
# ---------------------------------------------------------------------------------------------------


def test_clean__register__differences():
    series = cleaned([register([1000, 1100, 1150, 1150, 1200])])
    assert series.values.tolist() == [100, 50, 0, 50]
    assert series.decisions == ()


def test_clean__register_rolls_over__goes_on():
    series = cleaned(
        [register(["99.9", "0", "0.1", "0.1", "0.2"], unit="register_kWh")], point(register_digits=2)
    )
    assert series.values.tolist() == [100, 100, 0, 100]
    assert [(d.start, d.rule, d.after) for d in series.decisions] == [(MONDAY, "roll-over", "100")]


def test_clean__register_goes_back_without_roll_over__unknown_there_and_right_after():
    series = cleaned([register([1000, 1100, 30, 60, 100])])
    assert series.values.tolist()[0] == 100
    assert series.values.tolist()[2:] == [30, 40]
    assert series.quality[1] == Quality.ESTIMATED
    assert Reason.REGISTER_RESET in reasons(series)


def test_clean__one_wild_register_reading__left_out_and_bracketed():
    series = cleaned([register([1000, 1100, 9_000_000, 1300, 1400])])
    assert series.values.tolist() == [100, 100, 100, 100]
    assert Reason.REGISTER_GLITCH in reasons(series)


def test_clean__register_read_off_the_slots__interpolated_and_the_energy_kept():
    moments = [MONDAY - 450 + QUARTER * i for i in range(6)]
    series = cleaned([message([(m, 1000 + 90 * i) for i, m in enumerate(moments)], unit="register_Wh")])
    assert series.values.tolist() == [90, 90, 90, 90]
    assert set(series.quality) == {Quality.ADJUSTED}
    assert rules(series) == {"interpolate"}


def test_clean__short_gap_between_register_readings__on_the_line_with_the_gaps_energy():
    series = cleaned([register([0, 100, None, None, 500, 800])], slots=5)
    assert series.values[1:4].sum() == 400
    assert series.values.tolist() == [100, 100, 133, 167, 300]  # 150, 200 and 250, scaled to 400
    assert rules(series) == {"linear"}


counts = st.lists(st.one_of(st.none(), st.integers(0, 4999)), min_size=20, max_size=60)


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 99_999), counts, st.integers(0, 449))
def test_clean__register_with_gaps_roll_over_and_odd_moments__energy_between_the_ends_is_kept(
    start, steps, offset
):
    total, rows = start, [(MONDAY, start)]
    for index, step in enumerate(steps, start=1):
        total += step or 0
        last = index == len(steps)
        if step is not None or last:
            rows.append((MONDAY + QUARTER * index + (0 if last else offset), total % 100_000))
    series = cleaned([message(rows, unit="register_Wh")], point(register_digits=5), slots=len(steps))
    if Reason.REGISTER_RESET not in reasons(series) and Reason.REGISTER_GLITCH not in reasons(series):
        assert series.values.sum() % 100_000 == (total - start) % 100_000
    assert (series.values >= 0).all()


def test_clean__intervals_and_register_agree_but_for_a_gap__the_gap_gets_the_difference():
    known = [100] * 10 + [None] * 12 + [100] * 2
    series = cleaned(
        [quarters(known), message([(MONDAY, 0), (MONDAY + 24 * QUARTER, 4200)], unit="register_Wh")], slots=24
    )
    assert series.values.sum() == 4200
    assert series.values[10:22].tolist() == [250] * 12
    assert rules(series) == {"even"}


def test_clean__intervals_do_not_add_up_to_the_register__kept_but_suspect():
    series = cleaned([quarters([100] * 4), message([(MONDAY, 0), (FOUR, 600)], unit="register_Wh")])
    assert series.values.tolist() == [100] * 4
    assert set(series.quality) == {Quality.SUSPECT}
    (decision,) = series.decisions
    assert (decision.before, decision.after, decision.reason) == ("400", "600", "sum-check")


# ---------------------------------------------------------------------------------------------------
# Gaps
# ---------------------------------------------------------------------------------------------------


def weeks_of(values_by_weekday, weeks=3):
    """Messages of the weeks before MONDAY; each day the value of its weekday in every slot."""
    return [
        quarters([values_by_weekday[day % 7] + slot for slot in range(96)], MONDAY - (7 * weeks - day) * DAY)
        for day in range(7 * weeks)
    ]


def test_clean__gap_of_two_hours__linear_and_of_more__not():
    short = cleaned([quarters([100] + [None] * 8 + [190])], slots=10)
    assert short.values.tolist() == [100, 110, 120, 130, 140, 150, 160, 170, 180, 190]
    long = cleaned([quarters([100] + [None] * 9 + [200])], slots=11)
    assert not long.complete
    assert rules(long) == {"zero"}
    assert set(long.quality[1:10]) == {Quality.MISSING}


def test_clean__day_without_readings__like_the_last_days_of_its_kind():
    history = weeks_of([100, 200, 300, 400, 500, 7000 // 2, 3600])
    monday = cleaned(history, slots=96)
    assert monday.values.tolist() == [300 + slot for slot in range(96)]  # median of Mon..Fri
    assert set(monday.quality) == {Quality.ESTIMATED}
    assert rules(monday) == {"like-day"}
    saturday = cleaned(history, first=MONDAY + 5 * DAY, slots=96)
    assert (saturday.values >= 3500).all()


def test_clean__two_like_days_only__no_estimate():
    history = [quarters([100] * 96, MONDAY - days * DAY) for days in (3, 4)]
    assert not cleaned(history, slots=96).complete


def test_clean__long_gap_of_known_energy__shape_of_the_like_days():
    history = weeks_of([0] * 7)
    bracket = message([(MONDAY, 5000), (MONDAY + DAY, 5000 + 9120)], unit="register_Wh")
    series = cleaned([*history, bracket], slots=96)
    assert series.values.sum() == 9120  # twice the like days' 4560
    assert np.abs(series.values - 2 * np.arange(96)).max() <= 1
    assert rules(series) == {"register-scaled"}


def test_clean__outlier_against_like_days__only_where_the_point_asks_for_it():
    history = weeks_of([100] * 7)
    today = quarters([100, 101, 4000, 103])
    assert cleaned([*history, today]).values[2] == 4000
    careful = cleaned([*history, today], point(spike_spreads=10))
    assert careful.values.tolist() == [100, 101, 102, 103]
    assert Reason.OUTLIER in reasons(careful)


def test_clean__estimate_of_yesterday__no_evidence_for_today():
    estimated = [
        message([(MONDAY - days * DAY + QUARTER * slot, 50, "estimated") for slot in range(96)])
        for days in (3, 4, 5)
    ]
    assert not cleaned(estimated, slots=96).complete


@pytest.mark.parametrize(("day", "hours"), [("2025-03-30", 23), ("2025-10-26", 25)])
def test_clean__day_of_the_clock_change__like_days_go_by_the_clock_on_the_wall(day, hours):
    berlin = ZoneInfo("Europe/Berlin")
    begin = datetime.fromisoformat(day).replace(tzinfo=berlin)
    first, last = int(begin.timestamp()), int((begin + timedelta(days=1)).timestamp())
    assert last - first == hours * 3600
    history = []
    for week in (1, 2, 3):
        midnight = begin - timedelta(days=7 * week)
        start = int(midnight.timestamp())
        history.append(quarters([100 * (slot // 4) for slot in range(96)], start))
    series = clean(history, point(zone="Europe/Berlin"), first, last, QUARTER)
    wall = [datetime.fromtimestamp(first + QUARTER * slot, berlin).hour for slot in range(hours * 4)]
    assert series.values.tolist() == [100 * hour for hour in wall]


# ---------------------------------------------------------------------------------------------------
# Members
# ---------------------------------------------------------------------------------------------------


def test_member_net__export_less_import__and_the_worse_quality():
    points = [point(), point(point="DE2", register="export")]
    net = member_net(
        {"DE1": [quarters([10] * 4)], "DE2": [quarters([30, 30, None, 30])]}, points, MONDAY, FOUR, QUARTER
    )
    assert net.values.tolist() == [20, 20, 20, 20]
    assert net.quality.tolist() == [0, 0, Quality.ESTIMATED, 0]
    assert net.complete
    assert net.measured.tolist() == [True, True, False, True]


def test_clean__period_that_is_no_number_of_slots__said():
    with pytest.raises(ValueError, match="no whole number of slots"):
        clean([], point(), MONDAY, MONDAY + 1000, QUARTER)
