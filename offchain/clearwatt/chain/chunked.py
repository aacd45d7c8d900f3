"""Clearing an auction that does not fit one transaction: the same check in chunks.

`plan` splits the bids, `ChunkedClearing.clear` carries a plan out and `ChunkedClearing.enter` enters the positions
that came of it, whoever cleared. What the chain has accepted stays accepted, so both can be called again at any time:
a clearing under way is begun anew, and chunks that are entered already are passed over.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass

from eth_utils import keccak
from web3.contract.contract import ContractFunction

from clearwatt.bids import STEP_BYTES, Bid
from clearwatt.chain import codec
from clearwatt.chain.capacity import MAX_CALLDATA, MAX_GAS, fill_gas
from clearwatt.chain.events import EventReader
from clearwatt.chain.market import AuctionView, MarketClient
from clearwatt.chain.node import Refused, checksum, node_errors
from clearwatt.chain.sender import Sender
from clearwatt.clearing.auction import Auction, Claim
from clearwatt.clearing.equilibrium import check_claim
from clearwatt.clearing.positions import Position, positions
from clearwatt.errors import UserError

log = logging.getLogger(__name__)

MAX_BUNDLES, MAX_CHUNKS = 1024, 256
"""Of one chunk and of one session: `MAX_CHUNK_BUNDLES` and `MAX_CHUNKS` of the contract."""

WORD = 32
PROGRESS_WORDS = 3
ARGUMENT_BYTES = 4 + 16 * WORD
"""Selector, heads, lengths and padding of any call here, at most."""

ENTRY_BYTES = 52


@dataclass(frozen=True)
class Limits:
    """What one transaction may be: gas, and bytes of calldata."""

    gas: int = MAX_GAS
    calldata: int = MAX_CALLDATA


@dataclass(frozen=True)
class Plan:
    """An auction's clearing in chunks.

    prices, marginals: packed, as every call takes them. chunks: packed bids, traders ascending over all of them.
    entries: per chunk what the chain will say came of it, `trader address | position hash bytes32` each.
    """

    prices: bytes
    marginals: bytes
    chunks: tuple[bytes, ...]
    entries: tuple[bytes, ...]

    @property
    def hashes(self) -> list[bytes]:
        """keccak256 of every chunk's entries, as `close` and `enter` take them."""
        return [bytes(keccak(entries)) for entries in self.entries]


def state_words(auction: Auction, claim: Claim) -> int:
    """Words of working memory that go from call to call."""
    return PROGRESS_WORDS + auction.grid.zones * auction.slots + len(claim.marginals)


def plan(auction: Auction, claim: Claim, limits: Limits = Limits()) -> Plan:
    """Split an auction into as few chunks as its bids' order allows.

    Raises RuleBroken if the claim is not the auction's result, UserError if no chunk could hold some bid, or the
    working memory alone is too large.
    """
    position = positions(auction, check_claim(auction, claim))
    chunks = list(_split(auction, state_words(auction, claim), limits))
    entries = tuple(b"".join(_entry(bid, position[bid.member]) for bid in chunk) for chunk in chunks)
    packed = Plan(
        codec.pack_prices(claim.prices),
        codec.pack_marginals(claim.marginals),
        tuple(map(codec.pack_bids, chunks)),
        entries,
    )
    _require_closable(packed, state_words(auction, claim), limits)
    return packed


def _entry(bid: Bid, position: Position) -> bytes:
    return bytes.fromhex(bid.member[2:]) + bytes(keccak(codec.pack_position(position)))


def _split(auction: Auction, words: int, limits: Limits) -> Iterator[list[Bid]]:
    """Chunks filled one after the other, each as far as the limits let it."""
    room = limits.calldata - ARGUMENT_BYTES - WORD * words
    chunk: list[Bid] = []
    steps = 0

    def fits(bids: int, steps: int) -> bool:
        within_gas = fill_gas(words, bids, steps) <= limits.gas
        return within_gas and bids <= MAX_BUNDLES and codec.HEAD_BYTES * bids + STEP_BYTES * steps <= room

    for bid in sorted(auction.bids, key=lambda bid: int(bid.member, 16)):
        if not fits(1, len(bid.steps)):
            raise UserError(
                f"the bid of {bid.member} with {len(bid.steps)} steps does not fit one transaction beside "
                f"{WORD * words} bytes of working memory"
            )
        if not fits(len(chunk) + 1, steps + len(bid.steps)):
            yield chunk
            chunk, steps = [], 0
        chunk.append(bid)
        steps += len(bid.steps)
    if chunk:
        yield chunk


def _require_closable(plan: Plan, words: int, limits: Limits) -> None:
    size = ARGUMENT_BYTES + WORD * (words + len(plan.chunks)) + len(plan.prices) + len(plan.marginals)
    if size > limits.calldata:
        raise UserError(
            f"the auction can't be cleared even in chunks: closing it takes {size} bytes of calldata, and a "
            f"transaction holds {limits.calldata}"
        )
    if len(plan.chunks) > MAX_CHUNKS:
        raise UserError(f"the auction takes {len(plan.chunks)} chunks, and {MAX_CHUNKS} can be cleared")


class ChunkedClearing:
    """One account's way through chunked clearings.

    sender: who solves and pays; entering needs no other right than gas.
    """

    def __init__(self, client: MarketClient, sender: Sender) -> None:
        self._client = client
        self._sender = sender
        self._reader = EventReader(client.web3, client.deployment, ("ChunkedClearing",))
        deployed = client.deployment["ChunkedClearing"]
        self._contract = client.web3.eth.contract(address=checksum(deployed.address), abi=deployed.abi)

    # ------------------------------------------------------------ clearing

    def clear(self, number: int, plan: Plan) -> bool:
        """Begin, fill and close auction `number`. Returns whether this result was accepted, False if the auction was
        cleared by somebody else meanwhile; the positions are to be entered in either case.

        Raises Refused if the contract says no for any other reason, NodeError.
        """
        try:
            self._carry_out(number, plan)
        except Refused as refusal:
            if refusal.name != "AlreadyCleared":
                raise
            log.info("auction %d: somebody else has cleared it", number)
            return False
        return True

    def _carry_out(self, number: int, plan: Plan) -> None:
        calls = self._contract.functions
        state = self._advance(calls.begin(number, plan.prices, plan.marginals))
        for index, chunk in enumerate(plan.chunks):
            state = self._advance(calls.fill(number, state, chunk))
            log.info("auction %d: chunk %d of %d walked", number, index + 1, len(plan.chunks))
        self._sender.send(calls.close(number, state, plan.prices, plan.marginals, plan.hashes))

    def _advance(self, function: ContractFunction) -> bytes:
        """Send the call and return the working memory it leaves, which only a call tells, before it is sent."""
        with node_errors(self._client.errors):
            state = function.call({"from": self._sender.address, "gas": MAX_GAS})
        self._sender.send(function)
        return bytes(state)

    # ------------------------------------------------------------ entering

    def enter(self, number: int) -> int:
        """Enter the positions of an auction that was cleared in chunks, by whomever. Returns the chunks entered now:
        0 if all were, or the auction was not cleared in chunks.

        Raises Refused, NodeError.
        """
        auction, enter = self._auction(number), self._contract.functions.enter
        hashes, waiting = list(auction.chunks), auction.unentered
        entries = self._entries(number) if waiting else {}
        entered = 0
        for chunk in waiting:
            if chunk in self._auction(number).unentered:  # nobody was faster
                self._sender.send(enter(number, hashes, chunk, entries[hashes[chunk]]))
                entered += 1
        return entered

    def _auction(self, number: int) -> AuctionView:
        return self._client.view().auctions.get(number) or AuctionView(number)

    def _entries(self, number: int) -> dict[bytes, bytes]:
        """Every chunk's entries by their hash, whoever filled it and whatever became of it."""
        first, last = self._client.deployment.first_block, self._client.view().reference.number
        filled = (
            event["args"] for event in self._reader.read(first, last) if event["event"] == "ChunkFilled"
        )
        return {
            bytes(keccak(args["entries"])): args["entries"] for args in filled if args["auction"] == number
        }
