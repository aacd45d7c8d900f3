"""What a retailer charges and pays: the alternative that every member has without the market."""

import csv
import math
import re
from dataclasses import dataclass
from pathlib import Path

from clearwatt.community.scenario import SLOT_SECONDS, SLOTS_PER_DAY
from clearwatt.errors import UserError
from clearwatt.units import INT24_MAX, INT24_MIN, Tick, ticks_from_per_kwh

MINUTES_PER_SLOT = SLOT_SECONDS // 60
DEFAULT_IMPORT = "0.30"
DEFAULT_EXPORT = "0.08"

_WINDOW = re.compile(r"(\d{1,2}):(\d\d)-(\d{1,2}):(\d\d)=(.+)")


@dataclass(frozen=True)
class Tariff:
    """Retail prices of consecutive slots, ticks: of a day (96), or of the part of it that `auction` cuts out.

    import_price: what a member pays per Wh drawn.
    export_price: what it gets per Wh injected; may be negative.
    Nowhere is import below export: there the retailer would pay for energy going round in a circle.
    """

    import_price: tuple[Tick, ...]
    export_price: tuple[Tick, ...]

    def __post_init__(self) -> None:
        for slot, (buy, sell) in enumerate(zip(self.import_price, self.export_price, strict=True)):
            if buy < sell:
                raise UserError(f"the tariff pays more for export than import costs at {_clock(slot)}")

    @classmethod
    def parse(cls, imports: str = DEFAULT_IMPORT, exports: str = DEFAULT_EXPORT) -> "Tariff":
        """A tariff for one day from two texts, each a price or times of use; see `parse_prices`."""
        return cls(parse_prices(imports), parse_prices(exports))

    @classmethod
    def read(cls, path: Path) -> "Tariff":
        """A tariff from a CSV file with the columns import and export, currency/kWh, and 96 rows."""
        try:
            with path.open(newline="", encoding="utf-8-sig") as file:
                rows = list(csv.DictReader(file))
        except (OSError, UnicodeDecodeError, csv.Error) as fault:
            raise UserError(f"the tariff {path} can't be read: {fault}") from fault
        if len(rows) != SLOTS_PER_DAY:
            raise UserError(f"the tariff {path} has {len(rows)} rows of prices; a day has {SLOTS_PER_DAY}")
        return cls(_column(path, rows, "import"), _column(path, rows, "export"))

    def auction(self, first: int, slots: int) -> "Tariff":
        """The part of the day that starts at slot ``first`` and is ``slots`` long."""
        return Tariff(self.import_price[first : first + slots], self.export_price[first : first + slots])


def parse_prices(text: str) -> tuple[Tick, ...]:
    """96 prices from "0.30" or "00:00-06:00=0.22,06:00-22:00=0.32,22:00-24:00=0.22", in currency/kWh.

    Windows start and end on a quarter of an hour, may run over midnight, and cover the day exactly once.
    """
    if "=" not in text:
        return (_price(text),) * SLOTS_PER_DAY
    prices: dict[int, Tick] = {}
    for window in text.split(","):
        slots, price = _window(window.strip())
        twice = prices.keys() & set(slots)
        if twice:
            raise UserError(f"the tariff gives {_clock(min(twice))} two prices")
        prices.update(dict.fromkeys(slots, price))
    missing = set(range(SLOTS_PER_DAY)) - prices.keys()
    if missing:
        raise UserError(f"the tariff gives no price for {_clock(min(missing))}")
    return tuple(prices[slot] for slot in range(SLOTS_PER_DAY))


def _window(text: str) -> tuple[list[int], Tick]:
    match = _WINDOW.fullmatch(text)
    if not match:
        raise UserError(f'"{text}" is not a time of use; write it like 06:00-22:00=0.32')
    first, last = (_slot(*match.group(hour, hour + 1), text) for hour in (1, 3))
    if first == last:
        raise UserError(f'"{text}" ends when it starts')
    length = (last - first) % SLOTS_PER_DAY or SLOTS_PER_DAY
    return [(first + step) % SLOTS_PER_DAY for step in range(length)], _price(match.group(5))


def _slot(hour: str, minute: str, window: str) -> int:
    minutes = int(hour) * 60 + int(minute)
    if int(minute) >= 60 or minutes % MINUTES_PER_SLOT or minutes > 24 * 60:
        raise UserError(f'"{window}": {hour}:{minute} is not a quarter of an hour of a day')
    return minutes // MINUTES_PER_SLOT


def _price(text: str) -> Tick:
    try:
        value = float(text)
    except ValueError:
        raise UserError(f'"{text}" is not a price in currency per kWh') from None
    if not math.isfinite(value) or not INT24_MIN <= ticks_from_per_kwh(value) <= INT24_MAX:
        raise UserError(f'"{text}" is no price the market can carry; the largest is 83.88 per kWh')
    return ticks_from_per_kwh(value)


def _column(path: Path, rows: list[dict[str, str]], name: str) -> tuple[Tick, ...]:
    prices = []
    for number, row in enumerate(rows, start=2):
        if not row.get(name):
            raise UserError(f'the tariff {path} has no price in column "{name}", line {number}')
        try:
            prices.append(_price(row[name]))
        except UserError as fault:
            raise UserError(f"the tariff {path}, line {number}: {fault}") from None
    return tuple(prices)


def _clock(slot: int) -> str:
    return f"{slot * MINUTES_PER_SLOT // 60:02}:{slot * MINUTES_PER_SLOT % 60:02}"
