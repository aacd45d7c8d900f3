"""Working memory that is not the session's own: altered, another's, outdated, of another auction."""

from dataclasses import replace

import pytest

from clearwatt.clearing.auction import Marginal
from tests.contracts.chunked.session import Session, ordered
from tests.contracts.day import Day

WORD = 32
HEAD = 3 * WORD


def altered(state: bytes, at: int) -> bytes:
    return state[:at] + bytes([state[at] ^ 1]) + state[at + 1 :]


@pytest.mark.parametrize(
    "at",
    [19, 25, 31, 40, 70, HEAD + 15, HEAD + 31, -1, -WORD + 15, -7],
    ids=["previous", "found", "chunks", "claim", "chain", "net", "price", "filled", "seen", "quantity"],
)
def test_state__one_bit_altered__refused(session: Session, at: int) -> None:
    bids = ordered(session.day.problem.bids)
    session.begin().fill(bids[:3])
    state = altered(session.state, at % len(session.state))
    assert session.fill_refusal(bids[3:], state) == session.mismatch
    session.fill(bids[3:])
    assert session.close_refusal(state=altered(session.state, at % len(session.state))) == session.mismatch
    assert session.close_refusal() is None


@pytest.mark.parametrize("change", [lambda s: s[:-1], lambda s: s + b"\0", lambda s: s[WORD:], lambda s: b""])
def test_state__cut_or_padded__refused(session: Session, change) -> None:
    session.begin().fill_all()
    assert session.fill_refusal(b"", change(session.state)) == session.mismatch
    assert session.close_refusal(state=change(session.state)) == session.mismatch


def test_state__without_a_session__refused(session: Session) -> None:
    assert session.fill_refusal(b"", b"") == session.mismatch
    assert session.close_refusal(state=b"") == session.mismatch


def test_state__of_another_solver__refused(session: Session, rival: Session) -> None:
    bids = ordered(session.day.problem.bids)
    session.begin().fill(bids[:2])
    assert rival.fill_refusal(bids[2:], session.state) == rival.mismatch
    rival.begin()
    assert rival.fill_refusal(bids[2:], session.state) == rival.mismatch


def test_state__from_before_the_last_chunk__refused(session: Session) -> None:
    bids = ordered(session.day.problem.bids)
    begun = session.begin().state
    old = session.fill(bids[:2]).state
    session.fill(bids[2:4])
    assert session.fill_refusal(bids[4:], old) == session.mismatch
    assert session.fill_refusal(bids, begun) == session.mismatch
    assert session.fill_refusal(bids[4:]) is None


def test_state__of_another_auction__refused(session: Session) -> None:
    market = session.day.market
    bids = ordered(session.day.problem.bids)
    session.begin().fill(bids)
    market.await_clearing(1)
    other = Session(replace(session.day, auction=1), session.solver)
    assert other.fill_refusal(b"", session.state) == other.mismatch
    assert other.close_refusal(state=session.state, chunks=session.chunks) == other.mismatch


def test_session__begun_again__what_was_before_is_forgotten(session: Session) -> None:
    old = session.begin().fill_all().state
    chunks = session.chunks
    session.begin()
    assert session.close_refusal(state=old, chunks=chunks) == session.mismatch
    session.fill_all(3).close()
    session.enter(0)


@pytest.mark.parametrize("order", [(0, 2, 1), (1, 2, 0), (0, 1), (0, 1, 2, 2), ()])
def test_close__chunks_other_than_filled__refused(session: Session, order: tuple[int, ...]) -> None:
    session.begin().fill_all(2)
    chunks = [session.chunks[index] for index in order]
    assert session.close_refusal(chunks=chunks) == session.mismatch


def test_close__chunks_of_another_session__refused(session: Session, rival: Session) -> None:
    session.begin().fill_all(2)
    rival.begin().fill_all(3)
    assert session.close_refusal(chunks=rival.chunks) == session.mismatch


def test_close__prices_other_than_begun_with__refused(session: Session) -> None:
    session.begin().fill_all()
    other = Session(session.day, session.solver, session.day.with_price(2, 3, 10_001)).prices
    assert session.close_refusal(prices=other) == session.mismatch
    assert session.close_refusal(prices=session.prices + session.marginals, marginals=b"") == session.mismatch


def test_close__marginals_other_than_begun_with__refused(session: Session) -> None:
    session.begin().fill_all()
    claim = replace(session.day.claim, marginals=(*session.day.claim.marginals, Marginal(3, 3, "buy", 1, 0)))
    other = Session(session.day, session.solver, claim).marginals
    assert session.close_refusal(marginals=other) == session.mismatch


def test_two_solvers__interleaved__both_get_through_and_the_first_to_close_counts(
    session: Session, rival: Session
) -> None:
    bids = ordered(session.day.problem.bids)
    session.begin()
    rival.begin()
    session.fill(bids[:1])
    rival.fill(bids[:4])
    session.fill(bids[1:3])
    rival.fill(bids[4:])
    session.fill(bids[3:])
    rival.close()
    assert session.close_refusal() == ("AlreadyCleared", 0)
    assert session.enter_refusal(0) == ("EntriesMismatch", 0, 0)
    rival.enter(0)
    rival.enter(1)


def test_rival__with_a_worthless_session__stops_nobody(
    session: Session, rival: Session, closed_day: Day
) -> None:
    bids = ordered(closed_day.problem.bids)
    rival.claim = closed_day.with_price(2, 0, closed_day.claim.prices[2][0] + 1)
    rival.begin().fill([])
    session.begin().fill(bids[:2])
    rival.fill([])
    session.fill(bids[2:])
    rival.begin()
    session.close()
    assert closed_day.market.market.auctionOf(0).cleared


def test_single_transaction__while_chunks_are_under_way__wins(session: Session) -> None:
    session.begin().fill_all()
    session.day.clear()
    assert session.close_refusal() == ("AlreadyCleared", 0)
    assert session.fill_refusal(b"") == ("AlreadyCleared", 0)
    assert session.begin_refusal() == ("AlreadyCleared", 0)
    assert session.enter_refusal(0) == ("NotClosed", 0)
