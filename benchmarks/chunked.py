"""What clearing in chunks costs in gas, from the receipts of a local chain.

    .venv/bin/python benchmarks/chunked.py [MEMBERS [SLOTS]]

One auction of 1000 members in four zones with one step in each of 96 slots, if nothing else is said: bids placed, then
cleared and entered by the code that the oracle uses. Everything is one transaction after the other on one account.
"""

import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ape
from ape.logging import LogLevel, logger
from eth_account import Account
from rich.console import Console
from rich.table import Table
from web3.contract.contract import ContractFunction

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # the measuring code is shared with the tests

from clearwatt.bids import Bid, Step, pack_steps  # noqa: E402
from clearwatt.chain import codec  # noqa: E402
from clearwatt.chain.capacity import fill_gas  # noqa: E402
from clearwatt.chain.chunked import ChunkedClearing, plan, state_words  # noqa: E402
from clearwatt.chain.market import MarketClient  # noqa: E402
from clearwatt.chain.node import connect  # noqa: E402
from clearwatt.chain.sender import Receipt, Sender  # noqa: E402
from clearwatt.clearing.equilibrium import check_claim  # noqa: E402
from clearwatt.clearing.positions import positions  # noqa: E402
from tests.contracts.community import Community, deploy_community, key_of  # noqa: E402
from tests.contracts.gas_profile import Shape, bundle, floor_of  # noqa: E402
from tests.contracts.market.records import POSITION, digest  # noqa: E402

TOKENS = 10**11
SEED = 7


class Meter(Sender):
    """A sender that keeps what every transaction was, what it sent and what it cost."""

    def __init__(self, client: MarketClient, key: Any) -> None:
        super().__init__(client.web3, key, client.errors)
        self.sent: list[tuple[str, bytes, Receipt]] = []

    def send(self, function: ContractFunction) -> Receipt:
        receipt = super().send(function)
        data = bytes.fromhex(function._encode_transaction_data()[2:])
        self.sent.append((function.fn_name, data, receipt))
        return receipt


class Fast:
    """The market's own set-up, past Ape: calls are posted one after the other and waited for at the end."""

    def __init__(self, sender: str) -> None:
        self._web3 = ape.chain.provider.web3
        self._sender = sender
        self._web3.provider.make_request("anvil_autoImpersonateAccount", [True])

    def send(self, method: Any, *arguments: Any, sender: str = "") -> Any:
        call = {
            "from": sender or self._sender,
            "to": method.contract.address,
            "gas": 5_000_000,
            "gasPrice": 0,
        }
        return self._web3.eth.send_transaction(call | {"data": method.encode_input(*arguments)})

    def wait(self, transaction: Any) -> None:
        assert self._web3.eth.wait_for_transaction_receipt(transaction, 300, 0.01)["status"] == 1


def members_of(shape: Shape) -> list[str]:
    """The retailer, who comes first, and the households."""
    return [key_of(f"member {number}").address for number in range(shape.members)]


def populate(community: Community, shape: Shape, fast: Fast) -> None:
    for number, member in enumerate(members_of(shape)):
        zone = number % community.config.grid.zones
        fast.send(community.registry.admit, member, zone, 0, member)
        last = fast.send(community.vault.deposit, member, TOKENS)
    fast.wait(last)


def place_bids(community: Community, shape: Shape, fast: Fast) -> None:
    rng = random.Random(SEED)
    community.open_gate(0)
    for number, member in enumerate(members_of(shape)):
        steps = tuple(Step(*step) for step in bundle(rng, shape, number == 0))
        last = fast.send(community.market.bid, 0, pack_steps(steps), sender=member)
        community.bids[0, member] = Bid(member, number % community.config.grid.zones, steps)
    fast.wait(last)
    assert community.market.auctionOf(0).liveBids == shape.members


def main() -> None:
    """Print the table."""
    logger.set_level(LogLevel.WARNING)
    members, slots = (*map(int, sys.argv[1:]), *(1000, 96)[len(sys.argv) - 1 :])
    shape = Shape(slots, members, 1)
    with ape.networks.parse_network_choice("ethereum:local:foundry"):
        measure(shape, Console(stderr=True))


def measure(shape: Shape, progress: Console) -> None:
    accounts = ape.accounts.test_accounts
    network = accounts[2].address
    terms = {"slots": shape.slots, "max_members": shape.members, "clearing_window": 3_600}
    retailer = members_of(shape)[0]
    community = deploy_community(ape.Project(ROOT), ape.chain, accounts[0], retailer, network, **terms)
    fast = Fast(accounts[0].address)
    populate(community, shape, fast)
    progress.print("members admitted")
    place_bids(community, shape, fast)
    progress.print("bids placed")
    community.await_clearing(0)
    client = MarketClient(connect(ape.chain.provider.http_uri), community.deployment)
    meter = Meter(client, Account.from_key(accounts[9].private_key))
    started = time.perf_counter()
    problem, _, claim = community.solve(0)
    made = plan(problem, claim)
    progress.print(f"solved and planned in {time.perf_counter() - started:.1f} s, {len(made.chunks)} chunks")
    clearing = ChunkedClearing(client, meter)
    assert clearing.clear(0, made)
    assert clearing.enter(0) == len(made.chunks)
    progress.print(f"done in {time.perf_counter() - started:.1f} s")
    check(community, positions(problem, check_claim(problem, claim)))
    words = state_words(problem, claim)
    check_costs(made.chunks, words, [entry for entry in meter.sent if entry[0] == "fill"])
    print_table(shape, words, meter.sent)


def check(community: Community, expected: dict[str, Any]) -> None:
    """Every member's record holds the position that the twin derives."""
    for member, position in expected.items():
        record = community.market.recordOf(0, member)
        assert (record & 7, record >> 75) == (POSITION, digest(codec.pack_position(position)))


def check_costs(chunks: tuple[bytes, ...], words: int, fills: list[Any]) -> None:
    """No chunk costs more than its plan says."""
    for chunk, (_, _, receipt) in zip(chunks, fills, strict=True):
        bids = codec.unpack_bids(chunk)
        steps = sum(len(bid.steps) for bid in bids)
        assert receipt.gas_used <= fill_gas(words, len(bids), steps)


def rows(
    sent: list[tuple[str, bytes, Receipt]], steps: int
) -> Iterator[tuple[str, int, int, int, int, float]]:
    """Per kind of call: how many, gas in all, the dearest, its calldata, and gas per step."""
    for name in dict.fromkeys(name for name, _, _ in sent):
        calls = [(data, receipt) for kind, data, receipt in sent if kind == name]
        gas = [receipt.gas_used for _, receipt in calls]
        yield name, len(calls), sum(gas), max(gas), max(len(data) for data, _ in calls), sum(gas) / steps
    gas = [receipt.gas_used for _, _, receipt in sent]
    yield "all", len(gas), sum(gas), max(gas), max(len(data) for _, data, _ in sent), sum(gas) / steps


def print_table(shape: Shape, words: int, sent: list[tuple[str, bytes, Receipt]]) -> None:
    table = Table(title=f"{shape}, 4 zones: {shape.steps:,} steps, {words:,} words of working memory")
    for column in ("call", "times", "gas", "dearest", "its calldata, bytes", "gas per step"):
        table.add_column(column, justify="left" if column == "call" else "right")
    for name, times, gas, most, size, per_step in rows(sent, shape.steps):
        table.add_row(name, f"{times}", f"{gas:,}", f"{most:,}", f"{size:,}", f"{per_step:,.1f}")
    Console(width=110).print(table)
    floors = sum(floor_of(data) > receipt.gas_used for _, data, receipt in sent)
    Console(width=110).print(
        f"transactions that their calldata's floor (EIP-7623) would make dearer: {floors}"
    )


if __name__ == "__main__":
    main()
