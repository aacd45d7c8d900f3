"""Who may ask an oracle for its messages and reports: each request is signed by the one who asks.

Meters' readings are personal data, so they are handed to nobody but the oracles of the same quorum.
"""

from collections.abc import Callable

from eth_account import Account
from eth_account.messages import encode_defunct
from eth_account.signers.local import LocalAccount

from clearwatt.oracle.reports import chain_takes

SCHEME = "Clearwatt"
MAX_CLOCK_DIFFERENCE = 300
"""Seconds between the asker's clock and ours; a request that somebody overheard is of no use for longer."""

MAX_HEADER = 512


class Denied(Exception):
    """A request that is not answered, and why."""


def authorization(key: LocalAccount, method: str, target: str, audience: str, now: int) -> str:
    """The value of the Authorization header. target: path and query, as requested. now: Unix seconds."""
    text = encode_defunct(text=_text(method, target, audience, now))
    signature = bytes(key.sign_message(text).signature)
    return f"{SCHEME} {key.address} {now} 0x{signature.hex()}"


def asker(
    header: str, method: str, target: str, audience: str, now: float, may_ask: Callable[[str], bool]
) -> str:
    """The address that asks. Raises Denied unless it signed this very request just now and may ask."""
    address, moment, signature = _parts(header)
    if not abs(now - moment) <= MAX_CLOCK_DIFFERENCE:
        raise Denied(f"the request is of {moment}, it is {int(now)} here: one of the clocks is wrong")
    if _signer(_text(method, target, audience, moment), signature) != address:
        raise Denied(f"{address} did not sign this request to {audience}")
    if not may_ask(address):
        raise Denied(f"{address} is no oracle in office")
    return address


def _text(method: str, target: str, audience: str, now: int) -> str:
    return f"{method} {target} {now} {audience}"


def _parts(header: str) -> tuple[str, int, bytes]:
    words = header[:MAX_HEADER].split(" ")
    try:
        scheme, address, moment, signature = words
        if scheme == SCHEME and moment.isascii() and moment.isdecimal() and len(moment) < 16:
            return address, int(moment), bytes.fromhex(signature.removeprefix("0x"))
    except ValueError:
        pass
    raise Denied(f'the header Authorization is not "{SCHEME} ADDRESS TIME SIGNATURE"')


def _signer(text: str, signature: bytes) -> str:
    if not chain_takes(signature):
        raise Denied("the signature is in a form that does not count")
    try:
        return str(Account.recover_message(encode_defunct(text=text), signature=signature))
    except Exception:  # eth-keys and coincurve have several errors for what is no signature
        raise Denied("the signature is nobody's") from None
