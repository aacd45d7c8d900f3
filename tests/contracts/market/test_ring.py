"""A member's records are a ring: one is used again when the auction it served is over, and not before."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.contracts.community import Community, Participant
from tests.contracts.day import Day
from tests.contracts.market.records import BID, LAST_NONCE, SPENT, lock_up, record_of
from tests.contracts.refusals import Refusal, refusal

STEPS = [(0, 30_000, -1_000)]


@pytest.fixture
def ring(deploy: Callable[..., Community], accounts: Any) -> Community:
    """A market whose records come round every second auction; one member has a bid in auction 0.

    The gate of auction 2 opens when that of auction 0 closes.
    """
    market = deploy(ring_size=2, dispute_window=60)
    market.admit(accounts[1], zone=0)
    market.admit(accounts[3], zone=2)
    market.open_gate(0)
    market.bid(market.participants[1], 0, STEPS)
    return market


@pytest.fixture
def member(ring: Community) -> Participant:
    return ring.participants[1]


def answer(ring: Community, auction: int) -> Refusal | None:
    return refusal(ring.market.bid, auction, b"", sender=ring.participants[1].account)


def test_bid__record_holds_a_live_bid__refused(ring: Community, member: Participant) -> None:
    ring.open_gate(2)
    assert answer(ring, 1) is None
    assert answer(ring, 2) == ("RecordInUse", 0, member.address)
    cancelling = refusal(ring.market.cancel, 2, sender=member.account)
    assert cancelling == ("RecordInUse", 0, member.address)


def test_ring__two_auctions_of_one_record__never_open_at_once(ring: Community) -> None:
    schedule = ring.config.schedule
    for auction in (0, 1, 7):
        assert ring.market.opening(auction + 2) >= ring.market.gateClosure(auction)
    ring.travel(schedule.gate_closure(0) - 1)
    assert answer(ring, 0) is None
    assert answer(ring, 2) == ("GateNotOpen", 2, schedule.opening(2), schedule.gate_closure(2))


def test_bid__record_cancelled__used_again(ring: Community, member: Participant) -> None:
    ring.market.cancel(0, sender=member.account)
    ring.open_gate(2)
    ring.bid(member, 2, STEPS)
    assert record_of(ring, 2, member)[1:] == (LAST_NONCE, lock_up(30_000_000), 1, BID)


def test_bid__record_cancelled_in_person__signing_counts_again_in_the_next_round(
    ring: Community, member: Participant
) -> None:
    ring.market.cancel(0, sender=member.account)
    ring.open_gate(2)
    ring.bid_signed(2, {member.address: STEPS}, nonce=1)
    assert record_of(ring, 2, member)[1:] == (1, lock_up(30_000_000), 1, BID)


def test_bid__earlier_auction_void__its_lock_passes_on(ring: Community, member: Participant) -> None:
    ring.travel(ring.config.schedule.clearing_deadline(0) - 1)
    assert answer(ring, 2) == ("RecordInUse", 0, member.address)
    ring.travel(ring.config.schedule.clearing_deadline(0))
    receipt = ring.bid(member, 2, [(0, 50_000, -1_000)])
    assert [event.auction for event in receipt.decode_logs(ring.market.BidReleased)] == [0]
    assert ring.vault.accountOf(member.address).locked == lock_up(50_000_000)
    assert ring.market.auctionOf(2).liveBids == 1
    assert refusal(ring.market.release, 0, [member.address], sender=ring.owner) == ("NothingToRelease", 0)


def test_bid_signed__earlier_auction_void__its_lock_passes_on(ring: Community, member: Participant) -> None:
    ring.travel(ring.config.schedule.clearing_deadline(0))
    receipt = ring.bid_signed(2, {member.address: [(0, 50_000, -1_000)]})
    assert [event.auction for event in receipt.decode_logs(ring.market.BidReleased)] == [0]
    assert ring.vault.accountOf(member.address).locked == lock_up(50_000_000)
    assert ring.market.auctionOf(2).liveBids == 1


def test_cancel__earlier_auction_void__its_lock_comes_back(ring: Community, member: Participant) -> None:
    ring.travel(ring.config.schedule.clearing_deadline(0))
    receipt = ring.market.cancel(2, sender=member.account)
    assert [event.auction for event in receipt.decode_logs(ring.market.BidReleased)] == [0]
    assert ring.vault.accountOf(member.address).locked == 0
    assert record_of(ring, 2, member) == (0, LAST_NONCE, 0, 1, SPENT)
    assert ring.market.auctionOf(0).liveBids == 1
    assert ring.market.auctionOf(2).liveBids == 0


def test_bid__position_not_settled__refused_until_it_is(ring: Community, member: Participant) -> None:
    ring.close_gate(0)
    problem, result, claim, _ = ring.clear(0)
    assert answer(ring, 2) == ("RecordInUse", 0, member.address)
    ring.travel(ring.config.schedule.clearing_deadline(0))
    assert answer(ring, 2) == ("RecordInUse", 0, member.address)
    ring.travel(ring.config.schedule.delivery_end(0))
    prices = ring.post_imbalance(0, claim)
    delivery = ring.delivery(0, member, ring.position(problem, result, member), [0, 0, 0, 0])
    ring.settle(0, prices, [delivery])
    assert answer(ring, 2) is None
    ring.assert_money_conserved()


def test_clear__record_moved_on_to_a_later_auction__bid_not_recorded(
    ring: Community, member: Participant
) -> None:
    ring.market.cancel(0, sender=member.account)
    ring.open_gate(2)
    ring.bid(member, 2, STEPS)
    problem, result, claim = ring.solve(0)
    assert [bid.member for bid in problem.bids] == [member.address]
    day = Day(ring, 0, problem, result, claim)
    assert day.refusal() == ("E5_BidNotRecorded", member.address)
