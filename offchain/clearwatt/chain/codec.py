"""The byte layouts the contracts read and log: prices, marginal volumes, bids, positions, readings, deliveries and what
settling them came to.

Everything is packed big-endian and back to back; `contracts/interfaces/` states each layout. Nothing here
needs a node.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from eth_abi import encode
from eth_utils import keccak, to_checksum_address

from clearwatt.bids import STEP_BYTES, Bid, pack_steps, unpack_steps
from clearwatt.chain.typed_data import Evidence
from clearwatt.clearing.auction import Marginal
from clearwatt.clearing.positions import Position

MARGINAL_BYTES = 16
POSITION_HEAD_BYTES = 10
HEAD_BYTES = 24
SETTLED_BYTES = 48
READING_BYTES = 4
MEMBER_BYTES = 20
SIGNATURE_BYTES = 65


class CodecError(ValueError):
    """Bytes from the chain that do not have the layout they should."""


def _signed(values: Iterable[int], size: int) -> bytes:
    return b"".join(int(value).to_bytes(size, "big", signed=True) for value in values)


def _int24s(data: bytes) -> np.ndarray:
    if len(data) % 3:
        raise CodecError(f"{len(data)} bytes are not a whole number of 3-byte prices")
    raw = np.frombuffer(data, dtype=np.uint8).reshape(-1, 3).astype(np.int64)
    return ((raw[:, 0] << 16 | raw[:, 1] << 8 | raw[:, 2]) ^ 0x800000) - 0x800000


def pack_prices(prices: Sequence[Sequence[int]]) -> bytes:
    """[Z][T] prices in ticks, int24 each, zone-major."""
    return b"".join(_signed(row, 3) for row in prices)


def unpack_prices(data: bytes, zones: int, slots: int) -> tuple[tuple[int, ...], ...]:
    """The inverse of `pack_prices`. Raises CodecError if the size does not fit."""
    values = _int24s(data)
    if len(values) != zones * slots:
        raise CodecError(f"{len(values)} prices do not fill {zones} zones of {slots} slots")
    return tuple(map(tuple, values.reshape(zones, slots).tolist()))


def pack_imbalance(surplus: Sequence[Sequence[int]], shortage: Sequence[Sequence[int]]) -> bytes:
    """[Z][T] surplus and shortage prices in ticks, interleaved per zone and slot."""
    rows = zip(surplus, shortage, strict=True)
    return b"".join(_signed((price for pair in zip(*row, strict=True) for price in pair), 3) for row in rows)


def unpack_imbalance(data: bytes, zones: int, slots: int) -> tuple[np.ndarray, np.ndarray]:
    """Surplus and shortage prices, ticks, int64 [Z, T] each. Raises CodecError if the size does not fit."""
    values = _int24s(data)
    if len(values) != 2 * zones * slots:
        raise CodecError(f"{len(values)} prices are not two for each of {zones} zones and {slots} slots")
    pairs = values.reshape(zones, slots, 2)
    return pairs[:, :, 0], pairs[:, :, 1]


def pack_marginals(marginals: Iterable[Marginal]) -> bytes:
    """`zone uint16 | slot uint8 | buy uint8 | quantity uint48 | filled uint48` each."""
    return b"".join(
        m.zone.to_bytes(2, "big")
        + m.slot.to_bytes(1, "big")
        + (m.side == "buy").to_bytes(1, "big")
        + m.quantity.to_bytes(6, "big")
        + m.filled.to_bytes(6, "big")
        for m in marginals
    )


def unpack_marginals(data: bytes) -> tuple[Marginal, ...]:
    """The inverse of `pack_marginals`. Raises CodecError if the size does not fit."""
    if len(data) % MARGINAL_BYTES:
        raise CodecError(
            f"{len(data)} bytes are not a whole number of {MARGINAL_BYTES}-byte marginal volumes"
        )
    return tuple(
        _unpack_marginal(data[at : at + MARGINAL_BYTES]) for at in range(0, len(data), MARGINAL_BYTES)
    )


def _unpack_marginal(entry: bytes) -> Marginal:
    return Marginal(
        zone=int.from_bytes(entry[:2], "big"),
        slot=entry[2],
        side="buy" if entry[3] else "sell",
        quantity=int.from_bytes(entry[4:10], "big"),
        filled=int.from_bytes(entry[10:], "big"),
    )


def pack_bids(bids: Iterable[Bid]) -> bytes:
    """Bids as `Clearing.clear` reads them, traders ascending."""
    return b"".join(map(pack_bid, sorted(bids, key=lambda bid: int(bid.member, 16))))


def pack_bid(bid: Bid) -> bytes:
    """One bid: `trader address | zone uint16 | count uint16 | steps`."""
    head = bytes.fromhex(bid.member[2:]) + bid.zone.to_bytes(2, "big") + len(bid.steps).to_bytes(2, "big")
    return head + pack_steps(bid.steps)


def unpack_bids(data: bytes) -> tuple[Bid, ...]:
    """The inverse of `pack_bids`, in the order of the bytes. Raises CodecError if they end within a bid."""
    bids = []
    at = 0
    while at < len(data):
        size = HEAD_BYTES + STEP_BYTES * int.from_bytes(data[at + 22 : at + 24], "big")
        if at + size > len(data):
            raise CodecError(f"the bids end within the one at byte {at}")
        zone = int.from_bytes(data[at + 20 : at + 22], "big")
        steps = unpack_steps(data[at + HEAD_BYTES : at + size])
        bids.append(Bid(to_checksum_address(data[at : at + 20]), zone, steps))
        at += size
    return tuple(bids)


class SignedBid(NamedTuple):
    """A bid that its member signed as `typed_data.bid`, for anyone to post.

    steps: packed. deadline: Unix time until which it may be posted.
    """

    member: str
    nonce: int
    deadline: int
    steps: bytes
    signature: bytes


def pack_signed_bid(bid: SignedBid) -> bytes:
    """`member address | nonce uint16 | deadline uint40 | signature bytes uint16 | count uint16 | steps | signature`."""
    return b"".join(
        (
            bytes.fromhex(bid.member[2:]),
            bid.nonce.to_bytes(2, "big"),
            bid.deadline.to_bytes(5, "big"),
            len(bid.signature).to_bytes(2, "big"),
            (len(bid.steps) // STEP_BYTES).to_bytes(2, "big"),
            bid.steps,
            bid.signature,
        )
    )


def pack_signed_bids(bids: Iterable[SignedBid]) -> bytes:
    """Signed bids as `Market.bidSigned` reads them, in the order given."""
    return b"".join(map(pack_signed_bid, bids))


def seal_commitment(
    chain_id: int, market: str, auction: int, member: str, salt: bytes, steps: bytes
) -> bytes:
    """What stands for a sealed bid until it is opened. salt: 32 random bytes, kept secret; steps: packed."""
    kinds = ["uint256", "address", "uint256", "address", "bytes32", "bytes32"]
    return keccak(encode(kinds, [chain_id, market, auction, member, salt, keccak(steps)]))


def pack_position(position: Position) -> bytes:
    """`zone uint16 | cash int64 | fills int32[T]`, what a record holds the hash of after clearing."""
    head = position.zone.to_bytes(2, "big") + position.cash.to_bytes(8, "big", signed=True)
    return head + pack_readings(position.fills)


def unpack_position(data: bytes) -> Position:
    """The inverse of `pack_position`. Raises CodecError if the size does not fit."""
    if len(data) < POSITION_HEAD_BYTES:
        raise CodecError(f"{len(data)} bytes are too short for a position")
    cash = int.from_bytes(data[2:POSITION_HEAD_BYTES], "big", signed=True)
    return Position(int.from_bytes(data[:2], "big"), cash, unpack_readings(data[POSITION_HEAD_BYTES:]))


def pack_readings(readings: Iterable[int]) -> bytes:
    """Net energy per slot, Wh, int32 each."""
    return _signed(readings, READING_BYTES)


def unpack_readings(data: bytes) -> tuple[int, ...]:
    """The inverse of `pack_readings`. Raises CodecError if the size does not fit."""
    if len(data) % READING_BYTES:
        raise CodecError(f"{len(data)} bytes are not a whole number of {READING_BYTES}-byte readings")
    return tuple(np.frombuffer(data, dtype=">i4").tolist())


def pack_delivery(
    member: str, evidence: int, position: bytes, readings: bytes = b"", signature: bytes = b""
) -> bytes:
    """One delivery as `Settlement.settle` reads it: `member | evidence uint8 | position | readings | signature`.

    position, readings: packed; no readings where they are deemed, and a signature only of a meter.
    """
    return bytes.fromhex(member[2:]) + evidence.to_bytes(1, "big") + position + readings + signature


def split_deliveries(data: bytes, slots: int) -> list[tuple[str, bytes]]:
    """Whose deliveries these are, in an auction of so many slots, and the bytes of each behind its member.

    Raises CodecError if they end within one, or name an evidence that there is not.
    """
    deliveries = []
    at = 0
    while at < len(data):
        size = _delivery_size(_evidence(data, at, "delivery"), slots)
        if at + size > len(data):
            raise CodecError(f"the deliveries end within the one at byte {at}")
        rest = data[at + MEMBER_BYTES : at + size]
        deliveries.append((to_checksum_address(data[at : at + MEMBER_BYTES]), rest))
        at += size
    return deliveries


def _delivery_size(evidence: Evidence, slots: int) -> int:
    rows = 1 if evidence is Evidence.DEEMED else 2
    signature = SIGNATURE_BYTES if evidence is Evidence.METER else 0
    return MEMBER_BYTES + 1 + POSITION_HEAD_BYTES + rows * READING_BYTES * slots + signature


def pack_listed(deliveries: Iterable[tuple[str, bytes]], places: Mapping[str, int]) -> bytes:
    """Deliveries as `Settlement.settleListed` reads them: each with its member's place in a roster instead of the
    address, places ascending. Raises KeyError for a member without a place."""
    listed = sorted((places[member], rest) for member, rest in deliveries)
    return b"".join(place.to_bytes(2, "big") + rest for place, rest in listed)


def pack_members(members: Iterable[str]) -> bytes:
    """Addresses, 20 bytes each."""
    return b"".join(bytes.fromhex(member[2:]) for member in members)


def unpack_members(data: bytes) -> tuple[str, ...]:
    """The inverse of `pack_members`. Raises CodecError if the size does not fit."""
    if len(data) % MEMBER_BYTES:
        raise CodecError(f"{len(data)} bytes are not a whole number of {MEMBER_BYTES}-byte addresses")
    return tuple(
        to_checksum_address(data[at : at + MEMBER_BYTES]) for at in range(0, len(data), MEMBER_BYTES)
    )


class Settled(NamedTuple):
    """One member's settled auction.

    source: what the member injects, as `deployment.SOURCES` numbers it. cash, imbalance: for contracts and for
    deviating from them, money units, positive = received. unmatched: Wh injected beyond what was sold. bought: Wh its
    position bought. readings: net Wh per slot; none where they are deemed.
    """

    member: str
    evidence: Evidence
    source: int
    cash: int
    imbalance: int
    unmatched: int
    bought: int
    readings: tuple[int, ...]


def unpack_settlements(data: bytes, slots: int) -> tuple[Settled, ...]:
    """What `ISettlement.MembersSettled` says of an auction of so many slots, in the order of the bytes.

    Raises CodecError if they end within a member's, or name an evidence that there is not.
    """
    settlements = []
    at = 0
    while at < len(data):
        evidence = _evidence(data, at, "settlement")
        size = SETTLED_BYTES + (0 if evidence is Evidence.DEEMED else READING_BYTES * slots)
        if at + size > len(data):
            raise CodecError(f"the settlements end within the one at byte {at}")
        settlements.append(_unpack_settled(data[at : at + size], evidence))
        at += size
    return tuple(settlements)


def _evidence(data: bytes, at: int, what: str) -> Evidence:
    value = int.from_bytes(data[at + 20 : at + 21], "big")
    try:
        return Evidence(value)
    except ValueError:
        raise CodecError(f"the {what} at byte {at} is on evidence {value}, which there is not") from None


def _unpack_settled(entry: bytes, evidence: Evidence) -> Settled:
    return Settled(
        member=to_checksum_address(entry[:20]),
        evidence=evidence,
        source=entry[21],
        cash=int.from_bytes(entry[22:30], "big", signed=True),
        imbalance=int.from_bytes(entry[30:38], "big", signed=True),
        unmatched=int.from_bytes(entry[38:43], "big"),
        bought=int.from_bytes(entry[43:SETTLED_BYTES], "big"),
        readings=unpack_readings(entry[SETTLED_BYTES:]),
    )
