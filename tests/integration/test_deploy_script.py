"""`ape run deploy`: the file it writes, and what it says to a person who made a mistake."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from clearwatt.chain.deployment import CONTRACTS, read_deployment, source_hash
from clearwatt.chain.market import MarketClient
from clearwatt.chain.node import connect
from tests import nodes

ROOT = Path(__file__).parents[2]
APE = Path(sys.executable).with_name("ape")
DEPLOYMENTS = ROOT / "deployments"


@pytest.fixture(scope="module")
def chain() -> Iterator[str]:
    with nodes.anvil(args=("--chain-id", "31338")) as url:
        yield url


def deploy(chain: str, *options: str) -> subprocess.CompletedProcess[str]:
    """As a user runs it; leaves nothing behind in deployments/."""
    network = f"ethereum:devnet:{chain}"
    command = [str(APE), "run", "deploy", "--network", network, "--account", "TEST::0", *options]
    before = sorted(DEPLOYMENTS.iterdir())
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert sorted(DEPLOYMENTS.iterdir()) == before
    assert "Traceback" not in done.stderr + done.stdout
    return done


def test_deploy__example__file_says_all_that_is_needed_to_find_and_check_the_market(
    chain: str, tmp_path: Path
) -> None:
    target = tmp_path / "new" / "market.json"
    done = deploy(chain, "-o", str(target))
    assert done.returncode == 0, done.stderr
    assert list(target.parent.iterdir()) == [target]
    document = json.loads(target.read_text())
    deployment = read_deployment(target)
    assert list(deployment.contracts) == list(CONTRACTS)
    assert (deployment.network, deployment.chain_id) == ("devnet", 31_338)
    assert deployment.compiler["version"] == "0.8.30"
    assert deployment.source_hash == source_hash(ROOT / "contracts")
    web3 = connect(chain)
    for name, deployed in deployment.contracts.items():
        receipt = web3.eth.get_transaction_receipt(deployed.transaction)  # type: ignore[arg-type]
        assert (receipt["contractAddress"], receipt["blockNumber"]) == (deployed.address, deployed.block)
        assert document["contracts"][name].keys() == {"address", "arguments", "transaction", "block", "abi"}
        assert f"{name} at {deployed.address}" in done.stdout
    rules = MarketClient(web3, deployment).rules
    assert (rules.schedule.slots, rules.ring_size, rules.grid.zones) == (4, 76, 4)


MISTAKES = {
    "threshold: 1": ("threshold: 2", "oracles: threshold 2 is not 1"),
    "parent: null": ("parent: [", "is not YAML"),
}


@pytest.mark.parametrize(("right", "change"), MISTAKES.items())
def test_deploy__bad_config__one_sentence_and_nothing_is_deployed(
    chain: str, tmp_path: Path, right: str, change: tuple[str, str]
) -> None:
    wrong, sentence = change
    config = tmp_path / "bad.yaml"
    config.write_text((DEPLOYMENTS / "market.example.yaml").read_text().replace(right, wrong, 1))
    before = connect(chain).eth.block_number
    done = deploy(chain, "--config", str(config), "-o", str(tmp_path / "market.json"))
    assert done.returncode != 0
    assert sentence in done.stderr
    assert str(config) in done.stderr
    assert list(tmp_path.iterdir()) == [config]
    assert connect(chain).eth.block_number == before


def test_deploy__target_cannot_be_written__told_before_anything_is_paid_for(
    chain: str, tmp_path: Path
) -> None:
    before = connect(chain).eth.block_number
    done = deploy(chain, "-o", str(tmp_path))
    assert done.returncode != 0
    assert f"{tmp_path} cannot be written: it is a folder" in done.stderr
    assert connect(chain).eth.block_number == before


def test_deploy__network_that_is_not_there__told(tmp_path: Path) -> None:
    done = deploy(f"http://{nodes.HOST}:{nodes.free_port()}", "-o", str(tmp_path / "market.json"))
    assert done.returncode != 0
    assert "Error: No (supported) node found on" in done.stderr
    assert list(tmp_path.iterdir()) == []
