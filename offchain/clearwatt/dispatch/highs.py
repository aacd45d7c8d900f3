"""HiGHS, called with arrays, and what it says afterwards about what it really did."""

import logging
from dataclasses import dataclass
from typing import Literal

import highspy
import numpy as np
from scipy.sparse import csc_matrix

from clearwatt.dispatch.errors import DispatchError, NotConverged
from clearwatt.dispatch.sparse import SparseProgram

log = logging.getLogger(__name__)

Algorithm = Literal["simplex", "ipm", "choose"]

TOLERANCE = 1e-9
"""On bounds, rows and reduced costs, absolute."""

MIP_GAP = 1e-9
"""Relative; what may be left between the best schedule with integers and its bound."""


@dataclass(frozen=True)
class Model:
    """Minimise cost @ x subject to row_low <= matrix @ x <= row_high and low <= x <= high.

    cost, low, high, whole: [n]; whole: bool, where x is an integer. row_low, row_high: [m]. matrix: [m, n].
    """

    cost: np.ndarray
    low: np.ndarray
    high: np.ndarray
    whole: np.ndarray
    matrix: csc_matrix
    row_low: np.ndarray
    row_high: np.ndarray


@dataclass(frozen=True)
class Optimum:
    """x: [n]. multipliers: [m] d objective / d row, meaningless with integers. solver: what really ran."""

    x: np.ndarray
    multipliers: np.ndarray
    solver: str
    iterations: int


def linear(sparse: SparseProgram) -> Model:
    """A program without its curvatures and integers."""
    whole = np.zeros(len(sparse.cost), bool)
    return Model(sparse.cost, sparse.low, sparse.high, whole, sparse.matrix, sparse.rhs, sparse.rhs)


def minimise(
    model: Model, algorithm: Algorithm = "choose", time_limit: float = float("inf")
) -> Optimum | None:
    """The optimum, at a vertex; None if no x keeps all limits.

    algorithm: "simplex" (dual simplex), "ipm" (interior point and crossover) or "choose"; ignored where there
    are integers. time_limit: seconds. Raises `NotConverged` and, for numbers that are not finite, `DispatchError`.
    """
    solver = _quiet(highspy.Highs())
    solver.setOptionValue("time_limit", time_limit)
    if not model.whole.any():
        solver.setOptionValue("solver", algorithm)
    _pass(solver, model)
    solver.run()
    if not _is_optimal(solver, model):
        return None
    solution, info = solver.getSolution(), solver.getInfo()
    found = Optimum(
        x=np.asarray(solution.col_value),
        multipliers=np.asarray(solution.row_dual),
        solver=f"HiGHS {solver.version()} ({_what_ran(info)})",
        iterations=max(info.simplex_iteration_count, 0) + max(info.ipm_iteration_count, 0),
    )
    log.info("%s: %d iterations, %.3f s", found.solver, found.iterations, solver.getRunTime())
    return found


def _quiet(solver: highspy.Highs) -> highspy.Highs:
    solver.setOptionValue("log_to_console", False)
    solver.setOptionValue("primal_feasibility_tolerance", TOLERANCE)
    solver.setOptionValue("dual_feasibility_tolerance", TOLERANCE)
    solver.setOptionValue("mip_rel_gap", MIP_GAP)
    if log.isEnabledFor(logging.DEBUG):
        solver.cbLogging += lambda event: log.debug("%s", event.message.rstrip())
    else:
        solver.setOptionValue("output_flag", False)
    return solver


def _pass(solver: highspy.Highs, model: Model) -> None:
    rows, columns = model.matrix.shape
    status = solver.passModel(
        columns,
        rows,
        model.matrix.nnz,
        int(highspy.MatrixFormat.kColwise),
        int(highspy.ObjSense.kMinimize),
        0.0,
        model.cost,
        model.low,
        model.high,
        model.row_low,
        model.row_high,
        model.matrix.indptr[:-1].astype(np.int32),
        model.matrix.indices.astype(np.int32),
        model.matrix.data,
        model.whole.astype(np.int32),
    )
    if status == highspy.HighsStatus.kError:
        raise DispatchError("HiGHS refuses the dispatch: a number in it is far too large.")


def _is_optimal(solver: highspy.Highs, model: Model) -> bool:
    """False where there is no solution; no dispatch is unbounded, so that is what is left of HiGHS's doubt."""
    status, known = solver.getModelStatus(), highspy.HighsModelStatus
    if status in (known.kInfeasible, known.kUnboundedOrInfeasible):
        return False
    if status == known.kModelEmpty:  # said of every model without columns, whatever its rows ask for
        return bool((model.row_low <= TOLERANCE).all() and (model.row_high >= -TOLERANCE).all())
    if status == known.kOptimal:
        return True
    raise NotConverged(f"HiGHS stopped without an optimum: {solver.modelStatusToString(status)}.")


def _what_ran(info: highspy.HighsInfo) -> str:
    """The algorithm by what it counted: "choose" is no answer."""
    if info.mip_node_count >= 0:
        return f"branch and bound, {info.mip_node_count} nodes, gap {info.mip_gap:.0e}"
    if info.ipm_iteration_count > 0:
        return "interior point" + (" and crossover" if info.crossover_iteration_count > 0 else "")
    return "dual simplex" if info.simplex_iteration_count > 0 else "presolve alone"
