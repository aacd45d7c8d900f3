"""What attackers have in common."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from clearwatt.chain import codec
from tests.contracts.adversary.driver import read_books
from tests.contracts.attacks.swift import word_of
from tests.contracts.community import Community, Participant
from tests.contracts.day import Day
from tests.contracts.refusals import Refusal, reason, refusal

MONEY = 10**8


def said(answer: Refusal | None) -> str:
    """The name of the error, where a refusal's particulars are somebody else's test."""
    assert answer is not None, "the attack succeeds"
    return str(answer[0])


def assert_books_balance(market: Community) -> None:
    """As `Community.assert_money_conserved`, whatever the token's decimals, in few requests."""
    entries, clearing, held = read_books(market)
    assert sum(entry.balance for entry in entries.values()) + clearing == held
    assert all(entry.locked <= entry.balance for entry in entries.values())
    backing = word_of(market.testeuro.balanceOf, market.vault.address)
    assert backing * MONEY // 10**market.config.token_decimals >= held


def post(
    market: Community, auction: int, signed: Sequence[codec.SignedBid], sender: Any = None
) -> list[tuple[str, bytes]]:
    """Post signed bids; who was passed over, and the selector of the error that says why."""
    receipt = market.post_signed(auction, signed, sender)
    return [(event.member, bytes(event.reason)) for event in receipt.decode_logs(market.market.BidRefused)]


def passed_over(participant: Participant, error: str) -> list[tuple[str, bytes]]:
    """What `post` returns where this bid alone is passed over, for this reason."""
    return [(participant.address, reason(error))]


def live_bids(market: Community, auction: int = 0) -> int:
    return word_of(market.market.auctionOf, auction)


def free_money(market: Community, participant: Participant) -> int:
    return word_of(market.vault.available, participant.address)


def locked(market: Community, participant: Participant) -> int:
    return word_of(market.vault.accountOf, participant.address, word=1)


def balance(market: Community, account: str) -> int:
    return word_of(market.vault.accountOf, account)


def settling(
    day: Day, imbalance: bytes, *deliveries: bytes, auction: int | None = None, sender: Any = None
) -> Refusal | None:
    """What is said to settling these."""
    number = day.auction if auction is None else auction
    sent = (number, imbalance, b"".join(deliveries))
    return refusal(day.market.settlement.settle, *sent, sender=sender or day.market.owner)


def settled(market: Community, receipt: Any) -> list[codec.Settled]:
    """What the log of a `settle` says of every member in it."""
    [event] = receipt.decode_logs(market.settlement.MembersSettled)
    return list(codec.unpack_settlements(bytes(event.settlements), market.config.schedule.slots))


def settle_all(day: Day, imbalance: bytes) -> None:
    market = day.market
    market.settle(day.auction, imbalance, [day.delivery(p) for p in market.participants])
    assert market.vault.clearingAccount() == 0


@contextmanager
def forked(market: Community, chain_id: int = 61) -> Iterator[int]:
    """The chain as it is after a fork that changed its number; Ape goes on believing in the old one."""
    provider, own = market.chain.provider, market.chain_id
    provider.make_request("anvil_setChainId", [chain_id])
    try:
        yield chain_id
    finally:
        provider.make_request("anvil_setChainId", [own])
