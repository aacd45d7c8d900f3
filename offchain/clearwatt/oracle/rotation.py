"""Whose turn it is to post, so that several oracles do not pay for the same transaction.

The turn goes round by the wall clock, and every auction starts elsewhere: a sleeping oracle is passed over when its
turn ends, and the work is shared. Clocks that differ make two oracles post at once, or for a while none; the first is
harmless, since the chain takes everything once, and the second passes.
"""

from collections.abc import Sequence
from math import floor


def poster(auction: int, now: float, turn_seconds: float, signers: Sequence[str]) -> str:
    """The signer whose turn it is. now: wall clock, Unix time. signers: in office, ascending, at least one."""
    return signers[(auction + floor(now / turn_seconds)) % len(signers)]


def is_turn(address: str, auction: int, now: float, turn_seconds: float, signers: Sequence[str]) -> bool:
    """Whether this account may post now.

    An account that is not in office has no turn to wait for, and turn_seconds 0 stands for no turns: they may always.
    """
    if turn_seconds <= 0 or address not in signers:
        return True
    return poster(auction, now, turn_seconds, signers) == address
