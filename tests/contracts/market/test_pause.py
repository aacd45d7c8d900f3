"""The owner stops new bids at once, and nothing else: what is placed goes its way, and all money with it."""

from collections.abc import Callable
from typing import Any

import pytest

from clearwatt.chain import codec, typed_data
from tests.contracts.community import FAR_FUTURE, SALT, Community, Participant
from tests.contracts.day import close_day, place_bids
from tests.contracts.market.signed import cancel_refusal
from tests.contracts.refusals import refusal

STEPS = [(0, 30_000, -1_000)]
PAUSED = ("BiddingPaused",)


@pytest.fixture
def sealed(deploy: Callable[..., Community], accounts: Any) -> Community:
    """A sealed market with two members, the gate of auction 0 open."""
    market = deploy(reveal_window=600)
    market.admit(accounts[1], zone=0)
    market.admit(accounts[3], zone=2)
    market.open_gate(0)
    return market


def pause(market: Community, paused: bool = True) -> Any:
    return market.market.setPaused(paused, sender=market.owner)


def test_pause__owner_of_the_registry__logged_and_taken_back(
    market: Community, producer: Participant
) -> None:
    market.open_gate(0)
    bid = (market.market.bid, 0, b"")
    for paused, expected in [(True, PAUSED), (False, None)]:
        receipt = pause(market, paused)
        assert [event.paused for event in receipt.decode_logs(market.market.PausedSet)] == [paused]
        assert market.market.paused() is paused
        assert refusal(*bid, sender=producer.account) == expected


def test_pause__anyone_else__refused(market: Community, producer: Participant, stranger: Any) -> None:
    for sender in (stranger, producer.account):
        for paused in (True, False):
            answer = refusal(market.market.setPaused, paused, sender=sender)
            assert answer == ("NotOwner", sender.address)


def test_pause__after_the_office_changed_hands__by_the_new_owner_only(
    market: Community, stranger: Any
) -> None:
    market.registry.transferOwnership(stranger, sender=market.owner)
    assert refusal(market.market.setPaused, True, sender=stranger) == ("NotOwner", stranger.address)
    market.travel(market.registry.ownershipFrom())
    market.registry.acceptOwnership(sender=stranger)
    assert refusal(market.market.setPaused, True, sender=stranger) is None
    answer = refusal(market.market.setPaused, True, sender=market.owner)
    assert answer == ("NotOwner", market.owner.address)


def test_pause__open_market__no_bid_in_person_or_signed(market: Community, producer: Participant) -> None:
    market.open_gate(0)
    signed = codec.pack_signed_bids([market.signed_bid(producer, 0, STEPS)])
    pause(market)
    assert refusal(market.market.bid, 0, b"", sender=producer.account) == PAUSED
    assert refusal(market.market.bidSigned, 0, signed, sender=market.owner) == PAUSED


def test_pause__sealed_market__no_seal_in_person_or_signed(sealed: Community) -> None:
    member = sealed.participants[1]
    message = typed_data.sealed_bid(
        sealed.chain_id, sealed.market.address, 0, member.address, 1, FAR_FUTURE, SALT
    )
    signed = (0, SALT, member.address, 1, FAR_FUTURE, typed_data.sign(member.key, message))
    pause(sealed)
    assert refusal(sealed.market.seal, 0, SALT, sender=member.account) == PAUSED
    assert refusal(sealed.market.sealSigned, *signed, sender=sealed.owner) == PAUSED


def test_pause__bid_placed_before__can_be_cancelled_either_way(
    market: Community, producer: Participant, consumer: Participant, stranger: Any
) -> None:
    place_bids(market)
    pause(market)
    assert cancel_refusal(market, stranger, consumer, 1) == ("NonceUsed", consumer.address, 4095, 4095)
    market.market.cancel(0, sender=producer.account)
    assert market.vault.accountOf(producer.address).locked == 0
    market.assert_money_conserved()


def test_pause__signed_bid_placed_before__can_be_cancelled_by_signature(
    market: Community, consumer: Participant, stranger: Any
) -> None:
    market.open_gate(0)
    market.bid_signed(0, {consumer.address: STEPS}, nonce=1)
    pause(market)
    assert cancel_refusal(market, stranger, consumer, 2) is None


def test_pause__sealed_before__opened_or_forfeited_as_ever(sealed: Community) -> None:
    retailer, member = sealed.participants
    for participant in (retailer, member):
        sealed.seal(participant, 0, STEPS)
    pause(sealed)
    sealed.close_gate(0)
    sealed.open(member, 0, STEPS)
    sealed.await_clearing(0)
    sealed.market.forfeit(0, retailer.address, sender=sealed.owner)
    sealed.clear(0)
    assert sealed.market.auctionOf(0).cleared
    sealed.assert_money_conserved()


def test_pause__whole_day__cleared_settled_and_withdrawn(market: Community) -> None:
    day = close_day(market)
    pause(market)
    day.clear()
    market.travel(market.config.schedule.delivery_end(0))
    prices = market.post_imbalance(0, day.claim)
    market.settle(0, prices, [day.delivery(participant) for participant in market.participants])
    assert market.vault.clearingAccount() == 0
    for participant in market.participants:
        account = market.vault.accountOf(participant.address)
        assert account.locked == 0
        market.vault.withdraw(account.balance, sender=participant.account)
    market.assert_money_conserved()


def test_pause__void_auction__locks_released(market: Community, consumer: Participant, stranger: Any) -> None:
    market.open_gate(0)
    market.bid(consumer, 0, STEPS)
    pause(market)
    market.travel(market.config.schedule.clearing_deadline(0))
    market.market.release(0, [consumer.address], sender=stranger)
    assert market.vault.accountOf(consumer.address).locked == 0
    tokens = market.vault.withdraw.call(market.vault.available(consumer.address), sender=consumer.account)
    assert tokens > 0


def test_pause__deposit__taken_as_ever(market: Community, consumer: Participant) -> None:
    pause(market)
    before = market.vault.available(consumer.address)
    market.vault.deposit(consumer.address, 10**6, sender=market.owner)
    assert market.vault.available(consumer.address) == before + 10**8
