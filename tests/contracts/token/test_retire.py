"""Tokens in their holders' hands: passed on, used up, and then gone."""

from typing import Any

import pytest

from tests.contracts.community import Community
from tests.contracts.refusals import refusal

AMOUNT = 1_000


@pytest.fixture
def token(project: Any, owner: Any, accounts: Any) -> Any:
    """A token of its own, for which the owner stands in as Settlement; the holder has some."""
    token = owner.deploy(project.EnergyToken, "")
    token.connect(owner, sender=owner)
    token.mint(accounts[3], 257, AMOUNT, sender=owner)
    return token


@pytest.fixture
def holder(accounts: Any) -> Any:
    return accounts[3]


def test_id__auction_and_source__apart(market: Community) -> None:
    assert market.token.idOf(0, 1) == 1
    assert market.token.idOf(1, 1) == 257
    assert market.token.idOf(2**40, 3) == 2**48 + 3


def test_retire__part__burnt_logged_and_still_counted_as_issued(
    token: Any, holder: Any, stranger: Any
) -> None:
    receipt = token.retire(257, 400, stranger, "heating, week 12", sender=holder)
    [event] = receipt.decode_logs(token.Retired)
    logged = (event.holder, event.id, event.beneficiary, event.amount, event.purpose)
    assert logged == (holder, 257, stranger, 400, "heating, week 12")
    assert token.balanceOf(holder, 257) == 600
    assert (token.issued(257), token.retired(257)) == (AMOUNT, 400)


def test_retire__what_is_gone_or_anothers__refused(token: Any, holder: Any, stranger: Any) -> None:
    token.retire(257, AMOUNT, stranger, "", sender=holder)
    gone = refusal(token.retire, 257, 1, stranger, "", sender=holder)
    assert gone == ("ERC1155InsufficientBalance", holder.address, 0, 1, 257)
    never_had = refusal(token.retire, 257, 1, stranger, "", sender=stranger)
    assert never_had == ("ERC1155InsufficientBalance", stranger.address, 0, 1, 257)
    moved = refusal(token.safeTransferFrom, holder, stranger, 257, 1, b"", sender=holder)
    assert moved == ("ERC1155InsufficientBalance", holder.address, 0, 1, 257)


def test_retire__nothing__refused(token: Any, holder: Any, stranger: Any) -> None:
    assert refusal(token.retire, 257, 0, stranger, "", sender=holder) == ("NothingToRetire",)


def test_transfer__to_another__who_can_retire_it(token: Any, holder: Any, stranger: Any) -> None:
    token.safeTransferFrom(holder, stranger, 257, 300, b"", sender=holder)
    token.retire(257, 300, holder, "", sender=stranger)
    assert token.balanceOf(holder, 257) == AMOUNT - 300
    assert token.retired(257) == 300
