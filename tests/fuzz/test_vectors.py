"""The vectors that forge puts to the contract are the generator's, and touch every rule."""

from collections import Counter

from tests.fuzz import vectors


def test_vectors__committed__as_the_generator_makes_them() -> None:
    assert vectors.PATH.read_text() == vectors.text(), "run `python -m tests.fuzz.vectors`"


def test_vectors__verdicts__every_rule_and_enough_accepted() -> None:
    columns = vectors.vectors()
    verdicts = Counter(columns["verdict"])
    assert verdicts.keys() >= {"E1", "E2", "E3", "E4", "E6", "E7", "S4"}
    assert verdicts[vectors.ACCEPTED] >= vectors.AUCTIONS
    assert len(set(columns["income"])) >= 10
