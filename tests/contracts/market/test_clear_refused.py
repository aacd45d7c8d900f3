"""Results that are not the optimum at the canonical price: each falls on its own rule, on the real market."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from eth_utils import to_checksum_address

from clearwatt.bids import Bid, Step
from clearwatt.chain import codec
from clearwatt.clearing.auction import Marginal
from clearwatt.clearing.equilibrium import claim_of
from clearwatt.clearing.tree import clear
from clearwatt.grid import Line
from tests.contracts.community import Participant
from tests.contracts.day import Day

NOBODYS = to_checksum_address("0x" + 40 * "f")


@pytest.fixture
def ordered(closed_day: Day) -> list[Bid]:
    """The bids as they must be sent."""
    return sorted(closed_day.problem.bids, key=lambda bid: int(bid.member, 16))


def packed(bids: Sequence[Bid]) -> bytes:
    """Bids as they travel, in the order given."""
    return b"".join(codec.pack_bids([bid]) for bid in bids)


def test_honest__accepted(closed_day: Day) -> None:
    assert closed_day.refusal() is None


# ------------------------------------------------------------------------------------- E1, E2, S4


def test_marginal_sell__filled_beyond_its_quantity__e1(closed_day: Day) -> None:
    claim = closed_day.with_marginal(2, 0, "sell", filled=4_001)
    assert closed_day.refusal(claim) == ("E1_SoldBeyondOffer", 2, 0, 4_000, 4_001)


def test_marginal_buy__filled_beyond_its_quantity__e2(closed_day: Day) -> None:
    claim = closed_day.with_marginal(2, 1, "buy", filled=3_001)
    assert closed_day.refusal(claim) == ("E2_BoughtBeyondOffer", 2, 1, 3_000, 3_001)


def test_marginal_sell__not_named__e1(closed_day: Day, producer: Participant) -> None:
    claim = closed_day.with_marginal(2, 0, "sell")
    assert closed_day.refusal(claim) == ("E1_SellStepNotNamed", producer.address, 0)


def test_marginal_buy__not_named__e2(closed_day: Day, consumer: Participant) -> None:
    claim = closed_day.with_marginal(2, 1, "buy")
    assert closed_day.refusal(claim) == ("E2_BuyStepNotNamed", consumer.address, 1)


@pytest.mark.parametrize("named", [3_001, 5_000])
def test_marginal__quantity_named_wrong__s4(closed_day: Day, named: int) -> None:
    claim = closed_day.with_marginal(2, 0, "sell", quantity=named)
    assert closed_day.refusal(claim) == ("S4_MarginalQuantity", 2, 0, False, named, 4_000)


def test_marginal__named_where_nobody_is_at_the_price__s4(closed_day: Day) -> None:
    claim = replace(closed_day.claim, marginals=(Marginal(0, 0, "sell", 5, 0), *closed_day.claim.marginals))
    assert closed_day.refusal(claim) == ("S4_MarginalQuantity", 0, 0, False, 5, 0)


@pytest.mark.parametrize(
    ("change", "index"),
    [
        (lambda ms: ms[1:2] + ms[:1] + ms[2:], 1),
        (lambda ms: ms[:1] + ms, 1),
        (lambda ms: (Marginal(0, 0, "sell", 0, 0), *ms), 0),
        (lambda ms: (*ms, Marginal(4, 0, "sell", 1, 0)), -1),
        (lambda ms: (Marginal(0, 4, "sell", 1, 0), *ms), 0),
    ],
    ids=["swapped", "twice", "empty", "no such zone", "no such slot"],
)
def test_marginals__disorderly__s4(closed_day: Day, change: Any, index: int) -> None:
    marginals = change(closed_day.claim.marginals)
    expected = ("S4_MarginalsNotAscending", index % len(marginals))
    assert closed_day.refusal(replace(closed_day.claim, marginals=marginals)) == expected


def test_marginal__neither_sell_nor_buy__s4(closed_day: Day) -> None:
    packed_marginals = bytearray(codec.pack_marginals(closed_day.claim.marginals))
    packed_marginals[3] = 2
    assert closed_day.refusal(marginals=bytes(packed_marginals)) == ("S4_MarginalsNotAscending", 0)


# ------------------------------------------------------------------------------------- E3, E4


@pytest.mark.parametrize(("filled", "surplus"), [(3_001, 1), (2_999, -1), (0, -3_000)])
def test_marginal__filled_apart_from_the_balance__e4(closed_day: Day, filled: int, surplus: int) -> None:
    claim = closed_day.with_marginal(2, 0, "sell", filled=filled)
    assert closed_day.refusal(claim) == ("E4_OutOfBalance", 0, surplus)


def solved_with_line(day: Day, zone: int, line: Line) -> Day:
    """The day solved for a grid with another line."""
    lines = list(day.problem.grid.lines)
    lines[zone] = line
    problem = replace(day.problem, grid=replace(day.problem.grid, lines=tuple(lines)))
    return replace(day, claim=claim_of(problem, clear(problem)))


def test_line__solved_with_a_wider_limit__e3_flow(closed_day: Day) -> None:
    dishonest = solved_with_line(closed_day, 2, Line(25_000, 20_000, 10))
    assert dishonest.refusal() == ("E3_FlowBeyondLimit", 2, 2, 25_000)


def test_line__solved_with_a_narrower_limit__e3_difference(closed_day: Day) -> None:
    dishonest = solved_with_line(closed_day, 2, Line(15_000, 20_000, 10))
    assert dishonest.refusal() == ("E3_PriceDifference", 2, 2, 3_000, 10, 10)


def test_price__zone_without_bids_moved_beyond_the_fee__e3_difference(closed_day: Day) -> None:
    claim = closed_day.with_price(3, 0, closed_day.claim.prices[3][0] + 26)
    assert closed_day.refusal(claim) == ("E3_PriceDifference", 3, 0, -26, -25, 25)


# ------------------------------------------------------------------------------------- E5


def test_bids__one_left_out__e5(closed_day: Day, ordered: list[Bid]) -> None:
    without = [bid for bid in ordered if bid.zone != 3]
    problem = replace(closed_day.problem, bids=tuple(without))
    claim = claim_of(problem, clear(problem))
    assert closed_day.refusal(claim, packed(without)) == ("E5_BidsLeftOut", 5, 3)


def test_bids__none__e5(closed_day: Day) -> None:
    problem = replace(closed_day.problem, bids=())
    assert closed_day.refusal(claim_of(problem, clear(problem)), b"") == ("E5_BidsLeftOut", 5, 0)


def test_bids__one_twice__e5(closed_day: Day, ordered: list[Bid]) -> None:
    twice = [ordered[0], *ordered]
    assert closed_day.refusal(bids=packed(twice)) == ("E5_TradersNotAscending", ordered[0].member)


def test_bids__one_twice_in_place_of_another__e5(closed_day: Day, ordered: list[Bid]) -> None:
    instead = [*ordered[:1], *ordered[:-1]]
    assert closed_day.refusal(bids=packed(instead)) == ("E5_TradersNotAscending", ordered[0].member)


def test_bids__swapped__e5(closed_day: Day, ordered: list[Bid]) -> None:
    ordered[1], ordered[2] = ordered[2], ordered[1]
    assert closed_day.refusal(bids=packed(ordered)) == ("E5_TradersNotAscending", ordered[2].member)


@pytest.mark.parametrize(
    "change",
    [
        lambda bid: replace(bid, zone=0),
        lambda bid: replace(bid, zone=4),
        lambda bid: replace(bid, zone=65_535),
        lambda bid: replace(bid, steps=()),
        lambda bid: replace(bid, steps=(*bid.steps, Step(3, 30_000, -1))),
        lambda bid: replace(bid, steps=(bid.steps[0]._replace(price=29_999), *bid.steps[1:])),
        lambda bid: replace(bid, steps=(bid.steps[0]._replace(quantity=-2_999), *bid.steps[1:])),
        lambda bid: replace(bid, steps=(bid.steps[0]._replace(slot=1), *bid.steps[1:])),
        lambda bid: replace(bid, steps=(*bid.steps, Step(4, 30_000, -1))),
        lambda bid: replace(bid, steps=(*bid.steps, Step(255, 30_000, -1))),
        lambda bid: replace(bid, zone=3, steps=(*bid.steps, Step(255, -(2**23), 2**31 - 1))),
    ],
    ids=[
        "zone",
        "zone just beyond the grid",
        "zone far beyond the grid",
        "no steps",
        "one more step",
        "price",
        "quantity",
        "slot",
        "slot just beyond the auction",
        "slot far beyond the auction",
        "slot beyond the last zone's",
    ],
)
def test_bids__one_altered__e5(
    closed_day: Day, ordered: list[Bid], consumer: Participant, change: Any
) -> None:
    altered = [change(bid) if bid.member == consumer.address else bid for bid in ordered]
    assert closed_day.refusal(bids=packed(altered)) == ("E5_BidNotRecorded", consumer.address)


def test_bids__made_up_for_a_stranger__e5(closed_day: Day, ordered: list[Bid]) -> None:
    made_up = Bid(NOBODYS, 2, (Step(0, 30_000, -1),))
    assert closed_day.refusal(bids=packed([*ordered, made_up])) == ("E5_BidNotRecorded", NOBODYS)


# ------------------------------------------------------------------------------------- E6, E7


@pytest.mark.parametrize("step", [-1, 1])
@pytest.mark.parametrize(
    ("zone", "slot", "canonical"), [(2, 3, 10_000), (3, 0, 8_000)], ids=["traded", "no bids"]
)
def test_price__moved_by_a_tick_within_the_equilibria__e6(
    closed_day: Day, zone: int, slot: int, canonical: int, step: int
) -> None:
    assert closed_day.claim.prices[zone][slot] == canonical
    claim = closed_day.with_price(zone, slot, canonical + step)
    assert closed_day.refusal(claim) == ("E6_PriceNotCanonical", zone, slot, canonical + step, canonical)


@pytest.mark.parametrize("filled", [0, 500, 999])
def test_volume__withheld_from_both_sides__e7(closed_day: Day, filled: int) -> None:
    claim = closed_day.with_marginal(3, 3, "sell", filled=filled)
    claim = replace(closed_day, claim=claim).with_marginal(3, 3, "buy", filled=filled)
    assert closed_day.refusal(claim) == ("E7_TradeWithheld", 3, 3, 1_000 - filled, 1_500 - filled)


# ------------------------------------------------------------------------------------- layouts


@pytest.mark.parametrize("change", [lambda p: p[:-1], lambda p: p + b"\0", lambda p: b""])
def test_prices__not_one_for_every_zone_and_slot__refused(closed_day: Day, change: Any) -> None:
    prices = change(closed_day.packed_prices)
    assert closed_day.refusal(prices=prices) == ("MalformedPrices", len(prices), 48)


def test_marginals__cut__refused(closed_day: Day) -> None:
    marginals = codec.pack_marginals(closed_day.claim.marginals)[:-1]
    assert closed_day.refusal(marginals=marginals) == ("MalformedMarginals", len(marginals))


@pytest.mark.parametrize(
    "change", [lambda b: b[:-1], lambda b: b + b"\0", lambda b: b + bytes(23), lambda b: b[:10]]
)
def test_bids__cut_or_padded__refused(closed_day: Day, change: Any) -> None:
    bids = change(closed_day.bids)
    assert closed_day.refusal(bids=bids) == ("MalformedBids", len(bids))


def test_bids__padded_with_a_whole_empty_head__e5(closed_day: Day) -> None:
    assert closed_day.refusal(bids=closed_day.bids + bytes(24)) == ("E5_TradersNotAscending", "0x" + 40 * "0")


# ------------------------------------------------------------------------------------- what remains


def test_clear__refused_in_a_mined_transaction__nothing_changed(closed_day: Day) -> None:
    market = closed_day.market
    before = market.market.auctionOf(0)
    claim = closed_day.with_marginal(2, 0, "sell", filled=3_001)
    parts = (codec.pack_prices(claim.prices), codec.pack_marginals(claim.marginals), closed_day.bids)
    receipt = market.clearing.clear(0, *parts, sender=market.owner, gas=5_000_000, raise_on_revert=False)
    assert receipt.failed
    assert market.market.auctionOf(0) == before
    assert closed_day.refusal() is None
    market.assert_money_conserved()
