"""Time: everything tried a second too early or too late, and auctions that overlap."""

from typing import Any

import pytest
from web3.exceptions import ContractPanicError

from clearwatt.chain import codec
from tests.contracts.attacks.raids import (
    live_bids,
    locked,
    passed_over,
    post,
    said,
    settle_all,
    settling,
)
from tests.contracts.community import ZERO_ADDRESS, Community, Participant
from tests.contracts.day import Day
from tests.contracts.refusals import Refusal, refusal

BUY = [(0, 30_000, -1_000)]


def bidding(market: Community, member: Participant, auction: int = 0) -> Refusal | None:
    return refusal(market.market.bid, auction, b"", sender=member.account)


def cancelling(market: Community, member: Participant) -> Refusal | None:
    return refusal(market.market.cancel, 0, sender=member.account)


def releasing(market: Community, member: Participant) -> Refusal | None:
    return refusal(market.market.release, 0, [member.address], sender=market.owner)


# ------------------------------------------------------------------------------------------------ the gate


def test_bid__outside_the_gate__refused(market: Community, consumer: Participant) -> None:
    """A member bids a second before the gate opens, or in the second in which it closes."""
    schedule = market.config.schedule
    for moment, accepted in (
        (schedule.opening(0) - 1, False),
        (schedule.opening(0), True),
        (schedule.gate_closure(0) - 1, True),
        (schedule.gate_closure(0), False),
    ):
        market.travel(moment)
        answer = bidding(market, consumer)
        assert (answer is None) == accepted
        assert accepted or said(answer) == "GateNotOpen"


def test_cancel__once_prices_can_be_guessed__refused(day_closed: Day, consumer: Participant) -> None:
    """A member takes its bid back once the gate is closed and the result can be computed."""
    assert said(cancelling(day_closed.market, consumer)) == "GateNotOpen"


def test_signed_bid__a_second_past_its_deadline__passed_over(gate: Community, consumer: Participant) -> None:
    """A poster uses a signed bid after the time its member gave it."""
    now = gate.chain.pending_timestamp
    late = gate.signed_bid(consumer, 0, BUY, nonce=1, deadline=now - 1)
    assert post(gate, 0, [late]) == passed_over(consumer, "SignatureExpired")
    assert live_bids(gate) == 0


def test_signed_bid__before_the_gate_opens__refused(market: Community, consumer: Participant) -> None:
    """A poster places a bid that was signed early before the gate opens."""
    signed = codec.pack_signed_bids([market.signed_bid(consumer, 0, BUY)])
    assert said(refusal(market.market.bidSigned, 0, signed, sender=market.owner)) == "GateNotOpen"


def test_bid__for_the_end_of_time__refused(gate: Community, consumer: Participant) -> None:
    """A member bids for an auction whose number makes the calendar overflow."""
    for auction in (2**256 - 1, 2**255):
        with pytest.raises(ContractPanicError):
            bidding(gate, consumer, auction)
    assert said(bidding(gate, consumer, 2**64)) in ("GateNotOpen", "MarketEnded")


# ------------------------------------------------------------------------------------------------ clearing


def test_clear__outside_its_window__refused(gate: Community) -> None:
    """A solver clears a second before the gate closes, to shut out the last bids, or after the auction is void."""
    schedule = gate.config.schedule
    _, _, claim = gate.solve(0)
    empty = (0, codec.pack_prices(claim.prices), b"", b"")
    for moment, accepted in (
        (schedule.gate_closure(0) - 1, False),
        (schedule.gate_closure(0), True),
        (schedule.clearing_deadline(0) - 1, True),
        (schedule.clearing_deadline(0), False),
    ):
        gate.travel(moment)
        answer = refusal(gate.clearing.clear, *empty, sender=gate.owner)
        assert (answer is None) == accepted
        assert accepted or said(answer) == "NotClearingTime"


def test_clear__a_second_time__refused(day_cleared: Day) -> None:
    """A solver clears an auction again, to have the network paid twice."""
    assert day_cleared.refusal() == ("AlreadyCleared", 0)


def test_release__before_the_auction_is_void__refused(day_closed: Day, consumer: Participant) -> None:
    """A member has its lock released while its auction can still be cleared."""
    market = day_closed.market
    market.travel(market.config.schedule.clearing_deadline(0) - 1)
    assert releasing(market, consumer) == ("NotVoid", 0)


def test_release__of_a_cleared_auction__refused(day_cleared: Day, consumer: Participant) -> None:
    """A member has its lock released after its purchase was cleared."""
    market = day_cleared.market
    market.travel(market.config.schedule.clearing_deadline(0))
    assert releasing(market, consumer) == ("NotVoid", 0)


def test_release__twice__refused(day_closed: Day, consumer: Participant) -> None:
    """A member has the lock of a void auction released twice, or named twice in one call."""
    market = day_closed.market
    market.travel(market.config.schedule.clearing_deadline(0))
    market.market.release(0, [consumer.address, consumer.address], sender=market.owner)
    assert locked(market, consumer) == 0
    assert releasing(market, consumer) == ("NothingToRelease", 0)


# ------------------------------------------------------------------------------------------------ the ring


def test_ring__record_still_needed__refused(day_cleared: Day, consumer: Participant) -> None:
    """A member overwrites the record of a purchase it does not want to pay with a bid one turn of the ring later."""
    market, later = day_cleared.market, day_cleared.market.config.ring_size
    market.open_gate(later)
    assert bidding(market, consumer, later) == ("RecordInUse", 0, consumer.address)
    signed = market.signed_bid(consumer, later, [])
    assert post(market, later, [signed]) == passed_over(consumer, "RecordInUse")


def test_ring__cancelled_over_a_needed_record__refused(day_cleared: Day, consumer: Participant) -> None:
    """A member cancels one turn of the ring later, to free the record of an earlier purchase."""
    market, later = day_cleared.market, day_cleared.market.config.ring_size
    market.open_gate(later)
    answer = refusal(market.market.cancel, later, sender=consumer.account)
    assert answer == ("RecordInUse", 0, consumer.address)


def test_ring__void_lock_passed_on__not_released_as_well(day_closed: Day, consumer: Participant) -> None:
    """A member carries a void auction's lock over into a new bid and has it released as well."""
    market, later = day_closed.market, day_closed.market.config.ring_size
    market.open_gate(later)
    market.bid(consumer, later, BUY)
    kept = locked(market, consumer)
    assert kept >= 30_000_000
    assert releasing(market, consumer) == ("NothingToRelease", 0)
    market.market.cancel(later, sender=consumer.account)
    assert locked(market, consumer) == 0


def test_ring__overlapping_auctions__locks_add_up(gate: Community, consumer: Participant) -> None:
    """A member bids in several open auctions at once with the same money."""
    gate.travel(gate.config.schedule.opening(1))
    money = gate.vault.available(consumer.address)
    volume = money // 400_000 * 2 // 3
    gate.bid(consumer, 0, [(0, 400_000, -volume)])
    steps = bytes([0]) + (400_000).to_bytes(3, "big") + (-volume).to_bytes(4, "big", signed=True)
    assert said(refusal(gate.market.bid, 1, steps, sender=consumer.account)) == "BalanceTooLow"


# ------------------------------------------------------------------------------------------------ settlement


def test_settle__before_delivery__refused(day_cleared: Day, producer: Participant) -> None:
    """A producer settles a second before delivery is over, on readings it has yet to deliver."""
    market = day_cleared.market
    end = market.config.schedule.delivery_end(0)
    market.travel(end - 1)
    delivery = day_cleared.delivery(producer)
    prices = market.imbalance(day_cleared.claim)
    assert settling(day_cleared, prices, delivery) == ("NotDelivered", 0, end)


def test_imbalance__before_delivery_or_too_late__refused(day_cleared: Day) -> None:
    """A quorum reports imbalance prices before delivery is over, or after its time is up."""
    market, schedule = day_cleared.market, day_cleared.market.config.schedule
    prices = market.imbalance(day_cleared.claim)
    sent = (0, day_cleared.packed_prices, prices, market.sign_imbalance(0, prices))
    for moment, expected in (
        (schedule.delivery_end(0) - 1, "NotDelivered"),
        (schedule.substitute_deadline(0), "TooLateToReport"),
    ):
        market.travel(moment)
        assert said(refusal(market.settlement.postImbalance, *sent, sender=market.owner)) == expected


def test_substitute__while_the_meter_may_speak__refused(day_delivered: Day, producer: Participant) -> None:
    """A quorum speaks for a meter that still has time to speak itself, or after its own time is up."""
    market, schedule = day_delivered.market, day_delivered.market.config.schedule
    sent = (0, producer.address, codec.pack_readings((0,) * 4))
    sent += (market.sign_substitute(0, producer, (0,) * 4),)
    for moment, expected in (
        (schedule.metering_deadline(0) - 1, "TooEarlyFor"),
        (schedule.metering_deadline(0), None),
        (schedule.substitute_deadline(0), "TooLateToReport"),
    ):
        market.travel(moment)
        answer = refusal(market.settlement.postSubstitute, *sent, sender=market.owner)
        assert (answer and answer[0]) == expected


def test_fallback__while_the_quorum_may_report__refused(day_delivered: Day) -> None:
    """A member far out of balance posts the cheap fallback prices while the quorum may still report."""
    market, schedule = day_delivered.market, day_delivered.market.config.schedule
    sent = (0, day_delivered.packed_prices)
    market.travel(schedule.substitute_deadline(0) - 1)
    assert said(refusal(market.settlement.postFallback, *sent, sender=market.owner)) == "TooEarlyFor"


def test_fallback__over_a_standing_report__refused(day_delivered: Day) -> None:
    """A member far out of balance replaces the quorum's prices by the fallback."""
    market, schedule = day_delivered.market, day_delivered.market.config.schedule
    market.travel(schedule.substitute_deadline(0) - 100)
    market.post_imbalance(0, day_delivered.claim, wait=False)
    market.travel(schedule.substitute_deadline(0))
    answer = refusal(market.settlement.postFallback, 0, day_delivered.packed_prices, sender=market.owner)
    assert answer == ("ReportStands", 0)


def test_deemed__while_somebody_may_speak__refused(
    day_delivered: Day, final_prices: bytes, consumer: Participant
) -> None:
    """A member that consumed more than it bought is settled as deemed while meter and quorum may still speak."""
    market, schedule = day_delivered.market, day_delivered.market.config.schedule
    deemed = market.deemed(consumer, day_delivered.position(consumer))
    market.travel(schedule.deemed_from(0) - 1)
    assert said(settling(day_delivered, final_prices, deemed)) == "TooEarlyFor"
    market.travel(schedule.deemed_from(0))
    assert settling(day_delivered, final_prices, deemed) is None


def test_settle__before_prices_are_final__refused(day_delivered: Day, producer: Participant) -> None:
    """A settler uses imbalance prices that can still be disputed, in the last second of the window."""
    market = day_delivered.market
    prices = market.post_imbalance(0, day_delivered.claim, wait=False)
    final_from = market.quorum.reportOf(0, ZERO_ADDRESS).finalFrom
    market.travel(final_from - 1)
    assert settling(day_delivered, prices, day_delivered.delivery(producer)) == ("ImbalanceNotFinal", 0)
    market.travel(final_from)
    assert settling(day_delivered, prices, day_delivered.delivery(producer)) is None


def test_dispute__when_the_window_is_over__refused(day_delivered: Day, producer: Participant) -> None:
    """A member disputes a report in the second in which it becomes final."""
    market = day_delivered.market
    market.post_imbalance(0, day_delivered.claim)
    answer = refusal(market.quorum.dispute, 0, ZERO_ADDRESS, sender=producer.account)
    assert answer == ("NotDisputable", 0, ZERO_ADDRESS)


def test_draw__before_everybody_is_settled__refused(
    day_delivered: Day, final_prices: bytes, consumer: Participant, producer: Participant
) -> None:
    """A consumer draws its tokens before the others are settled, when its share looks largest."""
    market = day_delivered.market
    market.settle(0, final_prices, [day_delivered.delivery(p) for p in (consumer, producer)])
    answer: Any = refusal(
        market.settlement.drawTokens, 0, [(consumer.address, 0, 0, 4_500)], sender=consumer.account
    )
    assert answer == ("NotAllSettled", 0, 2, 5)


def test_settle__long_after_everything__still_possible(day_delivered: Day) -> None:
    """A settler waits for years, so that the members' money would be lost with the deadlines."""
    market = day_delivered.market
    market.travel(market.config.schedule.deemed_from(0) + 10 * 365 * 86_400)
    market.settlement.postFallback(0, day_delivered.packed_prices, sender=market.owner)
    prices = day_delivered.claim.prices
    settle_all(day_delivered, codec.pack_imbalance(prices, prices))
    assert all(locked(market, p) == 0 for p in market.participants)
