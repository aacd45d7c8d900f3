"""Times of files as Unix seconds: ISO 8601, or any written form, on the clock on the wall or with an offset.

Twice a year the wall clock jumps. An hour that happens twice is summer time when a point's time comes first, and
winter time when it comes again; an hour that does not happen is no time.
"""

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from clearwatt.documents import FileError, shown

_MIDNIGHT_24 = re.compile(r"\b24(:00(?::00)?)(?!\d)")


class NoSuchTime(ValueError):
    """A time that the clock on the wall jumps over."""


class WallClock:
    """Reads the times of one file.

    form: as `datetime.strptime` has it; None = ISO 8601.
    """

    def __init__(self, form: str | None = None) -> None:
        self._form = form
        self._parsed: dict[str, datetime] = {}
        self._seen: dict[tuple[str, datetime], int] = {}

    def seconds(self, point: str, text: "str | datetime | int", zone: str) -> int:
        """Unix seconds of a point's time. Raises NoSuchTime, and FileError if it is none or comes too often."""
        if isinstance(text, int):
            return text
        moment = text if isinstance(text, datetime) else self._parse(text)
        if moment.tzinfo is not None:
            return int(moment.timestamp())
        place = ZoneInfo(zone)
        summer, winter = (moment.replace(tzinfo=place, fold=fold) for fold in (0, 1))
        if summer.utcoffset() == winter.utcoffset():
            return int(summer.timestamp())
        if summer.astimezone(UTC).astimezone(place).replace(tzinfo=None) != moment:
            raise NoSuchTime(f"{moment:%Y-%m-%d %H:%M} does not happen in {zone}: the clocks jump over it")
        times = self._seen[point, moment] = self._seen.get((point, moment), 0) + 1
        if times > 2:
            raise FileError(
                f"point {point} has {moment:%Y-%m-%d %H:%M} three times; it happens twice in {zone}"
            )
        return int((summer if times == 1 else winter).timestamp())

    def _parse(self, text: str) -> datetime:
        if text not in self._parsed:
            self._parsed[text] = self._read(text)
        return self._parsed[text]

    def _read(self, text: str) -> datetime:
        plain, days = _MIDNIGHT_24.subn(r"00\1", text.strip(), count=1)  # 24:00 is the next day's 00:00
        try:
            moment = (
                datetime.fromisoformat(plain) if self._form is None else datetime.strptime(plain, self._form)
            )
        except ValueError:
            wanted = "a time like 2025-10-26 02:15" if self._form is None else f"a time like {self._form}"
            raise FileError(f"{shown(text)} is not {wanted}") from None
        return moment + timedelta(days=days)
