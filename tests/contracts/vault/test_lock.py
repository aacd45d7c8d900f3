"""What stands behind bids cannot leave, and cannot exceed what is there."""

from typing import Any

import pytest

from tests.contracts.refusals import refusal
from tests.contracts.vault.conftest import CURRENCY, Till


@pytest.fixture
def funded(till: Till, member: Any) -> Till:
    till.fund(member, CURRENCY)
    return till


def test_relock__within_free_money__locked_and_logged(funded: Till, member: Any) -> None:
    receipt = funded.vault.relock(member, 0, CURRENCY, sender=funded.market)
    assert [event.locked for event in receipt.decode_logs(funded.vault.LockChanged)] == [CURRENCY]
    assert funded.state(member) == (CURRENCY, CURRENCY, 0)
    assert funded.vault.available(member) == 0


def test_relock__another_bid__adds_up(funded: Till, member: Any) -> None:
    funded.vault.relock(member, 0, 300, sender=funded.market)
    funded.vault.relock(member, 0, 500, sender=funded.market)
    funded.vault.relock(member, 300, 100, sender=funded.market)
    assert funded.state(member) == (CURRENCY, 600, 0)


def test_relock__beyond_free_money__refused(funded: Till, member: Any) -> None:
    funded.vault.relock(member, 0, CURRENCY - 10, sender=funded.market)
    answer = refusal(funded.vault.relock, member, 100, 111, sender=funded.market)
    assert answer == ("BalanceTooLow", member.address, 10, 11)


def test_unlock__part__the_rest_stays_locked(funded: Till, member: Any) -> None:
    funded.vault.relock(member, 0, 300, sender=funded.market)
    funded.vault.unlock(member, 100, sender=funded.market)
    assert funded.state(member) == (CURRENCY, 200, 0)
