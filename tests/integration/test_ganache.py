"""One whole auction on Ganache: deployed, bid, cleared and settled through Ape as on any other chain."""

from typing import Any

import ape
import pytest
from ape_ethereum.transactions import Receipt

from tests.contracts.community import usual_community
from tests.contracts.day import close_day
from tests.contracts.remote import RemoteChain, ganache_time


def test_auction__on_ganache__cleared_and_settled(
    ganache_url: str, monkeypatch: pytest.MonkeyPatch, project: Any, accounts: Any
) -> None:
    # Ape looks for console output in a trace of every transaction, which Ganache makes of single steps: half a minute.
    monkeypatch.setattr(Receipt, "show_debug_logs", lambda receipt: None)
    settings = {"uri": ganache_url}
    with ape.networks.parse_network_choice("ethereum:ganache:node", provider_settings=settings) as provider:
        assert "Ganache" in provider.client_version
        chain = RemoteChain(ganache_url, ganache_time)
        market = usual_community(project, chain, accounts)
        day = close_day(market)
        day.clear()
        market.travel(market.config.schedule.delivery_end(0))
        prices = market.post_imbalance(0, day.claim)
        deliveries = [day.delivery(participant, (5, -5, 0, 1)) for participant in market.participants]
        market.settle(0, prices, deliveries)
        assert market.settlement.totalsOf(0).settled == 5
        assert market.vault.clearingAccount() == 0
        assert market.vault.accountOf(market.config.network_account).balance == day.income()
        market.assert_money_conserved()
