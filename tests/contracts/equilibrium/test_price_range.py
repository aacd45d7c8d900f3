"""Prices as far apart as an int24 allows, on lines that say nothing about them."""

from typing import Any

import pytest

from clearwatt.bids import Bid, Step
from clearwatt.clearing.auction import Auction
from clearwatt.clearing.equilibrium import claim_of
from clearwatt.clearing.tree import clear
from clearwatt.grid import Grid, Line
from clearwatt.units import INT24_MAX, INT24_MIN
from tests.contracts.equilibrium.test_twin import ACCEPTED, assert_same_verdict


@pytest.fixture(scope="module")
def harness(project: Any, owner: Any) -> Any:
    return owner.deploy(project.EquilibriumHarness)


def trade_at(price: int, zone: int) -> list[Bid]:
    """A producer and a consumer of the zone who leave it no other price."""
    producer, consumer = (f"0x{zone + 1:02x}{side:038x}" for side in range(2))
    return [Bid(producer, zone, (Step(0, price, 5),)), Bid(consumer, zone, (Step(0, price, -5),))]


@pytest.mark.parametrize(
    ("busbar", "feeder"),
    [(INT24_MIN, INT24_MAX), (INT24_MAX, INT24_MIN)],
    ids=["dear feeder", "cheap feeder"],
)
def test_closed_line__prices_at_either_end_of_the_range__accepted(
    harness: Any, busbar: int, feeder: int
) -> None:
    grid = Grid((-1, 0), (Line(), Line(0, 0, 3)))
    bids = (*trade_at(busbar, zone=0), *trade_at(feeder, zone=1))
    auction = Auction(1, INT24_MIN, INT24_MAX, grid, bids)
    claim = claim_of(auction, clear(auction))
    assert claim.prices == ((busbar,), (feeder,))
    assert assert_same_verdict(harness, auction, claim) == ACCEPTED
