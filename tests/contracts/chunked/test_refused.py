"""Results and bids that are not right: refused in chunks by the same rule as in one transaction."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from eth_utils import to_checksum_address

from clearwatt.bids import Bid, Step
from clearwatt.clearing.equilibrium import claim_of
from clearwatt.clearing.tree import clear
from tests.contracts.chunked.session import Session, ordered, packed
from tests.contracts.community import Participant
from tests.contracts.day import Day

NOBODYS = to_checksum_address("0x" + 40 * "f")


@pytest.fixture
def bids(closed_day: Day) -> list[Bid]:
    return ordered(closed_day.problem.bids)


# ------------------------------------------------------------------------------------- E5


def test_close__before_every_bid_was_seen__e5(session: Session, bids: list[Bid]) -> None:
    session.begin()
    assert session.close_refusal() == ("E5_BidsLeftOut", 5, 0)
    session.fill(bids[:4])
    assert session.close_refusal() == ("E5_BidsLeftOut", 5, 4)
    session.fill(bids[4:])
    assert session.close_refusal() is None


def test_close__one_bid_left_out_and_solved_without__e5(session: Session, bids: list[Bid]) -> None:
    problem = replace(session.day.problem, bids=tuple(bids[:4]))
    session.claim = claim_of(problem, clear(problem))
    session.begin().fill(bids[:2]).fill(bids[2:4])
    assert session.close_refusal() == ("E5_BidsLeftOut", 5, 4)


def test_fill__trader_of_an_earlier_chunk_again__e5(session: Session, bids: list[Bid]) -> None:
    session.begin().fill(bids[:2])
    for again in (bids[:1], bids[1:2]):
        assert session.fill_refusal(again) == ("E5_TradersNotAscending", again[0].member)


def test_fill__trader_twice_in_a_chunk__e5(session: Session, bids: list[Bid]) -> None:
    session.begin().fill(bids[:1])
    assert session.fill_refusal([bids[1], bids[1]]) == ("E5_TradersNotAscending", bids[1].member)


def test_fill__trader_passed_over__cannot_come_later(session: Session, bids: list[Bid]) -> None:
    session.begin().fill(bids[1:])
    assert session.fill_refusal(bids[:1]) == ("E5_TradersNotAscending", bids[0].member)


@pytest.mark.parametrize(
    "change",
    [
        lambda bid: replace(bid, zone=0),
        lambda bid: replace(bid, zone=1_000),
        lambda bid: replace(bid, steps=()),
        lambda bid: replace(bid, steps=(*bid.steps, Step(3, 30_000, -1))),
        lambda bid: replace(bid, steps=(*bid.steps, Step(255, 30_000, -1))),
        lambda bid: replace(bid, steps=(bid.steps[0]._replace(price=29_999), *bid.steps[1:])),
    ],
    ids=["zone", "no such zone", "no steps", "one more step", "no such slot", "price"],
)
def test_fill__bid_altered__e5(
    session: Session, bids: list[Bid], consumer: Participant, change: Callable[[Bid], Bid]
) -> None:
    session.begin()
    altered = [change(bid) if bid.member == consumer.address else bid for bid in bids]
    assert session.fill_refusal(altered) == ("E5_BidNotRecorded", consumer.address)


def test_fill__bid_made_up_for_a_stranger__e5(session: Session, bids: list[Bid]) -> None:
    made_up = Bid(NOBODYS, 2, (Step(0, 30_000, -1),))
    session.begin().fill(bids)
    assert session.fill_refusal([made_up]) == ("E5_BidNotRecorded", NOBODYS)


def test_fill__bid_of_another_auction__e5(session: Session, bids: list[Bid]) -> None:
    market = session.day.market
    market.await_clearing(1)
    other = Session(replace(session.day, auction=1), session.solver).begin()
    assert other.fill_refusal(bids) == ("E5_BidNotRecorded", bids[0].member)


@pytest.mark.parametrize("change", [lambda b: b[:-1], lambda b: b + b"\0", lambda b: b[:10]])
def test_fill__cut_or_padded__refused(session: Session, bids: list[Bid], change: Any) -> None:
    sent = change(packed(bids))
    assert session.begin().fill_refusal(sent) == ("MalformedBids", len(sent))


# ------------------------------------------------------------------------------------- the other rules


def refused_as_in_one_transaction(session: Session) -> Any:
    """What is said to the session's claim, in one transaction and in chunks alike."""
    answer = session.verdict([1, 2, 2])
    assert answer == session.day.refusal(session.claim)
    return answer


@pytest.mark.parametrize(
    ("place", "changes", "rule"),
    [
        ((2, 0, "sell"), {"filled": 4_001}, "E1_SoldBeyondOffer"),
        ((2, 1, "buy"), {"filled": 3_001}, "E2_BoughtBeyondOffer"),
        ((2, 0, "sell"), {}, "E1_SellStepNotNamed"),
        ((2, 1, "buy"), {}, "E2_BuyStepNotNamed"),
        ((2, 0, "sell"), {"quantity": 5_000}, "S4_MarginalQuantity"),
        ((2, 0, "sell"), {"filled": 3_001}, "E4_OutOfBalance"),
    ],
)
def test_claim__one_marginal_wrong__same_rule(
    session: Session, place: tuple[int, int, str], changes: dict[str, int], rule: str
) -> None:
    session.claim = session.day.with_marginal(*place, **changes)
    assert refused_as_in_one_transaction(session)[0] == rule


@pytest.mark.parametrize(
    ("place", "shift", "rule"),
    [
        ((3, 0), 26, "E3_PriceDifference"),
        ((2, 3), 1, "E6_PriceNotCanonical"),
        ((2, 3), -1, "E6_PriceNotCanonical"),
    ],
)
def test_claim__one_price_wrong__same_rule(
    session: Session, place: tuple[int, int], shift: int, rule: str
) -> None:
    zone, slot = place
    session.claim = session.day.with_price(zone, slot, session.day.claim.prices[zone][slot] + shift)
    assert refused_as_in_one_transaction(session)[0] == rule


def test_claim__volume_withheld__same_rule(session: Session) -> None:
    less = replace(session.day, claim=session.day.with_marginal(3, 3, "sell", filled=0))
    session.claim = less.with_marginal(3, 3, "buy", filled=0)
    assert refused_as_in_one_transaction(session)[0] == "E7_TradeWithheld"


def test_begin__malformed__same_errors(session: Session) -> None:
    prices, marginals = session.prices, session.marginals
    assert session.begin_refusal(prices[:-1]) == ("MalformedPrices", len(prices) - 1, len(prices))
    assert session.begin_refusal(prices, marginals[:-1]) == ("MalformedMarginals", len(marginals) - 1)


# ------------------------------------------------------------------------------------- time


def test_every_call__before_the_gate_closes__refused(session: Session) -> None:
    later = Session(replace(session.day, auction=1), session.solver)
    schedule = session.day.market.config.schedule
    expected = ("NotClearingTime", 1, schedule.clearing_start(1), schedule.clearing_deadline(1))
    assert later.begin_refusal() == later.fill_refusal(b"") == later.close_refusal() == expected


def test_every_call__from_the_deadline_on__refused(session: Session) -> None:
    market, schedule = session.day.market, session.day.market.config.schedule
    session.begin().fill_all()
    market.travel(schedule.clearing_deadline(0) - 1)
    assert session.close_refusal() is None
    market.travel(schedule.clearing_deadline(0))
    expected = ("NotClearingTime", 0, schedule.clearing_start(0), schedule.clearing_deadline(0))
    assert session.begin_refusal() == session.fill_refusal(b"") == session.close_refusal() == expected


def test_close__auction_void_and_released_meanwhile__refused(session: Session) -> None:
    market, schedule = session.day.market, session.day.market.config.schedule
    session.begin().fill_all()
    market.travel(schedule.clearing_deadline(0))
    market.market.release(0, [p.address for p in market.participants], sender=session.solver)
    assert session.close_refusal()[0] == "NotClearingTime"
    assert session.enter_refusal(0) == ("NotClosed", 0)
