"""A chain that is not Ape's to command: what `Community` needs of a chain manager, over plain JSON-RPC."""

from collections.abc import Callable
from typing import Any

from web3 import HTTPProvider, Web3
from web3.types import RPCEndpoint


class RemoteChain:
    """A development chain at a URL, with a clock that can be put forward.

    set_time: the chain's own way to do that; see `anvil_time` and `ganache_time`.
    """

    def __init__(self, url: str, set_time: Callable[["RemoteChain", int], None]) -> None:
        self.web3 = Web3(HTTPProvider(url))
        self._set_time = set_time

    @property
    def chain_id(self) -> int:
        return self.web3.eth.chain_id

    @property
    def pending_timestamp(self) -> int:
        return int(self.web3.eth.get_block("latest")["timestamp"]) + 1

    def request(self, method: str, *parameters: Any) -> None:
        """Raise AssertionError with the chain's own words unless it does as asked."""
        answer = self.web3.provider.make_request(RPCEndpoint(method), list(parameters))
        assert "error" not in answer, answer

    def mine(self, timestamp: int) -> None:
        """One block at this time."""
        self._set_time(self, timestamp)
        self.request("evm_mine")


def anvil_time(chain: RemoteChain, timestamp: int) -> None:
    chain.request("evm_setNextBlockTimestamp", timestamp)


def ganache_time(chain: RemoteChain, timestamp: int) -> None:
    chain.request("evm_setTime", timestamp * 1000)
