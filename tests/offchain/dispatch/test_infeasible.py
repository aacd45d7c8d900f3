"""Why there is no schedule: the right asset, cap or balance, the right slot and the right amount."""

from dataclasses import replace

import numpy as np
import pytest

from clearwatt.dispatch.central import solve_highs
from clearwatt.dispatch.errors import Infeasible
from clearwatt.dispatch.infeasible import Names, Obstacle, explain
from clearwatt.dispatch.program import Program, Run
from tests.offchain.dispatch.by_hand import battery, connection, line, offer, program
from tests.offchain.dispatch.random_programs import random_program


def _only(case: Program) -> Obstacle:
    (obstacle,) = explain(case).obstacles
    return obstacle


def _place(obstacle: Obstacle) -> tuple[str, int, int]:
    return obstacle.kind, obstacle.index, obstacle.slot


def test_explain__feasible_program__has_no_obstacle() -> None:
    for seed in range(30):
        assert explain(random_program(seed, integers=seed % 3 == 0)).obstacles == ()


# ---------------------------------------------------------------- one alone


def test_explain__battery_cannot_reach_its_end__by_how_many_kwh() -> None:
    full_at_the_end = battery(2, 9, low=[0, 0, 8], up_gain=0.9, initial=1)
    case = program(3, offers=[offer(0, 99, 0.1)], stores=[battery(1, 1), full_at_the_end])
    obstacle = _only(case)
    assert _place(obstacle) == ("store", 1, 2)
    assert obstacle.amount == pytest.approx(8 - (1 + 3 * 0.9 * 2))
    assert "store 1 cannot get to the state it must have: by the end it lacks 1.6 kWh in slot 2" in str(
        explain(case)
    )


def test_explain__battery_too_full__cannot_be_emptied_in_time() -> None:
    empty_at_the_end = battery(2, [9, 0], initial=7)
    obstacle = _only(program(2, offers=[offer(-99, 0, 0.1)], stores=[empty_at_the_end]))
    assert _place(obstacle) == ("store", 0, 1)
    assert obstacle.amount == pytest.approx(3)


def test_explain__car_not_there_long_enough__lacks_what_it_cannot_charge() -> None:
    car = battery([0, 3, 3, 0], 99, down_high=0.0, low=[0, 0, 7, 7])
    obstacle = _only(program(4, offers=[offer(0, 99, 0.1)], stores=[car]))
    assert _place(obstacle) == ("store", 0, 2)
    assert obstacle.amount == pytest.approx(1)


def test_explain__cold_house__in_kelvin_and_in_the_users_words() -> None:
    house = battery(1, 24, down_gain=0.0, down_high=0.0, low=20, initial=20, retention=0.5, drift=0.5 * 6)
    case = program(2, offers=[offer(0, 99, 0.1)], stores=[house])
    names = Names(["grid"], ["house of the Ades"], ["street"], ["village"], ["K"])
    sentence = str(explain(case, names))
    assert (
        "house of the Ades cannot get to the state it must have: by the end it lacks 6 K in slot 0"
        in sentence
    )


def test_explain__ramped_generator__cannot_come_down_in_time() -> None:
    slow = battery(1, [9, 9, 2], state_injects=True, initial=8)
    obstacle = _only(program(3, offers=[offer(-99, 0, 0.1)], stores=[slow]))
    assert _place(obstacle) == ("store", 0, 2)
    assert obstacle.amount == pytest.approx(3)


def test_explain__load_beyond_the_cap__names_the_connection() -> None:
    connections = [connection(), connection(low=-4, high=4, load=[3, 7])]
    offers = [offer(0, 99, 0.1), offer(0, 1, 0.2, connection=1)]
    obstacle = _only(program(2, connections=connections, offers=offers))
    assert _place(obstacle) == ("connection", 1, 1)
    assert obstacle.amount == pytest.approx(2)
    assert "draw more" in obstacle.wrong


def test_explain__sun_that_cannot_be_curtailed__is_beyond_the_cap() -> None:
    connections = [connection(), connection(low=-4, high=4, load=-6)]
    obstacle = _only(program(1, connections=connections, offers=[offer(-99, 0, 0.1)]))
    assert _place(obstacle) == ("connection", 1, 0)
    assert obstacle.amount == pytest.approx(2)
    assert "inject more" in obstacle.wrong


def test_explain__run_that_takes_what_the_cap_does_not_let_out__is_no_obstacle() -> None:
    connections = [connection(), connection(low=-4, high=4, load=-6)]
    course = Run(1, np.array([2.0]), first=0, last=0)
    case = program(1, connections=connections, offers=[offer(-99, 0, 0.1)], runs=[course])
    assert explain(case).obstacles == ()


def test_explain__full_battery_behind_a_cap__must_inject_more_than_it_lets_out() -> None:
    connections = [connection(), connection(low=-4, high=4, load=[-3, -3])]
    leaving = battery([9, 9], [99, 0], connection=1, up_high=0.0, initial=5)
    case = program(2, connections=connections, offers=[offer(-99, 0, 0.1)], stores=[leaving])
    obstacles = explain(case).obstacles
    assert {(each.kind, each.index) for each in obstacles} == {("connection", 1)}
    assert all("must inject more" in each.wrong for each in obstacles)
    assert sum(each.amount for each in obstacles) == pytest.approx(3)


def test_explain__bounds_crossed__names_the_offer() -> None:
    obstacle = _only(program(2, offers=[offer(0, 1, 0.1), offer([0, 3], [1, 1], 0.1)]))
    assert _place(obstacle) == ("offer", 1, 1)
    assert obstacle.amount == pytest.approx(2)


# ---------------------------------------------------------------- what they share


def test_explain__too_little_supply__zone_lacks_it() -> None:
    case = program(3, connections=[connection(load=[1, 4, 5])], offers=[offer(0, 3, 0.1)])
    first, second = explain(case).obstacles
    assert (_place(first), _place(second)) == (("zone", 0, 1), ("zone", 0, 2))
    assert (first.amount, second.amount) == pytest.approx((1, 2))
    assert (
        str(explain(case))
        == "No schedule keeps all limits: zone 0 lacks 2 kWh in slot 2, and 3 kWh over 2 slots."
    )


def test_explain__line_too_weak__zone_behind_it_lacks_the_rest() -> None:
    connections = [connection(0), connection(2, load=5)]
    lines = [line(0, 9), line(1, 3, loss=0.1)]
    case = program(1, connections=connections, offers=[offer(0, 99, 0.1)], lines=lines)
    obstacle = _only(case)
    assert _place(obstacle) == ("zone", 2, 0)
    assert obstacle.amount == pytest.approx(5 - 0.9 * 3)


def test_explain__surplus_nobody_takes__is_named_as_such() -> None:
    case = program(1, connections=[connection(load=-5)], offers=[offer(-2, 0, 0.1)])
    assert _only(case).amount == pytest.approx(3)
    assert "zone 0 has no use for 3 kWh in slot 0" in str(explain(case))


def test_explain__cap_that_leaves_a_car_too_little__names_the_connection_and_the_missing_room() -> None:
    connections = [connection(), connection(low=-4, high=4, load=[3, 3, 0])]
    car = battery([4, 4, 0], 99, connection=1, down_high=0.0, low=[0, 5, 5])
    case = program(3, connections=connections, offers=[offer(0, 99, 0.1)], stores=[car])
    obstacles = explain(case).obstacles
    assert {(each.kind, each.index) for each in obstacles} == {("connection", 1)}
    assert all("must draw more" in each.wrong for each in obstacles)
    assert sum(each.amount for each in obstacles) == pytest.approx(3)
    assert {each.slot for each in obstacles} <= {0, 1}


def test_explain__washing_machine_at_the_wrong_time__counts_what_its_best_start_lacks() -> None:
    offers = [offer(0, [1, 1, 3, 1], 0.1)]
    course = Run(0, np.array([3.0, 2.0]), first=0, last=2)
    obstacle = _only(program(4, offers=offers, runs=[course]))
    assert _place(obstacle) == ("zone", 0, 3)
    assert obstacle.amount == pytest.approx(1)


def test_explain__missing_everywhere_alike__is_named_in_zone_0() -> None:
    connections = [connection(1, load=5), connection(2, load=5)]
    lines = [line(0, 99), line(0, 99)]
    case = program(1, connections=connections, offers=[offer(0, 7, 0.1)], lines=lines)
    obstacle = _only(case)
    assert _place(obstacle) == ("zone", 0, 0)
    assert obstacle.amount == pytest.approx(3)


@pytest.mark.parametrize("seed", range(40))
def test_explain__retailer_taken_away__the_missing_energy_makes_it_feasible_again(seed: int) -> None:
    case = random_program(seed, linear=True)
    retailer = case.offers.connection == 0
    gone = np.where(retailer[:, None], 0.0, case.offers.high)
    back = np.where(retailer[:, None], 0.0, case.offers.low)
    broken = replace(case, offers=replace(case.offers, low=back, high=gone))
    obstacles = explain(broken).obstacles
    if not obstacles:
        assert solve_highs(broken).solver
        return
    with pytest.raises(Infeasible):
        solve_highs(broken)
    assert {each.kind for each in obstacles} == {"zone"}
    assert solve_highs(_with(broken, obstacles, 1 + 1e-6)).solver
    with pytest.raises(Infeasible):
        solve_highs(_with(broken, obstacles, 0.99))


def _with(case: Program, obstacles: tuple[Obstacle, ...], share: float) -> Program:
    """The program with that share of what is missing, or more than wanted, allowed in each zone and slot."""
    offers, zones = case.offers, case.zones
    low, high = np.zeros((2, zones, case.slots))
    for each in obstacles:
        bound, sign = (high, 1) if each.wrong == "lacks" else (low, -1)
        bound[each.index, each.slot] = sign * share * each.amount
    first = len(case.connections.zone)
    free = np.full((zones, case.slots), np.inf)
    none = np.zeros((zones, case.slots))
    c = case.connections
    connections = replace(
        c,
        zone=np.append(c.zone, np.arange(zones)),
        low=np.vstack([c.low, -free]),
        high=np.vstack([c.high, free]),
        fixed=np.vstack([c.fixed, none]),
        cost=np.vstack([c.cost, none]),
        curvature=np.vstack([c.curvature, none]),
    )
    relief = replace(
        offers,
        connection=np.append(offers.connection, first + np.arange(zones)),
        low=np.vstack([offers.low, low]),
        high=np.vstack([offers.high, high]),
        cost=np.vstack([offers.cost, none]),
        curvature=np.vstack([offers.curvature, none]),
        on_off=np.append(offers.on_off, np.zeros(zones, bool)),
    )
    return replace(case, connections=connections, offers=relief)
