import json
import re
from dataclasses import replace
from io import StringIO

import numpy as np
import pytest
from rich.console import Console

from clearwatt.community import charts
from clearwatt.community.indicators import bills, figures
from clearwatt.community.report import render, terminal_table, write_report
from clearwatt.community.summary import cost_rows, device_rows, headline, kwh, money, percent
from clearwatt.errors import UserError


def without_scripts(page: str) -> str:
    return re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)


def test_write_report__real_day__page_and_the_same_figures_beside_it(midsummer, tmp_path):
    write_report(midsummer, tmp_path / "out" / "report.html")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["figures.json", "report.html"]
    assert json.loads((tmp_path / "out" / "figures.json").read_text()) == figures(midsummer)
    page = (tmp_path / "out" / "report.html").read_text()
    assert headline(midsummer) in without_scripts(page)
    assert "SimBench" in page


def test_render__real_day__loads_nothing_from_anywhere(midsummer):
    page = without_scripts(render(midsummer))
    assert not re.search(r"<(script|link|img|iframe)\b[^>]*(src|href)=", page)
    assert "url(" not in page


def test_render__markup_in_a_name__stays_text(small_day):
    page = render(replace(small_day, network="<b>net</b>", zone_names=("up", "<i>feeder</i>")))
    assert "<b>net</b>" not in page
    assert "<i>feeder</i>" not in page
    assert "&lt;i&gt;feeder" in page


def test_render__failed_check__says_so_at_the_top_and_in_the_table(small_day):
    page = without_scripts(render(replace(small_day, network_income=5)))
    assert page.count("2 of 9 checks do not hold") == 2
    assert page.count("✗") == 2


def test_render__no_tokens__no_empty_chart(small_day):
    page = without_scripts(render(replace(small_day, tokens_issued={}, tokens_retired={})))
    assert "No energy token was issued" in page
    assert "chart-tokens" not in page


def test_write_report__folder_is_a_file__one_sentence_and_nothing_left(small_day, tmp_path):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(UserError, match="can't be written"):
        write_report(small_day, tmp_path / "taken" / "report.html")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_headline__members_lose__says_more(small_day):
    dearer = {address: amount - 10_000_000_000 for address, amount in small_day.settled_money.items()}
    assert "paid €200.00 more" in headline(replace(small_day, settled_money=dearer))


def test_terminal_table__real_day__key_figures_and_checks(midsummer):
    screen = StringIO()
    Console(file=screen, width=120).print(terminal_table(midsummer))
    assert headline(midsummer) in screen.getvalue()
    assert screen.getvalue().count("✓") == 9


def test_prices__fee_on_every_line__a_line_for_each_price_area(day_with_fees):
    names = [trace.name for trace in charts.prices(day_with_fees).data]
    assert "upstream grid" in names
    assert len(names) == len(set(names)) > 3


def test_savings__real_day__every_member_once_sorted(midsummer):
    figure = charts.savings(midsummer)
    bars = [trace for trace in figure.data if trace.type == "bar"]
    ranked = sorted(zip((*bars[0].x, *bars[1].x), (*bars[0].y, *bars[1].y), strict=True))
    assert [rank for rank, _ in ranked] == list(range(1, 105))
    assert [saving for _, saving in ranked] == sorted((saving for _, saving in ranked), reverse=True)


def test_words__amounts__as_people_write_them(small_day):
    assert money(small_day, -1_230_000_000) == "\N{MINUS SIGN}€12.30"
    assert money(small_day, -1) == "€0.00"
    assert money(small_day, 123_456_000_000) == "€1,234.56"
    assert (kwh(0), kwh(12_340), kwh(123_400)) == ("0 kWh", "12.3 kWh", "123 kWh")
    assert (percent(1, 3), percent(1, 0)) == ("33.3%", "none")


def test_render__day_with_batteries_and_cars__what_they_did_and_earned(flexible_midsummer):
    page = without_scripts(render(flexible_midsummer))
    assert "chart-schedule" in page
    assert "chart-levels" in page
    assert "What batteries and cars earned" in page
    assert page.count("<td>battery, ") == 10
    assert "cars charge as soon as they come" in page
    assert "21 June 2016" in page
    assert "do not hold" not in page


def test_render__nothing_flexible__no_empty_chart_or_table(midsummer):
    page = without_scripts(render(midsummer))
    assert "chart-schedule" not in page
    assert "chart-levels" not in page
    assert "What batteries and cars earned" not in page


def test_cost_rows__day_with_batteries_and_cars__the_retailers_prices_first_and_savings_against_them(
    flexible_midsummer,
):
    rows = cost_rows(flexible_midsummer)
    assert [way for way, *_ in rows] == [
        "retailer alone",
        "retailer, one meter",
        "market",
        "market with batteries and cars",
    ]
    assert [saved for _, _, saved, _ in rows[:2]] == ["0.0%", "40.2%"]


def test_device_rows__midsummer__trades_and_the_bills_of_each_member(flexible_midsummer):
    by_member = {bill.member.name: bill for bill in bills(flexible_midsummer)}
    rows = device_rows(flexible_midsummer)
    assert len(rows) == 15
    for member, *_, at_rest, active in rows:
        bill = by_member[member]
        assert at_rest == money(flexible_midsummer, bill.unmanaged)
        assert active == money(flexible_midsummer, bill.with_market)


def test_levels__midsummer__every_battery_in_percent_of_its_energy(flexible_midsummer):
    traces = charts.levels(flexible_midsummer).data
    assert len(traces) == 11
    assert all(0 <= min(trace.y) <= max(trace.y) <= 100 for trace in traces)
    assert all(trace.y[0] == pytest.approx(50) for trace in traces)


def test_schedule__midsummer__all_energy_of_batteries_and_cars_is_drawn(flexible_midsummer):
    bars = [trace for trace in charts.schedule(flexible_midsummer).data if trace.type == "bar"]
    drawn = sum(float(np.sum(trace.y)) for trace in bars) * 1000
    assert drawn == pytest.approx(sum(int(device.delivered.sum()) for device in flexible_midsummer.devices))
