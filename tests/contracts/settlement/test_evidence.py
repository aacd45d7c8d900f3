"""On whose word a reading stands: the meter's, the quorum's once the meter is late, nobody's once both are."""

from typing import Any

import pytest

from clearwatt.chain import codec, typed_data
from clearwatt.chain.typed_data import Evidence
from tests.contracts.community import ZERO_ADDRESS, Participant
from tests.contracts.day import Day
from tests.contracts.refusals import Refusal, refusal

CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
READINGS = (2_990, 1_000, 20_500, 500)
"""What the producer's meter reads: 10 Wh less than traded in slot 0, 500 Wh more in slot 2."""


def answer(day: Day, imbalance: bytes, delivery: bytes, auction: int = 0) -> Refusal | None:
    return refusal(day.market.settlement.settle, auction, imbalance, delivery, sender=day.market.owner)


def statement(day: Day, participant: Participant, key: Any = None, **changes: Any) -> bytes:
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


def delivery_of(
    day: Day, participant: Participant, evidence: int, readings: bytes = b"", signature: bytes = b""
) -> bytes:
    position = codec.pack_position(day.position(participant))
    return codec.pack_delivery(participant.address, evidence, position, readings, signature)


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


@pytest.mark.parametrize("other", ["upper half", "nobody's"])
def test_settle__signature_that_is_not_canonical__refused(
    delivered_day: Day, imbalance: bytes, producer: Participant, other: str
) -> None:
    delivery = statement(delivered_day, producer)
    head, r, s, v = delivery[:-65], delivery[-65:-33], delivery[-33:-1], delivery[-1]
    assert answer(delivered_day, imbalance, delivery) is None
    if other == "upper half":
        upper = (CURVE_ORDER - int.from_bytes(s, "big")).to_bytes(32, "big")
        refused = answer(delivered_day, imbalance, head + r + upper + bytes([55 - v]))
        assert refused
        assert refused[0] == "ECDSAInvalidSignatureS"
    else:
        assert answer(delivered_day, imbalance, head + bytes(65)) == ("ECDSAInvalidSignature",)


def test_settle__member_suspended__settled_as_ever(
    delivered_day: Day, imbalance: bytes, producer: Participant
) -> None:
    delivered_day.market.registry.suspend(producer.address, sender=delivered_day.market.owner)
    assert answer(delivered_day, imbalance, statement(delivered_day, producer)) is None


@pytest.mark.parametrize("evidence", [3, 255])
def test_settle__unknown_evidence__refused(
    delivered_day: Day, imbalance: bytes, producer: Participant, evidence: int
) -> None:
    delivery = delivery_of(delivered_day, producer, evidence, bytes(16))
    assert answer(delivered_day, imbalance, delivery) == ("UnknownEvidence", producer.address, evidence)


# ------------------------------------------------------------------------------------------ the quorum


def post(day: Day, participant: Participant | str, readings: bytes, signatures: bytes) -> Refusal | None:
    """What settlement says to a substitute reading."""
    member = participant if isinstance(participant, str) else participant.address
    settlement = day.market.settlement
    return refusal(settlement.postSubstitute, 0, member, readings, signatures, sender=day.market.owner)


def test_settle__substitute_reading__once_it_is_final(
    delivered_day: Day, imbalance: bytes, producer: Participant, consumer: Participant
) -> None:
    market = delivered_day.market
    delivery = market.substituted(producer, delivered_day.position(producer), READINGS)
    not_final = ("SubstituteNotFinal", 0, producer.address)
    assert answer(delivered_day, imbalance, delivery) == not_final
    market.post_substitute(0, producer, READINGS, wait=False)
    market.travel(market.quorum.reportOf(0, producer.address).finalFrom - 1)
    assert answer(delivered_day, imbalance, delivery) == not_final
    market.await_final(0, producer.address)
    assert answer(delivered_day, imbalance, delivery) is None
    other = market.substituted(producer, delivered_day.position(producer), (2_991, *READINGS[1:]))
    assert answer(delivered_day, imbalance, other) == not_final
    neighbour = market.substituted(consumer, delivered_day.position(consumer), READINGS)
    assert answer(delivered_day, imbalance, neighbour) == ("SubstituteNotFinal", 0, consumer.address)


def test_post_substitute__badly_signed__refused(
    delivered_day: Day, producer: Participant, consumer: Participant
) -> None:
    market, readings = delivered_day.market, codec.pack_readings(READINGS)
    market.travel(market.config.schedule.metering_deadline(0))
    too_few = market.sign_substitute(0, producer, READINGS, market.oracles[:1])
    assert post(delivered_day, producer, readings, too_few) == ("TooFewSignatures", 1, 2)
    own_word = market.sign_substitute(0, producer, READINGS, [producer.meter, producer.meter])
    assert post(delivered_day, producer, readings, own_word) == ("NotASigner", producer.meter.address)
    other = market.sign_substitute(0, consumer, READINGS)
    refused = post(delivered_day, producer, readings, other)
    assert refused
    assert refused[0] in ("NotASigner", "SignersNotAscending")


@pytest.mark.parametrize("size", [0, 12, 15, 20])
def test_post_substitute__another_length__refused(
    delivered_day: Day, producer: Participant, size: int
) -> None:
    delivered_day.market.travel(delivered_day.market.config.schedule.metering_deadline(0))
    assert post(delivered_day, producer, bytes(size), b"") == ("MalformedReadings", producer.address, size)


def test_post_substitute__nobodys_reading__refused(delivered_day: Day) -> None:
    """Imbalance prices are kept under the zero address."""
    delivered_day.market.travel(delivered_day.market.config.schedule.metering_deadline(0))
    assert post(delivered_day, ZERO_ADDRESS, bytes(16), b"") == ("UnknownMember", ZERO_ADDRESS)


def test_settle__meter_speaks_late__still_heard(
    delivered_day: Day, imbalance: bytes, producer: Participant
) -> None:
    delivered_day.market.travel(delivered_day.market.config.schedule.substitute_deadline(0))
    assert answer(delivered_day, imbalance, statement(delivered_day, producer)) is None


# ------------------------------------------------------------------------------------------ nobody


def test_settle__deemed_reading__from_its_time_to_the_second(
    delivered_day: Day, imbalance: bytes, producer: Participant
) -> None:
    market = delivered_day.market
    deadline = market.config.schedule.deemed_from(0)
    delivery = market.deemed(producer, delivered_day.position(producer))
    market.travel(deadline - 1)
    assert answer(delivered_day, imbalance, delivery) == ("TooEarlyFor", Evidence.DEEMED, deadline)
    market.travel(deadline)
    assert answer(delivered_day, imbalance, delivery) is None


def test_settle__silent_seller__delivered_nothing(
    delivered_day: Day, imbalance: bytes, producer: Participant
) -> None:
    one = settled(delivered_day, imbalance, delivery_of(delivered_day, producer, Evidence.DEEMED))
    position, prices = delivered_day.position(producer), delivered_day.claim.prices[2]
    shortage = sum(fill * (price + 1_000) for fill, price in zip(position.fills, prices, strict=True))
    assert (one.cash, one.imbalance) == (position.cash, -shortage)
    assert (one.evidence, one.unmatched, one.readings) == (Evidence.DEEMED, 0, ())


def test_settle__silent_buyer__consumed_all(
    delivered_day: Day, imbalance: bytes, consumer: Participant
) -> None:
    one = settled(delivered_day, imbalance, delivery_of(delivered_day, consumer, Evidence.DEEMED))
    assert (one.cash, one.imbalance) == (delivered_day.position(consumer).cash, 0)
    assert one.bought == 4_500


def settled(day: Day, imbalance: bytes, delivery: bytes) -> codec.Settled:
    """Settled after every deadline; what is logged."""
    market = day.market
    market.travel(market.config.schedule.deemed_from(0))
    [one] = market.settlements(market.settle(0, imbalance, [delivery]))
    return one
