"""Signed bids in tests: what became of them, and what their members sign beside bids."""

from typing import Any, NamedTuple

from clearwatt.chain import codec, typed_data
from tests.contracts.community import FAR_FUTURE, Community, Participant
from tests.contracts.refusals import Refusal, reason, refusal


class Outcome(NamedTuple):
    """placed: the members whose bids were taken. refused: member and the error's name of those passed over."""

    placed: list[str]
    refused: list[tuple[str, str]]


REASONS = (
    "WrongSignature",
    "SignatureExpired",
    "NonceUsed",
    "BundleUnsound",
    "TooManySteps",
    "BalanceTooLow",
    "InDebt",
    "NotAMember",
    "RecordInUse",
    "AuctionFull",
)


def outcome(market: Community, receipt: Any) -> Outcome:
    """What a transaction of signed bids did, in the order of its events."""
    names = {reason(name): name for name in REASONS}
    placed = [
        bid.member
        for event in receipt.decode_logs(market.market.BidsPlaced)
        for bid in codec.unpack_bids(bytes(event.bids))
    ]
    refused = receipt.decode_logs(market.market.BidRefused)
    return Outcome(placed, [(event.member, names[bytes(event.reason)]) for event in refused])


def sign_cancellation(
    market: Community, participant: Participant, auction: int, nonce: int, deadline: int = FAR_FUTURE
) -> bytes:
    message = typed_data.cancellation(
        market.chain_id, market.market.address, auction, participant.address, nonce, deadline
    )
    return typed_data.sign(participant.key, message)


def cancel_signed(
    market: Community,
    participant: Participant,
    nonce: int,
    deadline: int = FAR_FUTURE,
    signature: bytes | None = None,
) -> tuple[Any, ...]:
    """The arguments of `cancelSigned` for auction 0; without a signature, the participant's own."""
    signature = sign_cancellation(market, participant, 0, nonce, deadline) if signature is None else signature
    return (0, participant.address, nonce, deadline, signature)


def cancel_refusal(
    market: Community, sender: Any, participant: Participant, nonce: int, **further: Any
) -> Refusal | None:
    arguments = cancel_signed(market, participant, nonce, **further)
    return refusal(market.market.cancelSigned, *arguments, sender=sender)
