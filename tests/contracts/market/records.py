"""A member's record in the market, taken apart; the layout of `contracts/libraries/Records.sol`."""

from typing import NamedTuple

from eth_utils import keccak

from tests.contracts.community import Community, Participant

FREE, BID, POSITION, SPENT = range(4)
LOCK_UNIT = 1 << 16


class Record(NamedTuple):
    """digest: the first 23 bytes of the hash. lock: money units. round: turns of the ring. stage: FREE to SPENT."""

    digest: bytes
    lock: int
    round: int
    stage: int


def record_of(market: Community, auction: int, participant: Participant) -> Record:
    """The record that the participant's bid in the auction uses, whatever it holds now."""
    word = market.market.recordOf(auction, participant.address)
    return Record(
        (word >> 72).to_bytes(23, "big"),
        (word >> 24 & (1 << 48) - 1) * LOCK_UNIT,
        word >> 2 & (1 << 22) - 1,
        word & 3,
    )


def digest(data: bytes) -> bytes:
    """What a record keeps of these bytes."""
    return bytes(keccak(data))[:23]


def lock_up(money: int) -> int:
    """What is locked for a bid that can cost so much."""
    return -(-money // LOCK_UNIT) * LOCK_UNIT
