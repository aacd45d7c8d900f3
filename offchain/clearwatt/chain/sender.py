"""Sending transactions: tried as a call first, signed here, followed to the receipt."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from eth_account.signers.local import LocalAccount
from web3 import Web3
from web3.contract.contract import ContractFunction
from web3.exceptions import TransactionNotFound

from clearwatt.chain.capacity import MAX_GAS
from clearwatt.chain.node import ErrorBook, NodeError, Refused, checksum, node_errors

GAS_MARGIN = 1.15
"""Over the estimate: time passes between estimate and inclusion, and cold slots cost more than warm ones."""

RECEIPT_SECONDS = 120


@dataclass(frozen=True)
class Receipt:
    """What became of a transaction."""

    transaction: str
    block: int
    gas_used: int


class Sender:
    """One account's way to the chain.

    Nonces of transactions that are posted are counted here after the first, so that several can be under way
    at once; `send` comes after those have been waited for.
    """

    def __init__(self, web3: Web3, key: LocalAccount, errors: ErrorBook) -> None:
        self._web3 = web3
        self._key = key
        self._errors = errors
        self._nonce: int | None = None

    @property
    def address(self) -> str:
        return str(self._key.address)

    def call(self, function: ContractFunction) -> None:
        """Try the call without sending it. Raises Refused or NodeError."""
        with node_errors(self._errors):
            function.call({"from": self._key.address})

    def send(self, function: ContractFunction) -> Receipt:
        """Send and wait. Raises Refused if the contract says no, before anything is paid for if that shows."""
        self._nonce = None  # with nothing under way the node knows best, whatever the chain has undone since
        return self.wait(self.post(function), function)

    def post(self, function: ContractFunction, gas: int | None = None) -> str:
        """Send without waiting; `gas` skips the estimate, and with it the trial. Returns the transaction's hash."""
        with node_errors(self._errors):
            if gas is None:
                gas = self._estimate(function)
            terms = {"from": self._key.address, "gas": gas, "nonce": 0, **self._fees()}
            # the nonce comes last: one that is taken and not used would hold up all that follow
            return self._submit(function.build_transaction(terms) | {"nonce": self._next_nonce()})

    def _estimate(self, function: ContractFunction) -> int:
        estimate = function.estimate_gas({"from": self._key.address})
        if estimate > MAX_GAS:
            raise Refused("", {}, f"it takes {estimate} gas, and a transaction may use {MAX_GAS}")
        return min(MAX_GAS, int(estimate * GAS_MARGIN))

    def give_ether(self, accounts: Sequence[str], wei: int) -> None:
        """Send ether to each account and wait. Raises Refused, NodeError."""
        for transaction in [self._transfer(account, wei) for account in accounts]:
            self.wait(transaction)

    def _transfer(self, account: str, wei: int) -> str:
        with node_errors(self._errors):
            transaction = {"to": checksum(account), "value": wei, "gas": 21_000, **self._fees()}
            chain_id = self._web3.eth.chain_id
            return self._submit(transaction | {"chainId": chain_id, "nonce": self._next_nonce()})

    def _submit(self, transaction: Any) -> str:
        signed = self._key.sign_transaction(transaction)
        try:
            return self._web3.eth.send_raw_transaction(signed.raw_transaction).to_0x_hex()
        except Exception:
            self._nonce = None
            raise

    def wait(self, transaction: str, function: ContractFunction | None = None) -> Receipt:
        """The receipt. Raises Refused if it failed on chain, NodeError if it does not come in time."""
        deadline = time.monotonic() + RECEIPT_SECONDS
        delay = 0.01
        while time.monotonic() < deadline:
            receipt = self._receipt(transaction)
            if receipt is not None:
                if receipt["status"] != 1:
                    if function is not None:
                        self.call(function)  # says why, if it would fail now as well
                    raise Refused("", {}, f"transaction {transaction} failed on chain")
                return Receipt(transaction, receipt["blockNumber"], receipt["gasUsed"])
            time.sleep(delay)
            delay = min(2 * delay, 1.0)
        self._nonce = None
        raise NodeError(f"transaction {transaction} was not included within {RECEIPT_SECONDS} s")

    def _receipt(self, transaction: str) -> Any:
        with node_errors(self._errors):
            try:
                return self._web3.eth.get_transaction_receipt(transaction)  # type: ignore[arg-type]
            except TransactionNotFound:
                return None

    def _next_nonce(self) -> int:
        if self._nonce is None:
            self._nonce = self._web3.eth.get_transaction_count(self._key.address, "pending")
        else:
            self._nonce += 1
        return self._nonce

    def _fees(self) -> dict[str, Any]:
        """Twice the base fee, so that it holds for some blocks; a chain without base fee takes a plain gas price."""
        base = self._web3.eth.get_block("latest").get("baseFeePerGas")
        if base is None:
            return {"gasPrice": self._web3.eth.gas_price}
        tip = self._web3.eth.max_priority_fee
        return {"maxFeePerGas": 2 * base + tip, "maxPriorityFeePerGas": tip}
