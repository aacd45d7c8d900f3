"""`ape run simulate`: a real community's day on a chain, and a report of it."""

import time
from math import inf
from pathlib import Path
from typing import Any

import click
from ape import accounts, chain, networks, project
from ape.logging import LogLevel, logger
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from clearwatt.chain.ape_command import NetworkCommand
from clearwatt.chain.deployment import Deployment, MarketDeployer
from clearwatt.community.report import terminal_table, write_report
from clearwatt.community.scenario import Community, load_community, parse_day
from clearwatt.community.simulation import Options, Simulation, market_config
from clearwatt.community.tariff import DEFAULT_EXPORT, DEFAULT_IMPORT, Tariff
from clearwatt.errors import UserError
from clearwatt.units import ticks_from_per_kwh

ROOT = Path(__file__).resolve().parent.parent


@click.command(cls=NetworkCommand)
@click.option("--day", default="2016-06-21", show_default=True, help="A day of 2016, from 2016-01-08 on.")
@click.option("--members", type=int, help="How many connection points take part; default: all 104.")
@click.option(
    "--slots-per-auction", default=4, show_default=True, help="Quarters of an hour cleared together."
)
@click.option("--seed", default=1, show_default=True, help="Chooses members and test keys.")
@click.option(
    "--import-price",
    default=DEFAULT_IMPORT,
    show_default=True,
    help="What the retailer asks, currency/kWh, or times of use: 00:00-06:00=0.22,06:00-24:00=0.32.",
)
@click.option("--export-price", default=DEFAULT_EXPORT, show_default=True, help="What it pays, likewise.")
@click.option(
    "--prices",
    type=click.Path(path_type=Path),
    help="Instead: CSV with a row per slot and the columns import and export, currency/kWh.",
)
@click.option(
    "--line-limit", default=100, show_default=True, help="Line limits, percent of the real ratings."
)
@click.option("--line-fee", default=0.0, show_default=True, help="Network fee per line, currency/kWh.")
@click.option("--gas-price", default=0.05, show_default=True, help="Assumed for the report, gwei.")
@click.option("--ether-price", default=3000.0, show_default=True, help="Assumed for the report, currency.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), default=ROOT / "out", help="Report and logs go here."
)
def cli(
    day: str,
    members: int | None,
    slots_per_auction: int,
    seed: int,
    import_price: str,
    export_price: str,
    prices: Path | None,
    line_limit: int,
    line_fee: float,
    gas_price: float,
    ether_price: float,
    output: Path,
) -> None:
    """Simulate a community's day: bids, clearing with proof, delivery and settlement on a chain.

    On the default network it starts a chain of its own; --network ethereum:ganache or ethereum:devnet takes
    one that is running. It has to let its time be moved.
    """
    for name, value in (("line-fee", line_fee), ("gas-price", gas_price), ("ether-price", ether_price)):
        require_amount(f"--{name}", value)
    tariff = Tariff.read(prices) if prices else Tariff.parse(import_price, export_price)
    options = Options(parse_day(day), slots_per_auction, seed, tariff, output, gas_price, ether_price)
    community = load_community(members, seed, line_limit, ticks_from_per_kwh(line_fee))
    simulate(community, options)


def require_amount(name: str, value: float) -> None:
    """Raise UserError for an amount that is none: negative, infinite or not a number."""
    if not 0 <= value < inf:
        raise UserError(f"{name} {value:g} is not an amount from 0 up")


def simulate(community: Community, options: Options) -> None:
    """The whole thing, with progress on the terminal."""
    started = time.monotonic()
    console = Console()
    owner = accounts.test_accounts[0]
    console.print(
        f"{len(community.members)} members, {community.grid.zones} zones, {options.auctions} auctions"
    )
    deployment = deploy(community, options, owner)
    simulation = Simulation(community, options, url(), deployment, owner_key(owner))
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"))
    with Progress(
        *columns, TimeElapsedColumn(), console=console, disable=not console.is_terminal
    ) as progress:
        task = progress.add_task("starting", total=options.auctions)

        def report(done: int, text: str) -> None:
            progress.update(task, completed=done, description=text)
            if not console.is_terminal and ("settled" in text or done in (0, options.auctions)):
                console.print(f"[{time.monotonic() - started:4.0f} s] {text}", highlight=False, markup=False)

        outcome = simulation.run(report)
    write_report(outcome, options.folder / "report.html")
    console.print(terminal_table(outcome))
    console.print(
        f"\n{options.folder / 'report.html'} and figures.json, in {time.monotonic() - started:.0f} s"
    )


def deploy(community: Community, options: Options, owner: Any) -> Deployment:
    """Deploy the market for this day, quietly."""
    logger.set_level(LogLevel.WARNING)
    config = market_config(community, options, owner.address, chain.pending_timestamp)
    provider = networks.provider
    return MarketDeployer(project, owner).deploy(config, provider.network.name, provider.chain_id)


def url() -> str:
    """Where the node that Ape is connected to answers."""
    address = networks.provider.http_uri
    if not address:
        raise UserError("this network's node has no HTTP address")
    return str(address)


def owner_key(owner: Any) -> Any:
    """The owner's key for the simulation's own transactions; test accounts only."""
    from eth_account import Account

    return Account.from_key(owner.private_key)
