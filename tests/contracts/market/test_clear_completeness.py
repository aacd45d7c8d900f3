"""A result that is the optimum of all bids but one: whoever is left out, it falls on E5."""

from dataclasses import replace

import pytest

from clearwatt.chain import codec
from clearwatt.clearing.equilibrium import claim_of
from clearwatt.clearing.tree import clear
from tests.contracts.day import Day


@pytest.mark.parametrize("place", range(5))
def test_bids__any_single_one_left_out__e5(closed_day: Day, place: int) -> None:
    bids = closed_day.problem.bids
    problem = replace(closed_day.problem, bids=bids[:place] + bids[place + 1 :])
    claim = claim_of(problem, clear(problem))
    assert closed_day.refusal(claim, codec.pack_bids(problem.bids)) == ("E5_BidsLeftOut", 5, 4)
