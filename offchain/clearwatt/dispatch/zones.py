"""The price rows of the tree: one block [T, T] per zone, joined along the lines slot by slot.

A zone is eliminated after its children and before its parent, so the factor has a block per zone and
nothing in between: time and memory grow with the number of zones, not with its cube.
"""

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from clearwatt.dispatch.layout import Links

JITTER = 1e-14
"""Added to the diagonal, relative to its largest entry, where rounding has eaten a pivot; grows a hundredfold per try."""


class ZoneFactor:
    """The factorised response of all zones' balances to all zones' prices.

    parent: int[Z]. blocks: [Z, T, T] d balance / d price without the lines; taken over and changed.
    links, freedom: the lines and 1/w of their flows, [T, K].
    """

    def __init__(self, parent: np.ndarray, blocks: np.ndarray, links: Links, freedom: np.ndarray) -> None:
        self._parent = parent
        slots = range(blocks.shape[1])
        self._joint = np.zeros((len(parent), blocks.shape[1]))
        for link, (lower, upper) in enumerate(zip(links.lower, links.upper, strict=True)):
            near, far, free = links.near[link], links.far[link], freedom[:, link]
            blocks[lower][slots, slots] += near**2 * free
            blocks[upper][slots, slots] += far**2 * free
            self._joint[lower] += near * far * free
        self._factors = [None] * len(parent)
        for zone in range(len(parent) - 1, -1, -1):
            self._factors[zone] = _factorise(blocks[zone])
            if zone:
                joint = self._joint[zone]
                passed = cho_solve(self._factors[zone], np.diag(joint), check_finite=False)
                blocks[parent[zone]] -= joint[:, None] * passed

    def solve(self, balance: np.ndarray) -> np.ndarray:
        """Prices [T, Z] that change the balances by [T, Z]."""
        rest, prices = balance.copy(), np.empty_like(balance)
        for zone in range(len(self._parent) - 1, 0, -1):
            passed = cho_solve(self._factors[zone], rest[:, zone], check_finite=False)
            rest[:, self._parent[zone]] -= self._joint[zone] * passed
        for zone, parent in enumerate(self._parent):
            own = rest[:, zone]
            if zone:
                own = own - self._joint[zone] * prices[:, parent]
            prices[:, zone] = cho_solve(self._factors[zone], own, check_finite=False)
        return prices


def _factorise(block: np.ndarray) -> tuple[np.ndarray, bool]:
    """The Cholesky factor of a block that is positive definite up to rounding."""
    size = range(len(block))
    jitter = JITTER * max(block.diagonal().max(initial=0), 1e-300)
    for _ in range(8):
        try:
            return cho_factor(block, lower=True, check_finite=False)
        except np.linalg.LinAlgError:
            block[size, size] += jitter
            jitter *= 100
    raise np.linalg.LinAlgError("the price rows are not positive definite")
