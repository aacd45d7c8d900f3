"""A node's endpoint as one meets them: it hangs, refuses, drops calls, lies about its height, answers with old data.

A real HTTP server in front of a real node. What it is asked it passes on, unless it is told to do something else.
"""

import json
import socket
import struct
import threading
import time
from contextlib import suppress
from enum import StrEnum
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from tests import nodes

Call = dict[str, Any]
UPSTREAM_SECONDS = 60
LINGER_NOT = struct.pack("ii", 1, 0)
"""SO_LINGER with no time left: the connection is reset, not closed."""

TAGS = ("latest", "pending", "safe", "finalized")
BUSY = {"code": -32005, "message": "daily request count exceeded, request rate limited"}


class Ill(StrEnum):
    """What can be wrong with an endpoint."""

    NOTHING = "nothing"
    HANG = "takes calls and never answers"
    REFUSE = "refuses connections"
    RESET = "resets connections"
    HALF = "drops every second call"
    SLOW = "answers slowly"
    ERROR_500 = "answers with HTTP 500"
    ERROR_429 = "answers with HTTP 429"
    RPC_ERROR = "answers every call with a JSON-RPC error"
    GARBAGE = "answers with garbage"
    HIGH = "claims a height that is not there"
    LOW = "claims a height long past"
    OLD = "answers with old data"


class Dropped(Exception):
    """The call gets no answer. reset: the connection does not even end properly."""

    def __init__(self, reset: bool = False) -> None:
        self.reset = reset


class FaultProxy:
    """An endpoint at `url` in front of the node at `node`.

    slow_seconds: per call under `Ill.SLOW`. shift: blocks by which the height is wrong under HIGH and LOW.
    """

    def __init__(self, node: str, slow_seconds: float = 0.7, shift: int = 40) -> None:
        parts = urlsplit(node)
        assert parts.hostname
        assert parts.port
        self._node = (parts.hostname, parts.port)
        self._port = nodes.free_port()
        self.url = f"http://{nodes.HOST}:{self._port}"
        self.slow_seconds = slow_seconds
        self.shift = shift
        self._ill = Ill.NOTHING
        self._well = threading.Event()
        self._well.set()
        self._frozen = 0
        self._count = 0
        self._lock = threading.Lock()
        self._server: _Server | None = None
        self._listen()

    # ------------------------------------------------------------ what is wrong with it

    @property
    def ill(self) -> Ill:
        return self._ill

    def fall_ill(self, ill: Ill) -> None:
        """From now on; calls under way are served as before, connections that are open feel it at once."""
        self._frozen = self.height() if ill is Ill.OLD else 0
        self._ill = ill
        self._well.clear()
        if ill in (Ill.REFUSE, Ill.RESET):
            self._drop_connections()
        if ill is Ill.REFUSE:
            self._close()

    def recover(self) -> None:
        """Well again; calls that hang are let go without an answer."""
        refused = self._ill is Ill.REFUSE
        self._ill = Ill.NOTHING
        self._well.set()
        if refused:
            self._listen()

    def height(self) -> int:
        """The node's own, whatever is wrong here."""
        call = {"jsonrpc": "2.0", "id": 1, "method": "eth_blockNumber", "params": []}
        return int(
            json.loads(self._forward(HTTPConnection(*self._node), json.dumps(call).encode()))["result"], 16
        )

    def close(self) -> None:
        self._well.set()
        if self._ill is not Ill.REFUSE:
            self._drop_connections()
            self._close()

    def _listen(self) -> None:
        self._server = _Server((nodes.HOST, self._port), self)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def _close(self) -> None:
        assert self._server
        self._server.shutdown()
        self._server.server_close()

    def _drop_connections(self) -> None:
        assert self._server
        self._server.drop_connections()

    # ------------------------------------------------------------ calls

    def answer(self, body: bytes, upstream: HTTPConnection) -> tuple[int, bytes]:
        """Status and body for one call. Raises Dropped."""
        match self._ill:
            case Ill.HANG:
                self._well.wait()
                raise Dropped
            case Ill.RESET | Ill.REFUSE:
                raise Dropped(reset=True)
            case Ill.HALF if self._every_second():
                raise Dropped
            case Ill.ERROR_500:
                return 500, b"Internal Server Error"
            case Ill.ERROR_429:
                return 429, b"Too Many Requests"
            case Ill.RPC_ERROR:
                return 200, _each(json.loads(body), lambda call: _error(call, BUSY))
            case Ill.GARBAGE:
                return 200, b"<html><body>Welcome to the portal"
            case Ill.SLOW:
                time.sleep(self.slow_seconds)
        return 200, self._passed_on(body, upstream)

    def _every_second(self) -> bool:
        with self._lock:
            self._count += 1
            return self._count % 2 == 0

    def _passed_on(self, body: bytes, upstream: HTTPConnection) -> bytes:
        ill = self._ill
        if ill is Ill.OLD:
            body = self._as_of_then(body)
        answer = self._forward(upstream, body)
        if ill in (Ill.HIGH, Ill.LOW):
            return self._shifted(body, answer, self.shift if ill is Ill.HIGH else -self.shift)
        return self._without_the_new(body, answer) if ill is Ill.OLD else answer

    def _forward(self, upstream: HTTPConnection, body: bytes) -> bytes:
        upstream.timeout = UPSTREAM_SECONDS
        upstream.request("POST", "/", body, {"Content-Type": "application/json"})
        return upstream.getresponse().read()

    # ------------------------------------------------------------ lies

    def _shifted(self, body: bytes, answer: bytes, shift: int) -> bytes:
        """The newest block under a number that is not its own."""
        calls = _by_id(json.loads(body))

        def shifted(reply: Call) -> Call:
            call, result = calls.get(reply.get("id"), {}), reply.get("result")
            if call.get("method") == "eth_blockNumber" and result:
                return reply | {"result": _moved(result, shift)}
            if call.get("method") == "eth_getBlockByNumber" and call["params"][0] in TAGS and result:
                return reply | {"result": result | {"number": _moved(result["number"], shift)}}
            return reply

        return _each(json.loads(answer), shifted)

    def _as_of_then(self, body: bytes) -> bytes:
        """What is asked of the newest block is asked of the one where this endpoint has stopped."""

        def old(call: Call) -> Call:
            return call | {"params": [self._then(part) for part in call.get("params", [])]}

        return _each(json.loads(body), old)

    def _then(self, part: Any) -> Any:
        if isinstance(part, dict) and ("toBlock" in part or "fromBlock" in part):
            return part | {"toBlock": hex(min(_height(part.get("toBlock"), self._frozen), self._frozen))}
        return hex(self._frozen) if isinstance(part, str) and part in TAGS else part

    def _without_the_new(self, body: bytes, answer: bytes) -> bytes:
        calls = _by_id(json.loads(body))

        def old(reply: Call) -> Call:
            method, result = calls.get(reply.get("id"), {}).get("method"), reply.get("result")
            if method == "eth_blockNumber":
                return reply | {"result": hex(self._frozen)}
            if isinstance(result, dict) and self._is_new(result):
                return {key: value for key, value in reply.items() if key != "error"} | {"result": None}
            return reply

        return _each(json.loads(answer), old)

    def _is_new(self, result: Call) -> bool:
        number = result.get("number") or result.get("blockNumber")
        return isinstance(number, str) and int(number, 16) > self._frozen


def _height(text: Any, otherwise: int) -> int:
    return int(text, 16) if isinstance(text, str) and text.startswith("0x") else otherwise


def _moved(number: str, shift: int) -> str:
    return hex(max(int(number, 16) + shift, 0))


def _by_id(calls: Any) -> dict[Any, Call]:
    return {call.get("id"): call for call in (calls if isinstance(calls, list) else [calls])}


def _error(call: Call, error: Call) -> Call:
    return {"jsonrpc": "2.0", "id": call.get("id"), "error": error}


def _each(document: Any, change: Any) -> bytes:
    """One call or answer, or a batch of them."""
    changed = [change(entry) for entry in document] if isinstance(document, list) else change(document)
    return json.dumps(changed).encode()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], proxy: FaultProxy) -> None:
        self.proxy = proxy
        self._connections: set[socket.socket] = set()
        super().__init__(address, _Handler)

    def drop_connections(self) -> None:
        for connection in list(self._connections):
            reset(connection)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Connections that break are what this is about."""


def reset(connection: socket.socket) -> None:
    """End a connection the rude way."""
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
        connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def setup(self) -> None:
        super().setup()
        self._upstream = HTTPConnection(*self.server.proxy._node)

    def finish(self) -> None:
        self._upstream.close()
        with suppress(OSError):
            super().finish()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        try:
            status, answer = self.server.proxy.answer(body, self._upstream)
        except (Dropped, HTTPException, OSError) as broken:
            self.close_connection = True
            if getattr(broken, "reset", False):
                reset(self.connection)
            return
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: what happened shows in the oracles' logs."""
