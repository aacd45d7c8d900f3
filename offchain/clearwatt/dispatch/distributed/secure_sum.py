"""Sums of vectors that nobody has to show: pairwise masks that cancel, and one more that keeps latecomers covered.

Each member adds to its numbers, for every neighbour, a mask that both derive from a common secret, one adding
and the other subtracting it, and a mask of its own [1]_. All arithmetic is modulo 2^128, so a masked vector is
uniformly distributed whatever is in it. When the coordinator says who has answered, those members tell the
seeds of their own masks, and the seeds they share with the members that have not, for this round only. From
that follows the sum over those who answered and nothing else: a message that arrives late stays covered by its
sender's own mask.

If a member is silent after it has sent its numbers, its own mask can't be removed and the round is repeated
without it: the sum is lost, not the secret. A member answers each round once and each request for seeds once,
takes part in no sum of fewer than LEAST members, and uses no mask twice, as every round has a number above all
before. This holds against a coordinator that is curious but keeps to the protocol: one that tells some that a
member has answered and others that it has not learns both kinds of its seeds, as members do not compare notes.

Numbers are fixed-point: 64 bits before the binary point, 64 after. Sums are exact.

.. [1] K. Bonawitz et al., "Practical secure aggregation for privacy-preserving machine learning", CCS 2017.
   There, own masks are also shared out so that a round survives silence at the end; here it is repeated. With few
   neighbours of many members: J. H. Bell et al., CCS 2020.
"""

import hashlib
import secrets
from collections.abc import Sequence

import numpy as np
from coincurve import PrivateKey

from clearwatt.dispatch.errors import DispatchError

LEAST = 3
WORD = 2.0**64
LARGEST = 2.0**62
Words = np.ndarray
"""uint64[n, 2]: low and high half of n numbers modulo 2^128."""


class Unmaskable(DispatchError):
    """Numbers or a request that a member does not put under masks."""


def to_words(numbers: np.ndarray) -> Words:
    """Fixed-point numbers. Raises Unmaskable for what is not finite or above LARGEST."""
    if not (np.abs(numbers) < LARGEST).all():
        raise Unmaskable("a number is not finite or too large for a sum")
    size = np.abs(numbers)
    whole = np.floor(size)
    words = np.stack(((size - whole) * WORD, whole), axis=1).astype(np.uint64)
    return np.where((numbers < 0)[:, None], negative(words), words)


def to_numbers(words: Words) -> np.ndarray:
    """The reverse, to the nearest float."""
    below = words[:, 1] >= np.uint64(1 << 63)
    size = np.where(below[:, None], negative(words), words)
    value = size[:, 1] + size[:, 0] / WORD
    return np.where(below, -value, value)


def add(left: Words, right: Words) -> Words:
    """Sum modulo 2^128."""
    low = left[:, 0] + right[:, 0]
    return np.stack((low, left[:, 1] + right[:, 1] + (low < left[:, 0])), axis=1)


def negative(words: Words) -> Words:
    """What adds up to 0 with it."""
    low = ~words[:, 0] + np.uint64(1)
    return np.stack((low, ~words[:, 1] + (low == 0)), axis=1)


def mask(seed: bytes, count: int) -> Words:
    """[count, 2] pseudo-random words."""
    stream = hashlib.shake_128(seed).digest(16 * count)
    return np.frombuffer(stream, "<u8").reshape(count, 2).astype(np.uint64)


def neighbours(members: Sequence[str], member: str, degree: int) -> list[str]:
    """Whom a member shares masks with: in the ring of all names in order, the next degree / 2 on either side.

    All others if there are no more than degree.
    """
    ring = sorted(members)
    if len(ring) - 1 <= degree:
        return [other for other in ring if other != member]
    place, reach = ring.index(member), max(1, degree // 2)
    return [ring[(place + step) % len(ring)] for step in range(-reach, reach + 1) if step]


class Masker:
    """A member's side. name: as the others know it."""

    def __init__(self, name: str) -> None:
        self._name, self._key = name, PrivateKey()
        self._secrets: dict[str, bytes] = {}
        self._round = -1
        self._own: bytes | None = None
        self._partners: list[str] = []

    @property
    def public_key(self) -> bytes:
        """33 bytes, secp256k1."""
        return self._key.public_key.format()

    def meet(self, keys: dict[str, bytes], degree: int) -> None:
        """Agree on secrets with the neighbours among the members of the sum, itself included in keys."""
        if keys.get(self._name) != self.public_key:
            raise Unmaskable("the group does not have this member's own key")
        partners = neighbours(list(keys), self._name, degree)
        self._secrets = {other: self._key.ecdh(keys[other]) for other in partners}

    def cover(self, numbers: np.ndarray, round_number: int, members: Sequence[str]) -> Words:
        """The masked numbers for a round among these members."""
        if round_number <= self._round:
            raise Unmaskable(f"round {round_number} is over")
        if len(set(members)) < LEAST or self._name not in members:
            raise Unmaskable(f"a sum of fewer than {LEAST} members shows too much of each")
        self._partners = [other for other in self._secrets if other in members]
        if len(self._partners) < LEAST - 1:
            raise Unmaskable("too few neighbours are left to share masks with")
        self._round, self._own = round_number, secrets.token_bytes(32)
        total = add(to_words(numbers), mask(self._own, len(numbers)))
        for other in self._partners:
            share = mask(self._seed(other), len(numbers))
            total = add(total, share if self._name < other else negative(share))
        return total

    def reveal(self, round_number: int, answered: Sequence[str]) -> tuple[bytes, dict[str, bytes]]:
        """Seed of the own mask, and those shared with neighbours that have not answered. Once per round."""
        if round_number != self._round or self._own is None:
            raise Unmaskable(f"nothing to reveal of round {round_number}")
        if self._name not in answered or len(set(answered)) < LEAST:
            raise Unmaskable(f"a sum of fewer than {LEAST} members shows too much of each")
        own, self._own = self._own, None
        return own, {other: self._seed(other) for other in self._partners if other not in answered}

    def _seed(self, other: str) -> bytes:
        pair = "\n".join(sorted((self._name, other)))
        return hashlib.sha256(self._secrets[other] + f"\n{self._round}\n{pair}".encode()).digest()


def unmask(
    masked: dict[str, Words], own: dict[str, bytes], shared: dict[str, dict[str, bytes]]
) -> np.ndarray:
    """The sum of the numbers of all who sent masked vectors.

    own: every sender's seed. shared: by sender, the seeds it shared with members that sent nothing.
    """
    count = len(next(iter(masked.values())))
    total = np.zeros((count, 2), np.uint64)
    for name, words in masked.items():
        total = add(add(total, words), negative(mask(own[name], count)))
        for other, seed in shared.get(name, {}).items():
            share = mask(seed, count)
            total = add(total, negative(share) if name < other else share)
    return to_numbers(total)
