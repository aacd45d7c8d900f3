import shutil
from collections import Counter
from datetime import date

import numpy as np
import pytest

from clearwatt.community.scenario import DATA, _sessions, date_of, load_community, parse_day
from clearwatt.errors import UserError


def test_community__whole_grid__as_simbench_counts_it(community):
    assert len(community.members) == 104
    assert sum(member.source == "solar" for member in community.members) == 14
    assert sum(member.battery is not None for member in community.members) == 10
    assert len({member.name for member in community.members}) == 104


def test_grid__semi_urban__transformer_and_six_feeders_at_their_ratings(community):
    assert community.grid.parents == (-1, 0, 1, 1, 1, 1, 1, 1)
    assert community.zone_names[:3] == ("upstream grid", "busbar", "feeder 1")
    assert community.grid.lines[1].export_limit == 630_000 // 4
    cable = int(3**0.5 * 400 * 357 / 4)
    assert {line.import_limit for line in community.grid.lines[2:]} == {cable}
    assert Counter(member.zone for member in community.members) == {2: 37, 3: 34, 4: 22, 5: 7, 6: 3, 7: 1}


def test_net__any_day__exactly_generation_minus_load(community):
    for day in (0, 86, 172, 365):
        load, generation = community.load(day), community.generation(day)
        assert load.shape == generation.shape == (104, 96)
        assert load.min() >= 0
        assert generation.min() >= 0
        assert (community.net(day) == generation - load).all()


def test_load__first_quarter_of_the_year__power_times_profile():
    """Bus 1 holds one household, profile H0-L at 3 kW, which starts the year at 0.053517 of it."""
    community = load_community()
    assert community.members[0].name == "bus 1"
    assert community.load(0)[0, 0] == round(3000 * 0.053517 / 4)


def test_generation__night_and_noon__only_by_day_and_only_from_panels(community):
    generation = community.generation(172)
    assert generation[:, :8].sum() == 0
    solar = np.array([member.source == "solar" for member in community.members])
    assert (generation[solar, 48] > 0).all()
    assert generation[~solar].sum() == 0


def test_peak__whole_year__never_exceeded(community):
    busiest = max(int(np.abs(community.net(day)).sum(axis=0).max()) for day in range(0, 366, 7))
    assert 0 < busiest < community.peak_wh < 2**31


def test_history__eighth_day__the_first_week_oldest_first(community):
    history = community.history(7)
    assert history.shape == (7, 104, 96)
    assert (history[0] == community.net(0)).all()
    assert (history[6] == community.net(6)).all()


def test_charging__whole_year__what_the_cars_add_to_the_load(community):
    with_car = [row for row, member in enumerate(community.members) if member.car_w]
    assert len(with_car) == 5
    for day in range(0, 366, 5):
        charging = community.charging(day)
        assert charging.min() >= 0
        assert np.delete(charging, with_car, axis=0).sum() == 0
        assert (community.net_without_cars(day) - charging == community.net(day)).all()


def test_history_without_cars__eighth_day__the_same_days(community):
    assert (community.history_without_cars(7)[6] == community.net_without_cars(6)).all()


def test_sessions__whole_year__each_days_energy_in_visits_that_can_charge_it(community):
    visits = 0
    for day in range(366):
        charging = community.charging(day)
        for row, sessions in community.sessions(day).items():
            assert sum(session.energy_wh for session in sessions) == charging[row].sum()
            power = community.members[row].car_w // 4
            previous = 0
            for arrival, departure, energy in sessions:
                assert previous <= arrival < departure <= 96
                assert 0 < energy <= power * (departure - arrival)
                previous = departure
            visits += len(sessions)
    assert visits > 700


def test_sessions__charging_over_midnight__a_visit_on_either_day(community):
    over = [
        (day, row)
        for day in range(365)
        for row in community.sessions(day)
        if community.charging(day)[row, -1] and community.charging(day + 1)[row, 0]
    ]
    assert over
    for day, row in over:
        assert community.sessions(day)[row][-1].departure == 96
        assert community.sessions(day + 1)[row][0].arrival == 0


def test_sessions__long_and_short_stays__eight_hours_unless_something_ends_them():
    charging = np.zeros(96, dtype=np.int64)
    charging[[10, 11, 30, 90]] = 100
    charging[50:85] = 100
    assert _sessions(charging) == ((10, 30, 200), (30, 50, 100), (50, 85, 3_500), (90, 96, 100))


def test_history__first_week__refused(community):
    with pytest.raises(UserError, match=r"2016-01-07 has no week of readings before it.*2016-01-08"):
        community.history(6)


@pytest.mark.parametrize("count", [2, 20, 50, 104])
def test_subset__any_size__keeps_the_share_of_panels(count):
    part = load_community(members=count, seed=3)
    assert len(part.members) == count
    assert sum(member.source == "solar" for member in part.members) == max(1, round(count * 14 / 104))


def test_subset__same_member__same_energy_as_in_the_whole(community):
    part = load_community(members=20, seed=5)
    names = [member.name for member in community.members]
    rows = [names.index(member.name) for member in part.members]
    assert (part.net(100) == community.net(100)[rows]).all()


def test_subset__seed__decides_who_takes_part():
    first, again, other = (load_community(members=20, seed=seed).members for seed in (1, 1, 2))
    assert first == again
    assert first != other


@pytest.mark.parametrize("count", [0, 105, -1])
def test_subset__impossible_size__refused(count):
    with pytest.raises(UserError, match=f"1 to 104 members, not {count}"):
        load_community(members=count)


def test_line_options__weaker_grid_with_fee__on_every_line_but_the_root():
    community = load_community(line_limit_percent=10, line_fee=250)
    lines = community.grid.lines
    assert lines[1].import_limit == 15_750
    assert [line.fee for line in lines] == [0] + [250] * 7
    assert community.network_fee == 500


@pytest.mark.parametrize(
    ("text", "day"), [("2016-01-01", 0), ("2016-06-21", 172), ("172", 172), (" 2016-12-31 ", 365)]
)
def test_parse_day__date_or_number__its_number(text, day):
    assert parse_day(text) == day


@pytest.mark.parametrize(
    "text", ["", "yesterday", "366", "2017-01-01", "2015-12-31", "2016-02-30", "-3", "9" * 30]
)
def test_parse_day__anything_else__refused_in_words(text):
    with pytest.raises(UserError, match=r"is not a day|2016 only"):
        parse_day(text)


def test_date_of__last_day__new_years_eve():
    assert date_of(365) == date(2016, 12, 31)


def test_load_community__no_data__says_where_it_looked(tmp_path):
    with pytest.raises(UserError, match=r"no elements\.csv in"):
        load_community(folder=tmp_path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("profiles.csv.gz", b"not gzip"),
        ("zones.csv", b"zone,parent\n0,-1\n"),
        ("elements.csv", b"bus,zone,kind,profile,power_w,energy_wh\n1,2,household,unheard-of,5,0\n"),
    ],
)
def test_load_community__damaged_file__named(tmp_path, name, content):
    for file in DATA.glob("*.csv*"):
        shutil.copy(file, tmp_path)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=f"damaged: .*{name}"):
        load_community(folder=tmp_path)
