"""A community's day on a chain: members bid, gates close, the oracle clears and settles, batteries and cars do what was
settled, meters report.

The chain, the contracts, the JSON-RPC, the oracle process and its database are the real ones; only the
passing of time is sped up, and the meters are played from measured data.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from eth_account.signers.local import LocalAccount

from clearwatt.chain import codec
from clearwatt.chain.clock import Clock
from clearwatt.chain.deployment import (
    SOURCES,
    Deployment,
    MarketConfig,
    Schedule,
    write_deployment,
)
from clearwatt.chain.market import AuctionView, MarketClient
from clearwatt.chain.node import checksum, connect, latest, node_errors
from clearwatt.chain.sender import Sender
from clearwatt.clearing.equilibrium import check_claim
from clearwatt.community.agents import member_steps, retailer_steps
from clearwatt.community.audit import Audit
from clearwatt.community.devices import Known
from clearwatt.community.fleet import Bundle, bundle, contracted, make_fleet, outlook
from clearwatt.community.outcome import DayOutcome, ForecastScore, MemberInfo
from clearwatt.community.participants import (
    Participant,
    make_participant,
    place_bids,
    retire_all,
    send_all,
    test_key,
)
from clearwatt.community.rehearsal import rehearse
from clearwatt.community.scenario import SLOT_SECONDS, SLOTS_PER_DAY, Community, date_of
from clearwatt.community.tariff import Tariff
from clearwatt.errors import UserError
from clearwatt.forecast.scores import score
from clearwatt.forecast.seasonal import persistence, seven_day_mean
from clearwatt.metering.messages import Message, statement_message
from clearwatt.metering.outbox import OracleClient, Undelivered
from clearwatt.oracle.decisions import entitled_members
from clearwatt.oracle.process import OracleProcess, free_address
from clearwatt.units import Money

MEMBER_DEPOSIT = 500
RETAILER_DEPOSIT = 1_000_000
TOKEN_UNIT = 10**6
ETHER_EACH = 10**18
WAIT_SECONDS = 120
POLL_SECONDS = 0.05
IMBALANCE_MARGIN = 10_000
CALL_GAS = 300_000
HOUSEHOLD_STEPS = 2
"""In a slot, at most; each device adds one."""
LEAST_STEPS = 8
DATABASE = "oracle.db"


@dataclass(frozen=True)
class Options:
    """What day to simulate and how.

    slots_per_auction: divides 96. gas_price_gwei, currency_per_ether: assumptions for the report.
    folder: logs, the oracle's database and the deployment go here.
    """

    day: int
    slots_per_auction: int
    seed: int
    tariff: Tariff
    folder: Path
    gas_price_gwei: float
    currency_per_ether: float

    def __post_init__(self) -> None:
        if self.slots_per_auction < 1 or SLOTS_PER_DAY % self.slots_per_auction:
            raise UserError(
                f"{self.slots_per_auction} slots per auction do not divide a day of {SLOTS_PER_DAY}"
            )

    @property
    def auctions(self) -> int:
        return SLOTS_PER_DAY // self.slots_per_auction


Report = Callable[[int, str], None]
"""Called with the number of auctions settled and what is going on."""

Hook = Callable[[int, OracleProcess], None]
"""Called before each auction's bids; a test kills the oracle here."""


def market_config(community: Community, options: Options, owner: str, now: int) -> MarketConfig:
    """The market that such a day needs; delivery starts at the first midnight (UTC) that leaves time to bid."""
    auction_seconds = options.slots_per_auction * SLOT_SECONDS
    gate_lead = min(SLOT_SECONDS, auction_seconds // 2)
    day_seconds = SLOTS_PER_DAY * SLOT_SECONDS
    earliest = now + gate_lead + auction_seconds
    schedule = Schedule(
        genesis=-(-earliest // day_seconds) * day_seconds,
        slot_seconds=SLOT_SECONDS,
        slots=options.slots_per_auction,
        horizon=day_seconds,
        gate_lead=gate_lead,
        clearing_window=gate_lead,
    )
    members = len(community.members) + 1  # and the retailer
    devices = max((member.battery is not None) + (member.car_w > 0) for member in community.members)
    return MarketConfig(
        schedule=schedule,
        grid=community.grid,
        owner=owner,
        balancing_party=test_key(options.seed, "retailer").address,
        network_account=test_key(options.seed, "network operator").address,
        signers=(test_key(options.seed, "oracle").address,),
        imbalance_margin=IMBALANCE_MARGIN,
        max_steps=max((HOUSEHOLD_STEPS + devices) * options.slots_per_auction, LEAST_STEPS),
        max_members=members,
    )


class Simulation:
    """One community, one market, one day.

    url: the node. deployment: the market, made from `market_config`. owner: its owner, who also has ether
    and test euros to give away.
    """

    def __init__(
        self, community: Community, options: Options, url: str, deployment: Deployment, owner: LocalAccount
    ) -> None:
        self._community = community
        self._options = options
        self._url = url
        self._client = MarketClient(connect(url, deployment.chain_id), deployment)
        self._clock = Clock(self._client.web3)
        self._owner = Sender(self._client.web3, owner, self._client.errors)
        self._aggregator = Sender(
            self._client.web3, test_key(options.seed, "aggregator"), self._client.errors
        )
        self._schedule = self._client.rules.schedule
        _clear_folder(options.folder)
        self._listen = free_address()
        self._intake = OracleClient(f"http://{self._listen}")
        self.retailer = make_participant(self._client, options.seed, "retailer", 0, "none", -1)
        self.members = [
            make_participant(self._client, options.seed, member.name, member.zone, member.source, row)
            for row, member in enumerate(community.members)
        ]
        history = community.history_without_cars(options.day)
        self._forecasts = {"seven-day mean": seven_day_mean(history), "persistence": persistence(history)}
        self._households = community.net_without_cars(options.day)
        self._expected = outlook(community, options.day)
        bounds = self._client.rules.min_price, self._client.rules.max_price
        self._fleet = make_fleet(community, options.day, options.tariff, self._expected, bounds)

    # ------------------------------------------------------------ the day

    def run(self, report: Report, before_auction: Hook = lambda auction, oracle: None) -> DayOutcome:
        """The whole day. Raises UserError if the oracle dies or falls silent, NodeError if the node does."""
        report(0, f"admitting {len(self.members)} members and the retailer, and funding them")
        self._admit()
        first_block = latest(self._client.web3).number
        with self._oracle() as oracle:
            for auction in range(self._options.auctions):
                before_auction(auction, oracle)
                self._trade(auction, oracle, report)
                if auction:
                    self._deliver(auction - 1, oracle, report)
            self._deliver(self._options.auctions - 1, oracle, report)
            self._settle_rest(oracle, report)
            report(self._options.auctions, "waiting for the last energy tokens")
            self._await(oracle, "the last energy tokens", self._all_drawn)
        report(self._options.auctions, "members retire the tokens of the energy they bought")
        self._retire()
        report(self._options.auctions, "auditing the day from chain data")
        return self._outcome(first_block)

    def _oracle(self) -> OracleProcess:
        folder = self._options.folder
        write_deployment(self._client.deployment, folder / "deployment.json")
        key = test_key(self._options.seed, "oracle")
        return OracleProcess(
            self._url,
            folder / "deployment.json",
            f"sqlite:///{folder / DATABASE}",
            key.key.to_0x_hex(),
            folder / "oracle.log",
            ("--poll", "0.1", "--listen", self._listen),
        )

    def _admit(self) -> None:
        """The owner admits and funds everybody; whoever sends transactions gets ether, members to retire tokens."""
        client, owner = self._client, self._owner
        with node_errors():
            address = client.vault.functions.token().call()
        euro = client.web3.eth.contract(address=address, abi=client.deployment["TestEuro"].abi)
        everybody = [self.retailer, *self.members]
        total = (RETAILER_DEPOSIT + MEMBER_DEPOSIT * len(self.members)) * TOKEN_UNIT
        owner.send(euro.functions.mint(owner.address, total))
        owner.send(euro.functions.approve(client.vault.address, total))
        oracle = test_key(self._options.seed, "oracle").address
        senders = [*(person.address for person in everybody), oracle, self._aggregator.address]
        owner.give_ether(senders, ETHER_EACH)
        registry, vault = client.registry.functions, client.vault.functions
        send_all(
            owner,
            [registry.admit(p.address, p.zone, SOURCES[p.source], p.meter.address) for p in everybody],
            CALL_GAS,
        )
        send_all(owner, [vault.deposit(p.address, self._funds(p)) for p in everybody], CALL_GAS)

    def _funds(self, participant: Participant) -> int:
        return (RETAILER_DEPOSIT if participant is self.retailer else MEMBER_DEPOSIT) * TOKEN_UNIT

    def _trade(self, auction: int, oracle: OracleProcess, report: Report) -> None:
        """Members sign bids shortly before gate closure, an aggregator posts them; then the clearing."""
        settled = self._settled()
        closure = self._schedule.gate_closure(auction)
        self._travel(closure - self._schedule.slots * self._schedule.slot_seconds // 4, oracle, report)
        report(settled, f"auction {auction + 1}: {len(self.members) + 1} signed bids")
        bundles = self._bundles(auction)
        tariff = self._options.tariff.auction(self._span(auction).start, self._schedule.slots)
        offer = retailer_steps(tariff, self._community.peak_wh, self._community.network_fee)
        signed = [(member, own.steps) for member, own in zip(self.members, bundles, strict=True)]
        place_bids(self._client, self._aggregator, auction, [(self.retailer, offer), *signed])
        self._travel(closure, oracle, report)
        report(settled, f"auction {auction + 1}: the gate is closed, the oracle clears")
        self._await(oracle, f"the clearing of auction {auction}", lambda: self._view(auction).cleared)
        self._fleet.deliver(self._span(auction).start, self._schedule.slots, self._agreed(auction, bundles))

    def _bundles(self, auction: int) -> list[Bundle]:
        """What every member bids for its household and its devices."""
        span, slots = self._span(auction), self._schedule.slots
        tariff = self._options.tariff.auction(span.start, slots)
        devices = self._fleet.offers(Known(span.start, span.start - self._signed_ahead), slots)
        low, high = self._expected.low[:, span].tolist(), self._expected.high[:, span].tolist()
        return [
            bundle(member_steps(low[member.row], high[member.row], tariff), devices.get(member.row, {}))
            for member in self.members
        ]

    @property
    def _signed_ahead(self) -> int:
        """Slots between the signing of a bid and the auction's first slot, rounded up."""
        seconds = self._schedule.gate_lead + self._schedule.slots * self._schedule.slot_seconds // 4
        return -(-seconds // self._schedule.slot_seconds)

    def _agreed(self, auction: int, bundles: Sequence[Bundle]) -> dict[str, np.ndarray]:
        """What the auction's fills mean for each device, by its accepted clearing on chain."""
        view, rules = self._view(auction), self._client.rules
        problem = view.problem(rules)
        fills = dict(
            zip(
                (bid.member for bid in problem.bids),
                check_claim(problem, view.claim(rules)).fills,
                strict=True,
            )
        )
        agreed: dict[str, np.ndarray] = {}
        for member, own in zip(self.members, bundles, strict=True):
            agreed |= contracted(own, fills[member.address] if own.steps else (), self._schedule.slots)
        return agreed

    def _deliver(self, auction: int, oracle: OracleProcess, report: Report) -> None:
        """The meters report what was delivered, and the oracle posts imbalance prices."""
        self._travel(self._schedule.delivery_end(auction), oracle, report)
        report(self._settled(), f"auction {auction + 1}: delivered, meters report")
        span, meters = self._span(auction), self._readings()
        self._send(
            oracle,
            [
                self._statement(participant, auction, meters[participant.row, span].tolist())
                for participant in [self.retailer, *self.members]
            ],
        )
        self._await(
            oracle,
            f"the imbalance prices of auction {auction}",
            lambda: self._view(auction).imbalance is not None,
        )

    def _statement(self, participant: Participant, auction: int, readings: Sequence[int]) -> Message:
        deployment = self._client.deployment
        return statement_message(
            deployment.chain_id,
            deployment["Settlement"].address,
            participant.statement(self._client, auction, readings),
        )

    def _send(self, oracle: OracleProcess, messages: Sequence[Message]) -> None:
        """To the oracle over HTTP, again and again while it is starting."""
        outcomes: list[dict[str, str]] = []

        def delivered() -> bool:
            try:
                outcomes[:] = self._intake.send(messages)
            except Undelivered:
                return False
            return True

        self._await(oracle, "the oracle to take the meters' statements", delivered)
        for outcome in outcomes:
            if outcome["status"] == "rejected":
                raise UserError(f"the oracle rejects a meter's statement: {outcome['reason']}")

    def _readings(self) -> np.ndarray:
        """int64[members + 1, 96] Wh by what devices have done so far; the last row is the retailer's, as index -1."""
        net = self._households + self._fleet.at_meters(len(self.members))
        return np.vstack([net, -net.sum(axis=0)])

    def _settle_rest(self, oracle: OracleProcess, report: Report) -> None:
        """Time passes until the last report can't be disputed any more."""
        for auction in range(self._options.auctions):
            self._travel(self._view(auction).imbalance_final_from or 0, oracle, report)

    def _travel(self, timestamp: int, oracle: OracleProcess, report: Report) -> None:
        """To this time, by way of every moment at which imbalance prices become final and the oracle settles."""
        for auction, final_from in self._due(timestamp):
            self._clock.travel(final_from)
            self._await(
                oracle,
                f"the settlement of auction {auction}",
                lambda auction=auction: not self._view(auction).unsettled,  # type: ignore[misc]
            )
            report(self._settled(), f"auction {auction + 1}: settled")
        self._clock.travel(timestamp)

    def _due(self, timestamp: int) -> list[tuple[int, int]]:
        """Unsettled auctions whose imbalance prices are final by then, and from when they are."""
        views = [self._view(auction) for auction in range(self._options.auctions)]
        return [
            (view.number, view.imbalance_final_from)
            for view in views
            if view.unsettled and view.imbalance_final_from and view.imbalance_final_from <= timestamp
        ]

    def _settled(self) -> int:
        """How many auctions are settled."""
        return sum(
            bool(view.settled) and not view.unsettled for view in self._client.view().auctions.values()
        )

    def _span(self, auction: int) -> slice:
        return slice(auction * self._schedule.slots, (auction + 1) * self._schedule.slots)

    def _view(self, auction: int) -> AuctionView:
        return self._client.view().auctions.get(auction) or AuctionView(auction)

    def _await(self, oracle: OracleProcess, what: str, done: Callable[[], bool]) -> None:
        deadline = time.monotonic() + WAIT_SECONDS
        while not done():
            oracle.check()
            if time.monotonic() > deadline:
                raise UserError(
                    f"waited {WAIT_SECONDS} s in vain for {what}; see {self._options.folder}/oracle.log"
                )
            time.sleep(POLL_SECONDS)

    # ------------------------------------------------------------ tokens

    def _all_drawn(self) -> bool:
        auctions = self._client.view().auctions.values()
        return all(set(entitled_members(auction)) <= auction.drawn for auction in auctions)

    def _retire(self) -> None:
        """Whoever does not produce has its tokens from what it bought, and uses them up.

        Owners of a battery keep theirs: part of what they bought is for others.
        """
        ids = Audit(self._client).token_ids()
        if not ids:
            return
        purpose = f"own consumption on {date_of(self._options.day)}"
        for member, behind in zip(self.members, self._community.members, strict=True):
            if member.source == "none" and behind.battery is None:
                retire_all(self._client, member, ids, purpose)

    # ------------------------------------------------------------ what came of it

    def _outcome(self, first_block: int) -> DayOutcome:
        audit = Audit(self._client)
        earned = audit.earned()
        network = checksum(self._client.rules.network_account)
        options, community = self._options, self._community
        generation, unmanaged = community.generation(options.day), community.net(options.day)
        devices = self._fleet.days(community)
        load = generation - self._households - self._fleet.at_meters(len(self.members), "car")
        rest = rehearse(community, options.day, options.tariff, flexible=False)
        return DayOutcome(
            day=date_of(options.day),
            network=self._client.deployment.network,
            first_block=first_block,
            last_block=audit.block,
            seed=options.seed,
            slots_per_auction=options.slots_per_auction,
            slot_seconds=SLOT_SECONDS,
            grid=community.grid,
            zone_names=community.zone_names,
            tariff=options.tariff,
            members=tuple(MemberInfo(m.address, m.name, m.zone, m.source) for m in self.members),
            retailer=self.retailer.address,
            prices=_joined(audit, lambda a: np.array(a.result.prices)),
            flows=_joined(audit, lambda a: np.array(a.result.flows)),
            surplus=self._imbalance_prices(audit)[0],
            shortage=self._imbalance_prices(audit)[1],
            positions={p.address: _positions(audit, p.address) for p in [self.retailer, *self.members]},
            readings={m.address: _readings(audit, m.address) for m in self.members},
            consumption={m.address: load[m.row] for m in self.members},
            generation={m.address: generation[m.row] for m in self.members},
            devices=devices,
            unmanaged={m.address: unmanaged[m.row] for m in self.members},
            unmanaged_money={m.address: Money(int(rest.money[m.row])) for m in self.members},
            plan_gap=self._fleet.planner.gap,
            planned_by=tuple(self._fleet.planner.solvers),
            settled_money={account: money for account, money in earned.items() if account != network},
            network_income=earned[network],
            tokens_issued=audit.tokens_issued(),
            tokens_retired=audit.tokens_retired(),
            gas=audit.gas(),
            forecast_scores=self._scores(),
            checks=audit.checks(),
            gas_price_gwei=options.gas_price_gwei,
            currency_per_ether=options.currency_per_ether,
        )

    def _imbalance_prices(self, audit: Audit) -> tuple[np.ndarray, np.ndarray]:
        zones, slots = self._community.grid.zones, self._schedule.slots
        pairs = [
            codec.unpack_imbalance(a.view.imbalance or b"", zones, slots) for a in audit.auctions.values()
        ]
        return np.hstack([surplus for surplus, _ in pairs]), np.hstack([shortage for _, shortage in pairs])

    def _scores(self) -> tuple[ForecastScore, ...]:
        measured = self._households
        return tuple(
            ForecastScore(method, scope, score(merge(forecast), merge(measured)))
            for method, forecast in self._forecasts.items()
            for scope, merge in (
                ("each member", lambda rows: rows),
                ("community", lambda rows: rows.sum(axis=0)),
            )
        )


def _clear_folder(folder: Path) -> None:
    """Nothing of an earlier run may stay: on a new chain its statements would carry valid signatures again."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in (DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm", "oracle.log"):
            (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"{error.filename}: {error.strerror}") from None


def _joined(audit: Audit, part: Callable) -> np.ndarray:  # type: ignore[type-arg]
    """A [Z, T] array of each auction, side by side."""
    return np.hstack([part(auction) for auction in audit.auctions.values()])


def _positions(audit: Audit, address: str) -> np.ndarray:
    return np.hstack([auction.positions[address].fills for auction in audit.auctions.values()])


def _readings(audit: Audit, address: str) -> np.ndarray:
    return np.hstack([auction.view.settled[address].readings for auction in audit.auctions.values()])
