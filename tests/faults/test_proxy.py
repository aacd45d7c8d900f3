"""The endpoint that is ill on request, in front of a real node."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from tests.faults.proxy import FaultProxy, Ill

SECONDS = 1.0


@pytest.fixture
def proxy(anvil_url: str) -> Iterator[FaultProxy]:
    one = FaultProxy(anvil_url, slow_seconds=0.2, shift=5)
    yield one
    one.close()


def ask(url: str, method: str, *params: Any) -> Any:
    """The answer of one call, over a connection of its own."""
    body = json.dumps({"jsonrpc": "2.0", "id": 7, "method": method, "params": params}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=SECONDS) as answer:
        return json.load(answer)["result"]


def mine(url: str, blocks: int) -> int:
    """Blocks appear at the node; returns its height."""
    ask(url, "anvil_mine", hex(blocks))
    return int(ask(url, "eth_blockNumber"), 16)


def test_proxy__well__passes_everything_on(proxy: FaultProxy, anvil_url: str) -> None:
    height = mine(anvil_url, 3)
    assert int(ask(proxy.url, "eth_blockNumber"), 16) == height == proxy.height()
    assert ask(proxy.url, "eth_getBlockByNumber", "latest", False) == ask(
        anvil_url, "eth_getBlockByNumber", "latest", False
    )


@pytest.mark.parametrize("ill", [Ill.HANG, Ill.REFUSE, Ill.RESET])
def test_proxy__no_answer__none_until_it_is_well_again(proxy: FaultProxy, ill: Ill) -> None:
    proxy.fall_ill(ill)
    with pytest.raises(OSError):  # noqa: PT011 (timeouts, refusals and resets)
        ask(proxy.url, "eth_blockNumber")
    proxy.recover()
    assert ask(proxy.url, "eth_blockNumber")


def test_proxy__drops_half__every_second_call_is_answered(proxy: FaultProxy) -> None:
    proxy.fall_ill(Ill.HALF)
    answered = 0
    for _ in range(6):
        try:
            ask(proxy.url, "eth_blockNumber")
        except OSError:
            continue
        answered += 1
    assert answered == 3


@pytest.mark.parametrize(("ill", "status"), [(Ill.ERROR_500, 500), (Ill.ERROR_429, 429)])
def test_proxy__http_errors__with_their_status(proxy: FaultProxy, ill: Ill, status: int) -> None:
    proxy.fall_ill(ill)
    with pytest.raises(urllib.error.HTTPError) as caught:
        ask(proxy.url, "eth_blockNumber")
    assert caught.value.code == status


def test_proxy__answers_that_are_none__garbage_or_an_error(proxy: FaultProxy) -> None:
    proxy.fall_ill(Ill.GARBAGE)
    with pytest.raises(json.JSONDecodeError):
        ask(proxy.url, "eth_blockNumber")
    proxy.fall_ill(Ill.RPC_ERROR)
    with pytest.raises(KeyError):
        ask(proxy.url, "eth_blockNumber")


@pytest.mark.parametrize(("ill", "shift"), [(Ill.HIGH, 5), (Ill.LOW, -5)])
def test_proxy__lies_about_its_height__by_so_many_blocks(
    proxy: FaultProxy, anvil_url: str, ill: Ill, shift: int
) -> None:
    height = mine(anvil_url, 10)
    proxy.fall_ill(ill)
    assert int(ask(proxy.url, "eth_blockNumber"), 16) == height + shift
    assert int(ask(proxy.url, "eth_getBlockByNumber", "latest", False)["number"], 16) == height + shift
    assert int(ask(proxy.url, "eth_getBlockByNumber", hex(height), False)["number"], 16) == height


def test_proxy__old_data__nothing_after_the_block_where_it_stopped(proxy: FaultProxy, anvil_url: str) -> None:
    then = mine(anvil_url, 2)
    proxy.fall_ill(Ill.OLD)
    now = mine(anvil_url, 3)
    assert int(ask(proxy.url, "eth_blockNumber"), 16) == then < now
    assert int(ask(proxy.url, "eth_getBlockByNumber", "latest", False)["number"], 16) == then
    assert ask(proxy.url, "eth_getBlockByNumber", hex(now), False) is None
    proxy.recover()
    assert int(ask(proxy.url, "eth_blockNumber"), 16) == now
