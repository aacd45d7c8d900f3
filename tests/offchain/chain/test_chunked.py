"""Splitting an auction into chunks that fit, without a chain."""

from dataclasses import replace
from itertools import pairwise

import pytest
from eth_utils import keccak

from clearwatt.bids import Bid, Step
from clearwatt.chain import codec
from clearwatt.chain.capacity import MAX_CALLDATA, MAX_GAS, fill_gas
from clearwatt.chain.chunked import (
    ARGUMENT_BYTES,
    MAX_BUNDLES,
    WORD,
    Limits,
    Plan,
    plan,
    state_words,
)
from clearwatt.clearing.auction import Auction, Claim
from clearwatt.clearing.equilibrium import RuleBroken, claim_of
from clearwatt.clearing.positions import positions
from clearwatt.clearing.tree import clear
from clearwatt.errors import UserError
from clearwatt.grid import Grid, Line

GRID = Grid((-1, 0), (Line(), Line(50_000, 50_000, 10)))
MEMBERS = 40


def auction(members: int = MEMBERS, slots: int = 4, steps_per_slot: int = 1) -> Auction:
    """Half sells, half buys, in two zones; one after the other so that order is not by address."""
    bids = tuple(bid(number, slots, steps_per_slot) for number in reversed(range(members)))
    return Auction(slots, -1_000, 50_000, GRID, bids)


def bid(number: int, slots: int, steps_per_slot: int) -> Bid:
    quantity = 100 + number if number % 2 else -100 - number
    steps = tuple(
        Step(slot, 1_000 + 50 * (number % 7) + index, quantity)
        for slot in range(slots)
        for index in range(steps_per_slot)
    )
    return Bid(f"0x{keccak(text=str(number))[-20:].hex()}", number % 2, steps)


def solved(problem: Auction) -> Claim:
    return claim_of(problem, clear(problem))


def planned(problem: Auction, **limits: int) -> Plan:
    return plan(problem, solved(problem), Limits(**limits))


def bids_of(chunk: bytes) -> tuple[Bid, ...]:
    return codec.unpack_bids(chunk)


def test_plan__small_auction__one_chunk_with_everything():
    problem = auction()
    made = planned(problem)
    assert made.chunks == (codec.pack_bids(problem.bids),)
    assert made.prices == codec.pack_prices(solved(problem).prices)
    assert made.marginals == codec.pack_marginals(solved(problem).marginals)


def test_plan__entries__are_members_with_their_positions_hashes():
    problem = auction()
    made = planned(problem, gas=350_000)
    found = positions(problem, clear(problem))
    ordered = sorted(found, key=lambda member: int(member, 16))
    expected = [bytes.fromhex(member[2:]) + keccak(codec.pack_position(found[member])) for member in ordered]
    assert b"".join(made.entries) == b"".join(expected)
    assert made.hashes == [keccak(entries) for entries in made.entries]
    assert len(made.chunks) == len(made.entries) > 1


@pytest.mark.parametrize(
    "limits", [{"gas": 350_000}, {"calldata": 2_000}, {"gas": 400_000, "calldata": 2_100}]
)
def test_plan__tight_limits__every_chunk_within_them_and_none_wasted(limits: dict[str, int]):
    problem = auction()
    words = state_words(problem, solved(problem))
    gas, calldata = limits.get("gas", MAX_GAS), limits.get("calldata", MAX_CALLDATA)

    def fits(bids: tuple[Bid, ...]) -> bool:
        steps = sum(len(bid.steps) for bid in bids)
        size = ARGUMENT_BYTES + WORD * words + len(codec.pack_bids(bids))
        return fill_gas(words, len(bids), steps) <= gas and size <= calldata

    chunks = [bids_of(chunk) for chunk in planned(problem, **limits).chunks]
    assert len(chunks) > 2
    assert all(map(fits, chunks))
    pairs = pairwise(chunks)
    assert not any(fits((*chunk, following[0])) for chunk, following in pairs)


def test_plan__many_small_bundles__no_chunk_with_more_than_can_be_entered():
    problem = auction(members=2 * MAX_BUNDLES + 1, slots=1)
    chunks = planned(problem, gas=10**9, calldata=10**9).chunks
    assert [len(bids_of(chunk)) for chunk in chunks] == [MAX_BUNDLES, MAX_BUNDLES, 1]


def test_plan__nobody_bids__no_chunks():
    assert planned(auction(members=0)).chunks == ()


def test_plan__claim_that_is_not_the_result__rule_broken():
    problem = auction()
    claim = solved(problem)
    moved = replace(claim, prices=(tuple(price + 1 for price in claim.prices[0]), *claim.prices[1:]))
    with pytest.raises(RuleBroken):
        plan(problem, moved)


def test_plan__bid_larger_than_a_transaction__one_sentence():
    with pytest.raises(
        UserError, match=r"^the bid of 0x\w+ with 4 steps does not fit one transaction beside \d+"
    ):
        planned(auction(), calldata=900)


def test_plan__working_memory_larger_than_a_transaction__one_sentence():
    with pytest.raises(
        UserError, match=r"^the auction can't be cleared even in chunks: closing it takes \d+ bytes"
    ):
        planned(auction(members=0), calldata=500)


def test_plan__more_chunks_than_a_session_has__one_sentence():
    problem = auction(members=300, slots=1)
    one_bid = fill_gas(state_words(problem, solved(problem)), 1, 1)
    with pytest.raises(UserError, match=r"^the auction takes 300 chunks, and 256 can be cleared$"):
        planned(problem, gas=one_bid)
