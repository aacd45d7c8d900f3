"""On what two reports differ, in words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clearwatt.chain.market import PRICES
from clearwatt.oracle.disagreements import disagreements
from clearwatt.oracle.reports import POSTED, STATEMENT, Input
from tests.offchain.oracle.quorums import MEMBER, SILENT, SLOTS, ZONES, imbalance, report

HERE = report()


def texts(theirs, ours=HERE) -> list[tuple[str, str]]:
    return [tuple(found) for found in disagreements(ours, theirs, ZONES, SLOTS)]


def test_disagreements__same__none():
    assert texts(report(block=5)) == []


def test_disagreements__other_subjects__none():
    assert texts(report(contents={SILENT: b""}, inputs={})) == []


@pytest.mark.parametrize(
    ("prices", "text"),
    [
        (imbalance(1), "shortage price of zone 0, slot 1 is 1, here 30000"),
        (b"\0\0\1" * 4, "surplus price of zone 0, slot 0 is 1, here 8000, and 3 more"),
        (b"\0", "its imbalance prices are none of this market: "),
    ],
)
def test_disagreements__other_prices__the_first_and_how_many(prices, text):
    [(about, found)] = texts(report(contents={PRICES: prices}))
    assert about == "imbalance"
    assert found.startswith(text)


@pytest.mark.parametrize(
    ("inputs", "text"),
    [
        ({}, f"it lacks the statement of member {MEMBER}"),
        (
            HERE.inputs | {SILENT: Input(STATEMENT, b"")},
            f"it has the statement of member {SILENT}, which is missing here",
        ),
        ({MEMBER: Input(STATEMENT, b"")}, f"it has another statement of member {MEMBER}"),
        (
            {MEMBER: Input(POSTED, b"")},
            f"it goes by the substitute on chain of member {MEMBER}, here by the statement",
        ),
    ],
)
def test_disagreements__other_inputs__named(inputs, text):
    assert texts(report(inputs=inputs)) == [("inputs", text)]


@pytest.mark.parametrize(
    ("readings", "text"),
    [
        (b"\xff" * 8, f"of member {SILENT}, slot 0 is -1 Wh, here 0 Wh, and 1 more"),
        (b"\0" * 4, f"of member {SILENT}, it reports 1 readings, here 2"),
        (b"\0", f"of member {SILENT}, what it reports are no readings"),
    ],
)
def test_disagreements__other_substitute__named_with_its_basis(readings, text):
    ours = report(contents={SILENT: b"\0" * 8}, inputs={SILENT: Input("readings", b"\1")})
    theirs = report(contents={SILENT: readings}, inputs={SILENT: Input("readings", b"\2")})
    (about, found), basis = texts(theirs, ours)
    assert about == "substitute"
    assert found.startswith(text)
    assert basis == ("inputs", f"it has another readings of member {SILENT}")


SUBJECTS = st.dictionaries(st.sampled_from([PRICES, SILENT]), st.binary(max_size=12))
INPUTS = st.dictionaries(
    st.sampled_from([MEMBER, SILENT]),
    st.builds(Input, st.sampled_from([STATEMENT, POSTED]), st.binary(max_size=1)),
)


@given(SUBJECTS, SUBJECTS, INPUTS, INPUTS)
def test_disagreements__whatever_a_peer_says__in_words_and_none_of_oneself(ours, theirs, here, there):
    one, other = report(contents=ours, inputs=here), report(contents=theirs, inputs=there)
    assert all(text and about for about, text in texts(other, one))
    assert texts(one, one) == []
    differs = any(ours[subject] != theirs[subject] for subject in ours.keys() & theirs.keys())
    assert not differs or texts(other, one)
