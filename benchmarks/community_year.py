"""What the demo's community saves in a year: by sharing alone, and with its batteries and cars.

    .venv/bin/python benchmarks/community_year.py [--first 2016-01-08] [--last 2016-12-31] [--jobs 2]

Every day is played as `ape run simulate` plays it, with the same forecasts, plans, bids, clearing and settlement, but
without a chain. The first week has no week of readings before it, so nobody can forecast; it is left out of the days
and counted as bought from the retailer in the last line.
"""

import argparse
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import astuple, dataclass
from functools import cache

import numpy as np
from rich.console import Console
from rich.table import Table

from clearwatt.community.devices import WEAR_PER_KWH
from clearwatt.community.indicators import retail_cost
from clearwatt.community.rehearsal import rehearse
from clearwatt.community.scenario import DAYS, Community, date_of, load_community, parse_day
from clearwatt.community.tariff import Tariff
from clearwatt.errors import UserError
from clearwatt.forecast.seasonal import HISTORY_DAYS
from clearwatt.units import currency, ticks_from_per_kwh

SLOTS_PER_AUCTION = 4
TARIFF = Tariff.parse()


@dataclass(frozen=True)
class Day:
    """What a day cost all members together, money units, in each way of supplying them.

    discharged: Wh at the batteries' meters. unplanned: Wh contracted otherwise than planned.
    unfinished: visits of cars that ended short of their energy.
    """

    retail: int = 0
    pooled: int = 0
    market: int = 0
    flexible: int = 0
    discharged: int = 0
    unplanned: int = 0
    unfinished: int = 0

    def __add__(self, other: "Day") -> "Day":
        return Day(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))


@cache
def community() -> Community:
    """The whole grid, once per process."""
    return load_community()


def without_market(day: int) -> tuple[int, int]:
    """Each member at the retail tariff, and all as if behind one meter."""
    net = community().net(day)
    return int(retail_cost(TARIFF, net).sum()), int(retail_cost(TARIFF, net.sum(axis=0)))


def play(day: int) -> Day:
    """One day, without and with batteries and cars."""
    retail, pooled = without_market(day)
    at_rest = rehearse(community(), day, TARIFF, flexible=False)
    active = rehearse(community(), day, TARIFF, SLOTS_PER_AUCTION)
    batteries = [device for device in active.devices if device.kind == "battery"]
    visits = [(device, visit) for device in active.devices for visit in device.sessions]
    return Day(
        retail,
        pooled,
        -int(at_rest.money.sum()),
        -int(active.money.sum()),
        sum(int(np.maximum(battery.delivered, 0).sum()) for battery in batteries),
        sum(int(np.abs(device.planned - device.contracted).sum()) for device in active.devices),
        sum(
            int(device.delivered[visit.arrival : visit.departure].sum()) != -visit.energy_wh
            for device, visit in visits
        ),
    )


def played(days: range, jobs: int) -> Iterator[Day]:
    """All days, in order, with a word on progress now and then."""
    with ProcessPoolExecutor(jobs) as pool:
        for number, day in enumerate(pool.map(play, days), start=1):
            if number % 30 == 0 or number == len(days):
                print(f"{number} of {len(days)} days", file=sys.stderr, flush=True)
            yield day


def show(days: range, total: Day) -> None:
    """The table, and what it is against."""
    table = Table(title=f"104 members, {date_of(days[0])} to {date_of(days[-1])}, retail 0.30/0.08 per kWh")
    for heading in ("supplied by", "all members paid", "saved"):
        table.add_column(heading, justify="left" if heading == "supplied by" else "right")
    for way, paid in (
        ("retailer alone", total.retail),
        ("retailer, all behind one meter (perfect pooling)", total.pooled),
        ("market, nothing flexible", total.market),
        ("market with batteries and cars", total.flexible),
    ):
        table.add_row(way, f"{currency(paid):,.0f}", saved(paid, total.retail))
    Console().print(table)
    after_wear = total.flexible + total.discharged * ticks_from_per_kwh(WEAR_PER_KWH)
    print(
        f"batteries discharged {total.discharged / 1000:,.0f} kWh; less an assumed {WEAR_PER_KWH:.2f} of wear per kWh "
        f"the last line is {saved(after_wear, total.retail)}\n"
        f"contracted otherwise than planned: {total.unplanned} Wh; cars that left short: {total.unfinished}"
    )


def show_year(total: Day) -> None:
    """Against the whole year's perfect pooling."""
    week = [without_market(day) for day in range(HISTORY_DAYS)]
    retail = total.retail + sum(alone for alone, _ in week)
    pooled = total.pooled + sum(together for _, together in week)
    flexible = total.flexible + retail - total.retail
    print(
        f"whole year: perfect pooling {saved(pooled, retail)}; with batteries and cars {saved(flexible, retail)}, "
        "the first week counted at the retailer's prices"
    )


def saved(paid: int, retail: int) -> str:
    """The share of the retail bill that is not paid."""
    return f"{100 * (1 - paid / retail):.2f}%"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--first", default=str(HISTORY_DAYS), help="a day of 2016, from 2016-01-08 on")
    parser.add_argument("--last", default=str(DAYS - 1), help="a day of 2016")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes")
    options = parser.parse_args()
    try:
        first, last = parse_day(options.first), parse_day(options.last)
    except UserError as error:
        sys.exit(f"Error: {error}")
    if not HISTORY_DAYS <= first <= last or options.jobs < 1:
        sys.exit(
            "Error: the days start on 2016-01-08 or later and end after they start, and take a process or more"
        )
    days = range(first, last + 1)
    total = sum(played(days, options.jobs), Day())
    show(days, total)
    if len(days) == DAYS - HISTORY_DAYS:
        show_year(total)


if __name__ == "__main__":
    main()
