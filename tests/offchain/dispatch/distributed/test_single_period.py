"""One slot exactly: against the conditions of an optimum, and against the structured method."""

import time

import numpy as np
import pytest

from clearwatt.dispatch import structured
from clearwatt.dispatch.distributed.offers import best_response, nearest
from clearwatt.dispatch.distributed.single_period import clear
from clearwatt.dispatch.errors import Infeasible
from clearwatt.dispatch.program import Offers
from tests.offchain.dispatch.by_hand import offer, program

Arrays = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def draw(seed: int, count: int, *, coarse: bool) -> Arrays:
    """Low, high, cost, curvature; coarse: few different values, so that much is equal and some ranges are empty."""
    rng = np.random.default_rng(seed)
    if coarse:
        low, size = rng.integers(-3, 1, count).astype(float), rng.integers(0, 4, count)
        return low, low + size, rng.integers(-2, 3, count) / 10, rng.choice([0.0, 0.05, 0.1], count)
    low = rng.uniform(-3, 0, count)
    curvature = np.where(rng.random(count) < 0.7, rng.uniform(0.01, 0.3, count), 0.0)
    return low, low + rng.uniform(0, 4, count), rng.uniform(-0.1, 0.4, count), curvature


@pytest.mark.parametrize("coarse", [False, True])
@pytest.mark.parametrize("seed", range(60))
def test_clear__random_offers__nobody_would_change_anything(seed: int, coarse: bool) -> None:
    low, high, cost, curvature = draw(seed, 1 + seed % 17, coarse=coarse)
    demand = float(np.random.default_rng(seed).uniform(low.sum(), high.sum()))
    found = clear(low, high, cost, curvature, demand)
    x = found.injection
    assert x.sum() == pytest.approx(demand, abs=1e-10)
    assert (x >= low).all()
    assert (x <= high).all()
    gain = found.price - cost - curvature * x
    assert (np.where(x < high - 1e-12, gain, 0) <= 1e-10).all()
    assert (np.where(x > low + 1e-12, gain, 0) >= -1e-10).all()


def test_clear__range_of_prices__its_middle() -> None:
    found = clear(np.array([0.0, -2.0]), np.array([2.0, 0.0]), np.array([0.1, 0.3]), np.zeros(2))
    assert found.price == pytest.approx(0.2)
    assert found.injection == pytest.approx([2.0, -2.0])


def test_clear__equal_costs__share_in_proportion() -> None:
    found = clear(np.zeros(2), np.array([1.0, 3.0]), np.array([0.2, 0.2]), np.zeros(2), 2.0)
    assert found.price == pytest.approx(0.2)
    assert found.injection == pytest.approx([0.5, 1.5])


def test_clear__more_than_there_is__infeasible() -> None:
    with pytest.raises(Infeasible, match=r"0\.5 kWh"):
        clear(np.zeros(2), np.ones(2), np.zeros(2), np.ones(2), 2.5)


def test_clear__like_the_structured_method() -> None:
    low, high, cost, curvature = draw(5, 40, coarse=False)
    rows = [offer(*row[:3], curvature=row[3]) for row in zip(low, high, cost, curvature, strict=True)]
    central = structured.solve(program(1, offers=rows))
    found = clear(low, high, cost, curvature)
    assert found.price == pytest.approx(float(central.zone_price[0, 0]), abs=1e-6)
    assert found.injection == pytest.approx(central.injection[:, 0], abs=1e-4)


def test_clear__hundred_thousand_agents__well_under_a_second() -> None:
    arrays = draw(0, 100_000, coarse=False)
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        clear(*arrays)
        seconds.append(time.perf_counter() - began)
    assert min(seconds) < 0.5  # about 0.02 s on a machine of its own; a test machine may be busy


def offers_of(arrays: Arrays) -> Offers:
    low, high, cost, curvature = (np.stack([array, array[::-1]], axis=1) for array in arrays)
    high = np.maximum(low, high)
    return Offers(np.zeros(len(low), int), low, high, cost, curvature, np.zeros(len(low), bool))


@pytest.mark.parametrize("coarse", [False, True])
@pytest.mark.parametrize("seed", range(30))
def test_nearest__random_offers__marginal_cost_meets_the_penalty(seed: int, coarse: bool) -> None:
    rng = np.random.default_rng(seed)
    offers = offers_of(draw(seed, 1 + seed % 5, coarse=coarse))
    towards, weight = rng.normal(size=2) * 4, rng.uniform(0.1, 3, 2)
    net = nearest(offers, towards, weight)
    price, step = weight * (towards - net), 1e-9
    assert (net >= best_response(offers, price - step) - 1e-6).all()
    assert (net <= best_response(offers, price + step) + 1e-6).all()
