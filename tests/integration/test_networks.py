"""Ape reaches every network of ape-config.yaml, and both users of the compiler tell it the same."""

import socket
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ape
import pytest
import yaml
from ape.exceptions import ConfigError

from tests import nodes

ROOT = Path(__file__).parents[2]
CONFIG: dict[str, Any] = yaml.safe_load((ROOT / "ape-config.yaml").read_text())
GANACHE_PORT = 8546
DEVNET_PORT = 8547


def test_compiler_settings__ape_and_forge__same() -> None:
    for_ape = CONFIG["solidity"]
    for_forge = tomllib.loads((ROOT / "foundry.toml").read_text())["profile"]["default"]
    assert for_forge["evm_version"] == for_ape["evm_version"]
    assert for_forge["via_ir"] == for_ape["via_ir"]
    assert for_forge["optimizer"] == for_ape["optimize"]
    assert for_forge["optimizer_runs"] == for_ape["optimization_runs"]


def free_or_skip(port: int) -> int:
    with socket.socket() as probe:
        if probe.connect_ex((nodes.HOST, port)) == 0:
            pytest.skip(f"something of the user's own runs on port {port}")
    return port


@pytest.fixture
def devnet() -> Iterator[str]:
    with nodes.anvil(free_or_skip(DEVNET_PORT), args=("--chain-id", "31338")) as url:
        yield url


def test_network__ganache__connects() -> None:
    with (
        nodes.ganache(free_or_skip(GANACHE_PORT)),
        ape.networks.parse_network_choice("ethereum:ganache") as chain,
    ):
        assert chain.chain_id == 1337
        assert "Ganache" in chain.client_version


@pytest.mark.usefixtures("devnet")
def test_network__devnet_fork__sees_the_devnet_and_leaves_it_alone() -> None:
    account = ape.accounts.test_accounts[0]
    with ape.networks.parse_network_choice("ethereum:devnet"):
        account.transfer(account, 1)
    with ape.networks.parse_network_choice("ethereum:devnet-fork") as fork:
        assert fork.chain_id == 31338
        assert fork.get_block("latest").number == 1
        account.transfer(account, 1)
        assert fork.get_block("latest").number == 2
    with ape.networks.parse_network_choice("ethereum:devnet") as chain:
        assert chain.get_block("latest").number == 1


def test_network__sepolia_without_endpoint__says_which_variable() -> None:
    # Ape reads the variable when it reads the file, so unsetting it here would come too late.
    if CONFIG["node"]["ethereum"]["sepolia"]["uri"] != ape.config.node.ethereum.sepolia["uri"]:
        pytest.skip("CLEARWATT_SEPOLIA_RPC is set")
    context = ape.networks.parse_network_choice("ethereum:sepolia")
    with pytest.raises(ConfigError, match="CLEARWATT_SEPOLIA_RPC"):
        context.push_provider()


def test_node__port_taken__says_so() -> None:
    with socket.socket() as other:
        other.bind((nodes.HOST, 0))
        with pytest.raises(nodes.NodeError, match="anvil did not start"), nodes.anvil(other.getsockname()[1]):
            pass
