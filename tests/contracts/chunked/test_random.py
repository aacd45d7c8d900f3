"""Random auctions and claims, right and wrong, in random cuts: chunks say what one transaction says."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from clearwatt.chain import codec
from tests.contracts.chunked.session import Session
from tests.contracts.community import Community
from tests.contracts.day import Day
from tests.contracts.equilibrium.tampering import tampered_claims
from tests.contracts.market.records import digest, record_of
from tests.contracts.market.test_clear_random import GRIDS, ROUNDS, place_random_bids

TAMPERED_PER_AUCTION = 8
EVERY = 3
"""Auctions that are tried: one in so many, as a claim in chunks takes several transactions."""


def random_cut(rng: np.random.Generator, bids: int) -> list[int]:
    """Sizes of chunks that hold so many bids, some of them perhaps empty."""
    ends = sorted(int(end) for end in rng.integers(0, bids + 1, size=int(rng.integers(0, 4))))
    return [end - start for start, end in zip([0, *ends], [*ends, bids], strict=True)]


@pytest.mark.parametrize("name", GRIDS)
def test_chunked__random_claims__verdict_and_positions_of_a_single_transaction(
    deploy: Callable[..., Community], accounts: Any, stranger: Any, name: str
) -> None:
    grid = GRIDS[name]
    rng = np.random.default_rng(50 + list(GRIDS).index(name))
    market = deploy(grid=grid, slots=2, ring_size=ROUNDS, min_price=-10, max_price=15)
    for number in range(5):
        market.admit(accounts[3 + number], zone=number % grid.zones)
    market.open_gate(ROUNDS - 1)
    place_random_bids(market, rng)
    rules: Counter[str] = Counter()
    for auction in range(0, ROUNDS, EVERY):
        market.await_clearing(auction)
        session = Session(Day(market, auction, *market.solve(auction)), stranger)
        rules.update(assert_same_verdicts(rng, session))
        assert_cleared_as_derived(rng, session)
    assert len(rules) >= 4
    market.assert_money_conserved()


def assert_same_verdicts(rng: np.random.Generator, session: Session) -> list[str]:
    """The rules that falsified claims broke."""
    day = session.day
    broken = []
    for session.claim in tampered_claims(rng, day.problem, day.claim, TAMPERED_PER_AUCTION):
        answer = session.verdict(random_cut(rng, len(day.problem.bids)))
        assert answer == day.refusal(session.claim), session.claim
        broken += [answer[0]] if answer else []
    session.claim = None
    return broken


def assert_cleared_as_derived(rng: np.random.Generator, session: Session) -> None:
    day = session.day
    assert session.verdict(random_cut(rng, len(day.problem.bids))) is None
    session.close()
    for chunk in range(len(session.chunks)):
        session.enter(chunk)
    bidders = {bid.member for bid in day.problem.bids}
    for participant in day.market.participants:
        if participant.address in bidders:
            expected = digest(codec.pack_position(day.position(participant)))
            assert record_of(day.market, day.auction, participant).digest == expected
