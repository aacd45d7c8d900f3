"""A vault on its own, connected to accounts that stand for the contracts that move money in it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from tests.contracts.community import Community

CURRENCY = 10**8
"""Money units in one unit of currency."""


def settling(payments: Sequence[tuple[Any, int, int, int]]) -> tuple[bytes, list[int]]:
    """The arguments of `Vault.settle`: account, lock, cash and imbalance of each, in money units."""
    packed = b"".join(
        bytes.fromhex(str(account)[2:])
        + cash.to_bytes(8, "big", signed=True)
        + imbalance.to_bytes(8, "big", signed=True)
        for account, _, cash, imbalance in payments
    )
    return packed, [lock for _, lock, _, _ in payments]


@dataclass
class Till:
    """The vault, its token, and who may move money in it."""

    vault: Any
    token: Any
    market: Any
    clearing: Any
    settlement: Any
    quorum: Any
    registry: Any
    owner: Any

    def fund(self, account: Any, money: int) -> None:
        """Money for an account, from the owner; whole currency only."""
        tokens = money // CURRENCY * 10 ** self.token.decimals()
        self.vault.deposit(account, tokens, sender=self.owner)

    def seat(self, account: Any, zone: int = 2, active: bool = True) -> None:
        self.vault.seat(account, zone, active, sender=self.registry)

    def settle(self, account: Any, lock: int = 0, cash: int = 0, imbalance: int = 0) -> Any:
        """Settle one account's auction."""
        return self.settle_all([(account, lock, cash, imbalance)])

    def settle_all(self, payments: Sequence[tuple[Any, int, int, int]]) -> Any:
        """Settle several accounts in one call: account, lock, cash and imbalance of each."""
        return self.vault.settle(*settling(payments), sender=self.settlement)

    def state(self, account: Any) -> tuple[int, int, int]:
        """Balance, locked and debt."""
        account = self.vault.accountOf(account)
        return account.balance, account.locked, account.debt

    def balance(self, account: Any) -> int:
        return self.state(account)[0]


@pytest.fixture
def open_till(project: Any, accounts: Any, chain: Any, community: Community) -> Callable[..., Till]:
    """A till over a new token; the registry is the community's, so is the balancing party."""

    def create(decimals: int = 6, token: str = "TestEuro") -> Till:
        owner = accounts[0]
        euro = owner.deploy(getattr(project, token), decimals)
        vault = owner.deploy(project.Vault, euro, community.registry)
        market, clearing, settlement, quorum = accounts[5], accounts[6], accounts[7], accounts[8]
        vault.connect(market, clearing, settlement, quorum, sender=owner)
        registry = accounts.impersonate_account(community.registry.address)
        chain.provider.set_balance(registry.address, 10**18)
        euro.mint(owner, 10 ** (decimals + 9), sender=owner)
        euro.approve(vault, 2**256 - 1, sender=owner)
        return Till(vault, euro, market, clearing, settlement, quorum, registry, owner)

    return create


@pytest.fixture
def till(open_till: Callable[..., Till], member: Any, balancing_party: Any) -> Till:
    """A till in which the member and the balancing party may bid."""
    till = open_till()
    till.seat(member)
    till.seat(balancing_party)
    return till


@pytest.fixture
def member(accounts: Any) -> Any:
    return accounts[3]


@pytest.fixture
def balancing_party(accounts: Any) -> Any:
    return accounts[1]
