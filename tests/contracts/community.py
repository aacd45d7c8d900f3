"""A small community on a test chain: contracts deployed, members admitted and funded, and the calls a test makes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from eth_account import Account as EthAccount
from eth_account.signers.local import LocalAccount
from eth_utils import keccak

from clearwatt.bids import Bid, Step, pack_steps
from clearwatt.chain import codec, typed_data
from clearwatt.chain.deployment import SOURCES, Deployment, MarketConfig, MarketDeployer, Schedule
from clearwatt.clearing.auction import Auction, Claim, Result
from clearwatt.clearing.equilibrium import check_claim, claim_of
from clearwatt.clearing.positions import Position, positions
from clearwatt.clearing.tree import clear
from clearwatt.grid import Grid, Line

TOKENS_PER_CURRENCY = 10**6
FUNDS = 10_000 * TOKENS_PER_CURRENCY
FAR_FUTURE = 2**40 - 1
SALT = keccak(text="salt of a sealed bid")
ZERO_ADDRESS = "0x" + "0" * 40

FEEDERS = Grid(
    (-1, 0, 1, 1), (Line(), Line(50_000, 50_000, 0), Line(20_000, 20_000, 10), Line(20_000, 20_000, 25))
)
"""Upstream, busbar and two feeders, with limits and fees."""


def key_of(name: str) -> LocalAccount:
    """A test key that is the same in every run."""
    return EthAccount.from_key(keccak(text=f"clearwatt test key: {name}"))


@dataclass
class Participant:
    """A member: the account that bids (an Ape account) and the key its meter signs with.

    signing_key: what it signs bids with, where Ape does not know the account's key.
    """

    account: Any
    meter: LocalAccount
    zone: int
    source: str = "none"
    signing_key: LocalAccount | None = None

    @property
    def address(self) -> str:
        return str(self.account.address)

    @property
    def key(self) -> LocalAccount:
        return self.signing_key or EthAccount.from_key(self.account.private_key)


class Roster(NamedTuple):
    """A roster that the registry wrote: its address, its members in their places, and the receipt."""

    address: str
    members: tuple[str, ...]
    receipt: Any


@dataclass
class Community:
    """A deployed market with its participants, and shorthand for what happens in it."""

    config: MarketConfig
    deployment: Deployment
    contracts: dict[str, Any]
    chain: Any
    owner: Any
    oracles: Sequence[LocalAccount]
    participants: list[Participant] = field(default_factory=list)
    bids: dict[tuple[int, str], Bid] = field(default_factory=dict)

    def __getattr__(self, name: str) -> Any:
        contracts = self.__dict__["contracts"]
        if name in contracts:
            return contracts[name]
        raise AttributeError(name)

    # ------------------------------------------------------------ people

    def admit(
        self,
        account: Any,
        zone: int,
        source: str = "none",
        tokens: int = FUNDS,
        signing_key: LocalAccount | None = None,
    ) -> Participant:
        """Admit an account with a meter of its own, and fund it."""
        meter = key_of(f"meter of {account.address}")
        participant = Participant(account, meter, zone, source, signing_key)
        self.registry.admit(
            participant.address, zone, SOURCES[source], participant.meter.address, sender=self.owner
        )
        if tokens:
            self.vault.deposit(participant.address, tokens, sender=self.owner)
        self.participants.append(participant)
        return participant

    # ------------------------------------------------------------ time

    def travel(self, timestamp: int) -> None:
        """The next block is mined at `timestamp`, and one is mined there."""
        self.chain.mine(timestamp=timestamp)

    def open_gate(self, auction: int) -> None:
        self.travel(self.config.schedule.opening(auction))

    def close_gate(self, auction: int) -> None:
        self.travel(self.config.schedule.gate_closure(auction))

    def await_clearing(self, auction: int) -> None:
        """Gate closed, and sealed bids opened or not."""
        self.travel(self.config.schedule.clearing_start(auction))

    # ------------------------------------------------------------ bids and clearing

    def bid(self, participant: Participant, auction: int, steps: Sequence[tuple[int, int, int]]) -> Any:
        bundle = tuple(Step(*step) for step in steps)
        receipt = self.market.bid(auction, pack_steps(bundle), sender=participant.account)
        self.bids[auction, participant.address] = Bid(participant.address, participant.zone, bundle)
        return receipt

    def bid_signed(
        self, auction: int, bundles: Mapping[str, Sequence[tuple[int, int, int]]], nonce: int = 1
    ) -> Any:
        """Bundles by address, signed by their members and posted by the owner in one transaction."""
        by_address = {participant.address: participant for participant in self.participants}
        signed = [
            self.signed_bid(by_address[address], auction, steps, nonce) for address, steps in bundles.items()
        ]
        return self.post_signed(auction, signed)

    def post_signed(self, auction: int, signed: Sequence[codec.SignedBid], sender: Any = None) -> Any:
        """Post signed bids; those that the market takes are noted."""
        packed = codec.pack_signed_bids(signed)
        receipt = self.market.bidSigned(auction, packed, sender=sender or self.owner)
        for event in receipt.decode_logs(self.market.BidsPlaced):
            for bid in codec.unpack_bids(bytes(event.bids)):
                self.bids[auction, bid.member] = bid
        return receipt

    def signed_bid(
        self,
        participant: Participant,
        auction: int,
        steps: Sequence[tuple[int, int, int]],
        nonce: int = 1,
        deadline: int = FAR_FUTURE,
    ) -> codec.SignedBid:
        """A bundle with its member's signature."""
        packed = pack_steps([Step(*step) for step in steps])
        message = typed_data.bid(
            self.chain_id, self.market.address, auction, participant.address, nonce, deadline, packed
        )
        signature = typed_data.sign(participant.key, message)
        return codec.SignedBid(participant.address, nonce, deadline, packed, signature)

    def commitment(
        self,
        participant: Participant,
        auction: int,
        steps: Sequence[tuple[int, int, int]],
        salt: bytes = SALT,
    ) -> bytes:
        """What stands for a sealed bid."""
        packed = pack_steps([Step(*step) for step in steps])
        return codec.seal_commitment(
            self.chain_id, self.market.address, auction, participant.address, salt, packed
        )

    def seal(
        self,
        participant: Participant,
        auction: int,
        steps: Sequence[tuple[int, int, int]],
        salt: bytes = SALT,
    ) -> Any:
        commitment = self.commitment(participant, auction, steps, salt)
        return self.market.seal(auction, commitment, sender=participant.account)

    def open(
        self,
        participant: Participant,
        auction: int,
        steps: Sequence[tuple[int, int, int]],
        salt: bytes = SALT,
        sender: Any = None,
    ) -> Any:
        """Open a sealed bid; anyone who knows the salt may."""
        bundle = tuple(Step(*step) for step in steps)
        receipt = self.market.open(
            auction, participant.address, salt, pack_steps(bundle), sender=sender or self.owner
        )
        self.bids[auction, participant.address] = Bid(participant.address, participant.zone, bundle)
        return receipt

    def auction(self, auction: int) -> Auction:
        """The auction as the chain knows it, for a solver."""
        bids = tuple(bid for (number, _), bid in self.bids.items() if number == auction)
        config = self.config
        return Auction(config.schedule.slots, config.min_price, config.max_price, config.grid, bids)

    def solve(self, auction: int) -> tuple[Auction, Result, Claim]:
        problem = self.auction(auction)
        result = clear(problem)
        return problem, result, claim_of(problem, result)

    def submit(self, auction: int, claim: Claim, bids: bytes, sender: Any = None) -> Any:
        """Send a clearing, honest or not."""
        return self.clearing.clear(
            auction,
            codec.pack_prices(claim.prices),
            codec.pack_marginals(claim.marginals),
            bids,
            sender=sender or self.owner,
        )

    def clear(self, auction: int) -> tuple[Auction, Result, Claim, Any]:
        """Solve and submit honestly."""
        problem, _, claim = self.solve(auction)
        receipt = self.submit(auction, claim, codec.pack_bids(problem.bids))
        return problem, check_claim(problem, claim), claim, receipt

    def position(self, problem: Auction, result: Result, participant: Participant) -> Position:
        """What the clearing left of the participant's bid."""
        return positions(problem, result)[participant.address]

    # ------------------------------------------------------------ settlement

    def imbalance(self, claim: Claim, spread: int = 1_000) -> bytes:
        """Imbalance prices that lie `spread` ticks to either side of the market's, within its bounds."""
        lowest, highest = self.config.min_price, self.config.max_price
        surplus = [[max(price - spread, lowest) for price in row] for row in claim.prices]
        shortage = [[min(price + spread, highest) for price in row] for row in claim.prices]
        return codec.pack_imbalance(surplus, shortage)

    def post_imbalance(self, auction: int, claim: Claim, spread: int = 1_000, wait: bool = True) -> bytes:
        """Have the quorum sign imbalance prices and post them; with `wait`, until nobody can dispute them any more."""
        prices = self.imbalance(claim, spread)
        signatures = self.sign_imbalance(auction, prices)
        self.settlement.postImbalance(
            auction, codec.pack_prices(claim.prices), prices, signatures, sender=self.owner
        )
        if wait:
            self.await_final(auction)
        return prices

    def await_final(self, auction: int, subject: str = ZERO_ADDRESS) -> None:
        """Until the quorum's report is final, if nobody disputes it."""
        self.travel(self.quorum.reportOf(auction, subject).finalFrom)

    def sign_imbalance(
        self, auction: int, prices: bytes, oracles: Sequence[LocalAccount] | None = None
    ) -> bytes:
        message = typed_data.imbalance_prices(self.chain_id, self.quorum.address, self.term, auction, prices)
        return typed_data.sign_all(self.signing_oracles if oracles is None else oracles, message)

    def sign_substitute(
        self,
        auction: int,
        participant: Participant,
        readings: Sequence[int],
        oracles: Sequence[LocalAccount] | None = None,
    ) -> bytes:
        message = typed_data.substitute_reading(
            self.chain_id,
            self.quorum.address,
            self.term,
            auction,
            participant.address,
            codec.pack_readings(readings),
        )
        return typed_data.sign_all(self.signing_oracles if oracles is None else oracles, message)

    def post_substitute(
        self, auction: int, participant: Participant, readings: Sequence[int], wait: bool = True
    ) -> None:
        """Have the quorum sign readings in place of a silent meter and post them, as `post_imbalance` does."""
        signatures = self.sign_substitute(auction, participant, readings)
        self.settlement.postSubstitute(
            auction, participant.address, codec.pack_readings(readings), signatures, sender=self.owner
        )
        if wait:
            self.await_final(auction, participant.address)

    @property
    def term(self) -> typed_data.QuorumTerm:
        """The quorum in office."""
        return typed_data.QuorumTerm(self.quorum.epoch(), bytes(self.quorum.configuration()))

    @property
    def signing_oracles(self) -> Sequence[LocalAccount]:
        return self.oracles[: self.config.threshold]

    @property
    def chain_id(self) -> int:
        return int(self.chain.chain_id)

    def delivery(
        self, auction: int, participant: Participant, position: Position, readings: Sequence[int]
    ) -> bytes:
        """A delivery on the word of the participant's own meter, packed."""
        message = typed_data.meter_statement(
            self.chain_id, self.settlement.address, auction, participant.address, readings
        )
        signature = typed_data.sign(participant.meter, message)
        return codec.pack_delivery(
            participant.address,
            typed_data.Evidence.METER,
            codec.pack_position(position),
            codec.pack_readings(readings),
            signature,
        )

    def substituted(self, participant: Participant, position: Position, readings: Sequence[int]) -> bytes:
        """A delivery on the quorum's word, packed."""
        return codec.pack_delivery(
            participant.address,
            typed_data.Evidence.SUBSTITUTE,
            codec.pack_position(position),
            codec.pack_readings(readings),
        )

    def deemed(self, participant: Participant, position: Position) -> bytes:
        """A delivery on nobody's word, packed."""
        return codec.pack_delivery(
            participant.address, typed_data.Evidence.DEEMED, codec.pack_position(position)
        )

    def settle(self, auction: int, imbalance: bytes, deliveries: Iterable[bytes], sender: Any = None) -> Any:
        """Settle members in one transaction."""
        packed = b"".join(deliveries)
        return self.settlement.settle(auction, imbalance, packed, sender=sender or self.owner)

    def write_roster(self, members: Iterable[str] | None = None) -> Roster:
        """A roster of these members, or of all participants."""
        listed = tuple(participant.address for participant in self.participants)
        listed = listed if members is None else tuple(members)
        receipt = self.registry.writeRoster(codec.pack_members(listed), sender=self.owner)
        [event] = receipt.decode_logs(self.registry.RosterWritten)
        assert codec.unpack_members(bytes(event.members)) == listed
        return Roster(str(event.roster), listed, receipt)

    def listed(self, roster: Roster, deliveries: Iterable[bytes]) -> bytes:
        """The deliveries with their members' places in the roster."""
        split = codec.split_deliveries(b"".join(deliveries), self.config.schedule.slots)
        return codec.pack_listed(split, {member: place for place, member in enumerate(roster.members)})

    def settle_listed(
        self, auction: int, imbalance: bytes, roster: Roster, deliveries: Iterable[bytes], sender: Any = None
    ) -> Any:
        """Settle members in one transaction, their terms read from the roster."""
        packed = self.listed(roster, deliveries)
        return self.settlement.settleListed(
            auction, imbalance, roster.address, packed, sender=sender or self.owner
        )

    def settlements(self, receipt: Any) -> list[codec.Settled]:
        """Who was settled in this transaction, as logged."""
        slots = self.config.schedule.slots
        logs = receipt.decode_logs(self.settlement.MembersSettled)
        return [one for log in logs for one in codec.unpack_settlements(bytes(log.settlements), slots)]

    # ------------------------------------------------------------ money

    def accounts(self) -> set[str]:
        parties = {self.config.balancing_party, self.config.network_account}
        return parties | {participant.address for participant in self.participants}

    def assert_money_conserved(self) -> None:
        """All balances and the clearing account add up to what the vault holds, and the tokens back it."""
        balances = sum(self.vault.accountOf(account).balance for account in self.accounts())
        held = self.vault.held()
        assert balances + self.vault.clearingAccount() == held
        backing = self.testeuro.balanceOf(self.vault.address) * 10**8 // TOKENS_PER_CURRENCY
        assert backing >= held
        for account in self.accounts():
            state = self.vault.accountOf(account)
            assert state.locked <= state.balance


def deploy_community(
    project: Any, chain: Any, owner: Any, balancing_party: str, network_account: str, **changes: Any
) -> Community:
    """Deploy a market; `changes` go to its `MarketConfig`, those of the schedule to its `Schedule`."""
    oracles = sorted((key_of(f"oracle {i}") for i in range(3)), key=lambda key: int(key.address, 16))
    now = chain.pending_timestamp
    schedule = Schedule(genesis=((now + 900) // 86_400 + 2) * 86_400)
    timing = {name: changes.pop(name) for name in list(changes) if hasattr(schedule, name)}
    if "ring_size" in changes:  # bids must not be taken further ahead than a member has records
        period = timing.get("slots", schedule.slots) * timing.get("slot_seconds", schedule.slot_seconds)
        timing.setdefault("horizon", min(schedule.horizon, changes["ring_size"] * period))
    config = MarketConfig(
        schedule=replace(schedule, **timing),
        grid=changes.pop("grid", FEEDERS),
        owner=owner.address,
        balancing_party=balancing_party,
        network_account=network_account,
        signers=tuple(oracle.address for oracle in oracles),
        threshold=2,
        **changes,
    )
    deployer = MarketDeployer(project, owner)
    deployment = deployer.deploy(config, "test", int(chain.chain_id))
    names = {"OracleQuorum": "quorum", "EnergyToken": "token", "ChunkedClearing": "clearing"}
    contracts = {names.get(name, name.lower()): instance for name, instance in deployer.instances.items()}
    contracts["testeuro"].mint(owner, 10**9 * TOKENS_PER_CURRENCY, sender=owner)
    contracts["testeuro"].approve(contracts["vault"].address, 2**256 - 1, sender=owner)
    return Community(config, deployment, contracts, chain, owner, oracles)


def usual_community(project: Any, chain: Any, accounts: Any) -> Community:
    """A retailer (also the balancing party) at the root; on each of two feeders one who produces, one who does not."""
    community = deploy_community(project, chain, accounts[0], accounts[1].address, accounts[2].address)
    community.admit(accounts[1], zone=0, tokens=10**12)
    community.admit(accounts[3], zone=2, source="solar")
    community.admit(accounts[4], zone=2)
    community.admit(accounts[5], zone=3, source="wind")
    community.admit(accounts[6], zone=3)
    return community
