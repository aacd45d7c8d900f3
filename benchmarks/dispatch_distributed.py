"""How many rounds, and how long, dispatch takes when nobody shows their costs.

    .venv/bin/python -m benchmarks.dispatch_distributed

Answers are compared with those of the central method on the same program: the price's worst difference, and the cost's
relative one where the method knows it.
"""

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.dispatch_cases import SLOTS, community
from clearwatt.dispatch import structured
from clearwatt.dispatch.distributed import admm, dual_gradient, price_newton, single_period
from clearwatt.dispatch.distributed.community import split
from clearwatt.dispatch.distributed.coordinator import Rules
from clearwatt.dispatch.distributed.price_newton import Result
from clearwatt.dispatch.distributed.single_period import Cleared
from clearwatt.dispatch.errors import NotConverged
from clearwatt.dispatch.program import Program, no_stores
from clearwatt.dispatch.rolling import window

AGENTS = 1_000, 10_000, 100_000
RUNS = 7
PROSUMERS = 20, 100
MOST_ROUNDS = 300
MOMENTS = {"noon": 48, "evening": 76}
TOLERANCES = 1e-4, 1e-6
PROCESSES = 2
DAYS = (20, 1, True), (100, 1, True), (100, 1, False), (100, 5, True), (300, 1, True)
"""Prosumers, zones, and whether costs are quadratic."""
RETAILER = (0,)
"""The connection that everybody knows."""

REFERENCES = {"ADMM": admm.solve, "dual gradient": dual_gradient.solve, "price-Newton": price_newton.solve}


def table_of(title: str, *headings: str) -> Table:
    table = Table(title=title, title_justify="left")
    for heading in headings:
        table.add_column(heading, justify="right")
    return table


def offers_of(rng: np.random.Generator, count: int, linear: float) -> tuple[np.ndarray, ...]:
    """Bounds, costs and curvatures of agents that produce, consume or do both; a share of them at one cost."""
    low, high = -rng.uniform(0, 3, count), rng.uniform(0, 3, count)
    curvature = np.where(rng.random(count) < linear, 0, rng.uniform(0.02, 0.5, count))
    return low, high, rng.uniform(0.05, 0.4, count), curvature


def exact_table() -> Table:
    """One slot by the sorted bends of everybody's supply."""
    table = table_of(
        "One slot, exact price, one process", "agents", "constant costs", "seconds", "imbalance, kWh"
    )
    for count in AGENTS:
        for linear in (0.0, 0.5, 1.0):
            offers = offers_of(np.random.default_rng(count), count, linear)
            demand = 0.1 * count
            seconds, cleared = min(
                (
                    timed(lambda offers=offers, demand=demand: single_period.clear(*offers, demand))
                    for _ in range(RUNS)
                ),
                key=lambda run: run[0],
            )
            lacking = abs(float(cleared.injection.sum()) - demand)
            table.add_row(f"{count:,}", f"{linear:.0%}", f"{seconds:.4f}", f"{lacking:.0e}")
    return table


def timed(call: Callable[[], Cleared]) -> tuple[float, Cleared]:
    started = time.perf_counter()
    found = call()
    return time.perf_counter() - started, found


def moments(prosumers: int) -> Iterator[tuple[str, Program]]:
    """Single slots of the benchmark's day, batteries left out."""
    day = community(prosumers)
    for name, slot in MOMENTS.items():
        yield name, window(replace(day, stores=no_stores(SLOTS)), slot, 1)


def single_slot_table() -> Table:
    """Rounds of the methods that iterate; all messages stay in this process."""
    headings = (
        "prosumers",
        "slot",
        "method",
        *(f"rounds to {tolerance:.0e}" for tolerance in TOLERANCES),
        "price off by",
    )
    table = table_of("One slot, by messages under masks", *headings)
    for prosumers in PROSUMERS:
        for name, program in moments(prosumers):
            central = structured.solve(program)
            for method, solve in REFERENCES.items():
                rounds, price = rounds_of(program, solve)
                off = "" if price is None else f"{np.abs(price - central.zone_price).max():.0e}"
                table.add_row(f"{prosumers:,}", name, method, *rounds, off)
        table.add_section()
    return table


def rounds_of(program: Program, solve: Callable[..., Result]) -> tuple[list[str], np.ndarray | None]:
    """Rounds to each tolerance, and the prices at the last that was reached; a member at fault ends the benchmark."""
    rounds, price = [], None
    for tolerance in TOLERANCES:
        members = split(program, public=RETAILER)
        with price_newton.run(members, rules=Rules(policy="stop")) as coordinator:
            try:
                result = solve(members, coordinator, tolerance=tolerance, max_rounds=MOST_ROUNDS)
            except NotConverged:
                return rounds + [f"not in {MOST_ROUNDS}"] * (len(TOLERANCES) - len(rounds)), price
        rounds.append(str(result.rounds))
        price = result.zone_price
    return rounds, price


def day_table() -> Table:
    """Price-Newton over a day with batteries, the members spread over processes."""
    headings = (
        "prosumers",
        "zones",
        "costs",
        "rounds",
        "seconds",
        "central, s",
        "gap",
        "residual",
        "cost off by",
        "price",
    )
    table = table_of(f"{SLOTS} slots with batteries, price-Newton to 1e-06, {PROCESSES} processes", *headings)
    for prosumers, zones, quadratic in (
        (20, 1, True),
        (100, 1, True),
        (100, 1, False),
        (100, 5, True),
        (300, 1, True),
    ):
        program = community(prosumers, zones=zones, quadratic=quadratic)
        kind = f"{prosumers:,}", str(zones), "quadratic" if quadratic else "linear"
        table.add_row(*kind, *day_cells(program))
    return table


def day_cells(program: Program) -> list[str]:
    central = structured.solve(program)
    members = split(program, public=RETAILER)
    with price_newton.run(members, processes=PROCESSES, rules=Rules(policy="stop")) as coordinator:
        try:
            result = price_newton.solve(members, coordinator)
        except NotConverged:
            return [f"not in {price_newton.MAX_ROUNDS}"]
    cost = abs(result.cost - central.objective) / (1 + abs(central.objective))
    price = np.abs(result.zone_price - central.zone_price).max()
    times = f"{result.seconds:.2f}", f"{central.seconds:.2f}"
    return [
        str(result.rounds),
        *times,
        *(f"{value:.0e}" for value in (result.gap, result.residual, cost, price)),
    ]


def main() -> int:
    console = Console(width=130)
    for make in (exact_table, single_slot_table, day_table):
        console.print(make())
    return 0


if __name__ == "__main__":
    sys.exit(main())
