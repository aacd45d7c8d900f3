"""A deployed market seen through its events, and the calls that change it.

`MarketView` is what the events up to one block say. It is derived, never stored: whoever starts anew reads
the chain anew and knows the same.
"""

import math
from collections.abc import Collection, Iterable, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from typing import Any

from eth_utils import keccak
from web3 import Web3
from web3.contract.contract import Contract, ContractFunction
from web3.types import EventData

from clearwatt.bids import Bid
from clearwatt.chain import codec
from clearwatt.chain.deployment import Deployment, Schedule, unpack_grid
from clearwatt.chain.events import EventReader
from clearwatt.chain.node import ErrorBook, NodeError, Reference, block, checksum, latest, newest, node_errors
from clearwatt.chain.typed_data import Office, QuorumTerm
from clearwatt.clearing.auction import Auction, Claim
from clearwatt.errors import UserError
from clearwatt.grid import Grid

WATCHED = ("Registry", "Market", "ChunkedClearing", "OracleQuorum", "Settlement")
PRICES = "0x" + 40 * "0"
"""The subject of a report on imbalance prices."""

READINGS = 3
"""How often the chain may change while it is read."""

LEAST_LISTED = 8
"""Members from which on reading even the longest roster costs less gas than reading their terms one by one."""

NO_ENTRIES = keccak(b"")
"""Hash of a chunk without bundles, which leaves nothing to enter."""


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


@dataclass
class Report:
    """A report of the quorum that stands.

    final_from: from when nothing can change it any more, Unix time; of a disputed one, until when the owner decides.
    """

    final_from: int
    disputed: bool = False

    def is_final(self, now: int) -> bool:
        return now >= self.final_from


@dataclass
class AuctionView:
    """One auction as the events tell it.

    bids: live bids by member (checksum address). sealed: members with a sealed bid that is not opened yet.
    refused: by member, why its last signed bid was not placed (an error's selector).
    solver, income, prices, marginals: None until cleared; the last two packed as they were sent.
    chunks: hashes of the accepted chunks' entries, none if it was cleared in one transaction. entered: numbers of those
    whose positions are in their members' records.
    imbalance: packed imbalance prices, None until posted; by_quorum: whose they are.
    substitutes: packed readings that the quorum reported, by member. reports: of the quorum, by subject.
    overturned: imbalance prices that fell in a dispute. fallen: substitutes that did, by member; neither can be posted
    again. drawn: members whose tokens are minted.
    """

    number: int
    bids: dict[str, Bid] = field(default_factory=dict)
    sealed: set[str] = field(default_factory=set)
    refused: dict[str, bytes] = field(default_factory=dict)
    released: set[str] = field(default_factory=set)
    solver: str | None = None
    income: int | None = None
    prices: bytes | None = None
    marginals: bytes | None = None
    chunks: tuple[bytes, ...] = ()
    entered: set[int] = field(default_factory=set)
    imbalance: bytes | None = None
    by_quorum: bool = False
    substitutes: dict[str, bytes] = field(default_factory=dict)
    reports: dict[str, Report] = field(default_factory=dict)
    overturned: set[bytes] = field(default_factory=set)
    fallen: dict[str, frozenset[bytes]] = field(default_factory=dict)
    settled: dict[str, codec.Settled] = field(default_factory=dict)
    drawn: set[str] = field(default_factory=set)

    def copy(self) -> "AuctionView":
        """One that can be changed without this one changing."""
        own = {name: copy(value) for name, value in vars(self).items() if isinstance(value, (dict, set))}
        return replace(self, **own)

    def problem(self, rules: MarketRules) -> Auction:
        """The auction as a solver takes it."""
        bids = tuple(self.bids.values())
        return Auction(rules.schedule.slots, rules.min_price, rules.max_price, rules.grid, bids)

    @property
    def cleared(self) -> bool:
        return self.prices is not None

    @property
    def imbalance_final_from(self) -> int | None:
        """From when imbalance prices are final if nothing happens before, Unix time; None if there are none."""
        if self.imbalance is None:
            return None
        return self.reports[PRICES].final_from if self.by_quorum else 0

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

    @property
    def unentered(self) -> list[int]:
        """Chunks whose positions are still to be entered."""
        return [
            number
            for number, entries in enumerate(self.chunks)
            if entries != NO_ENTRIES and number not in self.entered
        ]


@dataclass
class MarketView:
    """Everything the events up to `reference` say.

    slots: of each auction. meters: the address each member's meter signs with. rosters: members of each that is
    current, by address. auctions: by number, those with any event. office: the quorum; None until its constructor's
    event. shared: auctions that belong to another view as well.
    """

    reference: Reference
    slots: int
    meters: dict[str, str] = field(default_factory=dict)
    sources: dict[str, int] = field(default_factory=dict)
    zones: dict[str, int] = field(default_factory=dict)
    rosters: dict[str, tuple[str, ...]] = field(default_factory=dict)
    auctions: dict[int, AuctionView] = field(default_factory=dict)
    office: Office | None = None
    shared: set[int] = field(default_factory=set, compare=False)

    def copy(self, reference: Reference) -> "MarketView":
        """The same as the view of a later block; neither is to know of the other's further events."""
        later = MarketView(reference, self.slots, dict(self.meters), dict(self.sources), dict(self.zones))
        later.rosters, later.auctions, later.office = dict(self.rosters), dict(self.auctions), self.office
        self.shared, later.shared = set(self.auctions), set(self.auctions)
        return later

    def change(self, number: int) -> AuctionView:
        """The auction, to enter an event in."""
        if number in self.shared:
            self.shared.discard(number)
            self.auctions[number] = self.auctions[number].copy()
        return self.auctions.setdefault(number, AuctionView(number))

    def roster_of(self, members: Collection[str]) -> str | None:
        """The shortest current roster that has all of these members, if reading it costs less than their terms."""
        if len(members) < LEAST_LISTED:
            return None
        fitting = [roster for roster, listed in self.rosters.items() if set(members) <= set(listed)]
        return min(fitting, key=lambda roster: len(self.rosters[roster]), default=None)


class MarketClient:
    """The typed way to a deployed market.

    depth: how many blocks below the newest the pinned view is. max_head_age: seconds; with several endpoints, one
    whose newest block is older is passed over.
    Raises UserError if the market is not on this chain, NodeError if the node does not answer.
    """

    def __init__(
        self, web3: Web3, deployment: Deployment, depth: int = 0, max_head_age: float = math.inf
    ) -> None:
        self.web3 = web3
        self.deployment = deployment
        self.depth = depth
        self.max_head_age = max_head_age
        self.errors = ErrorBook(deployment)
        self.registry = self._contract("Registry")
        self.vault = self._contract("Vault")
        self.market = self._contract("Market")
        self.clearing = self._contract("ChunkedClearing")
        self.settlement = self._contract("Settlement")
        self.quorum = self._contract("OracleQuorum")
        self.token = self._contract("EnergyToken")
        self.rules = self._read_rules()
        self._reader = EventReader(web3, deployment, WATCHED)
        self._view: MarketView | None = None
        self._seen = 0

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
            parameters = self.registry.functions.parameters().call()
            grid = unpack_grid(self.registry.functions.grid().call())
        schedule, _, low, high, _, ring, *_, party, network = parameters
        return MarketRules(Schedule(*schedule), grid, low, high, ring, party, network)

    # ------------------------------------------------------------ reading

    def view(self) -> MarketView:
        """The market at the newest block."""
        return self.views()[1]

    def views(self) -> tuple[MarketView, MarketView]:
        """The pinned view and the newest; without a depth they are one. Neither changes with the other."""
        pinned = self.pinned()
        if not self.depth:
            return pinned, pinned
        for _ in range(READINGS):
            head = latest(self.web3)
            ahead = pinned.copy(head)
            if self._read_into(ahead, pinned.reference.number + 1, head):
                return pinned, ahead
        raise _unsteady()

    def pinned(self) -> MarketView:
        """The market `depth` blocks below the newest. Reads only what is new, unless the chain has changed its past.

        The same object as long as it has not. Raises NodeError.
        """
        for _ in range(READINGS):
            reference = self._reference()
            if self._view is None or not self._still_there(self._view.reference, reference):
                self._view = MarketView(reference, self.rules.schedule.slots)
                first = self.deployment.first_block
            else:
                first = self._view.reference.number + 1
                self._view.reference = reference
            try:
                if self._read_into(self._view, first, reference):
                    self._seen = reference.number + self.depth
                    return self._view
            except BaseException:
                self._view = None
                raise
            self._view = None
        raise _unsteady()

    def _reference(self) -> Reference:
        head = newest(self.web3, self._seen, self.max_head_age)
        return block(self.web3, max(head.number - self.depth, 0)) if self.depth else head

    def _read_into(self, view: MarketView, first: int, reference: Reference) -> bool:
        """Enter the events of blocks `first` to the reference. Returns whether the reference is still the chain's, by
        the word of the one endpoint that was asked for all of it.
        """
        switches = self._switches()
        for event in self._reader.read(first, reference.number):
            apply(view, event)
        same = first > reference.number or block(self.web3, reference.number).hash == reference.hash
        return same and switches == self._switches()

    def _switches(self) -> int:
        return getattr(self.web3.provider, "switches", 0)

    def _still_there(self, known: Reference, newest: Reference) -> bool:
        if known.number > newest.number:
            return False
        return known.hash == newest.hash or block(self.web3, known.number).hash == known.hash

    def term(self) -> QuorumTerm:
        """The quorum in office, as its signatures name it. Raises NodeError."""
        functions = self.quorum.functions
        with node_errors(self.errors):
            return QuorumTerm(functions.epoch().call(), functions.configuration().call())

    # ------------------------------------------------------------ calls that change the market

    def bid(self, auction: int, steps: bytes) -> ContractFunction:
        return self.market.functions.bid(auction, steps)

    def bid_signed(self, auction: int, bids: Iterable[codec.SignedBid]) -> ContractFunction:
        return self.market.functions.bidSigned(auction, codec.pack_signed_bids(bids))

    def clear(self, view: AuctionView, claim: Claim) -> ContractFunction:
        return self.clearing.functions.clear(
            view.number,
            codec.pack_prices(claim.prices),
            codec.pack_marginals(claim.marginals),
            codec.pack_bids(view.bids.values()),
        )

    def release(self, auction: int, members: Sequence[str]) -> ContractFunction:
        return self.market.functions.release(auction, list(members))

    def forfeit(self, auction: int, member: str) -> ContractFunction:
        return self.market.functions.forfeit(auction, member)

    def post_imbalance(self, view: AuctionView, imbalance: bytes, signatures: bytes) -> ContractFunction:
        return self.settlement.functions.postImbalance(view.number, view.prices, imbalance, signatures)

    def post_fallback(self, view: AuctionView) -> ContractFunction:
        return self.settlement.functions.postFallback(view.number, view.prices)

    def settle(self, auction: int, imbalance: bytes, deliveries: bytes) -> ContractFunction:
        """By a roster if a current one has all the members, since that costs less gas."""
        split = codec.split_deliveries(deliveries, self.rules.schedule.slots)
        roster = self._view and self._view.roster_of([member for member, _ in split])
        if not self._view or not roster:
            return self.settlement.functions.settle(auction, imbalance, deliveries)
        places = {member: place for place, member in enumerate(self._view.rosters[roster])}
        listed = codec.pack_listed(split, places)
        return self.settlement.functions.settleListed(auction, imbalance, checksum(roster), listed)

    def write_roster(self, members: Iterable[str]) -> ContractFunction:
        """Write down members' terms, from which settling reads them for less gas until anybody's change."""
        return self.registry.functions.writeRoster(codec.pack_members(members))

    def draw_tokens(self, auction: int, entitlements: list[Any]) -> ContractFunction:
        return self.settlement.functions.drawTokens(auction, entitlements)


# ---------------------------------------------------------------- events into a view

PASSED_OVER = {
    "MemberSuspended",
    "MemberReinstated",
    "ChangeAnnounced",
    "ZoneAdded",
    "Connected",
    "PausedSet",
    "QuorumAnnounced",
    "EIP712DomainChanged",
    "OwnershipAnnounced",
    "OwnershipTransferred",
    "OwnershipTransferStarted",
    "ClearingBegun",
    "ChunkFilled",
}
"""Events that change nothing in a view."""


def apply(view: MarketView, event: EventData) -> None:
    """Enter one event. Raises UserError for an event this version knows nothing of."""
    match event["event"], event["args"]:
        case "MemberAdmitted", args:
            if args["member"] in view.meters:  # on other terms, with which every roster is out of date
                view.rosters.clear()
            view.meters[args["member"]] = args["meter"]
            view.sources[args["member"]] = args["source"]
            view.zones[args["member"]] = args["zone"]
        case "QuorumChanged", args:
            view.office = Office(args["epoch"], tuple(args["signers"]), args["threshold"])
        case "RosterWritten", args:
            view.rosters[args["roster"]] = codec.unpack_members(args["members"])
        case name, _ if name in PASSED_OVER:
            pass
        case name, {"auction": number, **args}:
            apply_to_auction(view.change(number), name, args, view.slots)
        case name, _:
            raise _unknown(name)


def apply_to_auction(auction: AuctionView, name: str, args: Any, slots: int) -> None:
    """Enter one event of one auction of so many slots. Raises UserError for an event this version knows nothing of."""
    match name:
        case "BidsPlaced":
            for bid in codec.unpack_bids(args["bids"]):
                auction.bids[bid.member] = bid
                auction.sealed.discard(bid.member)
                auction.refused.pop(bid.member, None)
        case "BidRefused":
            auction.refused[args["member"]] = args["reason"]
        case "BidCancelled":
            auction.bids.pop(args["member"], None)
            auction.sealed.discard(args["member"])
        case "BidSealed":
            auction.sealed.add(args["member"])
        case "SealForfeited":
            auction.sealed.discard(args["member"])
        case "BidReleased":
            auction.released.add(args["member"])
        case "Cleared":
            auction.solver = args["solver"]
            auction.income = args["networkIncome"]
            auction.prices = args["prices"]
            auction.marginals = args["marginals"]
        case "ClearingClosed":
            auction.chunks = tuple(args["chunks"])
        case "PositionsEntered":
            auction.entered.add(args["chunk"])
        case "ReportPosted" | "ReportDisputed" | "DisputeDecided" | "DisputeLapsed":
            apply_to_report(auction, name, args)
        case "ImbalancePricesPosted":
            auction.imbalance = args["imbalancePrices"]
            auction.by_quorum = args["byQuorum"]
        case "SubstitutePosted":
            auction.substitutes[args["member"]] = args["readings"]
        case "MembersSettled":
            settlements = codec.unpack_settlements(args["settlements"], slots)
            auction.settled |= {settled.member: settled for settled in settlements}
        case "TokensDrawn":
            auction.drawn.add(args["member"])
        case _:
            raise _unknown(name)


def apply_to_report(auction: AuctionView, name: str, args: Any) -> None:
    """Enter one event of a report's life."""
    subject = args["subject"]
    match name:
        case "ReportPosted":
            auction.reports[subject] = Report(args["finalFrom"])
        case "ReportDisputed":
            auction.reports[subject] = Report(args["decideBefore"], disputed=True)
        case "DisputeDecided" if not args["stands"]:
            _overturn(auction, subject)
        case _:  # decided in its favour, or not in time
            auction.reports[subject] = Report(0)


def _overturn(auction: AuctionView, subject: str) -> None:
    """The report has fallen: as if there had been none, but the oracles may not repeat it."""
    del auction.reports[subject]
    if subject != PRICES:
        fallen = auction.substitutes.pop(subject)
        auction.fallen[subject] = auction.fallen.get(subject, frozenset()) | {fallen}
    elif auction.imbalance is not None:
        auction.overturned.add(auction.imbalance)
        auction.imbalance = None


def _unsteady() -> NodeError:
    return NodeError("the chain changes its newest blocks faster than they can be read")


def _unknown(name: str) -> UserError:
    return UserError(f"the market speaks of {name}, which this version of clearwatt does not know")
