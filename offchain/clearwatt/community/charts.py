"""The report's charts: each function turns a `DayOutcome` into one plotly figure."""

import math
from collections.abc import Callable, Iterable
from datetime import datetime, time, timedelta
from itertools import cycle

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from clearwatt.community.indicators import (
    Bill,
    bills,
    car_charging,
    gas_bill,
    imbalance,
    line_use,
    mean_prices,
    measured_flows,
    volumes,
)
from clearwatt.community.outcome import DayOutcome
from clearwatt.pictures import BLUE, COLOURS, GREEN, INK, ORANGE, PURPLE, SKY, VERMILION, styled
from clearwatt.units import currency, per_kwh

MINUS = "\N{MINUS SIGN}"
GAS_KINDS = {
    "bid": "bids",
    "clear": "clearing",
    "imbalance": "imbalance prices",
    "settle": "settlement",
    "tokens": "energy tokens",
}


def prices(outcome: DayOutcome) -> go.Figure:
    """Zone prices over the day between the retailer's two prices; zones with the same prices share a line."""
    figure = _figure(_clock_axis(outcome), f"price, {outcome.currency}/kWh")
    for colour, (name, zone) in zip(cycle(COLOURS), _price_areas(outcome).items(), strict=False):
        line = {"color": colour, "width": 3}
        figure.add_scatter(**_steps(outcome, outcome.prices[zone].tolist()), name=name, line=line)
    for name, series, dash in (
        ("retail import", outcome.tariff.import_price, "dash"),
        ("retail export", outcome.tariff.export_price, "dot"),
    ):
        figure.add_scatter(
            **_steps(outcome, series), name=name, line={"color": INK, "dash": dash, "width": 1.2}
        )
    figure.update_traces(mode="lines", line_shape="hv", hovertemplate="%{y:.4f}")
    figure.update_yaxes(tickformat=".2f")
    return figure.update_layout(hovermode="x unified")


def energy(outcome: DayOutcome) -> go.Figure:
    """Contracted energy per slot: traded locally and bought from the retailer above 0, sold to it below."""
    traded = volumes(outcome)
    figure = _figure(_clock_axis(outcome), "energy, kWh per slot")
    for name, series, colour in (
        ("between members", traded.local, GREEN),
        ("from the retailer", traded.imported, SKY),
        ("to the retailer", -traded.exported, ORANGE),
    ):
        figure.add_bar(**_slots(outcome, series / 1000), name=name, marker_color=colour)
    figure.update_traces(hovertemplate="%{y:.2f} kWh")
    return figure.update_layout(barmode="relative", hovermode="x unified")


def schedule(outcome: DayOutcome) -> go.Figure:
    """What batteries and cars did per slot, injection above 0, below the members' mean price."""
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.08, row_heights=[0.32, 0.68])
    means = [None if mean is None else per_kwh(mean) for mean in mean_prices(outcome)]
    figure.add_scatter(
        x=_times(outcome),
        y=[*means, *means[-1:]],
        name="mean price",
        mode="lines",
        line={"color": INK, "width": 1.8, "shape": "hv"},
        hovertemplate="%{y:.4f}",
        row=1,
        col=1,
    )
    batteries, cars = outcome.batteries().sum(axis=0) / 1000, car_charging(outcome) / 1000
    for name, series, colour in (
        ("batteries discharge", np.maximum(batteries, 0), GREEN),
        ("batteries charge", np.minimum(batteries, 0), BLUE),
        ("cars charge", cars, PURPLE),
    ):
        bar = _slots(outcome, series)
        figure.add_bar(**bar, name=name, marker_color=colour, hovertemplate="%{y:.2f} kWh", row=2, col=1)
    figure.update_yaxes(
        title_text=f"{outcome.currency}/kWh", tickformat=".2f", rangemode="tozero", row=1, col=1
    )
    figure.update_yaxes(title_text="kWh per slot", row=2, col=1)
    figure.update_xaxes(**_clock_axis(outcome), row=2, col=1)
    figure.update_xaxes(showticklabels=False, title_text="", row=1, col=1)
    return styled(figure).update_layout(barmode="relative", hovermode="x unified")


def levels(outcome: DayOutcome) -> go.Figure:
    """How full each battery was over the day, and all of them together."""
    figure = _figure(_clock_axis(outcome), "state of charge, %")
    batteries = [device for device in outcome.devices if device.kind == "battery"]
    for battery, colour in zip(batteries, cycle(COLOURS), strict=False):
        share = battery.levels / (battery.energy_wh * 10)
        line = {"color": colour, "width": 1}
        figure.add_scatter(x=_times(outcome), y=share, name=battery.member, line=line, opacity=0.7)
    total = sum(battery.levels for battery in batteries) / sum(
        battery.energy_wh * 10 for battery in batteries
    )
    line = {"color": INK, "width": 3.5}
    figure.add_scatter(x=_times(outcome), y=total, name="all together", line=line)
    figure.update_traces(mode="lines", hovertemplate="%{y:.0f}%")
    figure.update_yaxes(range=[0, 100])
    return figure.update_layout(hovermode="x unified")


def savings(outcome: DayOutcome) -> go.Figure:
    """What each member saves, sorted, above what it pays with and without the market."""
    ranked = list(enumerate(sorted(bills(outcome), key=lambda bill: -bill.saving), start=1))
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.07)
    _saving_bars(figure, ranked)
    _bill_marks(figure, ranked)
    figure.update_yaxes(title_text=f"saving, {outcome.currency}", row=1, col=1)
    amounts = [0, *(sign * amount for sign in (-1, 1) for amount in (1, 3, 10, 30, 100, 300, 1000))]
    figure.update_yaxes(
        title_text=f"bill, {outcome.currency} (compressed)",
        tickvals=[math.asinh(amount) for amount in amounts],
        ticktext=[str(amount).replace("-", MINUS) for amount in amounts],
        row=2,
        col=1,
    )
    figure.update_xaxes(range=[0, len(ranked) + 1], zeroline=False)
    figure.update_xaxes(title_text="members, the largest saving first", row=2, col=1)
    return styled(figure).update_layout(bargap=0.15)


def deviations(outcome: DayOutcome) -> go.Figure:
    """Members' deviations from their positions per slot, above what they cost."""
    found = imbalance(outcome)
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.08, row_heights=[0.62, 0.38])
    for name, series, colour in (
        ("more energy than contracted", found.surplus / 1000, ORANGE),
        ("less energy than contracted", -found.shortage / 1000, BLUE),
    ):
        bar = _slots(outcome, series)
        figure.add_bar(**bar, name=name, marker_color=colour, hovertemplate="%{y:.2f} kWh", row=1, col=1)
    net = _steps(outcome, (found.surplus - found.shortage).tolist(), scale=lambda energy: energy / 1000)
    line = {"color": INK, "width": 1.8, "shape": "hv"}
    figure.add_scatter(
        **net, name="left over", mode="lines", line=line, hovertemplate="%{y:.2f} kWh", row=1, col=1
    )
    cost = _slots(outcome, found.cost / 1e8)
    figure.add_bar(**cost, name="cost", marker_color=VERMILION, hovertemplate="%{y:.3f}", row=2, col=1)
    figure.update_yaxes(title_text="kWh per slot", row=1, col=1)
    figure.update_yaxes(title_text=f"cost, {outcome.currency}", row=2, col=1)
    figure.update_xaxes(**_clock_axis(outcome), row=2, col=1)
    figure.update_xaxes(showticklabels=False, title_text="", row=1, col=1)
    return styled(figure).update_layout(barmode="relative", hovermode="x unified")


def lines(outcome: DayOutcome) -> go.Figure:
    """Measured use of every line over the day."""
    use = line_use(outcome, measured_flows(outcome))[1:] * 100
    figure = _figure(_clock_axis(outcome), "")
    figure.add_heatmap(
        x=_times(outcome),
        y=outcome.zone_names[1:],
        z=use,
        zmin=0,
        zmax=max(use.max(initial=0.0), 1.0),
        colorscale=["#f2f6fa", SKY, BLUE, "#06283d"],
        colorbar={
            "title": {"text": "measured flow, % of the limit", "side": "top"},
            "orientation": "h",
            "x": 0,
            "xanchor": "left",
            "y": 1.02,
            "yanchor": "bottom",
            "len": 1,
            "nticks": 6,
            "tickangle": 0,
            "thickness": 10,
            "outlinewidth": 0,
        },
        hovertemplate="%{y}, %{x|%H:%M}: %{z:.1f}% of its limit<extra></extra>",
    )
    figure.update_yaxes(autorange="reversed", showgrid=False)
    return figure.update_layout(margin_t=0)


def tokens(outcome: DayOutcome) -> go.Figure:
    """Energy tokens by source: retired, and still in circulation."""
    sources = sorted(outcome.tokens_issued)
    retired = np.array([outcome.tokens_retired.get(source, 0) for source in sources]) / 1000
    issued = np.array([outcome.tokens_issued[source] for source in sources]) / 1000
    figure = _figure({"title": {"text": "energy tokens, kWh"}}, "")
    for name, series, colour in (("retired", retired, GREEN), ("in circulation", issued - retired, SKY)):
        figure.add_bar(y=sources, x=series, name=name, orientation="h", marker_color=colour, width=0.5)
    figure.update_traces(hovertemplate="%{x:.1f} kWh")
    figure.update_xaxes(showgrid=True, tickformat=",")
    figure.update_yaxes(showgrid=False)
    return figure.update_layout(barmode="stack", legend_traceorder="normal")


def gas(outcome: DayOutcome) -> go.Figure:
    """Gas of the day's transactions per bid step, by kind."""
    bill = gas_bill(outcome)
    kinds = [kind for kind in GAS_KINDS if kind in bill.by_kind][::-1]
    per_step = [bill.by_kind[kind][1] / max(bill.steps, 1) for kind in kinds]
    figure = _figure({"title": {"text": "gas per bid step"}, "rangemode": "tozero"}, "")
    figure.add_bar(
        y=[GAS_KINDS[kind] for kind in kinds],
        x=per_step,
        orientation="h",
        marker_color=BLUE,
        text=[f"{value:,.0f}" for value in per_step],
        textposition="auto",
        hovertemplate="%{y}: %{x:,.0f} gas per step<extra></extra>",
        width=0.6,
    )
    figure.update_xaxes(showgrid=True, tickformat=",")
    figure.update_yaxes(showgrid=False)
    return figure.update_layout(showlegend=False, margin_t=12)


def _saving_bars(figure: go.Figure, ranked: list[tuple[int, Bill]]) -> None:
    for label, generates, colour in (
        ("saving with panels", True, ORANGE),
        ("saving without panels", False, BLUE),
    ):
        mine = [(rank, bill) for rank, bill in ranked if (bill.member.source != "none") == generates]
        figure.add_bar(
            x=[rank for rank, _ in mine],
            y=[currency(bill.saving) for _, bill in mine],
            text=[bill.member.name for _, bill in mine],
            textposition="none",
            name=label,
            marker_color=colour,
            hovertemplate="%{text}: %{y:.2f}",
            row=1,
            col=1,
        )


def _bill_marks(figure: go.Figure, ranked: list[tuple[int, Bill]]) -> None:
    """Bills span from cents to hundreds, on both sides of 0: asinh is a logarithm that allows it."""
    before, after = (
        [getattr(bill, name) for _, bill in ranked] for name in ("without_market", "with_market")
    )
    marks = (
        ("bill without the market", before, {"symbol": "line-ew", "line": {"color": INK, "width": 2}}),
        ("bill with it", after, {"symbol": "circle", "color": GREEN}),
    )
    for label, amounts, marker in marks:
        figure.add_scatter(
            x=[rank for rank, _ in ranked],
            y=[math.asinh(currency(amount)) for amount in amounts],
            customdata=[currency(amount) for amount in amounts],
            text=[bill.member.name for _, bill in ranked],
            name=label,
            mode="markers",
            marker={"size": 6, **marker},
            hovertemplate="%{text}: %{customdata:.2f}",
            row=2,
            col=1,
        )


def _price_areas(outcome: DayOutcome) -> dict[str, int]:
    """A name for each group of zones that have the same price in every slot, and the first zone of it."""
    areas: dict[tuple[int, ...], list[int]] = {}
    for zone, series in enumerate(outcome.prices.tolist()):
        areas.setdefault(tuple(series), []).append(zone)
    if len(areas) == 1:
        return {"market, all zones": 0}
    groups = sorted(areas.values(), key=len)
    named = {", ".join(outcome.zone_names[zone] for zone in zones): zones[0] for zones in groups[:-1]}
    return {
        "market, other zones" if len(groups[-1]) > 1 else outcome.zone_names[groups[-1][0]]: groups[-1][0]
    } | named


def _times(outcome: DayOutcome) -> list[datetime]:
    start = datetime.combine(outcome.day, time())
    return [start + timedelta(seconds=slot * outcome.slot_seconds) for slot in range(outcome.slots + 1)]


def _steps(
    outcome: DayOutcome, values: Iterable[int], scale: Callable[[int], float] = per_kwh
) -> dict[str, object]:
    """A line that holds each slot's value to the slot's end."""
    series = [scale(value) for value in values]
    return {"x": _times(outcome), "y": [*series, *series[-1:]]}


def _slots(outcome: DayOutcome, values: np.ndarray) -> dict[str, object]:
    """Bars as wide as their slots, from each slot's beginning."""
    return {"x": _times(outcome)[:-1], "y": values, "offset": 0, "width": outcome.slot_seconds * 1000}


def _clock_axis(outcome: DayOutcome) -> dict[str, object]:
    """An axis of one day, marked every three hours in figures short enough for a phone."""
    span = _times(outcome)
    hours = range(0, 25, 3)
    return {
        "title": {"text": "hour of the day (standard time)"},
        "range": [span[0], span[-1]],
        "tickvals": [span[0] + timedelta(hours=hour) for hour in hours],
        "ticktext": [str(hour) for hour in hours],
        "hoverformat": "%H:%M",
    }


def _figure(x_axis: dict[str, object], y_title: str) -> go.Figure:
    return styled(go.Figure()).update_layout(xaxis=x_axis, yaxis={"title": {"text": y_title}})
