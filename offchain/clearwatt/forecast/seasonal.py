"""Forecasts that need nothing but the meter's own history."""

import numpy as np

HISTORY_DAYS = 7


def seven_day_mean(history: np.ndarray) -> np.ndarray:
    """The mean of the last seven days, slot by slot: habits repeat daily, a week holds each weekday once.

    history: int[7, members, slots] net Wh, the oldest day first. Returns int64[members, slots], rounded to
    the nearest Wh. Seven is odd, so no mean lies halfway and the rounding is the same on every machine.
    """
    _check_week(history)
    return (2 * history.sum(axis=0, dtype=np.int64) + HISTORY_DAYS) // (2 * HISTORY_DAYS)


def persistence(history: np.ndarray) -> np.ndarray:
    """Tomorrow is like today: the reference that a forecast has to beat.

    history: int[days, members, slots] net Wh, the oldest day first. Returns int64[members, slots].
    """
    return history[-1].astype(np.int64)


def likely_range(history: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What the last seven days make likely: the third lowest and the second highest net energy, slot by slot.

    The chance of less energy, by these seven days, is about 0 below the first (at most 2/7), about a half
    between them, and about 1 above the second (at least 6/7).

    history: int[7, members, slots] net Wh. Returns low and high, int64[members, slots] each.
    """
    _check_week(history)
    ordered = np.sort(history.astype(np.int64), axis=0)
    return ordered[2], ordered[5]


def _check_week(history: np.ndarray) -> None:
    if history.ndim != 3 or len(history) != HISTORY_DAYS:
        raise ValueError(f"history has shape {history.shape}; it must be [{HISTORY_DAYS}, members, slots]")
