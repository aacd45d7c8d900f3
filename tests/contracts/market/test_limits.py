"""What keeps an auction within what one transaction can clear."""

from collections.abc import Callable
from typing import Any

import pytest

from clearwatt.bids import Step, pack_steps
from clearwatt.chain.capacity import MAX_GAS
from tests.contracts.community import Community, Participant
from tests.contracts.market.signed import outcome
from tests.contracts.refusals import Refusal, refusal

STEPS = [(0, 30_000, -1_000)]


def answer(market: Community, participant: Participant, *steps: tuple[int, int, int]) -> Refusal | None:
    packed = pack_steps([Step(*step) for step in steps])
    return refusal(market.market.bid, 0, packed, sender=participant.account)


def test_min_quantity__step_below_it__refused_either_way(
    deploy: Callable[..., Community], accounts: Any
) -> None:
    market = deploy(min_quantity=100)
    member = market.admit(accounts[3], zone=1)
    market.open_gate(0)
    assert answer(market, member, (0, 1, 100), (1, 1, -100)) is None
    assert answer(market, member, (0, 1, 99)) == ("StepTooSmall", 0, 99, 100)
    assert answer(market, member, (0, 1, 100), (0, 1, -99)) == ("StepTooSmall", 1, 99, 100)
    receipt = market.bid_signed(0, {member.address: [(0, 1, -99)]})
    assert outcome(market, receipt) == ([], [(member.address, "BundleUnsound")])


def test_max_steps__bundle_of_one_more__refused(deploy: Callable[..., Community], accounts: Any) -> None:
    market = deploy(max_steps=3)
    member = market.admit(accounts[3], zone=1)
    market.open_gate(0)
    assert answer(market, member, *[(0, 1, 1)] * 3) is None
    assert answer(market, member, *[(0, 1, 1)] * 4) == ("TooManySteps", 4, 3)
    receipt = market.bid_signed(0, {member.address: [(0, 1, 1)] * 4})
    assert outcome(market, receipt) == ([], [(member.address, "TooManySteps")])


@pytest.mark.parametrize(("lowest", "highest"), [(-10, 15), (5, 5), (-(2**23), 2**23 - 1)])
def test_price_bounds__a_tick_beyond__refused(
    deploy: Callable[..., Community], accounts: Any, lowest: int, highest: int
) -> None:
    market = deploy(min_price=lowest, max_price=highest)
    member = market.admit(accounts[3], zone=1)
    market.open_gate(0)
    assert answer(market, member, (0, lowest, 1), (0, highest, 1), (0, lowest, -1), (0, highest, -1)) is None
    for price in (lowest - 1, highest + 1):
        if -(2**23) <= price < 2**23:
            assert answer(market, member, (0, price, 1)) == ("StepPriceOutOfBounds", 0, price)


@pytest.fixture
def full(deploy: Callable[..., Community], accounts: Any) -> Community:
    """An auction of a market for two members in which two have bid; a third takes the place of the first, suspended."""
    market = deploy(max_members=2)
    for number in (3, 4):
        market.admit(accounts[number], zone=1)
    market.open_gate(0)
    for participant in market.participants:
        market.bid(participant, 0, STEPS)
    market.registry.suspend(market.participants[0].address, sender=market.owner)
    market.admit(accounts[5], zone=1)
    return market


def test_max_members__auction_full__another_bid_refused(full: Community) -> None:
    _, second, third = full.participants
    assert answer(full, third) == ("AuctionFull", 0)
    receipt = full.bid_signed(0, {third.address: STEPS})
    assert outcome(full, receipt) == ([], [(third.address, "AuctionFull")])
    full.bid(second, 0, [(1, 20_000, -1_000)])
    assert full.market.auctionOf(0).liveBids == 2


def test_max_members__auction_full__signed_replacement_placed(
    deploy: Callable[..., Community], accounts: Any
) -> None:
    market = deploy(max_members=2)
    members = [market.admit(accounts[number], zone=1) for number in (3, 4)]
    market.open_gate(0)
    market.bid_signed(0, {member.address: STEPS for member in members}, nonce=1)
    receipt = market.bid_signed(0, {member.address: STEPS for member in members}, nonce=2)
    assert outcome(market, receipt) == ([member.address for member in members], [])
    assert market.market.auctionOf(0).liveBids == 2


def test_max_members__bid_cancelled__its_place_free_again(full: Community) -> None:
    first, _, third = full.participants
    full.market.cancel(0, sender=first.account)
    assert answer(full, third) is None
    full.bid(third, 0, STEPS)
    assert full.market.auctionOf(0).liveBids == 2


def test_full_auction__at_all_limits__clears_in_one_transaction(
    deploy: Callable[..., Community], accounts: Any
) -> None:
    market = deploy(slots=4, max_steps=8, max_members=6)
    assert market.config.fits_one_transaction
    members = [market.admit(accounts[number], zone=number % 4) for number in range(3, 9)]
    market.open_gate(0)
    for number, member in enumerate(members):
        sign = 1 if number % 2 else -1
        steps = [(slot, 10_000 + sign * rank, -sign * 1_000) for slot in range(4) for rank in (0, 1)]
        market.bid(member, 0, steps)
    market.await_clearing(0)
    _, _, _, receipt = market.clear(0)
    assert receipt.gas_used <= market.config.auctions.gas(6, 48) <= MAX_GAS
    assert market.market.auctionOf(0).cleared
    market.assert_money_conserved()
