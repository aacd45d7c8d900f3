"""An auction nobody cleared in time is void, and every lock comes back by anyone's call."""

from typing import Any

import pytest

from tests.contracts.community import Community, Participant
from tests.contracts.market.records import SPENT, record_of
from tests.contracts.refusals import refusal


@pytest.fixture
def uncleared(market: Community, consumer: Participant) -> Community:
    """A bid is in, the gate closed, and it is the last second in which the auction could be cleared."""
    market.open_gate(0)
    market.bid(consumer, 0, [(0, 30_000, -1_000)])
    market.travel(market.config.schedule.clearing_deadline(0) - 1)
    return market


def test_release__before_the_clearing_deadline__refused_to_the_second(
    uncleared: Community, consumer: Participant, stranger: Any
) -> None:
    assert not uncleared.market.isVoid(0)
    assert refusal(uncleared.market.release, 0, [consumer.address], sender=stranger) == ("NotVoid", 0)
    uncleared.travel(uncleared.config.schedule.clearing_deadline(0))
    assert uncleared.market.isVoid(0)
    assert refusal(uncleared.market.release, 0, [consumer.address], sender=stranger) is None


def test_release__void_auction__anyone_gives_the_lock_back_once(
    uncleared: Community, consumer: Participant, producer: Participant, stranger: Any
) -> None:
    release = uncleared.market.release
    uncleared.travel(uncleared.config.schedule.clearing_deadline(0))
    receipt = release(0, [consumer.address], sender=stranger)
    [event] = receipt.decode_logs(uncleared.market.BidReleased)
    assert (event.auction, event.member) == (0, consumer.address)
    assert uncleared.vault.accountOf(consumer.address).locked == 0
    assert record_of(uncleared, 0, consumer).stage == SPENT
    both = [consumer.address, producer.address]
    assert refusal(release, 0, both, sender=stranger) == ("NothingToRelease", 0)


def test_release__cleared_auction__refused(
    uncleared: Community, consumer: Participant, stranger: Any
) -> None:
    uncleared.clear(0)
    uncleared.travel(uncleared.config.schedule.clearing_deadline(0))
    assert refusal(uncleared.market.release, 0, [consumer.address], sender=stranger) == ("NotVoid", 0)
