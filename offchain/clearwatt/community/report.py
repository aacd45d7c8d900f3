"""The day's report: one HTML file that opens offline anywhere, and its figures for machines beside it."""

import json
import os
import tempfile
from pathlib import Path

import jinja2
from markupsafe import Markup
from plotly.graph_objects import Figure
from plotly.offline import get_plotlyjs
from rich.console import Group
from rich.table import Table

from clearwatt.community import charts, summary
from clearwatt.community.indicators import figures
from clearwatt.community.outcome import DayOutcome
from clearwatt.errors import UserError

FIGURES = "figures.json"

CHARTS = {
    "prices": ("Prices over the day", charts.prices, 400),
    "energy": ("Who supplied whom", charts.energy, 380),
    "schedule": ("What batteries and cars did", charts.schedule, 480),
    "levels": ("How full the batteries were", charts.levels, 380),
    "savings": ("Every member's bill", charts.savings, 560),
    "deviations": ("What the forecasts missed", charts.deviations, 480),
    "lines": ("How full the lines were", charts.lines, 360),
    "gas": ("What the chain charged", charts.gas, 300),
    "tokens": ("Energy tokens", charts.tokens, 300),
}
"""Name: title, figure and height in pixels."""


def write_report(outcome: DayOutcome, path: Path) -> None:
    """Write the report to ``path`` and ``figures.json`` beside it; each appears whole or not at all.

    Raises UserError where that can't be done.
    """
    page = render(outcome)
    numbers = json.dumps(figures(outcome), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(path.with_name(FIGURES), numbers)
        _replace(path, page)
    except OSError as fault:
        raise UserError(f"the report can't be written to {path}: {fault.strerror}") from fault


def render(outcome: DayOutcome) -> str:
    """The report's HTML."""
    loader = jinja2.PackageLoader("clearwatt.community")
    environment = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined)
    checks = summary.all_checks(outcome)
    return environment.get_template("report.html.j2").render(
        outcome=outcome,
        day=summary.long_date(outcome),
        headline=summary.headline(outcome),
        lead=summary.lead(outcome),
        tiles=summary.tiles(outcome),
        charts=_charts(outcome),
        costs=summary.cost_rows(outcome),
        costs_caption=summary.costs_caption(outcome),
        devices=summary.device_rows(outcome),
        lines=summary.line_rows(outcome),
        forecasts=summary.forecast_rows(outcome),
        checks=checks,
        checks_caption=summary.checks_caption(checks),
        run=summary.run_rows(outcome),
        plotly=Markup(get_plotlyjs()),
    )


def terminal_table(outcome: DayOutcome) -> Group:
    """The day's key figures and checks, for rich's console to print."""
    table = Table(title=summary.headline(outcome), title_justify="left", show_header=False)
    for label, value, note in summary.tiles(outcome):
        table.add_row(label, f"[bold]{value}[/bold]", note)
    proof = Table(title="Checks", title_justify="left", show_header=False)
    for name, ok, detail in summary.all_checks(outcome):
        proof.add_row("[green]✓[/green]" if ok else "[red]✗[/red]", name, detail)
    return Group(table, proof)


def _charts(outcome: DayOutcome) -> dict[str, dict[str, object]]:
    captions = summary.captions(outcome)
    return {
        name: {
            "title": title,
            "caption": captions[name],
            "height": height,
            "html": _html(name, draw(outcome)),
        }
        for name, (title, draw, height) in CHARTS.items()
        if name in captions
    }


def _html(name: str, figure: Figure) -> Markup:
    config = {"responsive": True, "displaylogo": False, "displayModeBar": False}
    return Markup(
        figure.to_html(
            config=config,
            include_plotlyjs=False,
            full_html=False,
            div_id=f"chart-{name}",
            default_height="100%",
        )
    )


def _replace(path: Path, text: str) -> None:
    """Write beside and rename, so that a reader never meets half a file."""
    descriptor, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(beside, 0o644)
        os.replace(beside, path)
    except BaseException:
        os.unlink(beside)
        raise
