"""A line carries what its limit allows and not one Wh more, either way."""

from dataclasses import replace
from typing import Any

import pytest

from clearwatt.bids import Bid, Step
from clearwatt.clearing.auction import Auction, Claim
from clearwatt.clearing.equilibrium import claim_of
from clearwatt.clearing.tree import clear
from clearwatt.grid import Grid, Line
from tests.contracts.equilibrium.test_twin import ACCEPTED, ask, assert_same_verdict

LIMIT = 20
BUSBAR, FEEDER = (f"0x{number:040x}" for number in (1, 2))


@pytest.fixture(scope="module")
def harness(project: Any, owner: Any) -> Any:
    return owner.deploy(project.EquilibriumHarness)


def auction_of(injection: int, export_limit: int, import_limit: int) -> Auction:
    """A feeder that would inject so much, ten times what its line carries, and a busbar that would take it."""
    sells, buys = Step(0, 10, abs(injection)), Step(0, 90, -abs(injection))
    feeder, busbar = (sells, buys) if injection > 0 else (buys, sells)
    grid = Grid((-1, 0), (Line(), Line(export_limit, import_limit, 3)))
    return Auction(1, 0, 100, grid, (Bid(BUSBAR, 0, (busbar,)), Bid(FEEDER, 1, (feeder,))))


def optimum(auction: Auction) -> Claim:
    return claim_of(auction, clear(auction))


@pytest.mark.parametrize("injection", [10 * LIMIT, -10 * LIMIT], ids=["export", "import"])
def test_line__full_to_its_limit__accepted(harness: Any, injection: int) -> None:
    auction = auction_of(injection, LIMIT, LIMIT)
    assert assert_same_verdict(harness, auction, optimum(auction)) == ACCEPTED


@pytest.mark.parametrize("beyond", [1, 2, 100])
@pytest.mark.parametrize("injection", [10 * LIMIT, -10 * LIMIT], ids=["export", "import"])
def test_line__loaded_beyond_its_limit__e3(harness: Any, injection: int, beyond: int) -> None:
    wider = auction_of(injection, LIMIT + beyond, LIMIT + beyond)
    auction = replace(wider, grid=auction_of(injection, LIMIT, LIMIT).grid)
    assert assert_same_verdict(harness, auction, optimum(wider)) == "E3"
    assert ask(harness, auction, optimum(wider)) == "E3_FlowBeyondLimit"


@pytest.mark.parametrize("injection", [10 * LIMIT, -10 * LIMIT], ids=["export", "import"])
def test_line__only_the_other_way_wide_enough__e3(harness: Any, injection: int) -> None:
    wide = 100 * LIMIT
    limits = (LIMIT, wide) if injection > 0 else (wide, LIMIT)
    wider = auction_of(injection, wide, wide)
    auction = replace(wider, grid=auction_of(injection, *limits).grid)
    assert ask(harness, auction, optimum(wider)) == "E3_FlowBeyondLimit"
