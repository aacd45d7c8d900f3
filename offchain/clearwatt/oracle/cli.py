"""`clearwatt oracle`: run it, or ask it what it would do."""

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clearwatt.errors import UserError

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

    from clearwatt.oracle.daemon import Oracle

KEY_VARIABLE = "CLEARWATT_ORACLE_KEY"
KEY_FILE_VARIABLE = f"{KEY_VARIABLE}_FILE"
KEY_DIGITS = 64
LONGEST_POLL_SECONDS = 3600


def _options(command: Callable[..., Any]) -> Callable[..., Any]:
    """What every oracle command needs to know."""
    for option in (
        click.option(
            "--statements",
            envvar="CLEARWATT_STATEMENTS",
            default="sqlite:///statements.db",
            show_default=True,
            help="Database of meter statements, as SQLAlchemy names it.",
        ),
        click.option(
            "--deployment",
            envvar="CLEARWATT_DEPLOYMENT",
            type=click.Path(path_type=Path),
            required=True,
            help="The market: a file that `ape run deploy` wrote.",
        ),
        click.option(
            "--rpc",
            envvar="CLEARWATT_RPC",
            default="http://127.0.0.1:8545",
            show_default=True,
            help="The node's JSON-RPC address.",
        ),
    ):
        command = option(command)
    return command


@click.group()
def oracle() -> None:
    """Clear auctions after gate closure, and settle them after delivery.

    Options can come from the environment: CLEARWATT_RPC, CLEARWATT_DEPLOYMENT, CLEARWATT_STATEMENTS. The
    signing key comes from CLEARWATT_ORACLE_KEY, or from the file that CLEARWATT_ORACLE_KEY_FILE names;
    without one, the oracle only looks.
    """


@oracle.command()
@_options
@click.option("--poll", default=12.0, show_default=True, help="Seconds between looks at the chain.")
@click.option("--batch", default=25, show_default=True, help="Members settled in one transaction.")
@click.option("--draw-tokens/--no-draw-tokens", default=True, help="Mint members' energy tokens for them.")
def run(rpc: str, deployment: Path, statements: str, poll: float, batch: int, draw_tokens: bool) -> None:
    """Do what is to be done, until interrupted.

    It can be stopped and started again at any time: what is still to be done it reads from the chain.
    """
    from clearwatt.oracle.daemon import Settings

    if not 0 <= poll <= LONGEST_POLL_SECONDS:
        raise UserError(f"--poll {poll:g} is not between 0 and {LONGEST_POLL_SECONDS} seconds")
    if batch < 1:
        raise UserError(f"--batch {batch}: a transaction settles at least 1 member")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    key = load_key()
    if key is None:
        logging.warning("no key: watching only")
    else:
        logging.info("signing as %s", key.address)
    _oracle(rpc, deployment, statements, key, Settings(poll, batch, draw_tokens)).run()


@oracle.command()
@_options
def status(rpc: str, deployment: Path, statements: str) -> None:
    """Say what there is to do for every unfinished auction, and why. Changes nothing."""
    from clearwatt.chain.node import NodeError, Refused
    from clearwatt.metering.statements import StoreError
    from clearwatt.oracle.daemon import Settings

    try:
        decisions = _oracle(rpc, deployment, statements, None, Settings()).decisions()
    except (NodeError, Refused, StoreError) as error:
        raise UserError(str(error)) from None
    unfinished = [decision for decision in decisions if not decision.finished]
    for decision in unfinished:
        action = type(decision.action).__name__ if decision.action else "wait"
        click.echo(f"auction {decision.auction}: {action}: {decision.reason}")
    finished = len(decisions) - len(unfinished)
    click.echo(f"{len(unfinished)} auctions under way, {finished} finished")


def _oracle(
    rpc: str, deployment: Path, statements: str, key: "LocalAccount | None", settings: Any
) -> "Oracle":
    from clearwatt.chain.deployment import read_deployment
    from clearwatt.chain.market import MarketClient
    from clearwatt.chain.node import NodeError, Refused, connect
    from clearwatt.metering.statements import StatementStore
    from clearwatt.oracle.daemon import Oracle

    market = read_deployment(deployment)
    try:
        client = MarketClient(connect(rpc, market.chain_id), market)
    except (NodeError, Refused) as error:
        raise UserError(f"the market of {deployment} cannot be read: {error}") from None
    store = StatementStore(statements, market["Settlement"].address)
    return Oracle(client, store, key, settings)


def load_key() -> "LocalAccount | None":
    """The key from the environment or from the file it names. Raises UserError if it is no key."""
    from eth_account import Account

    text = os.environ.get(KEY_VARIABLE)
    path = os.environ.get(KEY_FILE_VARIABLE)
    if text and path:
        raise UserError(f"set {KEY_VARIABLE} or {KEY_FILE_VARIABLE}, not both")
    if path:
        text = _read_key_file(Path(path))
    elif not text:
        return None
    source = KEY_FILE_VARIABLE if path else KEY_VARIABLE
    digits = text.strip().removeprefix("0x")
    try:
        if len(digits) != KEY_DIGITS:  # eth-account fills up a key that was cut off
            raise ValueError
        return Account.from_key(digits)
    except Exception:  # eth-keys raises several kinds, some of them with the key in their text
        raise UserError(f"{source} holds no private key (0x and {KEY_DIGITS} hex digits)") from None


def _read_key_file(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except OSError as error:
        raise UserError(f"{KEY_FILE_VARIABLE}: {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UserError(f"{KEY_FILE_VARIABLE}: {path} holds no text") from None
