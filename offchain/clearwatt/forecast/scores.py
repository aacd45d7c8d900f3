"""How good a forecast was. The only floats here are scores, which people read and nothing computes with."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Scores:
    """The usual three.

    mae_wh: mean absolute error, Wh per slot.
    bias_wh: mean of forecast minus measured, Wh per slot; positive = too much injection foreseen.
    nrmse: root of the mean squared error over the mean absolute measured value; None where that is 0.
    """

    mae_wh: float
    bias_wh: float
    nrmse: float | None


def score(forecast: np.ndarray, measured: np.ndarray) -> Scores:
    """Scores of a forecast over all its entries; two int arrays of the same shape, Wh."""
    if forecast.shape != measured.shape or not forecast.size:
        raise ValueError(f"a forecast of shape {forecast.shape} can't be scored against {measured.shape}")
    error = forecast.astype(np.int64) - measured
    rmse = float(np.sqrt(np.mean(np.square(error, dtype=np.float64))))
    scale = float(np.abs(measured).mean())
    return Scores(float(np.abs(error).mean()), float(error.mean()), rmse / scale if scale else None)
