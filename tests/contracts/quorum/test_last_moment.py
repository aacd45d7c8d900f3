"""Whatever becomes of reports, deemed readings and some imbalance prices apply in the end."""

from eth_utils import keccak

from clearwatt.chain import codec
from tests.contracts.community import ZERO_ADDRESS, Participant
from tests.contracts.day import Day
from tests.contracts.refusals import refusal

READINGS = (2_990, 1_000, 20_500, 500)


def test_dispute__substitute_reading_falls__deemed_in_the_end(
    delivered_day: Day, producer: Participant
) -> None:
    day, market = delivered_day, delivered_day.market
    prices = market.post_imbalance(0, day.claim)
    market.post_substitute(0, producer, READINGS, wait=False)
    market.quorum.dispute(0, producer.address, sender=producer.account)
    assert market.quorum.isFinal(0, ZERO_ADDRESS, keccak(prices))
    market.quorum.decide(0, producer.address, False, sender=market.owner)
    assert not market.quorum.isFinal(0, producer.address, keccak(codec.pack_readings(READINGS)))
    market.travel(market.config.schedule.deemed_from(0))
    position = day.position(producer)
    substituted = market.substituted(producer, position, READINGS)
    refused = refusal(market.settlement.settle, 0, prices, substituted, sender=market.owner)
    assert refused == ("SubstituteNotFinal", 0, producer.address)
    market.settle(0, prices, [market.deemed(producer, position)])
    market.assert_money_conserved()


def test_dispute__at_the_last_moment_of_a_report_at_the_last_moment__final_when_deemed_readings_apply(
    delivered_day: Day, consumer: Participant
) -> None:
    day, market = delivered_day, delivered_day.market
    schedule = market.config.schedule
    market.chain.pending_timestamp = schedule.substitute_deadline(0) - 1
    prices = market.post_imbalance(0, day.claim, wait=False)
    assert market.chain.blocks.head.timestamp == schedule.substitute_deadline(0) - 1
    market.chain.pending_timestamp = market.quorum.reportOf(0, ZERO_ADDRESS).finalFrom - 1
    market.quorum.dispute(0, ZERO_ADDRESS, sender=consumer.account)
    market.travel(schedule.deemed_from(0))
    assert market.quorum.isFinal(0, ZERO_ADDRESS, keccak(prices))
