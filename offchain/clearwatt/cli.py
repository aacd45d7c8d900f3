"""The command `clearwatt`.

Exit codes: 0 done, 1 the answer is no, 2 the input cannot be used (one sentence on standard error).
"""

from importlib import import_module
from importlib.util import find_spec
from typing import Any

import click

from clearwatt import __version__
from clearwatt.errors import UserError


class LazyGroup(click.Group):
    """A group whose further commands are imported when they are asked for, and that explains users' mistakes.

    lazy: command name -> "module:attribute"; a module that is not installed is no command.
    """

    def __init__(self, *args: Any, lazy: dict[str, str] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.lazy = lazy or {}

    def list_commands(self, context: click.Context) -> list[str]:
        present = [name for name, target in self.lazy.items() if find_spec(target.partition(":")[0])]
        return sorted([*super().list_commands(context), *present])

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name in self.lazy and name in self.list_commands(context):
            module, _, attribute = self.lazy[name].partition(":")
            return getattr(import_module(module), attribute)
        return super().get_command(context, name)

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except UserError as error:
            mistake = click.ClickException(str(error))
            mistake.exit_code = error.exit_code
            raise mistake from error


@click.group(
    cls=LazyGroup,
    lazy={
        "database": "clearwatt.storage.cli:database",
        "dispatch": "clearwatt.dispatch.cli:dispatch",
        "keys": "clearwatt.metering.keys_cli:keys",
        "metering": "clearwatt.metering.cli:metering",
        "oracle": "clearwatt.oracle.cli:oracle",
    },
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="clearwatt")
def main() -> None:
    """Local energy markets whose clearing anyone can check.

    A file name of "-" is standard input, or standard output.
    """


@main.command()
@click.argument("auction", metavar="AUCTION.json")
@click.option(
    "-o", "--output", metavar="RESULT.json", default="-", help="Where to write; default: standard output."
)
def clear(auction: str, output: str) -> None:
    """Find the welfare optimum of an auction and its one canonical price.

    \b
    The auction, in Wh and ticks (0.01 currency/MWh); sell is positive, buy negative:
      {"slots": 1, "price_bounds": [-50000, 400000],
       "zones": [{"parent": null}, {"parent": 0, "export_limit": 900, "fee": 10}],
       "bids": [{"member": "0x<40 hex digits>", "zone": 1, "steps": [[0, 8000, 500]]}]}
    A step is [slot, price, quantity]; limits and fee may be left out.
    """
    from clearwatt.clearing.files import read_auction, write_result
    from clearwatt.clearing.tree import clear as solve

    write_result(output, solve(read_auction(auction)))


@main.command()
@click.argument("auction", metavar="AUCTION.json")
@click.argument("result", metavar="RESULT.json")
@click.pass_context
def verify(context: click.Context, auction: str, result: str) -> None:
    """Check that a result is the welfare optimum at the canonical price.

    Prints "optimal, canonical", or the first rule broken and where, and exits with 1.
    """
    from clearwatt.clearing.equilibrium import RuleBroken, check_result
    from clearwatt.clearing.files import read_auction, read_result
    from clearwatt.documents import STANDARD_STREAM

    if auction == result == STANDARD_STREAM:
        raise UserError("only one of the two files can be standard input")
    stated = read_auction(auction)
    try:
        check_result(stated, read_result(result, stated))
    except RuleBroken as broken:
        click.echo(broken)
        context.exit(1)
    click.echo("optimal, canonical")


if __name__ == "__main__":
    main()
