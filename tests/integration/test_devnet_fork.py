"""A market's chain in the middle of an auction, copied: what is tried on the copy leaves the chain itself as it was."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ape
import pytest

from tests import nodes
from tests.contracts.community import Community, usual_community
from tests.contracts.day import Day, close_day
from tests.contracts.remote import RemoteChain, anvil_time


@pytest.fixture
def devnet_url() -> Iterator[str]:
    with nodes.anvil(args=("--chain-id", "31338")) as url:
        yield url


@contextmanager
def connected(url: str) -> Iterator[RemoteChain]:
    """Ape on the chain at this URL."""
    with ape.networks.parse_network_choice("ethereum:devnet:node", provider_settings={"uri": url}):
        yield RemoteChain(url, anvil_time)


def state_of(market: Community) -> dict[str, Any]:
    """All that the auction could change."""
    return {
        "block": market.chain.web3.eth.block_number,
        "auction": market.market.auctionOf(0),
        "records": [market.market.recordOf(0, p.address) for p in market.participants],
        "accounts": [market.vault.accountOf(account) for account in sorted(market.accounts())],
        "clearing account": market.vault.clearingAccount(),
    }


def clear_and_settle(day: Day) -> None:
    market = day.market
    day.clear()
    market.travel(market.config.schedule.delivery_end(0))
    prices = market.post_imbalance(0, day.claim)
    deliveries = [day.delivery(participant) for participant in market.participants]
    market.settle(0, prices, deliveries)


def test_fork__cleared_and_settled_there__devnet_unchanged(
    devnet_url: str, project: Any, accounts: Any
) -> None:
    with connected(devnet_url) as devnet:
        market = usual_community(project, devnet, accounts)
        day = close_day(market)
        before = state_of(market)
    with nodes.anvil(fork=devnet_url, args=("--chain-id", "31338")) as fork_url, connected(fork_url) as fork:
        market.chain = fork
        assert state_of(market) == before
        clear_and_settle(day)
        assert market.market.auctionOf(0).cleared
        assert market.vault.accountOf(market.config.network_account).balance == day.income()
        market.assert_money_conserved()
    with connected(devnet_url) as devnet:
        market.chain = devnet
        assert state_of(market) == before
        assert not market.market.auctionOf(0).cleared
