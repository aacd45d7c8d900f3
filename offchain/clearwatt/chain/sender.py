"""Sending transactions: tried as a call first, signed here, followed to the receipt, replaced when they are stuck."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from eth_account.signers.local import LocalAccount
from web3 import Web3
from web3.contract.contract import ContractFunction
from web3.exceptions import TransactionNotFound, Web3Exception

from clearwatt.chain.capacity import MAX_GAS
from clearwatt.chain.fees import FeeAboveCap, FeeLimits, FeeMarket, in_gwei
from clearwatt.chain.node import ErrorBook, NodeError, NodeRefused, Refused, checksum, node_errors

log = logging.getLogger(__name__)

GAS_MARGIN = 1.15
"""Over the estimate: time passes between estimate and inclusion, and cold slots cost more than warm ones."""

RECEIPT_SECONDS = 120
REPLACE_SECONDS = 30.0
"""After so long, and a block at least, a transaction is taken for stuck."""

NO_LIMITS = FeeLimits()
LONGEST_LOOK_SECONDS = 1.0
ATTEMPTS = 40
"""To find a nonce and a fee that the node takes: 40 eighths are a factor of a hundred."""


@dataclass(frozen=True)
class Receipt:
    """What became of a transaction. fee: wei paid for its gas in all."""

    transaction: str
    block: int
    gas_used: int
    fee: int = 0


@dataclass
class Pending:
    """A transaction under way.

    fields: as it was signed last. hashes: of all that were sent with its nonce. since: monotonic time of the last one.
    block: the newest then.
    """

    fields: dict[str, Any]
    hashes: list[str] = field(default_factory=list)
    since: float = 0.0
    block: int = 0
    replacements: int = 0


class Sender:
    """One account's way to the chain.

    Nonces of transactions that are posted are counted here after the first, so that several can be under way
    at once; `send` comes after those have been waited for. The first nonce is the one after the last included
    transaction: whatever an earlier run has left in the nodes' pools is replaced, and not waited behind.

    limits: of fees. replace_after: seconds until a transaction is taken for stuck.
    """

    def __init__(
        self,
        web3: Web3,
        key: LocalAccount,
        errors: ErrorBook,
        limits: FeeLimits = NO_LIMITS,
        replace_after: float = REPLACE_SECONDS,
    ) -> None:
        self._web3 = web3
        self._key = key
        self._errors = errors
        self._fees = FeeMarket(web3, limits)
        self._replace_after = replace_after
        self._nonce: int | None = None
        self._pending: dict[str, Pending] = {}

    @property
    def address(self) -> str:
        return str(self._key.address)

    @property
    def pending(self) -> int:
        """Transactions sent and not waited for yet."""
        return len(self._pending)

    def begin(self) -> None:
        """Nothing is under way any more: the node knows best, whatever the chain has undone since."""
        self._nonce = None
        self._pending.clear()

    def call(self, function: ContractFunction) -> None:
        """Try the call without sending it. Raises Refused or NodeError."""
        with node_errors(self._errors):
            function.call({"from": self._key.address})

    def estimate(self, function: ContractFunction) -> int:
        """Gas to send it with. Raises Refused or NodeError."""
        with node_errors(self._errors):
            return self._estimate(function)

    def offer(self) -> dict[str, int]:
        """What a transaction would offer per gas at present. Raises FeeAboveCap, NodeError."""
        with node_errors(self._errors):
            return self._fees.offer()

    def send(self, function: ContractFunction) -> Receipt:
        """Send and wait. Raises Refused if the contract says no, before anything is paid for if that shows."""
        self.begin()
        return self.wait(self.post(function), function)

    def post(self, function: ContractFunction, gas: int | None = None) -> str:
        """Send without waiting; `gas` skips the estimate, and with it the trial. Returns the transaction's hash.

        Raises Refused, NodeError, FeeAboveCap.
        """
        with node_errors(self._errors):
            if gas is None:
                gas = self._estimate(function)
            terms = {"from": self._key.address, "gas": gas, "nonce": 0, **self._fees.offer()}
            # the nonce comes last: one that is taken and not used would hold up all that follow
            return self._submit(dict(function.build_transaction(terms)))

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
            transaction = {"to": checksum(account), "value": wei, "gas": 21_000, **self._fees.offer()}
            return self._submit(transaction | {"chainId": self._web3.eth.chain_id})

    # ------------------------------------------------------------ into the nodes' pools

    def _submit(self, transaction: dict[str, Any]) -> str:
        """With the next nonce, in the place of what may be there with it already."""
        pending = Pending(transaction)
        try:
            for _ in range(ATTEMPTS):
                pending.fields["nonce"] = self._next_nonce()
                if self._hand_over(pending):
                    self._pending[pending.hashes[0]] = pending
                    return pending.hashes[0]
            raise NodeError(f"the node takes no transaction of {self.address}")
        except BaseException:
            self._nonce = None  # whether it got there is unknown: the node will say
            raise

    def _hand_over(self, pending: Pending) -> bool:
        """Whether the node has it now; if not, nonce or fees have been corrected for another try."""
        signed = self._key.sign_transaction(pending.fields)
        try:
            self._web3.eth.send_raw_transaction(signed.raw_transaction)
        except Web3Exception as error:
            words = str(error).lower()
            if "nonce too low" in words or "nonce is too low" in words:
                self._nonce = None
                return False
            if "underpriced" in words:
                assert self._nonce is not None
                self._nonce -= 1
                pending.fields |= self._fees.raised(pending.fields)
                return False
            if "already known" not in words and "already imported" not in words:
                raise
        pending.hashes.append(signed.hash.to_0x_hex())
        pending.since, pending.block = time.monotonic(), self._web3.eth.block_number
        return True

    def _next_nonce(self) -> int:
        if self._nonce is None:
            self._nonce = self._web3.eth.get_transaction_count(self._key.address, "latest")
        else:
            self._nonce += 1
        return self._nonce

    # ------------------------------------------------------------ into a block

    def wait(self, transaction: str, function: ContractFunction | None = None) -> Receipt:
        """The receipt, of it or of what has replaced it.

        Raises Refused if it failed on chain, NodeError if it does not come in time.
        """
        pending = self._pending.get(transaction, Pending({}, [transaction], time.monotonic()))
        deadline = time.monotonic() + RECEIPT_SECONDS
        delay = 0.01
        while time.monotonic() < deadline:
            receipt = self._receipt(pending)
            if receipt is not None:
                self._pending.pop(transaction, None)
                return self._outcome(receipt, function)
            self._replace_if_stuck(pending)
            time.sleep(delay)
            delay = min(2 * delay, LONGEST_LOOK_SECONDS)
        self._nonce = None
        raise NodeError(f"transaction {transaction} was not included within {RECEIPT_SECONDS} s")

    def _receipt(self, pending: Pending) -> Any:
        with node_errors(self._errors):
            for sent in reversed(pending.hashes):
                try:
                    return self._web3.eth.get_transaction_receipt(sent)  # type: ignore[arg-type]
                except TransactionNotFound:
                    continue
        return None

    def _outcome(self, receipt: Any, function: ContractFunction | None) -> Receipt:
        transaction = receipt["transactionHash"].to_0x_hex()
        if receipt["status"] != 1:
            if function is not None:
                self.call(function)  # says why, if it would fail now as well
            raise Refused("", {}, f"transaction {transaction} failed on chain")
        used = receipt["gasUsed"]
        return Receipt(
            transaction, receipt["blockNumber"], used, used * int(receipt.get("effectiveGasPrice", 0))
        )

    def _replace_if_stuck(self, pending: Pending) -> None:
        """The same again for an eighth more, when blocks come and go without it."""
        if not pending.fields or time.monotonic() - pending.since < self._replace_after:
            return
        pending.since = time.monotonic()
        with node_errors(self._errors):
            if self._web3.eth.block_number <= pending.block:
                return  # the chain stands still: no fee would help
            nonce = pending.fields["nonce"]
            if self._web3.eth.get_transaction_count(self._key.address, "latest") > nonce:
                if self._receipt(pending) is not None:
                    return
                raise NodeError(f"another transaction took nonce {nonce} of {self.address}")
            self._replace(pending)

    def _replace(self, pending: Pending) -> None:
        try:
            pending.fields |= self._fees.raised(pending.fields)
        except FeeAboveCap as problem:
            log.warning("transaction %s is stuck: %s", pending.hashes[-1], problem)
            return
        signed = self._key.sign_transaction(pending.fields)
        try:
            self._web3.eth.send_raw_transaction(signed.raw_transaction)
        except Web3Exception as error:
            log.info("transaction %s was not replaced: %s", pending.hashes[-1], error)
            return
        stuck = pending.hashes[-1]
        pending.hashes.append(signed.hash.to_0x_hex())
        pending.block = self._web3.eth.block_number
        pending.replacements += 1
        fee = pending.fields.get("maxFeePerGas", pending.fields.get("gasPrice", 0))
        log.warning(
            "transaction %s is stuck, replaced by %s at up to %s gwei",
            stuck,
            pending.hashes[-1],
            in_gwei(fee),
        )


__all__ = ["FeeAboveCap", "FeeLimits", "NodeRefused", "Receipt", "Sender"]
