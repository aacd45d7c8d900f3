"""How long dispatch takes, beside other solvers, and how time and memory grow with the number of prosumers.

    .venv/bin/python -m benchmarks.dispatch [--limit SECONDS] [--most PROSUMERS]

Everything is measured in this run, from fixed seeds, on one thread per process. Beside each time stands what
`clearwatt.dispatch.certificate` says of the answer: the gap between its cost and the best bound, relative, the worst
violation of a limit or balance in kWh, and the worst slope that no limit excuses in currency/kWh.
"""

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
from dataclasses import dataclass
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.dispatch_cases import SLOTS
from clearwatt.dispatch.scale import THREAD_LIMITS

OURS = "structured"
SIZES = 100, 1_000, 10_000
ROUNDS = {10: 3, 100: 5, 1_000: 3}
"""Runs of each solver, one after the other; the median counts. One where there is no entry."""

QP_SOLVERS = OURS, "PIQP", "Clarabel", "HiGHS QP", "scipy trust-constr"
LP_SOLVERS = (
    OURS,
    "PIQP",
    "Clarabel",
    "HiGHS simplex",
    "HiGHS interior point",
    "scipy linprog simplex",
    "scipy linprog interior point",
)
START_SECONDS = 10
"""What a process may take to begin, beyond the limit."""
LIMIT = 120
ONE_THREAD = os.environ | dict.fromkeys(THREAD_LIMITS, "1")

HEADINGS = (
    *("prosumers", "solver", "seconds", "CPU", "building", "ours = 1", "MB", "solving"),
    *("growth", "iterations", "gap", "violation", "slope"),
)
LEGEND = """\
seconds: from the program's arrays to its solution. CPU: the same by the processor's clock. building: of it, what lays
out the arrays or the sparse matrix. MB: peak of the process. solving: what of it the call took. growth: of seconds and
of that memory, from the size above. HiGHS's QP method adds a small curvature of its own, which shows in its gap."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Family:
    """Communities of growing size, alike otherwise."""

    title: str
    solvers: tuple[str, ...]
    sizes: tuple[int, ...]
    zones: int = 1
    quadratic: bool = True


def families(most: int) -> list[Family]:
    sizes = tuple(size for size in SIZES if size <= most)
    small = tuple(size for size in sizes if size <= 1_000)
    return [
        # The general methods that need minutes for 100 prosumers have a size of their own.
        Family("quadratic costs, 1 zone", QP_SOLVERS, (10, *sizes)),
        Family("linear costs, 1 zone", LP_SOLVERS, sizes, quadratic=False),
        Family("quadratic costs, tree of 20 zones", QP_SOLVERS[:3], small, zones=20),
    ]


def solve_apart(task: Row, limit: float) -> Row:
    """What `dispatch_runner` says of a task, or an `error` if it takes longer than `limit` seconds."""
    command = [sys.executable, "-m", "benchmarks.dispatch_runner", json.dumps(task)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=limit + START_SECONDS, env=ONE_THREAD
        )
    except subprocess.TimeoutExpired:
        return {"error": f"not in {limit:.0f} s"}
    if done.returncode < 0:
        return {"error": f"crashed, {signal.Signals(-done.returncode).name}"}
    if done.returncode:
        return {"error": (done.stderr.strip().splitlines() or ["ended without a word"])[-1]}
    return json.loads(done.stdout)


def measure(family: Family, prosumers: int, solvers: tuple[str, ...], limit: float) -> dict[str, Row]:
    """The median run of each solver; they take turns, so that what else the machine does meets all of them."""
    runs: dict[str, list[Row]] = {solver: [] for solver in solvers}
    for _ in range(ROUNDS.get(prosumers, 1)):
        for solver in solvers:
            if not any("error" in run for run in runs[solver]):
                task = {"prosumers": prosumers, "zones": family.zones, "quadratic": family.quadratic}
                runs[solver].append(solve_apart({"solver": solver, **task}, limit))
    return {solver: typical(rows) for solver, rows in runs.items()}


def typical(rows: list[Row]) -> Row:
    """The run of median time, or the one that failed."""
    if "error" in rows[-1]:
        return rows[-1]
    middle = median(row["seconds"] for row in rows)
    return min(rows, key=lambda row: abs(row["seconds"] - middle))


def family_table(family: Family, limit: float) -> Table:
    """A solver that fails at one size isn't asked for ten times as many."""
    table = Table(title=f"A day in {SLOTS} slots, {family.title}", title_justify="left")
    for heading in HEADINGS:
        table.add_column(heading, justify="left" if heading == "solver" else "right")
    solvers, before = family.solvers, dict[str, Row]()
    for prosumers in family.sizes:
        rows = measure(family, prosumers, solvers, limit)
        for solver, row in rows.items():
            table.add_row(f"{prosumers:,}", solver, *cells(row, rows[OURS], before.get(solver)))
        table.add_section()
        solvers = tuple(solver for solver in solvers if solver == OURS or "error" not in rows[solver])
        before = rows
    return table


def cells(row: Row, ours: Row, before: Row | None) -> list[str]:
    if "error" in row:
        return [row["error"]]
    times = (f"{row[name]:.3f}" for name in ("seconds", "processor", "build"))
    ratio = f"{row['seconds'] / ours['seconds']:.2f}" if "seconds" in ours else ""
    memory = (f"{row[name]:.0f}" for name in ("memory", "above"))
    quality = (f"{row[name]:.0e}" for name in ("gap", "primal_residual", "dual_residual"))
    return [*times, ratio, *memory, growth(row, before), str(row["iterations"]), *quality]


def growth(row: Row, before: Row | None) -> str:
    """Of seconds and memory; next to no memory counts as 1 MB."""
    if before is None:
        return ""
    memory = row["above"] / max(before["above"], 1)
    return f"{row['seconds'] / before['seconds']:.1f}, {memory:.1f}"


def main() -> int:
    parser = argparse.ArgumentParser(description="Dispatch beside other solvers.")
    parser.add_argument("--limit", type=float, default=LIMIT, help="seconds that a solver may take")
    parser.add_argument("--most", type=int, default=max(SIZES), help="prosumers of the largest community")
    options = parser.parse_args()
    console = Console(width=160)
    console.print(f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores\n")
    for family in families(options.most):
        console.print(family_table(family, options.limit))
    console.print(LEGEND)
    return 0


if __name__ == "__main__":
    sys.exit(main())
