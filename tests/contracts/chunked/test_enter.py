"""Entering positions: by anyone, in any order, as often as anyone likes, and only what was accepted."""

from typing import Any

import pytest
from eth_utils import keccak

from clearwatt.chain import codec
from tests.contracts.chunked.session import Session, ordered
from tests.contracts.community import Community, Participant
from tests.contracts.day import Day
from tests.contracts.market.records import BID, POSITION, SPENT, record_of
from tests.contracts.refusals import refusal


@pytest.fixture
def closed(session: Session) -> Session:
    """Cleared in chunks of two, nothing entered."""
    session.begin().fill_all(2).close()
    return session


def stages(session: Session) -> list[int]:
    """Of every bidder's record, in the order of the bids."""
    market = session.day.market
    by_address = {participant.address: participant for participant in market.participants}
    bids = ordered(session.day.problem.bids)
    return [record_of(market, 0, by_address[bid.member]).stage for bid in bids]


def test_enter__before_close__refused(session: Session) -> None:
    session.begin().fill_all()
    assert session.enter_refusal(0) == ("NotClosed", 0)


def test_enter__by_anyone_in_any_order__entered(closed: Session, rival: Session) -> None:
    closed.enter(2, sender=rival.solver)
    assert stages(closed) == [BID, BID, BID, BID, POSITION]
    closed.enter(0)
    assert stages(closed) == [POSITION, POSITION, BID, BID, POSITION]
    closed.enter(1)
    assert set(stages(closed)) == {POSITION}


def test_enter__twice__second_time_changes_nothing(closed: Session) -> None:
    closed.enter(0)
    before = [closed.day.market.market.recordOf(0, p.address) for p in closed.day.market.participants]
    closed.enter(0)
    after = [closed.day.market.market.recordOf(0, p.address) for p in closed.day.market.participants]
    assert after == before


def test_enter__entries_altered__refused(closed: Session) -> None:
    entries = closed.entries[0]
    for wrong in (
        entries[:-1] + b"\0",
        entries[52:],
        entries[:52],
        entries + entries,
        b"",
        entries[52:] + entries[:52],
    ):
        assert closed.enter_refusal(0, entries=wrong) == ("EntriesMismatch", 0, 0)


def test_enter__another_chunks_entries__refused(closed: Session) -> None:
    assert closed.enter_refusal(0, entries=closed.entries[1]) == ("EntriesMismatch", 0, 0)


def test_enter__chunk_out_of_range__refused(closed: Session) -> None:
    assert closed.enter_refusal(3) == ("EntriesMismatch", 0, 3)


def test_enter__chunks_made_up__refused(closed: Session, producer: Participant) -> None:
    forged = bytes.fromhex(producer.address[2:]) + bytes(keccak(b"a better position"))
    chunks = [bytes(keccak(forged))]
    assert closed.enter_refusal(0, chunks=chunks, entries=forged) == ("EntriesMismatch", 0, 0)
    chunks = [*closed.chunks, bytes(keccak(forged))]
    assert closed.enter_refusal(3, chunks=chunks, entries=forged) == ("EntriesMismatch", 0, 3)
    assert closed.enter_refusal(0, chunks=[]) == ("EntriesMismatch", 0, 0)


def test_enter__another_auctions_chunks__refused(closed: Session) -> None:
    sent = (1, closed.chunks, 0, closed.entries[0])
    assert refusal(closed.contract.enter, *sent, sender=closed.solver) == ("NotClosed", 1)


def test_settle__position_not_entered__refused_until_it_is(closed: Session, producer: Participant) -> None:
    market, day = closed.day.market, closed.day
    market.travel(market.config.schedule.delivery_end(0))
    prices = market.post_imbalance(0, day.claim)
    sent = (0, prices, day.delivery(producer))
    settle = market.settlement.settle
    assert refusal(settle, *sent, sender=market.owner) == ("RecordMismatch", 0, producer.address)
    for chunk in range(3):
        closed.enter(chunk)
    settle(*sent, sender=market.owner)
    assert record_of(market, 0, producer).stage == SPENT


def test_enter__after_settlement__the_record_stays_spent(closed: Session, producer: Participant) -> None:
    market, day = closed.day.market, closed.day
    settle_everybody(closed)
    before = market.market.recordOf(0, producer.address)
    for chunk in range(3):
        closed.enter(chunk)
    assert market.market.recordOf(0, producer.address) == before
    assert set(stages(closed)) == {SPENT}
    assert day.market.market.auctionOf(0).cleared
    market.assert_money_conserved()


def settle_everybody(closed: Session) -> None:
    market, day = closed.day.market, closed.day
    for chunk in range(3):
        closed.enter(chunk)
    market.travel(market.config.schedule.delivery_end(0))
    prices = market.post_imbalance(0, day.claim)
    for participant in market.participants:
        market.settlement.settle(0, prices, day.delivery(participant), sender=market.owner)


def test_enter__record_in_use_again__left_alone(closed: Session, producer: Participant) -> None:
    market = closed.day.market
    settle_everybody(closed)
    again = later_auction_of_the_same_record(market)
    market.open_gate(again)
    market.bid(producer, again, [(0, 5_000, 100)])
    before = market.market.recordOf(again, producer.address)
    for chunk in range(3):
        closed.enter(chunk)
    assert market.market.recordOf(again, producer.address) == before
    assert record_of(market, again, producer).stage == BID


def test_bid__record_cleared_but_not_entered__refused(closed: Session, producer: Participant) -> None:
    """Or the position that waits to be entered would be lost, and with it what it pays."""
    market = closed.day.market
    again = later_auction_of_the_same_record(market)
    market.open_gate(again)
    bid = codec.pack_steps(())
    answer = refusal(market.market.bid, again, bid, sender=producer.account)
    assert answer == ("RecordInUse", 0, producer.address)


def later_auction_of_the_same_record(market: Community) -> int:
    ring = market.config.ring_size
    schedule = market.config.schedule
    now = market.chain.pending_timestamp
    return next(n for n in range(ring, 10_000 * ring, ring) if schedule.opening(n) > now)


def test_market__strangers_accept_or_enter__refused(closed_day: Day, stranger: Any) -> None:
    market = closed_day.market.market
    expected = ("NotConnectedCaller", stranger.address)
    assert refusal(market.enterPositions, 0, b"", sender=stranger) == expected
    assert refusal(market.acceptChunked, 0, bytes(32), sender=stranger) == expected
