"""Talking to a node: connecting, a block to refer to, and errors in words.

Everything that a node or a contract can answer with is turned into one of three errors: `NodeError` (try
again later; `NodeRefused` where the node itself said no), `Refused` (the contract said no, and why) and
`UserError` (the caller must change something).
"""

from collections.abc import Iterator
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
from clearwatt.errors import UserError

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


def connect(url: str, chain_id: int | None = None) -> Web3:
    """A connection that has been tried. Raises UserError if nobody answers, or it is another chain."""
    web3 = Web3(Web3.HTTPProvider(url, request_kwargs={"timeout": TIMEOUT_SECONDS}))
    try:
        found = web3.eth.chain_id
    except (requests.RequestException, Web3Exception, ValueError) as error:
        raise UserError(f"no Ethereum node answers at {url}: {_in_words(error)}") from None
    if chain_id is not None and found != chain_id:
        raise UserError(f"the node at {url} is on chain {found}, the deployment is on chain {chain_id}")
    return web3


def latest(web3: Web3) -> Reference:
    """The newest block. Raises NodeError."""
    with node_errors():
        return _reference(web3.eth.get_block("latest"))


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
    if type(error) is requests.ConnectionError:  # its own text is a nest of Python objects
        return "the connection failed"
    text = str(_answer(error).get("message", error))
    return (text.splitlines() or [type(error).__name__])[0]


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
