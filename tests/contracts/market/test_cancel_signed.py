"""Taking a bid back by signature."""

from typing import Any

import pytest

from tests.contracts.community import Community, Participant, key_of
from tests.contracts.market.records import BID, LAST_NONCE, SPENT, record_of
from tests.contracts.market.signed import cancel_refusal, cancel_signed, outcome, sign_cancellation
from tests.contracts.refusals import Refusal

STEPS = [(0, 30_000, -1_000)]


@pytest.fixture
def placed(market: Community, consumer: Participant) -> Community:
    """The consumer's signed bid for auction 0 is in, with the nonce 5."""
    market.open_gate(0)
    market.bid_signed(0, {consumer.address: STEPS}, nonce=5)
    return market


def test_cancel_signed__posted_by_anyone__lock_back_and_not_counted(
    placed: Community, consumer: Participant, stranger: Any
) -> None:
    receipt = placed.market.cancelSigned(*cancel_signed(placed, consumer, 6), sender=stranger)
    [event] = receipt.decode_logs(placed.market.BidCancelled)
    assert (event.auction, event.member) == (0, consumer.address)
    assert placed.vault.accountOf(consumer.address).locked == 0
    assert placed.market.auctionOf(0).liveBids == 0
    assert record_of(placed, 0, consumer) == (0, 6, 0, 0, SPENT)
    placed.assert_money_conserved()


def test_cancel_signed__then_bids_again__only_with_a_later_nonce(
    placed: Community, consumer: Participant, stranger: Any
) -> None:
    replayed = placed.signed_bid(consumer, 0, STEPS, nonce=5)
    placed.market.cancelSigned(*cancel_signed(placed, consumer, 6), sender=stranger)
    for nonce in (5, 6):
        bid = placed.signed_bid(consumer, 0, STEPS, nonce=nonce) if nonce != 5 else replayed
        assert outcome(placed, placed.post_signed(0, [bid])).refused == [(consumer.address, "NonceUsed")]
    assert cancel_refusal(placed, stranger, consumer, 6) == ("NonceUsed", consumer.address, 6, LAST_NONCE)
    placed.bid_signed(0, {consumer.address: STEPS}, nonce=7)
    assert record_of(placed, 0, consumer).stage == BID
    assert placed.market.auctionOf(0).liveBids == 1


def test_cancel_signed__before_the_bid_it_forestalls__bid_refused(
    placed: Community, producer: Participant, stranger: Any
) -> None:
    placed.market.cancelSigned(*cancel_signed(placed, producer, 2), sender=stranger)
    receipt = placed.bid_signed(0, {producer.address: STEPS}, nonce=1)
    assert outcome(placed, receipt) == ([], [(producer.address, "NonceUsed")])
    assert placed.market.auctionOf(0).liveBids == 1


def test_cancel_signed__bid_placed_in_person__cannot_be_taken_back_by_signature(
    placed: Community, consumer: Participant, stranger: Any
) -> None:
    placed.bid(consumer, 0, STEPS)
    answer = cancel_refusal(placed, stranger, consumer, LAST_NONCE - 1)
    assert answer == ("NonceUsed", consumer.address, LAST_NONCE, LAST_NONCE)


@pytest.mark.parametrize("nonce", [0, 4, 5, LAST_NONCE, LAST_NONCE + 1, 2**256 - 1])
def test_cancel_signed__nonce_used_or_beyond_all__refused(
    placed: Community, consumer: Participant, stranger: Any, nonce: int
) -> None:
    assert cancel_refusal(placed, stranger, consumer, nonce) == (
        "NonceUsed",
        consumer.address,
        5,
        LAST_NONCE,
    )


def test_cancel_signed__deadline__to_the_second(
    placed: Community, consumer: Participant, stranger: Any
) -> None:
    deadline = placed.config.schedule.opening(0) + 100
    expected: list[tuple[int, Refusal | None]] = [
        (deadline, None),
        (deadline + 1, ("SignatureExpired", deadline)),
    ]
    for moment, answer in expected:
        placed.travel(moment)
        assert cancel_refusal(placed, stranger, consumer, 6, deadline=deadline) == answer


def test_cancel_signed__gate_closes__refused_to_the_second(
    placed: Community, consumer: Participant, stranger: Any
) -> None:
    opening, closure = placed.config.schedule.opening(0), placed.config.schedule.gate_closure(0)
    placed.travel(closure - 1)
    assert cancel_refusal(placed, stranger, consumer, 6) is None
    placed.travel(closure)
    assert cancel_refusal(placed, stranger, consumer, 6) == ("GateNotOpen", 0, opening, closure)


def test_cancel_signed__not_the_members_word__refused(
    placed: Community, consumer: Participant, producer: Participant, stranger: Any
) -> None:
    wrong = ("WrongSignature", consumer.address)
    bid = placed.signed_bid(consumer, 0, STEPS, nonce=6)
    for signature in (
        sign_cancellation(placed, producer, 0, 6),
        sign_cancellation(placed, consumer, 1, 6),
        sign_cancellation(placed, consumer, 0, 7),
        bid.signature,
        bytes(65),
        b"",
    ):
        assert cancel_refusal(placed, stranger, consumer, 6, signature=signature) == wrong


def test_cancel_signed__contract_wallet__its_owner_signs(
    placed: Community, project: Any, stranger: Any
) -> None:
    key = key_of("owner of a contract wallet")
    wallet = placed.admit(placed.owner.deploy(project.ContractWallet, key.address), 2, signing_key=key)
    placed.participants.remove(wallet)
    placed.post_signed(0, [placed.signed_bid(wallet, 0, STEPS)])
    assert placed.market.auctionOf(0).liveBids == 2
    placed.market.cancelSigned(*cancel_signed(placed, wallet, 2), sender=stranger)
    assert placed.market.auctionOf(0).liveBids == 1
    assert cancel_refusal(placed, stranger, wallet, 3, signature=bytes(65)) == (
        "WrongSignature",
        wallet.address,
    )
