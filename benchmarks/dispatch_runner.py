"""Solves one community with one solver, in a process of its own whose memory can be measured.

    python -m benchmarks.dispatch_runner '{"solver": "structured", "prosumers": 100, "zones": 1, "quadratic": true}'

Prints one JSON object: `seconds` from the program's arrays to a solution in them, `processor` (the same by the
processor's clock), `build` (the part that lays out the arrays or assembles the matrix), `memory` (peak, MB) and
`above` (what of it the solving took), `iterations`, `gap` and both residuals of `clearwatt.dispatch.certificate`,
`cost` and `solver`; or `error`.
"""

import json
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

import highspy
import numpy as np
import piqp
import scipy
from scipy.optimize import Bounds, LinearConstraint, linprog, minimize

from benchmarks.dispatch_cases import community
from clearwatt.dispatch import central, layout, sparse, structured
from clearwatt.dispatch.certificate import certify
from clearwatt.dispatch.errors import DispatchError, NotConverged
from clearwatt.dispatch.program import Program, Solution
from tests.offchain.dispatch.clarabel_check import solve_clarabel

TOLERANCE = 1e-8
"""Clarabel's own default; PIQP's and ours are of that size too."""

Solver = Callable[[Program], Solution]

RSS_UNIT = 1 if sys.platform == "darwin" else 1024
"""Bytes in the unit of ru_maxrss."""


def highs(algorithm: str) -> Solver:
    return lambda program: central.solve_highs(program, algorithm)


def piqp_as_it_comes(program: Program) -> Solution:
    """PIQP with its own settings; `central` asks more of it where a program is small."""
    started = time.perf_counter()
    matrices = sparse.assemble(program)
    free = central.Reduced.of(matrices)
    solver = piqp.SparseSolver()
    solver.setup(free.hessian, free.cost, free.matrix, free.rhs, x_l=free.low, x_u=free.high)
    status = solver.solve()
    if status != piqp.PIQP_SOLVED:
        raise NotConverged(f"PIQP: {status.name}")
    return matrices.solution(
        *free.expand(solver.result.x, -solver.result.y),
        solver=f"PIQP {piqp.__version__}",
        iterations=solver.result.info.iter,
        seconds=time.perf_counter() - started,
    )


def highs_qp(program: Program) -> Solution:
    """HiGHS's active-set method, the one it has for quadratic costs."""
    started = time.perf_counter()
    matrices = sparse.assemble(program)
    solver, n = highspy.Highs(), len(matrices.cost)
    solver.setOptionValue("output_flag", False)
    model, columns = highspy.HighsModel(), matrices.matrix
    lp, hessian = model.lp_, model.hessian_
    lp.num_col_, lp.num_row_ = n, columns.shape[0]
    lp.col_cost_, lp.col_lower_, lp.col_upper_ = matrices.cost, matrices.low, matrices.high
    lp.row_lower_ = lp.row_upper_ = matrices.rhs
    lp.a_matrix_.start_, lp.a_matrix_.index_, lp.a_matrix_.value_ = (
        columns.indptr,
        columns.indices,
        columns.data,
    )
    hessian.dim_, hessian.value_ = n, matrices.curvature
    hessian.start_, hessian.index_ = np.arange(n + 1), np.arange(n)
    solver.passModel(model)
    solver.run()
    if solver.getModelStatus() != highspy.HighsModelStatus.kOptimal:
        raise NotConverged(f"HiGHS QP: {solver.modelStatusToString(solver.getModelStatus())}")
    found = solver.getSolution()
    return matrices.solution(
        np.asarray(found.col_value),
        np.asarray(found.row_dual),
        solver=f"HiGHS {solver.version()} (QP, active set)",
        iterations=solver.getInfo().qp_iteration_count,
        seconds=time.perf_counter() - started,
    )


def scipy_lp(method: str) -> Solver:
    def solve(program: Program) -> Solution:
        started = time.perf_counter()
        matrices = sparse.assemble(program)
        bounds = np.column_stack([matrices.low, matrices.high])
        found = linprog(matrices.cost, A_eq=matrices.matrix, b_eq=matrices.rhs, bounds=bounds, method=method)
        if not found.success:
            raise NotConverged(f"scipy linprog: {found.message}")
        return matrices.solution(
            found.x,
            found.eqlin.marginals,
            solver=f"scipy {scipy.__version__} (linprog, {method})",
            iterations=found.nit,
            seconds=time.perf_counter() - started,
        )

    return solve


def scipy_qp(program: Program) -> Solution:
    """trust-constr: of scipy's methods the one that takes sparse constraints and quadratic costs."""
    started = time.perf_counter()
    matrices = sparse.assemble(program)
    cost, curvature = matrices.cost, matrices.curvature
    found = minimize(
        lambda x: cost @ x + x @ (curvature * x) / 2,
        np.clip(0, matrices.low, matrices.high),
        jac=lambda x: cost + curvature * x,
        hess=lambda _: matrices.hessian,
        method="trust-constr",
        bounds=Bounds(matrices.low, matrices.high),
        constraints=LinearConstraint(matrices.matrix, matrices.rhs, matrices.rhs),
        options={"maxiter": 10_000, "gtol": 1e-8},
    )
    return matrices.solution(
        found.x,
        -found.v[0],
        solver=f"scipy {scipy.__version__} (minimize, trust-constr)",
        iterations=found.nit,
        seconds=time.perf_counter() - started,
    )


SOLVERS: dict[str, Solver] = {
    "structured": structured.solve,
    "PIQP": piqp_as_it_comes,
    "Clarabel": lambda program: solve_clarabel(program, TOLERANCE),
    "HiGHS QP": highs_qp,
    "HiGHS simplex": highs("simplex"),
    "HiGHS interior point": highs("ipm"),
    "scipy linprog simplex": scipy_lp("highs-ds"),
    "scipy linprog interior point": scipy_lp("highs-ipm"),
    "scipy trust-constr": scipy_qp,
}


def measure(solver: str, program: Program) -> dict[str, Any]:
    solve = SOLVERS[solver]
    before = memory()
    started, worked = time.perf_counter(), time.process_time()
    solution = solve(program)
    seconds, processor = time.perf_counter() - started, time.process_time() - worked
    peak = memory()
    proof = certify(program, solution)
    return {
        "seconds": seconds,
        "processor": processor,
        "build": build_seconds(solver, program),
        "memory": peak,
        "above": peak - before,
        "iterations": solution.iterations,
        "gap": proof.gap,
        "primal_residual": proof.primal_residual,
        "dual_residual": proof.dual_residual,
        "cost": proof.primal_objective,
        "solver": solution.solver,
    }


def build_seconds(solver: str, program: Program) -> float:
    """Afterwards, so that it doesn't show in the memory."""
    build = layout.lay_out if solver == "structured" else sparse.assemble
    started = time.perf_counter()
    build(program)
    return time.perf_counter() - started


def memory() -> float:
    """Peak of this process so far, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * RSS_UNIT / 1e6


def main() -> None:
    task = json.loads(sys.argv[1])
    solver = task.pop("solver")
    try:
        SOLVERS[solver](
            community(3, slots=8, quadratic=task["quadratic"])
        )  # loads what is loaded at first use
        print(json.dumps(measure(solver, community(**task))))
    except (DispatchError, AssertionError) as error:
        print(json.dumps({"error": str(error)}))


if __name__ == "__main__":
    main()
