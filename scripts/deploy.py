"""`ape run deploy --network ...`: deploy a market and note where it lives in deployments/<network>.json."""

from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import click
from ape import chain, networks, project
from ape.cli import account_option

from clearwatt.chain.ape_command import NetworkCommand
from clearwatt.chain.deployment import MarketConfig, MarketDeployer, write_deployment
from clearwatt.chain.market_config import read_market_config
from clearwatt.errors import UserError

ROOT = Path(__file__).resolve().parent.parent


@click.command(cls=NetworkCommand)
@account_option()
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    default=ROOT / "deployments" / "market.example.yaml",
    help="The market to deploy; default: deployments/market.example.yaml.",
)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Default: deployments/<network>.json.")
def cli(account: Any, config: Path, output: Path | None) -> None:
    """Deploy a market.

    --account names an Ape account, or TEST::0 on a chain with test accounts.
    """
    network = networks.provider.network.name
    target = output or ROOT / "deployments" / f"{network}.json"
    market = read_market_config(config, owner=account.address, now=chain.pending_timestamp)
    require_writable(target)
    deployer = MarketDeployer(project, account, click.echo)
    write_deployment(deployer.deploy(market, network, networks.provider.chain_id), target)
    click.echo(f"deployed on {network}: {target}")
    click.echo(clearing_of(market))


def clearing_of(market: MarketConfig) -> str:
    """How this market's auctions are cleared, in a sentence."""
    full = f"{market.max_members} members with {market.max_steps} steps each"
    if market.fits_one_transaction:
        return f"an auction of {full} is cleared in one transaction"
    return f"an auction of {full} does not fit one transaction: it is cleared in chunks"


def require_writable(target: Path) -> None:
    """Raise UserError before anything is paid for, not after."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=target.parent):
            pass
    except OSError as error:
        raise UserError(f"{target} cannot be written: {error.strerror}") from None
    if target.is_dir():
        raise UserError(f"{target} cannot be written: it is a folder")
