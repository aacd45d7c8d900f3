"""The price rows of the tree: one block [T, T] per zone, joined along the lines slot by slot.

A zone is eliminated after its children and before its parent, so the factor has a block per zone and
nothing in between: time and memory grow with the number of zones, not with its cube.
"""

import numpy as np
from scipy.linalg import cho_factor, cho_solve, solve_triangular

from clearwatt.dispatch.layout import Links

JITTER = 1e-14
"""Added to the diagonal, relative to its largest entry, where rounding has eaten a pivot; a hundredfold per try."""


ROUNDING = 1e-14
"""Added to what may cancel."""


class ZoneFactor:
    """The factorised response of all zones' balances to all zones' prices.

    parent: int[Z]. blocks: [Z, T, T] d balance / d price without the lines; taken over and changed.
    links, freedom: the lines and 1/w of their flows, [T, K].
    """

    def __init__(self, parent: np.ndarray, blocks: np.ndarray, links: Links, freedom: np.ndarray) -> None:
        self._parent = parent
        at_lower, at_upper, self._joint = _line_terms(len(parent), links, freedom)
        self._factors = [None] * len(parent)
        for zone in range(len(parent) - 1, -1, -1):
            block = blocks[zone]
            block[_diagonal(block)] += at_lower[zone]
            self._factors[zone] = _factorise(block)
            if zone:
                blocks[parent[zone]] += _seen_from_above(
                    self._factors[zone][0], at_lower[zone], at_upper[zone], self._joint[zone]
                )

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

    def follow(self, balance: np.ndarray, given: np.ndarray) -> np.ndarray:
        """Prices [T, Z] where those of the first zones are given: [T, n]; the others are leaves below them."""
        prices = np.empty_like(balance)
        first = given.shape[1]
        prices[:, :first] = given
        for zone in range(first, len(self._parent)):
            own = balance[:, zone] - self._joint[zone] * prices[:, self._parent[zone]]
            prices[:, zone] = cho_solve(self._factors[zone], own, check_finite=False)
        return prices


def _line_terms(zones: int, links: Links, freedom: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What each zone's links add to its own balance, to its parent's, and between the two: [Z, T] each.

    A zone has at most two links. To the parent's part only what is left of it once the zone's price has followed is
    given: near and far being proportional, as where nothing is lost, that is 0.
    """
    lower, upper, joint = (np.zeros((zones, len(freedom))) for _ in range(3))
    moment = np.zeros_like(lower)
    for link, zone in enumerate(links.lower):
        near, far, free = links.near[link], links.far[link], freedom[:, link]
        # The determinant of the two links' terms, a sum of squares: nothing cancels.
        upper[zone] += free * (far**2 * lower[zone] - 2 * near * far * joint[zone] + near**2 * moment[zone])
        lower[zone] += near**2 * free
        joint[zone] += near * far * free
        moment[zone] += far**2 * free
    return lower, np.divide(upper, lower, out=upper, where=lower > 0), joint


def _seen_from_above(
    factor: np.ndarray, lower: np.ndarray, left: np.ndarray, joint: np.ndarray
) -> np.ndarray:
    """The response [T, T] of a zone and its line to the price of the zone above.

    factor: of the zone's block with its line. The two are in series, (block^-1 + lower^-1)^-1, which is at
    least 0 however rounding falls.
    """
    half = solve_triangular(factor, np.diag(lower), lower=True, check_finite=False)
    seen = -half.T @ half
    seen[_diagonal(seen)] += lower * (1 + ROUNDING)
    ratio = joint / lower
    seen *= ratio[:, None] * ratio
    seen[_diagonal(seen)] += left
    return seen


def _diagonal(block: np.ndarray) -> tuple[np.ndarray, ...]:
    return np.diag_indices(len(block))


def _factorise(block: np.ndarray) -> tuple[np.ndarray, bool]:
    """The Cholesky factor of a block that is positive definite up to rounding."""
    jitter = JITTER * max(block.diagonal().max(initial=0), 1e-300)
    for _ in range(8):
        try:
            return cho_factor(block, lower=True, check_finite=False)
        except np.linalg.LinAlgError:
            block[_diagonal(block)] += jitter
            jitter *= 100
    raise np.linalg.LinAlgError("the price rows are not positive definite")
