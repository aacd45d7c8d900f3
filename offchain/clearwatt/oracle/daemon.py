"""The oracle: a cycle that reads the chain, decides, and does the next thing for every auction.

It remembers nothing that matters. What is to be done follows from the chain and the statements, so it can
be stopped and started again at any point; what somebody else has done in the meantime is simply not to be
done any more.
"""

import logging
import signal
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from eth_account.signers.local import LocalAccount
from web3.contract.contract import ContractFunction

from clearwatt.chain import codec, typed_data
from clearwatt.chain.market import AuctionView, MarketClient, MarketRules, MarketView
from clearwatt.chain.node import NodeError, Refused
from clearwatt.chain.sender import Sender
from clearwatt.chain.typed_data import Evidence
from clearwatt.clearing.equilibrium import check_claim, claim_of
from clearwatt.clearing.tree import clear
from clearwatt.metering.statements import Statement, StatementStore, StoreError
from clearwatt.oracle.balancing import imbalance_prices
from clearwatt.oracle.decisions import (
    Action,
    Clear,
    Decision,
    DrawTokens,
    PostFallback,
    PostImbalance,
    Release,
    Settle,
    Statements,
    decide,
)

log = logging.getLogger(__name__)

MAX_BACKOFF_SECONDS = 60.0


@dataclass(frozen=True)
class Settings:
    """How the oracle runs.

    poll_seconds: between cycles. batch: members in one settlement or token transaction.
    draw_tokens: whether to mint members' energy tokens for them.
    """

    poll_seconds: float = 12.0
    batch: int = 25
    draw_tokens: bool = True


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
        self._finished: set[int] = set()
        self._stopping = threading.Event()

    # ------------------------------------------------------------ running

    def run(self) -> None:
        """Cycle until stopped by SIGINT or SIGTERM; a node or database that is away is waited for."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._stop)
        pause = self._settings.poll_seconds
        while not self._stopping.wait(pause):
            try:
                busy = self.cycle()
            except (NodeError, StoreError) as error:
                pause = min(max(2 * pause, 1.0), MAX_BACKOFF_SECONDS)
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
        for decision in self.decisions():
            if decision.finished:
                self._finished.add(decision.auction)
            elif decision.action and self._sender and not self._stopping.is_set():
                busy |= self._attempt(decision)
        return busy

    def decisions(self) -> list[Decision]:
        """What there is to do now, auction by auction. Raises NodeError, StoreError."""
        view = self._client.view()
        self._forget_if_undone(view)
        return [
            self._decide(view, auction)
            for number, auction in sorted(view.auctions.items())
            if number not in self._finished
        ]

    def _forget_if_undone(self, view: MarketView) -> None:
        """A chain that changed its past may have undone what was finished."""
        self._finished &= view.auctions.keys()

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

    def _attempt(self, decision: Decision) -> bool:
        """Do it, unless the chain refuses: then somebody was faster, or something is wrong and is said."""
        assert decision.action
        log.info("auction %d: %s", decision.auction, decision.reason)
        try:
            self._perform(decision.action)
        except Refused as refusal:
            log.warning("auction %d: the chain refused: %s", decision.auction, refusal)
            return False
        return True

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
        try:
            readings = codec.unpack_readings(statement.readings)
            signer = typed_data.signer_of(self._statement_message(statement, readings), statement.signature)
        except Exception as error:  # whatever a stranger stored: eth-account raises many kinds
            log.warning(
                "auction %d: malformed statement for %s: %s", statement.auction, statement.member, error
            )
            return False
        genuine = signer == view.meters.get(statement.member)
        if not genuine:
            log.warning(
                "auction %d: a statement for %s is not its meter's", statement.auction, statement.member
            )
        return genuine and len(readings) == self._client.rules.schedule.slots

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

    def _perform(self, action: Action) -> None:
        view = self._client.view()
        auction = view.auctions[action.auction]
        match action:
            case Clear():
                self._send("cleared", self._clearing(auction))
            case PostImbalance():
                statements = self._statements(view, auction)
                self._send("imbalance prices posted", self._imbalance(auction, statements))
            case PostFallback():
                self._send("fallback prices posted", self._client.post_fallback(auction))
            case Settle(members=members, evidence=evidence):
                statements = self._statements(view, auction) if evidence is Evidence.METER else {}
                for group in _batches(members, self._settings.batch):
                    self._send(f"{len(group)} members settled", self._settlement(auction, group, statements))
            case DrawTokens(members=members):
                for group in _batches(members, self._settings.batch):
                    self._send(f"tokens of {len(group)} members drawn", self._tokens(auction, group))
            case Release(members=members):
                for member in members:
                    self._send(f"lock of {member} released", self._client.release(auction.number, member))

    def _send(self, done: str, function: ContractFunction) -> None:
        assert self._sender
        receipt = self._sender.send(function)
        log.info("%s: block %d, %d gas", done, receipt.block, receipt.gas_used)

    def _clearing(self, auction: AuctionView) -> ContractFunction:
        """The optimum, checked here by the rules the contract will apply."""
        problem = auction.problem(self._client.rules)
        claim = claim_of(problem, clear(problem))
        check_claim(problem, claim)
        return self._client.clear(auction, claim)

    def _imbalance(self, auction: AuctionView, statements: Statements) -> ContractFunction:
        assert self._key
        packed = codec.pack_imbalance(*self._imbalance_prices(auction, statements))
        deployment = self._client.deployment
        message = typed_data.imbalance_prices(
            deployment.chain_id, deployment["OracleQuorum"].address, auction.number, packed
        )
        return self._client.post_imbalance(auction, packed, typed_data.sign(self._key, message))

    def _imbalance_prices(
        self, auction: AuctionView, statements: Statements
    ) -> tuple[Sequence[Sequence[int]], Sequence[Sequence[int]]]:
        """By what the community's imbalance costs at the balancing party's own limits; a silent meter counts as
        having kept to its position."""
        rules = self._client.rules
        positions = positions_of(auction, self._client)
        members = [member for member in positions if member in statements and member != rules.balancing_party]
        readings = [codec.unpack_readings(statements[member].readings) for member in members]
        fills = [positions[member].fills for member in members]
        shape = (len(members), rules.schedule.slots)
        deviations = np.array(readings, np.int64).reshape(shape) - np.array(fills, np.int64).reshape(shape)
        prices = np.array(auction.claim(rules).prices, np.int64)
        asks, offers = balancing_limits(auction, rules, prices[0])
        zones = [positions[member].zone for member in members]
        surplus, shortage = imbalance_prices(prices, deviations, zones, asks, offers)
        return np.maximum(surplus, rules.min_price).tolist(), np.minimum(shortage, rules.max_price).tolist()

    def _settlement(
        self, auction: AuctionView, members: Sequence[str], statements: Statements
    ) -> ContractFunction:
        assert auction.imbalance is not None
        positions = positions_of(auction, self._client)
        deliveries = [
            _delivery(member, codec.pack_position(positions[member]), statements.get(member))
            for member in members
        ]
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


def positions_of(auction: AuctionView, client: MarketClient) -> dict[str, codec.Position]:
    """What the accepted clearing left each member with, derived from the chain alone."""
    problem = auction.problem(client.rules)
    result = check_claim(problem, auction.claim(client.rules))
    positions = {}
    for bid, fills in zip(problem.bids, result.fills, strict=True):
        per_slot = [0] * problem.slots
        cash = 0
        for step, fill in zip(bid.steps, fills, strict=True):
            per_slot[step.slot] += fill
            cash += fill * result.prices[bid.zone][step.slot]
        positions[bid.member] = codec.Position(bid.zone, cash, tuple(per_slot))
    return positions


def _delivery(member: str, position: bytes, statement: Statement | None) -> tuple[Any, ...]:
    if statement is None:
        return (member, Evidence.DEEMED, position, b"", b"")
    return (member, Evidence.METER, position, statement.readings, statement.signature)


def _batches(members: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(members), size):
        yield members[start : start + size]
