"""The structured interior point against PIQP, HiGHS and the certificate."""

from dataclasses import replace

import numpy as np
import pytest

from clearwatt.dispatch.central import solve_highs, solve_piqp
from clearwatt.dispatch.certificate import certify
from clearwatt.dispatch.errors import NotConverged
from clearwatt.dispatch.program import Program, Solution
from clearwatt.dispatch.structured import respond, solve
from tests.offchain.dispatch.by_hand import battery, connection, line, offer, program
from tests.offchain.dispatch.kkt import violations
from tests.offchain.dispatch.random_programs import random_program

BATCH = 50


def _central(case: Program) -> Solution:
    return solve_highs(case) if case.is_linear else solve_piqp(case)


def _assert_optimal(case: Program, found: Solution, seed: int) -> None:
    proof = certify(case, found)
    assert proof.gap < 1e-6, (seed, proof)
    assert proof.primal_residual < 1e-5, (seed, proof)
    assert proof.dual_residual < 1e-6, (seed, proof)
    assert found.objective == pytest.approx(_central(case).objective, rel=1e-6, abs=1e-6), seed


@pytest.mark.parametrize("batch", range(3))
def test_solve__random_programs_with_room__finds_the_optimum_of_each(batch: int) -> None:
    for seed in range(batch * BATCH, (batch + 1) * BATCH):
        case = random_program(seed, roomy=True)
        _assert_optimal(case, solve(case), seed)


@pytest.mark.parametrize("batch", range(2))
def test_solve__random_programs_with_limits_that_leave_no_choice__finds_the_optimum_of_each(
    batch: int,
) -> None:
    for seed in range(batch * BATCH, (batch + 1) * BATCH):
        case = random_program(seed)
        _assert_optimal(case, solve(case), seed)


@pytest.mark.parametrize("seed", range(2000, 2025))
def test_solve__random_program__keeps_the_conditions_checked_one_variable_at_a_time(seed: int) -> None:
    case = random_program(seed, roomy=True)
    wrong = violations(case, solve(case))
    assert wrong.equation < 1e-5
    assert wrong.bound < 1e-8
    assert wrong.tilt < 1e-6
    assert wrong.regret < 1e-5


@pytest.mark.parametrize("seed", range(25))
def test_solve__prices_of_a_quadratic_program__are_those_of_piqp_where_all_is_curved(seed: int) -> None:
    case = _curved(random_program(seed, linear=False, roomy=True))
    ours, theirs = solve(case, tolerance=1e-9), solve_piqp(case)
    assert ours.injection == pytest.approx(theirs.injection, abs=1e-3)
    inner = (theirs.injection > case.offers.low + 1e-2) & (theirs.injection < case.offers.high - 1e-2)
    at = case.offers.connection
    # An offer that is neither at its least nor at its most pins down the price where it is.
    assert ours.member_price[at][inner] == pytest.approx(theirs.member_price[at][inner], abs=1e-4)


def _curved(case: Program) -> Program:
    offers = case.offers
    return replace(case, offers=replace(offers, curvature=np.maximum(offers.curvature, 0.02)))


def test_solve__marginal_battery_and_full_line__gives_the_prices_done_by_hand() -> None:
    connections = [connection(0), connection(1, load=[1, 4])]
    offers = [offer(0, 99, [0.1, 0.3], curvature=1e-3), offer(0, 99, 0.5, connection=1)]
    store = battery(0.5, 9, connection=1)
    case = program(2, connections=connections, offers=offers, stores=[store], lines=[line(0, 3)])
    found = solve(case)
    assert found.down[0] == pytest.approx([0, 0.5], abs=1e-5)
    assert found.zone_price[0] == pytest.approx([0.1 + 1.5e-3, 0.3 + 3e-3], abs=1e-5)
    assert found.zone_price[1] == pytest.approx([0.1 + 1.5e-3, 0.5], abs=1e-5)


def test_solve__nothing_at_all__costs_nothing() -> None:
    assert solve(program(3)).objective == pytest.approx(0, abs=1e-9)


def test_solve__more_load_than_supply__is_given_up() -> None:
    with pytest.raises(NotConverged):
        solve(program(1, connections=[connection(load=5)], offers=[offer(0, 3, 0.1)]))


@pytest.mark.parametrize("seed", range(25))
def test_respond__prices_of_a_market__everybody_does_what_a_market_with_these_tariffs_would_have_them_do(
    seed: int,
) -> None:
    case = random_program(seed, roomy=True)
    price = np.random.default_rng(seed).uniform(0.0, 0.4, (case.zones, case.slots))
    answer = respond(case, price)
    best = _central(_at_tariffs(case, price))
    net = np.zeros_like(price)
    np.add.at(net, case.connections.zone, answer.net)
    lines = (case.lines.fee * (answer.exports + answer.imports)).sum()
    surplus = answer.objective - lines - (price * net).sum()
    assert surplus == pytest.approx(best.objective, rel=1e-5, abs=1e-5)
    assert answer.zone_price == pytest.approx(price)


def _at_tariffs(case: Program, price: np.ndarray) -> Program:
    """Each zone by itself, with somebody who buys and sells any amount at the given price."""
    zones, slots = price.shape
    c, o = case.connections, case.offers
    free, none = np.full((zones, slots), np.inf), np.zeros((zones, slots))
    lines = case.lines
    connections = replace(
        c,
        zone=np.append(c.zone, np.arange(zones)),
        low=np.vstack([c.low, -free]),
        high=np.vstack([c.high, free]),
        fixed=np.vstack([c.fixed, none]),
        cost=np.vstack([c.cost, none]),
        curvature=np.vstack([c.curvature, none]),
    )
    offers = replace(
        o,
        connection=np.append(o.connection, len(c.zone) + np.arange(zones)),
        low=np.vstack([o.low, none - 1e5]),
        high=np.vstack([o.high, none + 1e5]),
        cost=np.vstack([o.cost, price]),
        curvature=np.vstack([o.curvature, none]),
        on_off=np.append(o.on_off, np.zeros(zones, bool)),
    )
    closed = replace(lines, export_limit=none, import_limit=none)
    return replace(case, lines=closed, connections=connections, offers=offers)
