"""Imbalance prices by what the imbalance costs, so that nobody earns by another's bad forecast."""

from collections.abc import Sequence

import numpy as np


def imbalance_prices(
    prices: np.ndarray,
    deviations: np.ndarray,
    zones: Sequence[int],
    import_price: Sequence[int],
    export_price: Sequence[int],
) -> tuple[np.ndarray, np.ndarray]:
    """Surplus and shortage price at which the balancing party gets its cost back and, to a tick, no more.

    Opposite deviations cancel out; only what is left is bought or sold upstream, at the balancing party's own
    prices. What that costs beyond the zone prices is levied on the deviations that caused it; those that
    helped get the zone price.

    prices: int64[Z, S] ticks. deviations: int64[members, S] Wh, reading minus position.
    zones: one per member.
    import_price, export_price: ticks per slot, what the balancing party asks and pays upstream.
    Returns int64[Z, S] twice, with surplus <= prices <= shortage.
    """
    net = deviations.sum(axis=0)
    upstream = np.where(net > 0, export_price, import_price)
    cost = (deviations * prices[list(zones)]).sum(axis=0) - net * upstream
    long = net > 0
    causing = np.where(long, np.maximum(deviations, 0).sum(axis=0), np.maximum(-deviations, 0).sum(axis=0))
    levy = -(-np.maximum(cost, 0) // np.maximum(causing, 1))
    return prices - np.where(long, levy, 0), prices + np.where(long, 0, levy)
