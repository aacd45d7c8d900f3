"""One solver's chunked clearing of a day, call by call, honest or not."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import ape
from eth_abi import decode
from eth_utils import keccak

from clearwatt.bids import Bid
from clearwatt.chain import codec
from clearwatt.clearing.auction import Claim
from tests.contracts.day import Day
from tests.contracts.refusals import Refusal, refusal


def ordered(bids: Sequence[Bid]) -> list[Bid]:
    """Bids in the order in which they must be sent."""
    return sorted(bids, key=lambda bid: int(bid.member, 16))


def packed(bids: Sequence[Bid]) -> bytes:
    """Bids as they travel, in the order given."""
    return b"".join(map(codec.pack_bid, bids))


@dataclass
class Session:
    """The calls of one solver at the chunked clearing of `day`.

    state: the working memory that the last call left. entries: per chunk filled, as logged.
    """

    day: Day
    solver: Any
    claim: Claim | None = None
    state: bytes = b""
    entries: list[bytes] = field(default_factory=list)
    receipts: list[Any] = field(default_factory=list)

    @property
    def contract(self) -> Any:
        return self.day.market.clearing

    @property
    def number(self) -> int:
        return self.day.auction

    @property
    def prices(self) -> bytes:
        return codec.pack_prices((self.claim or self.day.claim).prices)

    @property
    def marginals(self) -> bytes:
        return codec.pack_marginals((self.claim or self.day.claim).marginals)

    @property
    def chunks(self) -> list[bytes]:
        return [bytes(keccak(entries)) for entries in self.entries]

    @property
    def hash_on_chain(self) -> bytes:
        return bytes(self.contract.sessionOf(self.number, self.solver))

    # ------------------------------------------------------------ what is sent

    def begin(self) -> "Session":
        self._advance(self.contract.begin, self.number, self.prices, self.marginals)
        self.entries.clear()
        return self

    def fill(self, bids: Sequence[Bid]) -> "Session":
        receipt = self._advance(self.contract.fill, self.number, self.state, packed(bids))
        [event] = receipt.decode_logs(self.contract.ChunkFilled)
        assert (event.auction, event.solver, event.chunk) == (self.number, self.solver, len(self.entries))
        self.entries.append(bytes(event.entries))
        return self

    def fill_all(self, size: int = 2) -> "Session":
        """Every bid of the day, so many to a chunk."""
        bids = ordered(self.day.problem.bids)
        for start in range(0, len(bids), size):
            self.fill(bids[start : start + size])
        return self

    def close(self) -> Any:
        receipt = self.contract.close(*self._closing({}), sender=self.solver)
        self.receipts.append(receipt)
        return receipt

    def enter(self, chunk: int, sender: Any = None) -> Any:
        sent = (self.number, self.chunks, chunk, self.entries[chunk])
        return self.contract.enter(*sent, sender=sender or self.solver)

    def fill_unwatched(self, bids: bytes) -> None:
        log = self._advance_unwatched(self.contract.fill, self.number, self.state, bids)
        _, entries = decode(["uint256", "bytes"], bytes(log["data"]))
        self.entries.append(bytes(entries))

    def verdict(self, cut: Sequence[int]) -> Refusal | None:
        """Begin anew, fill chunks of so many bids and try to close; what is refused first, or None."""
        answer = self.begin_refusal()
        if answer is not None:
            return answer
        self._advance_unwatched(self.contract.begin, self.number, self.prices, self.marginals)
        self.entries.clear()
        bids = iter(ordered(self.day.problem.bids))
        for size in cut:
            chunk = packed(list(islice(bids, size)))
            answer = self.fill_refusal(chunk)
            if answer is not None:
                return answer
            self.fill_unwatched(chunk)
        assert next(bids, None) is None
        return self.close_refusal()

    def _advance_unwatched(self, method: Any, *arguments: Any) -> Any:
        """Past Ape, which takes its time over every receipt. Returns the only log."""
        call = self._call(method, *arguments)
        self.state = self._outcome(call)
        eth = ape.chain.provider.web3.eth
        receipt = eth.wait_for_transaction_receipt(eth.send_transaction(call), poll_latency=0.002)
        assert receipt["status"] == 1
        [log] = receipt["logs"]
        return log

    def _advance(self, method: Any, *arguments: Any) -> Any:
        """Ask what the call leaves, as a solver has to, and then send it."""
        self.state = self._outcome(self._call(method, *arguments))
        receipt = method(*arguments, sender=self.solver)
        self.receipts.append(receipt)
        assert self.hash_on_chain == bytes(keccak(self.state))
        return receipt

    def _call(self, method: Any, *arguments: Any) -> dict[str, Any]:
        data = method.encode_input(*arguments)
        return {"from": str(self.solver), "to": self.contract.address, "data": data}

    def _outcome(self, call: dict[str, Any]) -> bytes:
        [state] = decode(["bytes"], bytes(ape.chain.provider.web3.eth.call(call)))
        return bytes(state)

    # ------------------------------------------------------------ what is only tried

    def begin_refusal(self, prices: bytes | None = None, marginals: bytes | None = None) -> Refusal | None:
        prices = self.prices if prices is None else prices
        marginals = self.marginals if marginals is None else marginals
        return refusal(self.contract.begin, self.number, prices, marginals, sender=self.solver)

    def fill_refusal(self, bids: Sequence[Bid] | bytes, state: bytes | None = None) -> Refusal | None:
        sent = bids if isinstance(bids, bytes) else packed(bids)
        state = self.state if state is None else state
        return refusal(self.contract.fill, self.number, state, sent, sender=self.solver)

    def close_refusal(self, **changes: Any) -> Refusal | None:
        """`changes` replace `state`, packed `prices` or `marginals`, or `chunks`."""
        return refusal(self.contract.close, *self._closing(changes), sender=self.solver)

    def enter_refusal(self, chunk: int, **changes: Any) -> Refusal | None:
        """`changes` replace `chunks` or `entries`."""
        chunks = changes.get("chunks", self.chunks)
        entries = changes.get("entries", self.entries[chunk] if chunk < len(self.entries) else b"")
        return refusal(self.contract.enter, self.number, chunks, chunk, entries, sender=self.solver)

    def _closing(self, changes: dict[str, Any]) -> tuple[Any, ...]:
        own = {
            "state": self.state,
            "prices": self.prices,
            "marginals": self.marginals,
            "chunks": self.chunks,
        }
        return (self.number, *(own | changes).values())

    @property
    def mismatch(self) -> Refusal:
        """What is said to a state that is not this session's."""
        return ("StateMismatch", self.number, str(self.solver))
