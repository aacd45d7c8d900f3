"""What a clearing leaves each member with."""

from typing import NamedTuple

from clearwatt.bids import Bid
from clearwatt.clearing.auction import Auction, Result


class Position(NamedTuple):
    """One member's part in a cleared auction.

    zone: where it is connected. cash: what its contracts pay it, money units. fills: Wh per slot.
    """

    zone: int
    cash: int
    fills: tuple[int, ...]


def positions(auction: Auction, result: Result) -> dict[str, Position]:
    """Every bidding member's position, by the address in its bid."""
    pairs = zip(auction.bids, result.fills, strict=True)
    return {bid.member: _position(bid, fills, auction.slots, result) for bid, fills in pairs}


def _position(bid: Bid, step_fills: tuple[int, ...], slots: int, result: Result) -> Position:
    fills = [0] * slots
    for step, fill in zip(bid.steps, step_fills, strict=True):
        fills[step.slot] += fill
    cash = sum(fill * price for fill, price in zip(fills, result.prices[bid.zone], strict=True))
    return Position(bid.zone, cash, tuple(fills))
