"""Disputes of a report: who may, what is at stake, who decides, and what becomes of the report and of the bond."""

from typing import Any

import pytest
from eth_utils import keccak

from clearwatt.chain import codec
from tests.contracts.community import ZERO_ADDRESS, Community, Participant
from tests.contracts.day import Day
from tests.contracts.refusals import Refusal, refusal

NONE, POSTED, DISPUTED, UPHELD = range(4)
PRICES = ZERO_ADDRESS
"""The subject of imbalance prices."""


@pytest.fixture(scope="module")
def reported(delivered_day: Day) -> tuple[Day, bytes]:
    """Imbalance prices posted a moment ago."""
    return delivered_day, delivered_day.market.post_imbalance(0, delivered_day.claim, wait=False)


@pytest.fixture
def disputed(reported: tuple[Day, bytes], consumer: Participant) -> tuple[Day, bytes]:
    """And disputed by the consumer."""
    reported[0].market.quorum.dispute(0, PRICES, sender=consumer.account)
    return reported


def money(market: Community, participant: Participant) -> tuple[int, int]:
    """Balance and what of it is locked."""
    account = market.vault.accountOf(participant.address)
    return account.balance, account.locked


def standing(market: Community, subject: str = PRICES) -> int:
    return int(market.quorum.reportOf(0, subject).standing)


def final(market: Community, content: bytes, subject: str = PRICES) -> bool:
    return bool(market.quorum.isFinal(0, subject, keccak(content)))


def answer(method: Any, *arguments: Any, sender: Any) -> Refusal | None:
    return refusal(method, 0, *arguments, sender=sender)


def post_again(day: Day, prices: bytes) -> Refusal | None:
    market = day.market
    sent = (day.packed_prices, prices, market.sign_imbalance(0, prices))
    return answer(market.settlement.postImbalance, *sent, sender=market.owner)


# ------------------------------------------------------------------------------------------ disputing


def test_dispute__within_the_window__bond_locked_and_the_owner_may_decide_until_its_time_is_over(
    reported: tuple[Day, bytes], consumer: Participant
) -> None:
    market, prices = reported[0].market, reported[1]
    balance, locked = money(market, consumer)
    # the owner's time follows the dispute window, however early the dispute came
    until = market.quorum.reportOf(0, PRICES).finalFrom + market.config.schedule.decision_window
    receipt = market.quorum.dispute(0, PRICES, sender=consumer.account)
    [event] = receipt.decode_logs(market.quorum.ReportDisputed)
    assert (event.subject, event.member, event.decideBefore) == (PRICES, consumer.address, until)
    assert money(market, consumer) == (balance, locked + market.config.dispute_bond)
    assert (standing(market), market.quorum.reportOf(0, PRICES).finalFrom) == (DISPUTED, until)
    assert not final(market, prices)
    market.assert_money_conserved()


def test_dispute__to_the_last_second(reported: tuple[Day, bytes], consumer: Participant) -> None:
    market = reported[0].market
    final_from = market.quorum.reportOf(0, PRICES).finalFrom
    market.travel(final_from - 1)
    assert answer(market.quorum.dispute, PRICES, sender=consumer.account) is None
    market.travel(final_from)
    too_late = answer(market.quorum.dispute, PRICES, sender=consumer.account)
    assert too_late == ("NotDisputable", 0, PRICES)


def test_dispute__not_reported__refused(reported: tuple[Day, bytes], consumer: Participant) -> None:
    market = reported[0].market
    refused = answer(market.quorum.dispute, consumer.address, sender=consumer.account)
    assert refused == ("NotReported", 0, consumer.address)


def test_dispute__second_time__refused(disputed: tuple[Day, bytes], producer: Participant) -> None:
    market = disputed[0].market
    refused = answer(market.quorum.dispute, PRICES, sender=producer.account)
    assert refused == ("NotDisputable", 0, PRICES)


def test_dispute__stranger_or_suspended_or_without_the_bond__refused(
    reported: tuple[Day, bytes], consumer: Participant, producer: Participant, stranger: Any
) -> None:
    market = reported[0].market
    dispute, bond = market.quorum.dispute, market.config.dispute_bond
    assert answer(dispute, PRICES, sender=stranger) == ("NotAMember", stranger.address)
    market.registry.suspend(producer.address, sender=market.owner)
    assert answer(dispute, PRICES, sender=producer.account) == ("NotAMember", producer.address)
    left = bond - 100
    market.vault.withdraw(market.vault.available(consumer.address) - left, sender=consumer.account)
    refused = answer(dispute, PRICES, sender=consumer.account)
    assert refused == ("BalanceTooLow", consumer.address, left, bond)


# ------------------------------------------------------------------------------------------ deciding


def test_decide__stands__final_and_the_bond_goes_to_the_balancing_party(
    disputed: tuple[Day, bytes], consumer: Participant, retailer: Participant
) -> None:
    market, prices, bond = disputed[0].market, disputed[1], disputed[0].market.config.dispute_bond
    (balance, locked), (received, _) = money(market, consumer), money(market, retailer)
    receipt = market.quorum.decide(0, PRICES, True, sender=market.owner)
    [event] = receipt.decode_logs(market.quorum.DisputeDecided)
    assert (event.subject, event.stands) == (PRICES, True)
    assert money(market, consumer) == (balance - bond, locked - bond)
    assert money(market, retailer)[0] == received + bond
    assert (standing(market), final(market, prices)) == (UPHELD, True)
    again = answer(market.quorum.decide, PRICES, False, sender=market.owner)
    assert again == ("NotDisputed", 0, PRICES)
    refused = answer(market.quorum.dispute, PRICES, sender=consumer.account)
    assert refused == ("NotDisputable", 0, PRICES)
    market.assert_money_conserved()


def test_decide__falls__bond_back_and_the_quorum_may_report_something_else(
    disputed: tuple[Day, bytes], consumer: Participant, producer: Participant
) -> None:
    day, prices = disputed
    market, bond = day.market, day.market.config.dispute_bond
    balance, locked = money(market, consumer)
    market.quorum.decide(0, PRICES, False, sender=market.owner)
    assert money(market, consumer) == (balance, locked - bond)
    assert standing(market) == NONE
    # its signatures still fit, and anyone could send them again
    assert post_again(day, prices) == ("AlreadyReported", 0, PRICES)
    second = market.post_imbalance(0, day.claim, spread=0, wait=False)
    assert (standing(market), final(market, prices)) == (POSTED, False)
    market.quorum.dispute(0, PRICES, sender=producer.account)
    market.quorum.decide(0, PRICES, False, sender=market.owner)
    for fallen in (prices, second):
        assert post_again(day, fallen) == ("AlreadyReported", 0, PRICES)
    market.assert_money_conserved()


def test_decide__falls_and_the_quorum_stays_silent__fallback(disputed: tuple[Day, bytes]) -> None:
    day = disputed[0]
    market, fallback = day.market, day.market.settlement.postFallback
    market.quorum.decide(0, PRICES, False, sender=market.owner)
    market.travel(market.config.schedule.substitute_deadline(0))
    fallback(0, day.packed_prices, sender=market.owner)
    own = codec.pack_imbalance(day.claim.prices, day.claim.prices)
    market.settle(0, own, [day.delivery(participant) for participant in market.participants])
    assert market.vault.clearingAccount() == 0
    market.assert_money_conserved()


def test_decide__stranger_or_too_late__refused(disputed: tuple[Day, bytes], stranger: Any) -> None:
    market = disputed[0].market
    decide, until = market.quorum.decide, market.quorum.reportOf(0, PRICES).finalFrom
    refused = answer(decide, PRICES, False, sender=stranger)
    assert refused == ("OwnableUnauthorizedAccount", stranger.address)
    market.travel(until - 1)
    assert answer(decide, PRICES, False, sender=market.owner) is None
    market.travel(until)
    for stands in (True, False):
        assert answer(decide, PRICES, stands, sender=market.owner) == ("DecisionTooLate", until)


# ------------------------------------------------------------------------------------------ the owner stays silent


def test_lapse__owner_silent__report_stands_and_the_bond_goes_back(
    disputed: tuple[Day, bytes], consumer: Participant, stranger: Any
) -> None:
    market, prices = disputed[0].market, disputed[1]
    balance, locked = money(market, consumer)
    lapse, until = market.quorum.lapse, market.quorum.reportOf(0, PRICES).finalFrom
    market.travel(until - 1)
    assert (final(market, prices), answer(lapse, PRICES, sender=stranger)) == (False, ("TooEarly", until))
    market.travel(until)
    assert final(market, prices)
    receipt = lapse(0, PRICES, sender=stranger)
    assert len(list(receipt.decode_logs(market.quorum.DisputeLapsed))) == 1
    assert money(market, consumer) == (balance, locked - market.config.dispute_bond)
    assert (standing(market), final(market, prices)) == (UPHELD, True)
    assert answer(lapse, PRICES, sender=stranger) == ("NotDisputed", 0, PRICES)
    market.assert_money_conserved()


def test_settle__owner_silent__at_the_disputed_prices_without_waiting_for_the_lapse(
    disputed: tuple[Day, bytes], consumer: Participant
) -> None:
    day, prices = disputed
    market = day.market
    delivery = day.delivery(consumer, (-5, 0, 0, 0))
    sent = (prices, delivery)
    refused = answer(market.settlement.settle, *sent, sender=market.owner)
    assert refused == ("ImbalanceNotFinal", 0)
    market.await_final(0)
    market.settle(0, prices, [delivery])
    market.quorum.lapse(0, PRICES, sender=market.owner)
    assert money(market, consumer)[1] == 0
    market.assert_money_conserved()


def test_lapse__not_disputed__refused(reported: tuple[Day, bytes], stranger: Any) -> None:
    market = reported[0].market
    market.await_final(0)
    assert answer(market.quorum.lapse, PRICES, sender=stranger) == ("NotDisputed", 0, PRICES)
