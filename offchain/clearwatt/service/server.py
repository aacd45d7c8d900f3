"""The HTTP server of a service, in a thread of its own beside the cycle."""

import errno
import logging
import socket
import threading
import time
from collections.abc import Sequence
from http import HTTPStatus

import uvicorn
from fastapi import APIRouter, FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from clearwatt import __version__
from clearwatt.errors import UserError
from clearwatt.service import metrics

log = logging.getLogger(__name__)

MAX_BODY_BYTES = 8 * 2**20
MAX_CONNECTIONS = 200
"""Of all clients together; more are answered 503, so that a flood costs no memory."""

IDLE_SECONDS = 15
STOP_SECONDS = 5
START_SECONDS = 10
MAX_PORT = 65_535
BACKLOG = 128


class Server:
    """An application under a port, until stopped.

    port 0: any free one; `port` and `url` say which. The port is taken at once, requests are answered from `start` on.
    Raises UserError if the address cannot be used.
    """

    def __init__(self, app: FastAPI, host: str, port: int) -> None:
        self._socket = _listen(host, port)
        self.host, self.port = host, int(self._socket.getsockname()[1])
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            server_header=False,
            proxy_headers=False,
            limit_concurrency=MAX_CONNECTIONS,
            timeout_keep_alive=IDLE_SECONDS,
            timeout_graceful_shutdown=STOP_SECONDS,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._serve, name="http", daemon=True)

    @property
    def url(self) -> str:
        """Where it answers; from this machine if it listens on all addresses."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    def start(self) -> None:
        """Serve from now on. Returns once requests are answered."""
        self._thread.start()
        deadline = time.monotonic() + START_SECONDS
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                raise UserError(f"the HTTP server at {self.url} did not start")
            time.sleep(0.005)
        log.info("listening on %s", self.url)

    def running(self) -> bool:
        return self._thread.is_alive()

    def stop(self) -> None:
        """Finish the requests under way, a few seconds long at most, and give the port back."""
        self._server.should_exit = True
        if self._thread.ident is not None:
            self._thread.join(STOP_SECONDS + 1)
        self._socket.close()

    def _serve(self) -> None:
        try:
            self._server.run(sockets=[self._socket])
        except Exception:
            log.exception("the HTTP server ended")

    def __enter__(self) -> "Server":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def make_app(routers: Sequence[APIRouter], max_body_bytes: int = MAX_BODY_BYTES) -> FastAPI:
    """The application of these routers, with its OpenAPI description under /docs and /openapi.json."""
    app = FastAPI(
        title="Clearwatt oracle",
        version=__version__,
        description="Takes meters' signed messages, exchanges reports between oracles, and tells how it is.",
    )
    for router in routers:
        app.include_router(router)
    app.add_exception_handler(RequestValidationError, _refused)
    app.add_middleware(BodyLimit, max_bytes=max_body_bytes)
    app.add_middleware(Measured)
    return app


def _refused(_request: Request, error: Exception) -> JSONResponse:
    """Says what is wrong with a body without repeating it: it may be large, or no text that can be sent back."""
    problems = error.errors() if isinstance(error, RequestValidationError) else []
    reason = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in problems)
    return JSONResponse({"reason": reason.encode(errors="replace").decode()}, HTTPStatus.UNPROCESSABLE_ENTITY)


def parse_address(text: str) -> tuple[str, int]:
    """Host and port of HOST:PORT; an IPv6 host stands in brackets. Raises UserError."""
    host, colon, digits = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not digits.isdecimal() or int(digits) > MAX_PORT:
        raise UserError(f'"{text}" is no address to listen on: HOST:PORT is, such as 0.0.0.0:8080')
    return host, int(digits)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # else a restart waits for old connections
    try:
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise UserError(f"{host}:{port} cannot be listened on: {_reason(error)}") from None
    return listener


def _reason(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "another program uses this port"
    return error.strerror or str(error)


class BodyLimit:
    """Answers 413 to a request whose body is too large, however it is sent, without keeping more of it."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._max = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        count = 0

        async def counted() -> Message:
            nonlocal count
            message = await receive()
            count += len(message.get("body", b""))
            if max(count, announced) > self._max:
                text = f"the body is larger than {self._max} bytes"
                raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, text)
            return message

        announced = _announced(scope)
        await self._app(scope, counted if scope["type"] == "http" else receive, send)


def _announced(scope: Scope) -> int:
    """Bytes that the request says its body has; 0 if it does not say."""
    length = dict(scope.get("headers", ())).get(b"content-length", b"")
    return int(length) if length.isdigit() else 0


class Measured:
    """Times every request by its route's template, so that addresses in paths make no new series."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        begun, status = time.perf_counter(), HTTPStatus.INTERNAL_SERVER_ERROR.value

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = int(message["status"])
            await send(message)

        try:
            await self._app(scope, receive, noting)
        finally:
            route = getattr(scope.get("route"), "path", "none")
            metrics.HTTP_SECONDS.labels(scope["method"], route, status).observe(time.perf_counter() - begun)
