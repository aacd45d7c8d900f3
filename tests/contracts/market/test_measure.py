"""The one pass over a bundle that every bid runs through, against the plain check beside it and against Python."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pytest
from eth_abi import decode

from tests.contracts.market.records import MAX_LOCK, lock_up
from tests.contracts.refusals import decoded, returned

INT24_MIN, INT24_MAX = -(2**23), 2**23 - 1
INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1
BATCH = 60


class Terms(NamedTuple):
    """As the contract's, in its order."""

    slots: int
    min_price: int
    max_price: int
    min_quantity: int
    margin: int


Step = tuple[int, int, int]

USUAL = Terms(4, -50_000, 400_000, 1, 0)
TERMS = {
    "usual": USUAL,
    "margin and dust": Terms(4, -10, 15, 100, 700),
    "one slot, one price": Terms(1, 5, 5, 1, 3),
    "widest": Terms(96, INT24_MIN, INT24_MAX, 1, 2**24 - 1),
    "below zero": Terms(2, -300, -100, 7, 1),
    "large steps only": Terms(96, 0, INT24_MAX, 2**31 - 1, 0),
}


def pack(steps: Sequence[Step]) -> bytes:
    """Steps as they travel, in whatever order."""
    return b"".join(
        slot.to_bytes(1, "big")
        + price.to_bytes(3, "big", signed=True)
        + quantity.to_bytes(4, "big", signed=True)
        for slot, price, quantity in steps
    )


def fault(terms: Terms, steps: Sequence[Step]) -> tuple[Any, ...] | None:
    """What is wrong with the bundle: the error's name and arguments, or None."""
    last = total = 0
    for index, (slot, price, quantity) in enumerate(steps):
        if slot < last:
            return ("StepsNotAscending", index)
        if slot >= terms.slots:
            return ("StepSlotUnknown", index, slot)
        if not terms.min_price <= price <= terms.max_price:
            return ("StepPriceOutOfBounds", index, price)
        if abs(quantity) < terms.min_quantity:
            return ("StepTooSmall", index, abs(quantity), terms.min_quantity)
        last = slot
        total += abs(quantity)
    return ("BundleTooLarge", total) if total > INT32_MAX else None


def money(terms: Terms, steps: Sequence[Step]) -> int:
    """The most the bundle can cost: buying at its limit, selling below zero, and the margin on every Wh."""
    return sum(max(0, -price * quantity) + terms.margin * abs(quantity) for _, price, quantity in steps)


# ------------------------------------------------------------------------------------------------ bundles


def random_bundles(terms: Terms, seed: int) -> Iterator[list[Step]]:
    """Sound bundles, and the same with one number moved, most of them out of bounds by one."""
    rng = np.random.default_rng(seed)
    for _ in range(80):
        steps = random_bundle(rng, terms)
        yield steps
        if steps:
            at = int(rng.integers(len(steps)))
            yield [*steps[:at], spoiled(rng, terms, steps[at]), *steps[at + 1 :]]


def random_bundle(rng: np.random.Generator, terms: Terms) -> list[Step]:
    count = int(rng.integers(0, 9))
    slots = sorted(int(slot) for slot in rng.integers(terms.slots, size=count))
    return [(slot, random_price(rng, terms), random_quantity(rng, terms, count)) for slot in slots]


def random_price(rng: np.random.Generator, terms: Terms) -> int:
    edge = [terms.min_price, terms.max_price, min(max(0, terms.min_price), terms.max_price)]
    return int(rng.choice([*edge, int(rng.integers(terms.min_price, terms.max_price + 1))]))


def random_quantity(rng: np.random.Generator, terms: Terms, count: int) -> int:
    most = max(INT32_MAX // count, terms.min_quantity)
    size = int(rng.choice([terms.min_quantity, most, int(rng.integers(terms.min_quantity, most + 1))]))
    return size * int(rng.choice([-1, 1]))


def spoiled(rng: np.random.Generator, terms: Terms, step: Step) -> Step:
    slot, price, quantity = step
    choices: list[Step] = [
        (int(rng.choice([0, terms.slots - 1, terms.slots, 255])), price, quantity),
        (slot, int(rng.choice([max(terms.min_price - 1, INT24_MIN), INT24_MIN, -1, 0])), quantity),
        (slot, int(rng.choice([min(terms.max_price + 1, INT24_MAX), INT24_MAX])), quantity),
        (slot, price, int(rng.choice([0, 1, -1, terms.min_quantity - 1, 1 - terms.min_quantity]))),
        (slot, price, int(rng.choice([INT32_MAX, INT32_MIN, -INT32_MAX]))),
    ]
    return choices[int(rng.integers(len(choices)))]


def corner_bundles() -> Iterator[list[Step]]:
    """Every pair of steps of extreme numbers, and single ones."""
    prices = [INT24_MIN, -50_001, -50_000, -1, 0, 1, 400_000, 400_001, INT24_MAX]
    quantities = [INT32_MIN, -INT32_MAX, -2, -1, 0, 1, 2, INT32_MAX]
    yield []
    for price in prices:
        for quantity in quantities:
            yield [(0, price, quantity)]
            yield [(0, 7, 1), (3, price, quantity)]
    for slot in (0, 3, 4, 95, 96, 255):
        yield [(slot, 0, 1), (3, 0, 1)]
        yield [(3, 0, 1), (slot, 0, 1)]
    yield [(0, 400_000, INT32_MAX - 1), (0, -50_000, -1)]
    yield [(0, 400_000, INT32_MAX - 1), (0, -50_000, -2)]
    yield [(0, -50_000, -(2**30)), (1, -50_000, -(2**30))]
    yield [(0, -50_000, INT32_MIN)] * 500


# ------------------------------------------------------------------------------------------------ the comparison


@pytest.fixture(scope="module")
def measure(project: Any, owner: Any) -> Callable[[Terms, list[list[Step]]], list[tuple[int, bool, bytes]]]:
    """Money, soundness and the plain check's error of each bundle, as the contract has them."""
    harness = owner.deploy(project.BundlesHarness)

    def call(terms: Terms, bundles: list[list[Step]]) -> list[tuple[int, bool, bytes]]:
        answer = returned(harness.measureAll, tuple(terms), [pack(steps) for steps in bundles])
        assert isinstance(answer, bytes), answer
        return list(zip(*decode(["uint256[]", "bool[]", "bytes[]"], answer), strict=True))

    return call


def compare(measure: Any, terms: Terms, bundles: Sequence[list[Step]]) -> list[bool]:
    """Hold all three to each other; which bundles were sound."""
    kinds = []
    for start in range(0, len(bundles), BATCH):
        batch = list(bundles[start : start + BATCH])
        for steps, (measured, sound, error) in zip(batch, measure(terms, batch), strict=True):
            expected = fault(terms, steps)
            assert (decoded(error) if error else None) == expected, steps
            assert sound == (expected is None), steps
            if sound:
                assert measured == money(terms, steps), steps
            kinds.append(sound)
    return kinds


@pytest.mark.parametrize("name", TERMS)
def test_measure__random_bundles__agrees_with_the_plain_check_and_with_python(
    measure: Any, name: str
) -> None:
    bundles = list(random_bundles(TERMS[name], list(TERMS).index(name)))
    kinds = compare(measure, TERMS[name], bundles)
    assert 0.1 < sum(kinds) / len(kinds) < 0.9


@pytest.mark.parametrize("name", ["usual", "widest"])
def test_measure__corners__agrees_with_the_plain_check_and_with_python(measure: Any, name: str) -> None:
    kinds = compare(measure, TERMS[name], list(corner_bundles()))
    assert any(kinds)
    assert not all(kinds)


def test_measure__most_a_bundle_can_cost__a_record_can_say_it(measure: Any) -> None:
    worst = [[(0, INT24_MIN, INT32_MAX)], [(0, INT24_MAX, -INT32_MAX)]]
    [(first, *_), (second, *_)] = measure(TERMS["widest"], worst)
    assert first == INT32_MAX * (2**23 + 2**24 - 1) > second
    assert lock_up(first) < MAX_LOCK
