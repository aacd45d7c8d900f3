"""Whether the service lives and whether it is of use just now: what an orchestrator and a load balancer ask.

`/health` fails when the process should be started anew, `/ready` when it can do nothing useful at the moment and
should be left alone; `/metrics` has the details.
"""

import time
from collections.abc import Callable, Mapping
from threading import Lock

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from clearwatt.service.metrics import REGISTRY

Check = Callable[[], str]
"""What is wrong, in words; "" if nothing is. Must come back within seconds; may raise anything."""

CHECKED_FOR_SECONDS = 2.0
"""For how long a check's answer holds, so that asking often costs the database nothing."""


class Health:
    """What the threads of a service know about its state; thread-safe.

    silence_seconds: after the cycle has shown no progress for so long, it hangs.
    view_seconds: an older view of the chain is not worth acting on.
    checks: further conditions of readiness by name, say the database's.
    clock: monotonic time in seconds.
    """

    def __init__(
        self,
        silence_seconds: float,
        view_seconds: float,
        checks: Mapping[str, Check] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._silence, self._view_age = silence_seconds, view_seconds
        self._checks = dict(checks or {})
        self._clock = clock
        self._lock = Lock()
        self._due = clock() + silence_seconds
        self._viewed: float | None = None
        self._breaker = ""
        self._stopping = False
        self._answers: dict[str, tuple[float, str]] = {}

    # ------------------------------------------------------------ what the threads tell

    def progressed(self, pause: float = 0.0) -> None:
        """The cycle did a step, and may be silent for `pause` seconds by intention."""
        with self._lock:
            self._due = self._clock() + pause + self._silence

    def viewed(self) -> None:
        """The chain was read and the view is as new as can be."""
        with self._lock:
            self._viewed = self._clock()

    def breaker_opened(self, reason: str) -> None:
        with self._lock:
            self._breaker = reason or "too many failures in a row"

    def breaker_closed(self) -> None:
        with self._lock:
            self._breaker = ""

    def stopping(self) -> None:
        """No more requests should come: the process is about to end."""
        with self._lock:
            self._stopping = True

    # ------------------------------------------------------------ what others ask

    def hanging(self) -> str:
        """ "" while the cycle makes progress, else for how long it has made none."""
        with self._lock:
            overdue = self._clock() - self._due
        return "" if overdue <= 0 else f"the cycle has made no progress for {overdue + self._silence:.0f} s"

    def alive(self) -> bool:
        return not self.hanging()

    def obstacles(self) -> dict[str, str]:
        """What stands in the way of useful work, in words, by name; empty when ready."""
        found = {"cycle": self.hanging(), **self._known(), **{name: self._ask(name) for name in self._checks}}
        return {name: text for name, text in found.items() if text}

    def ready(self) -> bool:
        return not self.obstacles()

    def _known(self) -> dict[str, str]:
        with self._lock:
            return {
                "process": "the process is stopping" if self._stopping else "",
                "breaker": f"the circuit breaker is open: {self._breaker}" if self._breaker else "",
                "view": self._stale(),
            }

    def _stale(self) -> str:
        if self._viewed is None:
            return "the chain has not been read yet"
        age = self._clock() - self._viewed
        return f"the view of the chain is {age:.0f} s old" if age > self._view_age else ""

    def _ask(self, name: str) -> str:
        with self._lock:
            asked, answer = self._answers.get(name, (float("-inf"), ""))
        if self._clock() - asked < CHECKED_FOR_SECONDS:
            return answer
        try:
            answer = self._checks[name]()
        except Exception as error:  # whatever it is, this part does not work
            answer = str(error) or type(error).__name__
        with self._lock:
            self._answers[name] = (self._clock(), answer)
        return answer


def health_router(health: Health) -> APIRouter:
    """GET /health, /ready (200 or 503, with the reasons) and /metrics (Prometheus' text format)."""
    router = APIRouter(tags=["operation"])

    @router.get("/health", summary="Does the process live? 503: start it anew")
    def live() -> JSONResponse:
        return _answer({"cycle": health.hanging()})

    @router.get("/ready", summary="Can it do useful work now? 503: not at the moment")
    def ready() -> JSONResponse:
        return _answer(health.obstacles())

    @router.get("/metrics", summary="Metrics for Prometheus", response_class=Response)
    def metrics() -> Response:
        health.obstacles()  # the checks behind it set metrics of their own, which else are as old as the last /ready
        return Response(generate_latest(REGISTRY), media_type=CONTENT_TYPE_LATEST)

    return router


def _answer(reasons: Mapping[str, str]) -> JSONResponse:
    obstacles = {name: text for name, text in reasons.items() if text}
    return JSONResponse({"ok": not obstacles, "obstacles": obstacles}, 503 if obstacles else 200)
