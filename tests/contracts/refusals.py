"""What a contract answers to a call, tried on the latest block without mining another.

`travel` has mined that block at the second a test asks for, so deadlines can be tried to the second; a mined
transaction would come a second later.
"""

from functools import cache
from typing import Any

import ape
from eth_abi import decode
from eth_utils import keccak, to_checksum_address
from ethpm_types.abi import ErrorABI
from web3.exceptions import ContractCustomError

Refusal = tuple[Any, ...]
"""The error's name and its arguments."""


def refusal(method: Any, *arguments: Any, sender: Any) -> Refusal | None:
    """The error `method` reverts with, whichever contract raised it; None if it accepts."""
    answer = _answer({"from": str(sender), **_call_of(method, *arguments)})
    return answer if isinstance(answer, tuple) else None


def returned(method: Any, *arguments: Any) -> bytes | Refusal:
    """What `method` returns, undecoded, or the error it reverts with."""
    return _answer(_call_of(method, *arguments))


def creation_refusal(container: Any, *arguments: Any) -> Refusal | None:
    """The error the contract's constructor reverts with, or None."""
    code = container.contract_type.deployment_bytecode.bytecode
    answer = _answer({"data": code + bytes(container.constructor.encode_input(*arguments)).hex()})
    return answer if isinstance(answer, tuple) else None


def reason(name: str) -> bytes:
    """The selector of the error of this name, as an event gives it in place of the error."""
    [selector] = [selector for selector, abi in _errors().items() if abi.name == name]
    return selector


def _call_of(method: Any, *arguments: Any) -> dict[str, Any]:
    return {"to": method.contract.address, "data": method.encode_input(*arguments)}


def _answer(call: dict[str, Any]) -> bytes | Refusal:
    try:
        return bytes(ape.chain.provider.web3.eth.call(call))
    except ContractCustomError as error:
        return decoded(bytes.fromhex(str(error.data)[2:]))


def decoded(data: bytes) -> Refusal:
    """The error that these bytes of a revert stand for."""
    abi = _errors()[data[:4]]
    values = decode([entry.canonical_type for entry in abi.inputs], data[4:])
    pairs = zip(abi.inputs, values, strict=True)
    return (abi.name, *(to_checksum_address(v) if entry.type == "address" else v for entry, v in pairs))


@cache
def _errors() -> dict[bytes, ErrorABI]:
    kinds = (error for contract in ape.project.contracts.values() for error in contract.errors)
    return {keccak(text=abi.selector)[:4]: abi for abi in kinds}
