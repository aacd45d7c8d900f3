"""What an auction costs in gas, from the receipts of a local chain.

    .venv/bin/python benchmarks/gas.py

Each shape of auction is run twice from signed bids to settlement, everybody a little off its position; the second run,
whose records the first has used before, is the one that counts, since a market lives on used records. Four zones. Bids
are posted, cleared and settled in one transaction each; beside each figure stands what it can't come below: the floor
price of its calldata (EIP-7623) and one cold storage slot for each member.
"""

import sys
from pathlib import Path

import ape
from ape.logging import LogLevel, logger
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # the measuring code is shared with the tests

from tests.contracts.gas_profile import (  # noqa: E402
    POSTED_BIDS,
    Cost,
    GasProfile,
    Shape,
    posting_profile,
    profile,
)

SHAPES = (Shape(4, 100, 2), Shape(96, 20, 1), Shape(96, 50, 1))

PEERS = (
    ("an energy auction in Solidity that iterates storage", "119 000"),
    ("a published on-chain local energy market that sorts in the contract", "567 000 - 1 350 000"),
    ("the batch auction of a large DeFi project, whole life of an order", "275 000"),
)
"""Gas per order, all-in, as measured for the design; docs/protocol.md says what Clearwatt does instead."""


def main() -> None:
    """Print the tables."""
    logger.set_level(LogLevel.WARNING)
    progress = Console(stderr=True)
    project = ape.Project(ROOT)
    accounts = ape.accounts.test_accounts
    with ape.networks.parse_network_choice("ethereum:local:foundry"):
        measured = []
        for shape in SHAPES:
            snapshot = ape.chain.snapshot()
            measured.append(profile(project, ape.chain, accounts, shape, progress.print))
            ape.chain.restore(snapshot)
        progress.print(f"{POSTED_BIDS} signed bids of one step")
        posted = posting_profile(project, ape.chain, accounts)
    console = Console(width=130)
    console.print(table_of(measured))
    each = Cost(round(posted.gas / POSTED_BIDS), round(posted.floor / POSTED_BIDS))
    console.print(f"{POSTED_BIDS} signed bids of one step in one call, each: {shown(each)}")
    console.print(peers_beside(measured))


def table_of(measured: list[GasProfile]) -> Table:
    """One column per shape."""
    table = Table("gas, and its floor", title="One auction")
    for entry in measured:
        table.add_column(str(entry.shape), justify="right")
    columns = [figures(entry) for entry in measured]
    for name in columns[0]:
        table.add_row(name, *(column[name] for column in columns))
    return table


def figures(entry: GasProfile) -> dict[str, str]:
    """What is printed of one shape."""
    steps, members = entry.shape.steps, entry.shape.members
    return {
        "steps": f"{steps:,}",
        "per step: signed bids, posted in one transaction": shown(entry.signed, steps),
        "per step: bids in a transaction each": shown(entry.own, steps),
        "per step: verified clearing (E1-E7)": shown(entry.clear, steps),
        "per step: settlement by a roster of the members' terms": shown(entry.settle, steps),
        "per step: settlement without one": shown(entry.unlisted, steps),
        "per member and slot: settlement": shown(entry.settle, entry.shape.slots * members),
        "per step: all-in, signed bids to money and token claims": shown(entry.all_in, steps),
        "per member: minting its energy tokens, if it wants them": shown(entry.draw, members),
        "the clearing transaction": shown(entry.clear),
        "writing the roster, once until some member's terms change": shown(entry.roster),
        "auctions after which it has paid": str(entry.auctions_to_pay_back),
    }


def shown(cost: Cost, units: int = 1) -> str:
    return f"{cost.gas / units:,.0f} ({cost.floor / units:,.0f})"


def peers_beside(measured: list[GasProfile]) -> Table:
    """The all-in figures, and the peers'."""
    table = Table("per order (a step here), all-in", "gas", title="Beside peers")
    for entry in measured:
        table.add_row(f"Clearwatt, {entry.shape}", f"{entry.all_in.gas / entry.shape.steps:,.0f}")
    for name, gas in PEERS:
        table.add_row(name, gas)
    return table


if __name__ == "__main__":
    main()
