"""Fixtures for tests of the contracts: a community on Ape's own anvil.

Ape takes the chain back to what it was after every test, and after every module for what is of the module: a file
whose tests all start from one stage of the day gets there once.
"""

from collections.abc import Callable
from typing import Any

import pytest

from tests.contracts.community import Community, Participant, deploy_community, usual_community
from tests.contracts.day import Day, close_day


@pytest.fixture(scope="session")
def owner(accounts: Any) -> Any:
    return accounts[0]


@pytest.fixture(scope="session")
def stranger(accounts: Any) -> Any:
    """Somebody who is neither member nor oracle."""
    return accounts[9]


@pytest.fixture(scope="session")
def community(project: Any, chain: Any, accounts: Any) -> Community:
    return usual_community(project, chain, accounts)


@pytest.fixture
def deploy(project: Any, chain: Any, accounts: Any, owner: Any) -> Callable[..., Community]:
    """Deploys another market with other terms, and no members yet."""

    def deploy_market(**changes: Any) -> Community:
        return deploy_community(project, chain, owner, accounts[1].address, accounts[2].address, **changes)

    return deploy_market


@pytest.fixture
def market(community: Community) -> Community:
    """The community, its notes of earlier tests forgotten; Ape has rolled the chain back."""
    community.bids.clear()
    return community


@pytest.fixture(scope="module")
def closed_day(community: Community) -> Day:
    """Gate closed, not cleared yet."""
    return close_day(community)


@pytest.fixture(scope="module")
def cleared_day(closed_day: Day) -> Day:
    closed_day.clear()
    return closed_day


@pytest.fixture(scope="module")
def delivered_day(cleared_day: Day) -> Day:
    """Delivery is over; imbalance prices are not posted yet."""
    market = cleared_day.market
    market.travel(market.config.schedule.delivery_end(0))
    return cleared_day


@pytest.fixture(scope="module")
def imbalance(delivered_day: Day) -> bytes:
    """Imbalance prices in force, 1000 ticks to either side of the market's."""
    return delivered_day.market.post_imbalance(0, delivered_day.claim)


@pytest.fixture
def retailer(community: Community) -> Participant:
    return community.participants[0]


@pytest.fixture
def producer(community: Community) -> Participant:
    return community.participants[1]


@pytest.fixture
def consumer(community: Community) -> Participant:
    return community.participants[2]


@pytest.fixture
def remote_producer(community: Community) -> Participant:
    return community.participants[3]


@pytest.fixture
def remote_consumer(community: Community) -> Participant:
    return community.participants[4]
