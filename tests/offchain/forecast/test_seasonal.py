import numpy as np
import pytest

from clearwatt.forecast.seasonal import likely_range, persistence, seven_day_mean


def week(*days: int) -> np.ndarray:
    """A history of one member and one slot."""
    return np.array(days).reshape(7, 1, 1)


@pytest.mark.parametrize(
    ("days", "mean"),
    [((7, 7, 7, 7, 7, 7, 7), 7), ((0, 0, 0, 0, 0, 0, 3), 0), ((0, 0, 0, 0, 0, 0, 4), 1)],
)
def test_seven_day_mean__positive_sums__nearest_wh(days, mean):
    assert seven_day_mean(week(*days)).item() == mean
    assert seven_day_mean(-week(*days)).item() == -mean


def test_seven_day_mean__several_members__slots_stay_apart():
    history = np.arange(7)[:, None, None] + np.array([[0, 100], [1000, -500]])
    assert seven_day_mean(history).tolist() == [[3, 103], [1003, -497]]


def test_seven_day_mean__six_days__refused():
    with pytest.raises(ValueError, match=r"must be \[7, members, slots\]"):
        seven_day_mean(np.zeros((6, 2, 96), dtype=int))


def test_likely_range__unordered_week__third_lowest_and_second_highest():
    low, high = likely_range(week(50, -10, 30, 0, 40, 20, 10))
    assert (low.item(), high.item()) == (10, 40)


def test_likely_range__int32_history__result_is_int64():
    low, high = likely_range(week(*range(7)).astype(np.int32))
    assert low.dtype == high.dtype == np.int64


def test_persistence__history__last_day():
    assert persistence(week(1, 2, 3, 4, 5, 6, -7)).item() == -7
