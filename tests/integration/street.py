"""A street's market on a chain of its own, driven as outsiders drive it: over JSON-RPC, with the oracle a process."""

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from eth_account import Account
from eth_account.signers.local import LocalAccount

from clearwatt.bids import Step
from clearwatt.chain import codec, typed_data
from clearwatt.chain.clock import Clock
from clearwatt.chain.deployment import SOURCES, Deployment, MarketConfig, Schedule, write_deployment
from clearwatt.chain.market import PRICES, AuctionView, MarketClient
from clearwatt.chain.node import connect
from clearwatt.chain.sender import Sender
from clearwatt.community.participants import Participant, make_participant, place_bids, test_key
from clearwatt.grid import Grid, Line
from clearwatt.metering.statements import Statement, StatementStore
from clearwatt.oracle.process import OracleProcess

CHAIN_ID = 31_338  # Ape's network "devnet"
SEED = 1
SLOTS = 2
OWNER = Account.from_key("0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80")
ORACLE, SECOND_ORACLE = test_key(SEED, "oracle"), test_key(SEED, "second oracle")
PEOPLE = (("retailer", 0, "none"), ("producer", 1, "solar"), ("consumer", 1, "none"))
BIDS: dict[str, tuple[tuple[int, int, int], ...]] = {
    "retailer": ((0, 30_000, 9_000), (1, 8_000, -9_000)),
    "producer": ((0, 8_000, 500), (1, 8_000, 2_000)),
    "consumer": ((0, 30_000, -800), (1, 30_000, -700)),
}
READINGS = {"retailer": (300, 0), "producer": (600, 700), "consumer": (-800, -700)}
"""What the meters measure: the producer injects 100 Wh more than it sold, the others keep to their positions."""

TOKENS = 10**9
PATIENCE_SECONDS = 40


def street_config(now: int) -> MarketConfig:
    """Auctions of half an hour; the first is delivered on the day after tomorrow, counted from `now`."""
    return MarketConfig(
        schedule=Schedule(genesis=(now // 86_400 + 2) * 86_400, slots=SLOTS),
        grid=Grid((-1, 0), (Line(), Line(50_000, 50_000, 100))),
        owner=OWNER.address,
        balancing_party=test_key(SEED, "retailer").address,
        network_account=test_key(SEED, "network operator").address,
        signers=(ORACLE.address, SECOND_ORACLE.address),
        imbalance_margin=1_000,
    )


def populate(url: str, deployment: Deployment) -> None:
    """Everybody is admitted and has money."""
    client = MarketClient(connect(url), deployment)
    owner = Sender(client.web3, OWNER, client.errors)
    people = participants(client)
    owner.give_ether([*(person.address for person in people), ORACLE.address, SECOND_ORACLE.address], 10**18)
    euro = client.web3.eth.contract(deployment["TestEuro"].address, abi=deployment["TestEuro"].abi)
    owner.send(euro.functions.mint(OWNER.address, TOKENS * len(people)))
    owner.send(euro.functions.approve(client.vault.address, TOKENS * len(people)))
    for person in people:
        source = SOURCES[person.source]
        owner.send(client.registry.functions.admit(person.address, person.zone, source, person.meter.address))
        owner.send(client.vault.functions.deposit(person.address, TOKENS))


def participants(client: MarketClient) -> list[Participant]:
    return [make_participant(client, SEED, name, zone, source, 0) for name, zone, source in PEOPLE]


class Street:
    """The market, its people and its meters' database.

    url: of the chain. folder: database, deployment file and logs go here.
    """

    def __init__(self, url: str, deployment: Deployment, folder: Path) -> None:
        self.url = url
        self.folder = folder
        self.deployment = deployment
        self.client = MarketClient(connect(url), deployment)
        self.clock = Clock(self.client.web3)
        self.poster = Sender(self.client.web3, OWNER, self.client.errors)
        self.schedule = self.client.rules.schedule
        self.people = {person.name: person for person in participants(self.client)}
        self.database = f"sqlite:///{folder / 'statements.db'}"
        self.store = StatementStore(self.database, deployment["Settlement"].address)
        self.deployment_file = folder / "deployment.json"
        write_deployment(deployment, self.deployment_file)
        self.clock.travel(self.schedule.opening(0) + self.schedule.horizon // 2)

    def address(self, name: str) -> str:
        return self.people[name].address

    # ------------------------------------------------------------ what happens

    def bid(self, *auctions: int) -> None:
        """Everybody signs bids for these auctions, and one account posts them."""
        for auction in auctions:
            bundles = [(self.people[name], [Step(*step) for step in steps]) for name, steps in BIDS.items()]
            place_bids(self.client, self.poster, auction, bundles)

    def close_gate(self, auction: int) -> None:
        self.clock.travel(self.schedule.gate_closure(auction))

    def end_delivery(self, auction: int) -> None:
        self.clock.travel(self.schedule.delivery_end(auction))

    def statement(self, name: str, auction: int) -> Statement:
        return self.people[name].statement(self.client, auction, READINGS[name])

    def report(self, *auctions: int, silent: Iterable[str] = ()) -> None:
        """The meters' statements."""
        self.store.add(
            self.statement(name, auction) for auction in auctions for name in BIDS if name not in silent
        )

    def pass_dispute_window(self, *auctions: int, oracles: Iterable[OracleProcess] = ()) -> None:
        """Imbalance prices are posted, and time passes until nobody can dispute them any more."""
        self.wait_for(lambda: self.priced(*auctions), *oracles)
        self.clock.travel(max(self.view(auction).imbalance_final_from or 0 for auction in auctions))

    def dispute(self, name: str, auction: int) -> None:
        """A member disputes the auction's imbalance prices."""
        call = self.client.quorum.functions.dispute(auction, PRICES)
        self.people[name].sender.send(call)

    def overturn(self, auction: int) -> None:
        """The owner finds that the auction's imbalance prices are wrong."""
        self.poster.send(self.client.quorum.functions.decide(auction, PRICES, False))

    def substitute(self, name: str, auction: int) -> None:
        """The quorum reports a reading in place of a silent meter."""
        readings = codec.pack_readings(READINGS[name])
        quorum, member = self.client.quorum.address, self.address(name)
        message = typed_data.substitute_reading(
            CHAIN_ID, quorum, self.client.term(), auction, member, readings
        )
        signature = typed_data.sign(ORACLE, message)
        self.poster.send(
            self.client.settlement.functions.postSubstitute(auction, member, readings, signature)
        )

    # ------------------------------------------------------------ what came of it

    def view(self, auction: int) -> AuctionView:
        return self.client.view().auctions[auction]

    def cleared(self, *auctions: int) -> bool:
        return all(self.view(auction).cleared for auction in auctions)

    def priced(self, *auctions: int) -> bool:
        return all(self.view(auction).imbalance is not None for auction in auctions)

    def settled(self, *auctions: int) -> bool:
        return all(self.cleared(auction) and not self.view(auction).unsettled for auction in auctions)

    def with_tokens(self, *auctions: int) -> bool:
        """Whether everything is done: producer and consumer have drawn their tokens too."""
        entitled = {self.address("producer"), self.address("consumer")}
        return self.settled(*auctions) and all(self.view(auction).drawn == entitled for auction in auctions)

    def events(self, name: str) -> list[Any]:
        """All events of this name, from the market's first block."""
        contract = {"Cleared": self.client.clearing, "BidsPlaced": self.client.market}.get(
            name, self.client.settlement
        )
        return list(contract.events[name].get_logs(from_block=self.deployment.first_block))

    def settlements(self, auction: int) -> list[codec.Settled]:
        """Who was settled, in the order in which it happened."""
        logged = [event["args"] for event in self.events("MembersSettled")]
        return [
            one
            for args in logged
            if args["auction"] == auction
            for one in codec.unpack_settlements(args["settlements"], SLOTS)
        ]

    # ------------------------------------------------------------ the oracle

    def oracle(
        self,
        *options: str,
        key: LocalAccount | None = ORACLE,
        url: str | None = None,
        log: str = "oracle.log",
        poll: float = 0.1,
    ) -> OracleProcess:
        """An oracle that is not started yet; without key it only watches."""
        secret = key.key.to_0x_hex() if key else ""
        arguments = ("--poll", str(poll), *options)
        return OracleProcess(
            url or self.url, self.deployment_file, self.database, secret, self.folder / log, arguments
        )

    def log(self, name: str = "oracle.log") -> str:
        path = self.folder / name
        return path.read_text() if path.exists() else ""

    def wait_for(self, done: Callable[[], bool], *oracles: OracleProcess) -> None:
        """Fails with what the oracle said if it takes too long."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not done():
            for oracle in oracles:
                oracle.check()
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.05)

    def wait_for_log(self, text: str, *oracles: OracleProcess, name: str = "oracle.log") -> None:
        self.wait_for(lambda: text in self.log(name), *oracles)
