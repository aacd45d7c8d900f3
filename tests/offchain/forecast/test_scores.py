import numpy as np
import pytest

from clearwatt.forecast.scores import score


def test_score__known_errors__mean_absolute_bias_and_nrmse():
    scores = score(np.array([3, -4, 0, 0]), np.array([0, 0, 5, -5]))
    assert scores.mae_wh == pytest.approx(17 / 4)
    assert scores.bias_wh == pytest.approx(-1 / 4)
    assert scores.nrmse == pytest.approx(np.sqrt(75 / 4) / 2.5)


def test_score__nothing_measured__no_nrmse():
    assert score(np.array([1]), np.array([0])).nrmse is None


def test_score__different_shapes__refused():
    with pytest.raises(ValueError, match="can't be scored"):
        score(np.zeros(3), np.zeros(4))
