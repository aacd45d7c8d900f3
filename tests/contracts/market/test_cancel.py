"""Taking a bundle back."""

import pytest

from tests.contracts.community import Community, Participant
from tests.contracts.market.records import BID, LAST_NONCE, SPENT, record_of
from tests.contracts.refusals import reason, refusal


@pytest.fixture
def placed(market: Community, consumer: Participant) -> Community:
    """The consumer's bid for auction 0 is in, the gate open."""
    market.open_gate(0)
    market.bid(consumer, 0, [(0, 30_000, -1_000)])
    return market


def test_cancel__live_bid__lock_back_and_not_counted(placed: Community, consumer: Participant) -> None:
    receipt = placed.market.cancel(0, sender=consumer.account)
    [event] = receipt.decode_logs(placed.market.BidCancelled)
    assert (event.auction, event.member) == (0, consumer.address)
    assert placed.vault.accountOf(consumer.address).locked == 0
    assert placed.market.auctionOf(0).liveBids == 0
    assert record_of(placed, 0, consumer).stage == SPENT


def test_cancel__no_bid__ends_signing_and_changes_nothing_else(
    placed: Community, producer: Participant
) -> None:
    signed = placed.signed_bid(producer, 0, [(0, 100, 10)], nonce=LAST_NONCE - 1)
    placed.market.cancel(0, sender=producer.account)
    placed.market.cancel(0, sender=producer.account)
    assert record_of(placed, 0, producer) == (0, LAST_NONCE, 0, 0, SPENT)
    assert placed.market.auctionOf(0).liveBids == 1
    [refused] = placed.post_signed(0, [signed]).decode_logs(placed.market.BidRefused)
    assert refused.reason == reason("NonceUsed")
    assert placed.market.auctionOf(0).liveBids == 1


def test_cancel__gate_closes__refused_to_the_second(placed: Community, consumer: Participant) -> None:
    opening, closure = placed.config.schedule.opening(0), placed.config.schedule.gate_closure(0)
    placed.travel(closure - 1)
    assert refusal(placed.market.cancel, 0, sender=consumer.account) is None
    placed.close_gate(0)
    assert refusal(placed.market.cancel, 0, sender=consumer.account) == ("GateNotOpen", 0, opening, closure)


def test_cancel__then_bid_again__counted_once(placed: Community, consumer: Participant) -> None:
    placed.market.cancel(0, sender=consumer.account)
    placed.bid(consumer, 0, [(1, 20_000, -1_000)])
    assert placed.market.auctionOf(0).liveBids == 1
    assert record_of(placed, 0, consumer).stage == BID
