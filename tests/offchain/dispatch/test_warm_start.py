"""The structured method begun at the solution of a problem like the one to be solved."""

from dataclasses import replace

import numpy as np
import pytest

from clearwatt.dispatch import structured
from clearwatt.dispatch.certificate import certify
from clearwatt.dispatch.errors import DispatchError
from clearwatt.dispatch.program import Program
from clearwatt.dispatch.start import Start
from tests.offchain.dispatch.random_programs import random_program


def with_other_loads(program: Program, share: float) -> Program:
    """The same program with every fixed injection changed by up to a share of it."""
    fixed = program.connections.fixed
    changed = fixed * (1 + share * np.random.default_rng(0).uniform(-1, 1, fixed.shape))
    return replace(program, connections=replace(program.connections, fixed=changed))


@pytest.mark.parametrize("seed", range(20))
def test_solve__begun_at_its_own_solution__needs_far_fewer_iterations(seed: int) -> None:
    program = random_program(seed, roomy=True)
    cold = structured.solve(program)
    warm = structured.solve(program, start=Start(cold))
    assert warm.objective == pytest.approx(cold.objective, rel=1e-6, abs=1e-6)
    assert certify(program, warm).gap < 1e-6
    assert warm.iterations <= cold.iterations / 2


@pytest.mark.parametrize("seed", range(20))
def test_solve__loads_have_changed__same_optimum_as_from_nothing(seed: int) -> None:
    before = random_program(seed, roomy=True)
    after = with_other_loads(before, 0.01)
    cold = structured.solve(after)
    warm = structured.solve(after, start=Start(structured.solve(before)))
    assert warm.objective == pytest.approx(cold.objective, rel=1e-6, abs=1e-6)
    assert certify(after, warm).gap < 1e-6


def test_shifted__two_slots_later__what_was_next_but_one_comes_first() -> None:
    solution = structured.solve(random_program(0, slots=6, roomy=True))
    later = Start(solution).shifted(2).solution
    np.testing.assert_array_equal(later.state[:, :4], solution.state[:, 2:])
    np.testing.assert_array_equal(later.zone_price[:, 4:], solution.zone_price[:, :2])


def test_solve__start_of_another_program__is_refused() -> None:
    start = Start(structured.solve(random_program(0, slots=4, roomy=True)))
    with pytest.raises(DispatchError, match="same assets and slots"):
        structured.solve(random_program(0, slots=5, roomy=True), start=start)
