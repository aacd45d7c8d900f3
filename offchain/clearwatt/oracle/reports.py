"""What this oracle would have the quorum say of an auction, and the signed document that says it to the others."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from eth_account import Account
from eth_account.messages import encode_defunct
from eth_account.signers.local import LocalAccount
from eth_utils import is_checksum_address, keccak

from clearwatt.chain import codec, typed_data
from clearwatt.chain.market import PRICES, AuctionView, MarketRules
from clearwatt.chain.typed_data import QuorumTerm, TypedData
from clearwatt.metering.statements import Statement
from clearwatt.oracle.decisions import Action, PostImbalance, PostSubstitutes, Statements
from clearwatt.oracle.positions import imbalance_of
from clearwatt.oracle.substitutes import Substitute

STATEMENT, POSTED = "statement", "substitute on chain"
SIGNATURE_BYTES = 65
HALF_CURVE_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0
"""Of secp256k1. Every signature has a twin with s above it, which the contracts take no notice of."""

KEYS = ("auction", "audience", "block", "configuration", "epoch", "inputs", "subjects")
ENVELOPE_KEYS = ("payload", "signature")
MAX_SUBJECTS = 10_000
MAX_NUMBER = 2**63 - 1
MAX_KIND = 64


class MalformedReport(ValueError):
    """A document that is no report, with what is wrong in it."""


@dataclass(frozen=True)
class Input:
    """What a report goes by for one member. kind: STATEMENT, POSTED or a substitute's rule. digest: stands for it."""

    kind: str
    digest: bytes


@dataclass(frozen=True)
class Report:
    """What the quorum is to say of one auction.

    block: as of which it was derived. contents: packed, by subject: PRICES, or the member whose meter is silent.
    inputs: by member. fallen: subjects that are left out since what would be said of them fell in a dispute.
    """

    auction: int
    block: int
    contents: Mapping[str, bytes]
    inputs: Mapping[str, Input]
    fallen: tuple[str, ...] = field(default=(), compare=False)

    @property
    def imbalance(self) -> bytes | None:
        """Packed imbalance prices, if these are reported."""
        return self.contents.get(PRICES)

    @property
    def substitutes(self) -> dict[str, bytes]:
        """Packed readings in place of silent meters, by member."""
        return {subject: content for subject, content in self.contents.items() if subject != PRICES}


def statement_digest(statement: Statement) -> bytes:
    """32 bytes that tell the statements for one member and auction apart."""
    return keccak(statement.readings + statement.signature)


def chosen(statements: Iterable[Statement]) -> Statement:
    """Of several statements that a meter signed for one auction, the one that every oracle takes."""
    return min(statements, key=statement_digest)


def make_report(
    auction: AuctionView,
    rules: MarketRules,
    block: int,
    actions: Iterable[Action],
    statements: Statements,
    substitutes: Mapping[str, Substitute],
) -> Report:
    """The report that these actions (of a decision as of this block) call for; what they don't is left out.

    Imbalance prices go by genuine statements and by substitutes that are on chain: a meter that keeps changing what it
    sends can then only spoil its own substitute. statements, substitutes: by member.
    """
    contents: dict[str, bytes] = {}
    inputs: dict[str, Input] = {}
    fallen = []
    for action in actions:
        match action:
            case PostImbalance():
                readings, used = _imbalance_inputs(auction, statements)
                inputs |= used
                contents[PRICES] = imbalance_of(auction, rules, readings)
                if contents[PRICES] in auction.overturned:
                    del contents[PRICES]
                    fallen.append(PRICES)
            case PostSubstitutes(members=members):
                for member in members:
                    contents[member] = substitutes[member].readings
                    inputs[member] = Input(substitutes[member].rule, substitutes[member].basis)
    return Report(auction.number, block, contents, inputs, tuple(fallen))


def _imbalance_inputs(
    auction: AuctionView, statements: Statements
) -> tuple[dict[str, tuple[int, ...]], dict[str, Input]]:
    readings, inputs = {}, {}
    for member in auction.bids:
        if member in statements:
            packed, digest = statements[member].readings, statement_digest(statements[member])
            inputs[member] = Input(STATEMENT, digest)
        elif member in auction.substitutes:
            packed = auction.substitutes[member]
            inputs[member] = Input(POSTED, keccak(packed))
        else:
            continue
        readings[member] = codec.unpack_readings(packed)
    return readings, inputs


# ------------------------------------------------------------ signatures as the chain takes them


def message_of(
    chain_id: int, quorum: str, term: QuorumTerm, auction: int, subject: str, content: bytes
) -> TypedData:
    """What an oracle signs for one subject of a report."""
    if subject == PRICES:
        return typed_data.imbalance_prices(chain_id, quorum, term, auction, content)
    return typed_data.substitute_reading(chain_id, quorum, term, auction, subject, content)


def chain_takes(signature: bytes) -> bool:
    """Whether OpenZeppelin's ECDSA reads this signature: 65 bytes, s in the lower half, v as 27 or 28."""
    s, v = int.from_bytes(signature[32:64], "big"), signature[-1:]
    return len(signature) == SIGNATURE_BYTES and s <= HALF_CURVE_ORDER and v in (b"\x1b", b"\x1c")


# ------------------------------------------------------------ the document


@dataclass(frozen=True)
class SignedReport:
    """A report as one oracle gives it to the others.

    author: who signed the document as a whole. signatures: over `message_of` each subject.
    """

    author: str
    audience: str
    term: QuorumTerm
    report: Report
    signatures: Mapping[str, bytes]


def audience_of(chain_id: int, quorum: str) -> str:
    """The quorum a report is for; elsewhere it means nothing."""
    return f"eip155:{chain_id}:{quorum}"


def sign_contents(
    key: LocalAccount, chain_id: int, quorum: str, term: QuorumTerm, report: Report
) -> dict[str, bytes]:
    """This oracle's signature for each subject of its report, as the chain takes it."""
    return {
        subject: typed_data.sign(key, message_of(chain_id, quorum, term, report.auction, subject, content))
        for subject, content in report.contents.items()
    }


def sign_report(
    key: LocalAccount, audience: str, term: QuorumTerm, report: Report, signatures: Mapping[str, bytes]
) -> bytes:
    """The document, as other oracles read it. All of it is signed, so that nobody can deny what it disagreed on.

    signatures: by subject, as `sign_contents` makes them.
    """
    payload = _canonical(
        {
            "audience": audience,
            "auction": report.auction,
            "epoch": term.epoch,
            "configuration": _hex(term.configuration),
            "block": report.block,
            "inputs": {member: [used.kind, _hex(used.digest)] for member, used in report.inputs.items()},
            "subjects": {
                subject: [_hex(content), _hex(signatures[subject])]
                for subject, content in report.contents.items()
            },
        }
    )
    signature = bytes(key.sign_message(encode_defunct(text=payload)).signature)
    return _canonical({"payload": payload, "signature": _hex(signature)}).encode()


def read_report(document: bytes) -> SignedReport:
    """Who says what. Raises MalformedReport; the subjects' signatures are not looked at."""
    envelope = _object(_load(document), ENVELOPE_KEYS, "the document")
    payload, signature = envelope["payload"], _bytes(envelope["signature"], "signature")
    if not isinstance(payload, str):
        raise MalformedReport("payload is not a text")
    content = _object(_load(payload), KEYS, "the payload")
    subjects = _pairs(content["subjects"], "subjects")
    inputs = _pairs(content["inputs"], "inputs")
    report = Report(
        auction=_number(content["auction"], "auction"),
        block=_number(content["block"], "block"),
        contents={subject: _bytes(pair[0], "subjects") for subject, pair in subjects.items()},
        inputs={member: Input(_kind(pair[0]), _bytes(pair[1], "inputs")) for member, pair in inputs.items()},
    )
    term = QuorumTerm(_number(content["epoch"], "epoch"), _bytes(content["configuration"], "configuration"))
    signatures = {subject: _bytes(pair[1], "subjects") for subject, pair in subjects.items()}
    return SignedReport(_author(payload, signature), str(content["audience"]), term, report, signatures)


def _author(payload: str, signature: bytes) -> str:
    if not chain_takes(signature):
        raise MalformedReport("the document's signature is in a form that does not count")
    try:
        return str(Account.recover_message(encode_defunct(text=payload), signature=signature))
    except Exception:  # eth-keys and coincurve have several errors for what is no signature
        raise MalformedReport("the document's signature is nobody's") from None


def _load(text: bytes | str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise MalformedReport("it is not JSON in UTF-8") from None


def _object(value: Any, keys: tuple[str, ...], name: str) -> dict[str, Any]:
    if not isinstance(value, dict) or sorted(value) != list(keys):
        raise MalformedReport(f"{name} is not an object with the keys {', '.join(keys)}")
    return value


def _pairs(value: Any, name: str) -> dict[str, list[Any]]:
    if not isinstance(value, dict) or len(value) > MAX_SUBJECTS:
        raise MalformedReport(f"{name} is not an object of at most {MAX_SUBJECTS} pairs")
    for key, pair in value.items():
        if not is_checksum_address(key) or not isinstance(pair, list) or len(pair) != 2:
            raise MalformedReport(f"{name} has something else than pairs by address")
    return value


def _number(value: Any, name: str) -> int:
    if type(value) is not int or not 0 <= value <= MAX_NUMBER:
        raise MalformedReport(f"{name} is not a whole number from 0")
    return value


def _kind(value: Any) -> str:
    if not isinstance(value, str) or len(value) > MAX_KIND or not value.isprintable():
        raise MalformedReport("inputs has a kind that is no name")
    return value


def _bytes(value: Any, name: str) -> bytes:
    try:
        if value[:2] == "0x":
            return bytes.fromhex(value[2:])
    except (TypeError, ValueError):
        pass
    raise MalformedReport(f"{name} has something else than bytes as 0x and hex digits")


def _hex(data: bytes) -> str:
    return "0x" + data.hex()


def _canonical(content: Any) -> str:
    return json.dumps(content, sort_keys=True, separators=(",", ":"))
