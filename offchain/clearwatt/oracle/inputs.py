"""What the meters said, as far as the oracle may go by it."""

import logging
from collections.abc import Mapping, Sequence
from typing import Protocol

from clearwatt.chain import codec, typed_data
from clearwatt.chain.market import AuctionView, MarketClient, MarketView
from clearwatt.metering.messages import Message
from clearwatt.metering.points import PointConfig
from clearwatt.metering.statements import Statement
from clearwatt.oracle.decisions import Statements
from clearwatt.oracle.reports import chain_takes, chosen
from clearwatt.oracle.substitutes import Substitute, substitutes_for
from clearwatt.storage.messages import MessageStore

log = logging.getLogger(__name__)


class Book(Protocol):
    """Where statements are kept."""

    def of(self, auction: int) -> Mapping[str, list[Statement]]:
        """All statements kept for an auction, by member. Raises StoreError."""


class MessageBook:
    """The statements in a log of messages."""

    def __init__(self, store: MessageStore, settlement: str) -> None:
        self._store = store
        self._settlement = settlement

    def of(self, auction: int) -> Mapping[str, list[Statement]]:
        return self._store.statements(self._settlement, auction)


class Inputs:
    """The genuine statements and the substitutes at one market.

    books: where statements are kept. store: where readings are. points: metering points by identifier.
    """

    def __init__(
        self,
        client: MarketClient,
        books: Sequence[Book],
        store: MessageStore,
        points: Mapping[str, PointConfig],
    ) -> None:
        self._client = client
        self._books = books
        self._store = store
        self._points = points
        self._reported: set[Statement] = set()

    def statements(self, view: MarketView, auction: AuctionView) -> Statements:
        """For every unsettled member the statement that counts, of those kept that its own meter signed."""
        kept: dict[str, list[Statement]] = {}
        for book in self._books:
            for member, statements in book.of(auction.number).items():
                kept.setdefault(member, []).extend(statements)
        found = {}
        for member in auction.unsettled:
            genuine = [each for each in kept.get(member, ()) if self._is_genuine(view, each)]
            if genuine:
                found[member] = chosen(genuine)
        return found

    def substitutes(
        self, view: MarketView, auction: AuctionView, statements: Statements
    ) -> dict[str, Substitute]:
        """Readings in place of the meters that are silent, where there is enough to go by."""
        silent = [
            member
            for member in auction.unsettled
            if member not in statements and member not in auction.substitutes
        ]
        return substitutes_for(view, auction, self._client.rules, silent, self._points, self._readings)

    def _readings(self, points: Sequence[str], first: int, last: int) -> list[Message]:
        return self._store.readings(points, first, last, self._client.settlement.address)

    def _is_genuine(self, view: MarketView, statement: Statement) -> bool:
        """Whether the Settlement contract will take it. A fault is told once, not in every cycle."""
        fault = self._fault(view, statement)
        if fault and statement not in self._reported:
            self._reported.add(statement)
            log.warning("auction %d: a statement for %s %s", statement.auction, statement.member, fault)
        return not fault

    def _fault(self, view: MarketView, statement: Statement) -> str:
        try:
            readings = codec.unpack_readings(statement.readings)
            signer = typed_data.signer_of(self._message(statement, readings), statement.signature)
        except Exception as error:  # whatever a stranger stored: eth-account raises many kinds
            return f"is malformed: {error}"
        if len(readings) != self._client.rules.schedule.slots:
            return f"has {len(readings)} readings, not {self._client.rules.schedule.slots}"
        if not chain_takes(statement.signature):
            return "has a signature in a form that the chain does not take"
        return "" if signer == view.meters.get(statement.member) else "is not its meter's"

    def _message(self, statement: Statement, readings: Sequence[int]) -> typed_data.TypedData:
        deployment = self._client.deployment
        settlement = deployment["Settlement"].address
        return typed_data.meter_statement(
            deployment.chain_id, settlement, statement.auction, statement.member, readings
        )
