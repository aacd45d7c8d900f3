"""What stands behind bids cannot leave, and cannot exceed what is there."""

from typing import Any

import pytest
from ape.exceptions import VirtualMachineError

from tests.contracts.refusals import reason, refusal
from tests.contracts.vault.conftest import CURRENCY, Till


@pytest.fixture
def funded(till: Till, member: Any) -> Till:
    till.fund(member, CURRENCY)
    return till


def test_relock__within_free_money__locked(funded: Till, member: Any) -> None:
    funded.vault.relock(member, 0, CURRENCY, sender=funded.market)
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


def test_unlock__more_than_is_locked__impossible(funded: Till, member: Any) -> None:
    funded.vault.relock(member, 0, 300, sender=funded.market)
    with pytest.raises(VirtualMachineError, match="Panic"):
        funded.vault.unlock(member, 301, sender=funded.market)
    assert funded.state(member) == (CURRENCY, 300, 0)


# ------------------------------------------------------------------------------------------------ seats


@pytest.mark.parametrize(("zone", "active", "seat"), [(0, True, 0x8000), (1023, True, 0x83FF), (7, False, 7)])
def test_seat__member__zone_and_right_to_bid_noted(
    funded: Till, member: Any, zone: int, active: bool, seat: int
) -> None:
    funded.seat(member, zone, active)
    account = funded.vault.accountOf(member)
    assert (account.seat, account.balance, account.locked, account.debt) == (seat, CURRENCY, 0, 0)


def test_relock__seated__answers_with_the_zone(funded: Till, member: Any) -> None:
    funded.seat(member, 1023)
    for method in (funded.vault.relock, funded.vault.adjust):
        assert method.call(member, 0, 5, sender=funded.market) == 1023


@pytest.mark.parametrize("amounts", [(0, 5), (5, 0), (5, 5)], ids=["more", "less", "the same"])
def test_relock__not_seated__refused(funded: Till, member: Any, amounts: tuple[int, int]) -> None:
    funded.vault.relock(member, 0, 5, sender=funded.market)
    funded.seat(member, 2, active=False)
    answer = refusal(funded.vault.relock, member, *amounts, sender=funded.market)
    assert answer == ("NotAMember", member.address)


# ------------------------------------------------------------------------------------------------ reserving


def reserve(till: Till, account: Any, previous: int, following: int) -> tuple[bytes, int]:
    """What `tryToReserve` answers; nothing is mined."""
    answer = till.vault.tryToReserve.call(account, previous, following, sender=till.market)
    return bytes(answer[0]), int(answer[1])


def test_try_to_reserve__within_free_money__locked_and_zone_answered(funded: Till, member: Any) -> None:
    assert reserve(funded, member, 0, CURRENCY) == (bytes(4), 2)
    funded.vault.tryToReserve(member, 0, 700, sender=funded.market)
    funded.vault.tryToReserve(member, 700, 100, sender=funded.market)
    funded.vault.tryToReserve(member, 0, 50, sender=funded.market)
    assert funded.state(member) == (CURRENCY, 150, 0)


def test_try_to_reserve__refused__says_why_and_changes_nothing(
    funded: Till, member: Any, stranger: Any
) -> None:
    funded.vault.tryToReserve(member, 0, 300, sender=funded.market)
    before = funded.state(member)
    assert reserve(funded, member, 300, CURRENCY) == (bytes(4), 2)
    assert reserve(funded, member, 300, CURRENCY + 1) == (reason("BalanceTooLow"), 0)
    assert reserve(funded, stranger, 0, 0) == (reason("NotAMember"), 0)
    funded.vault.tryToReserve(member, 300, CURRENCY + 1, sender=funded.market)
    assert funded.state(member) == before
    funded.settle(member, imbalance=-CURRENCY)
    assert reserve(funded, member, 300, 0) == (reason("InDebt"), 0)
    funded.seat(member, 2, active=False)
    assert reserve(funded, member, 300, 0) == (reason("NotAMember"), 0)


def test_try_to_reserve__any_lock__agrees_with_relock(funded: Till, member: Any) -> None:
    funded.vault.relock(member, 0, CURRENCY // 2, sender=funded.market)
    for previous in (0, 1, CURRENCY // 2):
        for following in (0, 1, CURRENCY // 2, CURRENCY // 2 + 1, CURRENCY, CURRENCY + 1):
            refused, _ = reserve(funded, member, previous, following)
            strict = refusal(funded.vault.relock, member, previous, following, sender=funded.market)
            assert refused == (bytes(4) if strict is None else reason(strict[0]))


# ------------------------------------------------------------------------------------------------ adjusting


def test_adjust__no_seat_or_in_debt__lock_follows_and_what_becomes_free_repays_the_debt(
    funded: Till, member: Any, balancing_party: Any
) -> None:
    funded.vault.relock(member, 0, 300, sender=funded.market)
    funded.seat(member, 2, active=False)
    funded.vault.adjust(member, 300, 400, sender=funded.market)
    assert funded.state(member) == (CURRENCY, 400, 0)
    funded.settle(member, imbalance=-CURRENCY)
    assert funded.state(member) == (400, 400, 400)
    received = funded.balance(balancing_party)
    receipt = funded.vault.adjust(member, 400, 390, sender=funded.market)
    assert [event.money for event in receipt.decode_logs(funded.vault.DebtRepaid)] == [10]
    assert funded.state(member) == (390, 390, 390)
    assert funded.balance(balancing_party) == received + 10


def test_adjust__beyond_free_money__refused(funded: Till, member: Any) -> None:
    funded.vault.relock(member, 0, CURRENCY - 10, sender=funded.market)
    answer = refusal(funded.vault.adjust, member, 100, 111, sender=funded.market)
    assert answer == ("BalanceTooLow", member.address, 10, 11)


# ------------------------------------------------------------------------------------------------ forfeiting


@pytest.mark.parametrize("role", ["market", "quorum"])
def test_forfeit__locked_money__goes_to_the_balancing_party(
    funded: Till, member: Any, balancing_party: Any, role: str
) -> None:
    caller = getattr(funded, role)
    funded.vault.relock(member, 0, 500, sender=caller)
    receipt = funded.vault.forfeit(member, 200, sender=caller)
    [event] = receipt.decode_logs(funded.vault.Forfeited)
    assert (event.account, event.money) == (member, 200)
    assert funded.state(member) == (CURRENCY - 200, 300, 0)
    assert funded.state(balancing_party) == (200, 0, 0)
    assert funded.vault.held() == CURRENCY
    assert funded.vault.clearingAccount() == 0


def test_forfeit__balancing_party_itself__only_unlocked(
    funded: Till, member: Any, balancing_party: Any
) -> None:
    funded.fund(balancing_party, CURRENCY)
    funded.vault.relock(balancing_party, 0, 500, sender=funded.market)
    funded.vault.forfeit(balancing_party, 500, sender=funded.market)
    assert funded.state(balancing_party) == (CURRENCY, 0, 0)
    assert funded.vault.held() == 2 * CURRENCY


def test_forfeit__more_than_is_locked__impossible(funded: Till, member: Any) -> None:
    funded.vault.relock(member, 0, 500, sender=funded.market)
    with pytest.raises(VirtualMachineError, match="Panic"):
        funded.vault.forfeit(member, 501, sender=funded.market)
    assert funded.state(member) == (CURRENCY, 500, 0)
