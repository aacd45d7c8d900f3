"""What a cleared auction left everybody with, and what deviating from it costs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearwatt.chain import codec
from clearwatt.oracle.positions import balancing_limits, imbalance_of, positions_of
from tests.offchain.oracle.markets import CONSUMER, EXPORT, IMPORT, PRODUCER, RETAILER, RULES, cleared

VIEW = cleared()
PRICES = [15_000, 15_000]
KEPT = {PRODUCER: (500, 500), CONSUMER: (-500, -500)}


def prices(readings: dict[str, tuple[int, ...]]) -> tuple[list[int], list[int]]:
    surplus, shortage = codec.unpack_imbalance(imbalance_of(VIEW, RULES, readings), 1, 2)
    return surplus[0].tolist(), shortage[0].tolist()


def test_positions_of__cleared__what_was_traded():
    fills = {member: position.fills for member, position in positions_of(VIEW, RULES).items()}
    assert fills == {RETAILER: (0, 0), **KEPT}


def test_balancing_limits__the_retailers_own_bid__and_the_markets_price_where_it_says_nothing():
    assert balancing_limits(VIEW, RULES, PRICES) == ([IMPORT, IMPORT], [EXPORT, PRICES[1]])


def test_balancing_limits__no_bid_of_the_balancing_party__the_markets_prices():
    view = cleared()
    del view.bids[RETAILER]
    assert balancing_limits(view, RULES, PRICES) == (PRICES, PRICES)


@pytest.mark.parametrize("readings", [{}, KEPT, {PRODUCER: (600, 400), CONSUMER: (-600, -400)}])
def test_imbalance_of__balanced_or_nothing_known__the_markets_own_prices(readings):
    assert prices(readings) == (PRICES, PRICES)


def test_imbalance_of__too_much_and_too_little__at_the_retailers_export_and_import():
    assert prices({PRODUCER: (600, 400)}) == ([EXPORT, PRICES[1]], [PRICES[0], IMPORT])


def test_imbalance_of__the_balancing_partys_own_deviation__costs_nobody_anything():
    assert prices({RETAILER: (1_000, -1_000)}) == (PRICES, PRICES)


def test_imbalance_of__beyond_the_markets_bounds__clipped_to_them():
    rules = RULES.__class__(**{**vars(RULES), "max_price": 20_000})
    view = cleared()
    shortage = codec.unpack_imbalance(imbalance_of(view, rules, {PRODUCER: (0, 0)}), 1, 2)[1]
    assert shortage.tolist() == [[20_000, 20_000]]


@given(
    st.dictionaries(st.sampled_from([RETAILER, PRODUCER, CONSUMER]), st.tuples(*[st.integers(-999, 999)] * 2))
)
def test_imbalance_of__any_readings__the_same_in_whatever_order_they_came(readings):
    assert imbalance_of(VIEW, RULES, readings) == imbalance_of(VIEW, RULES, dict(reversed(readings.items())))
