"""Sums under masks: exact, silent about each, and sound when members fall silent."""

import numpy as np
import pytest

from clearwatt.dispatch.distributed.secure_sum import (
    LARGEST,
    Masker,
    Unmaskable,
    add,
    negative,
    neighbours,
    to_numbers,
    to_words,
    unmask,
)

NAMES = [f"member {number}" for number in range(7)]


def maskers(names: list[str] = NAMES, degree: int = 100) -> dict[str, Masker]:
    group = {name: Masker(name) for name in names}
    keys = {name: masker.public_key for name, masker in group.items()}
    for masker in group.values():
        masker.meet(keys, degree)
    return group


def values(count: int = 20) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    return {name: rng.normal(size=count) * 10.0 ** rng.integers(-9, 12, count) for name in NAMES}


def test_words__numbers_of_all_sizes__come_back_but_for_the_last_place() -> None:
    rng = np.random.default_rng(0)
    numbers = np.concatenate([rng.normal(size=200) * 10.0 ** rng.integers(-3, 18, 200), [0, -1, 1, -0.5]])
    assert np.abs(to_numbers(to_words(numbers)) - numbers).max() <= 2.0**-64


@pytest.mark.parametrize("number", [np.nan, np.inf, LARGEST])
def test_words__not_a_number_that_fits__refused(number: float) -> None:
    with pytest.raises(Unmaskable):
        to_words(np.array([1.0, number]))


def test_add__carry_over_the_low_half__exact_integers() -> None:
    rng = np.random.default_rng(2)
    left, right = (rng.integers(0, 2**64, (500, 2), dtype=np.uint64, endpoint=False) for _ in range(2))
    as_int = lambda words: [(int(high) << 64) + int(low) for low, high in words]  # noqa: E731
    expected = [(a + b) % 2**128 for a, b in zip(as_int(left), as_int(right), strict=True)]
    assert as_int(add(left, right)) == expected
    assert not add(left, negative(left)).any()


@pytest.mark.parametrize("degree", [100, 4])
@pytest.mark.parametrize("silent", [[], ["member 3"], ["member 0", "member 5"]])
def test_sum__some_are_silent__sum_of_the_others(degree: int, silent: list[str]) -> None:
    group, numbers = maskers(degree=degree), values()
    sent = {name: masker.cover(numbers[name], 0, NAMES) for name, masker in group.items()}
    answered = [name for name in NAMES if name not in silent]
    told = {name: group[name].reveal(0, answered) for name in answered}
    total = unmask(
        {name: sent[name] for name in answered},
        {name: own for name, (own, _) in told.items()},
        {name: shared for name, (_, shared) in told.items()},
    )
    expected = sum(numbers[name] for name in answered)
    assert np.allclose(total, expected, rtol=1e-12, atol=1e-12 * np.abs(expected).max())


def test_masked_message__any_other_numbers__would_fit_as_well() -> None:
    numbers = values()["member 0"]
    sent = maskers()["member 0"].cover(numbers, 0, NAMES)
    other = np.linspace(-5, 5, len(numbers))
    mask = add(sent, negative(to_words(other)))  # as likely as the one that was drawn
    assert np.array_equal(to_numbers(add(sent, negative(mask))), to_numbers(to_words(other)))
    assert np.array_equal(add(to_words(other), mask), sent)


def test_masked_messages__the_same_numbers_many_times__bytes_are_uniform() -> None:
    """Chi-square over the 256 values of a byte, for a message of zeros and one of large numbers; p of 1e-6 each."""
    for numbers in (np.zeros(4000), np.full(4000, 1e9)):
        sent = maskers()["member 2"].cover(numbers, 0, NAMES)
        counts = np.bincount(np.frombuffer(sent.tobytes(), np.uint8), minlength=256)
        expected = sent.nbytes / 256
        assert ((counts - expected) ** 2 / expected).sum() < 375


def test_cover__same_numbers_in_two_rounds__share_no_word() -> None:
    masker, numbers = maskers()["member 1"], np.ones(500)
    first, second = (masker.cover(numbers, number, NAMES) for number in (0, 1))
    assert not (first == second).any()


def test_late_message__seeds_shared_with_its_sender_are_out__still_covered() -> None:
    """The coordinator has called member 3 silent and holds its shared seeds; then the message comes after all."""
    group, numbers = maskers(), values()
    sent = {name: masker.cover(numbers[name], 0, NAMES) for name, masker in group.items()}
    answered = [name for name in NAMES if name != "member 3"]
    told = {name: group[name].reveal(0, answered) for name in answered}
    everything = {name: shared["member 3"] for name, (_, shared) in told.items()}
    stripped = unmask({"member 3": sent["member 3"]}, {"member 3": bytes(32)}, {"member 3": everything})
    assert not np.isclose(stripped, numbers["member 3"], rtol=1e-3).any()
    with pytest.raises(Unmaskable):
        group["member 3"].reveal(0, answered)


def test_reveal__asked_twice__refused() -> None:
    group = maskers()
    group["member 0"].cover(np.ones(3), 0, NAMES)
    group["member 0"].reveal(0, NAMES)
    with pytest.raises(Unmaskable):
        group["member 0"].reveal(0, NAMES[:-1])


def test_cover__round_that_is_over__refused() -> None:
    masker = maskers()["member 0"]
    masker.cover(np.ones(3), 5, NAMES)
    with pytest.raises(Unmaskable):
        masker.cover(np.ones(3), 5, NAMES)


def test_cover__sum_of_two__refused() -> None:
    with pytest.raises(Unmaskable):
        maskers()["member 0"].cover(np.ones(3), 0, NAMES[:2])


def test_meet__somebody_elses_key_in_its_place__refused() -> None:
    group = maskers()
    keys = {name: masker.public_key for name, masker in group.items()} | {
        "member 0": group["member 1"].public_key
    }
    with pytest.raises(Unmaskable):
        group["member 0"].meet(keys, 100)


def test_neighbours__ring__mutual_and_of_the_degree() -> None:
    names = [f"m{number}" for number in range(20)]
    near = {name: neighbours(names, name, 6) for name in names}
    assert all(len(others) == 6 for others in near.values())
    assert all(name in near[other] for name, others in near.items() for other in others)
