import numpy as np
import pytest

from clearwatt.dispatch.prices import Price, from_tick, to_tick, to_ticks
from clearwatt.units import Tick


@pytest.mark.parametrize(("price", "tick"), [(0.3, 30_000), (-0.05, -5000), (0.0000149, 1), (0.0, 0)])
def test_to_tick__of_a_price__is_the_nearest_tick(price: float, tick: int) -> None:
    assert to_tick(Price(price)) == tick
    assert to_ticks(np.array([[price]])).tolist() == [[tick]]


def test_from_tick__there_and_back__is_the_same_tick() -> None:
    assert all(to_tick(from_tick(Tick(tick))) == tick for tick in range(-8_388_608, 8_388_607, 7919))
