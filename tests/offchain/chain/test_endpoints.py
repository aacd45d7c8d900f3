"""Several endpoints of which some hang, refuse, lag behind or are on another chain."""

import math
import socket
import time
from collections.abc import Iterator

import pytest
from web3 import Web3

from clearwatt.chain import endpoints
from clearwatt.chain.endpoints import Endpoints, shown, split_urls
from clearwatt.chain.node import NodeError, connect, latest, newest
from clearwatt.errors import UserError
from tests import nodes
from tests.offchain.chain.test_node import NOBODY, Answers, answers  # noqa: F401  (a fixture)

TIMEOUT = 0.3


@pytest.fixture
def hanging_url() -> Iterator[str]:
    """Takes connections and never says anything."""
    with socket.create_server((nodes.HOST, 0)) as listener:
        yield f"http://{nodes.HOST}:{listener.getsockname()[1]}"


@pytest.fixture(scope="module")
def lagging_url() -> Iterator[str]:
    """The same chain, whose newest blocks it has not got."""
    with nodes.anvil() as url:
        yield url


def web3_at(*urls: str) -> Web3:
    return Web3(Endpoints(urls, TIMEOUT))


def mine(url: str, blocks: int) -> int:
    """Returns the newest block's number."""
    web3 = connect(url)
    for _ in range(blocks):
        web3.provider.make_request("evm_mine", [])  # type: ignore[arg-type]
    return web3.eth.block_number


# ------------------------------------------------------------ one of them fails


def test_request__first_endpoint_hangs__the_next_answers_and_goes_on_being_asked(
    hanging_url, anvil_url, caplog
):
    web3 = web3_at(hanging_url, anvil_url)
    assert web3.eth.chain_id == 31337
    started = time.monotonic()
    for _ in range(3):
        latest(web3)
    assert time.monotonic() - started < TIMEOUT
    assert f"endpoint {hanging_url} is passed over for {anvil_url}: no answer in time" in caplog.text
    assert web3.provider.switches == 1


def test_request__first_endpoint_refuses__the_next_answers(anvil_url, caplog):
    assert latest(web3_at(NOBODY, anvil_url)).hash == latest(web3_at(anvil_url)).hash
    assert f"endpoint {NOBODY} is passed over for {anvil_url}: the connection failed" in caplog.text


@pytest.mark.parametrize(("status", "body"), [(500, b""), (429, b"slow down"), (200, b"<html>")])
def test_request__first_endpoint_talks_nonsense__the_next_answers(answers, anvil_url, status, body):  # noqa: F811
    answers.status, answers.body = status, body
    assert web3_at(answers.url, anvil_url).eth.chain_id == 31337


def test_request__all_fail__node_error_after_each_was_asked(hanging_url):
    web3 = web3_at(NOBODY, hanging_url)
    with pytest.raises(NodeError):
        latest(web3)
    assert web3.provider.switches >= 2


def test_request__endpoint_that_comes_back__asked_again_once_the_other_fails(answers, anvil_url):  # noqa: F811
    answers.status = 500
    web3 = web3_at(answers.url, anvil_url)
    latest(web3)
    answers.status, answers.body = 200, b'{"jsonrpc":"2.0","id":1,"result":"0x7"}'
    web3.provider.pass_over("it fails")
    assert web3.eth.block_number == 7


def test_return_to_first__after_a_while__the_operators_first_choice(answers, anvil_url, monkeypatch):  # noqa: F811
    answers.status = 500
    web3 = web3_at(answers.url, anvil_url)
    newest(web3, 0, math.inf)
    monkeypatch.setattr(endpoints, "RETURN_SECONDS", 0.0)
    asked = answers.requests
    newest(web3, 0, math.inf)
    assert answers.requests > asked
    assert web3.provider.url == anvil_url


# ------------------------------------------------------------ one of them lags behind


def test_newest__endpoint_that_lags_behind__passed_over(lagging_url, anvil_url, caplog):
    head = mine(anvil_url, 3)
    web3 = web3_at(lagging_url, anvil_url)
    assert newest(web3, head, math.inf).number == head
    assert f"its newest block is 0, after {head} was read" in caplog.text


def test_newest__all_lag_behind__the_one_that_is_furthest_ahead(lagging_url, anvil_url):
    head = mine(anvil_url, 1)
    for urls in ((lagging_url, anvil_url), (anvil_url, lagging_url)):
        web3 = web3_at(*urls)
        assert newest(web3, head + 100, math.inf).number == head
        assert web3.provider.url == anvil_url


def test_newest__block_that_is_old_by_the_clock__passed_over(answers, anvil_url, caplog):  # noqa: F811
    mine(anvil_url, 1)
    web3 = web3_at(anvil_url, anvil_url)
    newest(web3, 0, -1.0)
    assert " s old" in caplog.text


# ------------------------------------------------------------ connecting


def test_connect__one_of_two_away__told_and_worked_with(anvil_url, caplog):
    assert connect(f"{NOBODY}, {anvil_url}").eth.chain_id == 31337
    assert f"no Ethereum node answers at {NOBODY}: " in caplog.text


def test_connect__all_away__one_sentence_that_names_each():
    with pytest.raises(UserError) as caught:
        connect([NOBODY, "http://127.0.0.1:11"])
    assert "127.0.0.1:9:" in str(caught.value)
    assert "127.0.0.1:11:" in str(caught.value)


def test_connect__one_on_another_chain__refused_even_if_the_other_is_right(answers, anvil_url):  # noqa: F811
    answers.body = b'{"jsonrpc":"2.0","id":1,"result":"0x5"}'
    with pytest.raises(UserError, match=r"is on chain 5, the deployment is on chain 31337$"):
        connect([anvil_url, answers.url], 31337)


@pytest.mark.parametrize(
    ("given", "urls"),
    [("http://a, http://b", ("http://a", "http://b")), (["http://a", "http://b"], ("http://a", "http://b"))],
)
def test_split_urls__commas_or_one_by_one__the_same(given, urls):
    assert split_urls(given) == urls


def test_shown__address_with_a_customers_key__without_it():
    assert shown("https://user:secret@node.example/v2/key") == "https://node.example"
