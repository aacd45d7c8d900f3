"""What a market's oracle lets in: messages whose signer is the meter they speak for; each is told what came of it."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from clearwatt.metering.messages import (
    KINDS,
    MAX_PAYLOAD_BYTES,
    READINGS,
    STATEMENT,
    Entry,
    Malformed,
    Message,
    audience_of,
    readings_of,
    readings_signer,
    statement_content,
    statement_signer,
)
from clearwatt.metering.points import PointConfig
from clearwatt.service import metrics
from clearwatt.storage.database import StoreError
from clearwatt.storage.messages import MessageStore

FUTURE_SECONDS = 3600
"""How far a meter's clock may be ahead."""

Status = Literal["stored", "known", "rejected"]


class NotReady(Exception):
    """The chain has not been read yet, so nobody knows whose meter is whose; the message may be sent again later."""


class Rejected(Exception):
    """A message that is not let in, and why."""


@dataclass(frozen=True)
class Outcome:
    """What came of one message. reason: why it was rejected, in words; else empty."""

    status: Status
    reason: str = ""


@dataclass(frozen=True)
class Known:
    """What the chain says about a market's meters.

    slots: of an auction. meters: member -> meter, checksum addresses. time: of the newest block, Unix seconds.
    """

    chain_id: int
    settlement: str
    slots: int
    meters: Mapping[str, str]
    time: int = 0

    @property
    def audience(self) -> str:
        return audience_of(self.chain_id, self.settlement)


class Directory:
    """What the cycle has learned of the meters, for the threads that take messages."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: Known | None = None

    def update(
        self, *, chain_id: int, settlement: str, slots: int, meters: Mapping[str, str], time: int = 0
    ) -> None:
        """Replace all that was known; the fields are those of `Known`."""
        known = Known(chain_id, settlement, slots, dict(meters), time)
        with self._lock:
            self._known = known

    def known(self) -> Known | None:
        """None until the first update."""
        with self._lock:
            return self._known


class Intake:
    """Verifies messages and stores them. points: metering points by name; a member without any has one, called as its
    address. clock: Unix seconds. Can be called by several threads at once.
    """

    def __init__(
        self,
        store: MessageStore,
        directory: Directory,
        points: Mapping[str, PointConfig] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._directory = directory
        self._points = points or {}
        self._clock = clock

    def accept(self, messages: Sequence[Message], transport: str = "file") -> list[Outcome]:
        """Store the genuine ones, all or none; on return they are on disk. transport: as `metrics.MESSAGES` names it.

        Raises NotReady, and StoreError if the database does not take them; nothing is stored then.
        """
        known = self._directory.known()
        if known is None:
            raise NotReady("the chain has not been read yet")
        verdicts = [self._verdict(message, known) for message in messages]
        try:
            new = iter(self._store.add([verdict for verdict in verdicts if isinstance(verdict, Entry)]))
        except StoreError:
            metrics.DATABASE_ERRORS.inc()
            raise
        outcomes = [
            verdict if isinstance(verdict, Outcome) else Outcome("stored" if next(new) else "known")
            for verdict in verdicts
        ]
        _count(messages, outcomes, transport)
        return outcomes

    def _verdict(self, message: Message, known: Known) -> Entry | Outcome:
        try:
            return verify(message, known, self._points, max(self._clock(), known.time) + FUTURE_SECONDS)
        except Rejected as refusal:
            return Outcome("rejected", str(refusal))


def verify(message: Message, known: Known, points: Mapping[str, PointConfig], latest: float) -> Entry:
    """The message, if the meter it speaks for signed it. latest: Unix seconds. Raises Rejected."""
    if len(message.payload) > MAX_PAYLOAD_BYTES:
        raise Rejected(f"the payload is larger than {MAX_PAYLOAD_BYTES} bytes")
    try:
        if message.kind == STATEMENT:
            return _verified_statement(message, known)
        if message.kind == READINGS:
            return _verified_readings(message, known, points, latest)
    except Malformed as error:
        raise Rejected(str(error)) from None
    raise Rejected(f"there is no kind of message {message.kind[:20]!r}")


def _verified_statement(message: Message, known: Known) -> Entry:
    content = statement_content(message)
    _check_audience(content.audience, known)
    if len(content.readings) != known.slots:
        raise Rejected(f"it states {len(content.readings)} slots, an auction has {known.slots}")
    meter = known.meters.get(content.member)
    if meter is None:
        raise Rejected(f"{content.member} is no member with a meter")
    _check_signer(statement_signer(message, known.chain_id, known.settlement), meter)
    return Entry(message, meter, known.settlement, auction=content.auction, member=content.member)


def _verified_readings(
    message: Message, known: Known, points: Mapping[str, PointConfig], latest: float
) -> Entry:
    content = readings_of(message)
    _check_audience(audience_of(content.chain_id, content.settlement), known)
    if max(content.sent, content.last) > latest:
        raise Rejected("it speaks of the future: is the meter's clock right?")
    listed = points.get(content.point)
    meter = listed.meter if listed else known.meters.get(content.point)
    if meter is None:
        raise Rejected(f"the metering point {content.point} is not known")
    _check_signer(readings_signer(message), meter)
    span = {"first": content.first, "last": content.last}
    return Entry(message, meter, known.settlement, point=content.point, **span)


def _check_audience(audience: str, known: Known) -> None:
    if audience != known.audience:
        raise Rejected(f"it is for another market; this is {known.audience}")


def _check_signer(signer: str, meter: str) -> None:
    if signer != meter:
        raise Rejected(f"it was signed by {signer}, not by the meter {meter}")


def _count(messages: Sequence[Message], outcomes: Sequence[Outcome], transport: str) -> None:
    counts = Counter(
        (message.kind if message.kind in KINDS else "unknown", outcome.status)
        for message, outcome in zip(messages, outcomes, strict=True)
    )
    for (kind, status), number in counts.items():
        metrics.MESSAGES.labels(kind, status, transport).inc(number)
