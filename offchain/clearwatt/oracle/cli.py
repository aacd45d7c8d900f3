"""`clearwatt oracle`: run it, or ask it what it would do."""

import logging
import os
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from clearwatt.errors import UserError

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

    from clearwatt.chain.fees import FeeLimits
    from clearwatt.oracle.settings import Connections, Settings

KEY_VARIABLE = "CLEARWATT_ORACLE_KEY"
KEY_FILE_VARIABLE = f"{KEY_VARIABLE}_FILE"
KEY_DIGITS = 64


def _options(command: Callable[..., Any]) -> Callable[..., Any]:
    """What every oracle command needs to know."""
    for option in (
        click.option(
            "--peer",
            envvar="CLEARWATT_PEER",
            multiple=True,
            help="URL of another oracle of the quorum; may be repeated.",
        ),
        click.option(
            "--points",
            envvar="CLEARWATT_POINTS",
            default="",
            help="File of metering points; without, every member has one that is called as its address.",
        ),
        click.option(
            "--depth",
            envvar="CLEARWATT_DEPTH",
            default=2,
            show_default=True,
            help="Blocks below the newest that decisions refer to.",
        ),
        click.option(
            "--database",
            "--statements",
            envvar=["CLEARWATT_DATABASE", "CLEARWATT_STATEMENTS"],
            default="sqlite:///clearwatt.db",
            show_default=True,
            help="Database of the meters' messages, as SQLAlchemy names it.",
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
            multiple=True,
            default=["http://127.0.0.1:8545"],
            show_default=True,
            help="A node's JSON-RPC address; several, also separated by commas, stand in for each other.",
        ),
    ):
        command = option(command)
    return command


@click.group()
def oracle() -> None:
    """Clear auctions after gate closure, and settle them after delivery.

    Every option can come from the environment: --rpc from CLEARWATT_RPC, --max-fee-gwei from CLEARWATT_MAX_FEE_GWEI.
    The signing key comes from CLEARWATT_ORACLE_KEY, or from the file that CLEARWATT_ORACLE_KEY_FILE names; without
    one, the oracle only looks.
    """


def _running_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """How it runs."""
    for option in reversed(
        (
            _setting("--poll", 12.0, "Seconds between looks at the chain."),
            _setting("--batch", 25, "Members settled in one transaction."),
            click.option(
                "--draw-tokens/--no-draw-tokens",
                envvar="CLEARWATT_DRAW_TOKENS",
                default=True,
                help="Mint members' energy tokens for them.",
            ),
            _setting("--cycle-timeout", 300.0, "Seconds after which a cycle is given up."),
            _setting("--turn", 0.0, "Seconds for which it is one oracle's turn to post; 0 = no turns."),
            _setting("--max-fee-gwei", None, "Pay no more per gas; wait while it costs more.", float),
            _setting("--min-priority-fee-gwei", 0.0, "Tip per gas, at least."),
            _setting("--max-priority-fee-gwei", 100.0, "Tip per gas, at most."),
            _setting("--listen", "", "HOST:PORT of the HTTP server; without, there is none."),
            click.option(
                "--log-format",
                envvar="CLEARWATT_LOG_FORMAT",
                type=click.Choice(["text", "json"]),
                default="text",
                show_default=True,
            ),
            click.option(
                "--dry-run",
                envvar="CLEARWATT_DRY_RUN",
                is_flag=True,
                help="Say what would be sent; send nothing.",
            ),
        )
    ):
        command = option(command)
    return command


def _setting(name: str, default: Any, text: str, kind: Any = None) -> Callable[..., Any]:
    variable = "CLEARWATT_" + name.removeprefix("--").replace("-", "_").upper()
    return click.option(
        name, envvar=variable, default=default, show_default=default not in (None, ""), type=kind, help=text
    )


@oracle.command()
@_options
@_running_options
def run(log_format: str, **options: Any) -> None:
    """Do what is to be done, until interrupted.

    It can be stopped and started again at any time: what is still to be done it reads from the chain.
    """
    from clearwatt.oracle.service import OracleService
    from clearwatt.service.logs import set_up_logging
    from clearwatt.storage.sealing import Keyring

    settings = _settings(options)
    connections = _connections(options)
    set_up_logging(
        log_format, logging.INFO, [*connections.rpc, connections.database]
    )  # they may hold secrets
    OracleService(connections, settings, load_key(), Keyring.from_environment()).run()


@oracle.command()
@_options
def status(**options: Any) -> None:
    """Say what there is to do for every unfinished auction, and why. Changes nothing."""
    from clearwatt.chain.node import NodeError, Refused
    from clearwatt.oracle.service import OracleService
    from clearwatt.oracle.settings import Settings
    from clearwatt.storage.database import StoreError
    from clearwatt.storage.sealing import Keyring

    service = OracleService(_connections(options), Settings(), None, Keyring.from_environment())
    try:
        decisions = service.decisions()
    except (NodeError, Refused, StoreError) as error:
        raise UserError(str(error)) from None
    unfinished = [decision for decision in decisions if not decision.finished]
    for decision in unfinished:
        action = type(decision.action).__name__ if decision.action else "wait"
        click.echo(f"auction {decision.auction}: {action}: {decision.reason}")
    finished = len(decisions) - len(unfinished)
    click.echo(f"{len(unfinished)} auctions under way, {finished} finished")


@oracle.command()
@_options
@click.pass_context
def check(context: click.Context, **options: Any) -> None:
    """Try everything that the oracle needs: endpoints, contracts, key, peers, database, encryption, clocks.

    Exits with 1 if anything is not as it should be. Sends nothing; an empty database is prepared.
    """
    from clearwatt.oracle.preflight import Preflight
    from clearwatt.storage.sealing import Keyring

    good = True
    for finding in Preflight(_connections(options), load_key(), Keyring.from_environment()).findings():
        click.echo(f"{'ok    ' if finding.good else 'FAILED'}  {finding.subject}: {finding.text}")
        good &= finding.good
    context.exit(0 if good else 1)


def _connections(options: Mapping[str, Any]) -> "Connections":
    from clearwatt.oracle.settings import Connections

    return Connections(
        options["rpc"],
        options["deployment"],
        options["database"],
        options["depth"],
        options.get("listen", ""),
        options.get("peer", ()),
        options["points"],
    )


def _settings(options: Mapping[str, Any]) -> "Settings":
    from clearwatt.oracle.settings import Settings

    return Settings(
        poll_seconds=options["poll"],
        batch=options["batch"],
        draw_tokens=options["draw_tokens"],
        cycle_seconds=options["cycle_timeout"],
        turn_seconds=options["turn"],
        dry_run=options["dry_run"],
        limits=_limits(options),
    )


def _limits(options: Mapping[str, Any]) -> "FeeLimits":
    from clearwatt.chain.fees import GWEI, FeeLimits

    def wei(name: str) -> int:
        if not options[name] >= 0:
            raise UserError(f"--{name.replace('_', '-')} {options[name]:g} is less than 0")
        return int(Decimal(str(options[name])) * GWEI)

    most = None if options["max_fee_gwei"] is None else wei("max_fee_gwei")
    return FeeLimits(most, wei("min_priority_fee_gwei"), wei("max_priority_fee_gwei"))


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
