"""Transactions that get stuck, gas that costs too much, nonces left open: at a real node that mines when it is told."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from eth_account import Account
from web3 import Web3

from clearwatt.chain import fees
from clearwatt.chain.fees import GWEI, FeeAboveCap, FeeLimits, FeeMarket, eighth_more
from clearwatt.chain.node import NodeError, connect
from clearwatt.chain.sender import Sender
from tests import nodes
from tests.offchain.chain.test_node import ERRORS, RICH

Mine = Callable[[int], None]


@pytest.fixture(scope="module")
def quiet_url() -> Iterator[str]:
    with nodes.anvil(args=("--no-mining",)) as url:
        yield url


@pytest.fixture
def web3(quiet_url: str) -> Iterator[Web3]:
    """A chain with nothing in its pool."""
    web3 = connect(quiet_url)
    yield web3
    request(web3, "anvil_dropAllTransactions")


@pytest.fixture
def mine(web3: Web3) -> Mine:
    """A block at a base fee of so many gwei; what offers less stays in the pool."""

    def mine(gwei: int) -> None:
        request(web3, "anvil_setNextBlockBaseFeePerGas", hex(gwei * GWEI))
        request(web3, "evm_mine")

    mine(1)
    return mine


def request(web3: Web3, method: str, *arguments: str) -> None:
    answer = web3.provider.make_request(method, list(arguments))  # type: ignore[arg-type]
    assert "error" not in answer, answer


@contextmanager
def mining(mine: Mine, gwei: int) -> Iterator[None]:
    """Blocks come, as on a chain that is in use."""
    done = threading.Event()

    def blocks() -> None:
        while not done.wait(0.05):
            mine(gwei)

    thread = threading.Thread(target=blocks)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def sender(web3: Web3, limits: FeeLimits | None = None) -> Sender:
    return Sender(web3, RICH, ERRORS, limits or FeeLimits(), replace_after=0.1)


def somebody() -> str:
    return str(Account.create().address)


def nonces(web3: Web3) -> tuple[int, int]:
    """Included, and included or in the pool."""
    return web3.eth.get_transaction_count(RICH.address), web3.eth.get_transaction_count(
        RICH.address, "pending"
    )


# ------------------------------------------------------------ stuck


def test_wait__base_fee_has_risen__replaced_at_the_same_nonce_and_paid_once(web3, mine, caplog):
    account, payee = sender(web3), somebody()
    sent = account._transfer(payee, 5)
    nonce = web3.eth.get_transaction(sent)["nonce"]
    with mining(mine, 50):
        receipt = account.wait(sent)
    assert receipt.transaction != sent
    included = web3.eth.get_transaction(receipt.transaction)
    assert (included["nonce"], included["maxFeePerGas"] >= 50 * GWEI) == (nonce, True)
    assert receipt.fee == 21_000 * web3.eth.get_transaction_receipt(receipt.transaction)["effectiveGasPrice"]
    assert web3.eth.get_balance(payee) == 5
    assert (account.pending, nonces(web3)) == (0, (nonce + 1, nonce + 1))
    assert f"transaction {sent} is stuck, replaced by {receipt.transaction}" in caplog.text


def test_wait__chain_stands_still__not_replaced(web3, mine, monkeypatch):
    account = sender(web3)
    monkeypatch.setattr("clearwatt.chain.sender.RECEIPT_SECONDS", 0.5)
    sent = account._transfer(somebody(), 5)
    with pytest.raises(NodeError, match=r"was not included within 0\.5 s"):
        account.wait(sent)
    assert account._pending[sent].hashes == [sent]


def test_wait__replacement_would_be_above_the_cap__left_until_the_base_fee_falls(web3, mine, caplog):
    account, payee = sender(web3, FeeLimits(max_fee=10 * GWEI)), somebody()
    sent = account._transfer(payee, 5)
    with pytest.MonkeyPatch.context() as patch, mining(mine, 50):
        patch.setattr("clearwatt.chain.sender.RECEIPT_SECONDS", 0.7)
        with pytest.raises(NodeError):
            account.wait(sent)
    assert account._pending[sent].hashes == [sent]
    assert "is stuck: the base fee of 50 gwei is above the cap of 10 gwei" in caplog.text
    with mining(mine, 1):
        receipt = account.wait(sent)
    assert web3.eth.get_transaction(receipt.transaction)["maxFeePerGas"] <= 10 * GWEI
    assert web3.eth.get_balance(payee) == 5


def test_wait__several_posted__all_included_in_the_order_of_their_nonces(web3, mine):
    account, payees = sender(web3), [somebody() for _ in range(3)]
    sent = [account._transfer(payee, 5) for payee in payees]
    assert account.pending == 3
    with mining(mine, 50):
        receipts = [account.wait(each) for each in sent]
    order = [web3.eth.get_transaction(receipt.transaction)["nonce"] for receipt in receipts]
    assert order == list(range(order[0], order[0] + 3))
    assert [web3.eth.get_balance(payee) for payee in payees] == [5, 5, 5]


# ------------------------------------------------------------ what gas may cost


def test_post__base_fee_above_the_cap__told_and_nothing_is_sent_until_it_falls(web3, mine):
    account = sender(web3, FeeLimits(max_fee=10 * GWEI))
    before = nonces(web3)
    mine(50)
    with pytest.raises(FeeAboveCap, match=r"^the base fee of 50 gwei is above the cap of 10 gwei$"):
        account._transfer(somebody(), 5)
    assert nonces(web3) == before
    mine(9)
    sent = web3.eth.get_transaction(account._transfer(somebody(), 5))
    assert sent["maxFeePerGas"] <= 10 * GWEI
    assert nonces(web3)[1] == before[1] + 1


@pytest.mark.parametrize(
    ("limits", "tip"),
    [
        (FeeLimits(min_priority=3 * GWEI), 3 * GWEI),
        (FeeLimits(max_priority=1), 1),
        (FeeLimits(max_fee=9 * GWEI, min_priority=2 * GWEI), 2 * GWEI),
    ],
)
def test_offer__limits_of_the_tip__kept(web3, mine, monkeypatch, limits, tip):
    monkeypatch.setattr(FeeMarket, "_paid_of_late", lambda self: GWEI)
    mine(6)
    offer = FeeMarket(web3, limits).offer()
    assert offer["maxPriorityFeePerGas"] == tip
    assert offer["maxFeePerGas"] == min(12 * GWEI + tip, limits.max_fee or 100 * GWEI)


def test_usual_tip__blocks_with_paid_tips__their_median(web3, mine):
    for gwei in (2, 4, 6):
        web3.eth.send_transaction(
            {
                "from": web3.eth.accounts[1],
                "to": RICH.address,
                "maxFeePerGas": Web3.to_wei(20, "gwei"),
                "maxPriorityFeePerGas": Web3.to_wei(gwei, "gwei"),
            }
        )
        mine(1)
    market = FeeMarket(web3, FeeLimits())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fees, "HISTORY_BLOCKS", 3)
        assert market._paid_of_late() == 4 * GWEI


@pytest.mark.parametrize(("fee", "more"), [(0, 1), (1, 2), (8, 9), (9, 11), (1000, 1125)])
def test_eighth_more__rounded_up(fee, more):
    assert eighth_more(fee) == more


# ------------------------------------------------------------ started anew


def test_post__an_earlier_run_left_transactions_in_the_pool__replaced_from_the_first_on(web3, mine):
    before, old, new = sender(web3), [somebody() for _ in range(3)], somebody()
    left = [before._transfer(payee, 5) for payee in old]
    first = web3.eth.get_transaction(left[0])["nonce"]
    again = sender(web3)
    sent = again._transfer(new, 7)
    assert web3.eth.get_transaction(sent)["nonce"] == first
    with mining(mine, 1):
        assert again.wait(sent).transaction == sent
    assert [web3.eth.get_balance(payee) for payee in (old[0], new)] == [0, 7]


def test_post__the_same_as_an_earlier_run_left_in_the_pool__taken_for_it_and_paid_once(web3, mine):
    payee = somebody()
    left = sender(web3)._transfer(payee, 5)
    again = sender(web3)
    assert again._transfer(payee, 5) == left
    mine(1)
    assert again.wait(left).transaction == left
    assert web3.eth.get_balance(payee) == 5


def test_post__another_process_used_the_nonce__the_next_one_is_taken(web3, mine):
    ours, theirs, payee = sender(web3), sender(web3), somebody()
    with mining(mine, 1):
        ours.wait(ours._transfer(somebody(), 1))
        theirs.wait(theirs._transfer(somebody(), 1))
        ours.wait(ours._transfer(payee, 5))
    assert web3.eth.get_balance(payee) == 5
