"""Messages of meters: what is signed can be read back, and whatever nobody could have meant is refused."""

import json

import pytest

from clearwatt.metering.messages import (
    HALF_ORDER,
    Malformed,
    Message,
    readings_of,
    readings_signer,
    statement_content,
    statement_of,
    statement_signer,
)
from tests.offchain.metering.signed import CHAIN_ID, METER, PRODUCER, SETTLEMENT, readings, statement

ORDER = 2 * HALF_ORDER + 1


def altered(message: Message, **changes: object) -> Message:
    content = json.loads(message.payload) | changes
    payload = json.dumps(content, sort_keys=True, separators=(",", ":")).encode()
    return Message(message.kind, payload, message.signature)


def signed_as(message: Message, signature: bytes) -> Message:
    return Message(message.kind, message.payload, signature)


def test_statement__signed__read_back_with_its_signer():
    message = statement(auction=7)
    stated = statement_of(message)
    assert (stated.auction, stated.member, stated.signature) == (7, PRODUCER, message.signature)
    assert stated.readings == b"".join(value.to_bytes(4, "big", signed=True) for value in (250, -3, 0, 7))
    assert statement_signer(message, CHAIN_ID, SETTLEMENT) == METER.address


def test_statement__for_another_chain__another_signer():
    assert statement_signer(statement(), CHAIN_ID + 1, SETTLEMENT) != METER.address


def test_readings__signed__read_back_with_their_signer():
    message = readings(251)
    content = readings_of(message)
    assert [int(reading.value) for reading in content.readings] == [251]
    assert content.digest == message.digest
    assert readings_signer(message) == METER.address


def test_digest__any_part_differs__differs():
    message = statement()
    others = [
        Message("readings", message.payload, message.signature),
        altered(message, auction=1),
        signed_as(message, bytes(65)),
    ]
    assert len({message.digest, *(other.digest for other in others)}) == 4


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"auction": -1}, "auction"),
        ({"auction": True}, "auction"),
        ({"auction": 2**63}, "auction"),
        ({"member": PRODUCER.lower()}, "member"),
        ({"member": 5}, "member"),
        ({"audience": None}, "audience"),
        ({"readings": 3}, "readings"),
        ({"readings": [1.5]}, "readings"),
        ({"readings": [2**31]}, "readings"),
        ({"more": 1}, "keys"),
    ],
)
def test_statement_content__impossible_value__refused_by_name(changes, text):
    with pytest.raises(Malformed, match=text):
        statement_content(altered(statement(), **changes))


@pytest.mark.parametrize("payload", [b"", b"\xff", b"[1]", b"null", b"[" * 100_000, b'{"a":"\\ud800"}'])
def test_statement_content__no_statement__refused(payload):
    with pytest.raises(Malformed):
        statement_content(Message("statement", payload, bytes(65)))


def test_statement_content__same_content_in_other_words__refused():
    message = statement()
    spaced = message.payload.replace(b",", b", ")
    with pytest.raises(Malformed, match="canonical"):
        statement_content(Message("statement", spaced, message.signature))


def test_signer__mirror_image_of_a_signature__refused():
    signature = readings().signature
    mirrored = ORDER - int.from_bytes(signature[32:64], "big")
    twin = signature[:32] + mirrored.to_bytes(32, "big") + bytes([27 + 28 - signature[64]])
    with pytest.raises(Malformed, match="mirror"):
        readings_signer(signed_as(readings(), twin))


@pytest.mark.parametrize("ending", [0, 1, 26, 29])
def test_signer__other_recovery_number__refused(ending):
    with pytest.raises(Malformed, match="27 or 28"):
        readings_signer(signed_as(readings(), readings().signature[:64] + bytes([ending])))


def test_signer__no_point_on_the_curve__refused():
    with pytest.raises(Malformed, match="nobody"):
        readings_signer(signed_as(readings(), bytes(64) + b"\x1b"))
