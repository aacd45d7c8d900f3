"""What a report says, and the document that carries it."""

import json

import pytest
from eth_account.messages import encode_defunct
from eth_utils import keccak
from hypothesis import given
from hypothesis import strategies as st

from clearwatt.chain import codec
from clearwatt.chain.market import PRICES
from clearwatt.metering.statements import Statement
from clearwatt.oracle.decisions import Clear, PostImbalance, PostSubstitutes
from clearwatt.oracle.positions import imbalance_of
from clearwatt.oracle.reports import (
    POSTED,
    STATEMENT,
    Input,
    MalformedReport,
    Report,
    chosen,
    make_report,
    read_report,
    sign_contents,
    sign_report,
    statement_digest,
)
from clearwatt.oracle.substitutes import LIKE_DAYS, Substitute
from tests.offchain.oracle.markets import AUCTION, CONSUMER, PRODUCER, RETAILER, RULES, cleared
from tests.offchain.oracle.quorums import AUDIENCE, CHAIN_ID, KEYS, OFFICE, QUORUM, report

PRODUCED = Statement(AUCTION, PRODUCER, codec.pack_readings((600, 400)), b"\x01" * 65)
SUBSTITUTE = Substitute(codec.pack_readings((-400, -500)), LIKE_DAYS, b"\x07" * 32)
POST = PostImbalance(AUCTION)


def test_chosen__several_of_one_meter__the_same_in_whatever_order_they_came():
    statements = [Statement(AUCTION, PRODUCER, bytes([number]) * 8, b"s") for number in range(5)]
    assert chosen(statements) == chosen(statements[::-1]) == min(statements, key=statement_digest)


def test_make_report__imbalance_prices_due__by_statements_and_posted_substitutes():
    view = cleared()
    view.substitutes = {CONSUMER: SUBSTITUTE.readings}
    made = make_report(view, RULES, 100, [POST], {PRODUCER: PRODUCED}, {})
    assert made.imbalance == imbalance_of(view, RULES, {PRODUCER: (600, 400), CONSUMER: (-400, -500)})
    assert made.inputs == {
        PRODUCER: Input(STATEMENT, statement_digest(PRODUCED)),
        CONSUMER: Input(POSTED, keccak(SUBSTITUTE.readings)),
    }
    assert (made.substitutes, made.fallen, made.block) == ({}, (), 100)


def test_make_report__substitutes_due__those_only_and_not_in_the_imbalance_prices():
    actions = [POST, PostSubstitutes(AUCTION, (CONSUMER,))]
    found = {CONSUMER: SUBSTITUTE, RETAILER: SUBSTITUTE}
    made = make_report(cleared(), RULES, 100, actions, {PRODUCER: PRODUCED}, found)
    assert made.substitutes == {CONSUMER: SUBSTITUTE.readings}
    assert made.imbalance == imbalance_of(cleared(), RULES, {PRODUCER: (600, 400)})
    assert made.inputs[CONSUMER] == Input(LIKE_DAYS, SUBSTITUTE.basis)


def test_make_report__what_it_would_say_has_fallen__left_out_and_named():
    view = cleared()
    view.overturned = {imbalance_of(view, RULES, {})}
    made = make_report(view, RULES, 100, [POST], {}, {})
    assert (made.contents, made.fallen) == ({}, (PRICES,))


def test_make_report__other_actions__nothing():
    made = make_report(cleared(), RULES, 100, [Clear(AUCTION)], {PRODUCER: PRODUCED}, {})
    assert (made.contents, made.inputs) == ({}, {})


# ------------------------------------------------------------ the document


def signed(content: Report) -> bytes:
    signatures = sign_contents(KEYS[0], CHAIN_ID, QUORUM, OFFICE.term, content)
    return sign_report(KEYS[0], AUDIENCE, OFFICE.term, content, signatures)


MEMBERS = st.sampled_from([f"0x{number:040x}" for number in range(1, 5)])


@given(
    contents=st.dictionaries(MEMBERS | st.just(PRICES), st.binary(max_size=16), max_size=2),
    inputs=st.dictionaries(MEMBERS, st.builds(Input, st.sampled_from(["a", "b"]), st.binary(max_size=32))),
    block=st.integers(0, 2**63 - 1),
)
def test_read_report__any_report__what_was_signed(contents, inputs, block):
    content = Report(AUCTION, block, contents, inputs)
    found = read_report(signed(content))
    assert (found.report, found.author, found.audience) == (content, KEYS[0].address, AUDIENCE)
    assert found.term == OFFICE.term
    assert found.signatures == sign_contents(KEYS[0], CHAIN_ID, QUORUM, OFFICE.term, content)


@given(
    st.binary() | st.recursive(st.none() | st.integers() | st.text(), st.lists, max_leaves=5).map(json.dumps)
)
def test_read_report__anything_else__malformed_in_words(document):
    with pytest.raises(MalformedReport):
        read_report(document if isinstance(document, bytes) else document.encode())


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"auction": -1}, "auction is not a whole number"),
        ({"auction": True}, "auction is not a whole number"),
        ({"block": 2**63}, "block is not a whole number"),
        ({"more": 1}, "not an object with the keys"),
        ({"inputs": []}, "inputs is not an object"),
        ({"inputs": {"0x12": ["statement", "0x"]}}, "something else than pairs by address"),
        ({"inputs": {PRODUCER: ["a\nb", "0x"]}}, "a kind that is no name"),
        ({"subjects": {PRICES: ["0x0", "0x"]}}, "something else than bytes"),
        ({"configuration": 5}, "something else than bytes"),
    ],
)
def test_read_report__signed_but_impossible__named(change, fault):
    payload = json.dumps(json.loads(json.loads(signed(report()))["payload"]) | change)
    signature = bytes(KEYS[0].sign_message(encode_defunct(text=payload)).signature)
    with pytest.raises(MalformedReport, match=fault):
        read_report(json.dumps({"payload": payload, "signature": "0x" + signature.hex()}).encode())


def test_read_report__text_changed__no_longer_the_signers():
    envelope = json.loads(signed(report()))
    envelope["payload"] = envelope["payload"].replace('"block":100', '"block":101')
    assert read_report(json.dumps(envelope).encode()).author != KEYS[0].address
