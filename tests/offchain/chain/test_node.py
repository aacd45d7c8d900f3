"""Nodes that are away, talk nonsense or say no, and transactions that come to nothing.

The contract of these tests reverts with whatever it is called with, so calling the function `OutOfBalance` makes
it fail with the error `OutOfBalance`, as the two have the same selector.
"""

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from eth_account import Account
from web3 import Web3
from web3.contract.contract import Contract

from clearwatt.chain import node, sender
from clearwatt.chain.deployment import Deployed, Deployment
from clearwatt.chain.events import EventReader
from clearwatt.chain.node import ErrorBook, NodeError, NodeRefused, Refused, connect, latest, node_errors
from clearwatt.chain.sender import Sender
from clearwatt.errors import UserError
from tests import nodes

NOBODY = "http://127.0.0.1:9"
RICH = Account.from_key("0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80")
INPUTS = [{"name": "slot", "type": "uint256"}, {"name": "injection", "type": "int256"}]
OUT_OF_BALANCE = {"type": "error", "name": "OutOfBalance", "inputs": INPUTS}
CALLS = [
    {"type": "function", "name": name, "inputs": INPUTS, "outputs": [], "stateMutability": "nonpayable"}
    for name in ("OutOfBalance", "Unknown")
]
# calldatacopy(0, 0, calldatasize()); revert(0, calldatasize())
REVERTS_WITH_ITS_INPUT = "366000600037366000fd"


def deployment(address: str = NOBODY, abi: Any = (OUT_OF_BALANCE,)) -> Deployment:
    return Deployment("test", 1, {}, "", {"Market": Deployed(address, (), "", 0, list(abi))})


ERRORS = ErrorBook(deployment())


# ------------------------------------------------------------ a node that is none


class Answers:
    """An HTTP server that answers every request with the same."""

    def __init__(self) -> None:
        self.status, self.body = 200, b""
        self.requests = 0
        answers = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                answers.requests += 1
                self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(answers.status)
                self.send_header("Content-Length", str(len(answers.body)))
                self.end_headers()
                self.wfile.write(answers.body)

            def log_message(self, *_: Any) -> None:
                """Nothing on standard error."""

        self.server = ThreadingHTTPServer((nodes.HOST, 0), Handler)
        self.url = f"http://{nodes.HOST}:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()


@pytest.fixture
def answers() -> Iterator[Answers]:
    answers = Answers()
    yield answers
    answers.server.shutdown()


def web3_at(url: str) -> Web3:
    return Web3(Web3.HTTPProvider(url, exception_retry_configuration=None))


@pytest.mark.parametrize("url", [NOBODY, "localhost:8545", "", "http://", "ftp://127.0.0.1", "http://[::"])
def test_connect__nobody_there__one_sentence(url):
    with pytest.raises(UserError) as caught:
        connect(url)
    assert str(caught.value).startswith(f"no Ethereum node answers at {url}: ")
    assert "\n" not in str(caught.value)
    assert "object at 0x" not in str(caught.value)


NONSENSE = [
    b"",
    b"<html>",
    b"[]",
    b"5",
    b"null",
    b"{}",
    b"\xff\xfe",
    b'{"jsonrpc":"2.0","id":1,"error":"no"}',
]


@pytest.mark.parametrize("body", NONSENSE)
def test_connect__server_that_is_no_node__one_sentence(answers, body):
    answers.body = body
    with pytest.raises(UserError, match=r"^no Ethereum node answers at http://") as caught:
        connect(answers.url)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("body", NONSENSE)
def test_latest__server_that_talks_nonsense__node_error(answers, body):
    answers.body = body
    with pytest.raises(NodeError):
        latest(web3_at(answers.url))


@pytest.mark.parametrize("status", [404, 500])
def test_latest__http_error__node_error_and_not_a_refusal(answers, status):
    answers.status = status
    with pytest.raises(NodeError) as caught:
        latest(web3_at(answers.url))
    assert type(caught.value) is NodeError


def test_latest__nobody_there__node_error_without_python_in_it():
    with pytest.raises(NodeError) as caught:
        latest(web3_at(NOBODY))
    assert str(caught.value) == "the node does not answer: the connection failed"


def test_latest__error_of_the_node__its_own_words(answers):
    answers.body = b'{"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":"still syncing"}}'
    with pytest.raises(NodeRefused) as caught:
        latest(web3_at(answers.url))
    assert str(caught.value) == "the node answered: still syncing"


def test_connect__another_chain__names_both(anvil_url):
    assert connect(anvil_url, 31337).eth.chain_id == 31337
    with pytest.raises(
        UserError, match=f"^the node at {anvil_url} is on chain 31337, the deployment is on chain 5$"
    ):
        connect(anvil_url, 5)


# ------------------------------------------------------------ custom errors


def encoded(slot: int, injection: int) -> bytes:
    return slot.to_bytes(32, "big") + injection.to_bytes(32, "big", signed=True)


def selector(name: str) -> bytes:
    return bytes(Web3.keccak(text=f"{name}(uint256,int256)")[:4])


def test_error_book__known_error__name_and_arguments():
    data = "0x" + (selector("OutOfBalance") + encoded(3, -5)).hex()
    assert ERRORS.find(data) == ("OutOfBalance", {"slot": 3, "injection": -5})
    assert ERRORS.find(data[2:]) == ("OutOfBalance", {"slot": 3, "injection": -5})


@pytest.mark.parametrize(
    "data",
    [
        "",
        "0x",
        "0x12",
        "0x123",
        "0xzz",
        "no data",
        "0x" + selector("Unknown").hex(),
        "0x" + selector("OutOfBalance").hex(),
        "0x" + (selector("OutOfBalance") + encoded(3, -5)[:-1]).hex(),
    ],
)
def test_error_book__unknown_short_or_undecodable__none(data):
    assert ERRORS.find(data) is None


@pytest.fixture(params=["anvil_url", "ganache_url"])
def web3(request) -> Web3:
    return connect(request.getfixturevalue(request.param))


@pytest.fixture
def contract(web3) -> Contract:
    size = len(REVERTS_WITH_ITS_INPUT) // 2
    code = f"60{size:02x}600c60003960{size:02x}6000f3{REVERTS_WITH_ITS_INPUT}"
    sent = web3.eth.send_transaction({"from": web3.eth.accounts[1], "data": "0x" + code, "gas": 200_000})
    address = web3.eth.wait_for_transaction_receipt(sent)["contractAddress"]
    return web3.eth.contract(address=address, abi=CALLS)


@pytest.fixture
def account(web3) -> Sender:
    return Sender(web3, RICH, ERRORS)


def ways(account: Sender) -> dict[str, Callable[[Any], Any]]:
    return {
        "call": account.call,
        "send": account.send,
        "post": lambda function: account.wait(account.post(function, 100_000), function),
    }


@pytest.mark.parametrize("way", ["call", "send", "post"])
def test_custom_error__from_a_real_node__name_and_arguments(contract, account, way):
    with pytest.raises(Refused) as caught:
        ways(account)[way](contract.functions.OutOfBalance(3, -5))
    assert (caught.value.name, caught.value.arguments) == ("OutOfBalance", {"slot": 3, "injection": -5})
    assert str(caught.value) == "OutOfBalance(slot=3, injection=-5)"


@pytest.mark.parametrize("way", ["call", "send", "post"])
def test_custom_error__unknown__refused_without_a_name(contract, account, way):
    with pytest.raises(Refused, match=r"^the contract refused: ") as caught:
        ways(account)[way](contract.functions.Unknown(3, -5))
    assert caught.value.name == ""
    assert "\n" not in str(caught.value)


# ------------------------------------------------------------ sending


def test_send__refused_before_and_in_a_block__no_nonce_is_left_open(web3, contract, account):
    for _ in range(2):
        for way in ("send", "post"):
            with pytest.raises(Refused):
                ways(account)[way](contract.functions.OutOfBalance(1, 1))
    before = web3.eth.get_balance(contract.address)
    account.give_ether([Account.create().address], 5)
    assert web3.eth.get_transaction_count(RICH.address) == web3.eth.get_transaction_count(
        RICH.address, "pending"
    )
    assert web3.eth.get_balance(contract.address) == before


def test_send__node_away_for_a_moment__no_nonce_is_left_open(web3, account, monkeypatch):
    account.give_ether([RICH.address], 1)
    for method in ("get_block", "send_raw_transaction"):
        with monkeypatch.context() as patch:
            patch.setattr(web3.eth, method, fail)
            with pytest.raises(NodeError):
                account.give_ether([RICH.address], 1)
    monkeypatch.setattr(sender, "RECEIPT_SECONDS", 5)
    account.give_ether([RICH.address], 1)


def fail(*_: Any) -> Any:
    raise OSError("gone")


def test_send__poor_account__the_nodes_words(web3, contract):
    poor = Sender(web3, Account.create(), ERRORS)
    with pytest.raises(NodeRefused, match=r"(?i)funds"):
        poor.give_ether([RICH.address], 10**18)


def test_send__more_gas_than_a_transaction_may_use__refused_and_nothing_is_paid(
    web3, contract, account, monkeypatch
):
    calls = web3.eth.contract(address=RICH.address, abi=CALLS)
    monkeypatch.setattr(sender, "MAX_GAS", 21_000)
    before = web3.eth.get_transaction_count(RICH.address)
    with pytest.raises(Refused, match=r"^it takes [0-9]+ gas, and a transaction may use 21000$"):
        account.send(calls.functions.OutOfBalance(1, 1))
    assert web3.eth.get_transaction_count(RICH.address) == before


def test_wait__transaction_unknown__node_error_in_the_end(web3, account, monkeypatch):
    monkeypatch.setattr(sender, "RECEIPT_SECONDS", 0.1)
    with pytest.raises(NodeError, match=r"was not included within 0\.1 s"):
        account.wait("0x" + "12" * 32)


# ------------------------------------------------------------ events


def reader_with(monkeypatch: pytest.MonkeyPatch, logs: Callable[[int, int], list[Any]]) -> EventReader:
    reader = EventReader(Web3(), deployment("0x" + "00" * 20), ["Market"])
    monkeypatch.setattr(reader, "_logs", logs)
    return reader


def test_events__node_gives_few_blocks_at_once__asked_for_fewer_and_all_are_read(monkeypatch):
    asked = []

    def logs(first: int, last: int) -> list[Any]:
        asked.append(last - first + 1)
        if last - first >= 3_000:
            raise NodeRefused("at most 3000 blocks")
        return list(range(first, last + 1))

    reader = reader_with(monkeypatch, logs)
    assert list(reader.read(1, 9_000)) == list(range(1, 9_001))
    assert asked[:3] == [9_000, 5_000, 2_500]
    assert sum(blocks > 3_000 for blocks in asked) == 2


def test_events__node_that_always_refuses__told_and_the_next_time_tried_anew(monkeypatch):
    asked = []

    def logs(first: int, last: int) -> list[Any]:
        asked.append(last - first + 1)
        raise NodeRefused("no logs here")

    reader = reader_with(monkeypatch, logs)
    for _ in range(2):
        asked.clear()
        with pytest.raises(NodeRefused):
            list(reader.read(1, 20_000))
        assert (asked[0], asked[-1]) == (10_000, 1)


def test_events__node_away__not_asked_again_and_again(monkeypatch):
    asked = []

    def logs(first: int, last: int) -> list[Any]:
        asked.append(first)
        raise NodeError("away")

    with pytest.raises(NodeError):
        list(reader_with(monkeypatch, logs).read(1, 9_000))
    assert asked == [1]


def test_node_errors__silence__shrinks_what_is_asked_for(answers, monkeypatch):
    silent = threading.Event()
    monkeypatch.setattr(node, "TIMEOUT_SECONDS", 0)
    monkeypatch.setattr(answers.server, "finish_request", lambda *_: silent.wait())
    web3 = Web3(Web3.HTTPProvider(answers.url, {"timeout": 0.1}, exception_retry_configuration=None))
    with pytest.raises(NodeRefused, match="did not answer within 0 s"), node_errors():
        web3.eth.get_block("latest")
    silent.set()
