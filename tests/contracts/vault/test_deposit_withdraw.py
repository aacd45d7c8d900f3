"""Tokens in, tokens out: to the unit, and never more out than in."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.contracts.refusals import refusal
from tests.contracts.vault.conftest import CURRENCY, Till


@pytest.mark.parametrize(("decimals", "tokens"), [(6, 1_234_567), (8, 123_456_789), (2, 123)])
def test_deposit__token_not_finer_than_money__credited_exactly(
    open_till: Callable[..., Till], member: Any, decimals: int, tokens: int
) -> None:
    till = open_till(decimals)
    receipt = till.vault.deposit(member, tokens, sender=till.owner)
    money = tokens * 10 ** (8 - decimals)
    [event] = receipt.decode_logs(till.vault.Deposited)
    assert (event.account, event.payer, event.money, event.tokens) == (member, till.owner, money, tokens)
    assert till.state(member) == (money, 0, 0)
    assert till.vault.held() == money
    assert till.token.balanceOf(till.vault) == tokens


def test_deposit__token_finer_than_money__only_whole_units_taken(
    open_till: Callable[..., Till], member: Any
) -> None:
    till = open_till(18)
    till.vault.deposit(member, 7 * 10**10 + 1, sender=till.owner)
    assert till.balance(member) == 7
    assert till.token.balanceOf(till.vault) == 7 * 10**10


@pytest.mark.parametrize(("decimals", "tokens"), [(6, 0), (18, 10**10 - 1)])
def test_deposit__less_than_a_unit__refused(
    open_till: Callable[..., Till], member: Any, decimals: int, tokens: int
) -> None:
    till = open_till(decimals)
    assert refusal(till.vault.deposit, member, tokens, sender=till.owner) == ("AmountTooSmall",)


def test_deposit__token_takes_a_fee__what_arrived_is_credited(
    open_till: Callable[..., Till], member: Any
) -> None:
    till = open_till(6, "TollToken")
    till.vault.deposit(member, 1_000_000, sender=till.owner)
    assert till.token.balanceOf(till.vault) == 990_000
    assert till.balance(member) == till.vault.held() == 99_000_000


def test_withdraw__token_coarser_than_money__rounded_against_the_withdrawer(till: Till, member: Any) -> None:
    till.fund(member, CURRENCY)
    receipt = till.vault.withdraw(199, sender=member)
    [event] = receipt.decode_logs(till.vault.Withdrawn)
    assert (event.money, event.tokens) == (199, 1)
    assert till.token.balanceOf(member) == 1
    assert till.balance(member) == till.vault.held() == CURRENCY - 199
    assert till.token.balanceOf(till.vault) * 100 >= till.vault.held()


def test_withdraw__finer_token__exact(open_till: Callable[..., Till], member: Any) -> None:
    till = open_till(18)
    till.fund(member, CURRENCY)
    till.vault.withdraw(CURRENCY - 1, sender=member)
    assert till.token.balanceOf(member) == 10**18 - 10**10
    assert till.balance(member) == 1


def test_withdraw__less_than_a_token_unit__refused(till: Till, member: Any) -> None:
    till.fund(member, CURRENCY)
    assert refusal(till.vault.withdraw, 99, sender=member) == ("AmountTooSmall",)


def test_withdraw__locked_or_not_there__refused(till: Till, member: Any) -> None:
    till.fund(member, CURRENCY)
    till.vault.relock(member, 0, CURRENCY - 500, sender=till.market)
    answer = refusal(till.vault.withdraw, 501, sender=member)
    assert answer == ("BalanceTooLow", member.address, 500, 501)
    till.vault.withdraw(500, sender=member)
    assert till.state(member) == (CURRENCY - 500, CURRENCY - 500, 0)


MOST_HELD = 1 << 79


def test_deposit__more_than_the_vault_may_hold__refused_with_the_room_left(
    open_till: Callable[..., Till], member: Any, stranger: Any
) -> None:
    till = open_till(8)
    till.token.mint(till.owner, MOST_HELD, sender=till.owner)
    till.vault.deposit(member, MOST_HELD - 5, sender=till.owner)
    assert refusal(till.vault.deposit, stranger, 6, sender=till.owner) == ("VaultFull", 5)
    till.vault.deposit(stranger, 5, sender=till.owner)
    assert till.vault.held() == MOST_HELD
    assert refusal(till.vault.deposit, stranger, 1, sender=till.owner) == ("VaultFull", 0)
    till.vault.withdraw(7, sender=member)
    assert refusal(till.vault.deposit, stranger, 8, sender=till.owner) == ("VaultFull", 7)
    assert till.balance(member) + till.balance(stranger) == till.vault.held() == MOST_HELD - 7
