"""Clearing small auctions, each made for one question: time, nobody there, cancelled bids, rounding."""

from tests.contracts.community import Community, Participant
from tests.contracts.day import Day
from tests.contracts.market.records import POSITION, record_of


def test_clear__before_gate_closure_and_after_the_deadline__refused_to_the_second(
    market: Community, producer: Participant
) -> None:
    schedule = market.config.schedule
    market.open_gate(0)
    market.bid(producer, 0, [(0, 100, 10)])
    day = Day(market, 0, *market.solve(0))
    closure, deadline = schedule.gate_closure(0), schedule.clearing_deadline(0)
    not_now = ("NotClearingTime", 0, closure, deadline)
    for moment, expected in [
        (closure - 1, not_now),
        (closure, None),
        (deadline - 1, None),
        (deadline, not_now),
    ]:
        market.travel(moment)
        assert day.refusal() == expected


def test_clear__nobody_bid__accepted_at_the_middle_of_the_bounds(market: Community) -> None:
    market.close_gate(0)
    _, result, _, receipt = market.clear(0)
    assert {price for row in result.prices for price in row} == {(400_000 - 50_000) // 2}
    assert [event.networkIncome for event in receipt.decode_logs(market.clearing.Cleared)] == [0]


def test_clear__only_bundles_without_steps__accepted(market: Community, producer: Participant) -> None:
    market.open_gate(0)
    market.bid(producer, 0, [])
    market.close_gate(0)
    market.clear(0)
    assert record_of(market, 0, producer).stage == POSITION


def test_clear__cancelled_bid__not_part_of_it(
    market: Community, producer: Participant, consumer: Participant
) -> None:
    market.open_gate(0)
    market.bid(producer, 0, [(0, 100, 10)])
    market.bid(consumer, 0, [(0, 200, -10)])
    market.market.cancel(0, sender=consumer.account)
    market.close_gate(0)
    with_it = Day(market, 0, *market.solve(0))
    assert with_it.refusal() == ("E5_BidNotRecorded", consumer.address)
    del market.bids[0, consumer.address]
    assert Day(market, 0, *market.solve(0)).refusal() is None


def test_price__midpoint_of_an_odd_width__rounded_down_or_e6(
    market: Community, producer: Participant, consumer: Participant
) -> None:
    market.open_gate(0)
    market.bid(producer, 0, [(0, -8, 100)])
    market.bid(consumer, 0, [(0, -5, -100)])
    market.close_gate(0)
    day = Day(market, 0, *market.solve(0))
    assert day.claim.prices[2][0] == -7
    assert day.refusal() is None
    assert day.refusal(day.with_price(2, 0, -6)) == ("E6_PriceNotCanonical", 2, 0, -6, -7)
