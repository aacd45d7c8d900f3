"""Clearing in chunks with an honest result: the same outcome as in one transaction, in any cut."""

import pytest
from eth_utils import keccak, to_checksum_address

from clearwatt.bids import Bid
from clearwatt.chain import codec
from tests.contracts.chunked.session import Session, ordered
from tests.contracts.market.records import BID, POSITION, digest, record_of


@pytest.mark.parametrize("size", [1, 2, 5])
def test_chunked__honest_in_any_cut__accepted_and_entered_as_by_clear(session: Session, size: int) -> None:
    day, market = session.day, session.day.market
    session.begin().fill_all(size).close()
    assert market.market.auctionOf(0).cleared
    assert bytes(market.market.auctionOf(0).prices) == bytes(keccak(day.packed_prices))[:29]
    assert market.vault.accountOf(market.config.network_account).balance == day.income()
    for chunk in range(len(session.chunks)):
        session.enter(chunk)
    for participant in market.participants:
        record = record_of(market, 0, participant)
        assert record.stage == POSITION
        assert record.digest == digest(codec.pack_position(day.position(participant)))
    market.assert_money_conserved()


def test_close__accepted__logged_and_session_gone(session: Session) -> None:
    receipt = session.begin().fill_all().close()
    [closed] = receipt.decode_logs(session.contract.ClearingClosed)
    assert (closed.auction, closed.solver) == (0, session.solver)
    assert [bytes(chunk) for chunk in closed.chunks] == session.chunks
    [cleared] = [log for log in receipt.events if log.event_name == "Cleared"]
    assert (cleared.auction, cleared.solver) == (0, session.solver)
    assert cleared.networkIncome == session.day.income() == 20_000 * 3_000
    assert (bytes(cleared.prices), bytes(cleared.marginals)) == (session.prices, session.marginals)
    assert session.hash_on_chain == bytes(32)
    assert bytes(session.contract.chunksOf(0)) == bytes(keccak(b"".join(session.chunks)))


def test_fill__each_chunk__entries_are_the_members_positions(session: Session) -> None:
    session.begin().fill_all(2)
    positions = {
        participant.address: keccak(codec.pack_position(session.day.position(participant)))
        for participant in session.day.market.participants
    }
    expected = [
        bytes.fromhex(bid.member[2:]) + positions[bid.member] for bid in ordered(session.day.problem.bids)
    ]
    assert b"".join(session.entries) == b"".join(expected)
    assert [len(entries) // 52 for entries in session.entries] == [2, 2, 1]


def test_records__before_close__untouched(session: Session) -> None:
    market = session.day.market
    before = {p.address: record_of(market, 0, p) for p in market.participants}
    session.begin().fill_all()
    assert {p.address: record_of(market, 0, p) for p in market.participants} == before
    session.close()
    assert {p.address: record_of(market, 0, p) for p in market.participants} == before
    assert {record.stage for record in before.values()} == {BID}


def test_fill__chunks_without_bids__change_nothing(session: Session) -> None:
    session.begin().fill([]).fill_all(3).fill([]).close()
    session.enter(0)
    session.enter(1)
    assert session.entries[0] == session.entries[3] == b""


def test_chunked__nobody_bid__cleared_without_a_chunk(session: Session) -> None:
    market = session.day.market
    market.await_clearing(1)
    market.bids.clear()
    empty = Session(type(session.day)(market, 1, *market.solve(1)), session.solver)
    empty.begin().close()
    assert market.market.auctionOf(1).cleared
    assert empty.enter_refusal(0) == ("EntriesMismatch", 1, 0)


def test_fill__more_bundles_than_can_be_entered__refused(session: Session) -> None:
    most = session.contract.MAX_CHUNK_BUNDLES()
    bids = [Bid(f"0x{number:040x}", 0, ()) for number in range(1, most + 2)]
    session.begin()
    assert session.fill_refusal(bids) == ("ChunkTooLarge", most)
    assert session.fill_refusal(bids[:-1]) == ("E5_BidNotRecorded", to_checksum_address(bids[0].member))


def test_fill__more_chunks_than_can_be_entered__refused(session: Session) -> None:
    most = session.contract.MAX_CHUNKS()
    session.begin()
    for _ in range(most):
        session.fill_unwatched(b"")
    assert session.fill_refusal(b"") == ("TooManyChunks", most)
