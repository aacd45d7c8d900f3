"""Makes export.csv: three made-up points on the 25-hour day 2025-10-26 in Europe/Berlin, with what goes wrong in life.

python examples/metering/make_export.py > examples/metering/export.csv
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

BERLIN = ZoneInfo("Europe/Berlin")
MIDNIGHT = datetime(2025, 10, 26, tzinfo=BERLIN)
QUARTER = timedelta(minutes=15)
QUARTERS = 100
"""The hour from 2 to 3 happens twice."""
HEAD = "Messpunkt;Datum;Uhrzeit;Wert;Einheit;Status"


def moments(count: int) -> list[str]:
    """Date and hour of each quarter, as the clock on the wall shows them."""
    begin = MIDNIGHT.timestamp()
    stamps = [begin + index * QUARTER.total_seconds() for index in range(count)]
    return [datetime.fromtimestamp(stamp, BERLIN).strftime("%d.%m.%Y;%H:%M") for stamp in stamps]


def number(thousandths: int) -> str:
    return f"{thousandths // 1000},{thousandths % 1000:03d}"


def house_import(quarter: int) -> int:
    """Wh: a base load, breakfast and evening."""
    return 60 + (quarter * 37) % 25 + (180 if 30 <= quarter < 36 else 0) + (320 if 74 <= quarter < 86 else 0)


def house_export(quarter: int) -> int:
    """Wh: the sun, from 8 in the morning to 5 in the afternoon, winter time."""
    return max(0, 900 - (quarter - 54) ** 2 * 9 // 4)


def rows() -> Iterator[str]:
    for quarter, moment in enumerate(moments(QUARTERS)):
        if 40 <= quarter < 43:
            continue  # the meter did not answer for three quarters of an hour
        value = 88_000 if quarter == 60 else house_import(quarter)  # more than the fuse lets through
        yield f"DE-HOUSE-IN;{moment};{number(value)};KWH;W"
    for quarter, moment in enumerate(moments(QUARTERS)):
        yield f"DE-HOUSE-OUT;{moment};{number(house_export(quarter))};KWH;{'E' if quarter == 50 else 'W'}"
    count = 99_990_000  # Wh: it passes 99 999 kWh in the afternoon and starts again at 0
    for quarter, moment in enumerate(moments(QUARTERS + 1)):
        if not 20 <= quarter < 32:  # read again after three hours
            yield f"DE-SHOP;{moment};{number(count % 100_000_000)};ZST;W"
        count += 40 + (220 if 36 <= quarter < 76 else 0)


if __name__ == "__main__":
    print("\n".join([HEAD, *rows()]))
