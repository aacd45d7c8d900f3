"""A member's record in the market, taken apart; the layout of `contracts/libraries/Records.sol`."""

from typing import NamedTuple

from eth_utils import keccak

from tests.contracts.community import Community, Participant

FREE, SEALED, BID, POSITION, SPENT = range(5)
LOCK_UNIT = 1 << 20
MAX_LOCK = ((1 << 40) - 1) * LOCK_UNIT
LAST_NONCE = (1 << 12) - 1
DIGEST_BITS = 181


class Record(NamedTuple):
    """digest: the head of the hash, as a number. nonce: of the last signature. lock: money units.
    round: turns of the ring. stage: FREE to SPENT."""

    digest: int
    nonce: int
    lock: int
    round: int
    stage: int


def record_of(market: Community, auction: int, participant: Participant) -> Record:
    """The record that the participant's bid in the auction uses, whatever it holds now."""
    word = market.market.recordOf(auction, participant.address)
    return Record(
        word >> 75,
        word >> 63 & LAST_NONCE,
        (word >> 23 & (1 << 40) - 1) * LOCK_UNIT,
        word >> 3 & (1 << 20) - 1,
        word & 7,
    )


def digest(data: bytes) -> int:
    """What a record keeps of these bytes."""
    return int.from_bytes(keccak(data), "big") >> 256 - DIGEST_BITS


def lock_up(money: int) -> int:
    """What is locked for a bid that can cost so much."""
    return -(-money // LOCK_UNIT) * LOCK_UNIT
