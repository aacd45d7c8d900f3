"""What an auction costs in gas, from the receipts of a local chain.

    .venv/bin/python benchmarks/gas.py

Each shape of auction is run twice from bids to settlement, everybody a little off its position; the second run, whose
records the first has used before, is the one that counts, since a market lives on used records. Four zones, every
member its own bid transaction, 25 members to a settlement transaction.
"""

import sys
from pathlib import Path

import ape
from ape.logging import LogLevel, logger
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # the measuring code is shared with the tests

from tests.contracts.gas_profile import GasProfile, Shape, profile  # noqa: E402

SHAPES = (Shape(4, 100, 2), Shape(96, 20, 1), Shape(96, 50, 1))


def main() -> None:
    """Print the table."""
    logger.set_level(LogLevel.WARNING)
    progress = Console(stderr=True)
    project = ape.Project(ROOT)
    accounts = ape.accounts.test_accounts
    with ape.networks.parse_network_choice("ethereum:local:foundry"):
        measured = [profile(project, ape.chain, accounts, shape, progress.print) for shape in SHAPES]
    Console(width=120).print(table_of(measured))


def table_of(measured: list[GasProfile]) -> Table:
    """One column per shape."""
    table = Table("gas", title="One auction")
    for entry in measured:
        table.add_column(str(entry.shape), justify="right")
    columns = [figures(entry) for entry in measured]
    for name in columns[0]:
        table.add_row(name, *(f"{column[name]:,.0f}" for column in columns))
    return table


def figures(entry: GasProfile) -> dict[str, float]:
    """What is printed of one shape."""
    return {
        "steps": entry.shape.steps,
        "per step: bid": entry.per_step(entry.bid),
        "per step: clear": entry.per_step(entry.clear),
        "per step: settle": entry.per_step(entry.settle),
        "per step: all-in": entry.per_step(entry.all_in),
        "settle, per member and slot": entry.settle / (entry.shape.slots * entry.shape.members),
        "clearing transaction": entry.clear,
        "its calldata, bytes": entry.calldata,
        "its calldata's floor (EIP-7623)": entry.floor,
    }


if __name__ == "__main__":
    main()
