"""A street's market, deployed once; every test finds it as it was then."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ape
import pytest

from clearwatt.chain.deployment import Deployment, MarketDeployer
from clearwatt.chain.node import connect
from tests import nodes
from tests.contracts.remote import RemoteChain, anvil_time
from tests.integration.street import CHAIN_ID, Street, populate, street_config


@pytest.fixture(scope="session")
def street_url() -> Iterator[str]:
    with nodes.anvil(args=("--chain-id", str(CHAIN_ID))) as url:
        yield url


@pytest.fixture(scope="session")
def street_deployment(street_url: str, project: Any, accounts: Any) -> Deployment:
    settings = {"uri": street_url}
    with ape.networks.parse_network_choice("ethereum:devnet:node", provider_settings=settings):
        config = street_config(RemoteChain(street_url, anvil_time).pending_timestamp)
        deployment = MarketDeployer(project, accounts[0]).deploy(config, "test", CHAIN_ID)
    populate(street_url, deployment)
    return deployment


@pytest.fixture
def street(street_url: str, street_deployment: Deployment, tmp_path: Path) -> Iterator[Street]:
    chain = connect(street_url).provider
    snapshot = chain.make_request("evm_snapshot", [])["result"]  # type: ignore[arg-type]
    yield Street(street_url, street_deployment, tmp_path)
    assert chain.make_request("evm_revert", [snapshot])["result"]  # type: ignore[arg-type]
