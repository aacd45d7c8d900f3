"""A program as one sparse matrix, for solvers that know nothing of batteries or zones.

    minimise    cost @ x + x @ (curvature * x) / 2
    subject to  matrix @ x = rhs,  low <= x <= high

Columns: offers' injections, stores' ups, downs and states, capped connections' net injections, what enters the
lines below and above. Rows: states, capped connections, zones. A free connection has neither column nor row: what
is behind it stands in its zone's row. Runs and the other integers are not here but in `integers`.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.sparse import coo_matrix, csc_matrix, csr_matrix, diags

from clearwatt.dispatch.errors import DispatchError
from clearwatt.dispatch.program import Program, Solution, objective

Entry = tuple[np.ndarray, np.ndarray, np.ndarray | float]
"""Row numbers, column numbers and coefficients of one kind, of shapes that broadcast."""


@dataclass(frozen=True)
class SparseProgram:
    """The matrices of a program of T slots with n columns and m rows.

    columns: numbers of the columns by kind: injection [U, T], up, down, state [B, T], net [K, T] of the K capped
        connections, exports, imports [Z - 1, T] of the lines from zone 1 on.
    rows: numbers of the rows by kind: state [B, T], member [K, T], zone [Z, T].
    behind: [M, T] the row in which a kWh injected behind each connection counts.
    cost, curvature, low, high: [n]. matrix: [m, n]. rhs: [m]; one more in the row of a zone or member is one kWh
        more of load there, so the multipliers d objective / d rhs are prices.
    """

    program: Program
    columns: dict[str, np.ndarray]
    rows: dict[str, np.ndarray]
    behind: np.ndarray
    cost: np.ndarray
    curvature: np.ndarray
    matrix: csc_matrix
    rhs: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @cached_property
    def hessian(self) -> csc_matrix:
        """[n, n] diagonal."""
        return diags(self.curvature, format="csc")

    def solution(
        self, x: np.ndarray, multipliers: np.ndarray, *, solver: str, iterations: int, seconds: float
    ) -> Solution:
        """What a solver found, in the program's shapes.

        x: [n]. multipliers: [m] d objective / d rhs.
        """
        program = self.program
        parts = {kind: x[numbers] for kind, numbers in self.columns.items()}
        zone_price = multipliers[self.rows["zone"]]
        member_price = zone_price[program.connections.zone]
        capped = program.connections.capped
        member_price[capped] = multipliers[self.rows["member"]]
        net = program.connections.fixed + behind_connections(program, parts)
        net[capped] = parts["net"]
        exports, imports = self._one_way(parts["exports"], parts["imports"])
        found = Solution(
            injection=parts["injection"],
            up=parts["up"],
            down=parts["down"],
            state=parts["state"],
            net=net,
            exports=exports,
            imports=imports,
            zone_price=zone_price,
            member_price=member_price,
            state_value=-multipliers[self.rows["state"]],
            starts=(),
            objective=0.0,
            solver=solver,
            iterations=iterations,
            seconds=seconds,
        )
        return replace(found, objective=objective(program, found))

    def _one_way(self, exports: np.ndarray, imports: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """[Z, T] each, of all lines. What goes round in circles on a line without loss, for nothing, is taken off."""
        lossless = self.program.lines.loss[1:, None] == 0
        circle = np.where(lossless, np.minimum(exports, imports), 0)
        line_0 = np.zeros((1, self.program.slots))
        return np.concatenate([line_0, exports - circle]), np.concatenate([line_0, imports - circle])


def behind_connections(program: Program, parts: dict[str, np.ndarray]) -> np.ndarray:
    """[M, T] what the offers and stores behind each connection inject.

    parts: injection [U, T] and up, down, state [B, T].
    """
    stores = program.stores
    members = len(program.connections.zone)
    of_stores = np.where(stores.state_injects[:, None], parts["state"], parts["down"] - parts["up"])
    return (
        incidence(program.offers.connection, members) @ parts["injection"]
        + incidence(stores.connection, members) @ of_stores
    )


def incidence(group: np.ndarray, groups: int) -> csr_matrix:
    """[groups, n] with a 1 where the column belongs to the row's group; its products are sums by group."""
    n = len(group)
    return csr_matrix((np.ones(n), (group, np.arange(n))), shape=(groups, n))


def assemble(program: Program) -> SparseProgram:
    """The matrices of a program. Its integers, if any, are left out: loads that run their course too.

    Raises `DispatchError` where a number is missing; solvers take what is not a number for many things.
    """
    columns, n = _numbers(_column_counts(program), program.slots)
    rows, m = _numbers(_row_counts(program), program.slots)
    behind = rows["zone"][program.connections.zone]
    behind[program.connections.capped] = rows["member"]
    cost, curvature, low, high = _boxes(program)
    matrix, rhs = matrix_of(_entries(program, columns, rows, behind), (m, n)), _rhs(program, rows, m)
    finite = all(np.isfinite(numbers).all() for numbers in (cost, curvature, matrix.data, rhs))
    if not finite or np.isnan(low).any() or np.isnan(high).any():
        raise DispatchError("A cost, a limit or a quantity of the dispatch is not a number.")
    return SparseProgram(
        program=program,
        columns=columns,
        rows=rows,
        behind=behind,
        cost=cost,
        curvature=curvature,
        matrix=matrix,
        rhs=rhs,
        low=low,
        high=high,
    )


def matrix_of(entries: list[Entry], shape: tuple[int, int]) -> csc_matrix:
    """The sparse matrix of entries of several kinds; those that are 0 are dropped."""
    spread = [np.broadcast_arrays(*entry) for entry in entries]
    row, column, value = (np.concatenate([part[i].ravel() for part in spread]) for i in range(3))
    there = value != 0
    return coo_matrix((value[there], (row[there], column[there])), shape=shape).tocsc()


def _column_counts(program: Program) -> dict[str, int]:
    stores, lines = len(program.stores.connection), program.zones - 1
    capped = int(program.connections.capped.sum())
    return {
        "injection": len(program.offers.connection),
        "up": stores,
        "down": stores,
        "state": stores,
        "net": capped,
        "exports": lines,
        "imports": lines,
    }


def _row_counts(program: Program) -> dict[str, int]:
    capped = int(program.connections.capped.sum())
    return {"state": len(program.stores.connection), "member": capped, "zone": program.zones}


def _numbers(counts: dict[str, int], slots: int) -> tuple[dict[str, np.ndarray], int]:
    numbers, start = {}, 0
    for kind, count in counts.items():
        # 32 bits are what every solver's matrices are indexed by.
        numbers[kind] = np.arange(start, start + count * slots, dtype=np.int32).reshape(count, slots)
        start += count * slots
    return numbers, start


def _boxes(program: Program) -> tuple[np.ndarray, ...]:
    """Cost, curvature and bounds of all columns, [n] each."""
    offers, stores, lines, capped = program.offers, program.stores, program.lines, program.connections.capped
    net = program.connections
    zero_stores = np.zeros_like(stores.up_high)
    zero_lines = np.zeros_like(lines.fee[1:])
    kinds = (
        (offers.cost, offers.curvature, offers.low, offers.high),
        (stores.up_cost, stores.up_curvature, zero_stores, stores.up_high),
        (stores.down_cost, stores.down_curvature, zero_stores, stores.down_high),
        (stores.cost, stores.curvature, stores.low, stores.high),
        (net.cost[capped], net.curvature[capped], net.low[capped], net.high[capped]),
        (lines.fee[1:], zero_lines, zero_lines, lines.export_limit[1:]),
        (lines.fee[1:], zero_lines, zero_lines, lines.import_limit[1:]),
    )
    return tuple(np.concatenate([kind[part].ravel() for kind in kinds]) for part in range(4))


def _entries(
    program: Program, columns: dict[str, np.ndarray], rows: dict[str, np.ndarray], behind: np.ndarray
) -> list[Entry]:
    entries: list[Entry] = [(behind[program.offers.connection], columns["injection"], 1.0)]
    entries += _store_entries(program, columns, rows["state"], behind)
    zone_of_capped = program.connections.zone[program.connections.capped]
    entries += [
        (rows["member"], columns["net"], -1.0),
        (rows["zone"][zone_of_capped], columns["net"], 1.0),
    ]
    arriving = 1 - program.lines.loss[1:, None]
    lower, upper = rows["zone"][1:], rows["zone"][program.lines.parent[1:]]
    entries += [
        (lower, columns["exports"], -1.0),
        (upper, columns["exports"], arriving),
        (lower, columns["imports"], arriving),
        (upper, columns["imports"], -1.0),
    ]
    return entries


def _store_entries(
    program: Program, columns: dict[str, np.ndarray], rows: np.ndarray, behind: np.ndarray
) -> list[Entry]:
    stores = program.stores
    up, down, state = columns["up"], columns["down"], columns["state"]
    by_state = stores.state_injects
    by_controls = ~by_state
    at = behind[stores.connection]
    return [
        (rows, state, 1.0),
        (rows[:, 1:], state[:, :-1], -stores.retention[:, None]),
        (rows, up, -stores.up_gain[:, None]),
        (rows, down, stores.down_gain[:, None]),
        (at[by_controls], up[by_controls], -1.0),
        (at[by_controls], down[by_controls], 1.0),
        (at[by_state], state[by_state], 1.0),
    ]


def _rhs(program: Program, rows: dict[str, np.ndarray], count: int) -> np.ndarray:
    rhs = np.zeros(count)
    stores, connections = program.stores, program.connections
    drift = stores.drift.copy()
    drift[:, 0] += stores.retention * stores.initial
    rhs[rows["state"]] = drift
    capped = connections.capped
    rhs[rows["member"]] = -connections.fixed[capped]
    free = incidence(connections.zone[~capped], program.zones) @ connections.fixed[~capped]
    rhs[rows["zone"]] = -free
    return rhs
