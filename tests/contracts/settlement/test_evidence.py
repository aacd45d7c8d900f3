"""On whose word a reading stands: the meter's, the quorum's once the meter is late, nobody's once both are."""

from typing import Any

import pytest

from clearwatt.chain import codec, typed_data
from clearwatt.chain.typed_data import Evidence
from tests.contracts.community import Participant, key_of
from tests.contracts.day import Day
from tests.contracts.refusals import Refusal, refusal

READINGS = (2_990, 1_000, 20_500, 500)
"""What the producer's meter reads: 10 Wh less than traded in slot 0, 500 Wh more in slot 2."""


def answer(day: Day, imbalance: bytes, delivery: tuple[Any, ...], auction: int = 0) -> Refusal | None:
    return refusal(day.market.settlement.settle, auction, imbalance, [delivery], sender=day.market.owner)


def statement(day: Day, participant: Participant, key: Any = None, **changes: Any) -> tuple[Any, ...]:
    """The participant's readings, signed by `key` over a statement with `changes`."""
    market = day.market
    parts = {
        "chain_id": market.chain_id,
        "settlement": market.settlement.address,
        "auction": 0,
        "member": participant.address,
        "readings": READINGS,
    }
    signature = typed_data.sign(key or participant.meter, typed_data.meter_statement(**parts | changes))
    return delivery_of(day, participant, Evidence.METER, codec.pack_readings(READINGS), signature)


def substitute(day: Day, participant: Participant, keys: Any, **changes: Any) -> tuple[Any, ...]:
    """The same readings on the word of these oracles."""
    market, readings = day.market, codec.pack_readings(READINGS)
    parts = {
        "chain_id": market.chain_id,
        "quorum": market.quorum.address,
        "auction": 0,
        "member": participant.address,
        "readings": readings,
    }
    signatures = typed_data.sign_all(keys, typed_data.substitute_reading(**parts | changes))
    return delivery_of(day, participant, Evidence.SUBSTITUTE, readings, signatures)


def delivery_of(
    day: Day, participant: Participant, evidence: Evidence, readings: bytes = b"", signatures: bytes = b""
) -> tuple[Any, ...]:
    position = codec.pack_position(day.position(participant))
    return (participant.address, evidence, position, readings, signatures)


# ------------------------------------------------------------------------------------------ the meter


def test_settle__meters_own_statement__accepted(
    delivered_day: Day, imbalance: bytes, producer: Participant
) -> None:
    assert answer(delivered_day, imbalance, statement(delivered_day, producer)) is None


def test_settle__another_key__refused_with_its_address(
    delivered_day: Day, imbalance: bytes, producer: Participant, consumer: Participant
) -> None:
    delivery = statement(delivered_day, producer, key=consumer.meter)
    assert answer(delivered_day, imbalance, delivery) == (
        "WrongMeter",
        producer.address,
        consumer.meter.address,
    )


@pytest.mark.parametrize(
    "change",
    [
        {"auction": 1},
        {"chain_id": 1},
        {"settlement": "0x" + 40 * "1"},
        {"member": "0x" + 40 * "1"},
        {"readings": (2_991, *READINGS[1:])},
        {"readings": READINGS[:3]},
    ],
    ids=["other auction", "other chain", "other contract", "other member", "other reading", "fewer readings"],
)
def test_settle__statement_of_something_else__refused(
    delivered_day: Day, imbalance: bytes, producer: Participant, change: dict[str, Any]
) -> None:
    refused = answer(delivered_day, imbalance, statement(delivered_day, producer, **change))
    assert refused
    assert refused[:2] == ("WrongMeter", producer.address)


def test_settle__no_signature__refused(delivered_day: Day, imbalance: bytes, producer: Participant) -> None:
    delivery = (*statement(delivered_day, producer)[:4], b"")
    assert answer(delivered_day, imbalance, delivery) == ("ECDSAInvalidSignatureLength", 0)


def test_settle__meter_replaced__only_the_new_key_speaks(
    delivered_day: Day, imbalance: bytes, producer: Participant
) -> None:
    market, key = delivered_day.market, key_of("the new meter")
    market.registry.replaceMeter(producer.address, key.address, sender=market.owner)
    refused = answer(delivered_day, imbalance, statement(delivered_day, producer))
    assert refused == ("WrongMeter", producer.address, producer.meter.address)
    assert answer(delivered_day, imbalance, statement(delivered_day, producer, key=key)) is None


def test_settle__member_suspended__settled_as_ever(
    delivered_day: Day, imbalance: bytes, producer: Participant
) -> None:
    delivered_day.market.registry.suspend(producer.address, sender=delivered_day.market.owner)
    assert answer(delivered_day, imbalance, statement(delivered_day, producer)) is None


@pytest.mark.parametrize("size", [0, 12, 15, 20])
def test_settle__readings_of_another_length__refused(
    delivered_day: Day, imbalance: bytes, producer: Participant, size: int
) -> None:
    member, evidence, position, _, signature = statement(delivered_day, producer)
    delivery = (member, evidence, position, bytes(size), signature)
    assert answer(delivered_day, imbalance, delivery) == ("MalformedReadings", producer.address, size)


# ------------------------------------------------------------------------------------------ the quorum


def test_settle__substitute_reading__from_the_metering_deadline_to_the_second(
    delivered_day: Day, imbalance: bytes, producer: Participant
) -> None:
    market = delivered_day.market
    deadline = market.config.schedule.metering_deadline(0)
    delivery = substitute(delivered_day, producer, market.signing_oracles)
    market.travel(deadline - 1)
    assert answer(delivered_day, imbalance, delivery) == ("TooEarlyFor", Evidence.SUBSTITUTE, deadline)
    market.travel(deadline)
    assert answer(delivered_day, imbalance, delivery) is None


def test_settle__substitute_reading_badly_signed__refused(
    delivered_day: Day, imbalance: bytes, producer: Participant, consumer: Participant
) -> None:
    market = delivered_day.market
    market.travel(market.config.schedule.metering_deadline(0))
    too_few = substitute(delivered_day, producer, market.oracles[:1])
    assert answer(delivered_day, imbalance, too_few) == ("TooFewSignatures", 1, 2)
    own_word = substitute(delivered_day, producer, [producer.meter, producer.meter])
    assert answer(delivered_day, imbalance, own_word) == ("NotASigner", producer.meter.address)
    other = substitute(delivered_day, producer, market.oracles, member=consumer.address)
    refused = answer(delivered_day, imbalance, other)
    assert refused
    assert refused[0] in ("NotASigner", "SignersNotAscending")


def test_settle__meter_speaks_late__still_heard(
    delivered_day: Day, imbalance: bytes, producer: Participant
) -> None:
    delivered_day.market.travel(delivered_day.market.config.schedule.substitute_deadline(0))
    assert answer(delivered_day, imbalance, statement(delivered_day, producer)) is None


# ------------------------------------------------------------------------------------------ nobody


def test_settle__deemed_reading__from_the_substitute_deadline_to_the_second(
    delivered_day: Day, imbalance: bytes, producer: Participant
) -> None:
    market = delivered_day.market
    deadline = market.config.schedule.substitute_deadline(0)
    delivery = delivery_of(delivered_day, producer, Evidence.DEEMED)
    market.travel(deadline - 1)
    assert answer(delivered_day, imbalance, delivery) == ("TooEarlyFor", Evidence.DEEMED, deadline)
    market.travel(deadline)
    assert answer(delivered_day, imbalance, delivery) is None


def test_settle__deemed_with_readings__refused(
    delivered_day: Day, imbalance: bytes, producer: Participant
) -> None:
    delivered_day.market.travel(delivered_day.market.config.schedule.substitute_deadline(0))
    delivery = delivery_of(delivered_day, producer, Evidence.DEEMED, readings=bytes(16))
    assert answer(delivered_day, imbalance, delivery) == ("MalformedReadings", producer.address, 16)


def test_settle__silent_seller__delivered_nothing(
    delivered_day: Day, imbalance: bytes, producer: Participant
) -> None:
    event = settled(delivered_day, imbalance, delivery_of(delivered_day, producer, Evidence.DEEMED))
    position, prices = delivered_day.position(producer), delivered_day.claim.prices[2]
    shortage = sum(fill * (price + 1_000) for fill, price in zip(position.fills, prices, strict=True))
    assert (event.cash, event.imbalance) == (position.cash, -shortage)
    assert (event.evidence, event.unmatched) == (Evidence.DEEMED, 0)


def test_settle__silent_buyer__consumed_all(
    delivered_day: Day, imbalance: bytes, consumer: Participant
) -> None:
    event = settled(delivered_day, imbalance, delivery_of(delivered_day, consumer, Evidence.DEEMED))
    assert (event.cash, event.imbalance) == (delivered_day.position(consumer).cash, 0)
    assert event.bought == 4_500


def settled(day: Day, imbalance: bytes, delivery: tuple[Any, ...]) -> Any:
    """Settled after every deadline; the event."""
    market = day.market
    market.travel(market.config.schedule.substitute_deadline(0))
    receipt = market.settlement.settle(0, imbalance, [delivery], sender=market.owner)
    [event] = receipt.decode_logs(market.settlement.MemberSettled)
    return event
