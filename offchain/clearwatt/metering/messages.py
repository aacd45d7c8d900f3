"""Messages of meters: each carries its own proof of who said it, so it does not matter who brings it.

A statement is the EIP-712 message that settlement takes on chain (`typed_data.meter_statement`); its payload is
canonical JSON that names what is stated. A readings message signs its payload, text as it is (EIP-191).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from eth_account import Account
from eth_account.messages import SignableMessage, encode_defunct, encode_typed_data
from eth_account.signers.local import LocalAccount
from eth_utils import is_checksum_address, keccak

from clearwatt.chain import codec, typed_data
from clearwatt.metering.readings import MalformedReadings, ReadingsMessage, parse_readings
from clearwatt.metering.statements import Statement

STATEMENT, READINGS = "statement", "readings"
KINDS = (STATEMENT, READINGS)

MAX_PAYLOAD_BYTES = 512 * 1024
SIGNATURE_BYTES = 65
HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0
"""A signature with a larger s has a twin with a smaller one; only the smaller counts, as on chain."""

MAX_AUCTION = 2**63 - 1
LARGEST_READING = 2**31
STATEMENT_KEYS = ["auction", "audience", "member", "readings"]


class Malformed(ValueError):
    """A message that nobody could have meant, with what is wrong in it."""


@dataclass(frozen=True)
class Message:
    """kind: one of KINDS. payload: exactly what was signed, or names what was. signature: 65 bytes."""

    kind: str
    payload: bytes
    signature: bytes

    @cached_property
    def digest(self) -> bytes:
        """32 bytes that stand for the whole message, the signature too."""
        return keccak(self.kind.encode() + self.payload + self.signature)


@dataclass(frozen=True)
class Entry:
    """A verified message and what the store finds it by.

    signer, settlement, member: checksum addresses. auction, member: of a statement. point, first, last: of readings,
    and the time they cover (Unix seconds, last excluded).
    """

    message: Message
    signer: str
    settlement: str
    auction: int | None = None
    member: str | None = None
    point: str | None = None
    first: int | None = None
    last: int | None = None


@dataclass(frozen=True)
class StatementContent:
    """What a statement's payload says. readings: net Wh per slot."""

    audience: str
    auction: int
    member: str
    readings: tuple[int, ...]


def audience_of(chain_id: int, settlement: str) -> str:
    """The market a message is for; elsewhere it means nothing."""
    return f"eip155:{chain_id}:{settlement}"


# ------------------------------------------------------------ making them


def statement_message(chain_id: int, settlement: str, statement: Statement) -> Message:
    """The message that carries a signed statement."""
    content = {
        "audience": audience_of(chain_id, settlement),
        "auction": statement.auction,
        "member": statement.member,
        "readings": list(codec.unpack_readings(statement.readings)),
    }
    return Message(STATEMENT, _canonical(content), statement.signature)


def sign_statement(
    key: LocalAccount, chain_id: int, settlement: str, auction: int, member: str, readings: Sequence[int]
) -> Message:
    """A meter's statement. readings: net Wh per slot."""
    signature = typed_data.sign(
        key, typed_data.meter_statement(chain_id, settlement, auction, member, readings)
    )
    packed = codec.pack_readings(readings)
    return statement_message(chain_id, settlement, Statement(auction, member, packed, signature))


def sign_readings(key: LocalAccount, payload: bytes) -> Message:
    """A meter's readings. payload: as `readings_payload` makes it."""
    return Message(READINGS, payload, bytes(key.sign_message(encode_defunct(payload)).signature))


# ------------------------------------------------------------ reading them


def statement_of(message: Message) -> Statement:
    """The statement in a message. Raises Malformed."""
    content = statement_content(message)
    packed = codec.pack_readings(content.readings)
    return Statement(content.auction, content.member, packed, message.signature)


def readings_of(message: Message) -> ReadingsMessage:
    """The readings in a message. Raises Malformed."""
    try:
        return parse_readings(message.payload, message.digest)
    except MalformedReadings as error:
        raise Malformed(str(error)) from None


def statement_content(message: Message) -> StatementContent:
    """What a statement's payload says, read strictly. Raises Malformed."""
    try:
        content = json.loads(message.payload.decode())
        canonical = _canonical(content)
    except (ValueError, RecursionError):
        raise Malformed("the payload is not JSON in UTF-8") from None
    if not isinstance(content, dict) or sorted(content) != STATEMENT_KEYS:
        raise Malformed(f"the payload is not an object with the keys {', '.join(STATEMENT_KEYS)}")
    if canonical != message.payload:
        raise Malformed("the payload is not canonical JSON (UTF-8, keys sorted, no spaces)")
    _check_statement(content)
    return StatementContent(**{**content, "readings": tuple(content["readings"])})


def statement_signer(message: Message, chain_id: int, settlement: str) -> str:
    """The checksum address that signed the statement for this market. Raises Malformed if nobody did."""
    content = statement_content(message)
    stated = typed_data.meter_statement(
        chain_id, settlement, content.auction, content.member, content.readings
    )
    return _signer(encode_typed_data(full_message=stated), message.signature)


def readings_signer(message: Message) -> str:
    """The checksum address that signed the readings. Raises Malformed if nobody did."""
    return _signer(encode_defunct(message.payload), message.signature)


def _signer(text: SignableMessage, signature: bytes) -> str:
    _check_signature(signature)
    try:
        return str(Account.recover_message(text, signature=signature))
    except Exception:  # eth-keys and coincurve have several errors for a point that is not on the curve
        raise Malformed("the signature is nobody's") from None


def _canonical(content: Any) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _check_statement(content: dict[str, Any]) -> None:
    auction, readings = content["auction"], content["readings"]
    if type(auction) is not int or not 0 <= auction <= MAX_AUCTION:
        raise Malformed("auction is not the number of an auction")
    if not isinstance(content["member"], str) or not is_checksum_address(content["member"]):
        raise Malformed("member is not an address with its checksum")
    if not isinstance(content["audience"], str):
        raise Malformed("audience is not a text")
    if not isinstance(readings, list) or not all(_is_reading(reading) for reading in readings):
        raise Malformed("readings is not a list of whole Wh that fit 32 bits")


def _is_reading(value: Any) -> bool:
    return type(value) is int and -LARGEST_READING <= value < LARGEST_READING


def _check_signature(signature: bytes) -> None:
    if len(signature) != SIGNATURE_BYTES or signature[-1] not in (27, 28):
        raise Malformed(f"the signature is not {SIGNATURE_BYTES} bytes that end in 27 or 28")
    if int.from_bytes(signature[32:64], "big") > HALF_ORDER:
        raise Malformed("the signature is the mirror image of the one that counts (s is too large)")
