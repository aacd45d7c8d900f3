"""What a wallet signs as it shows it to its owner is what the market takes: signatures by viem, not by our own code."""

from collections.abc import Callable
from typing import Any

import pytest
from eth_account.messages import _hash_eip191_message, encode_typed_data

from clearwatt.bids import Step, pack_steps
from clearwatt.chain import typed_data
from clearwatt.chain.codec import SignedBid
from clearwatt.chain.typed_data import TypedData
from tests.contracts.community import FAR_FUTURE, SALT, Community, Participant, key_of
from tests.contracts.market.records import BID, SEALED, SPENT, record_of
from tests.contracts.wallets import viem

STEPS = pack_steps([Step(0, 30_000, -1_000), Step(3, -50_000, 7)])


def bid_message(market: Community, member: str, nonce: int = 1, steps: bytes = STEPS) -> TypedData:
    return typed_data.bid(market.chain_id, market.market.address, 0, member, nonce, FAR_FUTURE, steps)


def cancellation_message(market: Community, member: str, nonce: int) -> TypedData:
    return typed_data.cancellation(market.chain_id, market.market.address, 0, member, nonce, FAR_FUTURE)


def sealed_message(market: Community, member: str, commitment: bytes = SALT) -> TypedData:
    address = market.market.address
    return typed_data.sealed_bid(market.chain_id, address, 0, member, 1, FAR_FUTURE, commitment)


def test_messages__hashed_by_viem__same_digest_and_signature_as_ours(
    market: Community, consumer: Participant
) -> None:
    messages = [
        bid_message(market, consumer.address),
        bid_message(market, consumer.address, nonce=4_094, steps=b""),
        cancellation_message(market, consumer.address, 2),
        sealed_message(market, consumer.address),
    ]
    for message, signed in zip(messages, viem.sign(consumer.key, messages), strict=True):
        assert signed.digest == bytes(_hash_eip191_message(encode_typed_data(full_message=message)))
        assert signed.signature == typed_data.sign(consumer.key, message)
    assert len({bytes(signed.digest) for signed in viem.sign(consumer.key, messages)}) == len(messages)


def test_bid_and_cancellation__signed_by_viem__taken_as_they_come(
    market: Community, consumer: Participant, stranger: Any
) -> None:
    market.open_gate(0)
    member = consumer.address
    messages = [bid_message(market, member, nonce=1), cancellation_message(market, member, nonce=2)]
    bid, cancellation = viem.sign(consumer.key, messages)
    market.post_signed(0, [SignedBid(member, 1, FAR_FUTURE, STEPS, bid.signature)], sender=stranger)
    assert record_of(market, 0, consumer).stage == BID
    market.market.cancelSigned(0, member, 2, FAR_FUTURE, cancellation.signature, sender=stranger)
    assert record_of(market, 0, consumer).stage == SPENT


def test_bid__signed_by_viem_for_a_contract_wallet__taken_as_it_comes(
    market: Community, project: Any, stranger: Any
) -> None:
    key = key_of("owner of a contract wallet")
    wallet = market.admit(market.owner.deploy(project.ContractWallet, key.address), 2, signing_key=key)
    market.participants.remove(wallet)
    market.open_gate(0)
    [bid] = viem.sign(key, [bid_message(market, wallet.address)])
    market.post_signed(0, [SignedBid(wallet.address, 1, FAR_FUTURE, STEPS, bid.signature)], sender=stranger)
    assert record_of(market, 0, wallet).stage == BID


@pytest.fixture
def sealed(deploy: Callable[..., Community], accounts: Any) -> Community:
    """A sealed market with one member."""
    market = deploy(reveal_window=600)
    market.admit(accounts[3], zone=2)
    return market


def test_sealed_bid__signed_by_viem__taken_and_opened(sealed: Community, stranger: Any) -> None:
    [member] = sealed.participants
    steps = [(0, 30_000, -1_000)]
    commitment = sealed.commitment(member, 0, steps)
    sealed.open_gate(0)
    [signed] = viem.sign(member.key, [sealed_message(sealed, member.address, commitment)])
    arguments = (0, commitment, member.address, 1, FAR_FUTURE, signed.signature)
    sealed.market.sealSigned(*arguments, sender=stranger)
    assert record_of(sealed, 0, member).stage == SEALED
    sealed.close_gate(0)
    sealed.open(member, 0, steps, sender=stranger)
    assert record_of(sealed, 0, member).stage == BID
