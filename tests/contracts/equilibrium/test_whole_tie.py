"""A step at the price that is filled whole still leaves the price room upwards, and its neighbours notice."""

from typing import Any

import pytest

from clearwatt.bids import Bid, Step
from clearwatt.clearing.auction import Auction
from clearwatt.clearing.equilibrium import claim_of
from clearwatt.clearing.tree import clear
from clearwatt.grid import Grid, Line
from tests.contracts.equilibrium.test_twin import ACCEPTED, assert_same_verdict

PRODUCER, CONSUMER, NEIGHBOUR = (f"0x{number:040x}" for number in (1, 2, 3))

# Zone 0 lies between 10 and 11 and is priced at 10, the sell step's own limit. Zone 1 lies between the neighbour's 8
# and 11 + 3: its middle is 11, and would be 10 if zone 0 could not go up to 11.
WHOLE_TIE = Auction(
    slots=1,
    min_price=0,
    max_price=100,
    grid=Grid((-1, 0), (Line(), Line(50, 50, 3))),
    bids=(
        Bid(PRODUCER, 0, (Step(0, 10, 5),)),
        Bid(CONSUMER, 0, (Step(0, 11, -5),)),
        Bid(NEIGHBOUR, 1, (Step(0, 8, -5),)),
    ),
)


@pytest.fixture(scope="module")
def harness(project: Any, owner: Any) -> Any:
    return owner.deploy(project.EquilibriumHarness)


def test_neighbour_of_a_whole_tie__priced_in_the_middle_of_what_it_leaves__accepted(harness: Any) -> None:
    claim = claim_of(WHOLE_TIE, clear(WHOLE_TIE))
    assert claim.prices == ((10,), (11,))
    assert assert_same_verdict(harness, WHOLE_TIE, claim) == ACCEPTED
