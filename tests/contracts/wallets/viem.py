"""viem, the wallet library most web wallets are built on, run by Node.js."""

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from eth_account.signers.local import LocalAccount

from clearwatt.chain.typed_data import TypedData

SCRIPT = Path(__file__).with_name("sign.mjs")
ROOT = SCRIPT.parents[3]
COMMANDS = ROOT / ".venv" / "bin"
"""Where the set-up puts a Node.js of its own if the machine has none."""


class Signed(NamedTuple):
    """digest: what viem makes of the message, 32 bytes. signature: as the wallet gives it."""

    digest: bytes
    signature: bytes


def sign(key: LocalAccount, messages: Sequence[TypedData]) -> list[Signed]:
    """viem's digests and signatures of the messages. Raises CalledProcessError if viem takes one amiss."""
    document = {"privateKey": "0x" + bytes(key.key).hex(), "messages": [_plain(m) for m in messages]}
    done = subprocess.run(
        [_node(), str(SCRIPT)],
        input=json.dumps(document),
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
        check=True,
    )
    answer = json.loads(done.stdout)
    assert answer["address"] == key.address
    return [Signed(_bytes(entry["digest"]), _bytes(entry["signature"])) for entry in answer["signed"]]


def _node() -> str:
    node = shutil.which("node", path=os.pathsep.join([os.environ.get("PATH", os.defpath), str(COMMANDS)]))
    assert node is not None, "Node.js is neither on the PATH nor in the environment: run `make setup`"
    return node


def _plain(value: Any) -> Any:
    """As JSON: bytes in hex, and numbers as strings, which JavaScript would round."""
    if isinstance(value, dict):
        return {name: _plain(entry) for name, entry in value.items()}
    if isinstance(value, list):
        return [_plain(entry) for entry in value]
    if isinstance(value, bytes):
        return "0x" + value.hex()
    return str(value) if isinstance(value, int) else value


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))
