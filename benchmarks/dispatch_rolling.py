"""How much a plan gains from being begun at the last one.

    .venv/bin/python -m benchmarks.dispatch_rolling [--most PROSUMERS]

A horizon of a day moves over two; at each move all forecasts of loads and PV change a little. The same window is
solved from nothing and from the last plan, one after the other and to the same tolerance.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from statistics import median

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.dispatch_cases import SLOTS, community
from clearwatt.dispatch import structured
from clearwatt.dispatch.certificate import Certificate, certify
from clearwatt.dispatch.program import Program, Solution
from clearwatt.dispatch.rolling import Rolling

SIZES = 100, 1_000
SLOTS_PER_MOVE = {"15 min": 1, "1 h": 4}
MOVES = {100: 12, 1_000: 4}
ERRORS = 0.0, 0.02
"""By how much forecasts change between plans, standard deviation relative to their size."""
TOLERANCE = 1e-6


def forecasts(prosumers: int, error: float, quadratic: bool) -> Iterator[Program]:
    """The same two days, known a little differently each time."""
    days = community(prosumers, slots=2 * SLOTS, days=2, quadratic=quadratic)
    rng = np.random.default_rng(prosumers)
    pv = slice(2, 2 + round(prosumers / 2))
    while True:
        load = days.connections.fixed * np.exp(error * rng.standard_normal(days.connections.fixed.shape))
        high = days.offers.high.copy()
        high[pv] *= np.exp(error * rng.standard_normal(high[pv].shape))
        connections = replace(days.connections, fixed=load)
        yield replace(days, connections=connections, offers=replace(days.offers, high=high))


def timed(call: Callable[[], Solution]) -> tuple[float, Solution]:
    started = time.perf_counter()
    found = call()
    return time.perf_counter() - started, found


def measure(prosumers: int, move: int, error: float, quadratic: bool) -> list[str]:
    known = forecasts(prosumers, error, quadratic)
    program = next(known)
    half = program.stores.high[:, 0] / 2
    rolling = Rolling(program, SLOTS, end=half, tolerance=TOLERANCE)
    rolling.solve()
    cold, warm, proofs = [], [], list[tuple[Certificate, Certificate]]()
    rounds = [], []
    for _ in range(MOVES[prosumers]):
        rolling.advance(move)
        rolling.revise(next(known))
        seen = rolling.window
        cold_seconds, from_nothing = timed(lambda seen=seen: structured.solve(seen, tolerance=TOLERANCE))
        warm_seconds, plan = timed(rolling.solve)
        cold.append(cold_seconds)
        warm.append(warm_seconds)
        rounds[0].append(from_nothing.iterations)
        rounds[1].append(plan.iterations)
        proofs.append((certify(seen, from_nothing), certify(seen, plan)))
    gaps = [max(proof[side].gap for proof in proofs) for side in (0, 1)]
    slopes = [max(proof[side].dual_residual for proof in proofs) for side in (0, 1)]
    lacking = [max(proof[side].primal_residual for proof in proofs) for side in (0, 1)]
    return [
        f"{median(cold):.3f}",
        f"{median(warm):.3f}",
        f"{median(cold) / median(warm):.2f}",
        "{:.0f} / {:.0f}".format(*map(median, rounds)),
        *("{:.0e} / {:.0e}".format(*pair) for pair in (gaps, lacking, slopes)),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description="Rolling dispatch: warm against cold.")
    parser.add_argument("--most", type=int, default=max(SIZES), help="prosumers of the largest community")
    most = parser.parse_args().most
    table = Table(
        title=f"Plans of {SLOTS} slots, from nothing (cold) and from the last (warm)", title_justify="left"
    )
    left = "prosumers", "costs", "move", "forecast error"
    right = "cold s", "warm s", "cold / warm", "iterations", "gap", "violation", "slope"
    for heading in left + right:
        table.add_column(heading, justify="left" if heading == "costs" else "right")
    for prosumers in (size for size in SIZES if size <= most):
        for quadratic in (True, False):
            for name, move in SLOTS_PER_MOVE.items():
                for error in ERRORS:
                    costs = "quadratic" if quadratic else "linear"
                    cells = measure(prosumers, move, error, quadratic)
                    table.add_row(f"{prosumers:,}", costs, name, f"{error:.0%}", *cells)
        table.add_section()
    console = Console(width=140)
    console.print(table)
    console.print(
        f"Medians of {MOVES[100]} moves ({MOVES[1_000]} of the larger community), gaps and residuals the worst"
    )
    console.print(f"of them, cold / warm; all solved to a tolerance of {TOLERANCE:.0e}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
