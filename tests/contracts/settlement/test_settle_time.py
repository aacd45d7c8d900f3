"""When the quorum may report, and that nothing is settled before delivery is over and imbalance prices are final."""

import pytest

from clearwatt.chain import codec
from clearwatt.chain.typed_data import Evidence
from tests.contracts.community import Participant
from tests.contracts.day import Day
from tests.contracts.refusals import Refusal, refusal


def answer(day: Day, imbalance: bytes, participant: Participant) -> Refusal | None:
    arguments = (0, imbalance, day.delivery(participant))
    return refusal(day.market.settlement.settle, *arguments, sender=day.market.owner)


def test_settle__delivery_not_over__refused(cleared_day: Day, producer: Participant) -> None:
    market = cleared_day.market
    end = market.config.schedule.delivery_end(0)
    market.travel(end - 1)
    assert answer(cleared_day, bytes(96), producer) == ("NotDelivered", 0, end)


def test_settle__imbalance_disputable__refused_until_it_is_final_to_the_second(
    cleared_day: Day, producer: Participant
) -> None:
    market = cleared_day.market
    market.travel(market.config.schedule.delivery_end(0))
    imbalance = market.post_imbalance(0, cleared_day.claim, wait=False)
    final_from = market.quorum.reportOf(0, "0x" + 40 * "0").finalFrom
    market.travel(final_from - 1)
    assert answer(cleared_day, imbalance, producer) == ("ImbalanceNotFinal", 0)
    market.travel(final_from)
    assert answer(cleared_day, imbalance, producer) is None


@pytest.mark.parametrize("imbalance", [b"", bytes(96)], ids=["none", "some"])
def test_settle__imbalance_not_posted__refused(
    cleared_day: Day, producer: Participant, imbalance: bytes
) -> None:
    cleared_day.market.travel(cleared_day.market.config.schedule.delivery_end(0))
    assert answer(cleared_day, imbalance, producer) == ("ImbalanceNotFinal", 0)


def test_settle__fallback_in_force__at_the_markets_prices(cleared_day: Day, producer: Participant) -> None:
    market = cleared_day.market
    market.travel(market.config.schedule.substitute_deadline(0))
    market.settlement.postFallback(0, cleared_day.packed_prices, sender=market.owner)
    fallback = codec.pack_imbalance(cleared_day.claim.prices, cleared_day.claim.prices)
    other = market.imbalance(cleared_day.claim)
    assert answer(cleared_day, other, producer) == ("ImbalanceNotFinal", 0)
    assert answer(cleared_day, fallback, producer) is None


# ------------------------------------------------------------------------------------------ reports


def test_post_imbalance__outside_its_time__refused_to_the_second(cleared_day: Day) -> None:
    market, schedule = cleared_day.market, cleared_day.market.config.schedule
    end, deadline = schedule.delivery_end(0), schedule.substitute_deadline(0)
    prices = market.imbalance(cleared_day.claim)
    sent = (0, cleared_day.packed_prices, prices, market.sign_imbalance(0, prices))
    post = market.settlement.postImbalance
    market.travel(end - 1)
    assert refusal(post, *sent, sender=market.owner) == ("NotDelivered", 0, end)
    market.travel(end)
    assert refusal(post, *sent, sender=market.owner) is None
    market.travel(deadline - 1)
    assert refusal(post, *sent, sender=market.owner) is None
    market.travel(deadline)
    assert refusal(post, *sent, sender=market.owner) == ("TooLateToReport", deadline)


def test_post_substitute__outside_its_time__refused_to_the_second(
    cleared_day: Day, producer: Participant
) -> None:
    market, schedule = cleared_day.market, cleared_day.market.config.schedule
    start, deadline = schedule.metering_deadline(0), schedule.substitute_deadline(0)
    readings = (1, 2, 3, 4)
    signatures = market.sign_substitute(0, producer, readings)
    sent = (0, producer.address, codec.pack_readings(readings), signatures)
    post = market.settlement.postSubstitute
    market.travel(start - 1)
    assert refusal(post, *sent, sender=market.owner) == ("TooEarlyFor", Evidence.SUBSTITUTE, start)
    market.travel(start)
    assert refusal(post, *sent, sender=market.owner) is None
    market.travel(deadline - 1)
    assert refusal(post, *sent, sender=market.owner) is None
    market.travel(deadline)
    assert refusal(post, *sent, sender=market.owner) == ("TooLateToReport", deadline)
