"""Auctions and results as JSON files.

An auction::

    {"slots": T, "price_bounds": [min, max],
     "zones": [{"parent": null}, {"parent": 0, "export_limit": Wh, "import_limit": Wh, "fee": ticks}, ...],
     "bids": [{"member": "0x...", "zone": z, "steps": [[slot, price, quantity], ...]}, ...]}

A limit that is left out is none, a fee that is left out is 0, and a bid's steps may stand in any order.

Its result::

    {"prices": [[T ticks] per zone], "flows": [[T Wh towards the parent] per zone],
     "fills": [[one per step, Wh, signed like its quantity] per bid], "welfare": money units}

Every number is an integer. What is wrong with a file is told in one sentence that names the place.
"""

import json
import re
from collections.abc import Iterable

from clearwatt.bids import Bid, Step
from clearwatt.clearing.auction import Auction, Result
from clearwatt.documents import (
    FileError,
    Json,
    array_at,
    integer_at,
    load_json,
    object_at,
    problems_of,
    read_text,
    shown,
    write_text,
)
from clearwatt.grid import MAX_ZONES, NO_LIMIT, Grid, Line
from clearwatt.units import INT24_MAX, INT24_MIN, INT32_MAX

MAX_SLOTS = 96
Rows = tuple[tuple[int, ...], ...]


# ---------------------------------------------------------------------------------------------------
# Reading and writing
# ---------------------------------------------------------------------------------------------------


def read_auction(path: str) -> Auction:
    """The auction in a JSON file ("-": standard input). Raises `FileError`."""
    with problems_of(path):
        return auction_from_json(read_text(path))


def read_result(path: str, auction: Auction) -> Result:
    """The result in a JSON file ("-": standard input), with prices and flows of the auction's shape.

    Whether it is right, and whether every step has its fill, is for the rules to say. Raises `FileError`.
    """
    with problems_of(path):
        return result_from_json(read_text(path), auction)


def write_result(path: str, result: Result) -> None:
    """Write the result as JSON, whole or not at all ("-": standard output). Raises `FileError`."""
    with problems_of(path, "output"):
        write_text(path, result_to_json(result))


def auction_from_json(text: str) -> Auction:
    """The auction that the text describes. Raises `FileError`."""
    document = object_at(load_json(text), "the auction", required=("slots", "price_bounds", "zones", "bids"))
    slots = integer_at(document["slots"], "slots", 1, MAX_SLOTS)
    bounds = array_at(document["price_bounds"], "price_bounds", "[min, max] in ticks", length=2)
    lowest = integer_at(bounds[0], "price_bounds[0]", INT24_MIN, INT24_MAX)
    highest = integer_at(bounds[1], "price_bounds[1]", INT24_MIN, INT24_MAX)
    if lowest > highest:
        raise FileError(f"price_bounds: the lowest price, {lowest}, is above the highest, {highest}")
    grid = grid_from_json(document["zones"])
    auction = Auction(slots, lowest, highest, grid, bids=())
    bids = tuple(
        _bid(bid, f"bids[{index}]", auction)
        for index, bid in enumerate(array_at(document["bids"], "bids", "a list of bids"))
    )
    _require_one_bid_per_member(bids)
    return Auction(slots, lowest, highest, grid, bids)


def result_from_json(text: str, auction: Auction) -> Result:
    """The result that the text describes. Raises `FileError`."""
    document = object_at(load_json(text), "the result", required=("prices", "flows", "fills", "welfare"))
    return Result(
        prices=_table(document["prices"], "prices", auction),
        flows=_table(document["flows"], "flows", auction),
        fills=_rows(document["fills"], "fills", "a list with one list of fills per bid"),
        welfare=integer_at(document["welfare"], "welfare"),
    )


def result_to_json(result: Result) -> str:
    """The result as the text of a file, one row of each table to a line."""
    tables = {"prices": result.prices, "flows": result.flows, "fills": result.fills}
    members = [f'"{name}": {_rows_to_json(rows)}' for name, rows in tables.items()]
    return "{" + ",\n ".join([*members, f'"welfare": {result.welfare}']) + "}\n"


def _rows_to_json(rows: Rows) -> str:
    return "[" + ",\n  ".join(json.dumps(row) for row in rows) + "]"


# ---------------------------------------------------------------------------------------------------
# The parts of an auction and of a result
# ---------------------------------------------------------------------------------------------------


def grid_from_json(value: Json) -> Grid:
    zones = array_at(value, "zones", "a list of zones")
    if not 1 <= len(zones) <= MAX_ZONES:
        raise FileError(f"zones: {len(zones)} zones are not between 1 and {MAX_ZONES}")
    root = object_at(
        zones[0], "zones[0]", required=("parent",), optional=("export_limit", "import_limit", "fee")
    )
    if root["parent"] is not None:
        raise FileError("zones[0]: parent must be null; zone 0 is the connection to the upstream grid")
    if len(root) > 1:
        raise FileError("zones[0]: zone 0 has no line to a parent, so it can have no limit and no fee")
    placed = [_zone(zone, index) for index, zone in enumerate(zones[1:], start=1)]
    return Grid((-1, *(parent for parent, _ in placed)), (Line(), *(line for _, line in placed)))


def _zone(value: Json, index: int) -> tuple[int, Line]:
    """A zone's parent and the line to it."""
    place = f"zones[{index}]"
    zone = object_at(value, place, required=("parent",), optional=("export_limit", "import_limit", "fee"))
    parent = integer_at(zone["parent"], f"{place}: parent", 0, index - 1)
    export_limit = integer_at(zone.get("export_limit", NO_LIMIT), f"{place}: export_limit", 0, NO_LIMIT)
    import_limit = integer_at(zone.get("import_limit", NO_LIMIT), f"{place}: import_limit", 0, NO_LIMIT)
    fee = integer_at(zone.get("fee", 0), f"{place}: fee", 0, INT24_MAX)
    return parent, Line(export_limit, import_limit, fee)


def _bid(value: Json, place: str, auction: Auction) -> Bid:
    bid = object_at(value, place, required=("member", "zone", "steps"))
    member = bid["member"]
    if not isinstance(member, str) or not re.fullmatch("0x[0-9a-fA-F]{40}", member):
        raise FileError(f"{place}: member {shown(member)} is not an address, 0x and 40 hex digits")
    zone = integer_at(bid["zone"], f"{place}: zone", 0, auction.grid.zones - 1)
    steps = array_at(bid["steps"], f"{place}.steps", "a list of steps")
    return Bid(
        member,
        zone,
        tuple(_step(step, f"{place}.steps[{index}]", auction) for index, step in enumerate(steps)),
    )


def _step(value: Json, place: str, auction: Auction) -> Step:
    slot, price, quantity = array_at(value, place, "[slot, price, quantity]", length=3)
    integer_at(slot, f"{place}: slot", 0, auction.slots - 1)
    integer_at(price, f"{place}: price", auction.min_price, auction.max_price)
    integer_at(quantity, f"{place}: quantity", -INT32_MAX, INT32_MAX)
    if quantity == 0:
        raise FileError(f"{place}: quantity 0 Wh is no offer; sell is positive, buy negative")
    return Step(slot, price, quantity)


def _require_one_bid_per_member(bids: Iterable[Bid]) -> None:
    first: dict[str, int] = {}
    for index, bid in enumerate(bids):
        earlier = first.setdefault(bid.member.lower(), index)
        if earlier != index:
            raise FileError(f"bids[{index}]: member {bid.member} has a bid already, bids[{earlier}]")


def _table(value: Json, place: str, auction: Auction) -> Rows:
    """[Z][T] integers."""
    zones, slots = auction.grid.zones, auction.slots
    rows = _rows(value, place, "a list with one list per zone")
    if len(rows) != zones:
        raise FileError(f"{place}: {len(rows)} rows, but the auction has {zones} zones")
    for zone, row in enumerate(rows):
        if len(row) != slots:
            raise FileError(f"{place}[{zone}]: {len(row)} entries, but the auction has {slots} slots")
    return rows


def _rows(value: Json, place: str, expected: str) -> Rows:
    return tuple(
        tuple(
            integer_at(entry, f"{place}[{number}][{index}]")
            for index, entry in enumerate(array_at(row, f"{place}[{number}]", "a list of integers"))
        )
        for number, row in enumerate(array_at(value, place, expected))
    )
