"""Dispatch over a horizon that moves on with time, each plan begun from the last one.

rolling = Rolling(program, horizon=96)
while not rolling.ended:
    plan = rolling.solve()
    ...                     # the plan's first slots are carried out
    rolling.advance(4)      # an hour later; what is known by then goes to revise() and advance(state=...)
"""

import logging
from dataclasses import fields, replace
from typing import TypeVar

import numpy as np

from clearwatt.dispatch import structured
from clearwatt.dispatch.errors import DispatchError, NotConverged
from clearwatt.dispatch.program import Program, Solution

log = logging.getLogger(__name__)

Part = TypeVar("Part")


def window(program: Program, first: int, slots: int, initial: np.ndarray | None = None) -> Program:
    """The slots from `first` on of a program without runs; its arrays are views of the program's.

    initial: [B] the stores' states before the first of them, by default the program's own, which are those before
        slot 0.
    """
    if program.runs:
        raise DispatchError("A window of time would cut a load's run in two; take a program without runs.")
    last = first + slots
    if not 0 <= first < last <= program.slots:
        raise DispatchError(f"Slots {first} to {last - 1} are not all in a program of {program.slots} slots.")
    stores = _cut(program.stores, first, last)
    if initial is not None:
        stores = replace(stores, initial=initial)
    parts = (_cut(part, first, last) for part in (program.lines, program.connections, program.offers))
    return Program(*parts, stores)


def _cut(part: Part, first: int, last: int) -> Part:
    """Every array of one row per slot has its slots in the second dimension."""
    parts = {field.name: getattr(part, field.name) for field in fields(part)}
    return replace(
        part, **{name: array[:, first:last] for name, array in parts.items() if np.ndim(array) == 2}
    )


class Rolling:
    """Plans of up to `horizon` slots ahead over a long program, which may be revised as time goes by.

    program: what is known now of all slots. first: the slot at which the next plan begins. state: [B] before it.
    """

    def __init__(
        self,
        program: Program,
        horizon: int,
        *,
        end: np.ndarray | None = None,
        tolerance: float = structured.TOLERANCE,
    ) -> None:
        """end: [B] what the states must be at least where a plan ends before the program does; without it a plan
        uses up what its stores hold, since nothing after its end is worth anything to it.

        Raises DispatchError if the program has integers, which no plan can be begun from.
        """
        if program.has_integers:
            raise DispatchError("Rolling dispatch takes no whole decisions: on or off, or when to start.")
        if horizon < 1:
            raise DispatchError(f"A horizon of {horizon} slots has nothing to plan; at least 1 is needed.")
        self.program, self.horizon, self.end, self.tolerance = program, horizon, end, tolerance
        self.first, self.state = 0, program.stores.initial
        self.plan: Solution | None = None
        self._start: structured.Start | None = None

    @property
    def ended(self) -> bool:
        """Whether every slot of the program has passed."""
        return self.first >= self.program.slots

    @property
    def window(self) -> Program:
        """What the next plan is made for."""
        slots = min(self.horizon, self.program.slots - self.first)
        seen = window(self.program, self.first, slots, self.state)
        if self.end is None or self.first + slots == self.program.slots:
            return seen
        low = seen.stores.low.copy()
        low[:, -1] = np.maximum(low[:, -1], self.end)
        return replace(seen, stores=replace(seen.stores, low=low))

    def solve(self) -> Solution:
        """The best plan from now on. Raises as `structured.solve` does."""
        seen = self.window
        if self._start is not None:
            try:
                return self._keep(structured.solve(seen, start=self._start, tolerance=self.tolerance))
            except NotConverged as error:
                log.warning("The last plan was no good beginning, so this one begins from nothing: %s", error)
        return self._keep(structured.solve(seen, tolerance=self.tolerance))

    def _keep(self, plan: Solution) -> Solution:
        self.plan, self._start = plan, structured.Start(plan)
        return plan

    def revise(self, program: Program) -> None:
        """A better forecast: a program of the same members, assets and slots as the first."""
        if _shape(program) != _shape(self.program):
            raise DispatchError(
                "A revised program must have the members, assets and slots of the one it replaces."
            )
        self.program = program

    def advance(self, slots: int = 1, state: np.ndarray | None = None) -> None:
        """Time goes by.

        state: [B] what the stores hold by now, by default what the plan meant them to.
        """
        if self.plan is None or not 1 <= slots <= self.plan.state.shape[1]:
            raise DispatchError(f"There is no plan for the next {slots} slots to be carried out.")
        self.state = self.plan.state[:, slots - 1] if state is None else state
        self.first += slots
        # Towards the program's end the windows get shorter, and what began them too.
        left = min(self.plan.state.shape[1], self.program.slots - self.first)
        self._start = structured.Start(_cut(structured.Start(self.plan).shifted(slots).solution, 0, left))
        self.plan = None


def _shape(program: Program) -> tuple[int, ...]:
    return (
        program.slots,
        program.zones,
        *(
            len(part)
            for part in (program.connections.zone, program.offers.connection, program.stores.connection)
        ),
    )
