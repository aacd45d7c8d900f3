"""What a statement or substitute was made from: values, qualities and decisions, kept sealed beside the messages."""

import json
import time
from typing import Any

import numpy as np
from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite

from clearwatt.metering.series import Decision, Series
from clearwatt.storage.database import Database
from clearwatt.storage.sealing import Keyring
from clearwatt.storage.tables import series as table
from clearwatt.storage.tables import series_context

INSERTS = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


class SeriesStore:
    """Series by market, auction and metering point."""

    def __init__(self, database: Database, keyring: Keyring) -> None:
        self._database = database
        self._keyring = keyring

    def add(self, settlement: str, auction: int, series: Series) -> None:
        """Keep a series, in place of one from which nothing came to be signed. Raises StoreError."""
        sealed = self._keyring.seal(_packed(series), series_context(settlement, auction, series.point))
        row = {
            "settlement": settlement,
            "auction": auction,
            "point": series.point,
            "key_id": self._keyring.key_id,
            "sealed": sealed,
            "recorded": int(time.time()),
        }
        insert = INSERTS[self._database.dialect](table).values(**row)
        fresh = {name: row[name] for name in ("key_id", "sealed", "recorded")}
        insert = insert.on_conflict_do_update(index_elements=list(table.primary_key), set_=fresh)
        with self._database.transaction() as connection:
            connection.execute(insert)

    def of(self, settlement: str, auction: int) -> dict[str, Series]:
        """The auction's series by point. Raises StoreError."""
        query = select(table.c.point, table.c.sealed).where(
            table.c.settlement == settlement, table.c.auction == auction
        )
        with self._database.reading() as connection:
            rows = connection.execute(query.order_by(table.c.point)).all()
        found = {}
        for row in rows:
            context = series_context(settlement, auction, row.point)
            found[row.point] = _unpacked(row.point, self._keyring.open(row.sealed, context))
        return found


def _packed(series: Series) -> bytes:
    content = {
        "start": series.start,
        "interval": series.interval,
        "values": series.values.tolist(),
        "quality": series.quality.tolist(),
        "decisions": [decision[1:] for decision in series.decisions],
    }
    return json.dumps(content, separators=(",", ":")).encode()


def _unpacked(point: str, plain: bytes) -> Series:
    content: dict[str, Any] = json.loads(plain)
    return Series(
        point,
        content["start"],
        content["interval"],
        np.array(content["values"], np.int64),
        np.array(content["quality"], np.uint8),
        tuple(Decision(point, *decision) for decision in content["decisions"]),
    )
