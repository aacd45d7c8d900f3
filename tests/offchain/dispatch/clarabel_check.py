"""A second opinion on every program without integers: Clarabel, a solver the package itself does not use."""

import clarabel
import numpy as np
from scipy.sparse import csc_matrix, identity, vstack

from clearwatt.dispatch.central import Reduced
from clearwatt.dispatch.program import Program, Solution
from clearwatt.dispatch.sparse import assemble


def solve_clarabel(program: Program, tolerance: float = 1e-10) -> Solution:
    """The optimum by Clarabel's interior point; fails the test that asks where it does not converge."""
    sparse = assemble(program)
    free = Reduced.of(sparse)
    assert free is not None, "a fixed row does not hold"
    above, below = np.isfinite(free.high), np.isfinite(free.low)
    unit = csc_matrix(identity(len(free.cost), format="csc"))
    matrix = csc_matrix(vstack([free.matrix, unit[above], -unit[below]]))
    rhs = np.concatenate([free.rhs, free.high[above], -free.low[below]])
    cones = [
        clarabel.ZeroConeT(len(free.rhs)),
        clarabel.NonnegativeConeT(int(above.sum() + below.sum())),
    ]
    solver = clarabel.DefaultSolver(free.hessian, free.cost, matrix, rhs, cones, _settings(tolerance))
    found = solver.solve()
    assert str(found.status) in ("Solved", "AlmostSolved"), f"Clarabel: {found.status}"
    x, multipliers = free.expand(np.array(found.x), -np.array(found.z)[: len(free.rhs)])
    return sparse.solution(
        x,
        multipliers,
        solver=f"Clarabel {clarabel.__version__}",
        iterations=found.iterations,
        seconds=found.solve_time,
    )


def _settings(tolerance: float) -> clarabel.DefaultSettings:
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.max_threads = 1
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = tolerance
    return settings
