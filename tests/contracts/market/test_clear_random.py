"""Random auctions placed and cleared on chain, on several grids: what the twin derives is what is recorded."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from clearwatt.chain import codec
from clearwatt.clearing.equilibrium import check_claim
from clearwatt.grid import NO_LIMIT, Grid, Line
from tests.contracts.community import Community
from tests.contracts.day import Day
from tests.contracts.market.records import digest, record_of

GRIDS = {
    "single zone": Grid.single(),
    "deep chain": Grid(
        (-1, 0, 1, 2, 3, 4),
        (Line(), Line(30, 30, 1), Line(NO_LIMIT, NO_LIMIT, 0), Line(12, 40, 2), Line(5, 5, 0), Line(9, 9, 3)),
    ),
    "closed lines": Grid((-1, 0, 0, 1), (Line(), Line(0, 20, 0), Line(20, 0, 2), Line(0, 0, 0))),
    "star with fees": Grid(
        (-1, 0, 0, 0), (Line(), Line(NO_LIMIT, NO_LIMIT, 4), Line(15, 15, 7), Line(8, 25, 1))
    ),
}
ROUNDS = 10


def random_bundle(rng: np.random.Generator, slots: int) -> list[tuple[int, int, int]]:
    """Up to six steps at few different prices, around zero."""
    steps = [
        (
            int(rng.integers(slots)),
            int(rng.integers(-4, 9)),
            int(rng.choice([-1, 1])) * int(rng.integers(1, 30)),
        )
        for _ in range(int(rng.integers(0, 7)))
    ]
    return sorted(steps)


def place_random_bids(market: Community, rng: np.random.Generator) -> None:
    market.bids.clear()
    for auction in range(ROUNDS):
        for participant in market.participants:
            if rng.random() < 0.8:
                market.bid(participant, auction, random_bundle(rng, market.config.schedule.slots))


@pytest.mark.parametrize("name", GRIDS)
def test_clear__random_auctions__chain_and_twin_agree(
    deploy: Callable[..., Community], accounts: Any, name: str
) -> None:
    grid = GRIDS[name]
    rng = np.random.default_rng(list(GRIDS).index(name))
    market = deploy(grid=grid, slots=2, ring_size=ROUNDS, min_price=-10, max_price=15)
    for number in range(6):
        market.admit(accounts[3 + number], zone=number % grid.zones)
    market.open_gate(ROUNDS - 1)
    place_random_bids(market, rng)
    for auction in range(ROUNDS):
        market.close_gate(auction)
        day = Day(market, auction, *market.solve(auction))
        [event] = day.clear().decode_logs(market.clearing.Cleared)
        assert event.networkIncome == day.income()
        assert_positions_recorded(day)
    market.assert_money_conserved()


def assert_positions_recorded(day: Day) -> None:
    result = check_claim(day.problem, day.claim)
    assert result == day.result
    bidders = {bid.member for bid in day.problem.bids}
    for participant in day.market.participants:
        if participant.address in bidders:
            expected = digest(codec.pack_position(day.position(participant)))
            assert record_of(day.market, day.auction, participant).digest == expected
