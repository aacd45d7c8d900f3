"""The cycle: read the chain, decide, say to the quorum what is to be said, do what is still to be done.

It remembers nothing that matters. What is to be done follows from the chain and the messages, so it can be stopped and
started again at any point; what somebody else has done in the meantime is simply not to be done any more.

Each auction is decided on twice: as of a block some way below the newest, which the chain will hardly take back, and as
of the newest. Only what both call for is done. What the quorum is to say is derived from the first alone, so that
oracles whose newest blocks differ say the same.
"""

import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from clearwatt.chain.market import PRICES, AuctionView, MarketClient, MarketView
from clearwatt.chain.node import NodeError, NodeRefused, Refused
from clearwatt.chain.sender import FeeAboveCap, Sender
from clearwatt.chain.typed_data import Evidence, Office
from clearwatt.oracle.actions import Actions, Crew, Said, Work
from clearwatt.oracle.decisions import (
    Action,
    Decision,
    DrawTokens,
    PostImbalance,
    PostSubstitutes,
    Settle,
    decide,
)
from clearwatt.oracle.inputs import Inputs
from clearwatt.oracle.quorum import Quorum
from clearwatt.oracle.reports import Report, make_report
from clearwatt.oracle.settings import Settings
from clearwatt.service import metrics
from clearwatt.service.health import Health
from clearwatt.service.logs import log_context, note_block
from clearwatt.service.stages import show_market
from clearwatt.storage.database import StoreError

log = logging.getLogger(__name__)

MAX_BACKOFF_SECONDS = 60.0


class CycleTimeout(BaseException):
    """A cycle took too long. No Exception, so that nothing on the way up takes it for a fault of its own."""


@dataclass(frozen=True)
class Setback:
    """An auction in which nothing could be done: left alone for some seconds, until then (monotonic time)."""

    seconds: float
    until: float


class Engine:
    """One oracle at one market.

    sender: None = look, but do nothing. viewed: told the pinned and the newest view of every cycle, for the threads
    that take messages and requests.
    """

    def __init__(
        self,
        client: MarketClient,
        inputs: Inputs,
        quorum: Quorum,
        sender: Sender | None,
        settings: Settings,
        health: Health | None = None,
        viewed: Callable[[MarketView, MarketView], None] = lambda pinned, ahead: None,
    ) -> None:
        self._client = client
        self._inputs = inputs
        self._quorum = quorum
        self._settings = settings
        self._health = health or Health(settings.cycle_seconds, settings.cycle_seconds)
        self._viewed = viewed
        self._stopping = threading.Event()
        self._actions = Actions(client, sender, settings) if sender else None
        self._crew = Crew(sender, self._stopping.is_set, settings.dry_run) if sender else None
        self._pinned: MarketView | None = None
        self._finished: set[int] = set()
        self._setbacks: dict[int, Setback] = {}
        self._said: dict[int, str] = {}
        self._failures = 0

    # ------------------------------------------------------------ running

    def run(self) -> None:
        """Cycle until stopped by SIGINT or SIGTERM; a node or database that is away is waited for."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._stop)
        log.info("watching the market at %s", self._client.market.address)
        pause = 0.0
        while not self._stopping.wait(pause):
            pause = self._guarded_cycle(pause)
            self._health.progressed(pause)
        self._health.stopping()
        log.info("stopped")

    def _stop(self, number: int, _frame: Any) -> None:
        log.info("%s: finishing the step under way", signal.Signals(number).name)
        self._stopping.set()

    def _guarded_cycle(self, pause: float) -> float:
        """A cycle, and seconds to wait until the next. pause: what was waited before this one."""
        try:
            with metrics.CYCLE_SECONDS.time(), _limited(self._settings.cycle_seconds):
                busy = self.cycle()
        except CycleTimeout:
            problem = f"the cycle took longer than {self._settings.cycle_seconds:g} s and was given up"
            return self._failed(problem, "timeout", pause)
        except (NodeError, Refused, StoreError) as error:
            return self._failed(str(error), "failed", pause)
        self._succeeded()
        return 0.0 if busy else self._settings.poll_seconds

    def _failed(self, problem: str, outcome: str, pause: float) -> float:
        metrics.CYCLES.labels(outcome).inc()
        self._failures += 1
        metrics.FAILURES_IN_A_ROW.set(self._failures)
        if self._failures >= self._settings.breaker_failures:
            pause = self._settings.breaker_seconds
            metrics.BREAKER_OPEN.set(1)
            self._health.breaker_opened(problem)
        else:
            pause = _longer(pause if self._failures > 1 else 0.0)
        log.warning("%s; next try in %.0f s", problem, pause)
        return pause

    def _succeeded(self) -> None:
        metrics.CYCLES.labels("good").inc()
        metrics.CYCLE_GOOD.set_to_current_time()
        metrics.FAILURES_IN_A_ROW.set(0)
        metrics.BREAKER_OPEN.set(0)
        if self._failures >= self._settings.breaker_failures:
            log.info("the circuit breaker is closed again")
        self._failures = 0
        self._health.breaker_closed()

    # ------------------------------------------------------------ one cycle

    def cycle(self) -> bool:
        """Do the next thing for every auction. Returns whether anything was sent. Raises NodeError, StoreError."""
        pinned, ahead = self._refresh()
        works: list[Work] = []
        for number in sorted(pinned.auctions):
            if number not in self._finished and not self._is_held_back(number):
                works += self._planned(number, pinned, ahead)
        sent = self._carry_out(works)
        metrics.HELD_BACK.set(sum(self._is_held_back(number) for number in self._setbacks))
        return sent

    def decisions(self) -> list[Decision]:
        """What there is to do as of the pinned block, auction by auction. Raises NodeError, StoreError."""
        pinned, _ = self._refresh()
        return [self._decide(pinned, auction) for _, auction in sorted(pinned.auctions.items())]

    def _refresh(self) -> tuple[MarketView, MarketView]:
        pinned, ahead = self._client.views()
        if pinned is not self._pinned:  # the chain changed its past, and may have undone what was finished
            if self._pinned is not None:
                metrics.REORGANISATIONS.inc()
            self._pinned = pinned
            self._finished.clear()
        note_block(pinned.reference.number)
        metrics.PINNED_BLOCK.set(pinned.reference.number)
        metrics.PINNED_TIME.set(pinned.reference.timestamp)
        metrics.HEAD_BLOCK.set(ahead.reference.number)
        metrics.HEAD_TIME.set(ahead.reference.timestamp)
        show_market(ahead, self._client.rules)
        self._viewed(pinned, ahead)
        self._health.viewed()
        return pinned, ahead

    def _planned(self, number: int, pinned: MarketView, ahead: MarketView) -> list[Work]:
        """The work for one auction; where it cannot be told, the auction is set back."""
        if self._stopping.is_set():
            return []
        self._health.progressed()
        try:
            with log_context(auction=number):
                return list(self._works(number, pinned, ahead))
        except (NodeRefused, Refused) as refusal:
            self._set_back(number, str(refusal))
        except (NodeError, StoreError):
            raise
        except Exception as error:
            # a fault of ours in one auction; the others have a right to be served
            log.exception("auction %d", number)
            self._set_back(number, repr(error))
        return []

    def _works(self, number: int, pinned: MarketView, ahead: MarketView) -> Iterator[Work]:
        auction = pinned.auctions[number]
        decision = self._decide(pinned, auction)
        if decision.finished:
            self._finished.add(number)
        if not decision.actions or self._actions is None or pinned.office is None:
            return
        report = self._report(pinned, auction, decision)
        if report.contents:
            self._quorum.publish(report, pinned.office)
        newest = ahead.auctions.get(number)
        if newest is None or not self._quorum.my_turn(number, time.time(), pinned.office):
            return
        now = decision if ahead is pinned else self._decide(ahead, newest)
        wanted = [action for action in map(_still_wanted(now), decision.actions) if action]
        said = self._say(report, pinned.office, wanted)
        self._tell(number, decision.reason if wanted else "")
        statements = self._inputs.statements(ahead, newest) if _needs_statements(wanted) else {}
        for action in wanted:
            yield from self._actions.works(newest, action, statements, said)

    def _decide(self, view: MarketView, auction: AuctionView) -> Decision:
        decision = decide(
            auction,
            self._client.rules,
            view.reference.timestamp,
            lambda waiting: self._inputs.statements(view, waiting),
            lambda waiting: {
                member: substitute.readings for member, substitute in self._substitutes(view, waiting).items()
            },
        )
        if isinstance(decision.action, DrawTokens) and not self._settings.draw_tokens:
            return Decision(decision.auction, "settled; tokens are left to their owners", finished=True)
        return decision

    def _substitutes(self, view: MarketView, auction: AuctionView) -> Any:
        return self._inputs.substitutes(view, auction, self._inputs.statements(view, auction))

    def _tell(self, number: int, reason: str) -> None:
        """Why something is done; not again and again while it waits for others."""
        if reason and self._said.get(number) != reason:
            log.info("auction %d: %s", number, reason)
        self._said[number] = reason

    # ------------------------------------------------------------ what the quorum says

    def _report(self, view: MarketView, auction: AuctionView, decision: Decision) -> Report:
        speaking = [
            action for action in decision.actions if isinstance(action, (PostImbalance, PostSubstitutes))
        ]
        block = view.reference.number
        if not speaking:
            return Report(auction.number, block, {}, {})
        statements = self._inputs.statements(view, auction)
        substitutes = self._inputs.substitutes(view, auction, statements)
        return make_report(auction, self._client.rules, block, speaking, statements, substitutes)

    def _say(self, report: Report, office: Office, wanted: list[Action]) -> Said | None:
        """What the quorum signed of the report, if anything of it is wanted now."""
        if not any(isinstance(action, (PostImbalance, PostSubstitutes)) for action in wanted):
            return None
        if not report.contents:
            return Said(report, lambda subject: None)
        gathered = self._quorum.gather(report, office)
        waiting = [subject for subject in report.contents if gathered.signatures(subject) is None]
        metrics.BELOW_THRESHOLD.set(len(waiting))
        if waiting:
            what = "imbalance prices" if PRICES in waiting else f"{len(waiting)} substitutes"
            log.info("auction %d: %s wait for other oracles' signatures", report.auction, what)
        return Said(report, gathered.signatures)

    # ------------------------------------------------------------ doing it

    def _carry_out(self, works: list[Work]) -> bool:
        """Returns whether anything was sent. Auctions in which something was refused are set back."""
        if not works or self._crew is None:
            return False
        try:
            return self._crew.carry_out(works)
        except FeeAboveCap as problem:
            log.warning("%s: waiting", problem)
            return False
        finally:
            for number in sorted({work.auction for work in works}):
                refusals = [text for work in works if work.auction == number for text in work.refusals]
                if refusals:
                    self._set_back(number, "; ".join(refusals))
                else:
                    self._setbacks.pop(number, None)

    def _is_held_back(self, number: int) -> bool:
        return number in self._setbacks and time.monotonic() < self._setbacks[number].until

    def _set_back(self, number: int, why: str) -> None:
        """Somebody was faster, or something is wrong: say it, and leave the auction alone for a while."""
        before = self._setbacks.get(number, Setback(0.0, 0.0))
        pause = _longer(before.seconds)
        self._setbacks[number] = Setback(pause, time.monotonic() + pause)
        log.warning("auction %d: %s; next try in %.0f s", number, why, pause)


def _still_wanted(now: Decision) -> Callable[[Action], Action | None]:
    """What is left of an action that was called for some blocks ago."""

    def left(action: Action) -> Action | None:
        same = [each for each in now.actions if _kind(each) == _kind(action)]
        if not same:
            return None
        members = getattr(action, "members", None)
        if members is None:
            return action
        wanted = tuple(member for member in members if member in same[0].members)  # type: ignore[union-attr]
        return replace(action, members=wanted) if wanted else None  # type: ignore[call-arg]

    return left


def _kind(action: Action) -> tuple[type, Evidence | None]:
    return type(action), action.evidence if isinstance(action, Settle) else None


def _needs_statements(actions: list[Action]) -> bool:
    return any(isinstance(action, Settle) and action.evidence is Evidence.METER for action in actions)


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """Raises CycleTimeout in the main thread when the time is over, whatever it waits for then."""
    signal.signal(signal.SIGALRM, _time_is_over)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)


def _time_is_over(_number: int, _frame: Any) -> None:
    raise CycleTimeout


def _longer(pause: float) -> float:
    return min(max(2 * pause, 1.0), MAX_BACKOFF_SECONDS)
