"""`clearwatt dispatch`: from a scenario file to the schedule of greatest welfare."""

import json
import logging

import click

from clearwatt.errors import UserError

METHODS = ("auto", "structured", "piqp", "highs", "highs-simplex", "highs-ipm")
PICTURE = (".html", ".htm")


@click.command()
@click.argument("scenario", metavar="SCENARIO.json|yaml", required=False)
@click.option(
    "-o", "--output", metavar="RESULT.json", default="-", help="Where to write; default: standard output."
)
@click.option("--plot", metavar="PICTURE.html", help="Draw the schedule, prices and flows as a page.")
@click.option("--method", type=click.Choice(METHODS), default="auto", show_default=True, help="Which solver.")
@click.option("--schema", is_flag=True, help="Print the JSON schema of scenario files and do nothing else.")
@click.option("-v", "--verbose", is_flag=True, help="Tell each step of the solvers.")
def dispatch(
    scenario: str | None, output: str, plot: str | None, method: str, schema: bool, verbose: bool
) -> None:
    """Find the schedule of greatest welfare for batteries, generators, loads and the grid.

    Exits with 1 if there is none, and says which asset or balance stands in the way, and by how much.

    \b
    A scenario (docs/dispatch.md has all kinds of assets), in kW, kWh and currency/kWh:
      slots: 24
      slot_hours: 1
      assets:
        - {kind: retailer, name: retailer, import_price: 0.30, export_price: 0.08,
           import_kw: 100, export_kw: 100}
        - {kind: load, name: house, demand_kw: {csv: loads.csv, column: house}}
        - {kind: battery, name: battery, power_kw: 5, capacity_kwh: 10, start_kwh: 5, end_kwh: 5}
    A series is one number, a list with one number per slot, or a column of a CSV file beside the scenario.
    """
    if schema:
        from clearwatt.dispatch.files import json_schema

        click.echo(json.dumps(json_schema(), indent=1))
        return
    if scenario is None:
        raise UserError("which scenario? Name its file, or - for standard input")
    if plot is not None and not plot.lower().endswith(PICTURE):
        raise UserError(f"{plot}: the picture is a page; its name ends in .html")
    _log_to_stderr(verbose)
    _run(scenario, output, plot, method)


def _run(scenario: str, output: str, plot: str | None, method: str) -> None:
    from clearwatt.dispatch.files import read_scenario
    from clearwatt.dispatch.result import write_dispatch
    from clearwatt.dispatch.solve import solve

    result = solve(read_scenario(scenario), method)
    if plot is not None:
        from clearwatt.dispatch.plot import write_plot

        write_plot(plot, result)
    write_dispatch(output, result)


class _ToStandardError(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        click.echo(self.format(record), err=True)


def _log_to_stderr(verbose: bool) -> None:
    """What the solvers say while they work."""
    log = logging.getLogger("clearwatt.dispatch")
    log.handlers = [_ToStandardError()]
    log.setLevel(logging.DEBUG if verbose else logging.INFO)
