"""Readings of files become messages that their meters sign: one per point, unit and day (UTC)."""

from collections.abc import Iterable, Iterator, Mapping

from eth_account.signers.local import LocalAccount

from clearwatt.errors import UserError
from clearwatt.metering.files import FileReading
from clearwatt.metering.keystore import Keystore
from clearwatt.metering.market_file import MeteredMarket
from clearwatt.metering.messages import Message, sign_readings
from clearwatt.metering.points import PointConfig
from clearwatt.metering.readings import readings_payload

DAY_SECONDS = 86_400
Group = tuple[str, str, int]


def messages_of(
    readings: Iterable[FileReading],
    market: MeteredMarket,
    sent: int,
    points: Mapping[str, PointConfig],
    keys: "MeterKeys",
) -> Iterator[Message]:
    """Signed messages of the readings, as they come; repeats of the same readings make the same messages.

    sent: Unix seconds, of all. Raises UserError if a point's key is not there or is not its meter's.
    """
    for (point, unit, interval), rows in _days(readings):
        payload = readings_payload(
            chain_id=market.chain_id,
            settlement=market.settlement,
            point=point,
            sent=sent,
            unit=unit,
            interval=interval,
            readings=rows,
        )
        yield sign_readings(keys.of(points[point]), payload)


def _days(readings: Iterable[FileReading]) -> Iterator[tuple[Group, list[tuple[int, str, str]]]]:
    """The rows of one point, unit, interval and day together, as soon as the point's next day begins."""
    open_days: dict[Group, tuple[int, list[tuple[int, str, str]]]] = {}
    for reading in readings:
        group = (reading.point, str(reading.unit), reading.interval)
        day = reading.start // DAY_SECONDS
        if group in open_days and open_days[group][0] != day:
            yield group, open_days.pop(group)[1]
        rows = open_days.setdefault(group, (day, []))[1]
        rows.append((reading.start, reading.value, str(reading.quality)))
    for group, (_, rows) in open_days.items():
        yield group, rows


class MeterKeys:
    """The meters' keys in a keystore, found by address, each opened once: opening one is slow on purpose."""

    def __init__(self, keys: Keystore) -> None:
        self._keystore = keys
        self._names = keys.names_by_address()
        self._open: dict[str, LocalAccount] = {}

    def holds(self, point: PointConfig) -> bool:
        return point.meter in self._names

    def of(self, point: PointConfig) -> LocalAccount:
        """The key of the point's meter. Raises UserError if it is not in the keystore."""
        if not self.holds(point):
            raise UserError(
                f"{self._keystore.folder} holds no key of {point.meter}, the meter of point {point.point}"
            )
        if point.meter not in self._open:
            self._open[point.meter] = self._keystore.open(self._names[point.meter])
        return self._open[point.meter]
