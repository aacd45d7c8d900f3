"""Small programs written down row by row."""

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any, TypeVar

import numpy as np

from clearwatt.dispatch.program import (
    Connections,
    Program,
    Run,
    no_offers,
    no_stores,
    one_zone,
)

Kind = TypeVar("Kind")
Row = dict[str, Any]
"""One offer, store, connection or line: the fields of its class, [T] or one number each."""


def program(
    slots: int,
    *,
    connections: Sequence[Row] = (),
    offers: Sequence[Row] = (),
    stores: Sequence[Row] = (),
    lines: Sequence[Row] = (),
    runs: Sequence[Run] = (),
) -> Program:
    """The program of these rows; `lines` are those from zone 1 on, and without connections there is a free one."""
    return Program(
        stack([line(-1, 0), *lines], one_zone(slots)),
        stack(connections or [connection()], _no_connections(slots)),
        stack(offers, no_offers(slots)),
        stack(stores, no_stores(slots)),
        tuple(runs),
    )


def line(parent: int, limit: float, *, fee: float = 0.0, loss: float = 0.0) -> Row:
    """A line with the same limit both ways."""
    return {"parent": parent, "export_limit": limit, "import_limit": limit, "fee": fee, "loss": loss}


def connection(zone: int = 0, *, low: Any = -np.inf, high: Any = np.inf, load: Any = 0.0) -> Row:
    """A connection with an inelastic load behind it."""
    fixed = -np.asarray(load, float)
    return {"zone": zone, "low": low, "high": high, "fixed": fixed, "cost": 0.0, "curvature": 0.0}


def offer(low: Any, high: Any, cost: Any, *, connection: int = 0, **others: Any) -> Row:
    """An offer between two bounds."""
    row = {"connection": connection, "low": low, "high": high, "cost": cost}
    return {**row, "curvature": 0.0, "on_off": False, **others}


def battery(power: Any, capacity: Any, *, connection: int = 0, **others: Any) -> Row:
    """A lossless, empty battery, unless said otherwise."""
    row = {"connection": connection, "up_high": power, "down_high": power, "low": 0.0, "high": capacity}
    zeros = (
        "up_cost",
        "down_cost",
        "up_curvature",
        "down_curvature",
        "drift",
        "initial",
        "cost",
        "curvature",
    )
    flags = {"state_injects": False, "exclusive": False}
    return {
        **row,
        **flags,
        **dict.fromkeys(zeros, 0.0),
        "up_gain": 1.0,
        "down_gain": 1.0,
        "retention": 1.0,
        **others,
    }


def stack(rows: Sequence[Row], like: Kind) -> Kind:
    """Rows as one object of arrays, each field shaped and typed as that of `like` but for the number of rows."""
    parts = {}
    for field in fields(like):
        old = getattr(like, field.name)
        values = [np.broadcast_to(row[field.name], old.shape[1:]) for row in rows]
        parts[field.name] = np.array(values, dtype=old.dtype).reshape((len(rows), *old.shape[1:]))
    return replace(like, **parts)


def _no_connections(slots: int) -> Connections:
    none = np.zeros((0, slots))
    return Connections(np.zeros(0, int), none, none, none, none, none)
