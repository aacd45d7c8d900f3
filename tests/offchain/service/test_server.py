"""A real server on a real port."""

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator

import httpx
import pytest
from fastapi import APIRouter, Request

from clearwatt.errors import UserError
from clearwatt.service import metrics
from clearwatt.service.server import Server, make_app, parse_address

HOST = "127.0.0.1"
LIMIT = 1_000


def router() -> APIRouter:
    router = APIRouter()

    @router.post("/echo")
    async def echo(request: Request) -> int:
        return len(await request.body())

    @router.post("/parsed")
    def parsed(body: list[int]) -> int:
        return len(body)

    @router.get("/members/{member}")
    def member(member: str) -> str:
        return member

    @router.get("/slow")
    def slow() -> str:
        time.sleep(0.5)
        return "done"

    return router


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server(make_app([router()], LIMIT), HOST, 0) as server:
        yield server


# ------------------------------------------------------------ addresses


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("0.0.0.0:8080", ("0.0.0.0", 8080)),
        ("localhost:0", ("localhost", 0)),
        ("[::1]:65535", ("::1", 65_535)),
    ],
)
def test_parse_address__host_and_port__both(text: str, address: tuple[str, int]) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize(
    "text", ["", "8080", ":8080", "localhost", "localhost:", "localhost:65536", "a:-1", "a:1x"]
)
def test_parse_address__something_else__one_sentence(text: str) -> None:
    with pytest.raises(UserError, match="is no address to listen on: HOST:PORT is"):
        parse_address(text)


# ------------------------------------------------------------ serving


def test_start__port_zero__a_free_one_that_answers(server: Server) -> None:
    assert server.port > 0
    assert server.running()
    assert httpx.get(f"{server.url}/members/retailer").json() == "retailer"


def test_new__port_taken__one_sentence(server: Server) -> None:
    with pytest.raises(
        UserError, match=rf"^{HOST}:{server.port} cannot be listened on: another program uses"
    ):
        Server(make_app([]), HOST, server.port)


def test_new__address_of_another_machine__one_sentence() -> None:
    with pytest.raises(UserError, match="cannot be listened on: Cannot assign requested address"):
        Server(make_app([]), "192.0.2.1", 0)


def test_new__host_that_does_not_exist__one_sentence() -> None:
    with pytest.raises(UserError, match=r"nowhere\.invalid:0 cannot be listened on"):
        Server(make_app([]), "nowhere.invalid", 0)


def test_stop__request_under_way__is_finished_and_the_port_is_free_again() -> None:
    server = Server(make_app([router()]), HOST, 0)
    server.start()
    answers: list[str] = []
    thread = threading.Thread(target=lambda: answers.append(httpx.get(f"{server.url}/slow").json()))
    thread.start()
    time.sleep(0.2)
    server.stop()
    thread.join()
    assert answers == ["done"]
    assert not server.running()
    Server(make_app([]), HOST, server.port).stop()


def test_stop__never_started__gives_the_port_back() -> None:
    server = Server(make_app([]), HOST, 0)
    server.stop()
    Server(make_app([]), HOST, server.port).stop()


def test_openapi__routes__described(server: Server) -> None:
    described = httpx.get(f"{server.url}/openapi.json").json()
    assert described["info"]["title"] == "Clearwatt oracle"
    assert "/members/{member}" in described["paths"]


# ------------------------------------------------------------ sizes


@pytest.mark.parametrize("path", ["/echo", "/parsed"])
def test_body__larger_than_allowed__413(server: Server, path: str) -> None:
    body = json.dumps([1] * LIMIT).encode()
    answer = httpx.post(server.url + path, content=body, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()) == (413, {"detail": "the body is larger than 1000 bytes"})


@pytest.mark.parametrize("path", ["/echo", "/parsed"])
def test_body__too_large_in_chunks_of_unknown_number__413(server: Server, path: str) -> None:
    connection = http.client.HTTPConnection(HOST, server.port, timeout=10)
    chunks = iter([b"[1", *[b",1" * 100] * 10, b"]"])
    connection.request("POST", path, chunks, {"content-type": "application/json"}, encode_chunked=True)
    assert connection.getresponse().status == 413
    connection.close()


def test_body__as_large_as_allowed__taken(server: Server) -> None:
    assert httpx.post(f"{server.url}/echo", content=b"x" * LIMIT).json() == LIMIT


def test_garbage__instead_of_http__the_next_request_is_served(server: Server) -> None:
    with socket.create_connection((HOST, server.port)) as stranger:
        stranger.sendall(b"\x00\xffnot http at all\r\n\r\n")
        assert b"400" in stranger.recv(1_000)
    assert httpx.get(f"{server.url}/members/producer").status_code == 200


# ------------------------------------------------------------ measured


def count(route: str, status: int, method: str = "GET") -> float:
    labels = {"method": method, "route": route, "status": str(status)}
    name = "clearwatt_http_request_duration_seconds_count"
    return metrics.REGISTRY.get_sample_value(name, labels) or 0.0


def counted(route: str, status: int, expected: float) -> bool:
    """Whether so many are counted, which a request is just after its answer has gone out."""
    deadline = time.monotonic() + 2
    while count(route, status) != expected and time.monotonic() < deadline:
        time.sleep(0.005)
    return count(route, status) == expected


def test_measured__different_members__one_series(server: Server) -> None:
    before = count("/members/{member}", 200)
    for member in ("0x01", "0x02"):
        httpx.get(f"{server.url}/members/{member}")
    assert counted("/members/{member}", 200, before + 2)


def test_measured__paths_that_do_not_exist__one_series(server: Server) -> None:
    before = count("none", 404)
    for path in ("wp-login", "admin"):
        httpx.get(f"{server.url}/{path}")
    assert counted("none", 404, before + 2)
