"""Plans one after the other: each as good as one made from nothing, and together as good as one for all."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.dispatch_cases import community
from clearwatt.dispatch import structured
from clearwatt.dispatch.certificate import certify
from clearwatt.dispatch.errors import DispatchError
from clearwatt.dispatch.program import Program, Run, Solution, objective
from clearwatt.dispatch.rolling import Rolling, window

SLOTS = 24


def small(**options: int) -> Program:
    return community(12, **{"slots": SLOTS, "zones": 3, **options})


def cost_of_first(program: Program, plan: Solution, slots: int) -> float:
    """Of what a plan does in its first slots."""
    per_slot = ("injection", "up", "down", "state", "net", "exports", "imports")
    done = replace(plan, **{name: getattr(plan, name)[:, :slots] for name in per_slot})
    return objective(window(program, 0, slots), done)


def forecast_again(program: Program, seed: int) -> Program:
    """The same community with loads and PV a few percent different."""
    rng = np.random.default_rng(seed)
    fixed, high = program.connections.fixed, program.offers.high.copy()
    high[2:] *= np.exp(0.05 * rng.standard_normal(high[2:].shape))
    connections = replace(program.connections, fixed=fixed * np.exp(0.05 * rng.standard_normal(fixed.shape)))
    return replace(program, connections=connections, offers=replace(program.offers, high=high))


def test_rolling__perfect_forecast_to_the_end__costs_what_one_plan_for_all_costs() -> None:
    program = small()
    rolling = Rolling(program, SLOTS)
    spent = 0.0
    while not rolling.ended:
        seen = rolling.window
        spent += cost_of_first(seen, rolling.solve(), 4)
        rolling.advance(4)
    assert spent == pytest.approx(structured.solve(program).objective, rel=1e-6)


@pytest.mark.parametrize("quadratic", [True, False])
@pytest.mark.parametrize(("prosumers", "zones"), [(12, 3), (30, 1)])
def test_rolling__forecasts_change__every_plan_is_optimal(
    prosumers: int, zones: int, quadratic: bool
) -> None:
    """Caps that bound in the last plan may be out of reach in this one; its prices must not linger."""
    program = community(prosumers, slots=2 * SLOTS, days=2, zones=zones, quadratic=quadratic)
    rolling = Rolling(program, SLOTS, end=program.stores.high[:, 0] / 2)
    for seed in range(6):
        rolling.revise(forecast_again(program, seed))
        seen = rolling.window
        plan = rolling.solve()
        proof = certify(seen, plan)
        assert proof.gap < 1e-6
        assert proof.primal_residual < 1e-6
        assert plan.objective == pytest.approx(structured.solve(seen).objective, rel=1e-6, abs=1e-6)
        rolling.advance(3)


def test_rolling__end_given__kept_by_plans_that_end_early_only() -> None:
    program = small(slots=2 * SLOTS, days=2)
    full = program.stores.high[:, 0]
    rolling = Rolling(program, SLOTS, end=0.9 * full)
    assert (rolling.solve().state[:, -1] > 0.9 * full - 1e-6).all()
    rolling.advance(SLOTS)
    assert (rolling.solve().state[:, -1] < 0.9 * full).any()
    assert (Rolling(program, SLOTS).solve().state[:, -1] < 0.1 * full).all()


def test_rolling__program_ends_before_the_horizon__plans_get_shorter() -> None:
    rolling = Rolling(small(), 16)
    lengths = []
    while not rolling.ended:
        lengths.append(rolling.solve().state.shape[1])
        rolling.advance(5) if lengths[-1] > 5 else rolling.advance(lengths[-1])
    assert lengths == [16, 16, 14, 9, 4]


def test_advance__batteries_measured__next_plan_starts_there() -> None:
    program = small()
    rolling = Rolling(program, SLOTS)
    rolling.solve()
    measured = 0.7 * program.stores.high[:, 0]
    rolling.advance(2, measured)
    plan, seen = rolling.solve(), rolling.window
    np.testing.assert_array_equal(seen.stores.initial, measured)
    assert certify(seen, plan).primal_residual < 1e-6


def test_advance__nothing_planned__refused() -> None:
    rolling = Rolling(small(), SLOTS)
    with pytest.raises(DispatchError, match="no plan for the next 1 slots"):
        rolling.advance()
    rolling.solve()
    with pytest.raises(DispatchError, match="no plan for the next 25 slots"):
        rolling.advance(25)


def test_revise__other_assets__refused() -> None:
    rolling = Rolling(small(), SLOTS)
    with pytest.raises(DispatchError, match="must have the members, assets and slots"):
        rolling.revise(community(13, slots=SLOTS, zones=3))


def test_window__any__shows_the_programs_own_arrays() -> None:
    program = small()
    seen = window(program, 5, 7)
    assert seen.slots == 7
    assert np.shares_memory(seen.offers.high, program.offers.high)
    np.testing.assert_array_equal(seen.lines.fee, program.lines.fee[:, 5:12])
    np.testing.assert_array_equal(seen.stores.initial, program.stores.initial)


@pytest.mark.parametrize(("first", "slots"), [(-1, 3), (22, 3), (0, 0)])
def test_window__not_in_the_program__refused(first: int, slots: int) -> None:
    with pytest.raises(DispatchError, match="not all in a program of 24 slots"):
        window(small(), first, slots)


def test_rolling__whole_decisions__refused() -> None:
    washing = replace(small(), runs=(Run(1, np.ones(2), 0, 5),))
    with pytest.raises(DispatchError, match="no whole decisions"):
        Rolling(washing, SLOTS)
    with pytest.raises(DispatchError, match="cut a load's run"):
        window(washing, 0, 4)


def test_rolling__horizon_of_nothing__refused() -> None:
    with pytest.raises(DispatchError, match="at least 1"):
        Rolling(small(), 0)
