"""The other oracles: asking them for their reports, and taking over the meters' messages they have."""

import asyncio
import json
import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Protocol
from urllib.parse import urlsplit

import httpx
from eth_account.signers.local import LocalAccount

from clearwatt.errors import UserError
from clearwatt.metering.intake import NotReady, Outcome
from clearwatt.metering.messages import KINDS, Message
from clearwatt.oracle.access import authorization
from clearwatt.oracle.http import PAGE
from clearwatt.service import metrics
from clearwatt.storage.cursors import Cursor
from clearwatt.storage.database import StoreError

log = logging.getLogger(__name__)

REPORT_BYTES = 4 * 2**20
MESSAGES_BYTES = 16 * 2**20
IDENTITY_BYTES = 2**16
SECONDS = 10.0
"""For a whole answer, however slowly it trickles in."""

PULL_SECONDS = 5.0
PAGES_AT_ONCE = 100
"""From one peer before the next has its turn."""

RETRY_SECONDS = 3_600
"""What a peer had let in is rejected here where the chain is read less far, or the clock is behind: for this long it is
tried again."""

RETRIED = 1_000
"""Rejected messages kept per peer; a peer that sends more nonsense has its oldest forgotten."""

PULL = "pull"


class PeerError(Exception):
    """A peer did not answer as it should, in words."""


@dataclass(frozen=True)
class Page:
    """Messages of a peer's log. more: whether there are others after them."""

    store_id: str
    messages: tuple[tuple[int, Message], ...]
    more: bool


class PeerClient:
    """The way to one other oracle.

    url: where it listens, without a path. key: signs the requests. audience: as `reports.audience_of`.
    seconds: for one whole answer. Raises UserError if the URL is none.
    """

    def __init__(
        self,
        url: str,
        key: LocalAccount | None,
        audience: str,
        seconds: float = SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.url = url.rstrip("/")
        self.name = _name(self.url)
        self._key = key
        self._audience = audience
        self._seconds = seconds
        self._clock = clock
        self._verify: Any = httpx.create_ssl_context() if self.url.startswith("https:") else False

    async def report(self, auction: int) -> bytes | None:
        """Its document on an auction, None if it has none yet. Raises PeerError."""
        return await self._get(f"/v1/reports/{auction}", REPORT_BYTES)

    def messages(self, after: int, limit: int = PAGE) -> Page:
        """The first messages of its log after a place. Raises PeerError."""
        answer = asyncio.run(self._get(f"/v1/messages?after={after}&limit={limit}", MESSAGES_BYTES))
        try:
            return _page(json.loads(answer or b"null"), after)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise PeerError(f"{self.name}: its answer is no page of messages") from None

    def identity(self) -> dict[str, Any]:
        """Who it says it is: address, audience, store_id, time, block. Raises PeerError."""
        begun = self._clock()
        answer = asyncio.run(self._get("/v1/identity", IDENTITY_BYTES))
        try:
            content = json.loads(answer or b"null")
            metrics.PEER_CLOCK.labels(self.name).set(float(content["time"]) - (begun + self._clock()) / 2)
        except (ValueError, TypeError, KeyError, RecursionError):
            raise PeerError(f"{self.name}: its answer is no identity") from None
        return dict(content)

    async def _get(self, target: str, most: int) -> bytes | None:
        """The answer's body; None if there is no such thing."""
        reachable = metrics.PEER_REACHABLE.labels(self.name)
        try:
            async with asyncio.timeout(self._seconds):
                found = await self._fetch(target, most)
        except TimeoutError:
            reachable.set(0)
            raise PeerError(f"{self.name} did not answer within {self._seconds:.0f} s") from None
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError) as error:
            reachable.set(0)
            raise PeerError(f"{self.name} does not answer: {error or type(error).__name__}") from None
        reachable.set(1)
        return found

    async def _fetch(self, target: str, most: int) -> bytes | None:
        headers = {"Accept-Encoding": "identity"}
        if self._key:
            now = int(self._clock())
            headers["Authorization"] = authorization(self._key, "GET", target, self._audience, now)
        async with (
            # no redirects: what was asked of the peer is nobody else's business; no proxies of the environment either
            httpx.AsyncClient(verify=self._verify, trust_env=False, follow_redirects=False) as client,
            client.stream("GET", self.url + target, headers=headers, timeout=self._seconds) as response,
        ):
            body = b""
            async for part in response.aiter_raw():
                body += part
                if len(body) > most:
                    raise PeerError(f"{self.name}: its answer is larger than {most} bytes")
        if response.status_code == HTTPStatus.NOT_FOUND:
            return None
        if response.status_code != HTTPStatus.OK:
            raise PeerError(f"{self.name} answers {response.status_code}{_detail(body)}")
        return body


def _name(url: str) -> str:
    """host:port, which has no secret in it."""
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}[parts.scheme]
    except (ValueError, KeyError):
        parts, port = urlsplit(""), 0
    if not parts.hostname or parts.path or parts.query or parts.fragment:
        raise UserError("a peer's URL is like https://oracle.example:8080, without a path")
    return f"{parts.hostname}:{port}"


def _detail(body: bytes) -> str:
    """What FastAPI says about an error, in print."""
    try:
        detail = json.loads(body)["detail"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return ""
    text = "".join(character for character in str(detail)[:200] if character.isprintable())
    return f": {text}"


def _page(content: Any, after: int) -> Page:
    messages = []
    for row in content["messages"]:
        sequence, kind = row["sequence"], row["kind"]
        if type(sequence) is not int or not after < sequence < 2**63 or kind not in KINDS:
            raise ValueError
        after = sequence
        signature = bytes.fromhex(row["signature"].removeprefix("0x"))
        messages.append((sequence, Message(kind, row["payload"].encode(), signature)))
    store_id = content["store_id"]
    if not isinstance(store_id, str) or len(store_id) > 200:
        raise ValueError
    return Page(store_id, tuple(messages), bool(content["more"]) and bool(messages))


# ------------------------------------------------------------ taking over messages


class Accepting(Protocol):
    """What is used of `metering.intake.Intake`."""

    def accept(self, messages: Sequence[Message], transport: str = ...) -> list[Outcome]: ...


class Keeping(Protocol):
    """What is used of `storage.cursors.Cursors`."""

    def get(self, purpose: str, peer: str) -> Cursor: ...

    def set(self, purpose: str, peer: str, cursor: Cursor) -> None: ...


@dataclass
class Rejected:
    """A message that was not let in, though a peer has it. until: monotonic seconds."""

    sequence: int
    message: Message
    until: float


class Puller:
    """Takes over one peer's messages, all of them verified anew.

    The cursor that is kept stays before the first message that is still tried again, so that a restart forgets none.
    """

    def __init__(
        self,
        peer: PeerClient,
        intake: Accepting,
        cursors: Keeping,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.peer = peer
        self._intake = intake
        self._cursors = cursors
        self._clock = clock
        self._place: Cursor | None = None
        self._kept: Cursor | None = None
        self._rejected: list[Rejected] = []

    def pull(self) -> int:
        """All there is now, a limited number of pages. Returns how many messages were new here.

        Raises PeerError, StoreError, NotReady; what was taken over until then stays.
        """
        new = self._try_again()
        behind = metrics.PEER_BEHIND.labels(self.peer.name)
        for _ in range(PAGES_AT_ONCE):
            page = self._next_page()
            new += self._take(page)
            behind.set(PAGE if page.more else 0)  # at least so many: the peer does not say
            if not page.more:
                break
        metrics.PEER_EXCHANGE.labels(self.peer.name).set_to_current_time()
        return new

    def _next_page(self) -> Page:
        if self._place is None:
            self._place = self._kept = self._cursors.get(PULL, self.peer.url)
        page = self.peer.messages(self._place.position)
        if page.store_id != self._place.store_id:
            # another database than the one we have read in: its numbers are others
            self._rejected.clear()
            self._place = Cursor(page.store_id, 0)
            page = self.peer.messages(0)
            if page.store_id != self._place.store_id:
                raise PeerError(f"{self.peer.name} changes its database while it is read")
        return page

    def _take(self, page: Page) -> int:
        new, rejected = self._accept(page.messages)
        until = self._clock() + RETRY_SECONDS
        self._rejected += [Rejected(sequence, message, until) for sequence, message in rejected]
        del self._rejected[:-RETRIED]
        assert self._place
        if page.messages:
            self._place = Cursor(page.store_id, page.messages[-1][0])
        self._keep()
        return new

    def _try_again(self) -> int:
        if not self._rejected:
            return 0
        new, rejected = self._accept([(old.sequence, old.message) for old in self._rejected])
        still = {sequence for sequence, _ in rejected}
        now = self._clock()
        self._rejected = [old for old in self._rejected if old.sequence in still and now < old.until]
        return new

    def _accept(self, messages: Sequence[tuple[int, Message]]) -> tuple[int, list[tuple[int, Message]]]:
        """How many were new, and those that were not let in."""
        if not messages:
            return 0, []
        outcomes = self._intake.accept([message for _, message in messages], "peer")
        pairs = list(zip(messages, outcomes, strict=True))
        rejected = [message for message, outcome in pairs if outcome.status == "rejected"]
        return sum(outcome.status == "stored" for outcome in outcomes), rejected

    def _keep(self) -> None:
        assert self._place
        position = self._rejected[0].sequence - 1 if self._rejected else self._place.position
        cursor = Cursor(self._place.store_id, position)
        if cursor != self._kept:
            self._cursors.set(PULL, self.peer.url, cursor)
            self._kept = cursor


class Synchroniser:
    """Brings this oracle's messages to what all have together: asks each peer in turn, in a thread of its own.

    seconds: between rounds.
    """

    def __init__(
        self,
        peers: Sequence[PeerClient],
        intake: Accepting,
        cursors: Keeping,
        seconds: float = PULL_SECONDS,
    ) -> None:
        self._pullers = [Puller(peer, intake, cursors) for peer in peers]
        self._seconds = seconds
        self._stopping = threading.Event()
        self._away: set[str] = set()
        self._threads = [
            # one each: a peer that hangs keeps nobody from the others
            threading.Thread(target=self._run, args=(puller,), name=f"pull {puller.peer.name}", daemon=True)
            for puller in self._pullers
        ]

    def step(self) -> int:
        """Ask every peer once. Returns how many messages were new here; a peer that is away is logged."""
        return sum(self._pull(puller) for puller in self._pullers)

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ends after the requests under way."""
        self._stopping.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(SECONDS + 1)

    def _run(self, puller: Puller) -> None:
        while not self._stopping.is_set():
            try:
                self._pull(puller)
            except Exception:
                # a fault of ours in one page; the thread has to live on
                log.exception("taking over messages of %s", puller.peer.name)
            self._stopping.wait(self._seconds)

    def _pull(self, puller: Puller) -> int:
        name = puller.peer.name
        try:
            new = puller.pull()
            puller.peer.identity()  # how far its clock is off
        except NotReady:
            return 0
        except (PeerError, StoreError) as error:
            if name not in self._away:
                log.warning("no messages taken over: %s", error)
            self._away.add(name)
            return 0
        if name in self._away:
            self._away.discard(name)
            log.info("%s answers again", name)
        if new:
            log.info("%d messages taken over from %s", new, name)
        return new
