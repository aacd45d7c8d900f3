"""Whose turn it is."""

from hypothesis import given
from hypothesis import strategies as st

from clearwatt.oracle.rotation import is_turn, poster

SIGNERS = tuple(f"0x{number:040x}" for number in (1, 2, 3))
NOW = st.floats(0, 2e9)
STRANGER = f"0x{9:040x}"


@given(auction=st.integers(0, 2**40), now=NOW, turn=st.floats(0.1, 3_600), count=st.integers(1, 3))
def test_is_turn__any_moment__exactly_one_in_office(auction, now, turn, count):
    signers = SIGNERS[:count]
    assert [is_turn(signer, auction, now, turn, signers) for signer in signers].count(True) == 1


def test_poster__turn_after_turn__everybody_in_order():
    turns = [poster(0, now, 10.0, SIGNERS) for now in (0, 9.9, 10, 20, 29.9, 30)]
    assert turns == [SIGNERS[index] for index in (0, 0, 1, 2, 2, 0)]


def test_poster__auctions_at_one_moment__work_is_shared():
    assert {poster(auction, 1e9, 10.0, SIGNERS) for auction in (7, 8, 9)} == set(SIGNERS)


@given(auction=st.integers(0, 100), now=NOW)
def test_is_turn__not_in_office_or_no_turns__always(auction, now):
    assert is_turn(STRANGER, auction, now, 10.0, SIGNERS)
    assert all(is_turn(signer, auction, now, 0.0, SIGNERS) for signer in SIGNERS)
