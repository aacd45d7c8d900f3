"""Clearing in chunks: sessions stolen, forged, stale or in others' way."""

from dataclasses import replace
from typing import Any

from tests.contracts.attacks.raids import said, settle_all
from tests.contracts.chunked.session import Session, ordered, packed
from tests.contracts.day import Day
from tests.contracts.market.records import SPENT, record_of


def test_session__others_in_the_way__goes_on(session: Session, rival: Session) -> None:
    """A rival begins, fills and begins anew between a solver's calls, with garbage in its claim."""
    bids = ordered(session.day.problem.bids)
    rival.claim = session.day.with_price(0, 0, 5)
    session.begin()
    for index, bid in enumerate(bids):
        rival.begin().fill(bids[: index % 2])
        session.fill([bid])
    session.close()
    assert session.day.market.market.auctionOf(0).cleared


def test_session__state_of_another__refused(session: Session, rival: Session) -> None:
    """A rival goes on with the working memory of an honest solver, to change its end."""
    session.begin().fill_all()
    rival.begin()
    rival.entries = session.entries
    assert rival.close_refusal(state=session.state) == rival.mismatch
    assert rival.fill_refusal(b"", state=session.state) == rival.mismatch


def test_session__stale_state__refused(session: Session) -> None:
    """A solver goes back to an earlier state, to fill a bundle in two ways."""
    bids = ordered(session.day.problem.bids)
    before = session.begin().state
    session.fill(bids[:2])
    assert session.fill_refusal(bids[:2], state=before) == session.mismatch


def test_session__forged_state__refused(session: Session) -> None:
    """A solver writes fills into the working memory that no bid has made."""
    session.begin().fill_all()
    for place in (31, 200, len(session.state) - 1):
        forged = bytearray(session.state)
        forged[place] ^= 1
        assert session.close_refusal(state=bytes(forged)) == session.mismatch
    assert session.close_refusal(state=b"") == session.mismatch


def test_session__bid_in_two_chunks__refused(session: Session) -> None:
    """A solver counts a bid in two chunks."""
    bids = ordered(session.day.problem.bids)
    session.begin().fill(bids[:2])
    assert session.fill_refusal(bids[1:]) == ("E5_TradersNotAscending", bids[1].member)


def test_session__bids_left_out__refused(session: Session) -> None:
    """A solver closes before every bid was seen."""
    session.begin().fill(ordered(session.day.problem.bids)[:4])
    assert session.close_refusal() == ("E5_BidsLeftOut", 5, 4)


def test_session__forged_bid__refused(session: Session) -> None:
    """A solver fills a chunk with a bid that was altered or made up."""
    first = ordered(session.day.problem.bids)[0]
    session.begin()
    for forged in (replace(first, zone=1), replace(first, steps=()), replace(first, member="0x" + "01" * 20)):
        assert session.fill_refusal([forged]) == ("E5_BidNotRecorded", forged.member)


def test_session__other_prices_at_the_end__refused(session: Session) -> None:
    """A solver fills at one price and closes at another."""
    session.begin().fill_all()
    moved = Session(session.day, session.solver, session.day.with_price(0, 0, 5))
    assert session.close_refusal(prices=moved.prices) == session.mismatch
    assert session.close_refusal(marginals=session.marginals[:-16]) == session.mismatch


def test_session__dishonest_throughout__refused(session: Session) -> None:
    """A solver is consistent in its lie from begin to close."""
    session.claim = session.day.with_price(3, 3, session.day.claim.prices[3][3] + 1)
    assert session.verdict((2, 2, 1)) is not None


def test_session__other_chunks__refused(session: Session) -> None:
    """A solver closes with entries of chunks that it never filled, so that positions can be made up later."""
    session.begin().fill_all()
    chunks = session.chunks
    for forged in (chunks[::-1], chunks[:-1], [*chunks, chunks[0]], [bytes(32)] * 3, []):
        assert session.close_refusal(chunks=forged) == session.mismatch


def test_session__too_large_a_chunk__refused(session: Session) -> None:
    """A solver fills a chunk so large that nobody could enter its positions."""
    session.begin()
    crowd = b"".join(number.to_bytes(20, "big") + bytes(4) for number in range(1, 1_026))
    assert session.fill_refusal(crowd) == ("ChunkTooLarge", 1_024)


def test_session__after_another_has_closed__refused(session: Session, rival: Session) -> None:
    """A rival closes a second time, to have the network paid twice."""
    rival.begin().fill_all()
    session.begin().fill_all().close()
    assert rival.close_refusal() == ("AlreadyCleared", 0)
    assert session.close_refusal() == ("AlreadyCleared", 0)
    assert session.day.refusal() == ("AlreadyCleared", 0)


def test_session__another_auction__refused(session: Session) -> None:
    """A solver closes another auction with a session that fits this one."""
    session.begin().fill_all()
    other = Session(replace(session.day, auction=1), session.solver, state=session.state)
    assert said(other.close_refusal()) == "NotClearingTime"


def test_enter__before_the_close__refused(session: Session) -> None:
    """A solver enters positions before anything was accepted."""
    session.begin().fill_all()
    assert session.enter_refusal(0) == ("NotClosed", 0)


def test_enter__of_a_closed_market__not_for_single_clearing(session: Session) -> None:
    """A stranger enters positions of its own in an auction that was cleared in one transaction."""
    session.day.clear()
    session.entries = [bytes(52)]
    assert session.enter_refusal(0) == ("NotClosed", 0)


def test_enter__other_entries__refused(session: Session) -> None:
    """A stranger enters entries of another chunk, altered ones, or none."""
    session.begin().fill_all().close()
    altered = bytearray(session.entries[0])
    altered[-1] ^= 1
    for entries in (session.entries[1], bytes(altered), b"", session.entries[0] + bytes(52)):
        assert session.enter_refusal(0, entries=entries) == ("EntriesMismatch", 0, 0)
    assert session.enter_refusal(len(session.chunks)) == ("EntriesMismatch", 0, len(session.chunks))
    assert session.enter_refusal(0, chunks=session.chunks[:1]) == ("EntriesMismatch", 0, 0)


def test_enter__again_after_settlement__changes_nothing(session: Session, stranger: Any) -> None:
    """A stranger enters a position again once it is settled, so that it could be settled twice."""
    day: Day = session.day
    market = day.market
    session.begin().fill_all().close()
    for chunk in range(len(session.chunks)):
        session.enter(chunk)
    market.travel(market.config.schedule.delivery_end(0))
    settle_all(day, market.post_imbalance(0, day.claim))
    for chunk in range(len(session.chunks)):
        session.enter(chunk, sender=stranger)
    assert all(record_of(market, 0, p).stage == SPENT for p in market.participants)


def test_enter__never_by_the_solver__anyone_does(session: Session, stranger: Any, accounts: Any) -> None:
    """A solver closes and never enters the positions, to keep everybody's locks in place."""
    session.begin().fill_all().close()
    for chunk in range(len(session.chunks)):
        session.enter(chunk, sender=accounts[7])
    market = session.day.market
    market.travel(market.config.schedule.delivery_end(0))
    settle_all(session.day, market.post_imbalance(0, session.day.claim))


def test_fill__padded__refused(session: Session) -> None:
    """A solver cuts a chunk's bids off or pads them."""
    bids = packed(ordered(session.day.problem.bids)[:2])
    session.begin()
    for sent in (bids[:-1], bids + b"\0"):
        assert said(session.fill_refusal(sent)) in ("MalformedBids", "E5_TradersNotAscending")
