"""The rules E1 to E7 and S4: hand-made auctions broken one way at a time, exhaustive small ones, random ones.

In the hand-made village, zone 0 is the retailer's, who buys at 10 and sells at 30 ticks, and zone 1 hangs on
it by a line that carries 10 Wh either way at 2 ticks. In slot 0 the producers' surplus of 2 Wh is exported,
so the prices are 10 and 8; in slot 1 the consumer's 3 Wh are imported, so they are 30 and 32.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise, product

import numpy as np
import pytest

from clearwatt.bids import Bid, Step, as_steps
from clearwatt.clearing.auction import Auction, Claim, Marginal, Result
from clearwatt.clearing.equilibrium import RuleBroken, check_claim, check_result, claim_of
from clearwatt.clearing.tree import clear
from clearwatt.grid import Grid, Line
from tests.offchain.clearing.auctions import random_auction

PRODUCER, NEIGHBOUR, CONSUMER, RETAILER = (f"0x{number:040x}" for number in (1, 2, 3, 9))
VILLAGE_LINE = Line(10, 10, fee=2)
RETAILER_STEPS = as_steps([(0, 10, -100), (0, 30, 100), (1, 10, -100), (1, 30, 100)])


def bid(member: str, zone: int, *steps: tuple[int, int, int]) -> Bid:
    return Bid(member, zone, as_steps(steps))


def two_zones(*bids: Bid, line: Line = VILLAGE_LINE, slots: int = 1) -> Auction:
    return Auction(slots, 0, 100, Grid((-1, 0), (Line(), line)), bids)


def one_zone(*bids: Bid) -> Auction:
    return Auction(1, 0, 100, Grid.single(), bids)


def village() -> tuple[Auction, Result]:
    """The village of this file's head; the bids are not in canonical order."""
    auction = two_zones(
        Bid(RETAILER, 0, RETAILER_STEPS),
        bid(PRODUCER, 1, (0, 5, 4)),
        bid(CONSUMER, 1, (0, 20, -5), (1, 40, -3), (1, 31, -7)),
        bid(NEIGHBOUR, 1, (0, 6, 3), (0, 9, 5)),
        slots=2,
    )
    fills = ((-2, 0, 0, 3), (4,), (-5, -3, 0), (3, 0))
    value, cost, fees = 5 * 20 + 2 * 10 + 3 * 40, 4 * 5 + 3 * 6 + 3 * 30, 2 * 2 + 3 * 2
    return auction, Result(((10, 30), (8, 32)), ((0, 0), (2, -3)), fills, value - cost - fees)


def with_entry(
    table: tuple[tuple[int, ...], ...], row: int, column: int, value: int
) -> tuple[tuple[int, ...], ...]:
    rows = [list(entries) for entries in table]
    rows[row][column] = value
    return tuple(map(tuple, rows))


def broken_by_claim(
    auction: Auction, prices: tuple[tuple[int, ...], ...], *marginals: Marginal
) -> RuleBroken:
    with pytest.raises(RuleBroken) as caught:
        check_claim(auction, Claim(prices, marginals))
    return caught.value


def broken_by_result(auction: Auction, result: Result) -> RuleBroken:
    with pytest.raises(RuleBroken) as caught:
        check_result(auction, result)
    return caught.value


# ---------------------------------------------------------------------------------------------------
# What is right
# ---------------------------------------------------------------------------------------------------


def test_check_result__village__accepts() -> None:
    check_result(*village())


def test_claim_of__village__names_what_the_retailer_gets_and_gives() -> None:
    auction, result = village()
    assert claim_of(auction, result) == Claim(
        result.prices, (Marginal(0, 0, "buy", 100, 2), Marginal(0, 1, "sell", 100, 3))
    )


def test_check_claim__village__derives_the_whole_result() -> None:
    auction, result = village()
    assert check_claim(auction, claim_of(auction, result)) == result


def test_check_claim__bids_in_another_order__derives_the_same_fills() -> None:
    auction, result = village()
    turned = replace(auction, bids=auction.bids[::-1])
    assert check_claim(turned, claim_of(auction, result)).fills == result.fills[::-1]


def test_check_claim__nobody_bids__midpoint_of_the_price_bounds_rounded_down() -> None:
    auction = replace(two_zones(slots=2), min_price=-8, max_price=1)
    empty = check_claim(auction, Claim(((-4, -4), (-4, -4)), ()))
    assert empty == Result(((-4, -4), (-4, -4)), ((0, 0), (0, 0)), (), 0)


def test_check_claim__marginal_sellers__share_by_running_sums_in_order_of_address() -> None:
    auction = one_zone(
        bid(CONSUMER, 0, (0, 20, -5)),
        bid(NEIGHBOUR, 0, (0, 7, 3), (0, 7, 1)),
        bid(PRODUCER, 0, (0, 7, 3)),
    )
    result = check_claim(auction, Claim(((7,),), (Marginal(0, 0, "sell", 7, 5),)))
    # Running sums 3, 6, 7 of 7: floor(15/7), floor(30/7), floor(35/7) = 2, 4, 5.
    assert result.fills == ((-5,), (2, 1), (2,))


def test_check_claim__marginal_buyers__share_with_negative_signs() -> None:
    auction = one_zone(
        bid(PRODUCER, 0, (0, 1, 5)), bid(NEIGHBOUR, 0, (0, 7, -3)), bid(CONSUMER, 0, (0, 7, -4))
    )
    result = check_claim(auction, Claim(((7,),), (Marginal(0, 0, "buy", 7, 5),)))
    assert result.fills == ((5,), (-2,), (-3,))


@pytest.mark.parametrize("form", [check_claim, check_result])
def test_check__prices_not_zones_by_slots__value_error(form: Callable[..., object]) -> None:
    auction, result = village()
    cut = replace(result, prices=((10, 30), (8,)))
    with pytest.raises(ValueError, match="prices must be 2 rows"):
        form(auction, Claim(cut.prices, ()) if form is check_claim else cut)


# ---------------------------------------------------------------------------------------------------
# A result broken one way at a time
# ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "column", "fill", "rule", "member"),
    [
        (1, 0, 3, "E1", PRODUCER),  # below the price, not whole
        (3, 1, 1, "E1", NEIGHBOUR),  # above the price, yet filled
        (0, 3, 101, "E1", RETAILER),  # at the price, more than offered
        (0, 3, -1, "E1", RETAILER),  # at the price, the wrong sign
        (2, 0, -4, "E2", CONSUMER),
        (2, 2, -1, "E2", CONSUMER),
        (0, 0, -101, "E2", RETAILER),
        (0, 0, 1, "E2", RETAILER),
    ],
)
def test_check_result__fill_does_not_fit_the_price__names_the_step(
    row: int, column: int, fill: int, rule: str, member: str
) -> None:
    auction, result = village()
    broken = broken_by_result(auction, replace(result, fills=with_entry(result.fills, row, column, fill)))
    assert (broken.rule, broken.where["member"], broken.where["step"]) == (rule, member, column)


def test_check_result__two_steps_wrong__names_the_first_in_canonical_order() -> None:
    auction, result = village()
    fills = with_entry(with_entry(result.fills, 0, 1, 1), 2, 0, 0)
    assert broken_by_result(auction, replace(result, fills=fills)).where["member"] == CONSUMER


@pytest.mark.parametrize(
    "fills",
    [
        lambda fills: fills[:-1],
        lambda fills: (*fills, ()),
        lambda fills: (*fills[:2], fills[2][:-1], fills[3]),
        lambda fills: (*fills[:2], (*fills[2], 0), fills[3]),
    ],
    ids=["bid missing", "bid too many", "step missing", "step too many"],
)
def test_check_result__fills_missing_or_too_many__e5(
    fills: Callable[..., tuple[tuple[int, ...], ...]],
) -> None:
    auction, result = village()
    assert broken_by_result(auction, replace(result, fills=fills(result.fills))).rule == "E5"


def test_check_result__marginal_fill_off_by_one__e4_with_the_imbalance() -> None:
    auction, result = village()
    broken = broken_by_result(auction, replace(result, fills=with_entry(result.fills, 0, 3, 5)))
    assert str(broken) == "E4: slot 1 is out of balance by 2 Wh"
    assert broken.where == {"slot": 1}


@pytest.mark.parametrize(("zone", "flow"), [(1, 1), (1, -2), (0, 1)])
def test_check_result__stated_flow_is_not_what_is_injected__e3(zone: int, flow: int) -> None:
    auction, result = village()
    broken = broken_by_result(auction, replace(result, flows=with_entry(result.flows, zone, 0, flow)))
    assert (broken.rule, broken.where) == ("E3", {"zone": zone, "slot": 0})


def test_check_result__marginal_sellers_swap_a_watt_hour__s4() -> None:
    auction = one_zone(
        bid(PRODUCER, 0, (0, 7, 3)), bid(NEIGHBOUR, 0, (0, 7, 4)), bid(CONSUMER, 0, (0, 20, -5))
    )
    fair = Result(((7,),), ((0,),), ((2,), (3,), (-5,)), 5 * 20 - 5 * 7)
    check_result(auction, fair)
    broken = broken_by_result(auction, replace(fair, fills=((3,), (2,), (-5,))))
    assert (broken.rule, broken.where["member"]) == ("S4", PRODUCER)


def test_check_result__welfare_overstated__says_both_figures() -> None:
    auction, result = village()
    broken = broken_by_result(auction, replace(result, welfare=result.welfare + 1))
    assert str(broken) == "welfare: the result states 103, but its fills are worth 102"


# ---------------------------------------------------------------------------------------------------
# A claim broken one way at a time
# ---------------------------------------------------------------------------------------------------

EXPORT = Marginal(0, 0, "buy", 100, 2)
IMPORT = Marginal(0, 1, "sell", 100, 3)
VILLAGE_PRICES = ((10, 30), (8, 32))


@pytest.mark.parametrize(
    ("marginals", "rule", "where"),
    [
        ([EXPORT], "E1", {"member": RETAILER, "step": 3, "zone": 0, "slot": 1}),
        ([IMPORT], "E2", {"member": RETAILER, "step": 0, "zone": 0, "slot": 0}),
        ([EXPORT, IMPORT._replace(filled=101)], "E1", {"zone": 0, "slot": 1, "side": "sell"}),
        ([EXPORT._replace(filled=101), IMPORT], "E2", {"zone": 0, "slot": 0, "side": "buy"}),
        ([EXPORT._replace(filled=-1), IMPORT], "E2", {"zone": 0, "slot": 0, "side": "buy"}),
        ([EXPORT._replace(quantity=99), IMPORT], "S4", {"zone": 0, "slot": 0, "side": "buy"}),
        ([EXPORT, IMPORT._replace(quantity=101)], "S4", {"zone": 0, "slot": 1, "side": "sell"}),
        ([EXPORT, EXPORT, IMPORT], "S4", {"zone": 0, "slot": 0, "side": "buy"}),
        ([IMPORT, EXPORT], "S4", {"zone": 0, "slot": 0, "side": "buy"}),
        ([EXPORT, Marginal(0, 0, "sell", 100, 0), IMPORT], "S4", {"zone": 0, "slot": 0, "side": "sell"}),
        ([EXPORT, IMPORT, Marginal(1, 0, "sell", 1, 0)], "S4", {"zone": 1, "slot": 0, "side": "sell"}),
        ([EXPORT, IMPORT, Marginal(1, 0, "sell", 0, 0)], "S4", {"zone": 1, "slot": 0, "side": "sell"}),
        ([EXPORT, IMPORT, Marginal(7, 0, "sell", 1, 0)], "S4", {"zone": 7, "slot": 0, "side": "sell"}),
        ([EXPORT._replace(filled=3), IMPORT], "E4", {"slot": 0}),
        ([EXPORT, IMPORT._replace(filled=0)], "E4", {"slot": 1}),
    ],
)
def test_check_claim__marginal_volumes_wrong__names_rule_and_place(
    marginals: list[Marginal], rule: str, where: dict[str, int | str]
) -> None:
    auction, _ = village()
    broken = broken_by_claim(auction, VILLAGE_PRICES, *marginals)
    assert (broken.rule, broken.where) == (rule, where)


def exporting(line: Line) -> Auction:
    """A producer below the line with 6 Wh from 5 ticks on, a retailer above it who takes 100 Wh at 10."""
    return two_zones(bid(PRODUCER, 1, (0, 5, 6)), bid(RETAILER, 0, (0, 10, -100)), line=line)


def importing(line: Line) -> Auction:
    """A consumer below the line who takes 6 Wh up to 40 ticks, a retailer above it with 100 Wh at 30."""
    return two_zones(bid(CONSUMER, 1, (0, 40, -6)), bid(RETAILER, 0, (0, 30, 100)), line=line)


def test_check_claim__export_limit_binds__the_zones_prices_part() -> None:
    marginals = (Marginal(0, 0, "buy", 100, 1), Marginal(1, 0, "sell", 6, 1))
    result = check_claim(exporting(Line(1, 1, fee=2)), Claim(((10,), (5,)), marginals))
    assert (result.flows, result.welfare) == (((0,), (1,)), 10 - 5 - 2)


def test_check_claim__import_limit_binds__the_zones_prices_part() -> None:
    marginals = (Marginal(0, 0, "sell", 100, 1), Marginal(1, 0, "buy", 6, 1))
    result = check_claim(importing(Line(1, 1, fee=2)), Claim(((30,), (40,)), marginals))
    assert (result.flows, result.welfare) == (((0,), (-1,)), 40 - 30 - 2)


@pytest.mark.parametrize(
    ("auction", "prices", "filled"),
    [
        (exporting(Line(1, 9, fee=2)), (10, 5), (2, 2)),  # flow 2 through a line of 1
        (exporting(Line(9, 9, fee=2)), (10, 5), (0, 0)),  # 5 ticks apart, yet nothing flows
        (exporting(Line(9, 9, fee=2)), (10, 5), (4, 4)),  # ... or less than the line can
        (exporting(Line(9, 9, fee=6)), (10, 5), (4, 4)),  # flow that does not earn its fee
        (importing(Line(9, 1, fee=2)), (30, 40), (2, 2)),
        (importing(Line(9, 9, fee=2)), (30, 40), (0, 0)),
        (importing(Line(9, 9, fee=2)), (30, 40), (4, 4)),
        (importing(Line(9, 9, fee=11)), (30, 40), (4, 4)),
    ],
)
def test_check_claim__flow_does_not_fit_limits_or_prices__e3(
    auction: Auction, prices: tuple[int, int], filled: tuple[int, int]
) -> None:
    above, below = ("buy", "sell") if auction.bids[0].member == PRODUCER else ("sell", "buy")
    marginals = (Marginal(0, 0, above, 100, filled[0]), Marginal(1, 0, below, 6, filled[1]))
    broken = broken_by_claim(auction, tuple((price,) for price in prices), *marginals)
    assert (broken.rule, broken.where) == ("E3", {"zone": 1, "slot": 0})


@pytest.mark.parametrize(
    ("line", "filled", "complaint"),
    [
        (Line(9, 9, fee=2), 4, "the parent's price less the zone's is 5 ticks and must be at most 2"),
        (Line(9, 9, fee=6), 4, "the parent's price less the zone's is 5 ticks and must be at least 6"),
        (Line(3, 9, fee=2), 4, "above its export limit, 3"),
    ],
)
def test_check_claim__line_broken__message_says_what_it_must_be(
    line: Line, filled: int, complaint: str
) -> None:
    marginals = (Marginal(0, 0, "buy", 100, filled), Marginal(1, 0, "sell", 6, filled))
    message = str(broken_by_claim(exporting(line), ((10,), (5,)), *marginals))
    assert message.startswith("E3: the line of zone 1, slot 0 carries 4 Wh")
    assert message.endswith(complaint)


def test_check_claim__price_anywhere_else_between_the_last_traded_limits__e6() -> None:
    auction = one_zone(bid(PRODUCER, 0, (0, 5, 4)), bid(CONSUMER, 0, (0, 20, -4)))
    assert check_claim(auction, Claim(((12,),), ())).fills == ((4,), (-4,))
    for price in (*range(6, 12), *range(13, 20)):
        broken = broken_by_claim(auction, ((price,),))
        assert str(broken) == f"E6: zone 0, slot 0 is priced at {price} ticks; the canonical price is 12"


def test_check_claim__odd_range_below_zero__midpoint_rounds_down() -> None:
    auction = replace(
        one_zone(bid(PRODUCER, 0, (0, -8, 4)), bid(CONSUMER, 0, (0, -5, -4))), min_price=-50, max_price=50
    )
    assert check_claim(auction, Claim(((-7,),), ())).prices == ((-7,),)
    assert broken_by_claim(auction, ((-6,),)).rule == "E6"


def test_check_claim__range_tightened_across_lines__a_far_zones_limit_sets_the_price() -> None:
    # Zones 2 - 1 - 0 in a chain, fee 3 each; only zones 2 and 0 trade, so 8 + 6 <= price at zone 0 <= 40.
    grid = Grid((-1, 0, 1), (Line(), Line(fee=3), Line(fee=3)))
    auction = Auction(1, 0, 100, grid, (bid(PRODUCER, 2, (0, 8, 4)), bid(CONSUMER, 0, (0, 40, -4))))
    assert check_claim(auction, Claim(((27,), (24,), (21,)), ())).flows == ((0,), (4,), (4,))
    for zone, prices in [(0, (28, 25, 22)), (0, (26, 23, 20))]:
        broken = broken_by_claim(auction, tuple((price,) for price in prices))
        assert (broken.rule, broken.where) == ("E6", {"zone": zone, "slot": 0})


@pytest.mark.parametrize("filled", [0, 4])
def test_check_claim__both_sides_at_the_price_left_unfilled__e7(filled: int) -> None:
    auction = one_zone(bid(PRODUCER, 0, (0, 7, 5)), bid(CONSUMER, 0, (0, 7, -6)))
    marginals = (Marginal(0, 0, "sell", 5, filled), Marginal(0, 0, "buy", 6, filled))
    broken = broken_by_claim(auction, ((7,),), *marginals)
    assert (broken.rule, broken.where) == ("E7", {"zone": 0, "slot": 0})


def test_check_claim__both_sides_at_the_price_and_one_whole__accepts() -> None:
    auction = one_zone(bid(PRODUCER, 0, (0, 7, 5)), bid(CONSUMER, 0, (0, 7, -6)))
    marginals = (Marginal(0, 0, "sell", 5, 5), Marginal(0, 0, "buy", 6, 5))
    assert check_claim(auction, Claim(((7,),), marginals)).fills == ((5,), (-5,))


# ---------------------------------------------------------------------------------------------------
# The order of the rules is part of what chain and twin agree on
# ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prices", "marginals", "rule", "where"),
    [
        # Volume declarations before the bids, the bids before the sums of what was found.
        (VILLAGE_PRICES, [EXPORT._replace(filled=101)], "E2", {"zone": 0, "slot": 0, "side": "buy"}),
        (
            VILLAGE_PRICES,
            [EXPORT._replace(quantity=99)],
            "E1",
            {"member": RETAILER, "step": 3, "zone": 0, "slot": 1},
        ),
        (
            VILLAGE_PRICES,
            [EXPORT._replace(quantity=99, filled=3), IMPORT],
            "S4",
            {"zone": 0, "slot": 0, "side": "buy"},
        ),
        # Slot by slot: all of slot 0 before the balance of slot 1; within a slot E4, E3, E6.
        (((10, 30), (7, 32)), [EXPORT, IMPORT._replace(filled=4)], "E3", {"zone": 1, "slot": 0}),
        (((10, 30), (7, 32)), [EXPORT._replace(filled=3), IMPORT], "E4", {"slot": 0}),
        (((11, 30), (8, 32)), [IMPORT._replace(filled=4)], "E4", {"slot": 0}),
    ],
)
def test_check_claim__several_rules_broken__names_the_agreed_first(
    prices: tuple[tuple[int, ...], ...], marginals: list[Marginal], rule: str, where: dict[str, int | str]
) -> None:
    auction, _ = village()
    broken = broken_by_claim(auction, prices, *marginals)
    assert (broken.rule, broken.where) == (rule, where)


def test_check_claim__canonical_price_and_volume_broken__the_price_is_named_first() -> None:
    auction = replace(
        one_zone(bid(PRODUCER, 0, (0, 7, 5), (1, 5, 2)), bid(CONSUMER, 0, (0, 7, -6), (1, 20, -2))), slots=2
    )
    marginals = (Marginal(0, 0, "sell", 5, 0), Marginal(0, 0, "buy", 6, 0))
    assert broken_by_claim(auction, ((7, 13),), *marginals).rule == "E6"
    assert broken_by_claim(auction, ((7, 12),), *marginals).rule == "E7"


# ---------------------------------------------------------------------------------------------------
# Every claim there is, on auctions small enough to try them all
# ---------------------------------------------------------------------------------------------------


def tiny_auction(rng: np.random.Generator) -> Auction:
    zones = int(rng.integers(1, 4))
    lines = [
        Line(int(rng.integers(0, 4)), int(rng.integers(0, 4)), int(rng.integers(0, 3))) for _ in range(zones)
    ]
    grid = Grid((-1, *(int(rng.integers(zone)) for zone in range(1, zones))), tuple(lines))
    return Auction(1, -2, 3, grid, tuple(_tiny_bid(rng, number, zones) for number in range(1, 5)))


def _tiny_bid(rng: np.random.Generator, number: int, zones: int) -> Bid:
    quantity = int(rng.integers(1, 4)) * int(rng.choice([-1, 1]))
    return bid(f"0x{number:040x}", int(rng.integers(zones)), (0, int(rng.integers(-2, 4)), quantity))


def best_welfare(auction: Auction) -> int:
    """The largest welfare of any feasible fills, by trying all of them."""
    steps = [one.steps[0] for one in auction.bids]
    choices = [range(min(0, step.quantity), max(0, step.quantity) + 1) for step in steps]
    welfares = (_welfare(auction, steps, fills) for fills in product(*choices))
    return max(welfare for welfare in welfares if welfare is not None)


def _welfare(auction: Auction, steps: list[Step], fills: tuple[int, ...]) -> int | None:
    """Welfare of the fills, None if the grid cannot carry them."""
    injections = np.zeros((auction.grid.zones, 1), dtype=np.int64)
    for one, fill in zip(auction.bids, fills, strict=True):
        injections[one.zone] += fill
    flows = auction.grid.flows(injections)[:, 0].tolist()
    below = list(zip(auction.grid.lines, flows, strict=True))[1:]
    if flows[0] or any(not -line.import_limit <= flow <= line.export_limit for line, flow in below):
        return None
    fees = sum(line.fee * abs(flow) for line, flow in below)
    return -sum(step.price * fill for step, fill in zip(steps, fills, strict=True)) - fees


def every_claim(auction: Auction) -> Iterator[Claim]:
    """All prices within and just outside the bounds, each with all ways to fill its marginal volumes."""
    choices = range(auction.min_price - 1, auction.max_price + 2)
    for prices in product(choices, repeat=auction.grid.zones):
        table = tuple((price,) for price in prices)
        untraded = Result(table, table, tuple((0,) for _ in auction.bids), 0)
        volumes = claim_of(auction, untraded).marginals
        for filled in product(*(range(volume.quantity + 1) for volume in volumes)):
            parts = zip(volumes, filled, strict=True)
            yield Claim(table, tuple(volume._replace(filled=part) for volume, part in parts))


def accepted(auction: Auction, claim: Claim) -> Result | None:
    try:
        return check_claim(auction, claim)
    except RuleBroken:
        return None


@pytest.mark.parametrize("seed", range(60))
def test_check_claim__every_claim_tried__one_price_and_only_optima_pass(seed: int) -> None:
    auction = tiny_auction(np.random.default_rng(seed))
    results = list(filter(None, (accepted(auction, claim) for claim in every_claim(auction))))
    assert len({result.prices for result in results}) == 1
    assert {result.welfare for result in results} == {best_welfare(auction)}


# ---------------------------------------------------------------------------------------------------
# The solver's results, and what becomes of them when anything in them is moved
# ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(300))
def test_check__solver_on_random_auction__both_forms_accept_and_agree(seed: int) -> None:
    auction = random_auction(np.random.default_rng(seed))
    result = clear(auction)
    check_result(auction, result)
    assert check_claim(auction, claim_of(auction, result)) == result


def places(table: tuple[tuple[int, ...], ...]) -> Iterator[tuple[int, int]]:
    return ((row, column) for row, entries in enumerate(table) for column in range(len(entries)))


@pytest.mark.parametrize("seed", range(60))
@pytest.mark.parametrize("change", [-1, 1])
def test_check_result__any_number_of_a_solvers_result_moved__rejected_by_its_rule(
    seed: int, change: int
) -> None:
    auction = random_auction(np.random.default_rng(seed))
    result = clear(auction)
    assert broken_by_result(auction, replace(result, welfare=result.welfare + change)).rule == "welfare"
    for zone, slot in places(result.prices):
        prices = with_entry(result.prices, zone, slot, result.prices[zone][slot] + change)
        assert broken_by_result(auction, replace(result, prices=prices)).rule in {"E1", "E2", "E3", "E6"}
        flows = with_entry(result.flows, zone, slot, result.flows[zone][slot] + change)
        assert broken_by_result(auction, replace(result, flows=flows)).rule == "E3"
    for index, step in places(result.fills):
        fills = with_entry(result.fills, index, step, result.fills[index][step] + change)
        broken = broken_by_result(auction, replace(result, fills=fills))
        assert broken.rule == rule_of_moved_fill(auction, result.prices, index, step, fills[index][step])


def rule_of_moved_fill(
    auction: Auction, prices: tuple[tuple[int, ...], ...], index: int, step: int, fill: int
) -> str:
    """E1 or E2 where the step may not have that fill at all, else the balance it upsets."""
    slot, limit, quantity = auction.bids[index].steps[step]
    possible = min(0, quantity) <= fill <= max(0, quantity)
    if limit == prices[auction.bids[index].zone][slot] and possible:
        return "E4"
    return "E1" if quantity > 0 else "E2"


@pytest.mark.parametrize("seed", range(60))
def test_check_claim__any_volume_of_a_solvers_claim_moved__rejected_by_its_rule(seed: int) -> None:
    auction = random_auction(np.random.default_rng(seed))
    claim = claim_of(auction, clear(auction))
    for index, volume in enumerate(claim.marginals):
        own = "E1" if volume.side == "sell" else "E2"
        for other, rule in [
            ([], own),
            ([volume, volume], "S4"),
            ([volume._replace(quantity=volume.quantity + 1)], "S4"),
            ([volume._replace(filled=volume.filled + 1)], "E4" if volume.filled < volume.quantity else own),
            ([volume._replace(filled=volume.filled - 1)], "E4" if volume.filled > 0 else own),
        ]:
            changed = (*claim.marginals[:index], *other, *claim.marginals[index + 1 :])
            assert broken_by_claim(auction, claim.prices, *changed).rule == rule


def movable_pairs(auction: Auction, result: Result) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Pairs of marginal steps of one side, zone and slot where the first can give 1 Wh to the second."""
    groups: dict[tuple[int, int, bool], list[tuple[int, int]]] = {}
    for index, one in enumerate(auction.bids):
        for number, step in enumerate(one.steps):
            if step.price == result.prices[one.zone][step.slot]:
                groups.setdefault((one.zone, step.slot, step.quantity > 0), []).append((index, number))
    for pair in (pair for group in groups.values() for pair in pairwise(group)):
        (giver, given), (taker, taken) = pair
        if (
            result.fills[giver][given]
            and result.fills[taker][taken] != auction.bids[taker].steps[taken].quantity
        ):
            yield pair


def test_check_result__a_watt_hour_moved_between_marginal_steps__s4() -> None:
    moved = 0
    for seed in range(300):
        auction = random_auction(np.random.default_rng(seed))
        result = clear(auction)
        for (giver, given), (taker, taken) in movable_pairs(auction, result):
            unit = 1 if auction.bids[giver].steps[given].quantity > 0 else -1
            fills = with_entry(result.fills, giver, given, result.fills[giver][given] - unit)
            fills = with_entry(fills, taker, taken, fills[taker][taken] + unit)
            assert broken_by_result(auction, replace(result, fills=fills)).rule == "S4"
            moved += 1
    assert moved > 20
