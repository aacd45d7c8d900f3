"""The certificate: what it says of optima, of schedules that are not, and of prices that are wrong."""

from dataclasses import replace

import numpy as np
import pytest

from clearwatt.dispatch.central import solve_highs, solve_piqp
from clearwatt.dispatch.certificate import certify
from clearwatt.dispatch.program import Program, Solution
from tests.offchain.dispatch.by_hand import battery, connection, offer, program
from tests.offchain.dispatch.random_programs import random_program


def _two_generators() -> tuple[Program, Solution]:
    """A load of 5 kWh, 3 of them for 0.1 and the rest for 0.2."""
    case = program(1, connections=[connection(load=5)], offers=[offer(0, 3, 0.1), offer(0, 9, 0.2)])
    return case, solve_highs(case)


def test_certify__optimum_at_a_vertex__has_no_gap() -> None:
    case, found = _two_generators()
    proof = certify(case, found)
    assert proof.primal_objective == pytest.approx(0.7)
    assert proof.dual_objective == pytest.approx(0.7)
    assert proof.bound == proof.dual_objective
    assert max(proof.gap, proof.primal_residual, proof.dual_residual) < 1e-12
    assert proof.solver == found.solver


def test_certify__dearer_schedule__gap_is_what_it_costs_too_much() -> None:
    case, found = _two_generators()
    worse = replace(found, injection=np.array([[1.0], [4.0]]))
    proof = certify(case, worse)
    assert proof.primal_residual < 1e-12
    assert proof.primal_objective - proof.dual_objective == pytest.approx(0.2)
    assert proof.gap == pytest.approx(0.2)


def test_certify__wrong_price__proves_less() -> None:
    case, found = _two_generators()
    cheap = np.array([[0.15]])
    proof = certify(case, replace(found, zone_price=cheap, member_price=cheap))
    # At 0.15 the first generator would inject its 3 kWh at a gain of 0.05 each, the second nothing.
    assert proof.dual_objective == pytest.approx(5 * 0.15 - 3 * 0.05)
    assert proof.gap == pytest.approx(0.1)


def test_certify__quadratic_cost__each_responds_to_the_price_in_closed_form() -> None:
    case = program(1, connections=[connection(load=2)], offers=[offer(0, 9, 0.1, curvature=0.1)])
    found = solve_piqp(case)
    for price in (0.1, 0.2, 0.3, 0.6):
        prices = np.array([[price]])
        proof = certify(case, replace(found, zone_price=prices, member_price=prices))
        response = (price - 0.1) / 0.1
        dual = 0.1 * response + 0.05 * response**2 - price * (response - 2)
        assert proof.dual_objective == pytest.approx(dual)


def test_certify__energy_from_nowhere__is_the_primal_residual() -> None:
    case, found = _two_generators()
    assert certify(case, replace(found, injection=np.array([[3.0], [1.5]]))).primal_residual == pytest.approx(
        0.5
    )
    assert certify(
        case, replace(found, injection=np.array([[3.25], [1.75]]))
    ).primal_residual == pytest.approx(0.25)
    assert certify(case, replace(found, exports=np.array([[0.75]]))).primal_residual == pytest.approx(0.75)


def test_certify__state_that_does_not_follow__is_the_primal_residual() -> None:
    case = program(2, offers=[offer(0, 9, [0.1, 0.2])], stores=[battery(2, 2)])
    found = solve_highs(case)
    assert certify(case, found).primal_residual < 1e-12
    assert certify(case, replace(found, state=np.array([[0.0, 0.5]]))).primal_residual == pytest.approx(0.5)


def test_certify__price_of_a_free_connection_not_its_zones__is_the_dual_residual() -> None:
    case, found = _two_generators()
    split = replace(found, member_price=found.member_price + 0.25)
    proof = certify(case, split)
    assert proof.dual_residual == pytest.approx(0.25)
    assert proof.dual_objective == pytest.approx(0.7)


def test_certify__unbounded_state_at_a_wrong_value__still_proves_a_bound() -> None:
    stores = [battery(2, np.inf, low=-np.inf, down_high=0.0)]
    case = program(2, offers=[offer(0, 9, [0.1, 0.2])], stores=stores)
    found = solve_highs(case)
    off = replace(found, state_value=found.state_value + 0.3)
    proof = certify(case, off)
    assert proof.dual_residual == pytest.approx(0.3)
    assert np.isfinite(proof.dual_objective)
    assert proof.dual_objective < found.objective


def test_certify__schedule_that_is_not_a_number__proves_nothing() -> None:
    case, found = _two_generators()
    proof = certify(case, replace(found, injection=np.array([[np.nan], [2.0]])))
    assert np.isnan(proof.primal_residual)
    assert np.isnan(proof.gap)


@pytest.mark.parametrize("seed", range(60))
def test_certify__any_prices_at_all__never_prove_more_than_the_optimum(seed: int) -> None:
    case = random_program(seed)
    best = solve_piqp(case)
    rng = np.random.default_rng(seed)
    for scale in (0.001, 0.1, 1.0):
        guessed = replace(
            best,
            zone_price=best.zone_price + scale * rng.normal(size=best.zone_price.shape),
            member_price=best.member_price + scale * rng.normal(size=best.member_price.shape),
            state_value=best.state_value + scale * rng.normal(size=best.state_value.shape),
        )
        dual = certify(case, guessed).dual_objective
        assert dual <= best.objective + 1e-6 * max(1, abs(best.objective))
        assert np.isfinite(dual)


@pytest.mark.parametrize("seed", range(15))
def test_certify__integers__bound_holds_for_every_decision(seed: int) -> None:
    case = random_program(seed, slots=6, zones=2, linear=True, integers=True)
    best = solve_highs(case)
    proof = certify(case, best)
    assert proof.bound <= best.objective + 1e-7
    assert proof.gap < 1e-8
    relaxed = replace(best, zone_price=best.zone_price + 0.1, member_price=best.member_price + 0.1)
    assert certify(case, relaxed).bound <= best.objective + 1e-7
