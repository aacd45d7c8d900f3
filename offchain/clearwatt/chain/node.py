"""Talking to a node: connecting, a block to refer to, and errors in words.

Everything that a node or a contract can answer with is turned into one of three errors: `NodeError` (try
again later; `NodeRefused` where the node itself said no), `Refused` (the contract said no, and why) and
`UserError` (the caller must change something).
"""

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from json import JSONDecodeError
from typing import Any

import requests
from eth_abi import decode
from eth_abi.exceptions import DecodingError
from eth_typing import HexStr
from eth_utils import function_abi_to_4byte_selector
from web3 import Web3
from web3.exceptions import ContractLogicError, Web3Exception, Web3RPCError
from web3.types import BlockIdentifier

from clearwatt.chain.deployment import Deployment
from clearwatt.chain.endpoints import Endpoints, split_urls, transport_words
from clearwatt.errors import UserError

log = logging.getLogger(__name__)

TIMEOUT_SECONDS = 30


class NodeError(Exception):
    """The node did not answer, or answered with something that is not the contract's doing."""


class NodeRefused(NodeError):
    """The node is there, but what was asked is too much for it, or it won't take it."""


class Refused(Exception):
    """A contract reverted.

    name: the error's name, such as "E4_OutOfBalance"; "" where the revert carried none we know.
    arguments: its arguments, by name.
    """

    def __init__(self, name: str, arguments: dict[str, Any], text: str) -> None:
        super().__init__(text)
        self.name = name
        self.arguments = arguments


@dataclass(frozen=True)
class Reference:
    """The block that a whole computation refers to."""

    number: int
    hash: str
    timestamp: int


def connect(url: str | Sequence[str], chain_id: int | None = None, timeout: float = TIMEOUT_SECONDS) -> Web3:
    """A connection that has been tried; several addresses, also separated by commas, stand in for each other.

    timeout: seconds that one answer may take. Raises UserError if nobody answers, or one is on another chain.
    """
    urls = split_urls(url)
    problems = {each: problem for each in urls if (problem := _endpoint_problem(each, chain_id, timeout))}
    if len(problems) == len(set(urls)):
        raise UserError("; ".join(problems.values()))
    for problem in problems.values():
        log.warning("%s", problem)
    return Web3(Endpoints(urls, timeout))


def _endpoint_problem(url: str, chain_id: int | None, timeout: float) -> str:
    """Why it can't be used at the moment, "" if it can. Raises UserError if it never can."""
    try:
        found = Web3(Endpoints([url], timeout)).eth.chain_id
    except (requests.RequestException, Web3Exception, ValueError) as error:
        return f"no Ethereum node answers at {url}: {_in_words(error)}"
    if chain_id is not None and found != chain_id:
        raise UserError(f"the node at {url} is on chain {found}, the deployment is on chain {chain_id}")
    return ""


def latest(web3: Web3) -> Reference:
    """The newest block. Raises NodeError."""
    with node_errors():
        return _reference(web3.eth.get_block("latest"))


def newest(web3: Web3, seen: int, max_age: float) -> Reference:
    """The newest block of an endpoint that keeps up; where none does, of the one that is furthest ahead.

    seen: the newest block's number that was read before. max_age: of the newest block, seconds by this machine's
    clock. With one endpoint there is no choice. Raises NodeError if none answers.
    """
    endpoints = web3.provider
    if not isinstance(endpoints, Endpoints) or len(endpoints.urls) == 1:
        return latest(web3)
    endpoints.return_to_first()
    candidates = []
    for _ in endpoints.urls:
        reference = latest(web3)
        lag = _lag(reference, seen, max_age)
        if not lag:
            return reference
        candidates.append((reference.number, endpoints.url))
        endpoints.pass_over(lag)
    endpoints.use(max(candidates)[1])
    return latest(web3)


def _lag(reference: Reference, seen: int, max_age: float) -> str:
    """In what this newest block is old, "" if it is not."""
    if reference.number < seen:
        return f"its newest block is {reference.number}, after {seen} was read"
    age = time.time() - reference.timestamp
    return f"its newest block is {age:.0f} s old" if age > max_age else ""


def block(web3: Web3, number: BlockIdentifier) -> Reference:
    """A block. Raises NodeError, also if the node does not have it."""
    with node_errors():
        return _reference(web3.eth.get_block(number))


def _reference(raw: Any) -> Reference:
    return Reference(raw["number"], raw["hash"].to_0x_hex(), raw["timestamp"])


@contextmanager
def node_errors(errors: "ErrorBook | None" = None) -> Iterator[None]:
    """Turn whatever web3 raises into `Refused` or `NodeError`."""
    try:
        yield
    except ContractLogicError as error:
        raise _refusal(_revert_data(error.data), str(error), errors) from None
    except Web3Exception as error:
        data = _revert_data(_answer(error).get("data"))
        if data is not None:
            raise _refusal(data, str(error), errors) from None
        raise NodeRefused(f"the node answered: {_in_words(error)}") from None
    except requests.ReadTimeout:
        raise NodeRefused(f"the node did not answer within {TIMEOUT_SECONDS} s") from None
    except (OSError, JSONDecodeError, UnicodeDecodeError) as error:  # requests' own are OSErrors
        raise NodeError(f"the node does not answer: {_in_words(error)}") from None


def _revert_data(data: Any) -> str | None:
    """The bytes a contract reverted with, if that is what the error is about; nodes differ in where they put it."""
    if isinstance(data, dict):
        data = data.get("result") or data.get("data")
    return data if isinstance(data, str) and data.startswith("0x") else None


def _answer(error: Exception) -> Any:
    """What a node's error answer holds."""
    response = error.rpc_response if isinstance(error, Web3RPCError) else None
    answer = (response or {}).get("error")
    return answer if isinstance(answer, dict) else {}


def _refusal(data: str | None, text: str, errors: "ErrorBook | None") -> Refused:
    known = errors.find(data) if errors and data else None
    if known is None:
        return Refused("", {}, f"the contract refused: {(text.splitlines() or ['it gave no reason'])[0]}")
    name, arguments = known
    listed = ", ".join(f"{key}={_shown(value)}" for key, value in arguments.items())
    return Refused(name, arguments, f"{name}({listed})")


def _shown(value: Any) -> str:
    return f"0x{value.hex()}" if isinstance(value, bytes) else str(value)


def _in_words(error: Exception) -> str:
    message = _answer(error).get("message")
    return (str(message).splitlines() or [""])[0] if message else transport_words(error)


class ErrorBook:
    """The custom errors of a deployment's contracts, by selector."""

    def __init__(self, deployment: Deployment) -> None:
        self._errors = {
            function_abi_to_4byte_selector({**entry, "type": "function"}): entry  # type: ignore[typeddict-item]
            for deployed in deployment.contracts.values()
            for entry in deployed.abi
            if entry["type"] == "error"
        }

    def find(self, data: str) -> tuple[str, dict[str, Any]] | None:
        """Name and arguments of the error that `data` (0x...) encodes, if it is one of ours."""
        try:
            raw = bytes.fromhex(data.removeprefix("0x"))
            entry = self._errors[raw[:4]]
            inputs = entry.get("inputs", [])
            values = decode([item["type"] for item in inputs], raw[4:])
        except (KeyError, ValueError, DecodingError):
            return None
        return entry["name"], {item["name"]: value for item, value in zip(inputs, values, strict=True)}

    def name_of(self, selector: bytes) -> str:
        """Name of the error with this selector, or the selector itself."""
        entry = self._errors.get(selector)
        return entry["name"] if entry else f"0x{selector.hex()}"


@cache
def checksum(address: str) -> Any:
    """The address with its checksum, as web3 wants it."""
    return Web3.to_checksum_address(HexStr(address))
