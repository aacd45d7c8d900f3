"""A deployed market seen through its events, and the calls that change it.

`MarketView` is what the events up to one block say. It is derived, never stored: whoever starts anew reads
the chain anew and knows the same.
"""

from dataclasses import dataclass, field
from typing import Any

from web3 import Web3
from web3.contract.contract import Contract, ContractFunction
from web3.types import EventData

from clearwatt.bids import Bid, unpack_steps
from clearwatt.chain import codec
from clearwatt.chain.deployment import Deployment, Schedule, unpack_grid
from clearwatt.chain.events import EventReader
from clearwatt.chain.node import ErrorBook, Reference, block, checksum, latest, node_errors
from clearwatt.clearing.auction import Auction, Claim
from clearwatt.errors import UserError
from clearwatt.grid import Grid

WATCHED = ("Registry", "Market", "Settlement")


@dataclass(frozen=True)
class MarketRules:
    """What the Registry fixed at deployment, read back from the chain. Prices in ticks."""

    schedule: Schedule
    grid: Grid
    min_price: int
    max_price: int
    ring_size: int
    balancing_party: str
    network_account: str


@dataclass(frozen=True)
class Settled:
    """One member's settled auction, as `ISettlement.MemberSettled`; money units and Wh."""

    evidence: int
    cash: int
    imbalance: int
    readings: tuple[int, ...]
    source: int
    unmatched: int
    bought: int


@dataclass
class AuctionView:
    """One auction as the events tell it.

    bids: live bids by member (checksum address). solver, income, prices, marginals: None until cleared; the
    last two packed as they were sent. imbalance: packed imbalance prices, None until posted.
    drawn: members whose tokens are minted.
    """

    number: int
    bids: dict[str, Bid] = field(default_factory=dict)
    released: set[str] = field(default_factory=set)
    solver: str | None = None
    income: int | None = None
    prices: bytes | None = None
    marginals: bytes | None = None
    imbalance: bytes | None = None
    settled: dict[str, Settled] = field(default_factory=dict)
    drawn: set[str] = field(default_factory=set)

    def problem(self, rules: MarketRules) -> Auction:
        """The auction as a solver takes it."""
        bids = tuple(self.bids.values())
        return Auction(rules.schedule.slots, rules.min_price, rules.max_price, rules.grid, bids)

    @property
    def cleared(self) -> bool:
        return self.prices is not None

    def claim(self, rules: MarketRules) -> Claim:
        """The accepted clearing; only once it is cleared."""
        assert self.prices is not None
        assert self.marginals is not None
        prices = codec.unpack_prices(self.prices, rules.grid.zones, rules.schedule.slots)
        return Claim(prices, codec.unpack_marginals(self.marginals))

    @property
    def unsettled(self) -> list[str]:
        """Members with a position that is not settled yet."""
        return [member for member in self.bids if member not in self.settled]


@dataclass
class MarketView:
    """Everything the events up to `reference` say.

    meters: the address each member's meter signs with. auctions: by number, those with any event.
    """

    reference: Reference
    meters: dict[str, str] = field(default_factory=dict)
    sources: dict[str, int] = field(default_factory=dict)
    zones: dict[str, int] = field(default_factory=dict)
    auctions: dict[int, AuctionView] = field(default_factory=dict)


class MarketClient:
    """The typed way to a deployed market.

    Raises UserError if the market is not on this chain, NodeError if the node does not answer.
    """

    def __init__(self, web3: Web3, deployment: Deployment) -> None:
        self.web3 = web3
        self.deployment = deployment
        self.errors = ErrorBook(deployment)
        self.registry = self._contract("Registry")
        self.vault = self._contract("Vault")
        self.market = self._contract("Market")
        self.settlement = self._contract("Settlement")
        self.quorum = self._contract("OracleQuorum")
        self.token = self._contract("EnergyToken")
        self.rules = self._read_rules()
        self._reader = EventReader(web3, deployment, WATCHED)
        self._view: MarketView | None = None

    def _contract(self, name: str) -> Contract:
        deployed = self.deployment[name]
        contract = self.web3.eth.contract(address=checksum(deployed.address), abi=deployed.abi)
        with node_errors():
            if not self.web3.eth.get_code(contract.address):
                raise UserError(
                    f"there is no contract at {deployed.address}, where {name} should be: "
                    "the deployment is of another chain, or the chain was started anew"
                )
        return contract

    def _read_rules(self) -> MarketRules:
        with node_errors(self.errors):
            schedule, low, high, _, ring, party, network = self.registry.functions.parameters().call()
            grid = unpack_grid(self.registry.functions.grid().call())
        return MarketRules(Schedule(*schedule), grid, low, high, ring, party, network)

    # ------------------------------------------------------------ reading

    def view(self) -> MarketView:
        """The market at the newest block. Reads only what is new, unless the chain has changed its past."""
        reference = latest(self.web3)
        if self._view is None or not self._still_there(self._view.reference, reference):
            self._view = MarketView(reference)
            first = self.deployment.first_block
        else:
            first = self._view.reference.number + 1
            self._view.reference = reference
        try:
            for event in self._reader.read(first, reference.number):
                apply(self._view, event)
        except Exception:
            self._view = None
            raise
        return self._view

    def _still_there(self, known: Reference, newest: Reference) -> bool:
        if known.number > newest.number:
            return False
        return known.hash == newest.hash or block(self.web3, known.number).hash == known.hash

    # ------------------------------------------------------------ calls that change the market

    def bid(self, auction: int, steps: bytes) -> ContractFunction:
        return self.market.functions.bid(auction, steps)

    def clear(self, view: AuctionView, claim: Claim) -> ContractFunction:
        return self.market.functions.clear(
            view.number,
            codec.pack_prices(claim.prices),
            codec.pack_marginals(claim.marginals),
            codec.pack_bids(view.bids.values()),
        )

    def release(self, auction: int, member: str) -> ContractFunction:
        return self.market.functions.release(auction, member)

    def post_imbalance(self, view: AuctionView, imbalance: bytes, signatures: bytes) -> ContractFunction:
        return self.settlement.functions.postImbalance(view.number, view.prices, imbalance, signatures)

    def post_fallback(self, view: AuctionView) -> ContractFunction:
        return self.settlement.functions.postFallback(view.number, view.prices)

    def settle(self, auction: int, imbalance: bytes, deliveries: list[Any]) -> ContractFunction:
        return self.settlement.functions.settle(auction, imbalance, deliveries)

    def draw_tokens(self, auction: int, entitlements: list[Any]) -> ContractFunction:
        return self.settlement.functions.drawTokens(auction, entitlements)


# ---------------------------------------------------------------- events into a view


def apply(view: MarketView, event: EventData) -> None:
    """Enter one event. Raises UserError for an event this version knows nothing of."""
    match event["event"], event["args"]:
        case "MemberAdmitted", args:
            view.meters[args["member"]] = args["meter"]
            view.sources[args["member"]] = args["source"]
            view.zones[args["member"]] = args["zone"]
        case "MeterReplaced", args:
            view.meters[args["member"]] = args["meter"]
        case (
            (
                "MemberSuspended"
                | "ZoneAdded"
                | "Connected"
                | "EIP712DomainChanged"
                | "OwnershipTransferred"
                | "OwnershipTransferStarted"
            ),
            _,
        ):
            pass
        case name, {"auction": number, **args}:
            apply_to_auction(view.auctions.setdefault(number, AuctionView(number)), name, args)
        case name, _:
            raise _unknown(name)


def apply_to_auction(auction: AuctionView, name: str, args: Any) -> None:
    """Enter one event of one auction. Raises UserError for an event this version knows nothing of."""
    match name:
        case "BidPlaced":
            auction.bids[args["member"]] = Bid(args["member"], args["zone"], unpack_steps(args["steps"]))
        case "BidCancelled":
            del auction.bids[args["member"]]
        case "BidReleased":
            auction.released.add(args["member"])
        case "Cleared":
            auction.solver = args["solver"]
            auction.income = args["networkIncome"]
            auction.prices = args["prices"]
            auction.marginals = args["marginals"]
        case "ImbalancePricesPosted":
            auction.imbalance = args["imbalancePrices"]
        case "MemberSettled":
            auction.settled[args["member"]] = _settled(args)
        case "TokensDrawn":
            auction.drawn.add(args["member"])
        case _:
            raise _unknown(name)


def _unknown(name: str) -> UserError:
    return UserError(f"the market speaks of {name}, which this version of clearwatt does not know")


def _settled(args: Any) -> Settled:
    return Settled(
        args["evidence"],
        args["cash"],
        args["imbalance"],
        codec.unpack_readings(args["readings"]),
        args["source"],
        args["unmatched"],
        args["bought"],
    )
