"""Sharing pro rata what is left at the price, to the last Wh (protocol, section 4)."""

import numpy as np

from clearwatt.clearing.curves import sort_order


def pro_rata(group: np.ndarray, volume: np.ndarray, filled: np.ndarray) -> np.ndarray:
    """Each step's part of what its group gets.

    group: [N] which steps share with each other. volume: [N] Wh > 0, in canonical order.
    filled: [G] Wh per group, 0 to the sum of its volumes. Returns [N] Wh:
    ``floor(S_i * F / Q) - floor(S_(i-1) * F / Q)``, S the group's running sum, Q its whole, F its `filled`.
    """
    offered = np.zeros_like(filled)
    np.add.at(offered, group, volume)
    share = np.where(filled[group] > 0, volume, 0)
    split = np.flatnonzero((share > 0) & (filled < offered)[group])
    split = split[sort_order(group[split])]
    if len(split):
        share[split] = _split(group[split], volume[split], filled, offered)
    return share


def _split(group: np.ndarray, volume: np.ndarray, filled: np.ndarray, offered: np.ndarray) -> np.ndarray:
    first = np.flatnonzero(np.diff(group, prepend=-1))
    total = np.cumsum(volume)
    running = total - np.repeat((total - volume)[first], np.diff(first, append=len(group)))
    dealt = _times_ratio(running, filled[group], offered[group])
    dealt_before = np.concatenate(([0], dealt[:-1]))
    dealt_before[first] = 0
    return dealt - dealt_before


def _times_ratio(value: np.ndarray, numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """``value * numerator // denominator`` exactly, though the product may not fit 64 bits."""
    if int(value.max()).bit_length() + int(numerator.max()).bit_length() < 64:
        return value * numerator // denominator
    exact = value.astype(object) * numerator.astype(object) // denominator.astype(object)
    return exact.astype(np.int64)
