"""Messages on their way to oracles over HTTP: an oracle is away, and gets later what it missed.

The database's log of messages is the outbox; a cursor per oracle says how far that one has it. It moves only when
the oracle has said what came of the messages, so that nothing is lost; what is sent twice is harmless.
"""

import logging
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import httpx

from clearwatt.errors import UserError
from clearwatt.metering.messages import READINGS, Message
from clearwatt.storage.cursors import Cursor, Cursors
from clearwatt.storage.messages import MessageStore

log = logging.getLogger(__name__)

BATCH = 200
TIMEOUT_SECONDS = 30.0
PURPOSE = "push"


class Undelivered(Exception):
    """An oracle did not take the messages now; they may be sent again."""


class OracleClient:
    """Where one oracle takes messages. url: as its operator names it, http(s)://host:port. timeout: seconds."""

    def __init__(
        self, url: str, transport: httpx.BaseTransport | None = None, timeout: float = TIMEOUT_SECONDS
    ) -> None:
        self.url = url.rstrip("/")
        if httpx.URL(self.url).scheme not in ("http", "https"):
            raise UserError(f"{url} is not an oracle's address like http://127.0.0.1:8080")
        self._http = httpx.Client(base_url=self.url, timeout=timeout, transport=transport)

    def send(self, messages: Sequence[Message]) -> list[dict[str, str]]:
        """What came of each message: {"status": stored | known | rejected, "reason": ...}. Raises Undelivered."""
        outcomes: list[dict[str, str]] = []
        for kind, group in groupby(messages, key=lambda message: message.kind):
            some = list(group)
            for first in range(0, len(some), BATCH):
                outcomes += self._post(kind, some[first : first + BATCH])
        return outcomes

    def _post(self, kind: str, messages: Sequence[Message]) -> list[dict[str, str]]:
        path = "/v1/readings/batch" if kind == READINGS else "/v1/statements/batch"
        try:
            answer = self._http.post(path, json={"messages": [_body(message) for message in messages]})
            content: Any = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise Undelivered(f"{self.url}: {str(error) or type(error).__name__}") from None
        if answer.status_code != httpx.codes.ACCEPTED or not isinstance(content, dict):
            reason = content.get("reason", "") if isinstance(content, dict) else ""
            raise Undelivered(f"{self.url}: {answer.status_code} {reason}".rstrip())
        outcomes = content.get("outcomes", [])
        if len(outcomes) != len(messages):
            raise Undelivered(f"{self.url}: {len(outcomes)} outcomes for {len(messages)} messages")
        return list(outcomes)

    def close(self) -> None:
        self._http.close()


class Outbox:
    """Brings one oracle the messages of a log."""

    def __init__(self, store: MessageStore, cursors: Cursors, client: OracleClient) -> None:
        self._store = store
        self._cursors = cursors
        self._client = client

    def deliver(self) -> int:
        """Send what the oracle has not had yet. Returns how many. Raises Undelivered and StoreError."""
        store_id = self._store.store_id
        cursor = self._cursors.get(PURPOSE, self._client.url)
        position = cursor.position if cursor.store_id == store_id else 0
        sent = 0
        while batch := self._store.after(position, BATCH):
            messages = [message for _, message in batch]
            for message, outcome in zip(messages, self._client.send(messages), strict=True):
                if outcome["status"] == "rejected":
                    log.warning("%s rejects a %s: %s", self._client.url, message.kind, outcome.get("reason"))
            position, sent = batch[-1][0], sent + len(batch)
            self._cursors.set(PURPOSE, self._client.url, Cursor(store_id, position))
        return sent


def _body(message: Message) -> dict[str, str]:
    return {"payload": message.payload.decode(), "signature": f"0x{message.signature.hex()}"}


def in_batches(messages: Iterator[Message], size: int = BATCH) -> Iterator[list[Message]]:
    """The messages, some at a time."""
    batch: list[Message] = []
    for message in messages:
        batch.append(message)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
