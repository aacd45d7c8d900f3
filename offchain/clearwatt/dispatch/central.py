"""Solvers for any program: HiGHS for the linear ones, with and without integers; PIQP for the quadratic ones.

They take the program as one sparse matrix. Prices are their multipliers: of a vertex from HiGHS, from amid all optimal
ones from PIQP.
"""

import logging
import time
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import piqp
from scipy.sparse import csc_matrix

from clearwatt.dispatch import highs, integers
from clearwatt.dispatch.errors import DispatchError, Infeasible, NotConverged
from clearwatt.dispatch.infeasible import Names, explain
from clearwatt.dispatch.program import Program, Solution
from clearwatt.dispatch.sparse import SparseProgram, assemble

log = logging.getLogger(__name__)

Found = TypeVar("Found")

ATTEMPTS = ((1e-12, 50), (1e-10, 50), (1e-8, 250))
"""Tolerances of PIQP with the iterations each is worth. A small program reaches the first in some 20, and only then is
the gap of its certificate below 1e-7."""

LARGE = 20_000
"""Columns from which on only the last of them, PIQP's own default, is within reach."""

EMPTY_ROW_HOLDS = 1e-9
"""kWh by which a row in which everything is fixed may miss its right-hand side."""


def solve_highs(
    program: Program, algorithm: highs.Algorithm = "choose", names: Names | None = None
) -> Solution:
    """The optimum of a linear program, with the prices of a vertex.

    Integers are decided first, then fixed; the prices are those of the program that is left.

    algorithm: "simplex" (dual simplex), "ipm" (interior point with crossover to a vertex), or "choose".
    names: for the explanation, if there is no schedule.

    Raises `Infeasible` with what stands in the way, `NotConverged`, and `DispatchError` where there are curvatures.
    """
    if not program.is_linear:
        raise DispatchError("HiGHS is for linear costs only, and this dispatch has quadratic ones.")
    started = time.perf_counter()
    if not program.has_integers:
        return _timed(_vertex(program, algorithm, names), started)
    mixed = integers.mixed(assemble(program))
    best = _found(highs.minimise(mixed.model), program, names)
    decisions = mixed.decisions(best.x)
    solution = _vertex(integers.fix(program, decisions), algorithm, names)
    solver = f"{best.solver}, then {solution.solver}"
    return _timed(replace(solution, starts=decisions.starts, solver=solver), started)


def solve_piqp(program: Program, names: Names | None = None) -> Solution:
    """The optimum of a linear or quadratic program, by PIQP's interior point.

    Raises `Infeasible` with what stands in the way, `NotConverged`, and `DispatchError` where there are integers.
    """
    if program.has_integers:
        raise DispatchError("PIQP takes no decisions that are whole, such as on or off, or when to start.")
    started = time.perf_counter()
    sparse = assemble(program)
    free = _found(Reduced.of(sparse), program, names)
    result, tolerance = _interior_point(free)
    if result.info.status != piqp.PIQP_SOLVED:
        raise _no_result(result, program, names)
    x, multipliers = free.expand(result.x, -result.y)
    name = f"PIQP {piqp.__version__} (interior point, tolerance {tolerance:.0e})"
    solution = sparse.solution(x, multipliers, solver=name, iterations=result.info.iter, seconds=0.0)
    solution = _timed(solution, started)
    log.info("%s: %d iterations, %.3f s", name, solution.iterations, solution.seconds)
    return solution


def _interior_point(free: "Reduced") -> tuple[piqp.Result, float]:
    """PIQP's result, solved or not, and the last tolerance that was tried."""
    solver = piqp.SparseSolver()
    large = len(free.cost) > LARGE
    solver.settings.iterative_refinement_always_enabled = not large
    solver.setup(free.hessian, free.cost, free.matrix, free.rhs, x_l=free.low, x_u=free.high)
    for tolerance, iterations in ATTEMPTS[-1:] if large else ATTEMPTS:
        _set_tolerance(solver.settings, tolerance)
        solver.settings.max_iter = iterations
        status = solver.solve()
        if status in (piqp.PIQP_SOLVED, piqp.PIQP_PRIMAL_INFEASIBLE):
            break
        log.info("PIQP at %.0e: %s after %d iterations", tolerance, status.name, solver.result.info.iter)
    return solver.result, tolerance


def _no_result(result: piqp.Result, program: Program, names: Names | None) -> DispatchError:
    """PIQP seldom notices that there is no schedule, so whether there is one is for the explanation to say."""
    explanation = explain(program, names)
    if explanation.obstacles:
        return Infeasible(str(explanation))
    return NotConverged(f"PIQP gave up after {result.info.iter} iterations ({result.info.status.name}).")


def _set_tolerance(settings: piqp.Settings, tolerance: float) -> None:
    settings.eps_abs = settings.eps_rel = tolerance
    settings.eps_duality_gap_abs = settings.eps_duality_gap_rel = tolerance


def _vertex(program: Program, algorithm: highs.Algorithm, names: Names | None) -> Solution:
    sparse = assemble(program)
    best = _found(highs.minimise(highs.linear(sparse), algorithm), program, names)
    return sparse.solution(
        best.x, best.multipliers, solver=best.solver, iterations=best.iterations, seconds=0.0
    )


def _found(answer: Found | None, program: Program, names: Names | None) -> Found:
    if answer is None:
        raise Infeasible(str(explain(program, names)))
    return answer


def _timed(solution: Solution, started: float) -> Solution:
    return replace(solution, seconds=time.perf_counter() - started)


@dataclass(frozen=True)
class Reduced:
    """A sparse program without its fixed columns, which have no interior, and without the rows that this leaves empty.

    live_columns: bool[n], live_rows: bool[m]; those that stay. The rest as in `SparseProgram`.
    """

    sparse: SparseProgram
    live_columns: np.ndarray
    live_rows: np.ndarray
    hessian: csc_matrix
    cost: np.ndarray
    matrix: csc_matrix
    rhs: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @classmethod
    def of(cls, sparse: SparseProgram) -> "Reduced | None":
        """None where a column has no value, or an empty row does not hold."""
        live = sparse.high > sparse.low
        rhs = sparse.rhs - sparse.matrix @ np.where(live, 0.0, sparse.low)
        matrix = sparse.matrix[:, live]
        rows = np.bincount(matrix.indices, minlength=len(rhs)) > 0
        if (sparse.low > sparse.high).any() or (np.abs(rhs[~rows]) > EMPTY_ROW_HOLDS).any():
            return None
        return cls(
            sparse=sparse,
            live_columns=live,
            live_rows=rows,
            hessian=csc_matrix(sparse.hessian[:, live][live]),
            cost=sparse.cost[live],
            matrix=csc_matrix(matrix[rows]),
            rhs=rhs[rows],
            low=sparse.low[live],
            high=sparse.high[live],
        )

    def expand(self, x: np.ndarray, multipliers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """All columns and all rows' multipliers; 0 in a row where all is fixed, and so any price fits."""
        all_x, all_multipliers = self.sparse.low.copy(), np.zeros(len(self.live_rows))
        all_x[self.live_columns] = x
        all_multipliers[self.live_rows] = multipliers
        return all_x, all_multipliers
