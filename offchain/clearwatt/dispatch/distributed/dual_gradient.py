"""Dual gradient: the oldest way [1]_. Prices rise where energy lacks, members answer with their best response.

It needs strictly convex members for its schedule to converge and takes hundreds of rounds; it is here to
compare with. The step shrinks when the imbalance grows, and momentum is restarted then [2]_.

.. [1] H. Everett, "Generalized Lagrange multiplier method", Operations Research 11 (1963).
.. [2] B. O'Donoghue, E. Candes, "Adaptive restart for accelerated gradient schemes", Found. Comput. Math. 15 (2015).
"""

import time

import numpy as np

from clearwatt.dispatch.distributed import offers as closed_form
from clearwatt.dispatch.distributed.community import Community
from clearwatt.dispatch.distributed.coordinator import Coordinator
from clearwatt.dispatch.distributed.price_newton import Result
from clearwatt.dispatch.errors import NotConverged
from clearwatt.dispatch.program import Offers

TOLERANCE = 1e-4
MAX_ROUNDS = 5000
SHRINK, GROW = 0.5, 1.05


def solve(
    community: Community,
    coordinator: Coordinator,
    *,
    tolerance: float = TOLERANCE,
    max_rounds: int = MAX_ROUNDS,
    price: float | None = None,
) -> Result:
    """As `price_newton.solve`, for one zone and public offers with curvature or none. Raises NotConverged."""
    if community.zones > 1:
        raise NotConverged("the dual gradient method is for one zone")
    began = time.perf_counter()
    costs = community.offers.cost
    start = price if price is not None else float(costs.mean()) if costs.size else 0.0
    here = ahead = np.full((1, community.slots), start)
    step, speed, last = np.full(community.slots, np.nan), np.ones(community.slots), np.zeros(community.slots)
    for number in range(1, max_rounds + 1):
        imbalance, size = _imbalance(community, coordinator, ahead)
        residual = float(np.abs(imbalance).max() / size)
        if residual <= tolerance:
            return _result(coordinator, ahead, imbalance, residual, number, time.perf_counter() - began)
        if number == 1:
            step = 0.1 * max(abs(start), 0.1) / np.maximum(np.abs(imbalance), 1e-12)
        turned = imbalance * last < 0
        step = step * np.where(turned, SHRINK, GROW)
        speed = np.where(turned, 1.0, speed)
        faster = (1 + np.sqrt(1 + 4 * speed**2)) / 2
        there = ahead - step * imbalance
        ahead = there + np.where(turned, 0, (speed - 1) / faster) * (there - here)
        here, speed, last = there, faster, imbalance
    raise NotConverged(f"dual gradient: imbalance {residual:.1e} after {max_rounds} rounds")


def _imbalance(community: Community, coordinator: Coordinator, price: np.ndarray) -> tuple[np.ndarray, float]:
    """[T] what is too much at a price, and the size it is to be compared with."""
    net = coordinator.sums("best", price[:, None], community.slots)[0]
    size = 1 + float(np.abs(net).max(initial=0))
    offers: Offers = community.offers
    return net + community.fixed[0] + closed_form.best_response(offers, price[0]), size


def _result(
    coordinator: Coordinator,
    price: np.ndarray,
    imbalance: np.ndarray,
    residual: float,
    rounds: int,
    seconds: float,
) -> Result:
    nothing = np.zeros_like(price)
    return Result(
        zone_price=price,
        balance=imbalance[None],
        exports=nothing,
        imports=nothing,
        injection=np.zeros((0, price.shape[1])),
        cost=np.nan,
        gap=np.nan,
        residual=residual,
        rounds=rounds,
        seconds=seconds,
        faults=tuple(coordinator.faults),
    )
