"""What an oracle serves to the others: who it is, its reports, and the meters' messages it has."""

import time
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any, Protocol

from fastapi import APIRouter, HTTPException, Query, Request, Response

from clearwatt.metering.messages import Message
from clearwatt.oracle.access import Denied, asker
from clearwatt.oracle.board import Board
from clearwatt.storage.database import StoreError

PAGE = 500
PAGE_BYTES = 2 * 2**20
"""A page of messages ends with the one that exceeds this."""

JSON = "application/json"


class MessageLog(Protocol):
    """What is served of `storage.messages.MessageStore`."""

    @property
    def store_id(self) -> str: ...

    def after(self, cursor: int, limit: int = PAGE) -> list[tuple[int, Message]]: ...


def exchange_router(
    board: Board,
    log: MessageLog,
    audience: str,
    address: str | None,
    clock: Callable[[], float] = time.time,
) -> APIRouter:
    """audience: as `reports.audience_of`. address: this oracle's, None if it has no key. clock: Unix seconds."""
    router = APIRouter(prefix="/v1", tags=["exchange between oracles"])

    def check(request: Request) -> None:
        target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        header = request.headers.get("authorization", "")
        try:
            asker(header, request.method, target, audience, clock(), board.may_ask)
        except Denied as denied:
            raise HTTPException(HTTPStatus.UNAUTHORIZED, str(denied)) from None

    @router.get("/identity", summary="Who this oracle is, its clock, and up to which block it has read")
    def identity() -> dict[str, Any]:
        with _database():
            return {
                "address": address,
                "audience": audience,
                "store_id": log.store_id,
                "time": clock(),
                "block": board.block,
            }

    @router.get(
        "/reports/{auction}", summary="The oracle's signed report on an auction; signed requests only"
    )
    def report(auction: int, request: Request) -> Response:
        check(request)
        published = board.of(auction)
        if published is None:
            raise HTTPException(HTTPStatus.NOT_FOUND, f"there is no report on auction {auction} yet")
        return Response(published.document, media_type=JSON)

    @router.get("/messages", summary="Messages after a place in the log; signed requests only")
    def messages(
        request: Request,
        after: int = Query(0, ge=0, le=2**62),
        limit: int = Query(PAGE, ge=1, le=PAGE),
    ) -> dict[str, Any]:
        check(request)
        with _database():
            # first: were the database replaced in between, the messages would go under the newer name
            store_id = log.store_id
            found = log.after(after, limit)
        page = _page(found)
        return {"store_id": store_id, "more": len(page) < len(found) or len(found) == limit, "messages": page}

    return router


class _database:
    """Answers 503 while the database is away."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, StoreError):
            raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, "the database is away") from None


def _page(found: Sequence[tuple[int, Message]]) -> list[dict[str, Any]]:
    page: list[dict[str, Any]] = []
    size = 0
    for sequence, message in found:
        if size >= PAGE_BYTES:
            break
        size += len(message.payload)
        page.append(
            {
                "sequence": sequence,
                "kind": message.kind,
                "payload": message.payload.decode(),
                "signature": "0x" + message.signature.hex(),
            }
        )
    return page
