"""A community made of real data: a SimBench low-voltage grid, its connection points and their year.

What the data are and where they come from: ``data/simbench-lv-semiurb5/README.md``. Time is counted in
quarters of an hour from 1 January 2016, 00:00 standard time, without daylight saving.
"""

import csv
import random
import zlib
from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import NamedTuple

import numpy as np

from clearwatt.errors import UserError
from clearwatt.forecast.seasonal import HISTORY_DAYS
from clearwatt.grid import Grid, Line
from clearwatt.units import INT24_MAX

DATA = Path(__file__).resolve().parents[3] / "data" / "simbench-lv-semiurb5"
SLOTS_PER_DAY = 96
SLOT_SECONDS = 900
FIRST_DAY = date(2016, 1, 1)
DAYS = 366

UPSTREAM_ZONE = 0
"""Above the transformer: where the retailer is connected."""

CONSUMERS = ("household", "business", "heat pump", "ev")
"""Kinds of elements that draw power by a profile."""

_PPM_QUARTERS = 4_000_000
"""Profiles are millionths of a power in W, for a quarter of an hour: divide by this for Wh."""


STAY_SLOTS = 32
"""How long a car stays plugged in: eight hours, a night or a day at work. The data say when it charges, no more."""


@dataclass(frozen=True)
class Battery:
    """A battery behind a meter: its power in either direction and its usable energy."""

    power_w: int
    energy_wh: int


class Session(NamedTuple):
    """A car's visit to its charging point: plugged in from slot `arrival` to the start of slot `departure`.

    energy_wh: what it charges in the meantime, at the meter.
    """

    arrival: int
    departure: int
    energy_wh: int


@dataclass(frozen=True)
class Member:
    """Everything behind one connection point: the household or business, its heat pump, car and panels.

    name: stable across runs and subsets, like "bus 17". source: "solar" or "none".
    car_w: power of its charging point, 0 without one.
    """

    name: str
    zone: int
    source: str
    battery: Battery | None
    car_w: int = 0


@dataclass(frozen=True)
class Community:
    """The members of one low-voltage grid, with a year of quarters of an hour.

    profiles: int64[P, 35136], millionths of an element's power.
    load_power, pv_power: int64[members, P], W installed of each profile.
    car_power: int64[members, P], the part of load_power that charges cars.
    """

    grid: Grid
    zone_names: tuple[str, ...]
    members: tuple[Member, ...]
    profiles: np.ndarray
    load_power: np.ndarray
    pv_power: np.ndarray
    car_power: np.ndarray

    def load(self, day: int) -> np.ndarray:
        """Consumption behind each meter: int64[members, 96] Wh."""
        return self._energy(self.load_power, day)

    def generation(self, day: int) -> np.ndarray:
        """Generation behind each meter: int64[members, 96] Wh."""
        return self._energy(self.pv_power, day)

    def net(self, day: int) -> np.ndarray:
        """What each meter reads, exactly generation minus load: int64[members, 96] Wh."""
        return self.generation(day) - self.load(day)

    def charging(self, day: int) -> np.ndarray:
        """The cars' part of the load, each charging as soon as it can: int64[members, 96] Wh."""
        load = self.load(day)
        return load - np.minimum(load, self._energy(self.load_power - self.car_power, day))

    def net_without_cars(self, day: int) -> np.ndarray:
        """What each meter would read with no car plugged in: int64[members, 96] Wh."""
        return self.net(day) + self.charging(day)

    def sessions(self, day: int) -> dict[int, tuple[Session, ...]]:
        """By member's row, the visits of its car, ascending; every day charges what it charged when measured.

        A car stays for `STAY_SLOTS`, or until it charges again, or until midnight: what it charges after
        midnight is a visit of the next day.
        """
        charging = self.charging(day)
        return {row: _sessions(charging[row]) for row, member in enumerate(self.members) if member.car_w}

    def history(self, day: int) -> np.ndarray:
        """Readings of the seven days before a day, oldest first: int64[7, members, 96] Wh.

        Raises UserError in the first week, which has no full history.
        """
        return np.stack([self.net(earlier) for earlier in _week_before(day)])

    def history_without_cars(self, day: int) -> np.ndarray:
        """The same of the meters behind the charging points."""
        return np.stack([self.net_without_cars(earlier) for earlier in _week_before(day)])

    @property
    def peak_wh(self) -> int:
        """All that is connected running at its rated power for one slot: no slot can exceed it, Wh."""
        return int(self.load_power.sum() + self.pv_power.sum()) * SLOT_SECONDS // 3600

    @property
    def network_fee(self) -> int:
        """Fees of all lines between upstream and the member farthest from it, ticks per Wh."""
        totals = [0]
        for parent, line in zip(self.grid.parents[1:], self.grid.lines[1:], strict=True):
            totals.append(totals[parent] + line.fee)
        return max(totals[member.zone] for member in self.members)

    def _energy(self, power: np.ndarray, day: int) -> np.ndarray:
        start = _check_day(day) * SLOTS_PER_DAY
        exact = power @ self.profiles[:, start : start + SLOTS_PER_DAY]
        return (exact + _PPM_QUARTERS // 2) // _PPM_QUARTERS


def load_community(
    members: int | None = None,
    seed: int = 0,
    line_limit_percent: int = 100,
    line_fee: int = 0,
    folder: Path = DATA,
) -> Community:
    """The whole community, or a random part of it.

    members: how many connection points take part (all if None). The share of those with panels is kept, with
        at least one where two or more take part; the seed chooses which.
    line_limit_percent: the real ratings are far above what this community carries; a smaller percentage
        shows what a weaker grid would do to it.
    line_fee: ticks per Wh carried, on every line.
    """
    elements = _rows(folder / "elements.csv")
    buses = _choose(elements, members, seed)
    names, profiles = _read_profiles(folder / "profiles.csv.gz")
    zone_names, grid = _read_grid(folder / "zones.csv", line_limit_percent, line_fee)
    try:
        chosen = tuple(_member(bus, elements) for bus in buses)
        pv, car = (_installed(elements, buses, names, {kind}) for kind in ("pv", "ev"))
        load = _installed(elements, buses, names, CONSUMERS)
    except (KeyError, ValueError) as fault:
        raise _damaged(folder / "elements.csv") from fault
    return Community(grid, zone_names, chosen, profiles, load, pv, car)


def parse_day(text: str) -> int:
    """A day of 2016 as its number: "2016-06-21" or "172" is 172."""
    try:
        day = int(text) if text.strip().isdigit() else (date.fromisoformat(text.strip()) - FIRST_DAY).days
    except ValueError:
        raise UserError(f'"{text}" is not a day; write it like 2016-06-21, or as a number') from None
    return _check_day(day)


def date_of(day: int) -> date:
    """The date of a day's number."""
    return FIRST_DAY + timedelta(days=day)


def _week_before(day: int) -> range:
    if day < HISTORY_DAYS:
        first = (FIRST_DAY + timedelta(days=HISTORY_DAYS)).isoformat()
        raise UserError(f"{date_of(day)} has no week of readings before it; choose a day from {first} on")
    return range(day - HISTORY_DAYS, day)


def _sessions(charging: np.ndarray) -> tuple[Session, ...]:
    """Each unbroken run of charging is a visit. charging: int64[96] Wh."""
    active = np.concatenate(([False], charging > 0, [False]))
    starts = np.flatnonzero(active[1:] & ~active[:-1]).tolist()
    ends = np.flatnonzero(active[:-1] & ~active[1:]).tolist()
    following = (*starts, SLOTS_PER_DAY)[1:] if starts else ()
    return tuple(
        Session(start, min(max(start + STAY_SLOTS, end), after), int(charging[start:end].sum()))
        for start, end, after in zip(starts, ends, following, strict=True)
    )


def _check_day(day: int) -> int:
    if not 0 <= day < DAYS:
        raise UserError(f"the data hold the year 2016 only: its days, or the numbers 0 to {DAYS - 1}")
    return day


def _choose(elements: list[dict[str, str]], count: int | None, seed: int) -> list[int]:
    """The connection points that take part, ascending."""
    everyone = sorted({int(row["bus"]) for row in elements})
    if count is None:
        return everyone
    if not 1 <= count <= len(everyone):
        raise UserError(f"the community can have 1 to {len(everyone)} members, not {count}")
    solar = sorted({int(row["bus"]) for row in elements if row["kind"] == "pv"})
    others = sorted(set(everyone) - set(solar))
    with_panels = max(round(count * len(solar) / len(everyone)), min(1, count - 1))
    draw = random.Random(seed)
    return sorted(draw.sample(solar, with_panels) + draw.sample(others, count - with_panels))


def _member(bus: int, elements: list[dict[str, str]]) -> Member:
    mine = [row for row in elements if int(row["bus"]) == bus]
    solar = any(row["kind"] == "pv" for row in mine)
    batteries = (row for row in mine if row["kind"] == "battery")
    battery = next((Battery(int(row["power_w"]), int(row["energy_wh"])) for row in batteries), None)
    car_w = sum(int(row["power_w"]) for row in mine if row["kind"] == "ev")
    return Member(f"bus {bus}", int(mine[0]["zone"]), "solar" if solar else "none", battery, car_w)


def _installed(
    elements: list[dict[str, str]], buses: list[int], names: list[str], kinds: Collection[str]
) -> np.ndarray:
    """int64[members, P] W installed of each profile, of the elements of these kinds."""
    row_of, column_of = _positions(buses), _positions(names)
    power = np.zeros((len(buses), len(names)), dtype=np.int64)
    for row in elements:
        if row["kind"] in kinds and int(row["bus"]) in row_of:
            power[row_of[int(row["bus"])], column_of[row["profile"]]] += int(row["power_w"])
    return power


def _positions(things: Sequence[Hashable]) -> dict[Hashable, int]:
    return {thing: position for position, thing in enumerate(things)}


def _read_grid(path: Path, limit_percent: int, fee: int) -> tuple[tuple[str, ...], Grid]:
    """The zones' names, and the grid; a rating in VA is taken as active power at a power factor of 1."""
    if limit_percent < 1 or not 0 <= fee <= INT24_MAX:
        raise UserError(f"line limits of {limit_percent}% and a fee of {fee} ticks make no grid")
    rows = _rows(path)
    try:
        limits = [int(row["rating_va"]) * SLOT_SECONDS * limit_percent // (3600 * 100) for row in rows]
        below = tuple(Line(export_limit=limit, import_limit=limit, fee=fee) for limit in limits[1:])
        grid = Grid(tuple(int(row["parent"]) for row in rows), (Line(), *below))
        return tuple(row["name"] for row in rows), grid
    except (KeyError, ValueError) as fault:
        raise _damaged(path) from fault


def _read_profiles(path: Path) -> tuple[list[str], np.ndarray]:
    """The profiles' names and int64[P, 35136], millionths."""
    try:
        table = np.loadtxt(path, delimiter=",", dtype=str, max_rows=1)
        values = np.loadtxt(path, delimiter=",", dtype=np.int64, skiprows=1, ndmin=2)
    except FileNotFoundError:
        raise _missing(path) from None
    except (OSError, EOFError, ValueError, zlib.error) as fault:
        raise _damaged(path) from fault
    if values.shape != (DAYS * SLOTS_PER_DAY, len(table)):
        raise _damaged(path)
    return table.tolist(), np.ascontiguousarray(values.T)


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))
    except FileNotFoundError:
        raise _missing(path) from None


def _missing(path: Path) -> UserError:
    return UserError(f"the community's data are not there: no {path.name} in {path.parent}")


def _damaged(path: Path) -> UserError:
    return UserError(f"the community's data are damaged: {path} is not what extract.py makes")
