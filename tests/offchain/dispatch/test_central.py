"""The solvers for any program: against each other, against brute force, against sums done by hand."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from itertools import product

import numpy as np
import piqp
import pytest

from clearwatt.dispatch import integers
from clearwatt.dispatch.central import solve_highs, solve_piqp
from clearwatt.dispatch.certificate import certify
from clearwatt.dispatch.errors import DispatchError, Infeasible
from clearwatt.dispatch.integers import Decisions
from clearwatt.dispatch.program import Program, Run, Solution
from tests.offchain.dispatch.by_hand import battery, connection, line, offer, program
from tests.offchain.dispatch.clarabel_check import solve_clarabel
from tests.offchain.dispatch.kkt import violations
from tests.offchain.dispatch.random_programs import random_program

BATCH = 50


@pytest.mark.parametrize("batch", range(4))
def test_solvers__random_programs__find_the_same_optimum_and_prove_it(batch: int) -> None:
    for seed in range(batch * BATCH, (batch + 1) * BATCH):
        case = random_program(seed)
        solutions = list(_solutions(case))
        best = solutions[0].objective
        for found in solutions:
            proof = certify(case, found)
            assert found.objective == pytest.approx(best, rel=1e-6, abs=1e-6), (seed, found.solver)
            assert proof.gap < 1e-6, (seed, proof)
            assert proof.primal_residual < 1e-7, (seed, proof)
            assert proof.dual_residual < 1e-7, (seed, proof)


@pytest.mark.parametrize("seed", range(1000, 1040))
def test_solvers__random_program__keep_the_conditions_checked_one_variable_at_a_time(seed: int) -> None:
    case = random_program(seed)
    for found in _solutions(case):
        wrong = violations(case, found)
        assert wrong.equation < 1e-8, found.solver
        assert wrong.bound < 1e-8, found.solver
        assert wrong.tilt < 1e-8, found.solver
        assert wrong.regret < 1e-6, found.solver


def _solutions(case: Program) -> Iterator[Solution]:
    if case.is_linear:
        yield solve_highs(case, "simplex")
        yield solve_highs(case, "ipm")
    yield solve_piqp(case)
    yield solve_clarabel(case)


# ---------------------------------------------------------------- prices, by hand

SOLVERS = pytest.mark.parametrize("solve", [solve_highs, solve_piqp])


@SOLVERS
def test_solve__two_generators__the_dearer_one_sets_the_price(solve) -> None:
    case = program(1, connections=[connection(load=5)], offers=[offer(0, 3, 0.1), offer(0, 9, 0.2)])
    found = solve(case)
    assert found.injection[:, 0] == pytest.approx([3, 2], abs=1e-6)
    assert found.zone_price[0, 0] == pytest.approx(0.2, abs=1e-6)
    assert found.objective == pytest.approx(0.7, abs=1e-6)


def test_solve__quadratic_generators__share_the_load_at_equal_marginal_cost() -> None:
    offers = [offer(0, 9, 0.1, curvature=0.1), offer(0, 9, 0.2, curvature=0.1)]
    found = solve_piqp(program(1, connections=[connection(load=5)], offers=offers))
    assert found.injection[:, 0] == pytest.approx([3, 2], abs=1e-6)
    assert found.zone_price[0, 0] == pytest.approx(0.4, abs=1e-6)


@SOLVERS
def test_solve__full_line__splits_the_price_and_an_empty_one_does_not(solve) -> None:
    connections = [connection(0), connection(1, load=4), connection(2, load=1)]
    offers = [offer(0, 99, 0.1), offer(0, 99, 0.5, connection=1)]
    case = program(1, connections=connections, offers=offers, lines=[line(0, 3), line(0, 3)])
    found = solve(case)
    assert found.zone_price[:, 0] == pytest.approx([0.1, 0.5, 0.1], abs=1e-6)
    assert found.imports[:, 0] == pytest.approx([0, 3, 1], abs=1e-6)


@SOLVERS
def test_solve__lossy_line_with_a_fee__price_below_pays_both(solve) -> None:
    connections = [connection(0), connection(1, load=4)]
    lines = [line(0, 99, fee=0.02, loss=0.2)]
    found = solve(program(1, connections=connections, offers=[offer(0, 99, 0.1)], lines=lines))
    assert found.imports[1, 0] == pytest.approx(5, abs=1e-6)
    assert found.zone_price[1, 0] == pytest.approx((0.1 + 0.02) / 0.8, abs=1e-6)


@SOLVERS
def test_solve__full_connection__its_member_has_a_price_of_its_own(solve) -> None:
    connections = [connection(), connection(low=-1, high=2)]
    offers = [offer(-9, 0, 0.3), offer(0, 9, 0.1, connection=1)]
    found = solve(program(1, connections=connections, offers=offers))
    assert found.net[:, 0] == pytest.approx([-2, 2], abs=1e-6)
    assert found.zone_price[0, 0] == pytest.approx(0.3, abs=1e-6)
    assert found.member_price[:, 0] == pytest.approx([0.3, 0.1], abs=1e-6)


@SOLVERS
def test_solve__leaking_battery__shifts_energy_and_values_what_it_holds(solve) -> None:
    stores = [battery(2, 9, up_gain=0.9, down_gain=1 / 0.8, retention=0.95, down_cost=0.01)]
    offers = [offer(0, 9, [0.1, 0.3]), offer(-9, 0, 0.05)]
    found = solve(program(2, connections=[connection(load=[1, 3])], offers=offers, stores=stores))
    held = 0.9 * 2
    assert found.up[0] == pytest.approx([2, 0], abs=1e-6)
    assert found.state[0] == pytest.approx([held, 0], abs=1e-6)
    assert found.down[0] == pytest.approx([0, held * 0.95 * 0.8], abs=1e-6)
    # A kWh held at the end of slot 1 would be sold at 0.3 less wear; one held before, what is left of it.
    worth = 0.8 * (0.3 - 0.01)
    assert found.state_value[0] == pytest.approx([0.95 * worth, worth], abs=1e-6)


@SOLVERS
def test_solve__ramped_generator__starts_early_to_be_there_in_time(solve) -> None:
    ramped = battery([1, 1, 1], 9, state_injects=True, cost=0.1)
    offers = [offer(0, 99, [0.05, 0.05, 0.4])]
    found = solve(program(3, connections=[connection(load=3)], offers=offers, stores=[ramped]))
    assert found.state[0] == pytest.approx([1, 2, 3], abs=1e-6)
    assert found.zone_price[0, :2] == pytest.approx([0.05, 0.05], abs=1e-6)


@SOLVERS
def test_solve__negative_price__sun_is_curtailed_only_as_far_as_nobody_is_paid_to_draw(solve) -> None:
    offers = [offer(0, 5, 0.0), offer(-3, 0, -0.1)]
    found = solve(program(1, offers=offers))
    assert found.objective == pytest.approx(0, abs=1e-6)
    found = solve(program(1, offers=[offer(5, 5, 0.0), offer(-9, 0, -0.1)]))
    assert found.zone_price[0, 0] == pytest.approx(-0.1, abs=1e-6)
    assert found.objective == pytest.approx(0.5, abs=1e-6)


@SOLVERS
def test_solve__nothing_at_all__costs_nothing(solve) -> None:
    found = solve(program(3))
    assert found.objective == 0
    assert found.net.tolist() == [[0, 0, 0]]


@SOLVERS
def test_solve__all_costs_equal__still_proves_its_optimum(solve) -> None:
    offers = [offer(0, 2, 0.1) for _ in range(5)]
    case = program(2, connections=[connection(load=4)], offers=offers, stores=[battery(1, 1)])
    found = solve(case)
    assert found.objective == pytest.approx(0.8, abs=1e-6)
    assert certify(case, found).gap < 1e-7


# ---------------------------------------------------------------- whole decisions


@pytest.mark.parametrize("seed", range(40))
def test_solve_highs__few_decisions__as_good_as_the_best_of_all(seed: int) -> None:
    slots = 1 + seed % 3
    case = random_program(seed, slots=slots, zones=1 + seed % 2, linear=True, integers=True)
    decisions = list(_all_decisions(case))
    if not case.has_integers or len(decisions) > 100:
        case = _with_one_of_each(case)
        decisions = list(_all_decisions(case))
    found = solve_highs(case)
    assert found.objective == pytest.approx(min(_cost_of(case, each) for each in decisions), abs=1e-7)
    proof = certify(case, found)
    assert max(proof.gap, proof.primal_residual, proof.dual_residual) < 1e-8
    assert proof.bound <= found.objective + 1e-8


def _with_one_of_each(case: Program) -> Program:
    """The program with integers in its first offer, store and run only, so that all can be tried."""
    offers, stores = case.offers, case.stores
    on_off = offers.on_off & (np.cumsum(offers.on_off) <= 1)
    exclusive = stores.exclusive & (np.cumsum(stores.exclusive) <= 1)
    low = np.where((offers.on_off & ~on_off)[:, None], np.minimum(offers.low, 0), offers.low)
    return replace(
        case,
        offers=replace(offers, low=low, on_off=on_off),
        stores=replace(stores, exclusive=exclusive),
        runs=case.runs[:1],
    )


def _all_decisions(case: Program) -> Iterator[Decisions]:
    slots = case.slots
    switched, exclusive = np.flatnonzero(case.offers.on_off), np.flatnonzero(case.stores.exclusive)
    choices = [[False, True]] * (slots * (len(switched) + len(exclusive)))
    starts = [range(run.first, run.last + 1) for run in case.runs]
    for chosen in product(*choices, *starts):
        flags = np.array(chosen[: len(choices)], bool).reshape(-1, slots)
        off = np.zeros(case.offers.low.shape, bool)
        no_up, no_down = np.zeros((2, *case.stores.low.shape), bool)
        off[switched] = flags[: len(switched)]
        no_up[exclusive] = flags[len(switched) :]
        no_down[exclusive] = ~flags[len(switched) :]
        yield Decisions(off, no_up, no_down, chosen[len(choices) :])


def _cost_of(case: Program, decisions: Decisions) -> float:
    try:
        return solve_highs(integers.fix(case, decisions)).objective
    except Infeasible:
        return float("inf")


def test_solve_highs__washing_machine__starts_when_its_whole_course_is_cheapest() -> None:
    offers = [offer(0, 9, [0.3, 0.1, 0.4, 0.2, 0.2])]
    course = Run(0, np.array([2.0, 1.0]), first=0, last=3)
    found = solve_highs(program(5, offers=offers, runs=[course]))
    assert found.starts == (3,)
    assert found.net[0] == pytest.approx([0, 0, 0, 0, 0])
    assert found.objective == pytest.approx(0.6)


def test_solve_highs__least_power_above_the_load__generator_stays_off() -> None:
    offers = [offer(2, 5, 0.1, on_off=True), offer(0, 9, 0.3)]
    found = solve_highs(program(2, connections=[connection(load=[1, 3])], offers=offers))
    assert found.injection.tolist() == [[0, 3], [1, 0]]
    assert found.zone_price[0].tolist() == pytest.approx([0.3, 0.1])


def test_solve_highs__load_that_is_all_or_nothing__is_switched_too() -> None:
    offers = [offer(-5, -2, 0.5, on_off=True), offer(0, 1, 0.1)]
    assert solve_highs(program(1, offers=offers)).injection.tolist() == [[0], [0]]
    offers[1] = offer(0, 3, 0.1)
    assert solve_highs(program(1, offers=offers)).injection.tolist() == [[-3], [3]]


def test_solve_highs__exclusive_battery_at_negative_prices__does_not_burn_energy() -> None:
    lossy = battery(4, 1, up_gain=0.5, down_gain=2.0)
    connections, surplus = [connection(load=-4)], offer(-9, 0, -0.1)
    burning = solve_highs(program(1, connections=connections, offers=[surplus], stores=[lossy]))
    assert min(burning.up[0, 0], burning.down[0, 0]) > 0
    lossy["exclusive"] = True
    honest = solve_highs(program(1, connections=connections, offers=[surplus], stores=[lossy]))
    assert (honest.up[0, 0], honest.down[0, 0]) == pytest.approx((2, 0))
    assert honest.objective > burning.objective


# ---------------------------------------------------------------- what they refuse, and what they say


def test_solve_highs__curvature__is_refused() -> None:
    with pytest.raises(DispatchError, match="quadratic"):
        solve_highs(program(1, offers=[offer(0, 1, 0.1, curvature=0.1)]))


def test_solve_piqp__integers__are_refused() -> None:
    with pytest.raises(DispatchError, match="on or off"):
        solve_piqp(program(1, offers=[offer(1, 2, 0.1, on_off=True)]))


@SOLVERS
def test_solve__load_without_supply__is_infeasible_and_says_where(solve) -> None:
    case = program(2, connections=[connection(load=[1, 4])], offers=[offer(0, 2.5, 0.1)])
    with pytest.raises(Infeasible, match=r"zone 0 lacks 1\.5 kWh in slot 1"):
        solve(case)


@SOLVERS
def test_solve__everything_fixed_and_not_adding_up__is_infeasible(solve) -> None:
    case = program(1, connections=[connection(load=1)], offers=[offer(2, 2, 0.1)])
    with pytest.raises(Infeasible, match="zone 0 has no use for 1 kWh in slot 0"):
        solve(case)


@SOLVERS
def test_solve__a_load_and_nothing_to_decide__is_infeasible(solve) -> None:
    with pytest.raises(Infeasible, match=r"zone 0 lacks 2\.5 kWh in slot 0"):
        solve(program(1, connections=[connection(load=2.5)]))


@SOLVERS
def test_solve__not_a_number__is_refused_and_not_solved(solve) -> None:
    for cost, most in ((np.nan, 2), (0.1, np.nan), (np.inf, 2)):
        with pytest.raises(DispatchError, match="not a number"):
            solve(program(1, connections=[connection(load=1)], offers=[offer(0, most, cost)]))


@pytest.mark.parametrize(
    ("algorithm", "ran"), [("simplex", "dual simplex"), ("ipm", "interior point"), ("choose", "dual simplex")]
)
def test_solve_highs__each_algorithm__is_named_by_what_ran(algorithm, ran, caplog) -> None:
    case = random_program(4, slots=24, zones=5, linear=True)
    with caplog.at_level(logging.DEBUG, logger="clearwatt.dispatch"):
        found = solve_highs(case, algorithm)
    assert found.solver.startswith("HiGHS 1.")
    assert ran in found.solver
    assert found.iterations > 0
    own_words = {"simplex": "Using dual simplex", "ipm": "IPX", "choose": "Using dual simplex"}
    assert own_words[algorithm] in caplog.text
    assert found.solver in caplog.text


def test_solve_highs__nothing_left_by_presolve__says_so() -> None:
    found = solve_highs(program(1, connections=[connection(load=1)], offers=[offer(0, 2, 0.1)]))
    assert "presolve alone" in found.solver


def test_solve_piqp__solver__is_named_with_version_and_tolerance() -> None:
    assert (
        solve_piqp(random_program(1)).solver == f"PIQP {piqp.__version__} (interior point, tolerance 1e-12)"
    )
