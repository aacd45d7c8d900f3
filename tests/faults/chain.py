"""A real chain whose blocks, time, fees and past are in the campaign's hands."""

import threading
from typing import Any

from eth_account.signers.local import LocalAccount
from web3.contract.contract import ContractFunction

from clearwatt.chain.node import connect

BLOCK_SECONDS = 0.2
"""Between blocks, real time."""

GAS = 4_000_000
TIP = 10**9


class Chain:
    """An anvil at `url` that mines when a miner's thread says so.

    base_fee: wei per gas of every block from now on; None = as the chain's own rule has it.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.web3 = connect(url)
        self.base_fee: int | None = None
        self._lock = threading.RLock()
        self._running = threading.Event()
        self._closed = threading.Event()
        self._miner = threading.Thread(target=self._mine_on, daemon=True)

    def begin(self) -> None:
        """From here on blocks come with time, not with transactions."""
        self.request("evm_setAutomine", False)
        self._running.set()
        self._miner.start()

    def close(self) -> None:
        self._closed.set()
        self._running.set()
        if self._miner.is_alive():
            self._miner.join()

    def _mine_on(self) -> None:
        while not self._closed.wait(BLOCK_SECONDS):
            if self._running.is_set():
                self.mine()

    # ------------------------------------------------------------ what happens to it

    def mine(self, timestamp: int | None = None) -> None:
        """One block, now or at a time to come."""
        with self._lock:
            if self.base_fee is not None:
                self.request("anvil_setNextBlockBaseFeePerGas", hex(self.base_fee))
            self.request("evm_mine", *([] if timestamp is None else [timestamp]))

    def bury(self, blocks: int) -> None:
        """So many blocks on top of what there is."""
        for _ in range(blocks):
            self.mine()

    def travel(self, timestamp: int) -> None:
        """Have a block at `timestamp`, unless the chain is past it."""
        with self._lock:
            if timestamp > self.now():
                self.mine(timestamp)

    def stand_still(self) -> None:
        """No more blocks; what is sent waits."""
        self._running.clear()

    def go_on(self) -> None:
        self._running.set()

    def reorganise(self, blocks: int) -> None:
        """The newest blocks are replaced by empty ones, one more of them than there were, as the longer chain wins."""
        with self._lock:
            self.request("anvil_reorg", blocks, [])
            self.mine()

    # ------------------------------------------------------------ looking

    def now(self) -> int:
        """The newest block's time."""
        return int(self.web3.eth.get_block("latest")["timestamp"])

    def height(self) -> int:
        return int(self.web3.eth.block_number)

    def request(self, method: str, *parameters: Any) -> Any:
        answer = self.web3.provider.make_request(method, list(parameters))  # type: ignore[arg-type]
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]


class Wallet:
    """A user's: signs, sends and does not wait; who holds it looks at the chain and sends anew what is not there."""

    def __init__(self, chain: Chain, key: LocalAccount) -> None:
        self._web3 = chain.web3
        self._key = key

    @property
    def address(self) -> str:
        return str(self._key.address)

    def send(self, function: ContractFunction) -> None:
        """At the next free nonce of the newest block, so that it replaces one of its own that is stuck."""
        base = int(self._web3.eth.get_block("latest").get("baseFeePerGas") or 0)
        nonce = self._web3.eth.get_transaction_count(self._key.address, "latest")
        fees = {"maxFeePerGas": 3 * base + 2 * TIP, "maxPriorityFeePerGas": TIP}
        terms: Any = {"from": self.address, "gas": GAS, "nonce": nonce, **fees}
        signed = self._key.sign_transaction(function.build_transaction(terms))
        self._web3.eth.send_raw_transaction(signed.raw_transaction)
