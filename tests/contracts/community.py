"""A small community on a test chain: contracts deployed, members admitted and funded, and the calls a test makes."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

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

FEEDERS = Grid(
    (-1, 0, 1, 1), (Line(), Line(50_000, 50_000, 0), Line(20_000, 20_000, 10), Line(20_000, 20_000, 25))
)
"""Upstream, busbar and two feeders, with limits and fees."""


def key_of(name: str) -> LocalAccount:
    """A test key that is the same in every run."""
    return EthAccount.from_key(keccak(text=f"clearwatt test key: {name}"))


@dataclass
class Participant:
    """A member: the account that bids (an Ape account) and the key its meter signs with."""

    account: Any
    meter: LocalAccount
    zone: int
    source: str = "none"

    @property
    def address(self) -> str:
        return str(self.account.address)


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

    def admit(self, account: Any, zone: int, source: str = "none", tokens: int = FUNDS) -> Participant:
        """Admit an account with a meter of its own, and fund it."""
        participant = Participant(account, key_of(f"meter of {account.address}"), zone, source)
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

    # ------------------------------------------------------------ bids and clearing

    def bid(self, participant: Participant, auction: int, steps: Sequence[tuple[int, int, int]]) -> Any:
        bundle = tuple(Step(*step) for step in steps)
        receipt = self.market.bid(auction, pack_steps(bundle), sender=participant.account)
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
        return self.market.clear(
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

    def post_imbalance(self, auction: int, claim: Claim, spread: int = 1_000) -> bytes:
        """Have the quorum sign imbalance prices and post them."""
        prices = self.imbalance(claim, spread)
        message = typed_data.imbalance_prices(self.chain_id, self.quorum.address, auction, prices)
        signatures = typed_data.sign_all(self.signing_oracles, message)
        self.settlement.postImbalance(
            auction, codec.pack_prices(claim.prices), prices, signatures, sender=self.owner
        )
        return prices

    @property
    def signing_oracles(self) -> Sequence[LocalAccount]:
        return self.oracles[: self.config.threshold]

    @property
    def chain_id(self) -> int:
        return int(self.chain.chain_id)

    def delivery(
        self, auction: int, participant: Participant, position: Position, readings: Sequence[int]
    ) -> tuple[Any, ...]:
        """A delivery on the word of the participant's own meter."""
        message = typed_data.meter_statement(
            self.chain_id, self.settlement.address, auction, participant.address, readings
        )
        signature = typed_data.sign(participant.meter, message)
        return (
            participant.address,
            typed_data.Evidence.METER,
            codec.pack_position(position),
            codec.pack_readings(readings),
            signature,
        )

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
    schedule = Schedule(genesis=(now // 86_400 + 2) * 86_400)
    timing = {name: changes.pop(name) for name in list(changes) if hasattr(schedule, name)}
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
    names = {"OracleQuorum": "quorum", "EnergyToken": "token"}
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
