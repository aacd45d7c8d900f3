"""Auctions against an adversary that lies in every field: few runs here, many for `make fuzz`."""

import os
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.contracts.adversary.machine import AuctionMachine
from tests.contracts.community import FUNDS, TOKENS_PER_CURRENCY, Community, deploy_community

EXAMPLES = int(os.environ.get("CLEARWATT_ADVERSARY_RUNS", "12"))  # `make fuzz` asks for more
STEPS = int(os.environ.get("CLEARWATT_ADVERSARY_STEPS", "25"))


@pytest.fixture(scope="module")
def small_market(project: Any, chain: Any, accounts: Any) -> Community:
    """Six members, one of them poor, in a market whose ring turns with every other auction."""
    parties = accounts[1].address, accounts[2].address
    terms = {"ring_size": 2, "horizon": 7_200, "imbalance_margin": 400}
    market = deploy_community(project, chain, accounts[0], *parties, **terms)
    market.admit(accounts[1], zone=0)
    market.admit(accounts[3], zone=2, source="solar")
    market.admit(accounts[4], zone=2)
    market.admit(accounts[5], zone=3, source="wind")
    market.admit(accounts[6], zone=3)
    market.admit(accounts[7], zone=1, source="solar", tokens=TOKENS_PER_CURRENCY // 5)
    assert market.vault.accountOf(accounts[3].address).balance == FUNDS * 100
    return market


def test_auctions__with_an_adversary__books_are_right_after_every_step(small_market: Community) -> None:
    AuctionMachine.market = small_market
    AuctionMachine.seen.clear()
    chosen = settings(
        max_examples=EXAMPLES,
        stateful_step_count=STEPS,
        derandomize="CLEARWATT_ADVERSARY_RUNS" not in os.environ,
        database=None,
        deadline=None,
        phases=[
            Phase.generate
        ],  # every step is transactions: shrinking would take longer than reading the steps
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(AuctionMachine, settings=chosen)
    for what, times in sorted(AuctionMachine.seen.items()):
        print(f"{times:8} {what}")
    assert AuctionMachine.seen.keys() >= {
        "lies about clearing",
        "lies about sessions",
        "lies about reports",
        "lies about deliveries",
        "lies about entitlements",
        "lies about withdrawals",
        "tampered claims",
        "signed bids passed over",
        "void auctions",
    }
