"""Reading a market's events, in pieces as large as the node allows."""

from collections.abc import Iterator, Sequence
from typing import Any

from eth_utils import event_abi_to_log_topic
from web3 import Web3
from web3._utils.events import get_event_data
from web3.types import EventData

from clearwatt.chain.deployment import Deployment
from clearwatt.chain.node import NodeRefused, checksum, node_errors

WINDOW = 10_000
"""Blocks asked for at once, at first; nodes differ in what they allow."""


class EventReader:
    """All events of a market's contracts, in the order in which they happened."""

    def __init__(self, web3: Web3, deployment: Deployment, contracts: Sequence[str]) -> None:
        self._web3 = web3
        self._addresses = [checksum(deployment[name].address) for name in contracts]
        self._abis = {
            event_abi_to_log_topic(entry): entry  # type: ignore[arg-type]
            for name in contracts
            for entry in deployment[name].abi
            if entry["type"] == "event"
        }
        self._window = WINDOW

    def read(self, first: int, last: int) -> Iterator[EventData]:
        """Events of blocks `first` to `last`, both included. Raises NodeError when even one block can't be had."""
        while first <= last:
            until = min(last, first + self._window - 1)
            try:
                logs = self._logs(first, until)
            except NodeRefused:
                if self._window == 1:
                    self._window = WINDOW
                    raise
                self._window //= 2
                continue
            yield from logs
            first = until + 1

    def _logs(self, first: int, last: int) -> list[EventData]:
        with node_errors():
            raw = self._web3.eth.get_logs({"address": self._addresses, "fromBlock": first, "toBlock": last})
        return [self._decode(log) for log in raw if bytes(log["topics"][0]) in self._abis]

    def _decode(self, log: Any) -> EventData:
        return get_event_data(self._web3.codec, self._abis[bytes(log["topics"][0])], log)  # type: ignore[arg-type]
