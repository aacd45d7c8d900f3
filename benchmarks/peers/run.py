"""Runs one peer's clearing on given steps, with the Python of the peers' own environment.

    run.py PEER STEPS.npz OUT.npz

STEPS holds `price` and `quantity` (positive = sell). OUT gets `filled` (same sign and order), the
`seconds` of the fastest clearing call and the peer's `version`. Building the peer's own objects from
the arrays is not timed.
"""

import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from importlib.metadata import version

import numpy as np

SECONDS_PER_PEER = 20
RUNS = 3


def fastest(prepare: Callable[[], Callable[[], object]]) -> tuple[float, object]:
    """Seconds of the fastest of up to `RUNS` calls, each on freshly prepared input, and its outcome."""
    best, outcome, begun = float("inf"), None, time.perf_counter()
    for _ in range(RUNS):
        call = prepare()
        start = time.perf_counter()
        outcome = call()
        best = min(best, time.perf_counter() - start)
        if time.perf_counter() - begun > SECONDS_PER_PEER:
            break
    return best, outcome


def assume(price: np.ndarray, quantity: np.ndarray) -> tuple[float, np.ndarray, str]:
    """assume-framework's pay-as-clear market."""
    from assume.common.market_objects import MarketConfig, MarketProduct
    from assume.markets.clearing_algorithms.simple import PayAsClearRole
    from dateutil.rrule import HOURLY, rrule

    start, hour = datetime(2030, 1, 1), timedelta(hours=1)
    opening = rrule(HOURLY, dtstart=start, until=start + 24 * hour)
    role = PayAsClearRole(MarketConfig(opening_hours=opening, market_products=[MarketProduct(hour, 1, hour)]))
    product = (start, start + hour, None)
    rows = list(enumerate(zip(price.tolist(), quantity.tolist(), strict=True)))

    def prepare() -> Callable[[], object]:
        orders = [
            {
                "start_time": product[0],
                "end_time": product[1],
                "only_hours": product[2],
                "bid_id": index,
                "price": limit,
                "volume": volume,
            }
            for index, (limit, volume) in rows
        ]
        return lambda: role.clear(orders, [product])

    seconds, (accepted, *_) = fastest(prepare)
    filled = np.zeros(len(price))
    for order in accepted:
        filled[order["bid_id"]] = order["accepted_volume"]
    return seconds, filled, f"assume-framework {version('assume-framework')}"


def muda(price: np.ndarray, quantity: np.ndarray) -> tuple[float, np.ndarray, str]:
    """pymarket's MUDA, its truthful multi-unit double auction; needs distinct prices."""
    import pymarket

    bids = pymarket.BidManager()
    for user, (limit, volume) in enumerate(zip(price.tolist(), quantity.tolist(), strict=True)):
        bids.add_bid(abs(volume), limit, user, volume < 0)

    def prepare() -> Callable[[], object]:
        frame, random = bids.get_df(), np.random.RandomState(0)
        return lambda: pymarket.muda(frame, random)

    seconds, (transactions, _) = fastest(prepare)
    filled = np.zeros(len(price))
    for _, row in transactions.get_df().iterrows():
        filled[int(row.bid)] += row.quantity * np.sign(quantity[int(row.bid)])
    return seconds, filled, f"pymarket {version('pymarket')}"


PEERS = {"assume": assume, "muda": muda}


def main() -> None:
    peer, source, target = sys.argv[1:]
    steps = np.load(source)
    seconds, filled, release = PEERS[peer](steps["price"], steps["quantity"])
    libraries = f"{release}, numpy {np.__version__}, pandas {version('pandas')}"
    np.savez(target, filled=filled, seconds=seconds, version=libraries)


if __name__ == "__main__":
    main()
