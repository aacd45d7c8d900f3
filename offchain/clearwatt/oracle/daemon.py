"""The oracle: a cycle that reads the chain, decides, and does the next thing for every auction.

It remembers nothing that matters. What is to be done follows from the chain and the statements, so it can
be stopped and started again at any point; what somebody else has done in the meantime is simply not to be
done any more.
"""

import logging
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from eth_account.signers.local import LocalAccount
from web3.contract.contract import ContractFunction

from clearwatt.chain import codec, typed_data
from clearwatt.chain.capacity import Auctions
from clearwatt.chain.chunked import ChunkedClearing, plan
from clearwatt.chain.market import AuctionView, MarketClient, MarketRules, MarketView
from clearwatt.chain.node import NodeError, NodeRefused, Refused
from clearwatt.chain.sender import Sender
from clearwatt.chain.typed_data import Evidence
from clearwatt.clearing.auction import Auction, Claim
from clearwatt.clearing.equilibrium import check_claim, claim_of
from clearwatt.clearing.positions import Position, positions
from clearwatt.clearing.tree import clear
from clearwatt.metering.statements import Statement, StatementStore, StoreError
from clearwatt.oracle.balancing import imbalance_prices
from clearwatt.oracle.decisions import (
    Clear,
    Decision,
    DrawTokens,
    EnterPositions,
    Forfeit,
    PostFallback,
    PostImbalance,
    Release,
    Settle,
    Statements,
    decide,
)

log = logging.getLogger(__name__)

MAX_BACKOFF_SECONDS = 60.0
RELEASED_AT_ONCE = 100

HALF_CURVE_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0
"""Of secp256k1. Every signature has a twin with s above it, which the contracts take no notice of."""


@dataclass(frozen=True)
class Settings:
    """How the oracle runs.

    poll_seconds: between cycles. batch: members in one settlement or token transaction.
    draw_tokens: whether to mint members' energy tokens for them.
    """

    poll_seconds: float = 12.0
    batch: int = 25
    draw_tokens: bool = True


@dataclass(frozen=True)
class Setback:
    """An auction in which nothing could be done: left alone for some seconds, until then (monotonic time)."""

    seconds: float
    until: float


class Oracle:
    """One oracle at one market.

    key: signs reports and transactions; None = look, but do nothing.
    """

    def __init__(
        self, client: MarketClient, store: StatementStore, key: LocalAccount | None, settings: Settings
    ) -> None:
        self._client = client
        self._store = store
        self._key = key
        self._settings = settings
        self._sender = Sender(client.web3, key, client.errors) if key else None
        self._view: MarketView | None = None
        self._finished: set[int] = set()
        self._setbacks: dict[int, Setback] = {}
        self._reported: set[Statement] = set()
        self._stopping = threading.Event()

    # ------------------------------------------------------------ running

    def run(self) -> None:
        """Cycle until stopped by SIGINT or SIGTERM; a node or database that is away is waited for."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._stop)
        log.info("watching the market at %s", self._client.market.address)
        pause = 0.0
        while not self._stopping.wait(pause):
            try:
                busy = self.cycle()
            except (NodeError, Refused, StoreError) as error:
                pause = _longer(pause)
                log.warning("%s; next try in %.0f s", error, pause)
            else:
                pause = 0.0 if busy else self._settings.poll_seconds
        log.info("stopped")

    def _stop(self, number: int, _frame: Any) -> None:
        log.info("%s: finishing the step under way", signal.Signals(number).name)
        self._stopping.set()

    def cycle(self) -> bool:
        """Do the next thing for every auction. Returns whether anything was done. Raises NodeError, StoreError."""
        busy = False
        for number in sorted(self._refresh().auctions):
            busy |= self._step(number)
        return busy

    def decisions(self) -> list[Decision]:
        """What there is to do now, auction by auction. Raises NodeError, StoreError."""
        view = self._refresh()
        return [self._decide(view, auction) for _, auction in sorted(view.auctions.items())]

    def _refresh(self) -> MarketView:
        view = self._client.view()
        if view is not self._view:  # the chain changed its past, and may have undone what was finished
            self._view = view
            self._finished.clear()
        return view

    def _step(self, number: int) -> bool:
        """Decide by the newest block, since others act too, and do it. Returns whether anything was done."""
        if number in self._finished or self._stopping.is_set() or self._is_held_back(number):
            return False
        view = self._refresh()
        auction = view.auctions.get(number)
        if auction is None:
            return False
        try:
            decision = self._decide(view, auction)
            done = self._act(view, auction, decision)
        except (NodeRefused, Refused) as refusal:
            return self._set_back(number, str(refusal))
        except (NodeError, StoreError):
            raise
        except Exception as error:
            # a fault of ours in one auction; the others have a right to be served
            log.exception("auction %d", number)
            return self._set_back(number, repr(error))
        self._setbacks.pop(number, None)
        if decision.finished:
            self._finished.add(number)
        return done

    def _is_held_back(self, number: int) -> bool:
        return number in self._setbacks and time.monotonic() < self._setbacks[number].until

    def _set_back(self, number: int, why: str) -> bool:
        """Somebody was faster, or something is wrong: say it, and leave the auction alone for a while."""
        before = self._setbacks.get(number, Setback(0.0, 0.0))
        pause = _longer(before.seconds)
        self._setbacks[number] = Setback(pause, time.monotonic() + pause)
        log.warning("auction %d: %s; next try in %.0f s", number, why, pause)
        return False

    def _decide(self, view: MarketView, auction: AuctionView) -> Decision:
        decision = decide(
            auction,
            self._client.rules,
            view.reference.timestamp,
            lambda waiting: self._statements(view, waiting),
        )
        if isinstance(decision.action, DrawTokens) and not self._settings.draw_tokens:
            return Decision(decision.auction, "settled; tokens are left to their owners", finished=True)
        return decision

    # ------------------------------------------------------------ statements

    def _statements(self, view: MarketView, auction: AuctionView) -> Statements:
        """For every unsettled member the first statement kept that its own meter signed."""
        kept = self._store.of(auction.number)
        found = {}
        for member in auction.unsettled:
            for statement in kept.get(member, []):
                if self._is_genuine(view, statement):
                    found[member] = statement
                    break
        return found

    def _is_genuine(self, view: MarketView, statement: Statement) -> bool:
        """Whether the Settlement contract will take it. A fault is told once, not in every cycle."""
        fault = self._fault(view, statement)
        if fault and statement not in self._reported:
            self._reported.add(statement)
            log.warning("auction %d: a statement for %s %s", statement.auction, statement.member, fault)
        return not fault

    def _fault(self, view: MarketView, statement: Statement) -> str:
        try:
            readings = codec.unpack_readings(statement.readings)
            signer = typed_data.signer_of(self._statement_message(statement, readings), statement.signature)
        except Exception as error:  # whatever a stranger stored: eth-account raises many kinds
            return f"is malformed: {error}"
        if len(readings) != self._client.rules.schedule.slots:
            return f"has {len(readings)} readings, not {self._client.rules.schedule.slots}"
        if not _chain_takes(statement.signature):
            return "has a signature in a form that the chain does not take"
        return "" if signer == view.meters.get(statement.member) else "is not its meter's"

    def _statement_message(self, statement: Statement, readings: Sequence[int]) -> typed_data.TypedData:
        deployment = self._client.deployment
        return typed_data.meter_statement(
            deployment.chain_id,
            deployment["Settlement"].address,
            statement.auction,
            statement.member,
            readings,
        )

    # ------------------------------------------------------------ actions

    def _act(self, view: MarketView, auction: AuctionView, decision: Decision) -> bool:
        """Returns whether anything was done. Raises Refused, NodeError."""
        if decision.action is None or self._sender is None:
            return False
        log.info("auction %d: %s", auction.number, decision.reason)
        match decision.action:
            case Clear():
                self._clear(auction)
            case EnterPositions():
                entered = ChunkedClearing(self._client, self._sender).enter(auction.number)
                log.info("positions of %d chunks entered", entered)
            case PostImbalance():
                statements = self._statements(view, auction)
                self._send("imbalance prices posted", self._imbalance(auction, statements))
            case PostFallback():
                self._send("fallback prices posted", self._client.post_fallback(auction))
            case Settle(members=members, evidence=evidence):
                statements = self._statements(view, auction) if evidence is Evidence.METER else {}
                self._send_for_all(
                    "settled", members, lambda group: self._settlement(auction, group, evidence, statements)
                )
            case DrawTokens(members=members):
                self._send_for_all("given tokens", members, lambda group: self._tokens(auction, group))
            case Release(members=members):
                self._send_for_all(
                    "released",
                    members,
                    lambda group: self._client.release(auction.number, group),
                    RELEASED_AT_ONCE,
                )
            case Forfeit(members=members):
                self._send_for_all(
                    "made to forfeit",
                    members,
                    lambda group: self._client.forfeit(auction.number, group[0]),
                    1,
                )
        return True

    def _send_for_all(
        self,
        done: str,
        members: Sequence[str],
        call: Callable[[Sequence[str]], ContractFunction],
        size: int = 0,
    ) -> None:
        """In batches; one that is refused is tried member by member, so that nobody stands in the others' way.

        Raises Refused if some members were refused, after the others have been served.
        """
        waiting = deque(_batches(members, size or self._settings.batch))
        refusals: list[str] = []
        while waiting and not self._stopping.is_set():
            group = waiting.popleft()
            try:
                self._send(f"{len(group)} members {done}", call(group))
            except (Refused, NodeRefused) as refusal:
                if len(group) == 1:
                    refusals.append(f"{group[0]} not {done}: {refusal}")
                else:
                    log.info("%d members not %s: %s; trying one by one", len(group), done, refusal)
                    waiting.extendleft(reversed(list(_batches(group, 1))))
        if refusals:
            raise Refused("", {}, "; ".join(refusals))

    def _send(self, done: str, function: ContractFunction) -> None:
        assert self._sender
        receipt = self._sender.send(function)
        log.info("%s: block %d, %d gas", done, receipt.block, receipt.gas_used)

    def _clear(self, auction: AuctionView) -> None:
        """In one transaction where that may be enough, otherwise in chunks."""
        assert self._sender
        problem, claim = self._solution(auction)
        rules = self._client.rules
        if Auctions(rules.grid.zones, rules.schedule.slots).fit(len(problem.bids), len(problem.steps)):
            self._send("cleared", self._client.clear(auction, claim))
        elif ChunkedClearing(self._client, self._sender).clear(auction.number, plan(problem, claim)):
            log.info("cleared in chunks")

    def _solution(self, auction: AuctionView) -> tuple[Auction, Claim]:
        """The optimum, checked here by the rules the contract will apply."""
        problem = auction.problem(self._client.rules)
        claim = claim_of(problem, clear(problem))
        check_claim(problem, claim)
        return problem, claim

    def _imbalance(self, auction: AuctionView, statements: Statements) -> ContractFunction:
        assert self._key
        packed = codec.pack_imbalance(*self._imbalance_prices(auction, statements))
        if packed in auction.overturned:
            raise Refused("", {}, "the imbalance prices that it would sign have fallen in a dispute")
        deployment = self._client.deployment
        message = typed_data.imbalance_prices(
            deployment.chain_id,
            deployment["OracleQuorum"].address,
            self._client.term(),
            auction.number,
            packed,
        )
        return self._client.post_imbalance(auction, packed, typed_data.sign(self._key, message))

    def _imbalance_prices(
        self, auction: AuctionView, statements: Statements
    ) -> tuple[Sequence[Sequence[int]], Sequence[Sequence[int]]]:
        """By what the community's imbalance costs at the balancing party's own limits; a silent meter counts as
        having kept to its position."""
        rules = self._client.rules
        contracted = positions_of(auction, self._client)
        members = [
            member for member in contracted if member in statements and member != rules.balancing_party
        ]
        readings = [codec.unpack_readings(statements[member].readings) for member in members]
        fills = [contracted[member].fills for member in members]
        shape = (len(members), rules.schedule.slots)
        deviations = np.array(readings, np.int64).reshape(shape) - np.array(fills, np.int64).reshape(shape)
        prices = np.array(auction.claim(rules).prices, np.int64)
        asks, offers = balancing_limits(auction, rules, prices[0])
        zones = [contracted[member].zone for member in members]
        surplus, shortage = imbalance_prices(prices, deviations, zones, asks, offers)
        return np.maximum(surplus, rules.min_price).tolist(), np.minimum(shortage, rules.max_price).tolist()

    def _settlement(
        self, auction: AuctionView, members: Sequence[str], evidence: Evidence, statements: Statements
    ) -> ContractFunction:
        assert auction.imbalance is not None
        contracted = positions_of(auction, self._client)
        deliveries = b"".join(
            codec.pack_delivery(
                member,
                evidence,
                codec.pack_position(contracted[member]),
                *_readings(auction, member, evidence, statements),
            )
            for member in members
        )
        return self._client.settle(auction.number, auction.imbalance, deliveries)

    def _tokens(self, auction: AuctionView, members: Sequence[str]) -> ContractFunction:
        entitlements = [
            (member, settled.source, settled.unmatched, settled.bought)
            for member in members
            for settled in [auction.settled[member]]
        ]
        return self._client.draw_tokens(auction.number, entitlements)


def balancing_limits(
    auction: AuctionView, rules: MarketRules, prices: Sequence[int]
) -> tuple[list[int], list[int]]:
    """What the balancing party asks and offers per slot, by its own bid; the market's price where it says nothing."""
    bid = auction.bids.get(rules.balancing_party)
    asks, offers = [int(price) for price in prices], [int(price) for price in prices]
    for step in bid.steps if bid else ():
        if step.quantity > 0:
            asks[step.slot] = max(step.price, asks[step.slot])
        else:
            offers[step.slot] = min(step.price, offers[step.slot])
    return asks, offers


def positions_of(auction: AuctionView, client: MarketClient) -> dict[str, Position]:
    """What the accepted clearing left each member with, derived from the chain alone."""
    problem = auction.problem(client.rules)
    return positions(problem, check_claim(problem, auction.claim(client.rules)))


def _chain_takes(signature: bytes) -> bool:
    """Whether OpenZeppelin's ECDSA reads this signature: 65 bytes, s in the lower half, v as 27 or 28."""
    s, v = int.from_bytes(signature[32:64], "big"), signature[-1:]
    return len(signature) == 65 and s <= HALF_CURVE_ORDER and v in (b"\x1b", b"\x1c")


def _longer(pause: float) -> float:
    return min(max(2 * pause, 1.0), MAX_BACKOFF_SECONDS)


def _readings(
    auction: AuctionView, member: str, evidence: Evidence, statements: Statements
) -> tuple[bytes, bytes]:
    """Packed readings and signature, as this evidence takes them."""
    match evidence:
        case Evidence.METER:
            return statements[member].readings, statements[member].signature
        case Evidence.SUBSTITUTE:
            return auction.substitutes[member], b""
        case Evidence.DEEMED:
            return b"", b""


def _batches(members: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(members), size):
        yield members[start : start + size]
