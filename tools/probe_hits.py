"""A pytest plugin that notes which probes the chains were led through; see probes.py.

After every transaction and beside every call that web3 sends to a chain it asks for a trace of the accounts touched.
The numbers go to the file that CLEARWATT_PROBE_HITS names.
"""

import json
import os
import time
from pathlib import Path
from typing import Any

from web3 import HTTPProvider
from web3.types import RPCEndpoint, RPCResponse

from tools.probes import FIRST_ADDRESS

TRACER = {"tracer": "prestateTracer", "tracerConfig": {"disableCode": True, "disableStorage": True}}
PROBES = range(2**32)
ATTEMPTS, PAUSE = 400, 0.005

hits: set[int] = set()
untraced: dict[str, int] = {}
plain_request = HTTPProvider.make_request


def watched_request(provider: HTTPProvider, method: RPCEndpoint, params: Any) -> RPCResponse:
    """What the chain answers, traced on the way."""
    if method == "eth_call":
        call, block = (*params, "latest")[:2]
        _trace(provider, "debug_traceCall", [call, block, TRACER])
    answer = plain_request(provider, method, params)
    if method in ("eth_sendTransaction", "eth_sendRawTransaction") and answer.get("result"):
        _trace(provider, "debug_traceTransaction", [answer["result"], TRACER])
    return answer


def _trace(provider: HTTPProvider, method: str, params: list[Any]) -> None:
    """Notes the probes among the accounts touched; anvil gives an empty trace until it has stored the block."""
    answer: Any = {}
    for _ in range(ATTEMPTS):
        answer = plain_request(provider, RPCEndpoint(method), params)
        if "structLogs" not in (answer.get("result") or ()):
            break
        time.sleep(PAUSE)
    accounts = answer.get("result")
    if accounts is None or "structLogs" in accounts:
        flaw = f"{method}: {answer.get('error', 'no trace')}"
        untraced[flaw] = untraced.get(flaw, 0) + 1
        return
    numbers = (int(address, 16) - FIRST_ADDRESS for address in accounts)
    hits.update(number for number in numbers if number in PROBES)


def pytest_configure() -> None:
    HTTPProvider.make_request = watched_request  # type: ignore[method-assign]


def pytest_unconfigure() -> None:
    Path(os.environ["CLEARWATT_PROBE_HITS"]).write_text(
        json.dumps({"hits": sorted(hits), "untraced": untraced}), encoding="utf-8"
    )
