"""Metering over HTTP, through a real server."""

from collections.abc import Iterator

import httpx
import pytest

from clearwatt.metering.http import MAX_BATCH, metering_router
from clearwatt.metering.intake import Directory, Intake
from clearwatt.metering.messages import Message
from clearwatt.service.server import Server, make_app
from clearwatt.storage.database import Database
from clearwatt.storage.messages import MessageStore
from clearwatt.storage.sealing import Keyring
from tests.offchain.metering.signed import (
    STRANGER,
    directory,
    intake_at,
    readings,
    sqlite_url,
    statement,
    store_at,
)


def body_of(message: Message) -> dict[str, str]:
    return {"payload": message.payload.decode(), "signature": "0x" + message.signature.hex()}


def serving(intake: Intake) -> Iterator[httpx.Client]:
    app = make_app([metering_router(intake)])
    with Server(app, "127.0.0.1", 0) as server, httpx.Client(base_url=server.url, timeout=5) as client:
        yield client


@pytest.fixture
def parts(tmp_path):
    return intake_at(sqlite_url(tmp_path))


@pytest.fixture
def client(parts):
    yield from serving(parts[0])


@pytest.mark.parametrize(("path", "message"), [("readings", readings()), ("statements", statement())])
def test_post__genuine__accepted_and_stored_then_known(client, parts, path, message):
    first = client.post(f"/v1/{path}", json=body_of(message))
    assert (first.status_code, first.json()) == (202, {"status": "stored", "reason": ""})
    assert [kept for _, kept in parts[1].after(0)] == [message]
    again = client.post(f"/v1/{path}", json=body_of(message))
    assert (again.status_code, again.json()["status"]) == (200, "known")


def test_post__forged__refused_with_the_reason(client, parts):
    answer = client.post("/v1/statements", json=body_of(statement(key=STRANGER)))
    assert answer.status_code == 422
    assert "not by the meter" in answer.json()["reason"]
    assert parts[1].after(0) == []


def test_post__readings_as_a_statement__refused(client):
    assert client.post("/v1/statements", json=body_of(readings())).status_code == 422


def test_post__batch_of_good_and_bad__each_is_told(client, parts):
    sent = [readings(), readings(key=STRANGER), readings(), readings(251)]
    answer = client.post("/v1/readings/batch", json={"messages": [body_of(message) for message in sent]})
    assert answer.status_code == 202
    statuses = [outcome["status"] for outcome in answer.json()["outcomes"]]
    assert statuses == ["stored", "rejected", "known", "stored"]
    assert len(parts[1].after(0)) == 2


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b'{"payload": 1, "signature": "0x"}',
        b'{"payload": "\\ud800", "signature": "0x%s"}' % (b"0" * 130),
        b'{"payload": "{}", "signature": "0x%s"}' % (b"g" * 130),
    ],
)
def test_post__no_message__refused(client, body):
    answer = client.post("/v1/readings", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422


def test_post__too_many_in_a_batch__refused(client):
    messages = [body_of(readings())] * (MAX_BATCH + 1)
    assert client.post("/v1/readings/batch", json={"messages": messages}).status_code == 422


def test_post__chain_not_read_yet__to_be_sent_again(tmp_path):
    for client in serving(Intake(store_at(sqlite_url(tmp_path)), Directory())):
        answer = client.post("/v1/readings", json=body_of(readings()))
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0


def test_post__database_unusable__to_be_sent_again_and_nothing_told_of_it(tmp_path):
    store = MessageStore(Database(sqlite_url(tmp_path)), Keyring.plain())
    for client in serving(Intake(store, directory())):
        answer = client.post("/v1/readings", json=body_of(readings()))
    assert answer.status_code == 503
    assert str(tmp_path) not in answer.text


def test_openapi__every_route__described_with_its_answers(client):
    paths = client.get("/openapi.json").json()["paths"]
    assert paths.keys() == {
        f"/v1/{kind}{batch}" for kind in ("readings", "statements") for batch in ("", "/batch")
    }
    assert all({"202", "503"} <= path["post"]["responses"].keys() for path in paths.values())
