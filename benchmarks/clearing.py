"""How long clearing takes: against numpy's own sort, by number of steps, and beside two peers.

    .venv/bin/python benchmarks/clearing.py

Every time is the fastest of several runs of one process on one core; all inputs come from fixed seeds.
The peers run in their own environment, `.venv-peers`, on the same arrays, in the same run.
"""

import math
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

from clearwatt.bids import Bid, Step
from clearwatt.clearing.auction import Auction
from clearwatt.clearing.tree import ClearedSteps, clear, clear_steps
from clearwatt.grid import Grid, Line

LOW, HIGH = -50_000, 400_000
"""Price bounds, ticks: -500 and 4000 currency/MWh, those of European day-ahead markets."""

SIZES = (1_000, 10_000, 100_000, 250_000, 500_000, 1_000_000)
PEER_SIZES = (100, 1_000, 10_000)
PEER_TIMEOUT = 120
PEER_PYTHON = Path(__file__).resolve().parents[1] / ".venv-peers" / "bin" / "python"
PEERS = {"assume": "assume-framework, pay-as-clear", "muda": "pymarket, MUDA"}


class Steps(NamedTuple):
    """Steps as int64 columns."""

    zone: np.ndarray
    slot: np.ndarray
    price: np.ndarray
    quantity: np.ndarray


def random_steps(rng: np.random.Generator, count: int, zones: int, slots: int) -> Steps:
    """Limits anywhere between the bounds; as many sells as buys."""
    quantity = rng.integers(1, 5_000, count) * rng.choice([-1, 1], count)
    zone, slot = rng.integers(zones, size=count), rng.integers(slots, size=count)
    return Steps(zone, slot, rng.integers(LOW, HIGH + 1, count), quantity)


def grid_of(rng: np.random.Generator, parents: list[int]) -> Grid:
    """Lines with fees, some of which the flows reach."""
    lines = [Line(*rng.integers(10**5, 10**7, 2).tolist(), fee=int(rng.integers(2_000))) for _ in parents[1:]]
    return Grid(tuple(parents), (Line(), *lines))


def grids(zones: int = 50) -> dict[str, Grid]:
    """One zone, and trees of many: a usual one and the two extremes."""
    rng = np.random.default_rng(50)
    tree = [-1, *(int(rng.integers(zone)) for zone in range(1, zones))]
    return {
        "1 zone": Grid.single(),
        f"{zones} zones, random tree": grid_of(rng, tree),
        f"{zones} zones, star": grid_of(rng, [-1] + [0] * (zones - 1)),
        f"{zones} zones, chain": grid_of(rng, list(range(-1, zones - 1))),
    }


def fastest(call: Callable[[], object], seconds: float = 1.0, runs: int = 200) -> float:
    """Seconds of the fastest run of as many as fit in `seconds`, at least 3."""
    call()
    times: list[float] = []
    while len(times) < 3 or (sum(times) < seconds and len(times) < runs):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


def clear_columns(grid: Grid, slots: int, steps: Steps) -> ClearedSteps:
    return clear_steps(grid, slots, LOW, HIGH, *steps)


def sort_keys(grid: Grid, steps: Steps) -> np.ndarray:
    """What a sort of the steps would sort: slot, zone, price and place packed in one int64."""
    count = len(steps.price)
    place = np.arange(count)
    return ((steps.slot * grid.zones + steps.zone) * (HIGH - LOW + 1) + steps.price - LOW) * count + place


def speed_table(slots: int) -> Table:
    title = f"{slots} slot{'s' if slots > 1 else ''}"
    table = Table(title=f"Clearing, {title}", title_justify="left")
    for heading in ("grid", "steps", "seconds", "1 zone = 1", "np.sort = 1", "growth/doubling", "N log N"):
        table.add_column(heading, justify="left" if heading == "grid" else "right")
    single: dict[int, float] = {}
    for name, grid in grids().items():
        previous: tuple[int, float] | None = None
        for count in SIZES:
            steps = random_steps(np.random.default_rng(count), count, grid.zones, slots)
            seconds = fastest(lambda grid=grid, steps=steps: clear_columns(grid, slots, steps))
            keys = sort_keys(grid, steps)
            sort = fastest(lambda keys=keys: np.sort(keys))
            relative = seconds / single.setdefault(count, seconds)
            ratios = f"{relative:.2f}", f"{seconds / sort:.1f}"
            growth = growth_columns(previous, count, seconds)
            table.add_row(name, f"{count:,}", f"{seconds:.5f}", *ratios, *growth)
            previous = count, seconds
        table.add_section()
    return table


def growth_columns(previous: tuple[int, float] | None, count: int, seconds: float) -> tuple[str, str]:
    """How the time grew per doubling of the steps, and how N log N would have."""
    if previous is None:
        return "", ""
    doublings = math.log2(count / previous[0])
    expected = count * math.log(count) / (previous[0] * math.log(previous[0]))
    return f"{(seconds / previous[1]) ** (1 / doublings):.2f}", f"{expected ** (1 / doublings):.2f}"


def auction_of(steps: Steps) -> Auction:
    """The same steps as bids of one step each, all in one zone and slot."""
    rows = zip(steps.price.tolist(), steps.quantity.tolist(), strict=True)
    bids = (Bid(f"0x{index:040x}", 0, (Step(0, *row),)) for index, row in enumerate(rows))
    return Auction(1, LOW, HIGH, Grid.single(), tuple(bids))


def run_peer(peer: str, steps: Steps) -> tuple[float, np.ndarray, str] | str:
    """Seconds, fills and versions of one peer's clearing; or why there are none."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "steps.npz", Path(folder) / "out.npz"
        np.savez(source, price=steps.price, quantity=steps.quantity)
        script = Path(__file__).resolve().parent / "peers" / "run.py"
        try:
            command = [PEER_PYTHON, script, peer, source, target]
            # In the folder that is thrown away, because a peer writes a log where it runs.
            subprocess.run(command, check=True, capture_output=True, timeout=PEER_TIMEOUT, cwd=folder)
        except subprocess.TimeoutExpired:
            return f"not done in {PEER_TIMEOUT} s"
        except subprocess.CalledProcessError as error:
            return error.stderr.decode().strip().splitlines()[-1]
        out = np.load(target)
        return float(out["seconds"]), out["filled"], str(out["version"])


def peer_table() -> tuple[Table, set[str]]:
    table = Table(title="Beside peers: 1 zone, 1 slot, all prices distinct", title_justify="left")
    headings = "steps", "clearing", "seconds", "clear_steps = 1", "clear = 1", "welfare", "sold - bought"
    for heading in headings:
        table.add_column(heading, justify="left" if heading == "clearing" else "right")
    versions: set[str] = set()
    for count in PEER_SIZES:
        versions |= add_peer_rows(table, peer_steps(count))
        table.add_section()
    return table, versions


def peer_steps(count: int) -> Steps:
    """MUDA needs distinct prices, none below 0."""
    rng = np.random.default_rng(count)
    return random_steps(rng, count, zones=1, slots=1)._replace(price=rng.permutation(HIGH)[:count])


def add_peer_rows(table: Table, steps: Steps) -> set[str]:
    """One row per clearing of the same steps; returns the versions of the peers that could do it."""
    optimum = clear_columns(Grid.single(), 1, steps).welfare
    columns = fastest(lambda: clear_columns(Grid.single(), 1, steps))
    objects = seconds_from_bids(steps)
    versions: set[str] = set()

    def add(name: str, seconds: float, welfare: float, surplus: float) -> None:
        ratios = f"{seconds / columns:,.1f}", f"{seconds / objects:,.2f}"
        table.add_row(count, name, f"{seconds:.5f}", *ratios, f"{welfare:.2%}", f"{surplus:.0f}")

    count = f"{len(steps.price):,}"
    add("clear_steps, from arrays", columns, 1, 0)
    add("clear, from bids", objects, 1, 0)
    for peer, name in PEERS.items():
        outcome = run_peer(peer, steps)
        if isinstance(outcome, str):
            table.add_row(count, name, outcome)
            continue
        seconds, filled, version = outcome
        versions.add(version)
        add(name, seconds, -float(np.dot(filled, steps.price)) / optimum, filled.sum())
    return versions


def seconds_from_bids(steps: Steps) -> float:
    """The time `clear` takes from bids to bids; the bids' columns are made anew in each run."""
    bids = auction_of(steps).bids
    return fastest(lambda: clear(Auction(1, LOW, HIGH, Grid.single(), bids)))


def main() -> int:
    console = Console(width=110)
    console.print(f"Python {platform.python_version()}, numpy {np.__version__}, {platform.machine()}\n")
    for slots in (1, 96):
        console.print(speed_table(slots))
    if not PEER_PYTHON.exists():
        print("The peers' environment .venv-peers is missing: `make bench` makes it.", file=sys.stderr)
        return 1
    table, versions = peer_table()
    console.print(table)
    for version in sorted(versions):
        console.print(f"compared with {version}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
