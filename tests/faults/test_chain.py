"""The chain in the campaign's hands does what the faults need of it."""

import time
from collections.abc import Iterator

import pytest
from eth_account import Account
from web3.exceptions import Web3RPCError

from tests import nodes
from tests.faults.chain import Chain
from tests.integration.street import OWNER


@pytest.fixture
def chain() -> Iterator[Chain]:
    with nodes.anvil() as url:
        one = Chain(url)
        one.begin()
        yield one
        one.close()


def pay(chain: Chain, nonce: int) -> str:
    """One wei to somebody; returns the transaction's hash."""
    terms = {"to": Account.create().address, "value": 1, "gas": 21_000, "nonce": nonce}
    fees = {"maxFeePerGas": 10**10, "maxPriorityFeePerGas": 1, "chainId": chain.web3.eth.chain_id}
    signed = OWNER.sign_transaction(terms | fees)
    return chain.web3.eth.send_raw_transaction(signed.raw_transaction).to_0x_hex()


def paid(chain: Chain) -> int:
    return chain.web3.eth.get_transaction_count(OWNER.address, "latest")


def wait_for_height(chain: Chain, height: int) -> None:
    deadline = time.monotonic() + 10
    while chain.height() < height:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_chain__running__blocks_come_by_themselves_and_take_transactions(chain: Chain) -> None:
    pay(chain, 0)
    wait_for_height(chain, chain.height() + 3)
    assert paid(chain) == 1


def test_chain__standing_still__what_is_sent_waits(chain: Chain) -> None:
    chain.stand_still()
    time.sleep(0.3)  # a block may have been under way
    height = chain.height()
    pay(chain, 0)
    time.sleep(0.6)
    assert chain.height() == height
    assert paid(chain) == 0
    chain.go_on()
    wait_for_height(chain, height + 2)
    assert paid(chain) == 1


def test_chain__reorganised__transactions_of_the_last_blocks_are_gone(chain: Chain) -> None:
    chain.stand_still()
    time.sleep(0.3)
    chain.bury(6)
    pay(chain, 0)
    chain.bury(3)
    before = chain.web3.eth.get_block("latest")
    assert paid(chain) == 1
    chain.reorganise(4)
    assert paid(chain) == 0
    assert chain.height() == before["number"] + 1
    assert chain.web3.eth.get_block(before["number"])["hash"] != before["hash"]


def test_chain__travelled__time_goes_on_from_there(chain: Chain) -> None:
    then = chain.now() + 5_000
    chain.travel(then)
    assert then <= chain.now() < then + 60
    chain.travel(then - 100)
    assert chain.now() >= then


def test_chain__fees_risen__nobody_pays_less_until_they_fall(chain: Chain) -> None:
    chain.base_fee = 500 * 10**9
    wait_for_height(chain, chain.height() + 3)
    assert chain.web3.eth.get_block("latest")["baseFeePerGas"] == 500 * 10**9
    with pytest.raises(Web3RPCError, match="max fee per gas less than block base fee"):
        pay(chain, 0)
    chain.base_fee = 10**9
    wait_for_height(chain, chain.height() + 3)
    pay(chain, 0)
    wait_for_height(chain, chain.height() + 2)
    assert paid(chain) == 1
