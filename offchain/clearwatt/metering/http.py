"""Metering over HTTP: meters and gateways send signed messages, one or many, and hear what came of each."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any

from eth_utils import decode_hex
from fastapi import APIRouter
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from clearwatt.metering.intake import Intake, NotReady, Outcome, Status
from clearwatt.metering.messages import MAX_PAYLOAD_BYTES, READINGS, STATEMENT, Message
from clearwatt.storage.database import StoreError

MAX_BATCH = 1000
RETRY_SECONDS = 5
STATUS_CODES: dict[Status, int] = {"stored": 202, "known": 200, "rejected": 422}


class SignedMessage(BaseModel):
    """A message as a meter signed it."""

    model_config = ConfigDict(extra="forbid")
    payload: Annotated[
        str, Field(max_length=MAX_PAYLOAD_BYTES, description="The signed text, character by character.")
    ]
    signature: Annotated[
        str, Field(pattern=r"^0x[0-9a-fA-F]{130}$", description="65 bytes: r, s, and v = 27 or 28.")
    ]

    def message(self, kind: str) -> Message:
        return Message(kind, self.payload.encode(), decode_hex(self.signature))


class Batch(BaseModel):
    """Messages that are stored together, apart from those that are rejected."""

    model_config = ConfigDict(extra="forbid")
    messages: Annotated[list[SignedMessage], Field(min_length=1, max_length=MAX_BATCH)]


class OutcomeOut(BaseModel):
    """stored: it is on disk now. known: it was already. rejected: it never will be, for the reason given."""

    status: Status
    reason: str = ""


class OutcomesOut(BaseModel):
    """One outcome per message, in the order they were sent."""

    outcomes: list[OutcomeOut]


class Refused(BaseModel):
    """What is wrong with the request as a whole."""

    reason: str


class Unavailable(BaseModel):
    """Send it again after the seconds that the header Retry-After says."""

    reason: str


_SINGLE: dict[int | str, dict[str, Any]] = {
    200: {"model": OutcomeOut, "description": "It was stored before."},
    422: {
        "model": OutcomeOut,
        "description": "It is rejected, or the body is not as described (no status then).",
    },
    503: {"model": Unavailable, "description": "It cannot be stored now."},
}
_BATCH: dict[int | str, dict[str, Any]] = {
    422: {"model": Refused, "description": "The body is not as described; nothing of it was stored."},
    503: _SINGLE[503],
}


def metering_router(intake: Intake) -> APIRouter:
    """POST /v1/readings, /v1/readings/batch, /v1/statements, /v1/statements/batch."""
    router = APIRouter(prefix="/v1", tags=["metering"])
    _add_routes(
        router,
        intake,
        ("readings", READINGS, "Readings of one metering point"),
        "The payload is canonical JSON; the signature is the meter's, over its bytes (EIP-191).",
    )
    _add_routes(
        router,
        intake,
        ("statements", STATEMENT, "A meter's statement for an auction"),
        "The payload names what is stated; the signature is the EIP-712 `MeterStatement` that settlement takes.",
    )
    return router


def _add_routes(router: APIRouter, intake: Intake, named: tuple[str, str, str], text: str) -> None:
    """A route for one message and one for many. named: the path, the kind of messages, what one is."""
    path, kind, summary = named

    @router.post(
        f"/{path}",
        status_code=202,
        response_model=OutcomeOut,
        responses=_SINGLE,
        summary=summary,
        description=text,
    )
    def one(body: SignedMessage) -> JSONResponse:
        return _answered(intake, [body.message(kind)], _single)

    @router.post(
        f"/{path}/batch",
        status_code=202,
        response_model=OutcomesOut,
        responses=_BATCH,
        summary=f"{summary}: many at once",
        description=f"As /v1/{path}. Answers 202 even if some or all were rejected: look at each outcome.",
    )
    def many(body: Batch) -> JSONResponse:
        return _answered(intake, [each.message(kind) for each in body.messages], _many)


def _answered(
    intake: Intake, messages: Sequence[Message], answer: Callable[[list[Outcome]], JSONResponse]
) -> JSONResponse:
    try:
        return answer(intake.accept(messages, "http"))
    except NotReady as error:
        return _unavailable(str(error))
    except StoreError:
        # what exactly is wrong with the database is the operator's business; the log of the cycle says it
        return _unavailable("the database does not take messages now")


def _single(outcomes: list[Outcome]) -> JSONResponse:
    (outcome,) = outcomes
    return JSONResponse(vars(outcome), STATUS_CODES[outcome.status])


def _many(outcomes: list[Outcome]) -> JSONResponse:
    return JSONResponse({"outcomes": [vars(outcome) for outcome in outcomes]}, 202)


def _unavailable(reason: str) -> JSONResponse:
    return JSONResponse({"reason": reason}, 503, headers={"Retry-After": str(RETRY_SECONDS)})
