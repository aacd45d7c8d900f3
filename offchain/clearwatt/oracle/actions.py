"""The transactions that decisions take, and sending them.

Those of several auctions are sent together and waited for together; those of one auction follow each other, since one
may need another gas limit after the other.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from web3.contract.contract import ContractFunction

from clearwatt.chain import codec
from clearwatt.chain.capacity import Auctions
from clearwatt.chain.chunked import ChunkedClearing, plan
from clearwatt.chain.market import PRICES, AuctionView, MarketClient
from clearwatt.chain.node import NodeError, NodeRefused, Refused
from clearwatt.chain.sender import FeeAboveCap, Sender
from clearwatt.chain.typed_data import Evidence
from clearwatt.clearing.auction import Auction, Claim
from clearwatt.clearing.equilibrium import check_claim, claim_of
from clearwatt.clearing.tree import clear
from clearwatt.metering.statements import StoreError
from clearwatt.oracle.decisions import (
    Action,
    Clear,
    DrawTokens,
    EnterPositions,
    Forfeit,
    PostFallback,
    PostImbalance,
    PostSubstitutes,
    Release,
    Settle,
    Statements,
)
from clearwatt.oracle.positions import positions_of
from clearwatt.oracle.reports import Report
from clearwatt.oracle.settings import Settings
from clearwatt.service import metrics

log = logging.getLogger(__name__)

RELEASED_AT_ONCE = 100
WEI_PER_ETHER = 10**18

Group = tuple[str, ...]
"""Members that one transaction serves; none where it serves the auction as a whole."""


@dataclass
class Work:
    """The transactions of one action.

    action: its name. done: what they have done to members or auction, for the log. call: makes the transaction for a
    group. alone: instead of transactions, something that sends its own; returns what it did, "" if nothing.
    refusals: what could not be done, and why.
    """

    auction: int
    action: str
    done: str
    call: Callable[[Group], ContractFunction] | None = None
    waiting: deque[Group] = field(default_factory=lambda: deque([()]))
    alone: Callable[[], str] | None = None
    refusals: list[str] = field(default_factory=list)

    def refused(self, group: Group, refusal: Exception) -> None:
        """A group that is refused is tried member by member, so that nobody stands in the others' way."""
        metrics.TRANSACTIONS.labels(self.action, "failed").inc()
        if len(group) > 1:
            log.info("%d members not %s: %s; trying one by one", len(group), self.done, refusal)
            self.waiting.extendleft(reversed([(member,) for member in group]))
        elif group:
            self.refusals.append(f"{group[0]} not {self.done}: {refusal}")
        else:
            self.refusals.append(str(refusal))


@dataclass(frozen=True)
class Said:
    """What the quorum says in a report. signatures: by subject, those it takes; without, the report has to wait."""

    report: Report
    signatures: Callable[[str], bytes | None]


class Actions:
    """What each action sends."""

    def __init__(self, client: MarketClient, sender: Sender, settings: Settings) -> None:
        self._client = client
        self._sender = sender
        self._settings = settings

    def works(
        self, auction: AuctionView, action: Action, statements: Statements, said: Said | None
    ) -> Iterator[Work]:
        """The work that an action takes; none where it waits for others' signatures. Raises Refused."""
        name, number = type(action).__name__, auction.number
        match action:
            case Clear():
                yield self._clear(auction)
            case EnterPositions():
                yield Work(number, name, "positions entered", alone=lambda: self._enter(number))
            case PostImbalance():
                yield from self._post_imbalance(auction, said)
            case PostSubstitutes(members=members):
                yield from self._post_substitutes(auction, members, said)
            case PostFallback():
                call = self._client.post_fallback(auction)
                yield Work(number, name, "fallback prices posted", lambda group: call)
            case Settle(members=members, evidence=evidence):
                groups = _groups(members, self._settings.batch)
                yield Work(
                    number,
                    name,
                    "settled",
                    lambda group: self._settlement(auction, group, evidence, statements),
                    groups,
                )
            case DrawTokens(members=members):
                groups = _groups(members, self._settings.batch)
                yield Work(number, name, "given tokens", lambda group: self._tokens(auction, group), groups)
            case Release(members=members):
                groups = _groups(members, RELEASED_AT_ONCE)
                yield Work(
                    number, name, "released", lambda group: self._client.release(number, group), groups
                )
            case Forfeit(members=members):
                groups = _groups(members, 1)
                yield Work(
                    number,
                    name,
                    "made to forfeit",
                    lambda group: self._client.forfeit(number, group[0]),
                    groups,
                )

    def _clear(self, auction: AuctionView) -> Work:
        """In one transaction where that may be enough, otherwise in chunks."""
        problem, claim = self._solution(auction)
        rules = self._client.rules
        if Auctions(rules.grid.zones, rules.schedule.slots).fit(len(problem.bids), len(problem.steps)):
            call = self._client.clear(auction, claim)
            return Work(auction.number, "Clear", "cleared", lambda group: call)
        return Work(
            auction.number, "Clear", "cleared", alone=lambda: self._clear_in_chunks(auction, problem, claim)
        )

    def _clear_in_chunks(self, auction: AuctionView, problem: Auction, claim: Claim) -> str:
        chunked = ChunkedClearing(self._client, self._sender)
        return "cleared in chunks" if chunked.clear(auction.number, plan(problem, claim)) else ""

    def _solution(self, auction: AuctionView) -> tuple[Auction, Claim]:
        """The optimum, checked here by the rules the contract will apply."""
        problem = auction.problem(self._client.rules)
        claim = claim_of(problem, clear(problem))
        check_claim(problem, claim)
        return problem, claim

    def _enter(self, number: int) -> str:
        entered = ChunkedClearing(self._client, self._sender).enter(number)
        return f"positions of {entered} chunks entered"

    def _post_imbalance(self, auction: AuctionView, said: Said | None) -> Iterator[Work]:
        if said is not None and PRICES in said.report.fallen:
            raise Refused("", {}, "the imbalance prices that it would sign have fallen in a dispute")
        signatures = said.signatures(PRICES) if said and said.report.imbalance is not None else None
        if said is None or said.report.imbalance is None or signatures is None:
            return
        call = self._client.post_imbalance(auction, said.report.imbalance, signatures)
        yield Work(auction.number, "PostImbalance", "imbalance prices posted", lambda group: call)

    def _post_substitutes(
        self, auction: AuctionView, members: Sequence[str], said: Said | None
    ) -> Iterator[Work]:
        contents = said.report.substitutes if said else {}
        signed = {
            member: signatures
            for member in members
            if said and member in contents and (signatures := said.signatures(member)) is not None
        }

        def call(group: Group) -> ContractFunction:
            [member] = group
            post = self._client.settlement.functions.postSubstitute
            return post(auction.number, member, contents[member], signed[member])

        if signed:
            yield Work(
                auction.number, "PostSubstitutes", "given a substitute", call, _groups(tuple(signed), 1)
            )

    def _settlement(
        self, auction: AuctionView, members: Sequence[str], evidence: Evidence, statements: Statements
    ) -> ContractFunction:
        assert auction.imbalance is not None
        contracted = positions_of(auction, self._client.rules)
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


class Crew:
    """Carries work out with one account's transactions.

    stopping: asked before each round, so that a process that is to end does not begin anything.
    """

    def __init__(self, sender: Sender, stopping: Callable[[], bool], dry_run: bool = False) -> None:
        self._sender = sender
        self._stopping = stopping
        self._dry_run = dry_run

    def carry_out(self, works: Iterable[Work]) -> bool:
        """Returns whether anything was sent. Raises NodeError, StoreError, FeeAboveCap; refusals are in the works."""
        works = list(works)
        if self._dry_run:
            for work in works:
                self._rehearse(work)
            return False
        sent = False
        for work in works:
            if work.alone and not self._stopping():
                sent |= self._alone(work, work.alone)
        self._sender.begin()
        while (open_works := [work for work in works if work.call and work.waiting]) and not self._stopping():
            sent |= self._round(open_works)
        return sent

    def _alone(self, work: Work, act: Callable[[], str]) -> bool:
        try:
            done = act()
        except Exception as error:
            self._refuse(work, (), error)
            return False
        if done:
            log.info("auction %d: %s", work.auction, done)
        return True

    def _round(self, works: Sequence[Work]) -> bool:
        """The next transaction of each, all in the pool before any is waited for."""
        posted = []
        held_up: FeeAboveCap | None = None
        for work in works:
            group = work.waiting.popleft()
            try:
                assert work.call
                function = work.call(group)
                posted.append((work, group, function, self._sender.post(function)))
                metrics.TRANSACTIONS.labels(work.action, "sent").inc()
            except FeeAboveCap as problem:
                held_up = problem
                break
            except Exception as error:
                self._refuse(work, group, error)
        metrics.PENDING.set(self._sender.pending)
        for work, group, function, transaction in posted:
            self._await(work, group, function, transaction)
        metrics.PENDING.set(self._sender.pending)
        if held_up:
            raise held_up
        return bool(posted)

    def _await(self, work: Work, group: Group, function: ContractFunction, transaction: str) -> None:
        try:
            receipt = self._sender.wait(transaction, function)
        except (Refused, NodeRefused) as refusal:
            work.refused(group, refusal)
            return
        outcome = "included" if receipt.transaction == transaction else "replaced"
        metrics.TRANSACTIONS.labels(work.action, outcome).inc()
        metrics.GAS_USED.labels(work.action).inc(receipt.gas_used)
        metrics.FEES.labels(work.action).inc(receipt.fee / WEI_PER_ETHER)
        what = f"{len(group)} members {work.done}" if group else work.done
        log.info("auction %d: %s: block %d, %d gas", work.auction, what, receipt.block, receipt.gas_used)

    def _refuse(self, work: Work, group: Group, error: Exception) -> None:
        """Enter a refusal, and a fault of ours like one: the other auctions have a right to be served."""
        if isinstance(error, (Refused, NodeRefused)):
            work.refused(group, error)
        elif isinstance(error, (NodeError, StoreError, FeeAboveCap)):
            raise error
        else:
            log.exception("auction %d", work.auction)
            work.waiting.clear()
            work.refusals.append(repr(error))

    def _rehearse(self, work: Work) -> None:
        """Say what would be sent."""
        if work.call is None:
            log.info("auction %d: %s: would be sent in several transactions", work.auction, work.action)
            return
        for group in work.waiting:
            function = work.call(group)
            size = len(function._encode_transaction_data()) // 2 - 1
            try:
                gas = f"{self._sender.estimate(function)} gas"
            except (Refused, NodeRefused) as refusal:
                gas = f"it would be refused: {refusal}"
            metrics.TRANSACTIONS.labels(work.action, "dry_run").inc()
            log.info("auction %d: would send %s: %d bytes, %s", work.auction, work.action, size, gas)


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


def _groups(members: Sequence[str], size: int) -> deque[Group]:
    return deque(tuple(members[start : start + size]) for start in range(0, len(members), size))
