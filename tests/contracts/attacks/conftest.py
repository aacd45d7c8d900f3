"""Stages of a day, reached anew for every attack, and the look at the books after each.

Here every stage belongs to one test, since attacks of one theme start from all of them.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.contracts.attacks.raids import assert_books_balance
from tests.contracts.attacks.swift import SwiftCommunity
from tests.contracts.chunked.session import Session
from tests.contracts.community import Community, Participant, deploy_community
from tests.contracts.day import Day, close_day

SEALED = {"reveal_window": 600, "seal_deposit": 10 * 10**8}


@pytest.fixture(scope="session")
def attacked() -> list[Community]:
    """Every market that the test at hand has touched."""
    return []


@pytest.fixture(autouse=True)
def books(attacked: list[Community]) -> Iterator[None]:
    """Whatever an attack has come to, no money was made or lost by it."""
    yield
    for market in attacked:
        assert_books_balance(market)
    attacked.clear()


@pytest.fixture
def market(community: Community, attacked: list[Community]) -> Community:
    """The usual community; who is admitted and what is bid in an attack is forgotten with it."""
    known = {"participants": list(community.participants), "bids": {}}
    market = SwiftCommunity(**vars(community) | known)
    attacked.append(market)
    return market


@pytest.fixture
def deploy(
    project: Any, chain: Any, accounts: Any, owner: Any, attacked: list[Community]
) -> Callable[..., Community]:
    """Deploys another market with other terms; `collateral` names the contract that is its token."""

    def deploy_market(collateral: str = "TestEuro", **changes: Any) -> Community:
        chosen, parties = _WithToken(project, collateral), (accounts[1].address, accounts[2].address)
        # a day more than elsewhere: after a rollback the chain's clock may still be near midnight
        genesis = (chain.pending_timestamp // 86_400 + 3) * 86_400
        market = deploy_community(chosen, chain, owner, *parties, genesis=genesis, **changes)
        attacked.append(market)
        return market

    return deploy_market


class _WithToken:
    """The project, with another contract in the test euro's place."""

    def __init__(self, project: Any, token: str) -> None:
        self._project = project
        self.TestEuro = getattr(project, token)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._project, name)


@pytest.fixture
def gate(market: Community) -> Community:
    """The market with the gate of auction 0 open."""
    market.open_gate(0)
    return market


@pytest.fixture
def day_closed(market: Community) -> Day:
    return close_day(market)


@pytest.fixture
def day_cleared(day_closed: Day) -> Day:
    day_closed.clear()
    return day_closed


@pytest.fixture
def day_delivered(day_cleared: Day) -> Day:
    market = day_cleared.market
    market.travel(market.config.schedule.delivery_end(0))
    return day_cleared


@pytest.fixture
def final_prices(day_delivered: Day) -> bytes:
    return day_delivered.market.post_imbalance(0, day_delivered.claim)


@pytest.fixture
def session(day_closed: Day, stranger: Any) -> Session:
    """A solver's, not begun."""
    return Session(day_closed, stranger)


@pytest.fixture
def rival(day_closed: Day, accounts: Any) -> Session:
    """Another solver's, not begun."""
    return Session(day_closed, accounts[8])


@pytest.fixture(scope="module")
def sealed_market(project: Any, chain: Any, accounts: Any, owner: Any) -> Community:
    """A market of sealed bids, one on each side; the gate of auction 0 is open."""
    market = deploy_community(project, chain, owner, accounts[1].address, accounts[2].address, **SEALED)
    market.admit(accounts[3], zone=1, source="solar")
    market.admit(accounts[4], zone=1)
    market.open_gate(0)
    return market


@pytest.fixture
def sealed(sealed_market: Community, attacked: list[Community]) -> Community:
    sealed_market.bids.clear()
    attacked.append(sealed_market)
    return sealed_market


@pytest.fixture
def seller(sealed: Community) -> Participant:
    return sealed.participants[0]


@pytest.fixture
def buyer(sealed: Community) -> Participant:
    return sealed.participants[1]
