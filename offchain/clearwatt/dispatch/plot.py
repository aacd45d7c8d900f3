"""A dispatch as a picture: one HTML page that opens offline anywhere."""

from collections.abc import Callable
from html import escape
from itertools import cycle

import numpy as np
import plotly.graph_objects as go
from plotly.offline import get_plotlyjs
from plotly.subplots import make_subplots

from clearwatt.dispatch.assets import Battery, ElectricVehicle, ShiftableLoad, ThermalLoad
from clearwatt.dispatch.result import Dispatch
from clearwatt.documents import problems_of, write_text
from clearwatt.pictures import COLOURS, styled

KINDS = {
    "solar": ("sun", "#f0e442"),
    "wind": ("wind", "#56b4e9"),
    "generator": ("generators", "#d55e00"),
    "battery": ("batteries", "#009e73"),
    "retailer": ("retailer", "#0072b2"),
    "step_bid": ("bids", "#8d6a9f"),
    "load": ("loads", "#7b8794"),
    "load_run": ("runs", "#b8c1cc"),
    "curtailable_load": ("curtailable loads", "#52606d"),
    "shiftable_load": ("shiftable loads", "#e69f00"),
    "electric_vehicle": ("cars", "#cc79a7"),
    "thermal_load": ("heating and cooling", "#882255"),
}
"""Kind of asset: its name in the picture and its colour."""
APART = 8
"""So many stores or lines are drawn one by one; more than that, together."""
SAME_PRICE = 1e-6
"""Currency/kWh; zones whose prices never differ by more share a line."""


def write_plot(path: str, dispatch: Dispatch) -> None:
    """Write the page, whole or not at all. Raises UserError."""
    with problems_of(path):
        write_text(path, render(dispatch))


def render(dispatch: Dispatch) -> str:
    """The page's HTML."""
    figures = [(title, note, draw(dispatch)) for title, note, draw in CHARTS]
    sections = [
        f"<section><h2>{title}</h2><p>{note}</p>{_html(figure, index)}</section>"
        for index, (title, note, figure) in enumerate(figures)
        if figure is not None
    ]
    return PAGE.format(
        head=escape(_headline(dispatch)),
        proof=escape(_proof(dispatch)),
        plotly=get_plotlyjs(),
        body="\n".join(sections),
    )


def _headline(dispatch: Dispatch) -> str:
    scenario = dispatch.scenario
    hours, count = scenario.slots * scenario.slot_hours, len(scenario.assets)
    return f"{count} assets over {hours:g} hours: cost {dispatch.cost:,.2f} {scenario.currency}"


def _proof(dispatch: Dispatch) -> str:
    program, gap = dispatch.built.program, max(dispatch.certificate.gap, 0)
    given = ", given the whole decisions it contains" if program.has_integers else ""
    text = (
        f"Welfare {dispatch.welfare:,.2f} {dispatch.scenario.currency}, at most {gap:.1e} (relative) below "
        f"the best{given}. {dispatch.solution.solver}."
    )
    return text + (f" {dispatch.fallback}." if dispatch.fallback else "")


# ---------------------------------------------------------------------------------------------------
# Charts
# ---------------------------------------------------------------------------------------------------


def schedule(dispatch: Dispatch) -> go.Figure:
    """Power by kind of asset, stacked: injected above 0, withdrawn below."""
    scenario = dispatch.scenario
    figure = _figure(dispatch, "power, kW")
    for kind, (name, colour) in KINDS.items():
        powers = [dispatch.schedule[asset.name].power_kw for asset in scenario.assets if asset.kind == kind]
        given, taken = np.maximum(powers, 0).sum(axis=0), np.minimum(powers, 0).sum(axis=0)
        for part, shown in ((given, True), (taken, not np.any(given))):
            if np.any(part):
                figure.add_bar(
                    x=_starts(dispatch),
                    y=part,
                    width=scenario.slot_hours,
                    offset=0,
                    name=name,
                    legendgroup=name,
                    showlegend=shown,
                    marker_color=colour,
                    hovertemplate="%{y:.2f} kW",
                )
    return figure.update_layout(barmode="relative", hovermode="x unified")


def stored(dispatch: Dispatch) -> go.Figure | None:
    """Energy in batteries and cars, and what shiftable loads have had."""
    return _states(dispatch, Battery | ElectricVehicle | ShiftableLoad, "energy, kWh", ".2f", together=np.sum)


def temperatures(dispatch: Dispatch) -> go.Figure | None:
    """Of heated and cooled houses."""
    return _states(dispatch, ThermalLoad, "temperature, °C", ".1f", together=np.mean)


def _states(
    dispatch: Dispatch, kinds: type, axis: str, digits: str, together: Callable[..., np.ndarray]
) -> go.Figure | None:
    states = {
        asset.name: dispatch.schedule[asset.name].state
        for asset in dispatch.scenario.assets
        if isinstance(asset, kinds)
    }
    if not states:
        return None
    if len(states) > APART:
        states = {f"{len(states)} together ({together.__name__})": together(list(states.values()), axis=0)}
    figure = _figure(dispatch, axis)
    ends = _starts(dispatch) + dispatch.scenario.slot_hours
    for colour, (name, state) in zip(cycle(COLOURS), states.items(), strict=False):
        figure.add_scatter(x=ends, y=state, name=name, line={"color": colour, "width": 2.5})
    figure.update_traces(mode="lines", hovertemplate="%{y:" + digits + "}")
    return figure.update_layout(hovermode="x unified", showlegend=True)


def prices(dispatch: Dispatch) -> go.Figure:
    """Zone prices; zones with the same ones share a line."""
    figure = _figure(dispatch, f"price, {dispatch.scenario.currency}/kWh")
    for colour, (name, price) in zip(cycle(COLOURS), _areas(dispatch).items(), strict=False):
        figure.add_scatter(
            **_steps(dispatch, price), name=name, line={"color": colour, "width": 2.5, "shape": "hv"}
        )
    figure.update_traces(mode="lines", hovertemplate="%{y:.4f}")
    return figure.update_layout(hovermode="x unified", showlegend=True)


def _areas(dispatch: Dispatch) -> dict[str, np.ndarray]:
    """Zones in groups of equal prices, and these."""
    groups: list[tuple[list[int], np.ndarray]] = []
    for zone, price in enumerate(dispatch.zone_price):
        for members, shared in groups:
            if np.abs(price - shared).max() <= SAME_PRICE:
                members.append(zone)
                break
        else:
            groups.append(([zone], price))
    name = dispatch.scenario.grid.zone_name
    return {
        f"{name(zones[0])} and {len(zones) - 1} more"
        if len(zones) > 2
        else " and ".join(map(name, zones)): price
        for zones, price in groups
    }


def flows(dispatch: Dispatch) -> go.Figure | None:
    """Flow on every line against its limits."""
    lines = dispatch.scenario.zones - 1
    if not lines:
        return None
    return _flow_each(dispatch) if lines <= APART else _flow_map(dispatch)


def _flow_each(dispatch: Dispatch) -> go.Figure:
    scenario = dispatch.scenario
    lines = scenario.zones - 1
    titles = [f"{scenario.grid.zone_name(z)} to {_parent(dispatch, z)}" for z in range(1, scenario.zones)]
    figure = make_subplots(
        rows=lines, cols=1, shared_xaxes=True, subplot_titles=titles, vertical_spacing=0.25 / lines
    )
    for zone in range(1, scenario.zones):
        spec = scenario.grid.zones[zone]
        for limit, sign in ((spec.export_kw, 1), (spec.import_kw, -1)):
            if limit is not None:
                series = np.broadcast_to(sign * limit, scenario.slots)
                style = {"color": COLOURS[1], "dash": "dash", "width": 1.2, "shape": "hv"}
                shown = {"name": "limit", "legendgroup": "limit", "showlegend": zone == 1 and sign == 1}
                figure.add_scatter(**_steps(dispatch, series), line=style, **shown, row=zone, col=1)
        style = {"color": COLOURS[0], "width": 2.5, "shape": "hv"}
        shown = {"name": "flow towards the parent", "legendgroup": "flow", "showlegend": zone == 1}
        figure.add_scatter(**_steps(dispatch, dispatch.flow_kw[zone]), line=style, **shown, row=zone, col=1)
        figure.update_yaxes(title_text="flow, kW", row=zone, col=1)
    figure.update_traces(mode="lines", hovertemplate="%{y:.2f} kW")
    clock = _clock(dispatch)
    figure.update_xaxes(**{**clock, "title": None})
    figure.update_xaxes(title=clock["title"], row=lines, col=1)
    return styled(figure).update_layout(height=140 + 170 * lines, margin_t=70, legend_y=1 + 0.25 / lines)


def _flow_map(dispatch: Dispatch) -> go.Figure:
    """Of each line's limit in the direction of its flow; lines without one are left out."""
    scenario = dispatch.scenario
    use: dict[str, np.ndarray] = {}
    for zone, spec in list(enumerate(scenario.grid.zones))[1:]:
        flow = dispatch.flow_kw[zone]
        export, imported = (np.inf if limit is None else limit for limit in (spec.export_kw, spec.import_kw))
        limit = np.where(flow >= 0, export, imported)
        if np.isfinite(limit).any():
            share = np.divide(np.abs(flow), limit, out=np.zeros_like(flow), where=limit > 0)
            use[scenario.grid.zone_name(zone)] = 100 * share
    figure = _figure(dispatch, "line of zone")
    figure.add_heatmap(
        x=_starts(dispatch) + scenario.slot_hours / 2,
        y=list(use),
        z=list(use.values()),
        zmin=0,
        zmax=100,
        colorscale=["#f2f6fa", COLOURS[5], COLOURS[0], "#06283d"],
        colorbar={"title": {"text": "% of limit"}},
        hovertemplate="%{y}, hour %{x:.2f}: %{z:.1f}%<extra></extra>",
    )
    return figure.update_layout(height=160 + 22 * len(use))


CHARTS: tuple[tuple[str, str, Callable[[Dispatch], go.Figure | None]], ...] = (
    ("Schedule", "Mean power in each slot: injected above 0, withdrawn below.", schedule),
    ("Energy stored", "At the end of each slot.", stored),
    ("Temperatures", "At the end of each slot.", temperatures),
    ("Zone prices", "What one more kWh of load would cost everybody together.", prices),
    ("Flows", "Into each line, positive towards the root of the tree.", flows),
)


# ---------------------------------------------------------------------------------------------------
# Common
# ---------------------------------------------------------------------------------------------------


def _parent(dispatch: Dispatch, zone: int) -> str:
    grid = dispatch.scenario.grid
    return grid.zone_name(grid.zones[zone].parent or 0)


def _starts(dispatch: Dispatch) -> np.ndarray:
    """Hours at which the slots begin."""
    return np.arange(dispatch.scenario.slots) * dispatch.scenario.slot_hours


def _steps(dispatch: Dispatch, series: np.ndarray) -> dict[str, np.ndarray]:
    """A line that holds each slot's value to the slot's end."""
    return {
        "x": np.append(_starts(dispatch), dispatch.scenario.slots * dispatch.scenario.slot_hours),
        "y": np.append(series, series[-1:]),
    }


def _clock(dispatch: Dispatch) -> dict[str, object]:
    hours = dispatch.scenario.slots * dispatch.scenario.slot_hours
    tick = next((step for step in (0.25, 0.5, 1, 3, 6, 12, 24, 48) if hours / step <= 12), 168)
    return {
        "title": {"text": "hours from the start"},
        "range": [0, hours],
        "dtick": tick,
        "hoverformat": ".2f",
    }


def _figure(dispatch: Dispatch, y_title: str) -> go.Figure:
    figure = styled(go.Figure())
    return figure.update_layout(xaxis=_clock(dispatch), yaxis={"title": {"text": y_title}}, height=380)


def _html(figure: go.Figure, index: int) -> str:
    return figure.to_html(
        config={"responsive": True, "displaylogo": False, "displayModeBar": False},
        include_plotlyjs=False,
        full_html=False,
        div_id=f"chart-{index}",
    )


PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{head}</title>
<style>
body {{ margin: 0; background: #f5f7f9; color: #1f2933; line-height: 1.5;
  font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }}
main {{ max-width: 1040px; margin: 0 auto; padding: 40px 20px; }}
section {{ background: #fff; border: 1px solid #dfe4ea; border-radius: 10px; padding: 20px;
  margin: 0 0 18px; min-width: 0; }}
h1 {{ font-size: 1.7rem; line-height: 1.2; margin: 0 0 .5rem; }} h2 {{ font-size: 1.2rem; margin: 0; }}
p {{ color: #52606d; margin: 0 0 1rem; max-width: 56em; }}
</style>
<script>{plotly}</script>
</head>
<body>
<main>
<h1>{head}</h1>
<p>{proof}</p>
{body}
</main>
</body>
</html>
"""
