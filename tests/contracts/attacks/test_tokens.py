"""Tokens: collateral that takes a toll, calls back, lies about its transfers or has unusual decimals."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.contracts.attacks.raids import MONEY, balance, free_money, said
from tests.contracts.community import FUNDS, Community, Participant
from tests.contracts.refusals import refusal

Deploy = Callable[..., Community]


def admit_token(market: Community, tokens: int = FUNDS) -> Participant:
    """The reentrant token as a member with money of its own, so that it can act while it transfers."""
    return market.admit(market.testeuro, zone=1, tokens=tokens)


def held_tokens(market: Community) -> int:
    return int(market.testeuro.balanceOf(market.vault.address))


def test_toll_token__deposit__credits_what_arrived(deploy: Deploy, accounts: Any) -> None:
    """A token keeps a hundredth of every transfer, and the vault would owe more than it has."""
    market = deploy(collateral="TollToken")
    member = market.admit(accounts[3], zone=1)
    assert balance(market, member.address) == FUNDS * 99
    market.vault.withdraw(FUNDS * 99, sender=member.account)
    assert held_tokens(market) == 0


@pytest.fixture
def reentrant(deploy: Deploy) -> Community:
    return deploy(collateral="ReentrantToken")


def act(market: Community, method: Any, *arguments: Any) -> Any:
    """The token itself calls the vault or the market."""
    token = market.testeuro
    return token.execute(method.contract.address, method.encode_input(*arguments), sender=market.owner)


def arm(market: Community, method: Any, *arguments: Any) -> None:
    token = market.testeuro
    token.arm(method.contract.address, method.encode_input(*arguments), sender=market.owner)


def test_reentrant_token__withdraw_in_withdraw__refused(reentrant: Community, accounts: Any) -> None:
    """A token withdraws its balance again in the middle of its own withdrawal."""
    reentrant.admit(accounts[3], zone=1)
    thief = admit_token(reentrant)
    arm(reentrant, reentrant.vault.withdraw, FUNDS * 100)
    act(reentrant, reentrant.vault.withdraw, FUNDS * 100)
    assert reentrant.testeuro.called()
    assert not reentrant.testeuro.succeeded()
    assert free_money(reentrant, thief) == 0
    assert held_tokens(reentrant) == FUNDS


def test_reentrant_token__deposit_in_deposit__refused(reentrant: Community) -> None:
    """A token deposits in the middle of a deposit, so that what arrived once is counted twice."""
    thief = admit_token(reentrant)
    arm(reentrant, reentrant.vault.deposit, thief.address, FUNDS)
    reentrant.vault.deposit(thief.address, FUNDS, sender=reentrant.owner)
    assert not reentrant.testeuro.succeeded()
    assert balance(reentrant, thief.address) == 2 * FUNDS * 100


def test_reentrant_token__withdraw_in_deposit__refused(reentrant: Community) -> None:
    """A token withdraws in the middle of a deposit, while the books and the tokens don't fit each other."""
    thief = admit_token(reentrant)
    arm(reentrant, reentrant.vault.withdraw, FUNDS * 100)
    reentrant.vault.deposit(thief.address, FUNDS, sender=reentrant.owner)
    assert not reentrant.testeuro.succeeded()
    assert balance(reentrant, thief.address) == 2 * FUNDS * 100


def test_reentrant_token__bid_in_withdraw__nothing_to_lock(reentrant: Community) -> None:
    """A token bids in the middle of its withdrawal, with the money that is about to leave."""
    thief = admit_token(reentrant)
    reentrant.open_gate(0)
    steps = bytes([0]) + (30_000).to_bytes(3, "big") + (-10_000).to_bytes(4, "big", signed=True)
    arm(reentrant, reentrant.market.bid, 0, steps)
    act(reentrant, reentrant.vault.withdraw, FUNDS * 100)
    assert reentrant.testeuro.called()
    assert not reentrant.testeuro.succeeded()
    assert reentrant.vault.accountOf(thief.address)[:3] == (0, 0, 0)


def test_reentrant_token__collect_in_withdraw__pays_once(reentrant: Community) -> None:
    """A token collects what it is owed in the middle of a withdrawal."""
    thief = admit_token(reentrant)
    arm(reentrant, reentrant.vault.collect, thief.address)
    act(reentrant, reentrant.vault.withdraw, FUNDS * 100)
    assert reentrant.testeuro.succeeded()
    assert free_money(reentrant, thief) == 0


@pytest.fixture
def mute(deploy: Deploy, accounts: Any) -> Community:
    market = deploy(collateral="MuteToken")
    market.admit(accounts[3], zone=1)
    market.testeuro.setMute(True, sender=market.owner)
    return market


def test_mute_token__deposit__refused(mute: Community) -> None:
    """A token returns false for a deposit that it never moved."""
    answer = refusal(mute.vault.deposit, mute.participants[0].address, FUNDS, sender=mute.owner)
    assert answer == ("SafeERC20FailedOperation", mute.testeuro.address)


def test_mute_token__withdraw__balance_is_kept(mute: Community) -> None:
    """A token returns false for a withdrawal that it never moved."""
    member = mute.participants[0]
    answer = refusal(mute.vault.withdraw, FUNDS, sender=member.account)
    assert answer == ("SafeERC20FailedOperation", mute.testeuro.address)
    assert balance(mute, member.address) == FUNDS * 100


@pytest.mark.parametrize("decimals", [0, 6, 18, 24])
def test_decimals__small_change__never_worth_more_than_it_was(
    deploy: Deploy, accounts: Any, decimals: int
) -> None:
    """A member pumps small change in and out of a token of 0, 6, 18 or 24 decimals, for the rounding to feed it."""
    market = deploy(token_decimals=decimals)
    member = market.admit(accounts[3], zone=1, tokens=0)
    token, unit = market.testeuro, 10**decimals
    token.mint(member.address, 3 * unit, sender=market.owner)
    token.approve(market.vault.address, 2**255, sender=member.account)
    for tokens in (unit // 3 + 1, unit // 7 + 1, unit):
        market.vault.deposit(member.address, tokens, sender=member.account)
        money = free_money(market, member)
        takes = max(money // 3, MONEY // unit if unit < MONEY else 1)
        if refusal(market.vault.withdraw, takes, sender=member.account) is None:
            market.vault.withdraw(takes, sender=member.account)
    assert token.balanceOf(member.address) + held_tokens(market) == 3 * unit
    assert free_money(market, member) * unit <= held_tokens(market) * MONEY


def test_decimals__less_than_a_money_unit__refused(deploy: Deploy, accounts: Any) -> None:
    """A member deposits amounts too small to be money, to fill the log or gain by rounding up."""
    market = deploy(token_decimals=24)
    member = market.admit(accounts[3], zone=1, tokens=0)
    answer = refusal(market.vault.deposit, member.address, 10**16 - 1, sender=market.owner)
    assert answer == ("AmountTooSmall",)


def test_withdraw__less_than_a_token_unit__refused(market: Community, producer: Participant) -> None:
    """A member withdraws so little that it would be burnt in rounding or paid from others' money."""
    assert refusal(market.vault.withdraw, 99, sender=producer.account) == ("AmountTooSmall",)
    assert refusal(market.vault.withdraw, 0, sender=producer.account) == ("AmountTooSmall",)


def test_donation__sent_to_the_vault__nobody_is_credited(market: Community, producer: Participant) -> None:
    """A stranger sends tokens to the vault directly, to unsettle its books."""
    held, mine = market.vault.held(), balance(market, producer.address)
    market.testeuro.mint(market.vault.address, 10**12, sender=market.owner)
    assert (market.vault.held(), balance(market, producer.address)) == (held, mine)
    market.vault.deposit(producer.address, 100, sender=market.owner)
    assert balance(market, producer.address) == mine + 10_000


def test_vault__filled_to_the_brim__refused(market: Community, producer: Participant) -> None:
    """A holder of a worthless token mints more of it than the vault can count."""
    market.testeuro.mint(market.owner, 2**90, sender=market.owner)
    room = 2**79 - market.vault.held()
    answer = refusal(market.vault.deposit, producer.address, 2**90, sender=market.owner)
    assert answer == ("VaultFull", room)
    market.vault.deposit(producer.address, room // 100, sender=market.owner)


def test_deposit__out_of_another_pocket__refused(
    market: Community, producer: Participant, stranger: Any
) -> None:
    """A stranger deposits the tokens that somebody else has let the vault take."""
    answer = refusal(market.vault.deposit, stranger, 10**6, sender=stranger)
    assert said(answer) == "ERC20InsufficientAllowance"
