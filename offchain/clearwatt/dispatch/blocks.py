"""What stores answer to prices, near a point: the algebra of one Newton step, for all of them at once.

Around a point, where ``w`` are the second derivatives of its own cost and barrier, a store solves

    minimise    w_up/2 * u^2 + w_down/2 * d^2 + w_state/2 * s^2 + linear terms - price * injection
    subject to  s[t] - retention * s[t-1] = up_gain * u[t] - down_gain * d[t]

With the controls eliminated what is left is a chain of states: each has its own stiffness, and neighbours
are joined by one of 1 / (up_gain^2/w_up + down_gain^2/w_down). The chain is factorised as one computes
the conductance of a ladder of resistors, and its inverse is written out entry by entry, both in sums and products of
positive numbers only. Nothing cancels, so the steps stay accurate where a linear program drives the
stiffnesses many orders of magnitude apart, which is where textbook elimination stalls.

Arrays are [T, B]; a store's home contributes its price and its cap (`newton`).
"""

from dataclasses import dataclass

import numpy as np

SLACK = 1e-9
"""How much each equation gives way to its multiplier within one step. The residual this leaves is made good by the
next step (a proximal method of multipliers), so the answer is exact, and a step stays bounded where equations
say the same thing twice or leave a variable no room."""

CHUNK = 512
"""Stores whose inverse chains are accumulated together: about what fits a processor's cache."""


@dataclass(frozen=True)
class Gains:
    """What does not change from step to step, in the layout's order: [B] each.

    charging: 1 where the controls are what is injected, 0 where the state is (``injecting`` the reverse).
    """

    up: np.ndarray
    down: np.ndarray
    retention: np.ndarray
    charging: np.ndarray
    injecting: np.ndarray


@dataclass(frozen=True)
class Controls:
    """The controls, eliminated: [T, B] each.

    stiffness: cost of one more unit of state change. pull: injection lost for one unit of it.
    own: response of the injection to the price while the state stays.
    """

    stiffness: np.ndarray
    pull: np.ndarray
    own: np.ndarray


def eliminate_controls(gains: Gains, up: np.ndarray, down: np.ndarray) -> Controls:
    """up, down: [T, B] 1/w of the controls, 0 where one is fixed."""
    compliance = gains.up**2 * up + gains.down**2 * down
    stiffness = 1 / (compliance + SLACK)
    pull = gains.charging * (gains.up * up + gains.down * down) * stiffness
    own = gains.charging * (gains.up - gains.down) ** 2 * up * down * stiffness
    return Controls(stiffness, pull, own)


class Chains:
    """The chains of states, factorised.

    gains: retention is used. own: [T, B] stiffness of each state by itself. between: [T, B] of each state
    to the one before it (the first: to the initial state).
    """

    def __init__(self, retention: np.ndarray, own: np.ndarray, between: np.ndarray) -> None:
        slots = len(own)
        self._retention, self._own, self._between = retention, own, between
        self._held = np.empty_like(own)  # stiffness that a state feels from itself and all before it
        self._pivot = np.empty_like(own)
        self._pass = np.zeros_like(own)  # share of a push that a state passes to the next
        squared = retention**2
        self._held[0] = own[0] + between[0]
        for slot in range(slots - 1):
            after = between[slot + 1]
            np.multiply(squared, after, out=self._pivot[slot])
            self._pivot[slot] += self._held[slot]
            np.divide(after, self._pivot[slot], out=self._pass[slot])
            np.multiply(self._pass[slot], self._held[slot], out=self._held[slot + 1])
            self._held[slot + 1] += own[slot + 1]
        self._pivot[-1] = self._held[-1]
        self._pass *= retention

    def solve(self, push: np.ndarray) -> np.ndarray:
        """States [T, B] that answer a push on each."""
        x = push.copy()
        for slot in range(1, len(x)):
            x[slot] += self._pass[slot - 1] * x[slot - 1]
        x /= self._pivot
        for slot in range(len(x) - 2, -1, -1):
            x[slot] += self._pass[slot] * x[slot + 1]
        return x

    def responses(self, pull: np.ndarray, inject: np.ndarray, zones: list[slice]) -> np.ndarray:
        """Sum over each zone's stores of d injection / d price through the states: [Z, T, T].

        pull: [T, B] injection lost per unit of state change. inject: [T, B] gained per unit of state; one
        of the two is 0. zones: the columns of each zone.
        """
        diagonal, start, end = self._factors(pull, inject)
        total = np.zeros((len(zones), len(pull), len(pull)))
        for zone, columns in enumerate(zones):
            for first in range(columns.start, columns.stop, CHUNK):
                chunk = slice(first, min(first + CHUNK, columns.stop))
                _accumulate(total[zone], start[:, chunk], self._pass[:, chunk], end[:, chunk])
            total[zone] += total[zone].T
            total[zone][np.diag_indices(len(pull))] = diagonal[:, columns].sum(axis=1)
        return total

    def _factors(self, pull: np.ndarray, inject: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The diagonal, and the two ends of the products that make the rest.

        Entry (t, j), t < j, is ``start[t] * pass[t] * ... * pass[j-2] * end[j]``.
        """
        after = self._from_after()
        inverse = 1 / (self._held + after)
        beyond = (self._own + after) * inverse
        passed, reach = np.ones_like(beyond), np.zeros_like(beyond)
        passed[1:] = self._held[:-1] / self._pivot[:-1]
        reach[1:] = self._retention / self._pivot[:-1]
        diagonal = pull**2 * (passed * inverse + self._retention * reach * beyond) + inject**2 * inverse
        end = -pull * reach * beyond
        end[1:] += inject[1:] * self._pass[:-1] * inverse[1:]
        return diagonal, pull * passed + inject, end

    def _from_after(self) -> np.ndarray:
        """Stiffness that each state feels from those after it."""
        after = np.zeros_like(self._own)
        squared = self._retention**2
        for slot in range(len(after) - 2, -1, -1):
            beyond, joint = self._own[slot + 1] + after[slot + 1], self._between[slot + 1]
            after[slot] = squared * joint * (beyond / (beyond + joint))
        return after


def _accumulate(total: np.ndarray, start: np.ndarray, passing: np.ndarray, end: np.ndarray) -> None:
    """Add the upper triangle of every store's inverse chain to total [T, T]."""
    running = np.empty_like(start)
    for slot in range(1, len(start)):
        running[slot - 1] = start[slot - 1]
        if slot > 1:
            running[: slot - 1] *= passing[slot - 2]
        total[:slot, slot] += running[:slot] @ end[slot]
