"""Alive and ready: when, and what is said when not."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import pytest

from clearwatt.service import metrics
from clearwatt.service.health import CHECKED_FOR_SECONDS, Health, health_router
from clearwatt.service.server import Server, make_app

SILENCE, VIEW_AGE = 60.0, 30.0


class Time:
    """Passes when told to."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def health(time: Time) -> Health:
    """Of a service that has read the chain just now."""
    health = Health(SILENCE, VIEW_AGE, clock=time)
    health.progressed()
    health.viewed()
    return health


def checked(time: Time, check: Callable[[], str]) -> Health:
    health = Health(SILENCE, VIEW_AGE, {"database": check}, clock=time)
    health.viewed()
    return health


def test_alive__progress_within_the_limit__until_it_is_over(health: Health, time: Time) -> None:
    time.now += SILENCE
    assert health.alive()
    time.now += 1
    assert not health.alive()
    assert health.hanging() == "the cycle has made no progress for 61 s"


def test_alive__announced_pause__is_no_hang(health: Health, time: Time) -> None:
    health.progressed(pause=600)
    time.now += 600 + SILENCE
    assert health.alive()
    time.now += 1
    assert not health.alive()


def test_alive__just_started__has_as_long_as_ever(time: Time) -> None:
    health = Health(SILENCE, VIEW_AGE, clock=time)
    assert health.alive()
    time.now += SILENCE + 1
    assert not health.alive()


def test_ready__nothing_read_yet__not(time: Time) -> None:
    assert Health(SILENCE, VIEW_AGE, clock=time).obstacles() == {"view": "the chain has not been read yet"}


def test_ready__view_grows_old__not_until_it_is_read_again(health: Health, time: Time) -> None:
    assert health.ready()
    time.now += VIEW_AGE + 1
    assert health.obstacles() == {"view": "the view of the chain is 31 s old"}
    assert health.alive()
    health.viewed()
    assert health.ready()


def test_ready__breaker_open__says_why_until_it_closes(health: Health) -> None:
    health.breaker_opened("5 cycles failed: the node does not answer")
    assert health.obstacles() == {
        "breaker": "the circuit breaker is open: 5 cycles failed: the node does not answer"
    }
    assert health.alive()
    health.breaker_closed()
    assert health.ready()


def test_ready__stopping__not(health: Health) -> None:
    health.stopping()
    assert health.obstacles() == {"process": "the process is stopping"}


def test_ready__check_that_answers_or_raises__its_words(time: Time) -> None:
    def raising() -> str:
        raise OSError("the disk is full")

    assert checked(time, lambda: "").ready()
    assert checked(time, lambda: "it is read-only").obstacles() == {"database": "it is read-only"}
    assert checked(time, raising).obstacles() == {"database": "the disk is full"}


def test_ready__asked_often__the_check_is_done_once_in_a_while(time: Time) -> None:
    asked = []
    health = checked(time, lambda: asked.append(1) or "")  # type: ignore[func-returns-value]
    for _ in range(5):
        assert health.ready()
    assert len(asked) == 1
    time.now += CHECKED_FOR_SECONDS
    assert health.ready()
    assert len(asked) == 2


# ------------------------------------------------------------ over HTTP


@pytest.fixture
def client(health: Health) -> Iterator[httpx.Client]:
    with serving(health) as client:
        yield client


@contextmanager
def serving(health: Health) -> Iterator[httpx.Client]:
    with (
        Server(make_app([health_router(health)]), "127.0.0.1", 0) as server,
        httpx.Client(base_url=server.url, timeout=5) as client,
    ):
        yield client


def test_http__all_is_well__200(client: httpx.Client) -> None:
    for path in ("/health", "/ready"):
        answer = client.get(path)
        assert (answer.status_code, answer.json()) == (200, {"ok": True, "obstacles": {}})


def test_http__view_too_old__alive_but_not_ready(client: httpx.Client, time: Time) -> None:
    time.now += VIEW_AGE + 1
    assert client.get("/health").status_code == 200
    answer = client.get("/ready")
    assert answer.status_code == 503
    assert answer.json() == {"ok": False, "obstacles": {"view": "the view of the chain is 31 s old"}}


def test_http__hanging__neither(client: httpx.Client, time: Time) -> None:
    time.now += SILENCE + 1
    assert client.get("/health").status_code == 503
    assert set(client.get("/ready").json()["obstacles"]) == {"cycle", "view"}


def test_http__metrics__in_prometheus_text(client: httpx.Client) -> None:
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    assert "# TYPE clearwatt_cycle_duration_seconds histogram" in answer.text


def test_http__metrics_of_a_check__are_as_new_as_the_scrape(time: Time) -> None:
    def asked() -> str:
        metrics.DATABASE_UP.set(1)
        return ""

    metrics.DATABASE_UP.set(0)
    with serving(checked(time, asked)) as client:
        assert "clearwatt_database_up 1.0" in client.get("/metrics").text
