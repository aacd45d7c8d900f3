"""The tree solver against an LP, on random small trees and larger ones, and the cases with a name."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
from scipy.optimize import linprog
from scipy.sparse import coo_array, hstack

from clearwatt.bids import Bid, Step
from clearwatt.clearing import tree
from clearwatt.clearing.auction import Auction, Result, StepTable
from clearwatt.clearing.tree import ClearedSteps, ClearingError, clear, clear_steps
from clearwatt.grid import NO_LIMIT, Grid, Line
from clearwatt.units import INT24_MAX, INT24_MIN, INT32_MAX
from tests.offchain.clearing.auctions import random_auction

PRODUCER, OTHER_PRODUCER = f"0x{1:040x}", f"0x{2:040x}"
CONSUMER, OTHER_CONSUMER = f"0x{3:040x}", f"0x{4:040x}"
SINGLE = Grid.single()


def auction_of(*bids: Bid, grid: Grid = SINGLE, low: int = -1000, high: int = 1000) -> Auction:
    return Auction(1, low, high, grid, bids)


def bid(member: str, *steps: tuple[int, int], zone: int = 0) -> Bid:
    """Steps as (price, quantity), all in slot 0."""
    return Bid(member, zone, tuple(Step(0, price, quantity) for price, quantity in steps))


def feeder(export_limit: int = NO_LIMIT, import_limit: int = NO_LIMIT, fee: int = 0) -> Grid:
    """The upstream connection and one zone below it."""
    return Grid((-1, 0), (Line(), Line(export_limit, import_limit, fee)))


def random_auctions(seed: int, count: int, **sizes: int) -> Iterator[Auction]:
    rng = np.random.default_rng(seed)
    return (random_auction(rng, **sizes) for _ in range(count))


def columns(auction: Auction) -> ClearedSteps:
    return clear_columns(auction, auction.steps)


def clear_columns(auction: Auction, steps: StepTable) -> ClearedSteps:
    bounds = auction.slots, auction.min_price, auction.max_price
    return clear_steps(auction.grid, *bounds, steps.zone, steps.slot, steps.price, steps.quantity)


# ---------------------------------------------------------------- the LP


def lp_welfare(auction: Auction) -> int:
    """The optimum by HiGHS: its solution, which is integral, valued in integers."""
    steps, grid, slots = auction.steps, auction.grid, auction.slots
    lines = [(zone, slot) for zone in range(1, grid.zones) for slot in range(slots)]
    if not len(steps):
        return 0
    sign = np.sign(steps.quantity)
    cells = grid.zones * slots
    cell = steps.zone * slots + steps.slot
    injected = coo_array((sign, (cell, np.arange(len(steps)))), (cells, len(steps)))
    towards = coo_array((cells, len(lines))).tolil()
    for column, (zone, slot) in enumerate(lines):
        towards[zone * slots + slot, column] -= 1
        towards[grid.parents[zone] * slots + slot, column] += 1
    fees = np.array([grid.lines[zone].fee for zone, _ in lines], dtype=np.int64)
    cost = np.concatenate([sign * steps.price, fees, fees])
    bounds = [(0, abs(quantity)) for quantity in steps.quantity.tolist()]
    for limit in ("export_limit", "import_limit"):
        limits = (getattr(grid.lines[zone], limit) for zone, _ in lines)
        bounds += [(0, None if most == NO_LIMIT else most) for most in limits]
    balance = hstack([injected, towards, -towards]).tocsr()
    solved = linprog(cost, A_eq=balance, b_eq=np.zeros(cells), bounds=bounds)
    assert solved.status == 0
    return -sum(int(price) * round(amount) for price, amount in zip(cost, solved.x, strict=True))


def lp_price_ranges(auction: Auction, slot: int, welfare: int) -> list[tuple[int, int]]:
    """Lowest and highest price of each zone over all optimal solutions of the slot's dual LP.

    The dual: prices, and for every step and line direction a surplus >= 0 that is not less than what a
    unit of it earns at these prices; the surpluses, times what they are earned on, sum up to the welfare.
    """
    rows, zones = _earnings(auction, slot), auction.grid.zones
    matrix = np.zeros((len(rows) + 1, zones + len(rows)))
    for index, (earned, _, amount) in enumerate(rows):
        for zone, sign in earned.items():
            matrix[index, zone] = sign
        matrix[index, zones + index] = -1
        matrix[-1, zones + index] = 0 if amount == NO_LIMIT else amount
    bounds = [(auction.min_price, auction.max_price)] * zones
    bounds += [(0, 0 if amount == NO_LIMIT else None) for _, _, amount in rows]
    right = np.array([*(cost for _, cost, _ in rows), welfare + 1e-4])
    low = [_extreme_price(zone, 1, matrix, right, bounds) for zone in range(zones)]
    high = [_extreme_price(zone, -1, matrix, right, bounds) for zone in range(zones)]
    return list(zip(low, high, strict=True))


def _earnings(auction: Auction, slot: int) -> list[tuple[dict[int, int], int, int]]:
    """Steps and line directions: what a unit earns (by zone's price), what it costs, how much there is."""
    steps, grid = auction.steps, auction.grid
    rows = []
    for step in np.flatnonzero(steps.slot == slot).tolist():
        sign = int(np.sign(steps.quantity[step]))
        cost, amount = sign * int(steps.price[step]), abs(int(steps.quantity[step]))
        rows.append(({int(steps.zone[step]): sign}, cost, amount))
    for zone in range(1, grid.zones):
        line, parent = grid.lines[zone], grid.parents[zone]
        rows.append(({parent: 1, zone: -1}, line.fee, line.export_limit))
        rows.append(({parent: -1, zone: 1}, line.fee, line.import_limit))
    return rows


def _extreme_price(zone: int, sign: int, matrix: np.ndarray, limits: np.ndarray, bounds: list) -> int:
    solved = linprog(sign * np.eye(1, matrix.shape[1], zone)[0], A_ub=matrix, b_ub=limits, bounds=bounds)
    assert solved.status == 0
    return round(sign * solved.fun)


# ---------------------------------------------------------------- what every result must be


def check_feasible(auction: Auction, result: Result) -> None:
    net = np.zeros((auction.grid.zones, auction.slots), dtype=object)
    for one, fills in zip(auction.bids, result.fills, strict=True):
        for step, fill in zip(one.steps, fills, strict=True):
            assert min(0, step.quantity) <= fill <= max(0, step.quantity)
            net[one.zone, step.slot] += fill
    flows = auction.grid.flows(net)
    assert flows.tolist() == [list(row) for row in result.flows]
    assert not any(result.flows[0])
    for line, row in zip(auction.grid.lines, result.flows, strict=True):
        assert all(-line.import_limit <= flow <= line.export_limit for flow in row)


def welfare_of(auction: Auction, result: Result) -> int:
    pairs = zip(auction.bids, result.fills, strict=True)
    cost = sum(step.price * fill for one, fills in pairs for step, fill in zip(one.steps, fills, strict=True))
    lines = zip(auction.grid.lines, result.flows, strict=True)
    fees = sum(line.fee * sum(map(abs, row)) for line, row in lines)
    return -cost - fees


def at_price(auction: Auction, result: Result) -> dict[tuple[int, int, str], list[tuple[int, int]]]:
    """(quantity, fill) of the steps at their zone's price, in canonical order, by zone, slot and side."""
    groups: dict[tuple[int, int, str], list[tuple[int, int]]] = {}
    pairs = zip(auction.bids, result.fills, strict=True)
    for one, fills in sorted(pairs, key=lambda pair: int(pair[0].member, 16)):
        for step, fill in zip(one.steps, fills, strict=True):
            if step.price == result.prices[one.zone][step.slot]:
                side = "sell" if step.quantity > 0 else "buy"
                groups.setdefault((one.zone, step.slot, side), []).append((abs(step.quantity), abs(fill)))
    return groups


def check_sharing(auction: Auction, result: Result) -> None:
    groups = at_price(auction, result)
    whole = {place: sum(q for q, _ in group) == sum(f for _, f in group) for place, group in groups.items()}
    for group in groups.values():
        quantity, filled, before = sum(q for q, _ in group), sum(f for _, f in group), 0
        for volume, fill in group:
            assert fill == (before + volume) * filled // quantity - before * filled // quantity
            before += volume
    for zone, slot, side in groups:
        if side == "buy" and (zone, slot, "sell") in groups:
            assert whole[zone, slot, "sell"] or whole[zone, slot, "buy"]


def check_best_response(auction: Auction, result: Result) -> None:
    """Better than the price: filled whole; worse: not at all."""
    for one, fills in zip(auction.bids, result.fills, strict=True):
        for step, fill in zip(one.steps, fills, strict=True):
            gain = (result.prices[one.zone][step.slot] - step.price) * (1 if step.quantity > 0 else -1)
            assert gain <= 0 or fill == step.quantity
            assert gain >= 0 or fill == 0


def check_result(auction: Auction, result: Result) -> None:
    check_feasible(auction, result)
    check_best_response(auction, result)
    check_sharing(auction, result)
    assert result.welfare == welfare_of(auction, result) == lp_welfare(auction)


# ---------------------------------------------------------------- against the LP


@pytest.mark.parametrize("seed", range(12))
def test_clear__100_random_trees__feasible_and_as_good_as_the_lp(seed: int) -> None:
    for auction in random_auctions(seed, 100):
        check_result(auction, clear(auction))


@pytest.mark.parametrize("seed", range(3))
def test_clear__random_trees_with_every_round_taken__feasible_and_as_good_as_the_lp(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tree, "STEPS_PER_BIN", 1)
    monkeypatch.setattr(tree, "FEWEST_BINS", 1)
    for auction in random_auctions(100 + seed, 100):
        if len(auction.steps) >= auction.grid.zones * auction.slots:
            check_result(auction, clear(auction))


@pytest.mark.parametrize("seed", range(6))
def test_clear__many_steps_per_zone_at_wide_prices__feasible_and_as_good_as_the_lp(seed: int) -> None:
    auction = wide_auction(np.random.default_rng(seed), zones=1 + seed, count=3000)
    check_result(auction, clear(auction))


def test_clear__random_trees__prices_are_the_middle_of_the_optimal_duals() -> None:
    checked = wide = 0
    for auction in random_auctions(7, 120, max_zones=5, max_slots=2, max_steps=40):
        if len(auction.steps) and abs(auction.steps.quantity).max() > 30:
            continue  # beyond what the LP's floats tell apart
        result = clear(auction)
        for slot in range(auction.slots):
            ranges = lp_price_ranges(auction, slot, slot_welfare(auction, result, slot))
            assert [row[slot] for row in result.prices] == [(low + high) // 2 for low, high in ranges]
            wide += sum(low < high for low, high in ranges)
        checked += 1
    assert checked > 60
    assert wide > 60


def test_clear_steps__rounded_first_or_sorted_at_once__same_result(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    wide = [wide_auction(rng, zones=1 + index, count=2000) for index in range(8)]
    for auction in [*wide, *random_auctions(4, 300, max_zones=3, max_slots=1)]:
        monkeypatch.setattr(tree, "STEPS_PER_BIN", 1)
        monkeypatch.setattr(tree, "FEWEST_BINS", 1)
        rounded = columns(auction)
        monkeypatch.setattr(tree, "FEWEST_BINS", 10**9)
        at_once = columns(auction)
        assert rounded.welfare == at_once.welfare
        assert rounded.prices.tolist() == at_once.prices.tolist()


def slot_welfare(auction: Auction, result: Result, slot: int) -> int:
    bids, fills = [], []
    for one, row in zip(auction.bids, result.fills, strict=True):
        here = [(step, fill) for step, fill in zip(one.steps, row, strict=True) if step.slot == slot]
        bids.append(Bid(one.member, one.zone, tuple(step for step, _ in here)))
        fills.append(tuple(fill for _, fill in here))
    part = Auction(1, auction.min_price, auction.max_price, auction.grid, tuple(bids))
    flows = tuple((row[slot],) for row in result.flows)
    return welfare_of(part, Result(result.prices, flows, tuple(fills), 0))


def wide_auction(rng: np.random.Generator, zones: int, count: int) -> Auction:
    """Two slots, the whole price range used, limits that bind; each member has one step."""
    low, high = -50_000, 400_000
    parents = (-1, *(int(rng.integers(zone)) for zone in range(1, zones)))
    lines = (Line(), *(Line(*rng.integers(1000, 60_000, 2).tolist(), fee=500) for _ in range(1, zones)))
    zone, slot = rng.integers(zones, size=count).tolist(), rng.integers(2, size=count).tolist()
    price = rng.integers(low, high + 1, count).tolist()
    quantity = (rng.integers(1, 2000, count) * rng.choice([-1, 1], count)).tolist()
    bids = (
        Bid(f"0x{index:040x}", zone[index], (Step(slot[index], price[index], quantity[index]),))
        for index in range(count)
    )
    return Auction(2, low, high, Grid(parents, lines), tuple(bids))


# ---------------------------------------------------------------- cases with a name


def test_clear__no_bids__no_trade_at_the_middle_of_the_price_bounds() -> None:
    result = clear(auction_of(grid=feeder(), low=-6, high=3))
    assert result == Result(prices=((-2,), (-2,)), flows=((0,), (0,)), fills=(), welfare=0)


def test_clear__one_producer_and_one_consumer__price_midway_between_limits() -> None:
    result = clear(auction_of(bid(CONSUMER, (51, -10)), bid(PRODUCER, (20, 10))))
    assert result == Result(prices=((35,),), flows=((0,),), fills=((-10,), (10,)), welfare=310)


def test_clear__demand_below_supply__producer_sets_the_price() -> None:
    result = clear(auction_of(bid(PRODUCER, (20, 10)), bid(CONSUMER, (50, -6))))
    assert result == Result(prices=((20,),), flows=((0,),), fills=((6,), (-6,)), welfare=180)


def test_clear__only_sells__no_trade_midway_between_the_bound_and_the_cheapest() -> None:
    result = clear(auction_of(bid(PRODUCER, (7, 5), (40, 5)), low=-10, high=100))
    assert result == Result(prices=((-2,),), flows=((0,),), fills=((0, 0),), welfare=0)


def test_clear__only_buys__no_trade_midway_between_the_dearest_and_the_bound() -> None:
    result = clear(auction_of(bid(CONSUMER, (7, -5), (40, -5)), low=-10, high=99))
    assert result == Result(prices=((69,),), flows=((0,),), fills=((0, 0),), welfare=0)


def test_clear__two_producers_at_the_price__share_in_canonical_order() -> None:
    consumer = bid(CONSUMER, (50, -3))
    result = clear(auction_of(bid(OTHER_PRODUCER, (20, 5)), consumer, bid(PRODUCER, (20, 5))))
    assert result.fills == ((2,), (-3,), (1,))  # the lower address comes first: floor(5 x 3 / 10) = 1


def test_clear__all_limits_equal__smaller_side_filled_whole() -> None:
    sells = bid(PRODUCER, (20, 5)), bid(OTHER_PRODUCER, (20, 7))
    result = clear(auction_of(*sells, bid(CONSUMER, (20, -4)), bid(OTHER_CONSUMER, (20, -4))))
    assert result.prices == ((20,),)
    assert result.fills == ((3,), (5,), (-4,), (-4,))  # floor(5 x 8 / 12) = 3


def test_clear__zero_limits__each_zone_is_its_own_market() -> None:
    sells = bid(PRODUCER, (10, 9)), bid(OTHER_PRODUCER, (80, 9), zone=1)
    buys = bid(CONSUMER, (40, -9)), bid(OTHER_CONSUMER, (100, -9), zone=1)
    result = clear(auction_of(*sells, *buys, grid=feeder(0, 0)))
    assert result.prices == ((25,), (90,))
    assert result.flows == ((0,), (0,))


def test_clear__import_limit_reached__prices_part_at_the_line() -> None:
    retailer, consumer = bid(PRODUCER, (30, 100)), bid(CONSUMER, (90, -10), zone=1)
    result = clear(auction_of(retailer, consumer, grid=feeder(import_limit=4, fee=5)))
    assert result == Result(((30,), (90,)), ((0,), (-4,)), ((4,), (-4,)), 4 * (90 - 30 - 5))


def test_clear__spread_below_the_fee__no_trade() -> None:
    producer, retailer = bid(PRODUCER, (30, 10), zone=1), bid(CONSUMER, (34, -10))
    assert clear(auction_of(producer, retailer, grid=feeder(fee=5))).fills == ((0,), (0,))


def test_clear__spread_above_the_fee__flow_pays_it() -> None:
    producer, retailer = bid(PRODUCER, (30, 10), zone=1), bid(CONSUMER, (36, -15))
    result = clear(auction_of(producer, retailer, grid=feeder(fee=5)))
    assert result == Result(((36,), (31,)), ((0,), (10,)), ((10,), (-10,)), 10)


def test_clear__surplus_that_pays_to_be_taken__negative_price() -> None:
    producer, consumer = bid(PRODUCER, (-30, 10)), bid(CONSUMER, (-7, -4))
    result = clear(auction_of(producer, consumer))
    assert result == Result(((-30,),), ((0,),), ((4,), (-4,)), 4 * 23)


def test_clear__limits_at_the_bounds__price_stays_within() -> None:
    producer = bid(PRODUCER, (-5, 10))
    assert clear(auction_of(producer, bid(CONSUMER, (9, -10)), low=-5, high=9)).prices == ((2,),)
    assert clear(auction_of(producer, bid(CONSUMER, (9, -11)), low=-5, high=9)).prices == ((9,),)


def test_clear__largest_quantities_at_extreme_prices__exact_beyond_64_bits() -> None:
    most, count = INT32_MAX, 4096
    price, quantity = np.repeat([INT24_MIN, INT24_MAX], count), np.repeat([most, -most], count)
    quantity[0] -= 1
    nowhere = np.zeros(2 * count, dtype=np.int64)
    cleared = clear_steps(SINGLE, 1, INT24_MIN, INT24_MAX, nowhere, nowhere, price, quantity)
    traded = count * most - 1
    assert cleared.prices.tolist() == [[INT24_MAX]]
    assert cleared.welfare == traded * (INT24_MAX - INT24_MIN) > 2**63
    dealt = [index * most * traded // (count * most) for index in range(count + 1)]
    assert cleared.fills[count:].tolist() == [before - after for before, after in pairwise(dealt)]


def test_clear__chain_of_1024_zones__flow_pays_every_line() -> None:
    grid = Grid((-1, *range(1023)), (Line(), *[Line(fee=1)] * 1023))
    producer, retailer = bid(PRODUCER, (0, 10), zone=1023), bid(CONSUMER, (2000, -20))
    result = clear(auction_of(producer, retailer, grid=grid, high=2000))
    assert result.fills == ((10,), (-10,))
    assert [row[0] for row in result.prices] == list(range(2000, 976, -1))
    assert result.welfare == 10 * (2000 - 1023)


def test_clear_steps__slots_descend_within_a_bid__same_fills() -> None:
    for auction in random_auctions(11, 50):
        steps, straight = auction.steps, columns(auction)
        order = np.argsort(-steps.slot, kind="stable")
        names = ("zone", "slot", "price", "quantity", "bid")
        turned = clear_columns(auction, StepTable(*(getattr(steps, name)[order] for name in names)))
        assert turned.fills.tolist() == straight.fills[order].tolist()
        assert turned.prices.tolist() == straight.prices.tolist()


@pytest.mark.parametrize(
    ("zone", "step", "message"),
    [
        (2, Step(0, 0, 1), "step 0: zone 2 is not between 0 and 1"),
        (0, Step(1, 0, 1), "step 0: slot 1 is not between 0 and 0"),
        (0, Step(0, 1001, 1), "step 0: price 1001 is not between -1000 and 1000"),
        (0, Step(0, 0, 2**31), "step 0: quantity 2147483648 is not between -2147483647 and 2147483647"),
    ],
)
def test_clear__step_outside_the_auction__says_which(zone: int, step: Step, message: str) -> None:
    with pytest.raises(ClearingError, match=message):
        clear(auction_of(Bid(PRODUCER, zone, (step,)), grid=feeder()))
