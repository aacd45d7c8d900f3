"""`clearwatt.chain.chunked` at a real chain: a clearing in many transactions, others acting in between."""

from collections.abc import Callable
from typing import Any

import ape
import pytest
from eth_account import Account
from web3.contract.contract import ContractFunction

from clearwatt.chain import codec
from clearwatt.chain.capacity import fill_gas
from clearwatt.chain.chunked import ChunkedClearing, Limits, Plan, plan, state_words
from clearwatt.chain.market import MarketClient
from clearwatt.chain.node import NodeError, Refused, connect
from clearwatt.chain.sender import Receipt, Sender
from tests.contracts.chunked.session import Session, ordered
from tests.contracts.day import Day
from tests.contracts.market.records import BID, POSITION, digest, record_of

CALLS_BEFORE_CLOSE = 6  # begin and a chunk for each of the five bids


class Interrupted(Sender):
    """A sender to whom something happens before its n-th call goes out."""

    def __init__(self, sender: Sender, number: int, event: Callable[[], Any]) -> None:
        self.__dict__.update(sender.__dict__)
        self._left, self._event = number, event

    def send(self, function: ContractFunction) -> Receipt:
        self._left -= 1
        if self._left == 0:
            self._event()
        return super().send(function)


@pytest.fixture
def client(closed_day: Day) -> MarketClient:
    return MarketClient(connect(ape.chain.provider.http_uri), closed_day.market.deployment)


@pytest.fixture
def sender(client: MarketClient, stranger: Any) -> Sender:
    return Sender(client.web3, Account.from_key(stranger.private_key), client.errors)


@pytest.fixture
def plan_of_day(closed_day: Day) -> Plan:
    """A chunk for every bid."""
    words = state_words(closed_day.problem, closed_day.claim)
    most = max(len(bid.steps) for bid in closed_day.problem.bids)
    limits = Limits(gas=fill_gas(words, 1, most))
    made = plan(closed_day.problem, closed_day.claim, limits)
    assert 2 + len(made.chunks) == CALLS_BEFORE_CLOSE + 1
    return made


def stages(day: Day) -> set[int]:
    return {record_of(day.market, 0, participant).stage for participant in day.market.participants}


def test_clear_and_enter__nobody_else__positions_recorded(
    closed_day: Day, client: MarketClient, sender: Sender, plan_of_day: Plan
) -> None:
    clearing = ChunkedClearing(client, sender)
    assert clearing.enter(0) == 0
    assert clearing.clear(0, plan_of_day)
    assert stages(closed_day) == {BID}
    assert clearing.enter(0) == 5
    for participant in closed_day.market.participants:
        record = record_of(closed_day.market, 0, participant)
        assert record.stage == POSITION
        assert record.digest == digest(codec.pack_position(closed_day.position(participant)))
    assert clearing.enter(0) == 0


@pytest.mark.parametrize("call", [1, 2, 4, CALLS_BEFORE_CLOSE + 1])
def test_clear__somebody_else_closes_first__told_and_their_chunks_entered(
    closed_day: Day, client: MarketClient, sender: Sender, plan_of_day: Plan, rival: Session, call: int
) -> None:
    rival.begin().fill_all(3)
    clearing = ChunkedClearing(client, Interrupted(sender, call, rival.close))
    assert clearing.clear(0, plan_of_day) is False
    assert clearing.enter(0) == 2
    assert stages(closed_day) == {POSITION}


def test_clear__cleared_in_one_transaction_meanwhile__told_and_nothing_to_enter(
    closed_day: Day, client: MarketClient, sender: Sender, plan_of_day: Plan
) -> None:
    clearing = ChunkedClearing(client, Interrupted(sender, 3, closed_day.clear))
    assert clearing.clear(0, plan_of_day) is False
    assert stages(closed_day) == {POSITION}
    assert clearing.enter(0) == 0


def away() -> None:
    raise NodeError("the node is away")


def test_clear__broken_off__done_by_whoever_starts_again(
    closed_day: Day, client: MarketClient, sender: Sender, plan_of_day: Plan
) -> None:
    with pytest.raises(NodeError):
        ChunkedClearing(client, Interrupted(sender, 4, away)).clear(0, plan_of_day)
    assert ChunkedClearing(client, sender).clear(0, plan_of_day)
    with pytest.raises(NodeError):
        ChunkedClearing(client, Interrupted(sender, 3, away)).enter(0)
    assert stages(closed_day) == {BID, POSITION}
    assert ChunkedClearing(client, sender).enter(0) == 3
    assert stages(closed_day) == {POSITION}


def test_clear__too_late__refused(
    closed_day: Day, client: MarketClient, sender: Sender, plan_of_day: Plan
) -> None:
    closed_day.market.travel(closed_day.market.config.schedule.clearing_deadline(0))
    with pytest.raises(Refused, match="NotClearingTime"):
        ChunkedClearing(client, sender).clear(0, plan_of_day)


def test_plan__entries__are_those_the_chain_logs(session: Session, plan_of_day: Plan) -> None:
    session.begin().fill_all(1)
    assert tuple(session.entries) == plan_of_day.entries


def test_fill__gas__within_what_the_plan_reckons_with(session: Session) -> None:
    problem, claim = session.day.problem, session.day.claim
    session.begin().fill_all(1)
    bids, (_, *fills) = ordered(problem.bids), session.receipts
    for bid, receipt in zip(bids, fills, strict=True):
        assert receipt.gas_used <= fill_gas(state_words(problem, claim), 1, len(bid.steps))
