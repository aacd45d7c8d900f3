"""Positions spent by settlement: several in one call, each once, and answered with what stood behind them."""

from typing import Any

import pytest
from eth_utils import keccak

from clearwatt.chain import codec
from tests.contracts.community import Participant
from tests.contracts.day import Day
from tests.contracts.market.records import DIGEST_BITS, SPENT, record_of
from tests.contracts.refusals import refusal


def spending(day: Day, participant: Participant, claim: bytes) -> bytes:
    """One entry of `Market.spend`."""
    position = codec.pack_position(day.position(participant))
    return bytes.fromhex(participant.address[2:]) + keccak(position) + claim


@pytest.fixture
def settlement(cleared_day: Day, accounts: Any) -> Any:
    """The settlement contract's account, to call as it does."""
    market = cleared_day.market
    market.chain.provider.set_balance(market.settlement.address, 10**18)
    return accounts.impersonate_account(market.settlement.address)


def test_spend__several__spent_with_their_claims_and_answered_with_their_locks(
    cleared_day: Day, settlement: Any
) -> None:
    market, spend = cleared_day.market, cleared_day.market.market.spend
    members = market.participants[::-1]
    claims = [keccak(text=member.address) for member in members]
    entries = b"".join(spending(cleared_day, *pair) for pair in zip(members, claims, strict=True))
    before = [record_of(market, 0, member) for member in members]
    locks = [record.lock for record in before]
    assert len(set(locks)) > 2
    assert list(spend.call(0, entries, sender=settlement)) == locks
    spend(0, entries, sender=settlement)
    for member, claim, record in zip(members, claims, before, strict=True):
        head = int.from_bytes(claim, "big") >> 256 - DIGEST_BITS
        assert record_of(market, 0, member) == record._replace(stage=SPENT, digest=head)


def test_spend__one_position_altered_or_twice__refused_for_all(
    cleared_day: Day, settlement: Any, producer: Participant, consumer: Participant
) -> None:
    spend = cleared_day.market.market.spend
    good, claim = spending(cleared_day, producer, bytes(32)), bytes(32)
    altered = bytes.fromhex(consumer.address[2:]) + keccak(b"a better position") + claim
    answer = refusal(spend, 0, good + altered, sender=settlement)
    assert answer == ("RecordMismatch", 0, consumer.address)
    answer = refusal(spend, 0, good + good, sender=settlement)
    assert answer == ("RecordMismatch", 0, producer.address)
    assert refusal(spend, 1, good, sender=settlement) == ("RecordMismatch", 1, producer.address)
