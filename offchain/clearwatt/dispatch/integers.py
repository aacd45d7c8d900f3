"""The decisions of a program that are whole: on or off, up or down, when to start.

Where they are fixed, a program without integers is left, and prices mean something again.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import csc_matrix

from clearwatt.dispatch.highs import Model
from clearwatt.dispatch.program import Program, Solution
from clearwatt.dispatch.sparse import Entry, SparseProgram, matrix_of

SAME = 1e-9
"""kWh; a store whose controls differ by no more is taken to use neither."""


@dataclass(frozen=True)
class Decisions:
    """What was decided.

    off: bool[U, T]; offers that may not run. no_up, no_down: bool[B, T]; controls that may not be used.
    starts: one slot per run.
    """

    off: np.ndarray
    no_up: np.ndarray
    no_down: np.ndarray
    starts: tuple[int, ...]


@dataclass(frozen=True)
class Mixed:
    """A program with its integers: columns of 0 or 1 beside those of the sparse program, rows for them below.

    on: int[k, 2] offer and slot of the first of these columns. charging: int[k, 2] store and slot of the next.
    starts: int[k, 2] run and slot of the last.
    """

    sparse: SparseProgram
    model: Model
    on: np.ndarray
    charging: np.ndarray
    starts: np.ndarray

    def decisions(self, x: np.ndarray) -> Decisions:
        """What the columns' values, whole but for rounding, decide."""
        program = self.sparse.program
        chosen = x[len(self.sparse.cost) :] > 0.5
        on, charging, started = np.split(chosen, np.cumsum([len(self.on), len(self.charging)]))
        off = np.zeros(program.offers.low.shape, bool)
        no_up, no_down = np.zeros((2, *program.stores.up_high.shape), bool)
        off[tuple(self.on.T)] = ~on
        no_up[tuple(self.charging.T)] = ~charging
        no_down[tuple(self.charging.T)] = charging
        return Decisions(off, no_up, no_down, tuple(self.starts[started, 1].tolist()))


def mixed(sparse: SparseProgram) -> Mixed:
    """The mixed-integer linear program; curvatures are left out."""
    program = sparse.program
    on, charging = np.argwhere(_needs_switch(program)), np.argwhere(_both_ways(program))
    starts = [(i, slot) for i, run in enumerate(program.runs) for slot in range(run.first, run.last + 1)]
    starts = np.array(starts, dtype=int).reshape(-1, 2)
    n, m = len(sparse.cost), len(sparse.rhs)
    of_on, of_charging, of_starts = _consecutive(n, len(on), len(charging), len(starts))
    switch, switch_low, switch_high = _switch_rows(sparse, m, of_on)
    either, either_low, either_high = _either_rows(sparse, m + len(switch_low), of_charging)
    first_run = m + len(switch_low) + len(either_low)
    runs = [(first_run + starts[:, 0], of_starts, 1.0), *_run_entries(sparse, starts, of_starts)]
    rows = first_run + len(program.runs)
    columns = n + len(on) + len(charging) + len(starts)
    added = matrix_of([*switch, *either, *runs], (rows, columns))
    matrix = sparse.matrix.copy()
    matrix.resize((rows, columns))
    ones = np.ones(len(program.runs))
    low, high = _bounds(sparse)
    model = Model(
        cost=np.concatenate([sparse.cost, np.zeros(columns - n)]),
        low=np.concatenate([low, np.zeros(columns - n)]),
        high=np.concatenate([high, np.ones(columns - n)]),
        whole=np.arange(columns) >= n,
        matrix=csc_matrix(matrix + added),
        row_low=np.concatenate([sparse.rhs, switch_low, either_low, ones]),
        row_high=np.concatenate([sparse.rhs, switch_high, either_high, ones]),
    )
    return Mixed(sparse, model, on, charging, starts)


def _consecutive(start: int, *counts: int) -> list[np.ndarray]:
    ends = start + np.cumsum((0, *counts))
    return [np.arange(ends[i], ends[i + 1]) for i in range(len(counts))]


Rows = tuple[list[Entry], np.ndarray, np.ndarray]
"""Entries of some rows, and the rows' least and largest value."""


def _switch_rows(sparse: SparseProgram, start: int, on: np.ndarray) -> Rows:
    """low * on <= injection <= high * on."""
    offers, where = sparse.program.offers, _needs_switch(sparse.program)
    least, most = _consecutive(start, len(on), len(on))
    injection = sparse.columns["injection"][where]
    entries: list[Entry] = [
        (least, injection, 1.0),
        (least, on, -offers.low[where]),
        (most, injection, 1.0),
        (most, on, -offers.high[where]),
    ]
    nothing, anything = np.zeros(len(on)), np.full(len(on), np.inf)
    return entries, np.concatenate([nothing, -anything]), np.concatenate([anything, nothing])


def _either_rows(sparse: SparseProgram, start: int, charging: np.ndarray) -> Rows:
    """up <= up_high * charging and down <= down_high * (1 - charging)."""
    stores, where = sparse.program.stores, _both_ways(sparse.program)
    rises, falls = _consecutive(start, len(charging), len(charging))
    up_high, down_high = stores.up_high[where], stores.down_high[where]
    entries: list[Entry] = [
        (rises, sparse.columns["up"][where], 1.0),
        (rises, charging, -up_high),
        (falls, sparse.columns["down"][where], 1.0),
        (falls, charging, down_high),
    ]
    return entries, np.full(2 * len(charging), -np.inf), np.concatenate([0 * up_high, down_high])


def _run_entries(sparse: SparseProgram, starts: np.ndarray, columns: np.ndarray) -> list[Entry]:
    """What a run withdraws behind its connection, for each slot it may start in."""
    entries: list[Entry] = []
    for (number, slot), column in zip(starts, columns, strict=True):
        run = sparse.program.runs[number]
        rows = sparse.behind[run.connection, slot : slot + len(run.profile)]
        entries.append((rows, column, -run.profile))
    return entries


def _bounds(sparse: SparseProgram) -> tuple[np.ndarray, np.ndarray]:
    """The bounds of the program's columns, those of on-off offers taking in 0."""
    low, high = sparse.low.copy(), sparse.high.copy()
    switched = sparse.columns["injection"][sparse.program.offers.on_off]
    low[switched], high[switched] = np.minimum(low[switched], 0), np.maximum(high[switched], 0)
    return low, high


def _both_ways(program: Program) -> np.ndarray:
    """bool[B, T]: exclusive stores in the slots where they could use either control."""
    stores = program.stores
    return stores.exclusive[:, None] & (stores.up_high > 0) & (stores.down_high > 0)


def _needs_switch(program: Program) -> np.ndarray:
    """bool[U, T]: on-off offers in the slots where 0 is not within their bounds anyway."""
    offers = program.offers
    return offers.on_off[:, None] & ((offers.low > 0) | (offers.high < 0))


def decided(program: Program, solution: Solution) -> Decisions:
    """The decisions that a solution stands for."""
    offers, exclusive = program.offers, program.stores.exclusive[:, None]
    least = np.where(offers.low > 0, offers.low, -offers.high)
    return Decisions(
        off=_needs_switch(program) & (np.abs(solution.injection) < least / 2),
        no_up=exclusive & (solution.up <= solution.down + SAME),
        no_down=exclusive & (solution.down <= solution.up + SAME),
        starts=solution.starts,
    )


def fix(program: Program, decisions: Decisions) -> Program:
    """The program that is left when the decisions are taken: no integers, runs are inelastic load."""
    offers, stores = program.offers, program.stores
    fixed = program.connections.fixed.copy()
    for run, start in zip(program.runs, decisions.starts, strict=True):
        fixed[run.connection, start : start + len(run.profile)] -= run.profile
    return Program(
        lines=program.lines,
        connections=replace(program.connections, fixed=fixed),
        offers=replace(
            offers,
            low=np.where(decisions.off, 0.0, offers.low),
            high=np.where(decisions.off, 0.0, offers.high),
            on_off=np.zeros_like(offers.on_off),
        ),
        stores=replace(
            stores,
            up_high=np.where(decisions.no_up, 0.0, stores.up_high),
            down_high=np.where(decisions.no_down, 0.0, stores.down_high),
            exclusive=np.zeros_like(stores.exclusive),
        ),
    )
