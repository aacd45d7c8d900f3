"""Nobody moves money but the contracts that were named, once."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.contracts.community import ZERO_ADDRESS
from tests.contracts.refusals import refusal
from tests.contracts.vault.conftest import Till, settling

ACTIONS: dict[str, tuple[Callable[[str], tuple[Any, ...]], set[str]]] = {
    "seat": (lambda member: (member, 2, True), {"registry"}),
    "relock": (lambda member: (member, 0, 1), {"market", "quorum"}),
    "tryToReserve": (lambda member: (member, 0, 1), {"market"}),
    "adjust": (lambda member: (member, 0, 1), {"market"}),
    "unlock": (lambda member: (member, 0), {"market", "quorum"}),
    "forfeit": (lambda member: (member, 0), {"market", "quorum"}),
    "payNetwork": (lambda member: (0,), {"clearing"}),
    "settle": (lambda member: settling([(member, 0, 1, -1)]), {"settlement"}),
}
"""What is done to an account: the arguments, and who may."""

CALLERS = ("registry", "market", "clearing", "settlement", "quorum", "owner", "member")


@pytest.mark.parametrize("action", ACTIONS)
def test_account__touched_by_any_caller__only_by_those_named(till: Till, member: Any, action: str) -> None:
    till.fund(member, 10**8)
    arguments_for, allowed = ACTIONS[action]
    arguments = arguments_for(member.address)
    for role in CALLERS:
        caller = member if role == "member" else getattr(till, role)
        answer = refusal(getattr(till.vault, action), *arguments, sender=caller)
        assert answer == (None if role in allowed else ("NotConnectedCaller", caller.address)), role


def test_connect__deployer__named_and_logged(project: Any, community: Any, accounts: Any) -> None:
    vault = accounts[0].deploy(project.Vault, community.testeuro, community.registry)
    named = [accounts[number].address for number in (5, 6, 7, 8)]
    [event] = vault.connect(*named, sender=accounts[0]).decode_logs(vault.Connected)
    assert [event.market, event.clearing, event.settlement, event.quorum] == named
    assert [vault.market(), vault.clearing(), vault.settlement(), vault.quorum()] == named


def test_connect__second_time__refused(till: Till, stranger: Any) -> None:
    answer = refusal(till.vault.connect, stranger, stranger, stranger, stranger, sender=till.owner)
    assert answer == ("AlreadyConnected",)


def test_connect__not_the_deployer__refused(till: Till, stranger: Any) -> None:
    answer = refusal(till.vault.connect, stranger, stranger, stranger, stranger, sender=stranger)
    assert answer == ("NotConnectedCaller", stranger.address)


@pytest.mark.parametrize("missing", range(4), ids=["market", "clearing", "settlement", "quorum"])
def test_connect__nobody_named__refused(project: Any, community: Any, accounts: Any, missing: int) -> None:
    vault = accounts[0].deploy(project.Vault, community.testeuro, community.registry)
    named = [accounts[number].address for number in (5, 6, 7, 8)]
    named[missing] = ZERO_ADDRESS
    answer = refusal(vault.connect, *named, sender=accounts[0])
    assert answer == ("NotConnectedCaller", ZERO_ADDRESS)


def test_vault__not_connected_yet__takes_deposits_and_moves_nothing(
    project: Any, community: Any, accounts: Any, member: Any
) -> None:
    owner = accounts[0]
    vault = owner.deploy(project.Vault, community.testeuro, community.registry)
    community.testeuro.approve(vault, 2**256 - 1, sender=owner)
    vault.deposit(member, 10**6, sender=owner)
    for action, (arguments_for, _) in ACTIONS.items():
        answer = refusal(getattr(vault, action), *arguments_for(member.address), sender=owner)
        assert answer == ("NotConnectedCaller", owner.address)
    vault.withdraw(10**8, sender=member)
    assert vault.held() == 0
