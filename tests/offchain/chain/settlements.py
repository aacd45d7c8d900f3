"""What settling logs, as the contract writes it."""

from collections.abc import Iterable

from clearwatt.chain.codec import Settled, pack_readings


def pack_settlements(settlements: Iterable[Settled]) -> bytes:
    """The bytes of `ISettlement.MembersSettled`, in the order given."""
    return b"".join(map(pack_settled, settlements))


def pack_settled(settled: Settled) -> bytes:
    """`member | evidence uint8 | source uint8 | cash int64 | imbalance int64`, `unmatched uint40 | bought uint40`,
    `readings int32[T]`."""
    return b"".join(
        (
            bytes.fromhex(settled.member[2:]),
            bytes([settled.evidence, settled.source]),
            settled.cash.to_bytes(8, "big", signed=True),
            settled.imbalance.to_bytes(8, "big", signed=True),
            settled.unmatched.to_bytes(5, "big"),
            settled.bought.to_bytes(5, "big"),
            pack_readings(settled.readings),
        )
    )
