"""What an oracle serves to the others, and taking over their messages; over real HTTP on this machine."""

import time
from collections.abc import Iterator, Sequence
from http import HTTPStatus

import httpx
import pytest
from fastapi import APIRouter
from fastapi.responses import RedirectResponse

from clearwatt.errors import UserError
from clearwatt.metering.intake import NotReady, Outcome
from clearwatt.metering.messages import READINGS, Message
from clearwatt.oracle.access import MAX_CLOCK_DIFFERENCE, Denied, asker, authorization
from clearwatt.oracle.board import KEPT, Board, Published
from clearwatt.oracle.peers import RETRIED, RETRY_SECONDS, PeerClient, PeerError, Puller, Synchroniser
from clearwatt.service.server import Server, make_app
from clearwatt.storage.cursors import START, Cursor
from tests.offchain.oracle.quorums import AUDIENCE, KEYS, OFFICE, STRANGER, Oracle, oracles, report

NOW = 1_750_000_000
TARGET = "/v1/messages?after=0&limit=5"


@pytest.fixture
def one() -> Iterator[Oracle]:
    with oracles(1) as found:
        yield found[0]


def message(number: int, size: int = 1) -> Message:
    return Message(READINGS, b"%d " % number * size, bytes([number % 256]) * 65)


# ------------------------------------------------------------ who may ask


def ask(header: str, target: str = TARGET, now: float = NOW, audience: str = AUDIENCE) -> str:
    return asker(header, "GET", target, audience, now, lambda address: address == KEYS[0].address)


HEADER = authorization(KEYS[0], "GET", TARGET, AUDIENCE, NOW)


@pytest.mark.parametrize("away", [-MAX_CLOCK_DIFFERENCE, 0, MAX_CLOCK_DIFFERENCE])
def test_asker__signed_just_now__who_it_is(away):
    assert ask(HEADER, now=NOW + away) == KEYS[0].address


@pytest.mark.parametrize(
    ("header", "changes", "why"),
    [
        (HEADER, {"now": NOW + MAX_CLOCK_DIFFERENCE + 1}, "one of the clocks is wrong"),
        (HEADER, {"target": TARGET.replace("0", "1")}, "did not sign this request"),
        (HEADER, {"audience": AUDIENCE[:-1] + "0"}, "did not sign this request"),
        (HEADER.replace(KEYS[0].address, KEYS[1].address), {}, "did not sign this request"),
        (authorization(STRANGER, "GET", TARGET, AUDIENCE, NOW), {}, "is no oracle in office"),
        (authorization(KEYS[0], "POST", TARGET, AUDIENCE, NOW), {}, "did not sign this request"),
        (HEADER[:-2] + "00", {}, "in a form that does not count"),
        (HEADER[:-130] + "f" * 64 + HEADER[-66:], {}, "is nobody's"),
        ("", {}, "is not"),
        (HEADER.replace(str(NOW), "²"), {}, "is not"),
        (HEADER.replace(str(NOW), "9" * 5_000), {}, "is not"),
        (HEADER.replace("0x", "0z"), {}, "is not"),
        ("Bearer a 1 0x", {}, "is not"),
    ],
)
def test_asker__anything_else__denied_in_words(header, changes, why):
    with pytest.raises(Denied, match=why):
        ask(header, **changes)


@pytest.mark.parametrize("path", ["/v1/reports/7", TARGET])
@pytest.mark.parametrize("header", ["", "nonsense", HEADER])
def test_router__not_signed_for_this_request__401(one, path, header):
    answer = httpx.get(one.server.url + path, headers={"Authorization": header})
    assert answer.status_code == HTTPStatus.UNAUTHORIZED


def test_router__allowed_by_configuration__answered_though_not_in_office():
    board = Board(allowed=[STRANGER.address])
    assert board.may_ask(STRANGER.address)
    assert not board.may_ask(KEYS[0].address)  # before the chain was read
    board.update(OFFICE, 5)
    assert board.may_ask(KEYS[0].address)


def test_board__more_reports_than_are_kept__those_shown_longest_ago_go():
    board = Board()
    for auction in range(KEPT + 2):
        board.put(Published(OFFICE.term, report(auction=auction), {}, b""))
    assert board.of(1) is None
    assert board.of(2) is not None


# ------------------------------------------------------------ the client


def test_identity__asked_of_anyone__who_it_is_and_its_clock(one):
    found = one.client(None).identity()
    assert found["address"] == KEYS[0].address
    assert (found["audience"], found["store_id"], found["block"]) == (AUDIENCE, "one", 100)
    assert abs(found["time"] - time.time()) < 5


def test_messages__pages__all_in_order(one):
    one.log.messages = [(number, message(number)) for number in range(1, 8)]
    page = one.client(KEYS[0]).messages(2, limit=3)
    assert page.messages == tuple(one.log.messages[2:5])
    assert (page.store_id, page.more) == ("one", True)
    assert one.client(KEYS[0]).messages(5, limit=3).more is False


def test_messages__large_ones__a_page_ends_before_it_grows_too_large(one):
    one.log.messages = [(number, message(number, 300_000)) for number in range(10, 16)]
    page = one.client(KEYS[0]).messages(0)
    assert 0 < len(page.messages) < 6
    assert page.more


@pytest.mark.parametrize("path", ["messages", "identity"])
def test_client__its_database_is_away__says_so(one, path):
    one.log.away = True
    client = one.client(KEYS[0])
    if path == "messages":
        with pytest.raises(PeerError, match="answers 503: the database is away"):
            client.messages(0)
    else:
        assert client.identity()["store_id"] == "one"


def test_client__redirected__does_not_follow(one):
    router = APIRouter()
    router.add_api_route("/v1/messages", lambda: RedirectResponse(one.server.url + "/v1/identity"))
    with Server(make_app([router]), "127.0.0.1", 0) as server, pytest.raises(PeerError, match="answers 307"):
        PeerClient(server.url, KEYS[0], AUDIENCE).messages(0)


@pytest.mark.parametrize(
    "page",
    [
        None,
        {},
        {"messages": [], "store_id": 5, "more": False},
        {"messages": [{"sequence": 0}], "store_id": "a", "more": False},
        {
            "messages": [{"sequence": 1, "kind": "x", "payload": "", "signature": "0x"}],
            "store_id": "a",
            "more": False,
        },
        {
            "messages": [{"sequence": 1, "kind": READINGS, "payload": 5, "signature": "0x"}],
            "store_id": "a",
            "more": False,
        },
        {
            "messages": [{"sequence": 1, "kind": READINGS, "payload": "", "signature": "0xz"}],
            "store_id": "a",
            "more": False,
        },
    ],
)
def test_messages__no_page__told(page):
    router = APIRouter()
    router.add_api_route("/v1/messages", lambda: page)
    with Server(make_app([router]), "127.0.0.1", 0) as server, pytest.raises(PeerError, match="no page"):
        PeerClient(server.url, KEYS[0], AUDIENCE).messages(0)


@pytest.mark.parametrize(
    "url", ["", "oracle:80", "ftp://a", "http://", "http://a/path", "http://a:x", "http://a?b"]
)
def test_client__no_url__one_sentence(url):
    with pytest.raises(UserError, match="a peer's URL is like"):
        PeerClient(url, None, AUDIENCE)


def test_client__url_with_a_password__its_name_has_none():
    assert PeerClient("https://user:secret@oracle.example/", None, AUDIENCE).name == "oracle.example:443"


# ------------------------------------------------------------ taking over messages


class Intake:
    """Lets in what is not refused."""

    def __init__(self) -> None:
        self.stored: list[Message] = []
        self.refused: set[Message] = set()
        self.ready = True

    def accept(self, messages: Sequence[Message], transport: str = "") -> list[Outcome]:
        assert transport == "peer"
        if not self.ready:
            raise NotReady("not yet")
        return [self._take(message) for message in messages]

    def _take(self, message: Message) -> Outcome:
        if message in self.refused:
            return Outcome("rejected", "for now")
        if message in self.stored:
            return Outcome("known")
        self.stored.append(message)
        return Outcome("stored")


class Kept:
    """Cursors without a database."""

    def __init__(self) -> None:
        self.cursors: dict[tuple[str, str], Cursor] = {}

    def get(self, purpose: str, peer: str) -> Cursor:
        return self.cursors.get((purpose, peer), START)

    def set(self, purpose: str, peer: str, cursor: Cursor) -> None:
        self.cursors[purpose, peer] = cursor


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def pulling(one) -> tuple[Oracle, Intake, Kept, Clock, Puller]:
    one.log.messages = [(number, message(number)) for number in range(1, 4)]
    intake, kept, clock = Intake(), Kept(), Clock()
    return one, intake, kept, clock, Puller(one.client(KEYS[0]), intake, kept, clock)


def test_pull__messages__once_and_from_where_it_was(pulling):
    one, intake, kept, _, puller = pulling
    assert (puller.pull(), puller.pull()) == (3, 0)
    assert kept.get("pull", one.server.url) == Cursor("one", 3)
    one.log.messages.append((9, message(9)))
    again = Puller(one.client(KEYS[0]), intake, kept)
    assert again.pull() == 1
    assert intake.stored == [row for _, row in one.log.messages]


def test_pull__many_pages__all_of_them(pulling):
    one, intake, _, _, puller = pulling
    one.log.messages = [(number, message(number)) for number in range(1, 1_203)]
    assert puller.pull() == 1_202
    assert intake.stored == [row for _, row in one.log.messages]


def test_pull__peer_has_another_database__from_its_start(pulling):
    one, intake, kept, _, puller = pulling
    puller.pull()
    one.log.store_id, one.log.messages = "two", [(1, message(50))]
    assert puller.pull() == 1
    assert kept.get("pull", one.server.url) == Cursor("two", 1)
    assert message(50) in intake.stored


def test_pull__rejected_for_now__tried_again_and_not_forgotten_by_a_restart(pulling):
    one, intake, kept, _, puller = pulling
    intake.refused = {message(2)}
    assert puller.pull() == 2
    assert kept.get("pull", one.server.url) == Cursor("one", 1)
    intake.refused = set()
    assert puller.pull() == 1
    assert kept.get("pull", one.server.url) == Cursor("one", 3)


def test_pull__rejected_for_an_hour__given_up(pulling):
    one, intake, kept, clock, puller = pulling
    intake.refused = {message(2)}
    puller.pull()
    clock.now = RETRY_SECONDS
    puller.pull()
    assert kept.get("pull", one.server.url) == Cursor("one", 3)
    intake.refused = set()
    assert puller.pull() == 0


def test_pull__nothing_but_nonsense__no_more_is_kept_than_so_much(pulling):
    one, intake, kept, _, puller = pulling
    one.log.messages = [(number, message(number)) for number in range(1, RETRIED + 101)]
    intake.refused = {row for _, row in one.log.messages}
    assert puller.pull() == 0
    assert kept.get("pull", one.server.url) == Cursor("one", 100)


def test_pull__chain_not_read_yet__the_place_stays(pulling):
    one, intake, kept, _, puller = pulling
    intake.ready = False
    with pytest.raises(NotReady):
        puller.pull()
    assert kept.get("pull", one.server.url) == START
    intake.ready = True
    assert puller.pull() == 3


def test_synchroniser__one_away__the_other_is_read_and_told_once(pulling, caplog):
    one, intake, kept, _, _ = pulling
    away = PeerClient("http://127.0.0.1:1", KEYS[0], AUDIENCE)
    synchroniser = Synchroniser([away, one.client(KEYS[0])], intake, kept)
    assert (synchroniser.step(), synchroniser.step()) == (3, 0)
    assert len([record for record in caplog.records if "127.0.0.1:1 does not answer" in record.message]) == 1


def test_synchroniser__running__takes_over_what_comes(pulling):
    one, intake, kept, _, _ = pulling
    synchroniser = Synchroniser([one.client(KEYS[0])], intake, kept, seconds=0.01)
    synchroniser.start()
    deadline = time.monotonic() + 10
    while len(intake.stored) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    one.log.messages.append((4, message(4)))
    while len(intake.stored) < 4 and time.monotonic() < deadline:
        time.sleep(0.01)
    synchroniser.stop()
    assert len(intake.stored) == 4
