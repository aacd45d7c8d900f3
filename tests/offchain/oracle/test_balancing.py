import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearwatt.oracle.balancing import imbalance_prices

IMPORT, EXPORT = (30,), (8,)


@pytest.mark.parametrize(
    ("price", "deviations", "surplus", "shortage"),
    [
        (20, [50, -50], 20, 20),  # cancels out: nothing to buy or sell upstream
        (20, [100, 0], 8, 20),  # all of it sold upstream at the export price
        (20, [100, -50], 14, 20),  # half of it: each Wh too much bears half of the loss of 12
        (20, [-100, 0], 20, 30),
        (20, [-100, 50], 20, 25),
        (30, [-100, 50], 30, 30),  # upstream costs what the zone price is
        (20, [3, -2], 16, 20),  # 12 / 3, exactly
        (20, [5, -2], 12, 20),  # 36 / 5 rounded up, so that the balancing party never pays
    ],
)
def test_imbalance_prices__one_zone__levied_on_those_that_caused_it(price, deviations, surplus, shortage):
    prices, moved = np.array([[price]]), np.array(deviations)[:, None]
    assert [side.item() for side in imbalance_prices(prices, moved, [0, 0], IMPORT, EXPORT)] == [
        surplus,
        shortage,
    ]


@given(
    st.lists(st.tuples(st.integers(-200, 200), st.integers(0, 2)), min_size=1, max_size=8),
    st.tuples(*[st.integers(-50, 80)] * 3),
    st.integers(-20, 30),
    st.integers(0, 40),
)
def test_imbalance_prices__any_zones__balancing_party_never_pays_and_order_holds(
    moves, zone_prices, export, spread
):
    prices = np.array(zone_prices)[:, None]
    deviations = np.array([energy for energy, _ in moves])
    zones = [zone for _, zone in moves]
    surplus, shortage = imbalance_prices(prices, deviations[:, None], zones, (export + spread,), (export,))
    assert (surplus <= prices).all()
    assert (prices <= shortage).all()
    net = int(deviations.sum())
    paid = np.where(deviations > 0, surplus[zones, 0], shortage[zones, 0]) * deviations
    upstream = net * (export if net > 0 else export + spread)
    assert int(paid.sum()) <= upstream
