"""Nobody moves money but the contracts that were named, once."""

from typing import Any

import pytest

from tests.contracts.refusals import refusal
from tests.contracts.vault.conftest import Till


@pytest.mark.parametrize(
    ("action", "arguments"),
    [("relock", (0, 1)), ("unlock", (1,)), ("payNetwork", ()), ("settle", (0, 1, 1))],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_money__moved_by_stranger__refused(
    till: Till, member: Any, stranger: Any, action: str, arguments: tuple[int, ...]
) -> None:
    first = 1 if action == "payNetwork" else member
    answer = refusal(getattr(till.vault, action), first, *arguments, sender=stranger)
    assert answer == ("NotConnectedCaller", stranger.address)


def test_money__contracts_take_each_others_part__refused(till: Till, member: Any) -> None:
    answer = refusal(till.vault.settle, member, 0, 1, 1, sender=till.market)
    assert answer == ("NotConnectedCaller", till.market.address)
    answer = refusal(till.vault.relock, member, 0, 1, sender=till.settlement)
    assert answer == ("NotConnectedCaller", till.settlement.address)


def test_connect__second_time__refused(till: Till, stranger: Any) -> None:
    assert refusal(till.vault.connect, stranger, stranger, sender=till.owner) == ("AlreadyConnected",)


def test_connect__not_the_deployer__refused(till: Till, stranger: Any) -> None:
    answer = refusal(till.vault.connect, stranger, stranger, sender=stranger)
    assert answer == ("NotConnectedCaller", stranger.address)
