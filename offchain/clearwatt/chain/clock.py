"""Time on a development chain, which can be told to jump ahead."""

from web3 import Web3

from clearwatt.chain.node import NodeRefused, latest, node_errors
from clearwatt.errors import UserError


class Clock:
    """The time of a chain that jumps on request (anvil, Ganache).

    Raises UserError if this chain does not: then it is a real one, and real time has to pass.
    """

    def __init__(self, web3: Web3) -> None:
        self._web3 = web3
        try:
            self._mine(self.now() + 1)
        except NodeRefused as error:
            raise UserError(
                f"this chain's time cannot be moved, so a day cannot be simulated on it: {error}"
            ) from None

    def now(self) -> int:
        """Time of the newest block."""
        return latest(self._web3).timestamp

    def travel(self, timestamp: int) -> None:
        """Have a block at `timestamp`, unless the chain is past it already."""
        if timestamp > self.now():
            self._mine(timestamp)

    def _mine(self, timestamp: int) -> None:
        with node_errors():
            answer = self._web3.provider.make_request("evm_mine", [timestamp])  # type: ignore[arg-type, list-item]
        if "error" in answer:
            raise NodeRefused(str(answer["error"].get("message", answer["error"])))
