"""A small market on a chain of its own, three oracles at it, and people who send again what the chain undid."""

import random
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import ape

from clearwatt.bids import Step
from clearwatt.chain.deployment import Deployment, MarketConfig, MarketDeployer, Schedule, write_deployment
from clearwatt.chain.market import AuctionView, MarketClient
from clearwatt.chain.node import connect
from clearwatt.community.participants import test_key
from clearwatt.grid import Grid, Line
from clearwatt.metering.messages import Message, statement_message
from clearwatt.metering.outbox import OracleClient, Undelivered
from clearwatt.oracle.process import free_address
from clearwatt.storage.database import Database
from clearwatt.storage.messages import MessageStore
from clearwatt.storage.sealing import Keyring
from tests import nodes
from tests.contracts.remote import RemoteChain, anvil_time
from tests.faults.chain import Chain, Wallet
from tests.faults.operators import Operator
from tests.faults.proxy import FaultProxy
from tests.integration.street import BIDS, CHAIN_ID, OWNER, READINGS, SEED, SLOTS, participants, populate

ORACLES = ("oracle", "second oracle", "third oracle")
PATIENCE_SECONDS = 40
REPEAT_SECONDS = 1.5
ANSWER_SECONDS = 3.0
"""How long a meter waits for an oracle's answer before it asks another."""
BURIED = 8
"""Blocks on top of what a phase has brought about: more than any reorganisation of the campaign undoes."""


def config(now: int) -> MarketConfig:
    """The street's market, with two hours to clear, so that a chain can stop for one."""
    windows = {"gate_lead": 7_200, "clearing_window": 7_200}
    return MarketConfig(
        schedule=Schedule(genesis=(now // 86_400 + 2) * 86_400, slots=SLOTS, **windows),
        grid=Grid((-1, 0), (Line(), Line(50_000, 50_000, 100))),
        owner=OWNER.address,
        balancing_party=test_key(SEED, "retailer").address,
        network_account=test_key(SEED, "network operator").address,
        signers=tuple(test_key(SEED, role).address for role in ORACLES),
        threshold=2,
        imbalance_margin=1_000,
    )


class World:
    """The chain, the market, its people and its oracles."""

    def __init__(self, chain: Chain, deployment: Deployment, folder: Path, seed: int) -> None:
        self.chain = chain
        self.random = random.Random(seed)
        self.client = MarketClient(connect(chain.url), deployment)
        self.schedule = self.client.rules.schedule
        self.people = {person.name: person for person in participants(self.client)}
        self.poster = Wallet(chain, OWNER)
        write_deployment(deployment, folder / "deployment.json")
        self.operators = self._operators(folder)
        self.acknowledged: set[bytes] = set()
        self.auctions: list[int] = []
        self._bid_at: dict[int, float] = {}
        self._not_before = 0

    def _operators(self, folder: Path) -> list[Operator]:
        addresses = [free_address() for _ in ORACLES]
        return [
            Operator(
                number,
                test_key(SEED, role),
                f"sqlite:///{folder / f'oracle-{number}.db'}",
                FaultProxy(self.chain.url),
                folder / "deployment.json",
                folder,
                addresses[number],
                tuple(address for address in addresses if address != addresses[number]),
            )
            for number, role in enumerate(ORACLES)
        ]

    def close(self) -> None:
        for operator in self.operators:
            operator.kill()
            operator.endpoint.close()
        self.chain.close()

    # ------------------------------------------------------------ what people do

    def next_auction(self) -> int:
        """The first whose gate is open for long enough to bid in it."""
        first = self.schedule.gate_closure(0)
        length = self.schedule.delivery_start(1) - self.schedule.delivery_start(0)
        return max(-(-(self.chain.now() + 600 - first) // length), 0)

    def bid(self, auction: int) -> None:
        """Everybody bids; from now on the world sees to it that the bids are there."""
        self.auctions.append(auction)
        self._send_bids(auction)

    def has_bids(self, auction: int) -> bool:
        return len(self.view(auction).bids) == len(BIDS)

    def travel(self, timestamp: int) -> None:
        """To this time, again if the chain is thrown back behind it."""
        self._not_before = max(self._not_before, timestamp)
        self.chain.travel(timestamp)

    def report(self, auction: int, silent: Iterable[str] = ()) -> None:
        """Each meter's statement reaches one oracle, whichever answers first; from there it must reach the others."""
        for name in BIDS:
            if name not in silent:
                self._deliver(self._statement(name, auction))

    def _statement(self, name: str, auction: int) -> Message:
        deployment = self.client.deployment
        statement = self.people[name].statement(self.client, auction, READINGS[name])
        return statement_message(deployment.chain_id, deployment["Settlement"].address, statement)

    def _deliver(self, message: Message) -> None:
        assert self.wait_for(lambda: self._acknowledges(self.random.choice(self.operators), message))
        self.acknowledged.add(message.digest)

    def _acknowledges(self, operator: Operator, message: Message) -> bool:
        client = OracleClient(f"http://{operator.address}", timeout=ANSWER_SECONDS)
        try:
            [outcome] = client.send([message])
        except Undelivered:
            return False
        finally:
            client.close()
        assert outcome["status"] != "rejected", outcome
        return True

    def kept(self, operator: Operator) -> set[bytes]:
        """Digests of the messages in its database."""
        database = Database(operator.database)
        try:
            return {message.digest for _, message in MessageStore(database, Keyring.plain()).after(0, 10**6)}
        finally:
            database.close()

    def keep_up(self) -> None:
        """Everybody looks: who is gone is started, bids that are gone are sent again, time goes forward only."""
        for operator in self.operators:
            operator.look_after()
        self.chain.travel(self._not_before)
        now = self.chain.now()
        for auction in self.auctions:
            if now < self.schedule.gate_closure(auction) and not self.has_bids(auction):
                self._send_bids(auction)

    def _send_bids(self, auction: int) -> None:
        if time.monotonic() - self._bid_at.get(auction, 0.0) < REPEAT_SECONDS:
            return
        self._bid_at[auction] = time.monotonic()
        bundles = [(self.people[name], [Step(*step) for step in steps]) for name, steps in BIDS.items()]
        signed = [person.signed_bid(self.client, auction, steps) for person, steps in bundles]
        self.poster.send(self.client.bid_signed(auction, signed))

    # ------------------------------------------------------------ what came of it

    def view(self, auction: int) -> AuctionView:
        return self.client.view().auctions.get(auction) or AuctionView(auction)

    def cleared(self, auction: int) -> bool:
        return self.view(auction).cleared

    def priced(self, auction: int) -> bool:
        return self.view(auction).imbalance is not None

    def done(self, auction: int) -> bool:
        """Settled, and the tokens drawn by the two who have some."""
        view = self.view(auction)
        return len(view.settled) == len(BIDS) and len(view.drawn) == 2

    def wait_for(self, done: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> bool:
        """Whether it came about in time."""
        deadline = time.monotonic() + seconds
        while not done():
            if time.monotonic() > deadline:
                return False
            self.keep_up()
            time.sleep(0.1)
        return True


@contextmanager
def world(folder: Path, seed: int) -> Iterator[World]:
    """A new chain with the market, its oracles started."""
    with nodes.anvil(args=("--chain-id", str(CHAIN_ID))) as url:
        with ape.networks.parse_network_choice("ethereum:devnet:node", provider_settings={"uri": url}):
            now = RemoteChain(url, anvil_time).pending_timestamp
            account = ape.accounts.test_accounts[0]
            deployment = MarketDeployer(ape.project, account).deploy(config(now), "test", CHAIN_ID)
        populate(url, deployment)
        chain = Chain(url)
        chain.request("anvil_setBalance", test_key(SEED, ORACLES[2]).address, hex(10**18))
        one = World(chain, deployment, folder, seed)
        chain.travel(one.schedule.opening(0) + one.schedule.horizon // 2)
        chain.begin()
        try:
            for operator in one.operators:
                operator.start()
            yield one
        finally:
            one.close()
