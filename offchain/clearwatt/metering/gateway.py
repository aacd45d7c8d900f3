"""The gateway: for meters whose keys are held here, each delivered auction's readings become a signed statement.

What has been stated it reads from its database, so it can be stopped and started at any point. A statement is made
once: the chain takes one, and a second would only leave the oracles to choose.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from clearwatt.metering.intake import Intake
from clearwatt.metering.market_file import MeteredMarket
from clearwatt.metering.messages import readings_of, sign_statement
from clearwatt.metering.outbox import Outbox, Undelivered
from clearwatt.metering.points import PointConfig, points_of
from clearwatt.metering.readings import ReadingsMessage
from clearwatt.metering.series_store import SeriesStore
from clearwatt.metering.signing import MeterKeys
from clearwatt.metering.vee import MemberSeries, history_end, history_start, member_net
from clearwatt.service import metrics
from clearwatt.storage.database import StoreError
from clearwatt.storage.messages import MessageStore

log = logging.getLogger(__name__)

MAX_BACKOFF_SECONDS = 60.0
LARGEST_READING = 2**31


@dataclass(frozen=True)
class GatewaySettings:
    """How it runs, seconds.

    patience: how long after delivery measured values are waited for before substitutes are used. look_back: how old an
    auction may be to be stated still. poll: between looks.
    """

    patience: int
    look_back: int
    poll: float = 10.0


class Gateway:
    """States what the points' meters measured. points: by identifier; those whose key is not held are left alone."""

    def __init__(
        self,
        market: MeteredMarket,
        points: Mapping[str, PointConfig],
        keys: MeterKeys,
        store: MessageStore,
        series: SeriesStore,
        intake: Intake,
        outboxes: Sequence[Outbox],
        settings: GatewaySettings,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._market = market
        self._members = {
            point.member: points_of(points, point.member) for point in points.values() if keys.holds(point)
        }
        self._keys = keys
        self._store = store
        self._series = series
        self._intake = intake
        self._outboxes = outboxes
        self._settings = settings
        self._clock = clock
        self._told: set[tuple[int, str]] = set()

    def run(self, stopping: threading.Event) -> None:
        """Go on until told to stop; oracles and the database may be away for a while."""
        pause = 0.0
        while not stopping.wait(pause):
            try:
                self.step()
            except (StoreError, Undelivered) as error:
                pause = min(max(2 * pause, 1.0), MAX_BACKOFF_SECONDS)
                log.warning("%s; next try in %.0f s", error, pause)
            else:
                pause = self._settings.poll

    def step(self) -> None:
        """State what can be stated, and bring the oracles what they lack.

        Raises StoreError; Undelivered once every oracle has been tried.
        """
        for auction in self._delivered():
            self._state_auction(auction)
        away = []
        for outbox in self._outboxes:
            try:
                if sent := outbox.deliver():
                    log.info("%d messages delivered", sent)
            except Undelivered as error:
                away.append(str(error))
        if away:
            raise Undelivered("; ".join(away))

    def _delivered(self) -> range:
        """Auctions whose delivery is over, as far back as is looked."""
        schedule, now = self._market.schedule, int(self._clock())
        length = schedule.slots * schedule.slot_seconds
        last = (now - schedule.genesis) // length  # the one under way
        return range(max(last - self._settings.look_back // length, 0), max(last, 0))

    def _state_auction(self, auction: int) -> None:
        stated = self._store.statements(self._market.settlement, auction)
        for member, points in sorted(self._members.items()):
            if member not in stated:
                self._state(auction, member, points)

    def _state(self, auction: int, member: str, points: Sequence[PointConfig]) -> None:
        series = self._net(auction, points)
        patient = self._clock() < self._market.schedule.delivery_end(auction) + self._settings.patience
        if not series.complete or (patient and not series.measured.all()):
            if not patient and (auction, member) not in self._told:
                self._told.add((auction, member))
                log.warning("auction %d: too little is known to state for %s", auction, member)
            return
        readings = series.values.tolist()
        if max(map(abs, readings)) >= LARGEST_READING:
            log.error("auction %d: %s cannot have moved so much energy", auction, member)
            return
        for part in series.parts.values():
            self._series.add(self._market.settlement, auction, part)
            for decision in part.decisions:
                metrics.VEE_DECISIONS.labels(decision.rule).inc()
        key = self._keys.of(points[0])
        message = sign_statement(
            key, self._market.chain_id, self._market.settlement, auction, member, readings
        )
        (outcome,) = self._intake.accept([message])
        log.info("auction %d: statement for %s %s %s", auction, member, outcome.status, outcome.reason)

    def _net(self, auction: int, points: Sequence[PointConfig]) -> MemberSeries:
        """The member's series, of the auction's own messages if they do, else with all that can help."""
        schedule = self._market.schedule
        first, last = schedule.delivery_start(auction), schedule.delivery_end(auction)
        if not any(point.spike_spreads for point in points):
            series = self._clean(points, first, last, (first, last))
            if series.measured.all():
                return series
        return self._clean(points, first, last, (history_start(first), history_end(last)))

    def _clean(
        self, points: Sequence[PointConfig], first: int, last: int, reach: tuple[int, int]
    ) -> MemberSeries:
        names = [point.point for point in points]
        messages: dict[str, list[ReadingsMessage]] = {name: [] for name in names}
        for message in self._store.readings(names, *reach, self._market.settlement):
            content = readings_of(message)
            messages[content.point].append(content)
        return member_net(messages, points, first, last, self._market.schedule.slot_seconds)
