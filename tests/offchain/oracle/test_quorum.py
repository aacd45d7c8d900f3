"""Three oracles that agree, or do not, over real HTTP on this machine."""

import json
import socket
import threading
import time
from collections.abc import Iterator

import pytest
from eth_account.messages import encode_defunct
from fastapi import APIRouter, Response

from clearwatt.chain import typed_data
from clearwatt.chain.market import PRICES
from clearwatt.oracle.board import Board, Published
from clearwatt.oracle.peers import PeerClient
from clearwatt.oracle.reports import Input, Report, message_of, sign_contents, sign_report
from clearwatt.service.server import Server, make_app
from tests.offchain.oracle.quorums import (
    AUCTION,
    AUDIENCE,
    CHAIN_ID,
    KEYS,
    MEMBER,
    OFFICE,
    QUORUM,
    SILENT,
    STRANGER,
    Oracle,
    imbalance,
    oracles,
    quorum_of,
    report,
)


@pytest.fixture
def three() -> Iterator[list[Oracle]]:
    with oracles() as found:
        yield found


def signers_of(signatures: bytes | None, subject: str, content: bytes) -> list[str]:
    assert signatures is not None
    message = message_of(CHAIN_ID, QUORUM, OFFICE.term, AUCTION, subject, content)
    parts = [signatures[at : at + 65] for at in range(0, len(signatures), 65)]
    return [typed_data.signer_of(message, part) for part in parts]


def show(oracle: Oracle, shown: Report, office=OFFICE, signatures=None, key=None, audience=AUDIENCE) -> None:
    """Have a dishonest, or merely different, oracle show this report."""
    key = key or oracle.key
    signatures = signatures or sign_contents(key, CHAIN_ID, QUORUM, office.term, shown)
    document = sign_report(key, audience, office.term, shown, signatures)
    oracle.board.put(Published(office.term, shown, signatures, document))


# ------------------------------------------------------------ agreeing


def test_gather__all_agree__as_many_signatures_as_needed_ascending(three):
    content = report(contents={PRICES: imbalance(), SILENT: b"\0" * 8})
    for oracle in three[1:]:
        oracle.quorum.publish(content, OFFICE)
    found = three[0].quorum.gather(content, OFFICE)
    for subject in content.contents:
        signers = signers_of(found.signatures(subject), subject, content.contents[subject])
        assert len(signers) == OFFICE.threshold
        assert signers == [signer for signer in OFFICE.signers if signer in signers]
        assert KEYS[0].address in signers
    assert (found.disagreements, found.unheard) == ([], [])


def test_gather__each_asks_in_turn__publishing_as_it_asks(three):
    counts = [three[index].quorum.gather(report(), OFFICE).signatures(PRICES) for index in range(3)]
    assert counts[0] is None  # nobody else had spoken
    assert all(signatures is not None and len(signatures) == 130 for signatures in counts[1:])


def test_gather__later_block_and_same_content__counts_and_is_not_signed_anew(three):
    three[1].quorum.publish(report(block=99), OFFICE)
    document = three[1].board.of(AUCTION).document
    three[1].quorum.publish(report(block=101), OFFICE)
    assert three[1].board.of(AUCTION).document == document
    assert three[0].quorum.gather(report(block=103), OFFICE).signatures(PRICES)


def test_gather__threshold_of_one__asks_nobody():
    alone = typed_data.Office(0, (KEYS[0].address,), 1)
    quorum = quorum_of(KEYS[0], Board(), [])
    signature = quorum.gather(report(), alone).signatures(PRICES)
    message = message_of(CHAIN_ID, QUORUM, alone.term, AUCTION, PRICES, imbalance())
    assert typed_data.signer_of(message, signature) == KEYS[0].address


def test_gather__nothing_to_report__nothing(three):
    found = three[0].quorum.gather(report(contents={}), OFFICE)
    assert found.enough == {}
    assert found.signatures(PRICES) is None


@pytest.mark.parametrize("key", [None, STRANGER])
def test_gather__not_in_office__collects_the_others_signatures_and_shows_nothing(three, key):
    board = Board()
    if key:
        for oracle in three:
            oracle.board._allowed = frozenset({key.address})
    for oracle in three[:2]:
        oracle.quorum.publish(report(), OFFICE)
    clients = [oracle.client(key or KEYS[2]) for oracle in three[:2]]
    found = quorum_of(key, board, clients).gather(report(), OFFICE)
    assert len(signers_of(found.signatures(PRICES), PRICES, imbalance())) == 2
    assert board.of(AUCTION) is None


def test_my_turn__three_in_office__one_at_a_time_and_onlookers_always():
    quorums = [quorum_of(key, Board(), []) for key in KEYS]
    for now in (0.0, 10.0, 25.0):
        assert [quorum.my_turn(AUCTION, now, OFFICE) for quorum in quorums].count(True) == 1
    assert quorum_of(None, Board(), []).my_turn(AUCTION, 0.0, OFFICE)


# ------------------------------------------------------------ one down


def test_gather__one_down__the_other_two_are_enough(three):
    three[1].quorum.publish(report(), OFFICE)
    three[2].server.stop()
    found = three[0].quorum.gather(report(), OFFICE)
    assert signers_of(found.signatures(PRICES), PRICES, imbalance()) == [KEYS[0].address, KEYS[1].address]
    assert found.disagreements == []


def test_gather__two_down__below_the_threshold_and_says_who(three):
    for oracle in three[1:]:
        oracle.server.stop()
    found = three[0].quorum.gather(report(), OFFICE)
    assert found.signatures(PRICES) is None
    assert len(found.unheard) == 2
    assert all("127.0.0.1" in text and "does not answer" in text for text in found.unheard)


def test_gather__one_hangs__not_waited_for_once_there_are_enough(three):
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        three[1].quorum.publish(report(), OFFICE)
        url = f"http://127.0.0.1:{hanging.getsockname()[1]}"
        peers = [PeerClient(url, KEYS[0], AUDIENCE), three[1].client(KEYS[0])]
        quorum = quorum_of(KEYS[0], Board(), peers, seconds=30.0)
        begun = time.monotonic()
        found = quorum.gather(report(), OFFICE)
        assert time.monotonic() - begun < 5
    assert found.signatures(PRICES)
    assert len(found.unheard) == 1
    assert found.unheard[0].endswith("did not answer in time")


def test_gather__all_hang__gives_up_after_its_time():
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        peer = PeerClient(f"http://127.0.0.1:{hanging.getsockname()[1]}", KEYS[0], AUDIENCE)
        quorum = quorum_of(KEYS[0], Board(), [peer], seconds=0.3)
        begun = time.monotonic()
        assert quorum.gather(report(), OFFICE).signatures(PRICES) is None
        assert time.monotonic() - begun < 5


def test_gather__trickles__gives_up_after_its_time():
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def trickle() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 200 OK\r\n")
                while not stop.wait(0.05):
                    connection.sendall(b"X: y\r\n")

        thread = threading.Thread(target=trickle, daemon=True)
        thread.start()
        peer = PeerClient(f"http://127.0.0.1:{listener.getsockname()[1]}", KEYS[0], AUDIENCE, seconds=0.5)
        found = quorum_of(KEYS[0], Board(), [peer], seconds=10.0).gather(report(), OFFICE)
        stop.set()
    assert found.unheard == [f"{peer.name} did not answer within 0 s"]


# ------------------------------------------------------------ one says otherwise


def test_gather__other_prices__does_not_count_and_is_told_on_what(three):
    three[1].quorum.publish(report(), OFFICE)
    show(three[2], report(contents={PRICES: imbalance(shortage=31_000)}))
    found = three[0].quorum.gather(report(), OFFICE)
    assert signers_of(found.signatures(PRICES), PRICES, imbalance()) == [KEYS[0].address, KEYS[1].address]
    author = KEYS[2].address
    assert found.disagreements == [f"oracle {author}: shortage price of zone 0, slot 1 is 31000, here 30000"]


def test_gather__two_against_one__the_one_is_below_the_threshold(three):
    for oracle in three[1:]:
        oracle.quorum.publish(report(), OFFICE)
    found = three[0].quorum.gather(report(contents={PRICES: imbalance(shortage=31_000)}), OFFICE)
    assert found.signatures(PRICES) is None
    assert len(found.disagreements) == 2


def test_gather__statement_omitted_and_same_prices__counts_but_is_told(three):
    show(three[1], report(inputs={}))
    found = three[0].quorum.gather(report(), OFFICE)
    assert found.signatures(PRICES)
    assert found.disagreements == [f"oracle {KEYS[1].address}: it lacks the statement of member {MEMBER}"]


def test_gather__agrees_on_one_subject_only__that_one_counts(three):
    ours = report(contents={PRICES: imbalance(), SILENT: b"\0" * 8})
    three[2].server.stop()
    show(three[1], report(contents={PRICES: imbalance(), SILENT: b"\0\0\0\x05" + b"\0" * 4}))
    found = three[0].quorum.gather(ours, OFFICE)
    assert found.signatures(PRICES)
    assert found.signatures(SILENT) is None
    text = f"oracle {KEYS[1].address}: of member {SILENT}, slot 0 is 5 Wh, here 0 Wh"
    assert found.disagreements == [text]


def test_gather__told_twice__logged_once(three, caplog):
    show(three[1], report(inputs={MEMBER: Input("statement", b"\x02" * 32)}))
    for _ in range(2):
        three[0].quorum.gather(report(), OFFICE)
    assert [record.message for record in caplog.records if "another statement" in record.message] == [
        f"auction {AUCTION}: oracle {KEYS[1].address}: it has another statement of member {MEMBER}"
    ]


# ------------------------------------------------------------ one is dishonest


def forged(kind: str) -> bytes:
    message = message_of(CHAIN_ID, QUORUM, OFFICE.term, AUCTION, PRICES, imbalance())
    genuine = typed_data.sign(KEYS[1], message)
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    twin = (order - int.from_bytes(genuine[32:64], "big")).to_bytes(32, "big")
    return {
        "nobody's": b"\xff" * 31 + b"\0" + b"\x01" * 32 + b"\x1b",
        "another signer's": typed_data.sign(KEYS[2], message),
        "of another content": typed_data.sign(
            KEYS[1], message_of(CHAIN_ID, QUORUM, OFFICE.term, AUCTION, PRICES, imbalance(29_000))
        ),
        "upper half": genuine[:32] + twin + bytes([55 - genuine[64]]),
        "too short": genuine[:64],
        "v counted from 0": genuine[:64] + bytes([genuine[64] - 27]),
    }[kind]


@pytest.mark.parametrize(
    "kind",
    ["nobody's", "another signer's", "of another content", "upper half", "too short", "v counted from 0"],
)
def test_gather__forged_signature__does_not_count(three, kind):
    show(three[1], report(), signatures={PRICES: forged(kind)})
    found = three[0].quorum.gather(report(), OFFICE)
    assert found.signatures(PRICES) is None
    assert f"oracle {KEYS[1].address}: its signature on imbalance prices is forged" in found.unheard


def test_gather__one_oracle_behind_two_addresses__counts_once(three):
    office = typed_data.Office(OFFICE.epoch, OFFICE.signers, 3)
    show(three[1], report(), office)
    show(three[2], report(), office, key=three[1].key)
    assert three[0].quorum.gather(report(), office).signatures(PRICES) is None


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"key": STRANGER}, "is not in office"),
        ({"audience": AUDIENCE + "0"}, "another quorum's"),
        ({"office": typed_data.Office(3, OFFICE.signers, 2)}, "of epoch 3, here"),
    ],
)
def test_gather__document_of_somebody_else__does_not_count(three, changes, fault):
    show(three[1], report(), **changes)
    found = three[0].quorum.gather(report(), OFFICE)
    assert found.signatures(PRICES) is None
    assert any(fault in text for text in found.unheard)


def test_gather__report_on_another_auction__does_not_count(three):
    other = report(auction=8)
    signatures = sign_contents(KEYS[1], CHAIN_ID, QUORUM, OFFICE.term, other)
    document = sign_report(KEYS[1], AUDIENCE, OFFICE.term, other, signatures)
    three[1].board.put(Published(OFFICE.term, report(), signatures, document))
    found = three[0].quorum.gather(report(), OFFICE)
    assert found.signatures(PRICES) is None
    assert any("on auction 8" in text for text in found.unheard)


def enveloped(payload: str) -> bytes:
    signature = KEYS[1].sign_message(encode_defunct(text=payload)).signature.hex()
    return json.dumps({"payload": payload, "signature": "0x" + signature.removeprefix("0x")}).encode()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b"[" * 10_000,
        b"null",
        b'{"payload": "\\ud800", "signature": "0x"}',
        b'{"payload": {}, "signature": "0x00"}',
        enveloped("{}"),
        enveloped('{"subjects": 1}'),
        b" " * (5 * 2**20),
    ],
    ids=range(9),
)
def test_gather__garbage__the_others_are_enough(three, body):
    router = APIRouter()
    router.add_api_route("/v1/reports/{auction}", lambda auction: Response(body))
    three[1].quorum.publish(report(), OFFICE)
    with Server(make_app([router]), "127.0.0.1", 0) as garbage:
        peers = [PeerClient(garbage.url, KEYS[0], AUDIENCE), three[1].client(KEYS[0])]
        found = quorum_of(KEYS[0], Board(), peers).gather(report(), OFFICE)
    assert found.signatures(PRICES)
    assert len(found.unheard) == 1
    assert found.disagreements == []
