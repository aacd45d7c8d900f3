"""Settling: once, after delivery, at the posted prices; and where the money goes."""

from typing import Any

import pytest

from clearwatt.chain import codec
from tests.contracts.community import Participant
from tests.contracts.day import Day
from tests.contracts.market.records import SPENT, record_of
from tests.contracts.refusals import Refusal, refusal

DEVIATIONS = {
    0: (0, 0, 40, 0),
    1: (10, -20, 0, 5),
    2: (-30, 0, 0, 7),
    3: (0, 0, 900, -1_000),
    4: (1, 1, 1, -1),
}
"""Wh by which each participant's meter is off its position, per slot."""
SPREAD = 1_000
POSITION_AT = 21
"""Bytes of a delivery before the position."""


def answer(day: Day, imbalance: bytes, *deliveries: bytes, auction: int = 0) -> Refusal | None:
    packed = b"".join(deliveries)
    return refusal(day.market.settlement.settle, auction, imbalance, packed, sender=day.market.owner)


def settle(day: Day, imbalance: bytes, *deliveries: bytes) -> list[codec.Settled]:
    """What is logged of settling these."""
    return day.market.settlements(day.market.settle(0, imbalance, deliveries))


def imbalance_money(day: Day, participant: Participant, deviations: tuple[int, ...]) -> int:
    """What the deviations earn: more at the surplus price, less at the shortage price."""
    prices = day.claim.prices[participant.zone]
    return sum(
        d * (price - SPREAD if d > 0 else price + SPREAD) for d, price in zip(deviations, prices, strict=True)
    )


def test_settle__everybody__money_to_the_unit(
    delivered_day: Day, imbalance: bytes, retailer: Participant
) -> None:
    market = delivered_day.market
    before = {p.address: market.vault.accountOf(p.address).balance for p in market.participants}
    deliveries = [delivered_day.delivery(p, DEVIATIONS[i]) for i, p in enumerate(market.participants)]
    settled = settle(delivered_day, imbalance, *deliveries)
    earned = [imbalance_money(delivered_day, p, DEVIATIONS[i]) for i, p in enumerate(market.participants)]
    assert [one.member for one in settled] == [p.address for p in market.participants]
    assert [one.imbalance for one in settled] == earned
    for participant, money in zip(market.participants[1:], earned[1:], strict=True):
        expected = before[participant.address] + delivered_day.position(participant).cash + money
        account = market.vault.accountOf(participant.address)
        assert (account.balance, account.locked, account.debt) == (expected, 0, 0)
    # the balancing party is the counterparty of every imbalance but its own
    expected = before[retailer.address] + delivered_day.position(retailer).cash - sum(earned[1:])
    assert market.vault.accountOf(retailer.address).balance == expected
    assert market.vault.clearingAccount() == 0
    assert market.vault.accountOf(market.config.network_account).balance == delivered_day.income()
    market.assert_money_conserved()


def test_settle__one_after_the_other__as_all_at_once(delivered_day: Day, imbalance: bytes) -> None:
    market = delivered_day.market
    for index, participant in enumerate(market.participants):
        settle(delivered_day, imbalance, delivered_day.delivery(participant, DEVIATIONS[index]))
        assert record_of(market, 0, participant).stage == SPENT
        market.assert_money_conserved()
    assert market.vault.clearingAccount() == 0
    assert market.settlement.totalsOf(0).settled == 5


def test_settle__reading_equals_position__no_imbalance(
    delivered_day: Day, imbalance: bytes, producer: Participant
) -> None:
    [settled] = settle(delivered_day, imbalance, delivered_day.delivery(producer))
    assert (settled.cash, settled.imbalance) == (delivered_day.position(producer).cash, 0)
    assert settled.readings == (3_000, 1_000, 20_000, 500)


def test_settle__twice__refused(delivered_day: Day, imbalance: bytes, producer: Participant) -> None:
    delivery = delivered_day.delivery(producer)
    mismatch = ("RecordMismatch", 0, producer.address)
    assert answer(delivered_day, imbalance, delivery, delivery) == mismatch
    settle(delivered_day, imbalance, delivery)
    assert answer(delivered_day, imbalance, delivery) == mismatch


def test_settle__other_imbalance_prices__refused(
    delivered_day: Day, imbalance: bytes, producer: Participant
) -> None:
    other = delivered_day.market.imbalance(delivered_day.claim, spread=0)
    assert answer(delivered_day, other, delivered_day.delivery(producer)) == ("ImbalanceNotFinal", 0)


@pytest.mark.parametrize(
    "change",
    [
        lambda p: p._replace(zone=0),
        lambda p: p._replace(cash=p.cash + 1),
        lambda p: p._replace(fills=(p.fills[0] + 1, *p.fills[1:])),
    ],
    ids=["zone", "cash", "fill"],
)
def test_settle__altered_position__refused(
    delivered_day: Day, imbalance: bytes, producer: Participant, change: Any
) -> None:
    position = change(delivered_day.position(producer))
    delivery = with_position(delivered_day.delivery(producer), position)
    assert answer(delivered_day, imbalance, delivery) == ("RecordMismatch", 0, producer.address)


def with_position(delivery: bytes, position: codec.Position) -> bytes:
    """The delivery with another position in it."""
    packed = codec.pack_position(position)
    return delivery[:POSITION_AT] + packed + delivery[POSITION_AT + len(packed) :]


def test_settle__position_of_another_member__refused(
    delivered_day: Day, imbalance: bytes, producer: Participant, consumer: Participant
) -> None:
    delivery = with_position(delivered_day.delivery(producer), delivered_day.position(consumer))
    assert answer(delivered_day, imbalance, delivery) == ("RecordMismatch", 0, producer.address)


@pytest.mark.parametrize("kept", [1, 20, 21, 30, 46, 47, 63, 64, 127])
def test_settle__deliveries_end_in_the_middle__refused(
    delivered_day: Day, imbalance: bytes, producer: Participant, consumer: Participant, kept: int
) -> None:
    whole = delivered_day.delivery(consumer)
    cut = delivered_day.delivery(producer)[:kept]
    malformed = ("MalformedDeliveries", len(whole) + kept)
    assert answer(delivered_day, imbalance, whole, cut) == malformed
    assert answer(delivered_day, imbalance, cut) == ("MalformedDeliveries", kept)


def test_settle__nobody__accepted_and_changes_nothing(delivered_day: Day, imbalance: bytes) -> None:
    receipt = delivered_day.market.settle(0, imbalance, [])
    assert list(receipt.logs) == []
    assert delivered_day.market.settlement.totalsOf(0).settled == 0


# ------------------------------------------------------------------------------------------ who cannot pay

FAR_OFF = -2_000_000_000


def test_settle__member_cannot_pay__debt_blocks_bids_and_withdrawal_until_repaid(
    delivered_day: Day, imbalance: bytes, consumer: Participant
) -> None:
    market = delivered_day.market
    settle(delivered_day, imbalance, delivered_day.delivery(consumer, (FAR_OFF, 0, 0, 0)))
    account = market.vault.accountOf(consumer.address)
    assert (account.balance, account.locked) == (0, 0)
    assert account.debt > 0
    market.assert_money_conserved()
    market.open_gate(60)
    in_debt = ("InDebt", consumer.address, account.debt)
    sale_that_locks_nothing = codec.pack_bids([])
    assert refusal(market.market.bid, 60, sale_that_locks_nothing, sender=consumer.account) == in_debt
    assert refusal(market.vault.withdraw, 100, sender=consumer.account) == in_debt
    market.vault.deposit(consumer.address, account.debt // 100 + 1, sender=market.owner)
    assert market.vault.accountOf(consumer.address).debt == 0
    assert refusal(market.market.bid, 60, sale_that_locks_nothing, sender=consumer.account) is None
    market.assert_money_conserved()


def test_settle__balancing_party_has_withdrawn__claim_stays_until_collected(
    delivered_day: Day, imbalance: bytes, retailer: Participant, remote_producer: Participant
) -> None:
    market = delivered_day.market
    market.vault.withdraw(market.vault.available(retailer.address), sender=retailer.account)
    deviations = (5_000, 0, 0, 0)
    settle(delivered_day, imbalance, delivered_day.delivery(remote_producer, deviations))
    claim = imbalance_money(delivered_day, remote_producer, deviations)
    assert market.vault.claimOf(remote_producer.address) == claim
    market.assert_money_conserved()
    market.vault.deposit(retailer.address, claim // 100, sender=market.owner)
    market.vault.collect(remote_producer.address, sender=market.owner)
    assert market.vault.claimOf(remote_producer.address) == 0
    market.assert_money_conserved()
